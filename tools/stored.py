"""Make what the widgets of lesson 63_replays show, and store it in hsjp/data/results.

    python tools/stored.py plateau                    # a small network leaves chance
    python tools/stored.py starts                     # scratch and HSJP on the same people
    python tools/stored.py starts --solver LAST.pt    # from puzzles solved before, as `hsjp demo` leaves them
    python tools/stored.py study --out runs/study     # rows of `hsjp study` on the studio; --data mannequins
    python tools/stored.py study --data person_keypoints_train.json --valid person_keypoints_valid.json
                                 --called coco_persons
"""
import argparse
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from fastai.callback.core import Callback

import hsjp
from hsjp.baseline import compact
from hsjp.crops import hold
from hsjp.evaluate import oks
from hsjp.experiments import table
from hsjp.learner import fit_stage
from hsjp.page import as_picture
from hsjp.people import studio
from hsjp.pretrain import Stage, pretrain_learner, puzzle_view, solve
from hsjp.recipes import Budget, Data, content_of, people_of, plan
from hsjp.runs import Run
from hsjp.skeleton import COCO
from hsjp.study import STUDIES, recipes_of
from hsjp.sweep import run_all

RESULTS = Path(hsjp.__file__).parent/'data'/'results'

class Watch(Callback):
    "Every so many steps: the loss since the last look, what unseen people's puzzles say, one of them in full"
    def __init__(self,
        crops,  # (B, 3, S, S) uint8: unseen people
        size,  # side of the puzzles in pixels
        shown,  # number of the one whose heatmaps are kept
        every,  # steps
    ):
        self.crops, self.size, self.shown, self.every = crops, size, shown, every
        self.rows, self.losses = [], []
    def before_fit(self): self.look(0)
    def after_batch(self):
        if not self.training: return
        self.losses.append(self.loss.item())
        if len(self.losses) == self.every: self.look(self.rows[-1]['seen'] + self.every*len(self.x))
    def look(self, seen):
        puzzles, centres, points, maps = solve(self.model, self.crops, self.size)
        self.model.train()
        found = (points - centres).norm(dim=-1) < self.size/(2*int(centres.shape[1]**.5))
        maps = (255*maps[self.shown].clamp(0, 1) + .5).to(torch.uint8).numpy()
        self.rows.append(dict(seen=seen, loss=np.mean(self.losses or [np.nan]), maps=maps,
                              patches=found.float().mean().item(), solved=found.all(1).float().mean().item()))
        self.puzzle, self.centres = puzzles[self.shown], centres[self.shown]
        self.losses = []
        print(*(f'{k} {v:.4g}' for k, v in self.rows[-1].items() if k != 'maps'), flush=True)

def plateau(out, n=2, width=16, puzzles=32_000, size=64, batch=64, shown=7):
    "The paper's turns, rate and targets, and no stages before: the plateau is long enough to be seen"
    train, valid = (hold(puzzle_view(studio(s), size)) for s in ('train', 'valid'))
    crops = torch.stack([valid[i][0] for i in range(len(valid))])
    torch.manual_seed(0)
    watch, epochs = Watch(crops, size, shown, 1024//batch), round(puzzles/len(train))
    stage = Stage(n, size, epochs, batch=batch, warmup=50, anneal=.4, drops=(), flip=.5)
    model = compact(n*n, width=width)
    learn = pretrain_learner(train, valid.subset(range(64)), model, n, size, batch=batch, flip=stage.flip,
                             device='cpu', cbs=[watch])
    fit_stage(learn, stage, Run(None, 'jigsaw', {}, ()))
    file = io.BytesIO()
    as_picture(watch.puzzle).save(file, 'webp', quality=90)
    column = lambda name, kind: np.array([r[name] for r in watch.rows], kind)
    np.savez_compressed(RESULTS/'plateau.npz', seen=column('seen', np.int32), maps=column('maps', np.uint8),
                        loss=column('loss', np.float32), patches=column('patches', np.float32),
                        solved=column('solved', np.float32), centres=watch.centres.numpy(),
                        puzzle=np.frombuffer(file.getvalue(), np.uint8))

def starts(out, solver=None, people=12, seed=0):
    "`hsjp demo` as it is: keypoints of a few unseen people by both starts, and the AP over all"
    budget, data = replace(Budget(), fair=(False,)*3), people_of(Data())
    recipes, valid = plan(budget, data, seed=seed, weights=solver and str(solver)), data[2]
    rows = run_all(recipes, out, people=data)
    few = np.linspace(0, len(valid) - 1, people).round().astype(int)
    points = [np.load(out/name/'found.npz')['points'][few] for name in rows.run]
    truth = valid.points[few], valid.visible[few], valid.table.area[few], COCO.sigmas
    each = [np.diag(oks(p, *truth)) for p in points]
    pairs = lambda values, kind: np.array(values, kind).reshape(-1, 2, *np.shape(values)[1:])
    np.savez_compressed(RESULTS/'starts.npz', person=few, image_id=valid.image_ids[few], labels=budget.labels,
                        ap=pairs(rows.AP, np.float32), points=pairs(points, np.float16),
                        oks=pairs(each, np.float16))

def study(out, data, called):
    "Rows of finished runs, new ones in place of old ones, with the studies that they belong to"
    file, names, stem = RESULTS/'study.csv', {}, Path(data.train).stem
    people, known_as = people_of(data), lambda s: s.replace(stem, called or stem)
    if Path(data.train).suffix: data = replace(data, content=content_of(people))
    for name in STUDIES:
        for r in recipes_of(name, 'small', data, people, range(3)):
            names.setdefault(known_as(r.name), []).append(name)
    there = [pd.read_csv(file)] if file.is_file() else []
    new = table(out).drop(columns='seconds').query('data == @stem')
    new = new.assign(**{k: new[k].map(known_as) for k in ('data', 'run')})
    rows = pd.concat([f for f in (*there, new) if len(f)]).drop_duplicates('run', keep='last')
    mine = rows.data == known_as(stem)
    rows.loc[mine, 'studies'] = [' '.join(names.get(run, [])) for run in rows.run[mine]]
    old = rows['AP@0.50'].isna()  # from before these were measured
    rows.loc[old, 'studies'] = [' '.join(w for w in s.split() if w not in ('fig3', 'fig4'))
                                for s in rows.studies[old].fillna('')]
    rows.sort_values(['data', 'start', 'labels', 'run']).round(4).to_csv(file, index=False)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('what', choices=['plateau', 'starts', 'study'])
    p.add_argument('--out', type=Path, default=Path('runs/stored'), help='folder of the runs')
    p.add_argument('--solver', type=Path, help='checkpoint of the puzzles; without it they are solved first')
    p.add_argument('--data', default='studio', help='of the study: studio, mannequins or a json')
    p.add_argument('--pictures', help='folder of its pictures')
    p.add_argument('--valid', help='json of unseen people')
    p.add_argument('--called', help='name of the set in the rows, in place of the name of the json')
    p.add_argument('--threads', type=int, default=1)
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    if a.what == 'plateau': plateau(a.out)
    if a.what == 'starts': starts(a.out, a.solver)
    if a.what == 'study': study(a.out, Data(a.data, a.pictures, a.valid), a.called)
