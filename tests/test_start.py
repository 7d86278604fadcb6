"What is imported before the work begins: nothing heavy for a help text, no training engine for a prediction"
import os
import subprocess
import sys
from pathlib import Path

import pytest

from hsjp.cli import parser
from hsjp.people import studio

COMMANDS = list(parser()._subparsers._group_actions[0].choices)
HEAVY = 'torch torchvision fastai numpy pandas scipy matplotlib kornia PIL lmdb pycocotools sympy IPython'

def imported(code, *words):
    "Which of the heavy modules are there when the code has run, in a process of its own"
    say = f"print('now:', *({{*'{HEAVY}'.split()}} & {{*sys.modules}}))"
    words = [sys.executable, '-c', f'import atexit, sys; atexit.register(lambda: {say})\n{code}', *words]
    env = dict(os.environ, PYTHONPATH=str(Path(__file__).parents[1]))
    run = subprocess.run(words, capture_output=True, text=True, env=env)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split()[1:])

CALL = 'from hsjp.cli import main\nsys.exit(main(sys.argv[1:]))'

def test_the_package_is_light():
    assert imported('import hsjp') == set()
    assert imported('import numpy') == {'numpy'}

WORDS = [['--help'], ['--version'], *([c, '--help'] for c in COMMANDS)]

@pytest.mark.parametrize('words', WORDS, ids=' '.join)
def test_help_is_light(words): assert imported(CALL, *words) == set()

def test_a_prediction_needs_no_training_engine(tmp_path):
    studio('valid').open(0).save(tmp_path/'person.jpg')
    words = ['predict', 'pose-studio', str(tmp_path/'person.jpg'), '--out', str(tmp_path)]
    assert imported(CALL, *words) & {'fastai', 'kornia', 'scipy', 'lmdb', 'IPython'} == set()
