"""Train the weights that ship with the package, and pack them as float16 into hsjp/data/weights.

    python tools/weights.py puzzles-2 puzzles-3 pose-studio pose-mannequins --out runs/weights

A run that was interrupted goes on with --resume. The networks are compact ones, narrow enough for all four to
take less than 6 MB.
"""
import argparse
from pathlib import Path

import torch

import hsjp
from hsjp.baseline import compact
from hsjp.crops import hold
from hsjp.finetune import FinetuneRecipe, finetune
from hsjp.people import mannequins, studio
from hsjp.pretrain import curriculum, pretrain, puzzle_view
from hsjp.weights import load_weights

PEOPLE = dict(studio=studio, mannequins=mannequins)
PUZZLES = {2: (8, (90_000,)), 3: (16, (12_000, 180_000))}  # width, and puzzles at N = 2, 3
POSES = dict(studio=(16, FinetuneRecipe(300, batch=32, size=(128, 96), margin=1.25)),
             mannequins=(18, FinetuneRecipe(300, batch=32, affine=(40, .3, 0), size=(128, 96), margin=1.3)))

def puzzles(n, out, resume):
    "A network that solves puzzles of the studio's people"
    width, counts = PUZZLES[n]
    train, valid = (hold(puzzle_view(studio(s), 64, pad=1.25)) for s in ('train', 'valid'))
    torch.manual_seed(0)
    stages = curriculum(len(train), counts)
    recipe, resume = dict(data='studio', pad=1.25, inside=True), resume and (out/'last.pt').is_file()
    pretrain(train, valid, compact(4, width=width), stages, out, recipe, resume)
    return out/f'best-n{n}.pt'

def poses(people, out, resume):
    "A pose network of all labelled people, which starts from puzzles of the same people"
    width, recipe = POSES[people]
    load = PEOPLE[people]
    before = out.with_name(f'{out.name}-puzzles')
    torch.manual_seed(0)
    train, valid = (puzzle_view(load(s), 64) for s in ('train', 'valid'))
    going = resume and (before/'last.pt').is_file()
    pretrain(hold(train), hold(valid), compact(4, width=width), curriculum(len(train)), before, resume=going)
    model = compact(17, width=width)
    load_weights(model, before/'last.pt')
    few = hold(load('train', True).view(size=recipe.size, margin=recipe.margin))
    finetune(few, hold(load('valid', True).view(size=recipe.size)), model, recipe, 5, 0, out,
             dict(data=people, labels='all', start='puzzles'), resume and (out/'last.pt').is_file())
    return out/'last.pt'

def pack(source, target):
    "A checkpoint without what only a resumed training needs, in float16"
    kept = torch.load(source, map_location='cpu', weights_only=True)
    kept = {k: v for k, v in kept.items() if k not in ('opt', 'rows', 'best')}
    kept['model'] = {k: v.half() if v.is_floating_point() else v for k, v in kept['model'].items()}
    target.parent.mkdir(exist_ok=True)
    torch.save(kept, target)

if __name__ == '__main__':
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('names', nargs='+', choices=['puzzles-2', 'puzzles-3', 'pose-studio', 'pose-mannequins'])
    p.add_argument('--out', type=Path, default=Path('runs/weights'))
    p.add_argument('--resume', action='store_true')
    p.add_argument('--threads', type=int, default=torch.get_num_threads())
    a = p.parse_args()
    torch.set_num_threads(a.threads)
    for name in a.names:
        kind, what = name.split('-')
        train, of = (puzzles, int(what)) if kind == 'puzzles' else (poses, what)
        made = train(of, a.out/name, a.resume)
        pack(made, Path(hsjp.__file__).parent/'data'/'weights'/f'{name}.pt')
