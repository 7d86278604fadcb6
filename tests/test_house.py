"The house: reading order is import order; modules of a size to read; lines that fit; names in their rooms"
import ast
import json
import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NBS = ROOT/'nbs'
COLUMNS, LINES = 110, (30, 300)
LEAF = 'plots'   # still pictures: imports nothing of hsjp, so any module may import it

def in_sidebar():
    "Paths of the notebooks in nbs, from top to bottom"
    sidebar = (ROOT/'_quarto.yml').read_text(encoding='utf-8').partition('sidebar:\n')[2]
    return re.findall(r'\b[\w/-]+\.ipynb', re.sub(r'#.*', '', sidebar))

def rooms():
    "The exported modules, in the order of their notebooks"
    cells = (source for name in in_sidebar() for source in code_cells(NBS/name))
    return [found[1] for s in cells if (found := re.search(r'^#\| default_exp (\S+)', s, re.M))]

def code_cells(notebook):
    "Sources of a notebook's code cells"
    cells = json.loads(notebook.read_text(encoding='utf-8'))['cells']
    return [''.join(c['source']) for c in cells if c['cell_type'] == 'code']

def rooms_imported(source, modules):
    "(module, line) for every import of one of `modules`, at any depth in `source`, a module of hsjp"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import): paths = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            parent = '.'.join(filter(None, ('hsjp' if node.level else '', node.module)))
            paths = [f'{parent}.{a.name}' for a in node.names]
        else: continue
        for path in paths:
            package, name, *_ = [*path.split('.'), '']
            if package == 'hsjp' and name in modules: yield name, node.lineno

def too_wide(lines): return [f'{i}: {len(s)} columns' for i, s in enumerate(lines, 1) if len(s) > COLUMNS]

MODULES = rooms()
FILES = sorted(p for d in ('tests', 'benchmarks', 'tools', 'tools/mannequins') for p in (ROOT/d).glob('*.py'))
NOTEBOOKS = sorted(p for p in NBS.rglob('*.ipynb') if '.ipynb_checkpoints' not in p.parts)

def test_every_notebook_is_in_the_sidebar():
    written = {p.stem for p in (ROOT/'hsjp').glob('*.py')} - {'__init__', '_modidx'}
    assert len(MODULES) == len(set(MODULES)) and set(MODULES) == written
    assert sorted(in_sidebar()) == sorted(p.relative_to(NBS).as_posix() for p in NOTEBOOKS)

@pytest.mark.parametrize('source,found', [
    ('import hsjp', []), ('from hsjp import __version__', []), ('import numpy.people', []),
    ('import hsjp.people as p', ['people']), ('from hsjp import people, models', ['people', 'models']),
    ('from hsjp.people import cut', ['people']), ('from .people import cut', ['people']),
    ('from . import people', ['people']), ('def f():\n    if 1: from .models import hrnet', ['models']),
    ('x = 1\ntry: import torch, hsjp.models\nexcept ImportError: pass', ['models'])])
def test_all_forms_of_import_are_seen(source, found):
    assert [name for name, _ in rooms_imported(source, ['people', 'models'])] == found

@pytest.mark.parametrize('module', MODULES)
def test_reading_order_is_import_order(module):
    above = set() if module == LEAF else {LEAF, *MODULES[:MODULES.index(module)]}
    source = (ROOT/'hsjp'/f'{module}.py').read_text(encoding='utf-8')
    wrong = [f'line {i}: {name}' for name, i in rooms_imported(source, MODULES) if name not in above]
    assert not wrong, f'hsjp/{module}.py imports what does not stand above it: {wrong}'

@pytest.mark.parametrize('module', MODULES)
def test_modules_have_a_size_to_read(module):
    n, (least, most) = len((ROOT/'hsjp'/f'{module}.py').read_text(encoding='utf-8').splitlines()), LINES
    assert least <= n <= most, f'hsjp/{module}.py has {n} lines; expected {least} to {most}'

@pytest.mark.parametrize('path', FILES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_lines_fit(path):
    wide = too_wide(path.read_text(encoding='utf-8').splitlines())
    assert not wide, f'{path.name}: {wide}'

@pytest.mark.parametrize('path', NOTEBOOKS, ids=lambda p: p.relative_to(NBS).as_posix())
def test_cells_fit(path):
    wide = [f'cell {k}, line {w}' for k, s in enumerate(code_cells(path)) for w in too_wide(s.splitlines())]
    assert not wide, f'{path.name}: {wide}'

NAMES = {
    'jigsaw': 'durstenfeld puzzle_size shuffle_patches unshuffle_patches patch_centres reassemble',
    'heatmap': 'gaussian_heatmaps decode_heatmaps masked_mse HeatmapLoss sigma_bound',
    'augment': 'random_affine ColourAugment JigsawBatch PoseBatch',
    'skeleton': 'Skeleton COCO',
    'people': 'PersonDataset mannequins coco_persons image_folder',
    'crops': 'crop_cache',
    'priors': 'keypoint_priors',
    'models': 'simple_baseline hrnet freeze_upto',
    'weights': 'load_weights save_checkpoint load_checkpoint',
    'pretrain': 'pretrain_learner jigsaw_precision JigsawPrecision',
    'finetune': 'pose_learner',
    'predict': 'predict',
    'detect': 'detections detect',
    'evaluate': 'oks oks_nms coco_ap',
    'errors': 'error_types',
    'experiments': 'Recipe run table plot',
    'widgets': 'JigsawWidget PoseWidget LabelWidget',
    'export': 'export_onnx'}

@pytest.mark.parametrize('module', NAMES)
def test_names_others_call(module):
    found = import_module(f'hsjp.{module}')
    assert not [name for name in NAMES[module].split() if not hasattr(found, name)]
