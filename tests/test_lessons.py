"The lessons: imports apart, solutions and openings folded, pictures with words, an end in three parts"
import json
import re
from pathlib import Path

import pytest

NBS = Path(__file__).parents[1]/'nbs'
LESSONS = sorted(NBS.glob('[0-5]*.ipynb')) + sorted(NBS.glob('tutorials/*.ipynb'))
SOLUTION = '#| code-summary: "Solution"'

def cells(path, kind):
    every = json.loads(path.read_text(encoding='utf-8'))['cells']
    return [(''.join(c['source']), c) for c in every if c['cell_type'] == kind]

ids = lambda p: p.relative_to(NBS).as_posix()

@pytest.mark.parametrize('path', sorted(NBS.rglob('*.ipynb')), ids=ids)
def test_what_folds_is_folded_in_jupyterlab_too(path):
    folded = [c for s, c in cells(path, 'code') if SOLUTION in s or '#| echo: false' in s]
    assert all(c['metadata'].get('jupyter') == {'source_hidden': True} for c in folded)

@pytest.mark.parametrize('path', sorted(NBS.rglob('*.ipynb')), ids=ids)
def test_matplotlib_pictures_have_words(path):
    silent = [c['id'] for s, c in cells(path, 'code') if '#| fig-alt: ' not in s and '#| hide' not in s
              and any('image/png' in o.get('data', {}) for o in c['outputs'])]
    assert not silent

@pytest.mark.parametrize('path', sorted(NBS.rglob('*.ipynb')), ids=ids)
def test_outputs_are_for_everybody(path):
    text = path.read_text(encoding='utf-8')
    assert path.stat().st_size < 1_500_000
    assert not re.search(r'/(tmp|home|root|work|Users)/', text)
    outputs = [o for _, c in cells(path, 'code') for o in c['outputs'] if o.get('name') == 'stderr']
    assert all(o['text'][0].startswith('hsjp: ') for o in outputs), 'only the sentences of a command'

@pytest.mark.parametrize('path', LESSONS, ids=ids)
def test_a_lesson_asks_shows_and_leads_on(path):
    prose = [s for s, _ in cells(path, 'markdown')]
    assert re.match(r'# .+\n\n?> ', prose[0]), 'a title, and a line that says what it is for'
    opening = '\n'.join(prose[:6])
    assert re.search(r'\*\*[^*]+\?\*\*', opening), 'a bold question'
    assert 'Builds on' in opening or 'builds on' in opening
    headings = [h for s in prose for h in re.findall(r'^## (.+)', s, re.M)]
    assert 'What goes wrong' in headings and headings[-1] == 'Next'

@pytest.mark.parametrize('path', sorted(NBS.glob('[0-5]*.ipynb')), ids=ids)
def test_three_exercises_with_solutions(path):
    prose = next(s for s, _ in cells(path, 'markdown') if '## Exercises' in s)
    assert len(re.findall(r'^\d\. ', prose.partition('## Exercises')[2], re.M)) == 3
    assert any(SOLUTION in s and c['outputs'] for s, c in cells(path, 'code'))
