"Build the documentation into _docs: nbdev processes the notebooks, smalldocs renders them"
import html
import json
import re
import shutil
import sys
from pathlib import Path

from math_core import LatexToMathML
from nbdev.serve import proc_nbs
from site_api import SHOWN, entry
from site_lint import complaints
from smalldocs.site import build

import hsjp
from hsjp.browser import network_spec

ROOT = Path(__file__).parents[1]
NUMBER = re.compile(r'^\d+_')
LESSON = re.compile(r'(?<!\[)`(\d\d_\w+)`')
OUTPUT_FILE = re.compile(r'^output-file: .*\n', re.M)               # nbdev's word for what `rename` does
SENTENCE = re.compile(r'''^(#\| (?:fig-alt|code-summary|tbl-cap): )([^'"\n].*)$''', re.M)
SOLUTION = re.compile(r'^#\| code-(fold: true|summary: "Solution")\n', re.M)
WORDS = re.compile(r'<td>(?=[^<]*[A-Za-z]{2})')
FORMULA = re.compile(r'<span class="math (inline|display)">\\[(\[](.*?)\\[)\]]</span>', re.S)
KATEX = re.compile(r'<(link|script)[^>]*/npm/katex[^>]*>(</script>)?')
WEB_FONT = re.compile(r'@import url\((["\']?)https?:.*?\1\);?')

def quoted(m): return m[1] + json.dumps(m[2], ensure_ascii=False)  # yaml trips over a colon in a sentence

def cells_of(cell):
    "A code cell as the page shows it: API as tables, words in tables marked, solutions folded whole"
    source = ''.join(cell['source'])
    cell['source'] = SENTENCE.sub(quoted, source)
    for out in cell.get('outputs', []):
        data = out.get('data', {})
        shown, table = ''.join(data.get('text/markdown', '')), ''.join(data.get('text/html', ''))
        if SHOWN.search(shown): data['text/markdown'] = entry(shown)
        if 'class="dataframe' in table: data['text/html'] = WORDS.sub('<td class="words">', table)
    if not SOLUTION.search(source): return [cell]
    cell['source'] = SOLUTION.sub('', source)
    opening, closing = '<details class="solution"><summary>Solution</summary>', '</details>'
    return [dict(cell_type='markdown', metadata={}, source=opening), cell,
            dict(cell_type='markdown', metadata={}, source=closing)]

def rename(pages):
    "Give pages the names that nbdev links to, without numbers; prose and sidebar follow"
    names = {p.name: NUMBER.sub('', p.name) for p in pages.rglob('*.ipynb')}
    assert len(set(names.values())) == len(names), 'two notebooks would become one page'
    numbered = re.compile(rf'\b({"|".join(names)})\b')
    short = lambda text: numbered.sub(lambda m: names[m[1]], text)
    link = lambda m: f'[{m[0]}](/{names[m[1] + ".ipynb"]})' if f'{m[1]}.ipynb' in names else m[0]
    for path in pages.rglob('*.ipynb'):
        notebook = json.loads(path.read_text(encoding='utf-8'))
        for cell in notebook['cells']:
            if cell['cell_type'] != 'code':
                cell['source'] = LESSON.sub(link, OUTPUT_FILE.sub('', short(''.join(cell['source']))))
        notebook['cells'] = [new for cell in notebook['cells'] for new in cells_of(cell)]
        path.unlink()
        path.with_name(names[path.name]).write_text(json.dumps(notebook), encoding='utf-8')
    config = pages/'_quarto.yml'
    config.write_text(short(config.read_text(encoding='utf-8')), encoding='utf-8')

def complete(out):
    "Typeset the maths as MathML, and leave out the fonts and scripts that pages would fetch"
    tex = LatexToMathML()
    mathml = lambda m: tex.convert_with_local_state(html.unescape(m[2]), displaystyle=m[1] == 'display')
    for path in [*out.rglob('*.html'), *out.rglob('*.css')]:
        text = path.read_text(encoding='utf-8')
        text = KATEX.sub('', FORMULA.sub(mathml, text)) if path.suffix == '.html' else WEB_FONT.sub('', text)
        path.write_text(text, encoding='utf-8')

def bring_networks(out):
    "Lay the networks that widgets ask for beside the pages, as scripts: those load from a disk, too"
    (out/'networks').mkdir()
    for path in (Path(hsjp.__file__).parent/'data'/'weights').glob('*.pt'):
        brought = f"(globalThis.hsjpNetworks ??= {{}})['{path.stem}'] = "
        brought += json.dumps(network_spec(path.stem))
        (out/'networks'/f'{path.stem}.js').write_text(brought, encoding='utf-8')
    for page in out.glob('*/*.html'):
        text = page.read_text(encoding='utf-8')
        page.write_text(text.replace("s.src = 'networks/'", "s.src = '../networks/'"), encoding='utf-8')

def main():
    "Build the site, put it in place, and fail where a reader would stumble"
    pages = proc_nbs(force=True, n_workers=2)
    shutil.copy(ROOT/'_quarto.yml', pages)
    rename(pages)
    site = build(pages, quiet=True)
    complete(site.out)
    bring_networks(site.out)
    found = [*complaints(site)]
    shutil.rmtree(ROOT/'_docs', ignore_errors=True)
    shutil.move(site.out, ROOT/'_docs')
    print(f'{len(site.pages)} pages in _docs')
    sys.exit('\n'.join(found) or None)

if __name__ == '__main__': main()  # proc_nbs spawns processes that import this file
