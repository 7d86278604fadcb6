"""What a second start costs: the json of 150,000 persons, their pictures' headers, a cache of 262,000 crops

    python benchmarks/index.py [--numbers coco2017_keypoints.npz]
"""
import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from large import NUMBERS, fresh, large_json, large_pictures, weight

PERSONS, CROPS = 150_000, 262_465
TARGET_SECONDS, TARGET_MB = 1., 300

def timed(do):
    "Seconds, seconds of the processor, MB more than before, MB at most more than before, what came out"
    before, clock, own = weight(), time.perf_counter(), time.process_time()
    out = do()
    seconds, cpu, after = time.perf_counter() - clock, time.process_time() - own, weight()
    return dict(seconds=seconds, cpu=cpu, more=after['VmRSS'] - before['VmRSS'],
                peak=max(after['VmHWM'] - before['VmRSS'], 0)), out

def steps(folder):
    "In a process of its own: read the json; open the persons; open the cache of their crops"
    torch.set_num_threads(1)
    from hsjp.crops import CropStore, crop_cache
    from hsjp.people import coco_persons
    from hsjp.records import read_records
    from hsjp.skeleton import COCO
    assert COCO
    table, _ = timed(lambda: read_records(folder/'d.json'))
    people, persons = timed(lambda: coco_persons(folder/'d.json', folder/'pictures'))
    many = persons.subset(np.arange(CROPS) % len(persons)).view(size=(252, 252), labels=False)
    many.boxes += np.linspace(0, .01, CROPS)[:, None]       # no two alike
    store = CropStore(folder/'crops')
    if not Path(store.path).exists() or not store.has([store.set_key(many)])[0]:
        for some in np.array_split(np.arange(CROPS), 100):
            store.put(dict.fromkeys(store.keys(many, some), b'a crop'))
    cache, _ = timed(lambda: crop_cache(many, folder/'crops'))
    return {'json': table, 'json and pictures': people, 'cache': cache}

def main():
    p = argparse.ArgumentParser(description=__doc__)
    p.add_argument('--numbers', type=Path, default=NUMBERS)
    p.add_argument('--steps', type=Path, help=argparse.SUPPRESS)
    a = p.parse_args()
    if a.steps: return print(json.dumps(steps(a.steps)))
    if not a.numbers.is_file(): sys.exit(f'{a.numbers}: no such file')
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        os.environ['XDG_CACHE_HOME'] = str(folder/'user')
        names = large_json(folder/'d.json', PERSONS, a.numbers)
        large_pictures(folder/'pictures', names)
        print(f'{PERSONS:,} persons in {len(names):,} pictures, a json of '
              f'{(folder/"d.json").stat().st_size/1e6:.0f} MB, {CROPS:,} crops')
        time.sleep(3)       # fresh files are trusted by their digest only
        for turn in ('first', 'second', 'third'):
            for what, m in fresh(__file__, '--steps', folder).items():
                print(f'{turn} time, {what}: {m["seconds"]:.2f} s ({m["cpu"]:.2f} s of the processor), '
                      f'{m["more"]:.0f} MB more, at most {m["peak"]:.0f} MB')
        print(f'(target from the second time on: {TARGET_SECONDS:.0f} s, {TARGET_MB} MB)')

if __name__ == '__main__': main()
