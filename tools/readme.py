"Write README.md from nbs/index.ipynb: markdown as it is, pictures and tables of shown outputs, no code"
import base64
import re
from pathlib import Path

import nbformat

ROOT = Path(__file__).parents[1]

def outputs(cell, number):
    "The markdown of a code cell's outputs; pictures are kept beside the notebooks"
    alt = re.search(r'#\| fig-alt: (.*)', cell.source)
    for out in cell.get('outputs', []):
        data = out.get('data', {})
        if 'text/markdown' in data: yield data['text/markdown']
        if 'image/png' in data:
            path = ROOT/'nbs'/'images'/f'index-{number}.png'
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(base64.b64decode(data['image/png']))
            yield f'![{alt[1]}]({path.relative_to(ROOT).as_posix()})'

def readme():
    "README.md, front page of the notebooks"
    parts = ['<!-- made from nbs/index.ipynb by tools/readme.py: edit that -->']
    for i, cell in enumerate(nbformat.read(ROOT/'nbs'/'index.ipynb', 4).cells):
        if cell.cell_type == 'markdown': parts.append(cell.source.replace('](images/', '](nbs/images/'))
        elif '#| hide' not in cell.source: parts += outputs(cell, i)
    (ROOT/'README.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')

if __name__ == '__main__': readme()
