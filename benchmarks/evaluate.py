"""Decoding, suppression and prediction at the speed of the hardware: a markdown table.

    python benchmarks/evaluate.py [REPEATS]

One core, one run, medians of interleaved repeats. The references: for decoding, a numpy loop over the
joints; for suppression, the published loop over detections, vectorised over those that are left, picture by
picture; for prediction from files (crops cut, network twice for the flip test, decoding, back to the
picture), the network alone, twice, on batches that lie ready.
"""
import statistics
import sys
import time

import numpy as np
import torch

from hsjp.evaluate import oks_nms
from hsjp.heatmap import decode_heatmaps, gaussian_heatmaps
from hsjp.models import simple_baseline
from hsjp.people import mannequins
from hsjp.predict import predict
from hsjp.skeleton import COCO


def loop_decode(heatmaps):
    "A joint at a time: brightest pixel, and one Newton step on the log of what is around it"
    points = np.zeros((*heatmaps.shape[:2], 2))
    for b, maps in enumerate(heatmaps):
        for k, h in enumerate(maps):
            y, x = divmod(int(h.argmax()), h.shape[1])
            points[b, k] = x + .5, y + .5
            if 0 < x < h.shape[1]-1 and 0 < y < h.shape[0]-1:
                g = np.log(np.maximum(h[y-1:y+2, x-1:x+2], 1e-10))
                slope = [(g[1, 2] - g[1, 0])/2, (g[2, 1] - g[0, 1])/2]
                dxx, dyy = g[1, 2] - 2*g[1, 1] + g[1, 0], g[2, 1] - 2*g[1, 1] + g[0, 1]
                dxy = (g[2, 2] - g[2, 0] - g[0, 2] + g[0, 0])/4
                hessian = np.array([[dxx, dxy], [dxy, dyy]])
                if np.linalg.det(hessian): points[b, k] -= np.linalg.solve(hessian, slope)
    return points*4

def loop_nms(points, scores, area, image_ids, sigmas=COCO.sigmas, threshold=.9):
    "The published greedy loop in each picture"
    keep = []
    for image in np.unique(image_ids):
        left = np.flatnonzero(image_ids == image)
        left = left[np.argsort(-scores[left])]
        while len(left):
            best, left = left[0], left[1:]
            keep.append(best)
            areas = ((area[left] + area[best])/2 + np.spacing(1))[:, None]
            e = ((points[left] - points[best])**2).sum(-1)/(2*np.asarray(sigmas))**2/areas/2
            left = left[np.exp(-e).mean(1) <= threshold]
    return np.array(keep)

def crowd(detections=100_000, pictures=2_300, people=6, seed=0):
    "Detections around a few people a picture, some nearly the same"
    rng = np.random.default_rng(seed)
    image_ids = rng.integers(0, pictures, detections)
    poses = rng.uniform(0, 600, (pictures, people, 17, 2))
    points = poses[image_ids, rng.integers(0, people, detections)] + rng.normal(0, 4, (detections, 17, 2))
    return points, rng.random(detections), rng.uniform(70, 280, detections)**2, image_ids

def medians(jobs, repeats):
    "Seconds of each job, the jobs taking turns; CPU time of the one thread: a busy machine does not count"
    times = [[] for _ in jobs]
    for i in range(repeats + 1):
        for job, mine in zip(jobs, times):
            start = time.thread_time()
            job()
            if i: mine.append(time.thread_time() - start)
    return [statistics.median(t) for t in times]

def row(what, ours, against, other, ratio, target):
    print(f'| {what} | {ours:.4f} | {against} | {other:.4f} | {ratio} | {target} |')

def main(repeats=5):
    torch.set_num_threads(1); torch.manual_seed(0)
    heatmaps = gaussian_heatmaps(torch.rand(64, 17, 2)*torch.tensor([160, 224]) + 16, (64, 48), 2.)
    as_numpy = heatmaps.numpy()
    assert np.abs(loop_decode(as_numpy) - decode_heatmaps(heatmaps)[0].numpy()).max() < 1e-3
    points, scores, area, image_ids = crowd()
    ours = lambda: oks_nms(points, scores, area, COCO.sigmas, .9, image_ids)
    published = lambda: loop_nms(points, scores, area, image_ids)
    assert set(published()) == set(ours())
    persons = mannequins('valid', labelled=True).subset(range(64)).view(size=(256, 192))
    model = simple_baseline(17, 18).eval().to(memory_format=torch.channels_last)
    ready = torch.rand(64, 3, 256, 192).contiguous(memory_format=torch.channels_last)
    @torch.no_grad()
    def bare(): model(ready); model(ready)
    dark, joints = medians([lambda: decode_heatmaps(heatmaps), lambda: loop_decode(as_numpy)], 5*repeats)
    nms, loop = medians([ours, published], repeats)
    whole, network = medians([lambda: predict(model, persons, bf16=False), bare], repeats)
    print('| on one core | seconds | against | seconds | ratio | target |\n|---|---|---|---|---|---|')
    row('decode 64 x 17 x 64 x 48, dark', dark,
        'numpy, joint by joint', joints, f'{joints/dark:.1f} x faster', 'at least 10')
    row('OKS-NMS, 100,000 in 2,300 pictures', nms,
        'published loop', loop, f'{loop/nms:.1f} x faster', 'under 3 s')
    row('predict, SimpleBaseline-18, 256 x 192, 64 persons', whole,
        'the network alone', network, f'{network/whole:.0%} of its pictures/s', 'at least 85 %')

if __name__ == '__main__': main(*map(int, sys.argv[1:]))
