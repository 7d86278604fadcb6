"""How many puzzles it takes to leave the plateau: the paper's way against a curriculum, on unseen persons.

    python benchmarks/curriculum.py studio mannequins --seeds 1
    python benchmarks/curriculum.py train.json --pictures images --valid valid.json --name people

A list of recipes, run and stored like any other. The paper's way meets N = 2, or N = 3, at once, at full
augmentation and a rate of 1e-3. The curriculum is the small recipe's: N = 2, 3, 4, gentle augmentation, wide
targets at first. Both see as many puzzles, with the compact network at 64 pixels, and are fine-tuned with few
labels. --collect writes a row an epoch of the puzzles of all runs in --out into
hsjp/data/results/plateau.csv, of which lesson 43_pretrain and the results page make a figure and a table. A
run takes about seven minutes on one core.
"""
import argparse
import json
from dataclasses import replace
from pathlib import Path

import pandas as pd

import hsjp
from hsjp.experiments import puzzle_folder
from hsjp.pretrain import Stage
from hsjp.recipes import Data, Pretext, people_of
from hsjp.study import of_labels
from hsjp.sweep import jobs_here, run_all

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'plateau.csv'

def recipes(data, people, seed):
    "{way: recipe}"
    ours = of_labels(data, people, seed, (None,))[1]
    epochs = round(120_000/len(people[0]))
    stage = lambda n: Stage(n, 64, epochs, 1., 1e-3, 32, 200, .4, ())
    paper = lambda n: replace(ours, pretext=Pretext((stage(n),)))
    return {'curriculum': ours, 'paper, N = 2': paper(2), 'paper, N = 3': paper(3)}

def histories(ways, out):
    "A row an epoch of the puzzles, with the AP after fine-tuning"
    for way, recipe in ways.items():
        file, done = puzzle_folder(recipe, out)/'history.csv', Path(out)/recipe.name/'metrics.json'
        if not done.is_file(): continue
        run = pd.read_csv(file)[['n', 'seen', 'train_loss', 'patches', 'solved']].round(5)
        run['AP'] = round(json.loads(done.read_text())['AP'], 2)
        run.insert(0, 'data', recipe.data.train)
        run.insert(1, 'way', way)
        run.insert(2, 'seed', recipe.seed)
        yield run

def main(a):
    rows = []
    for train in a.data:
        data = Data(train, a.pictures, a.valid) if train.endswith('.json') else Data(train)
        people = people_of(data)
        data = replace(data, train=a.name, pictures=None, valid=None) if train.endswith('.json') else data
        for seed in range(a.seeds):
            ways = recipes(data, people, seed)
            if not a.collect: run_all(list(ways.values()), a.out, a.jobs or jobs_here(), people)
            rows += histories(ways, a.out)
    if not rows: raise SystemExit(f'{a.out} holds none of these runs; without --collect they are made')
    table = pd.concat(rows)
    print(table.groupby(['data', 'way', 'seed', 'n'])[['seen', 'patches', 'solved', 'AP']].max())
    if a.collect:
        old = pd.read_csv(RESULTS)
        table = pd.concat([old[~old.data.isin(table.data)], table])
        table.sort_values(['data', 'way', 'seed'], kind='stable').to_csv(RESULTS, index=False)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', nargs='+', help="'studio', 'mannequins', or a COCO-format json")
    p.add_argument('--pictures', help="folder of the json's pictures")
    p.add_argument('--valid', help='json of the unseen persons; the sets of the package have theirs')
    p.add_argument('--name', default='coco_persons',
                   help="the json's name in the table and of its runs: another json, another name")
    p.add_argument('--seeds', type=int, default=1, help='how many: 0, 1, ...')
    p.add_argument('--jobs', type=int, help='runs at a time; left out: one a core')
    p.add_argument('--out', default='runs/curriculum', help='folder of the experiments')
    p.add_argument('--collect', action='store_true', help='train nothing, write the table of what is stored')
    main(p.parse_args())
