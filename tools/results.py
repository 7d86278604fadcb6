"Collect the runs of `hsjp demo` into the tables of the front page: python tools/results.py RUN [RUN ...]"
import sys
from pathlib import Path
import pandas as pd

OUT = Path(__file__).parents[1]/'hsjp'/'data'/'results'

def collect(runs):
    "demo.csv: a row a start, seed and mean; puzzles.csv: the last epoch of each stage"
    tables, puzzles = [], []
    for run in map(Path, runs):
        seed = run.name.split('-')[-1]
        tables.append(pd.read_csv(run/'table.csv').assign(seed=seed))
        last = pd.read_csv(run/'puzzles.csv').groupby('stage').last()
        puzzles.append(last[['n', 'seen', 'patches', 'solved']].assign(seed=seed))
    columns = ['seed', 'start', 'AP', 'AP50', 'AP75', 'labelled persons', 'puzzles', 'pictures of fine-tuning', 'seconds']
    demo = pd.concat(tables)[columns].round({'AP': 1, 'AP50': 1, 'AP75': 1})
    mean = demo.groupby('start', sort=False)[['AP', 'AP50', 'AP75']].mean().round(1).reset_index().assign(seed='mean')
    p = pd.concat(puzzles).rename(columns=dict(n='N', seen='puzzles so far', patches='patches right', solved='puzzles solved'))
    OUT.mkdir(parents=True, exist_ok=True)
    pd.concat([demo, mean])[columns].fillna('').to_csv(OUT/'demo.csv', index=False)
    p[['seed', 'N', 'puzzles so far', 'patches right', 'puzzles solved']].round(3).to_csv(OUT/'puzzles.csv', index=False)

if __name__ == '__main__': collect(sys.argv[1:])
