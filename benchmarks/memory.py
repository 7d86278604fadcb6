"""What a training process and its two workers weigh with 10,000 and with 150,000 persons

    python benchmarks/memory.py [--numbers coco2017_keypoints.npz]

The json is opened for the second time, as in every run but the first. Some steps of a small network are
trained, then a whole epoch goes through the loader; each item is a person's own keypoints, on one and the
same crop, so that an epoch takes seconds.
"""
import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import torch
from large import NUMBERS, fresh, large_json, large_pictures, weight, workers_own

FEW, MANY, TARGET = 10_000, 150_000, 1.1

class OneCrop:
    "In place of a crop cache"
    def __init__(self, size): self.crop = torch.zeros(3, *size, dtype=torch.uint8)
    def read(self, persons, i): return self.crop

def train(folder, workers):
    "In a process of its own: MB of this process and of its workers, after an epoch"
    torch.set_num_threads(1)

    from hsjp.baseline import compact
    from hsjp.finetune import pose_learner
    from hsjp.people import coco_persons
    persons = coco_persons(folder/'d.json', folder/'pictures', labelled=True).view(size=(64, 64))
    persons.cache = OneCrop(persons.crop_size)
    learn = pose_learner(persons, persons.subset(range(64)), compact(17, width=16), batch=64, workers=workers)
    loader, seen = learn.dls.train, 0
    learn.create_opt()
    for k, (image, points, mask) in enumerate(loader):
        seen += len(image)
        if k < 20:
            learn.loss_func(learn.model(image), points, mask).backward()
            learn.opt.step()
            learn.opt.zero_grad()
        if k == len(loader) - 2*max(1, workers) - 2:
            here, children = weight(), workers_own()
    return dict(persons=len(persons), seen=seen, here=here['VmRSS'], own=here['RssAnon'], workers=children)

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--numbers', type=Path, default=NUMBERS)
    p.add_argument('--train', nargs=2, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.train: return print(json.dumps(train(Path(a.train[0]), int(a.train[1]))))
    if not a.numbers.is_file(): sys.exit(f'{a.numbers}: no such file')
    with tempfile.TemporaryDirectory() as folder:
        os.environ['XDG_CACHE_HOME'] = f'{folder}/user'
        for count in (FEW, MANY):
            part = Path(folder)/str(count)
            part.mkdir()
            large_pictures(part/'pictures', large_json(part/'d.json', count, a.numbers))
        time.sleep(3)       # fresh files are trusted by their digest only
        for workers in (0, 2):
            total = {}
            for count in (FEW, MANY):
                part = Path(folder)/str(count)
                if not workers: fresh(__file__, '--train', part, workers)       # the first time
                m = fresh(__file__, '--train', part, workers)
                total[count] = m['here'] + sum(m['workers'])
                each = ', '.join(f'{mb:.0f}' for mb in m['workers']) or 'no workers'
                print(f'{m["persons"]:,} persons, {workers} workers: {m["here"]:.0f} MB '
                      f'({m["own"]:.0f} of its own), workers besides {each}', flush=True)
            print(f'  ratio {total[MANY]/total[FEW]:.3f} (target: at most {TARGET})', flush=True)

if __name__ == '__main__': main()
