"Spoilt jsons and pictures: a sentence that names the file, never a traceback of a library"
import copy
import io
import json
import random
import warnings

import numpy as np
import pytest
from made import NAMES, coco, perfect, write
from PIL import Image

from hsjp.evaluate import coco_ap
from hsjp.people import coco_persons, coco_pictures, image_folder
from hsjp.pictures import picture_sizes, read_picture

FINE = ValueError, FileNotFoundError, OSError
ODD = [None, True, False, 0, -1, 1, 2, .5, 1e300, -1e300, 10**400, float('nan'), float('inf'), '', 'x', '7',
       'nan', [], {}, [[]], [None], [1, 2, 3], [1, 2, 3, 4], {'a': 1}, [[1, 2], [3, 4]], 'a\0b', '../x',
       'é'*300, [float('nan')]*4, ['a', 'b']]

def places(value, at=()):
    "Every place in nested lists and dicts"
    yield at
    if isinstance(value, (list, dict)):
        for k in (value if isinstance(value, dict) else range(len(value))):
            yield from places(value[k], (*at, k))

def spoil(data, rng):
    "One to three places of a copy dropped, replaced, doubled, renamed, nested deeper or emptied"
    data = copy.deepcopy(data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        by_depth = {}
        for at in places(data): by_depth.setdefault(len(at), []).append(at)
        at = rng.choice(by_depth[rng.choice([d for d in by_depth if d])])
        parent = data
        for k in at[:-1]: parent = parent[k]
        k, how = at[-1], rng.choice(['drop', 'odd', 'odd', 'odd', 'double', 'rename', 'nest', 'number'])
        if how == 'drop': del parent[k]
        elif how == 'odd': parent[k] = copy.deepcopy(rng.choice(ODD))
        elif how == 'double' and isinstance(parent, list): parent.insert(k, copy.deepcopy(parent[k]))
        elif how == 'rename' and isinstance(parent, dict): parent[f'{k}_'] = parent.pop(k)
        elif how == 'nest': parent[k] = [parent[k]]
        elif how == 'number': parent[k] = rng.choice([1, -1])*10**rng.randint(0, 12)*rng.random()
        if not any(places(data)): break
    return data

def text_of(data, rng):
    "As json, one in ten with bytes cut off or changed"
    text = json.dumps(data)
    if rng.random() < .9: return text.encode()
    raw = bytearray(text.encode())
    if rng.random() < .5: return bytes(raw[:rng.randrange(len(raw))])
    for _ in range(rng.randint(1, 4)): raw[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(raw)

def told(error, *files):
    "Does the sentence name one of the files?"
    assert any(str(f) in str(error) for f in files), f'{type(error).__name__} names no file: {error}'

def read(path, folder):
    "Persons and pictures, an item of each, and AP of perfect predictions: all of it works, or a sentence"
    try: persons = coco_persons(path, folder, skip_bad=True)
    except FINE as e: told(e, path, folder)
    else:
        crop = persons.view(size=(16, 16))[0]
        assert np.isfinite(persons.boxes).all() and np.isfinite(persons.points).all()
        assert crop[0].shape == (3, 16, 16)
        if persons.skeleton:
            number = coco_ap(persons, perfect(persons)).AP[0]
            assert np.isnan(number) or 0 <= number <= 100
    try: assert len(coco_pictures(path, folder)) > 0
    except FINE as e: told(e, path, folder)

def fuzz_jsons(tmp_path, n, seed):
    "n spoilt jsons; the one at which it stopped stays in the folder"
    rng, path = random.Random(seed), tmp_path/'d.json'
    valid = [coco(2, 2), coco(1, 1, names=['a']), coco(2, 1)]
    other = dict(id=9, name='other', keypoints=NAMES[:2], skeleton=[['nose', 'left_paw']])
    valid[2]['categories'].append(other)
    for data in valid:
        first = data['categories'][0]
        first['flip_pairs'] = [[0, len(first['keypoints']) - 1]][:len(data) - 2]
    valid[1]['categories'][0].pop('flip_pairs')
    write(tmp_path, valid[0])
    for i in range(n):
        path.write_bytes(text_of(spoil(valid[i % 3], rng), rng))
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            warnings.filterwarnings('ignore', 'no OKS sigmas')
            read(path, tmp_path)

def pictures():
    "Small files of every format that are whole"
    image, files = Image.effect_noise((40, 30), 90).convert('RGB'), {}
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, mode, kw in [('jpg', 'RGB', dict(exif=exif)), ('png', 'RGB', {}), ('png', 'P', {}),
                           ('png', 'I;16', {}), ('gif', 'P', {}), ('webp', 'RGB', dict(exif=exif)),
                           ('tif', 'RGB', dict(exif=exif)), ('tif', 'F', {}), ('bmp', 'RGB', {}),
                           ('tif', 'RGB', dict(compression='tiff_lzw')),
                           ('jpg', 'CMYK', dict(progressive=True)), ('ppm', 'RGB', {}),
                           ('jp2', 'RGB', {}), ('tga', 'RGBA', {})]:
        buffer = io.BytesIO()
        kind = dict(jpg='JPEG', tif='TIFF', jp2='JPEG2000').get(name, name.upper())
        image.convert(mode).save(buffer, kind, **kw)
        files[f'{mode[0]}{len(files)}.{name}'] = buffer.getvalue()
    return files

def spoil_bytes(raw, rng):
    "Bytes flipped, cut off, repeated, a wrong header, or numbers of the header changed"
    raw = bytearray(raw)
    how = rng.choice(['flip', 'flip', 'head', 'cut', 'double', 'header', 'empty'])
    if how == 'flip':
        for _ in range(rng.randint(1, 20)): raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    elif how == 'head':
        for _ in range(rng.randint(1, 6)):
            raw[rng.randrange(min(60, len(raw)))] = rng.choice([0, 1, 127, 255])
    elif how == 'cut': del raw[rng.randrange(len(raw)):]
    elif how == 'double': raw = raw[:rng.randrange(len(raw))]*2
    elif how == 'header':
        starts = b'\x89PNG\r\n\x1a\n', b'\xff\xd8\xff\xe0\0\x10JF', b'GIF89a\0\0', b'II*\0\x08\0\0\0'
        raw[:8] = rng.choice(starts)
    else: raw = bytearray(rng.randrange(8))
    return bytes(raw)

def fuzz_pictures(tmp_path, n, seed):
    rng, whole = random.Random(seed), pictures()
    names = sorted(whole)
    for i in range(n):
        name = names[i % len(names)]
        file = tmp_path/name
        file.write_bytes(spoil_bytes(whole[name], rng))
        sizes = None
        try: sizes = picture_sizes(file)
        except FINE as e: told(e, file)
        try:
            image = read_picture(file)
            good = image.mode == 'RGB' and (sizes is None or image.size == sizes[0])
            assert good, f'{name} {i}: {image.size} {sizes}'
        except FINE as e: told(e, file)
        try: assert len(image_folder(tmp_path)) == 1
        except FINE as e: told(e, file, tmp_path)
        file.unlink()

def test_spoilt_jsons(tmp_path): fuzz_jsons(tmp_path, 300, 0)

@pytest.mark.slow
@pytest.mark.parametrize('seed', range(1, 11))
def test_many_spoilt_jsons(seed, tmp_path): fuzz_jsons(tmp_path, 1000, seed)

def test_whole_pictures(tmp_path):
    for name, raw in pictures().items():
        (tmp_path/name).write_bytes(raw)
        assert read_picture(tmp_path/name).size == picture_sizes(tmp_path/name)[0]

@pytest.mark.filterwarnings('ignore')
def test_spoilt_pictures(tmp_path): fuzz_pictures(tmp_path, 100, 0)

@pytest.mark.slow
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize('seed', range(1, 5))
def test_many_spoilt_pictures(seed, tmp_path): fuzz_pictures(tmp_path, 500, seed)

def test_a_bad_record_is_named(tmp_path):
    "Of a spoilt annotation the sentence has the id"
    faults = (('bbox', 'x'), ('bbox', [1, 2, float('nan'), 3]), ('keypoints', {}), ('keypoints', [1, 2]),
              ('keypoints', 5))
    for what, value in faults:
        data = coco()
        data['annotations'][2].update({what: value, 'id': 'number three'})
        with pytest.raises(ValueError, match=f"d.json: annotation 'number three': {what}"):
            coco_persons(write(tmp_path, data), tmp_path)
