"""A stream of four million crops, simulated: what its list and its buffers weigh, and how fast it is

    python benchmarks/stream.py [--data coco_persons]

One small shard stands in a made-up list again and again, until it counts four million crops.
"""
import argparse
import json
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from large import fresh, weight, workers_own
from torch.utils.data import DataLoader

CROPS, TARGET_MB = 4_000_000, 200
DATA = Path(__file__).parents[2]/'shared'/'data'/'coco_persons'

def persons_of(folder):
    from hsjp.people import coco_persons, mannequins
    if not folder.is_dir(): return mannequins()
    return coco_persons(folder/'person_keypoints_train.json', folder/'images')

def measure(plan, workers, labels):
    "In a process of its own: MB before, with the list, and after some thousand crops; crops a second"
    from hsjp.shards import ShardStream
    torch.set_num_threads(1)
    idle = iter(DataLoader(torch.zeros(8, 3), 4, num_workers=workers))
    next(idle)
    own = max(workers_own(), default=0)        # of a worker that does nothing
    del idle
    before = weight()['VmRSS']
    stream = ShardStream(plan, labels=labels, endless=True)
    listed, seen = weight()['VmRSS'], 0
    loader = iter(DataLoader(stream, batch_size=64, num_workers=workers))
    for _ in loader:
        if not seen: start = time.perf_counter()
        seen += 64
        if seen >= 3200*max(1, workers): break
    each = [mb - own for mb in workers_own()]
    return dict(crops=len(stream), list=listed - before, here=weight()['VmRSS'] - before, workers=each,
                rate=(seen - 64)/(time.perf_counter() - start))

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--data', type=Path, default=DATA)
    p.add_argument('--measure', nargs=3)
    a = p.parse_args()
    if a.measure:
        plan, workers, labels = a.measure
        return print(json.dumps(measure(plan, int(workers), labels == 'labels')))
    from hsjp.shards import write_shards
    people = persons_of(a.data)
    few = people.subset(np.random.default_rng(0).permutation(len(people))[:500])
    print(f'target: at most {TARGET_MB} MB more')
    with tempfile.TemporaryDirectory() as folder:
        for labels, view in (('no labels', few.view(size=(252, 252), labels=False)),
                             ('labels', few.view(size=(256, 192), margin=1.75))):
            plan = write_shards(view, Path(folder)/labels, each=500)
            about = json.loads(plan.read_text())
            about['shards'] *= CROPS//500
            plan.write_text(json.dumps(about))
            kb = (plan.parent/'00000.tar').stat().st_size/500/1000
            print(f'{labels}: {CROPS//500:,} shards of 500 crops {view.crop_size}, {kb:.1f} KB each')
            for workers in (0, 2):
                m = fresh(__file__, '--measure', plan, workers, labels)
                each = ', '.join(f'{mb:.0f}' for mb in m['workers'])
                print(f'  {workers} workers: list {m["list"]:.1f} MB, this process {m["here"]:.0f} MB more, '
                      f'workers {each or 0} MB more; {m["rate"]:.0f} crops/s')

if __name__ == '__main__': main()
