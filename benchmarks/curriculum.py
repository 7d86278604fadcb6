"""How many puzzles it takes to leave the plateau: the paper's way against a curriculum, on unseen persons.

    python benchmarks/curriculum.py mannequins --way paper --n 2 --seed 0
    python benchmarks/curriculum.py train.json --valid valid.json --way curriculum

Both ways: SimpleBaseline-18, 64 pixels, batch 32, Adam at 1e-3 after 200 steps of warm-up, colour on. The
paper's way meets N at once, at full augmentation. The curriculum starts with N = 2 at strength 0.2; once
0.8 of the patches are found it goes on to N = 3 at 0.2, and once half of those are found to strength 0.4. A
run ends when 0.8 of the patches are found at its last N, or after --puzzles. Every epoch adds a row to
--out, by default hsjp/data/results/plateau.csv, of which lesson 43_pretrain makes a figure and a table; a
run that is there already is refused. A run takes an hour on one core.
"""
import argparse
from pathlib import Path

import pandas as pd
import torch
from fastai.callback.core import Callback, CancelFitException

import hsjp
from hsjp.crops import crop_cache
from hsjp.models import simple_baseline
from hsjp.people import load_persons
from hsjp.pretrain import Stage, pretrain

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'plateau.csv'
CURRICULUM = [(2, .2, .8), (3, .2, .5), (3, .4, .8)]   # n, strength, patches that end the stage

class Write(Callback):
    "A row an epoch, into the file at once; ends the stage when enough patches are found"
    order = 80
    def __init__(self, path, row, enough, seen):
        self.path, self.row, self.enough, self.seen = Path(path), row, enough, seen
    def after_batch(self): self.seen += len(self.x)*self.training
    def after_epoch(self):
        values = dict(zip(self.recorder.metric_names[1:], self.recorder.values[-1]))
        told = {k: round(values[k], 5) for k in ('train_loss', 'patches', 'solved')}
        row = dict(self.row, seen=self.seen, **told)
        pd.DataFrame([row]).to_csv(self.path, mode='a', header=not self.path.exists(), index=False)
        print(row, flush=True)
        if values['patches'] >= self.enough: raise CancelFitException

def refuse_twice(a, row):
    "Ends where the csv holds this run; the paper's way has one for each N"
    there = pd.read_csv(a.out) if Path(a.out).exists() else pd.DataFrame(columns=[*row, 'n'])
    same = (there[list(row)] == list(row.values())).all(axis=1)
    if len(there[same & (there.n.eq(a.n) | (a.way == 'curriculum'))]):
        raise SystemExit(f'{a.out} has this run already')

def run(a):
    row = dict(data=a.name, way=a.way, seed=a.seed)
    refuse_twice(a, row)
    train = load_persons(a.data, a.pictures, min_side=32)
    valid = load_persons(a.valid, a.pictures, 'valid', min_side=32)
    pad = 1. if a.data == 'mannequins' else 1.25
    square = lambda p: crop_cache(p.view(size=(72, 72), labels=False, pad=pad), a.crops)
    train, valid = square(train), square(valid)
    torch.manual_seed(a.seed)
    model, seen = simple_baseline(4, depth=18), 0
    way = CURRICULUM if a.way == 'curriculum' else [(a.n, 1., .8)]
    for i, (n, strength, enough) in enumerate(way):
        epochs = (a.puzzles - seen)//(len(train)//32*32)
        if epochs < 1: break
        write = Write(a.out, dict(row, n=n, strength=strength), enough, seen)
        stage = Stage(n, 64, epochs, strength, 1e-3, 32, 200, 0., ())
        pretrain(train, valid, model, [stage], seed=100*a.seed + i, cbs=[write])
        seen = write.seen

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', help="'mannequins', or a COCO-format json")
    p.add_argument('--pictures', help="folder of the json's pictures")
    p.add_argument('--valid', help='json of the unseen persons; the mannequins have theirs')
    p.add_argument('--name', default='coco_persons', help="the data's name in the table")
    p.add_argument('--way', choices=('paper', 'curriculum'), default='curriculum')
    p.add_argument('--n', type=int, choices=(2, 3), default=2, help='of the paper\'s way')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--puzzles', type=int, default=150_000)
    p.add_argument('--crops', default='runs/crops', help='folder for the crops')
    p.add_argument('--out', default=RESULTS, help='csv with a row an epoch')
    a = p.parse_args()
    if a.data == 'mannequins': a.name = a.valid = a.data
    if not a.valid: p.error('--valid is missing; expected the json of unseen persons')
    run(a)
