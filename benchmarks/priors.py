"""Where the keypoints of all COCO persons fall in the N x N grid over their box, at N = 3 and N = 6.

    python benchmarks/priors.py coco2017_keypoints.npz
    python benchmarks/priors.py person_keypoints_train2017.json person_keypoints_val2017.json

Writes --out, by default hsjp/data/results/priors.csv, of which lesson 16_priors makes its figures and its
table; a row is the share of a cell: keypoint, n, row and column from 0, share. The stored file comes from
the npz: every person of COCO 2017 (train and val) with a labelled keypoint, 156,165 in all, boxes and
keypoints relative to the picture. The shape of the picture is not needed, because cells are relative to the
box; half a pixel cannot be added to the keypoints without it, though, so they lie half a pixel up and left.
From COCO's own jsons it is added. tests/test_priors.py measures what it changes.

COCO's annotations, and so this file, are under CC BY 4.0 (COCO Consortium, cocodataset.org).
"""
import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd

import hsjp
from hsjp.priors import keypoint_priors, paper_statements, tidy_priors
from hsjp.records import read_records
from hsjp.skeleton import COCO

RESULTS = Path(hsjp.__file__).parent/'data'/'results'/'priors.csv'

def from_npz(path):
    "Boxes x y w h and points, relative to the picture, and v"
    z = np.load(path)
    centre, side = np.split(z['box_cxcywh']/65535, 2, axis=1)
    return np.concatenate([centre - side/2, side], 1), z['kpt_xy']/65535, z['vis']

def from_json(path):
    "Boxes x y w h and points in pixels, and v, of all persons with a labelled keypoint; no crowds"
    r = read_records(path)
    keep = (r.keypoints[..., 2] > 0).any(1) & ~r.crowd & (r.boxes[:, 2:] > 0).all(1)
    return r.boxes[keep], r.keypoints[keep, :, :2] + .5, r.keypoints[keep, :, 2]

def outside(boxes, points, visible):
    "A sentence about labelled keypoints that lie outside of their box"
    within = (points - boxes[:, None, :2])/boxes[:, None, 2:]
    out = ((within < 0) | (within > 1)).any(-1) & (visible > 0)
    return (f'{out.sum()/(visible > 0).sum():.1%} of the labelled keypoints lie outside of their box; '
            f'{(visible[out] == 1).mean():.1%} of these are hidden. Of all hidden ones '
            f'{out[visible == 1].mean():.0%} lie outside')

def cut_off(boxes, points, visible):
    "A sentence about the hips of persons without a labelled ankle"
    ankle = (visible[:, -2:] > 0).any(1)
    hips = lambda who: keypoint_priors(boxes[who], points[who], visible[who])[11:13].mean(0)
    those, others = hips(~ankle), hips(ankle)
    return (f'{(~ankle).sum():,} persons have no labelled ankle; {those[2].sum():.0%} of their hips are in '
            f"the bottom row. Of the others' hips {others[1, 1]:.0%} are in the centre")

def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument('files', nargs='+', help='the npz, or COCO-format jsons')
    p.add_argument('--out', default=RESULTS, help='csv')
    a = p.parse_args()
    parts = [from_npz(f) if Path(f).suffix == '.npz' else from_json(f) for f in a.files]
    boxes, points, visible = map(np.concatenate, zip(*parts))
    priors, tables = {}, []
    for n in (3, 6):
        start = time.perf_counter()
        priors[n] = keypoint_priors(boxes, points, visible, n)
        print(f'{len(boxes):,} persons at N = {n}: {time.perf_counter() - start:.2f} s')
        tables.append(tidy_priors(priors[n], COCO.names).assign(n=n))
    table = pd.concat(tables)[['keypoint', 'n', 'row', 'column', 'share']]
    table.round({'share': 6}).to_csv(a.out, index=False)
    print(outside(boxes, points, visible), cut_off(boxes, points, visible), sep='\n')
    print(paper_statements(priors[3], priors[6]).to_string(index=False))

if __name__ == '__main__': main()
