"""What a crop cache costs: ms a person by threads and by processes, KB a crop by JPEG quality

    python benchmarks/crops.py [--data coco_persons]
"""
import argparse
import io
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hsjp.crops import _jpegs, crop_cache
from hsjp.people import coco_persons, mannequins

DATA = Path(__file__).parents[2]/'shared'/'data'/'coco_persons'
EVERYBODY, LABELLED, PEOPLE = 262_465, 149_813, 600     # boxes of train2017; those with keypoints; measured

def sizes(view, quality):
    "KB of a crop, and the mean difference to what was cut, of 255"
    kb, off = [], []
    for i in range(0, len(view), 3):
        crop, buffer = view.cut(i), io.BytesIO()
        Image.fromarray(crop).save(buffer, 'JPEG', quality=quality)
        kb.append(buffer.tell()/1000)
        off.append(np.abs(np.asarray(crop, float) - np.asarray(Image.open(buffer), float)).mean())
    return np.mean(kb), np.mean(off)

def cut_all(args): return len(_jpegs(*args))

def rates(view):
    "{way: ms a person}, the best of three rounds that take turns"
    pictures = [np.flatnonzero(view.picture == k) for k in np.unique(view.picture)]
    one_by_one = [(view, [i]) for who in pictures for i in who]
    ways, times = {'1 thread, person by person': (ThreadPoolExecutor, 1, one_by_one)}, {}
    for count in (1, 2):
        for name, pool in (('threads', ThreadPoolExecutor), ('processes', ProcessPoolExecutor)):
            ways[f'{count} {name}'] = pool, count, [(view, who) for who in pictures]
    for _ in range(3):
        for name, (pool, count, jobs) in ways.items():
            with pool(count) as p:
                list(p.map(abs, range(8)))
                start = time.perf_counter()
                list(p.map(cut_all, jobs, chunksize=8))
                times.setdefault(name, []).append((time.perf_counter() - start)/len(view)*1000)
    return {name: min(t) for name, t in times.items()}

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--data', type=Path, default=DATA)
    a = p.parse_args()
    torch.set_num_threads(1)
    people = mannequins()
    if a.data.is_dir(): people = coco_persons(a.data/'person_keypoints_train.json', a.data/'images')
    order = np.random.default_rng(0).permutation(len(people.pictures))
    few = people.subset(np.isin(people.picture, order[:PEOPLE//3]))
    for what, count, view in (('puzzles', EVERYBODY, few.view(size=(252, 252), labels=False)),
                              ('poses', LABELLED, few.view(size=(256, 192), margin=1.75))):
        with tempfile.TemporaryDirectory() as folder:
            path = Path(crop_cache(view, folder).cache.path)
            stored = path.stat().st_blocks*512/len(view)
        print(f'{what}: {len(view):,} crops {view.crop_size}, {stored/1000:.1f} KB each in the file; '
              f'{count:,} take {stored*count/1e9:.1f} GB')
        for quality in (95, 90, 85):
            kb, off = sizes(view, quality)
            print(f'  JPEG quality {quality}: {kb:.1f} KB, {off:.2f} of 255 off')
        for name, ms in rates(view).items(): print(f'  {name}: {ms:.2f} ms a person')

if __name__ == '__main__': main()
