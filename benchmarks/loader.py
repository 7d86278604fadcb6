"""Pictures a second of the loader, against one that treats sample by sample as published pose codes do

    python benchmarks/loader.py [ROUNDS]

One core, 640 x 480 JPEGs, input 256 x 192, crops with the margin of the paper's recipe, batches of 32. The
reference decodes, warps in uint8, normalises and pastes Gaussians in numpy, as SimpleBaseline's and HRNet's
loaders do, with OpenCV where it is installed and with Pillow where not. Our loader hands over crops and
numbers; warp, normalisation and targets are the device's work. Where that is the same core, the rows "and the
step" say what both cost. All take turns, on the same persons, and the median of the rounds' ratios counts.
Times are this process's own CPU time.

Measured on a server of two cores, 5 rounds, over OpenCV 5's reference: the loader alone 1.70 uncached and
4.39 cached; with the step 0.77 and 1.04. Of an uncached crop decoding takes 1.1 ms, cutting and scaling to
448 x 336 pixels 0.4 ms (`hsjp.persons.cut_settled`; Pillow, exact to the fraction of a pixel, 1.4 ms).
"""
import math
import random
import statistics
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hsjp.augment import PoseBatch
from hsjp.bench import vga_people
from hsjp.crops import crop_cache
from hsjp.heatmap import gaussian_heatmaps
from hsjp.learner import StepLoader
from hsjp.posenet import MEAN, STD

cv2 = import_module('cv2') if find_spec('cv2') else None

SIZE, SIGMA, BATCH = (256, 192), 2, 32
TARGETS = dict(uncached=1.3, cached=4.)

def matrix(box, turn, scale, flip, width):
    "(2, 3): from picture to input, as published: centre, scale and turn, then mirrored"
    x, y, w, h = box
    centre, wide = (x + w/2, y + h/2), max(w, h*SIZE[1]/SIZE[0])*1.25*scale
    if flip: centre = width - centre[0], centre[1]
    k = SIZE[1]/wide
    cos, sin = k*math.cos(turn), k*math.sin(turn)
    return np.array([[cos, -sin, SIZE[1]/2 - cos*centre[0] + sin*centre[1]],
                     [sin, cos, SIZE[0]/2 - sin*centre[0] - cos*centre[1]]])

def warped(image, m):
    "uint8 picture through the matrix, bilinear, black outside"
    if cv2: return cv2.warpAffine(image, m, SIZE[::-1], flags=cv2.INTER_LINEAR)
    back = np.linalg.inv(np.vstack([m, [0, 0, 1]]))[:2]
    coefficients = back.flatten().tolist()
    image = Image.fromarray(image).transform(SIZE[::-1], Image.AFFINE, coefficients, Image.BILINEAR)
    return np.asarray(image)

def opened(file):
    "uint8 RGB"
    if not cv2: return np.asarray(Image.open(file).convert('RGB'))
    return cv2.cvtColor(cv2.imread(file, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION), cv2.COLOR_BGR2RGB)

def targets(points, visible):
    "(17, 64, 48): a window of three sigma pasted around each rounded point"
    h, w = SIZE[0]//4, SIZE[1]//4
    out, reach = np.zeros((len(points), h, w), np.float32), 3*SIGMA
    at = np.arange(-reach, reach + 1, dtype=np.float32)
    bell = np.exp(-(at[:, None]**2 + at**2)/(2*SIGMA**2))
    for k, (x, y) in enumerate(points):
        mx, my = int(x/4 + .5), int(y/4 + .5)
        x0, y0, x1, y1 = max(0, mx-reach), max(0, my-reach), min(w, mx+reach+1), min(h, my+reach+1)
        if visible[k] and x0 < x1 and y0 < y1:
            out[k, y0:y1, x0:x1] = bell[y0 - my + reach:y1 - my + reach, x0 - mx + reach:x1 - mx + reach]
    return out

class Reference:
    "Sample by sample"
    def __init__(self, people): self.people, self.flip = people, people.skeleton.flip.numpy()
    def __len__(self): return len(self.people)
    def __getitem__(self, i):
        p = self.people
        image, points, visible = opened(str(p.pictures[p.picture[i]])), p.points[i].copy(), p.visible[i] > 0
        mirrored = random.random() < .5
        if mirrored:
            image = np.ascontiguousarray(image[:, ::-1])
            points[:, 0] = image.shape[1] - points[:, 0]
            points, visible = points[self.flip], visible[self.flip]
        turn, scale = random.uniform(-math.pi/4, math.pi/4), 1 + random.uniform(-.35, .35)
        m = matrix(p.boxes[i], turn, scale, mirrored, image.shape[1])
        small = warped(image, m).astype(np.float32)/255
        small = (small - np.float32(MEAN))/np.float32(STD)
        points = points@m[:, :2].T + m[:, 2]
        return torch.from_numpy(small.transpose(2, 0, 1).copy()), torch.from_numpy(targets(points, visible))

def ours(people, whole):
    "Our loader alone, or the whole: the batch step, too, and the targets that the loss draws"
    step = PoseBatch(people.skeleton, SIZE, seed=0)
    loader = StepLoader(people, step, bs=BATCH, shuffle=True, device=torch.device('cpu'))
    if not whole: loader.after_batch = lambda b: b
    def epoch():
        for batch in loader:
            if whole: gaussian_heatmaps(batch[1], (SIZE[0]//4, SIZE[1]//4), SIGMA)
            yield batch
    return epoch

def rate(epoch, epochs=2):
    "Pictures a second of CPU"
    start, seen = time.process_time(), 0
    for _ in range(epochs): seen += sum(len(batch[0]) for batch in epoch())
    return seen/(time.process_time() - start)

def main(rounds=7):
    torch.set_num_threads(1)
    if cv2: cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        people = vga_people(folder, 108)
        reference = torch.utils.data.DataLoader(Reference(people), BATCH, shuffle=True)
        people = people.view(size=SIZE, margin=1.75)
        cached = crop_cache(people, Path(folder)/'crops')
        ways = {'reference': lambda: iter(reference), 'uncached': ours(people, False),
                'cached': ours(cached, False), 'uncached and the step': ours(people, True),
                'cached and the step': ours(cached, True)}
        for way in ways.values(): rate(way, 1)
        rates = [{name: rate(way) for name, way in ways.items()} for _ in range(rounds)]
    print(f'reference with {"OpenCV " + cv2.__version__ if cv2 else "Pillow"}\n')
    print('| loader | pictures/s | over the reference | target |\n|---|---|---|---|')
    for name in ways:
        ratio = statistics.median(r[name]/r['reference'] for r in rates)
        target = f'{TARGETS[name]:.1f}' if name in TARGETS else ''
        print(f'| {name} | {statistics.median(r[name] for r in rates):.0f} | {ratio:.2f} | {target} |')

if __name__ == '__main__': main(*map(int, sys.argv[1:]))
