"""What makes small puzzles pay on real people: each lever alone, beside scratch with the same total work.

    python benchmarks/levers.py person_keypoints_train.json --valid person_keypoints_valid.json --seed 0

SimpleBaseline-18 at 64 x 64. Puzzles use the train part's boxes only, fine-tuning a tenth of its labels for
24 epochs; AP and PCK@0.1 on the unseen persons (ground-truth boxes, flip test). Work is pictures trained
on, each puzzle and each labelled picture one. Every run adds a row to --out, by default
hsjp/data/results/levers.csv, of which lesson 44_finetune makes a table; rows already there are not run
again, and puzzles that were interrupted go on. All runs of a seed take two hours on one core.
"""
import argparse
from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
from fastai.callback.schedule import ParamScheduler

import hsjp
from hsjp.crops import crop_cache
from hsjp.evaluate import coco_ap, coco_results, pck
from hsjp.finetune import FinetuneRecipe, finetune, pose_learner
from hsjp.learner import SeedEpochs, rate_schedule
from hsjp.models import freeze_upto, replace_head, simple_baseline
from hsjp.people import label_share, load_persons
from hsjp.predict import predict
from hsjp.pretrain import curriculum, pretrain
from hsjp.weights import load_weights

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'levers.csv'
PUZZLES = dict(   # puzzles at N = 2, 3; strength
    base=((15_000,), .2), n3=((15_000, 15_000), .2), more=((30_000,), .2), strong=((15_000,), .6))
RECIPE = FinetuneRecipe(24, affine=(20, .2, 0), size=(64, 64))

def whole(few, valid, model, recipe, seed):
    "All layers at one rate"
    finetune(few, valid, model, recipe, every=recipe.epochs, seed=seed)

def stronger(few, valid, model, recipe, seed):
    "The paper's turns and scales: with so many epochs a random start may need them"
    whole(few, valid, model, replace(recipe, affine=(45, .35, 0)), seed)

def head_first(few, valid, model, recipe, seed, epochs=4):
    "Only deconvolutions and head at first"
    whole(few, valid, freeze_upto(model, 4), replace(recipe, epochs=epochs, anneal=0.), seed)
    whole(few, valid, freeze_upto(model, -1), replace(recipe, epochs=recipe.epochs - epochs), seed)

def lower_frozen(few, valid, model, recipe, seed):
    "All but the lower layers"
    whole(few, valid, freeze_upto(model, 1), recipe, seed)

def slow_trunk(few, valid, model, recipe, seed, part=.2):
    "The trunk learns at a part of the rate"
    torch.manual_seed(seed)
    model = replace_head(model, len(few.skeleton.names))
    learn = pose_learner(few, valid, model, recipe.sigma, recipe.affine, batch=recipe.batch,
                         seed=seed, cbs=[SeedEpochs(seed)])
    fresh = [*model.deconv_layers.parameters(), *model.final_layer.parameters()]
    learn.splitter = lambda m: [[p for p in m.parameters() if not any(p is f for f in fresh)], fresh]
    rate = rate_schedule(recipe.lr, recipe.warmup/(recipe.epochs*len(learn.dls.train)), recipe.anneal)
    schedule = ParamScheduler({'lr': lambda t: [part*rate(t), rate(t)]})
    learn.metrics = []
    with learn.no_bar(), learn.no_logging(): learn.fit(recipe.epochs, cbs=schedule)

# name: puzzles to start from, puzzles whose number is made up for by more epochs, labels, how to fine-tune,
# keywords of load_weights
RUNS = {
    'scratch': (None, None, .1, whole, {}),
    'scratch, a fiftieth of the labels': (None, None, .02, whole, {}),
    'HSJP': ('base', None, .1, whole, {}),
    'head first': ('base', None, .1, head_first, {}),
    'slow trunk': ('base', None, .1, slow_trunk, {}),
    'lower layers frozen': ('base', None, .1, lower_frozen, {}),
    'trunk only': ('base', None, .1, whole, dict(trunk_only=True)),
    'then N = 3': ('n3', None, .1, whole, {}),
    'twice the puzzles': ('more', None, .1, whole, {}),
    'three times the strength': ('strong', None, .1, whole, {}),
    'a fiftieth of the labels': ('base', None, .02, whole, {}),
    'scratch, equal work': (None, 'base', .1, whole, {}),
    'scratch, equal work, a fiftieth of the labels': (None, 'base', .02, whole, {}),
    'scratch, equal work, as N = 3': (None, 'n3', .1, whole, {}),
    'scratch, equal work, as N = 3, turned and scaled as in the paper': (None, 'n3', .1, stronger, {})}

def run(a):
    square = lambda p: crop_cache(p.view(size=(72, 72), labels=False), a.crops)
    unlabelled, unseen = (square(load_persons(d, a.pictures, min_side=32)) for d in (a.data, a.valid))
    labelled, valid = (load_persons(d, a.pictures, labelled=True) for d in (a.data, a.valid))
    valid = crop_cache(valid.view(size=RECIPE.size), a.crops)
    there = {(r.start, r.seed) for r in pd.read_csv(a.out).itertuples()} if Path(a.out).exists() else set()

    def solver(kind):
        "Weights of a network that solves puzzles, its rows; made once"
        file = Path(a.weights)/f'{kind}-{a.seed}.pt'
        if not file.exists():
            puzzles, strength = PUZZLES[kind]
            torch.manual_seed(a.seed)
            model, out = simple_baseline(4, depth=18), file.with_suffix('')
            stages = curriculum(len(unlabelled), puzzles, strength=strength, lr=1e-3, wide=1.)
            stages, last = [replace(s, flip=0.) for s in stages], out/'last.pt'
            rows = pretrain(unlabelled, unseen, model, stages, out, resume=last.exists(), seed=a.seed)
            torch.save(dict(state_dict=torch.load(last, weights_only=True)['model'], rows=rows), file)
        state = torch.load(file, weights_only=True)
        return state['state_dict'], state['rows']

    for name, (kind, like, share, tune, how) in RUNS.items():
        if (name, a.seed) in there or a.only and name not in a.only: continue
        few = label_share(labelled, share, a.seed).view(size=RECIPE.size, margin=1.25)
        few = crop_cache(few, a.crops)
        weights, rows = solver(kind) if kind else (None, [])
        steps = len(few)//RECIPE.batch*RECIPE.batch
        epochs = RECIPE.epochs + (-(-solver(like)[1][-1]['seen']//steps) if like else 0)
        torch.manual_seed(a.seed)
        model = simple_baseline(len(labelled.skeleton.names), depth=18)
        if kind: load_weights(model, weights, **how)
        tune(few, valid, model, replace(RECIPE, epochs=epochs), a.seed)
        points, scores = predict(model, valid)
        ap = coco_ap(valid, coco_results(valid, points, scores)).iloc[0]
        right = round(100*pck(points, valid.points, valid.visible, valid.boxes), 2)
        last = rows[-1] if rows else dict(seen=0, n='', patches='')
        row = dict(start=name, seed=a.seed, labels=len(few), N=last['n'], patches=last['patches'],
                   puzzles=last['seen'], work=last['seen'] + epochs*steps, AP=ap.AP, AP50=ap.AP50, PCK=right)
        print(row, flush=True)
        pd.DataFrame([row]).round(4).to_csv(a.out, mode='a', header=not Path(a.out).exists(), index=False)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('data', help='a COCO-format json')
    p.add_argument('--pictures', help="folder of the json's pictures")
    p.add_argument('--valid', required=True, help='json of the unseen persons')
    p.add_argument('--seed', type=int, default=0)
    p.add_argument('--only', nargs='+', choices=RUNS, metavar='RUN',
                   help=f'names of the runs (default: all): {"; ".join(RUNS)}')
    p.add_argument('--crops', default='runs/crops', help='folder for the crops')
    p.add_argument('--weights', default='runs/levers', help='folder for the weights of the solvers')
    p.add_argument('--out', default=RESULTS, help='csv with a row a run')
    run(p.parse_args())
