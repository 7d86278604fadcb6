"""How to fine-tune: four schedules, from scratch and from puzzles, on people held out of the training people.

    python benchmarks/schedules.py --seeds 2

400 of the studio's labelled training people are held out; 25 of the others are learnt from, with 8,000
pictures, by the compact network of `hsjp demo`, after 120,000 puzzles where a row says HSJP. The validation
people have no part in it. Rows go to --out, by default hsjp/data/results/schedules.csv, of which lesson
55_demo makes a table. All rows of two seeds take half an hour on two cores. In the rows that are stored both
seeds started from the puzzles of seed 0.
"""
import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

import hsjp
from hsjp.people import studio
from hsjp.recipes import Recipe, puzzles, tuning
from hsjp.sweep import jobs_here, run_all

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'schedules.csv'

def people():
    "Unlabelled people, training people to learn from, and 400 held out of them"
    everyone = studio('train', True)
    order = np.random.default_rng(99).permutation(len(everyone))
    return studio('train'), everyone.subset(np.sort(order[400:])), everyone.subset(np.sort(order[:400]))

def recipes(seeds, people):
    "Two starts, two rates, without and with colour"
    for seed in range(seeds):
        for start in ('scratch', 'HSJP'):
            first = puzzles(len(people[0])) if start == 'HSJP' else None
            for lr in (1e-3, 2e-3):
                for colour in (None, True):
                    how = replace(tuning(8_000, 25), lr=lr, colour=colour)
                    yield Recipe(start=start, pretext=first, labels=25, tuning=how, seed=seed)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('--seeds', type=int, default=2)
    p.add_argument('--out', type=Path, default=RESULTS)
    p.add_argument('--work', type=Path, default=Path('runs/schedules'), help='folder of the runs')
    p.add_argument('--jobs', type=int, default=jobs_here(), help='trainings at a time')
    a = p.parse_args()
    all_of_them = [*recipes(a.seeds, sets := people())]
    rows = run_all(all_of_them, a.work, a.jobs, sets)
    how = [r.tuning for r in all_of_them]
    rows = rows.assign(lr=[t.lr for t in how], colour=[bool(t.colour) for t in how])
    columns = ['start', 'lr', 'colour', 'seed', 'AP', 'AP50', 'PCK@0.1', 'PCK@0.05']
    pd.DataFrame(rows[columns]).round(2).to_csv(a.out, index=False)
