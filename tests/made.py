"Made-up pictures, COCO-format jsons and networks"
import json
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from hsjp.evaluate import coco_ap, coco_results
from hsjp.people import coco_persons

NAMES = ['nose', 'left_paw', 'right_paw', 'tail']

def coco(pictures=3, people=2, size=(80, 60), names=NAMES, seed=0):
    "A COCO-format dict whose persons stand side by side, every keypoint labelled"
    rng, (w, h), annotations = np.random.default_rng(seed), size, []
    for i in range(pictures*people):
        x, y, bw, bh = (i % people)*w/people + 2, 4., w/people - 5, h - 9.
        points = rng.uniform((x + 1, y + 1), (x + bw - 2, y + bh - 2), (len(names), 2)).round(1)
        keypoints = [v for p in points.tolist() for v in (*p, 2)]
        annotations.append(
            dict(
                id=i + 1,
                image_id=i // people + 1,
                category_id=1,
                iscrowd=0,
                bbox=[x, y, bw, bh],
                area=0.6 * bw * bh,
                keypoints=keypoints,
            )
        )
    images = [dict(id=i + 1, file_name=f'p{i}.png', width=w, height=h) for i in range(pictures)]
    return dict(
        images=images,
        annotations=annotations,
        categories=[
            dict(id=1, name='cat', keypoints=list(names), skeleton=[[1, 2]], sigmas=[0.07] * len(names))
        ],
    )

def write(folder, data, pictures=True, name='d.json'):
    "The json and, where they are wanted, its pictures; the json's path"
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for i, im in enumerate(data['images'] if pictures else []):
        file = folder/im['file_name']
        file.parent.mkdir(parents=True, exist_ok=True)
        w, h = (int(im.get(k) or d) for k, d in (('width', 80), ('height', 60)))
        ramp = np.add.outer(np.linspace(0, 120, h), np.linspace(0, 100, w))
        Image.fromarray(np.stack([ramp, ramp + 30, 220 - ramp - i % 9], -1).astype(np.uint8)).save(file)
    (folder/name).write_text(json.dumps(data))
    return folder/name

def load(folder, data, **kwargs): return coco_persons(write(folder, data), folder, **kwargs)

def perfect(persons, noise=0.):
    "Results that say what the labels say, or that moved by noise pixels"
    points = persons.points.astype(float) + np.random.default_rng(0).normal(0, 1, persons.points.shape)*noise
    return coco_results(persons, points, np.ones(points.shape[:2]))

def ap(persons, noise=0.): return float(coco_ap(persons, perfect(persons, noise)).AP[0])

def each(**values):
    "A change of every annotation; a function gets the annotation, ... removes the key"
    def change(data):
        for a in data['annotations']:
            for k, v in values.items():
                if v is ...: a.pop(k)
                else: a[k] = v(a) if callable(v) else v
    return change

def stir(model, seed=0):
    "Weights and batch-norm statistics that all differ, so that a misplaced tensor is noticed"
    g = torch.Generator().manual_seed(seed)
    for n, t in model.state_dict().items():
        if n.endswith('running_var') or n.endswith('weight') and t.ndim == 1: t.uniform_(.5, 1.5, generator=g)
        elif t.ndim < 4 and t.is_floating_point(): t.normal_(0, .1, generator=g)
    return model
