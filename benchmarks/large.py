"A COCO-format json of any number of real persons, with a picture for each name, and what a process weighs"
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np

import hsjp

NUMBERS = Path(__file__).parents[2]/'shared'/'data'/'coco2017_keypoints'/'coco2017_keypoints.npz'
WIDTH, HEIGHT = 192, 256

def large_json(
    path,  # where to write it
    count,  # persons; more than there are: some again and again
    numbers=NUMBERS,  # path of the annotations of COCO 2017 as numbers
):  # names of the pictures
    "Boxes and keypoints of COCO's people, as if all pictures had the mannequins' size"
    d = np.load(numbers)
    row = np.arange(count) % len(d['vis'])
    image = d['image_id'][row] + 1_000_000*(np.arange(count)//len(d['vis']))
    wh = np.array([WIDTH, HEIGHT])
    box = d['box_cxcywh'][row].reshape(-1, 2, 2)/65535*wh
    box[:, 0] -= box[:, 1]/2
    points = np.concatenate([(d['kpt_xy'][row]/65535*wh).round(), d['vis'][row][..., None]], -1)
    points[points[..., 2] == 0] = 0
    box, points = box.reshape(-1, 4).round(2).tolist(), points.reshape(count, -1).astype(int).tolist()
    annotations = [dict(id=i + 1, image_id=k, category_id=1, bbox=b, area=.52*b[2]*b[3], iscrowd=0,
                        keypoints=p) for i, (k, b, p) in enumerate(zip(image.tolist(), box, points))]
    images = [dict(id=k, file_name=f'{k:012d}.jpg', width=WIDTH, height=HEIGHT)
              for k in np.unique(image).tolist()]
    names = [f'keypoint_{i}' for i in range(17)]
    category = dict(id=1, name='person', keypoints=names, sigmas=[.07]*17)
    Path(path).write_text(json.dumps(dict(images=images, annotations=annotations, categories=[category])))
    return [im['file_name'] for im in images]

def large_pictures(folder, names):
    "One picture under all these names: hard links, of which a file may have some ten thousand"
    folder.mkdir(parents=True)
    original = next((Path(hsjp.__file__).parent/'data'/'mannequins'/'train').iterdir())
    for i, name in enumerate(names):
        if i % 30_000 == 0:
            one = folder/name
            shutil.copy(original, one)
        else: os.link(one, folder/name)

def weight():
    "{what: MB} of this process: in memory, thereof its own, and the most there ever was"
    said = Path('/proc/self/status').read_text()
    return {k: int(said.split(f'{k}:')[1].split()[0])/1024 for k in ('VmRSS', 'RssAnon', 'VmHWM')}

def workers_own():
    "MB that each worker of this process has for itself alone"
    pids = [pid for f in Path('/proc/self/task').glob('*/children') for pid in f.read_text().split()]
    lines = [Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines() for pid in pids]
    return [sum(int(row.split()[1]) for row in rows if row.startswith('Private'))/1024 for rows in lines]

def fresh(script, *words):
    "The json that `script` prints as its last line, when a new process runs it with these words"
    run = subprocess.run([sys.executable, '-W', 'ignore', script, *map(str, words)], check=True,
                         stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])
