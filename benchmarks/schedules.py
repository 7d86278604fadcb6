"""How to fine-tune: four schedules, from scratch and from puzzles, on people held out of the training people.

    python benchmarks/schedules.py --seeds 2

400 of the studio's labelled training people are held out; 25 of the others are learnt from, with 8,000
pictures, by the compact network of `hsjp demo`. The validation people have no part in it. The puzzles
(120,000, of seed 0) start every row that says HSJP. Rows go to --out, by default
hsjp/data/results/schedules.csv, of which lesson 55_demo makes a table; those already there are not run again.
All rows of two seeds take half an hour on one core.
"""
import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

import hsjp
from hsjp.augment import ColourAugment
from hsjp.baseline import compact
from hsjp.crops import hold
from hsjp.demo import Budget, learn_poses, measure, solve_puzzles
from hsjp.people import few_labels, studio
from hsjp.weights import load_weights

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'schedules.csv'
BUDGET = Budget()

def people():
    "Training people to learn from, and 400 held out of them"
    everyone = studio('train', True)
    order = np.random.default_rng(99).permutation(len(everyone))
    return everyone.subset(np.sort(order[400:])), everyone.subset(np.sort(order[:400]))

def row(learnt, held, solver, start, lr, colour, seed):
    "AP and PCK on the held-out people after one fine-tuning"
    few = hold(few_labels(learnt, 25, seed).view(size=BUDGET.size, margin=1.25))
    torch.manual_seed(seed)
    model = compact(len(learnt.skeleton.names), width=BUDGET.width)
    if start == 'HSJP': load_weights(model, solver)
    more = dict(colour=ColourAugment()) if colour else {}
    learn_poses(few, held, model, 8_000, seed, lr, **more)
    return dict(start=start, lr=lr, colour=colour, seed=seed, **measure(model, held)[0])

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seeds', type=int, default=2)
    p.add_argument('--out', type=Path, default=RESULTS)
    p.add_argument('--work', type=Path, default=Path('runs/schedules'), help='folder for the puzzles')
    p.add_argument('--threads', type=int, default=torch.get_num_threads())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    learnt, held = people()
    held, solver = hold(held.view(size=BUDGET.size)), a.work/'puzzles'/'last.pt'
    if not solver.is_file(): solve_puzzles(studio('train'), held, a.work, BUDGET, 0)
    rows = pd.read_csv(a.out).to_dict('records') if a.out.is_file() else []
    done = {(r['start'], r['lr'], r['colour'], r['seed']) for r in rows}
    for key in [(start, lr, colour, seed) for seed in range(a.seeds) for start in ('scratch', 'HSJP')
                for lr in (1e-3, 2e-3) for colour in (False, True)]:
        if key in done: continue
        rows.append(row(learnt, held, solver, *key))
        pd.DataFrame(rows).round(2).to_csv(a.out, index=False)
