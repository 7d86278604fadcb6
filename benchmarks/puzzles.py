"""Puzzles at the speed of the hardware: a markdown table.

    python benchmarks/puzzles.py [REPEATS]

One core, one run, medians of interleaved repeats. The floor is what no pipeline can leave out: uint8 to
float, one `grid_sample` on a given grid, one write of the heatmaps. The reference treats one picture at a
time, with torchvision's v2 transforms and a numpy heatmap per channel. Times are CPU times of the one
thread, so that a busy machine does not count.
"""
import random
import statistics
import subprocess
import sys
import time
from functools import partial

import numpy as np
import torch
import torch.nn.functional as F
from torchvision.transforms import v2

from hsjp.augment import ColourAugment, JigsawBatch
from hsjp.heatmap import gaussian_heatmaps, sigma_bound

BATCH, N, SIZE, SIDE = 32, 6, 224, 228
SIGMA = .95*sigma_bound(N, SIZE/4)

def floor(crops, grid):
    "What cannot be left out"
    images = F.grid_sample(crops.float().div_(255), grid, align_corners=False)
    return images, torch.ones(len(crops), N*N, SIZE//4, SIZE//4)

def ours(crops, step):
    "A batch at once"
    images, centres, mask = step(crops)
    return images, gaussian_heatmaps(centres, (SIZE//4, SIZE//4), SIGMA)

def numpy_heatmap(x, y, side=SIZE//4):
    "One whole channel of eq. 1"
    px = np.arange(side, dtype=np.float32) + .5
    return np.exp(((px - x/4)**2 + (px[:, None] - y/4)**2)/(-2*SIGMA**2))

def pasted_heatmap(x, y, side=SIZE//4):
    "One channel as published pose code draws it, not exact: centre rounded, a window of 3 sigma pasted"
    reach = round(3*SIGMA)
    mx, my, px = int(x/4 + .5), int(y/4 + .5), np.arange(-reach, reach + 1, dtype=np.float32)
    spot, out = np.exp((px**2 + px[:, None]**2)/(-2*SIGMA**2)), np.zeros((side, side), np.float32)
    x0, y0, x1, y1 = max(0, mx-reach), max(0, my-reach), min(side, mx+reach+1), min(side, my+reach+1)
    if x0 < x1 and y0 < y1: out[y0:y1, x0:x1] = spot[y0-my+reach:y1-my+reach, x0-mx+reach:x1-mx+reach]
    return out

BILINEAR = v2.InterpolationMode.BILINEAR
COLOURS = [
    v2.RandomApply([v2.ColorJitter(.4, .4, .2, .1)], .8), v2.RandomGrayscale(.2),
    v2.RandomApply([v2.GaussianBlur(13, (.1, 2.))], .5), v2.RandomSolarize(128, .2)]

def reference(crops, colours):
    "Picture by picture"
    patch, to_float = SIDE//N, v2.ToDtype(torch.float32, scale=True)
    affine = v2.RandomAffine(45, (.1, .1), (.65, 1.35), interpolation=BILINEAR)
    images, maps = [], []
    for crop in crops:
        slots, canvas = random.sample(range(N*N), N*N), torch.empty_like(crop)
        for i, s in enumerate(slots):
            (r, c), (sr, sc) = divmod(i, N), divmod(s, N)
            there, here = (np.s_[:, y*patch:(y+1)*patch, x*patch:(x+1)*patch] for y, x in ((sr, sc), (r, c)))
            canvas[there] = crop[here]
        canvas = v2.functional.resize(canvas, [SIZE, SIZE])
        p = affine.make_params([canvas]); angle, shift, scale = p["angle"], p["translate"], p["scale"]
        for colour in colours: canvas = colour(canvas)
        images.append(to_float(v2.functional.affine(canvas, angle, shift, scale, [0., 0.], BILINEAR)))
        cos, sin = scale*np.cos(np.radians(angle)), scale*np.sin(np.radians(angle))
        middle, (dx, dy) = SIZE/2, shift
        centres = [(((2*(s % N)+1)/(2*N) - .5)*SIZE, ((2*(s//N)+1)/(2*N) - .5)*SIZE) for s in slots]
        moved = [(cos*x - sin*y + middle + dx, sin*x + cos*y + middle + dy) for x, y in centres]
        maps.append(np.stack([numpy_heatmap(x, y) for x, y in moved]))
    return torch.stack(images), torch.from_numpy(np.stack(maps))

def colour_only(**on):
    "Nothing but what is named"
    return ColourAugment(**{**dict(p_jitter=0, p_grey=0, p_blur=0, p_solarise=0), **on})

def medians(jobs, repeats):
    "Milliseconds a picture of each job, the jobs taking turns"
    times = {k: [] for k in jobs}
    for i in range(repeats + 1):
        for name, job in jobs.items():
            start = time.thread_time()
            job()
            if i: times[name].append((time.thread_time() - start)*1000/BATCH)
    return {k: statistics.median(t) for k, t in times.items()}

def peak(setting):
    "How far one call lifts a fresh process's resident memory, inputs apart, over the float output's bytes"
    # Linux: the kernel's high-water mark, set back before the call
    code = f'''
import torch
from hsjp.augment import JigsawBatch
torch.set_num_threads(1); torch.manual_seed(0)
memory = lambda key: next(int(s.split()[1])*1024 for s in open('/proc/self/status') if s.startswith(key))
crops = torch.randint(0, 255, ({BATCH}, 3, {SIDE}, {SIDE}), dtype=torch.uint8)
step = JigsawBatch({N}, {SIZE}, seed=0{setting})
step(crops[:2])
before = memory('VmRSS')
open('/proc/self/clear_refs', 'w').write('5')
out = step(crops)[0]
print((memory('VmHWM') - before)/(out.numel()*4))'''
    run = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, check=True)
    return float(run.stdout)

def row(name, ours, against, other, target):
    print(f'| {name} | {ours:.2f} | {against}: {other:.2f} | {ours/other:.2f} x the time | {target} |')

def main(repeats=11):
    torch.set_num_threads(1); torch.manual_seed(0); random.seed(0)
    crops = torch.randint(0, 255, (BATCH, 3, SIDE, SIDE), dtype=torch.uint8)
    theta = torch.eye(2, 3).repeat(BATCH, 1, 1) + .2*torch.randn(BATCH, 2, 3)
    grid = F.affine_grid(theta, (BATCH, 3, SIZE, SIZE), align_corners=False)
    plain, full = JigsawBatch(N, SIZE, colour=None, seed=0), JigsawBatch(N, SIZE, seed=0)
    points, floats = torch.rand(BATCH, N*N, 2)*SIZE, torch.rand(BATCH, 3, SIDE, SIDE)
    each = lambda f: [np.stack([f(x, y) for x, y in p]) for p in points.tolist()]
    steps = {
        'matrix (always)': colour_only(), '+ blur, p .5': colour_only(p_blur=.5),
        '+ solarise, p .2': colour_only(p_solarise=.2),
        'all': colour_only(p_jitter=.8, p_grey=.2, p_blur=.5, p_solarise=.2)}
    t = medians({
        'floor': lambda: floor(crops, grid),
        'plain': lambda: ours(crops, plain), 'plain reference': lambda: reference(crops, []),
        'colour': lambda: ours(crops, full), 'colour reference': lambda: reference(crops, COLOURS),
        'heatmaps': lambda: gaussian_heatmaps(points, (SIZE//4, SIZE//4), SIGMA),
        'numpy': lambda: each(numpy_heatmap), 'pasted': lambda: each(pasted_heatmap),
        **{f'colour: {k}': partial(step, floats) for k, step in steps.items()}}, repeats)
    print('| at 224, N = 6, batch 32 | ms a picture | against | ratio | target |\n|---|---|---|---|---|')
    row('puzzle + affine + heatmaps', t['plain'], 'floor', t['floor'], 'at most 3')
    row('puzzle + affine + heatmaps', t['plain'], 'reference', t['plain reference'], '')
    row('the same with colour', t['colour'], 'reference', t['colour reference'], f'at most {1/1.8:.2f}')
    row('36 heatmaps of 56 x 56', t['heatmaps'], 'numpy, a channel at a time', t['numpy'], 'at most 0.50')
    row('36 heatmaps of 56 x 56', t['heatmaps'], 'numpy, pasted windows', t['pasted'], '')
    for k in steps: print(f'| colour: {k} | {t["colour: "+k]:.2f} | | | |')
    for name, setting in (('', ''), (', no colour', ', colour=None'), (', six channels', ', original=True')):
        print(f'| peak memory{name} | | the float output | {peak(setting):.1f} x its bytes | at most 6 |')

if __name__ == '__main__': main(*map(int, sys.argv[1:]))
