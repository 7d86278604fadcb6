"Pictures as cameras and tools leave them, folders, bad files that are skipped, and the crop cache"
import csv
import json
import multiprocessing
import os
import shutil
import struct
import threading
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from made import ap, coco, load, write
from PIL import Image

from hsjp.cli import main
from hsjp.crops import CropStore, crop_cache, hold
from hsjp.learner import StepLoader
from hsjp.people import coco_persons, coco_pictures, image_folder
from hsjp.persons import PersonDataset, cut, cut_settled, settle
from hsjp.pictures import list_pictures, picture_sizes, read_array, read_picture

# how each EXIF orientation is stored, so that it shows upright
STORED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}

def arrow():
    "An upright picture, 40 wide and 60 high, whose four quarters differ"
    a = np.zeros((60, 40, 3), np.uint8)
    a[:30, :20], a[:30, 20:], a[30:, :20], a[30:, 20:] = (
        (255, 0, 0),
        (0, 255, 0),
        (0, 0, 255),
        (255, 255, 255),
    )
    return Image.fromarray(a)

def phone(path, tag, **kwargs):
    "`arrow` as a phone stores it with this orientation"
    exif = Image.Exif()
    exif[0x0112] = tag
    (arrow().transpose(STORED[tag]) if tag in STORED else arrow()).save(path, exif=exif.tobytes(), **kwargs)
    return path

def near(a, b, limit=12): return np.abs(np.asarray(a, float) - np.asarray(b, float)).mean() < limit

# one picture

@pytest.mark.parametrize('ending', ['jpg', 'png', 'webp', 'tif'])
@pytest.mark.parametrize('tag', range(1, 9))
def test_every_orientation_is_upright(tag, ending, tmp_path):
    file = phone(tmp_path/f'a.{ending}', tag)
    assert picture_sizes(file) == ((40, 60), (60, 40) if tag > 4 else (40, 60))
    assert near(read_picture(file), arrow())
    assert near(
        read_picture(file, upright=False), arrow().transpose(STORED[tag]) if tag in STORED else arrow()
    )

@pytest.mark.parametrize('tag', [0, 9, 77])
def test_an_orientation_that_is_none_turns_nothing(tag, tmp_path):
    assert near(read_picture(phone(tmp_path/'a.jpg', tag)), arrow())

@pytest.mark.parametrize('tag, stored', [(t, False) for t in range(1, 9)] + [(t, True) for t in range(5, 9)])
def test_the_json_decides_whether_it_is_turned(tag, stored, tmp_path):
    "A box around the red quarter, in the upright picture or in the stored one, shows red"
    seen = np.array(arrow().transpose(STORED[tag]) if stored else arrow()).astype(int)
    y, x = (v[[0, -1]] for v in map(np.sort, np.nonzero(seen[..., 0] - seen[..., 1] > 200)))
    data = coco(1, 1, (seen.shape[1], seen.shape[0]))
    data['images'][0]['file_name'] = 'a.jpg'
    data['annotations'][0]['bbox'] = [int(v) for v in (x[0], y[0], x[1] - x[0] + 1, y[1] - y[0] + 1)]
    phone(tmp_path/'a.jpg', tag, quality=98)
    persons = coco_persons(write(tmp_path, data, pictures=False), tmp_path)
    crop = persons.view(size=(32, 32), pad=.6)[0][0].float()
    assert crop[0].mean() > 200 and crop[1].mean() < 60 and crop[2].mean() < 60

def greys(): return np.add.outer(np.arange(48), 2*np.arange(64))

@pytest.mark.parametrize(
    'name, values',
    [
        ('a.png', greys().astype(np.uint16) * 300),
        ('a.tif', greys().astype(np.uint16) * 20),
        ('b.tif', greys() / 200),
        ('c.tif', (greys() / 1e6 - 3)),
        ('d.tif', greys().astype(np.int32) * 9999),
        ('e.tif', -greys().astype(np.float32)),
    ],
)
def test_deep_greys_are_scaled_by_their_range(name, values, tmp_path):
    Image.fromarray(values.astype(np.float32) if values.dtype == float else values).save(tmp_path/name)
    got = np.asarray(read_picture(tmp_path/name)).astype(float)
    values = values.astype(float)
    want = 255*(values - values.min())/np.ptp(values)
    assert got.shape == (48, 64, 3) and np.abs(got - want[..., None]).max() < 1.1

@pytest.mark.parametrize('value', [0, 7, 60000])
def test_a_grey_without_range_is_black(value, tmp_path):
    Image.fromarray(np.full((9, 9), value, np.uint16)).save(tmp_path/'a.png')
    assert not np.asarray(read_picture(tmp_path/'a.png')).any()

@pytest.mark.parametrize(
    'mode, name',
    [
        ('P', 'a.png'),
        ('P', 'a.gif'),
        ('RGBA', 'a.png'),
        ('LA', 'a.png'),
        ('L', 'a.jpg'),
        ('1', 'a.png'),
        ('CMYK', 'a.jpg'),
        ('CMYK', 'a.tif'),
        ('YCbCr', 'a.tif'),
        ('RGB', 'a.WEBP'),
        ('RGB', 'a.BMP'),
        ('RGBA', 'a.webp'),
        ('RGB', 'a.ppm'),
    ],
)
def test_modes(mode, name, tmp_path):
    arrow().convert(mode).save(tmp_path/name)
    got = read_picture(tmp_path/name)
    assert got.mode == 'RGB' and near(got, arrow().convert(mode).convert('RGB'), 30)

@pytest.mark.parametrize('name', ['a.gif', 'a.webp', 'a.png', 'a.tif'])
def test_the_first_frame_counts(name, tmp_path):
    arrow().save(tmp_path/name, save_all=True, append_images=[Image.new('RGB', (40, 60))]*3)
    assert near(read_picture(tmp_path/name), arrow(), 20)

def text(path): path.write_text('no picture')
def empty(path): path.write_bytes(b'')
def folder(path): path.mkdir()
def thin(path): Image.new('RGB', (20_000, 1)).save(path)
def huge(path): Image.new('1', (14_000, 13_000)).save(path)
def nan(path): Image.fromarray(np.full((9, 9), np.nan, np.float32)).save(path, 'TIFF')
def truncated(path):
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (60, 60, 3), np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[:4000])

BAD = [text, empty, folder, thin, huge, nan, truncated]

@pytest.mark.parametrize('make', BAD)
def test_what_is_no_picture_is_named(make, tmp_path):
    make(tmp_path/'the one.png')
    with pytest.raises(ValueError, match='the one.png cannot be read as a picture: '):
        read_picture(tmp_path / 'the one.png')

def test_a_picture_that_is_not_there(tmp_path):
    for f in (read_picture, picture_sizes):
        with pytest.raises(FileNotFoundError, match='x.png: no such picture'): f(tmp_path/'x.png')

def test_the_ending_may_lie(tmp_path):
    arrow().save(tmp_path/'a.jpg', 'PNG')
    assert near(read_picture(tmp_path/'a.jpg'), arrow(), 1)

# folders

def test_what_is_a_picture_in_a_folder(tmp_path):
    names = ['a.jpg', 'B.JPEG', 'c/d.png', 'c/e f/é.webp', 'g.tiff']
    others = [
        '.hidden.jpg',
        '._x.jpg',
        '.cache/a.jpg',
        'a.pdf',
        'b.h5',
        'c.mpg',
        'd.txt',
        'noending',
        'c/__MACOSX/._a.jpg',
    ]
    for name in [*names, *others]:
        (tmp_path/name).parent.mkdir(parents=True, exist_ok=True)
        arrow().save(tmp_path/name, 'PNG')
    (tmp_path/'folder.jpg').mkdir()
    assert [str(f.relative_to(tmp_path)) for f in list_pictures(tmp_path)] == sorted(names)
    persons = image_folder(tmp_path)
    assert (
        len(persons) == 5
        and persons.notes == ['5 pictures of 5']
        and persons.boxes[0].tolist() == [0, 0, 40, 60]
    )

def test_folders_that_hold_none(tmp_path):
    with pytest.raises(ValueError, match='has no pictures'): image_folder(tmp_path)
    with pytest.raises(FileNotFoundError, match='no such folder'): image_folder(tmp_path/'x')
    with pytest.raises(FileNotFoundError, match='nowhere: no such folder'):
        coco_persons(write(tmp_path, coco()), tmp_path/'nowhere')

def named(folder, names, there):
    "A json with these file names, and pictures at `there`, each of one grey: the number of the name"
    data = coco(len(names), 1)
    for im, name in zip(data['images'], names): im['file_name'] = name
    for i, place in enumerate(there):
        (folder/'pictures'/place).parent.mkdir(parents=True, exist_ok=True)
        Image.new('RGB', (80, 60), (i*50,)*3).save(folder/'pictures'/place)
    return coco_persons(write(folder, data, pictures=False), folder/'pictures')

@pytest.mark.parametrize(
    'names',
    [
        ['a.png', 'b/c.png'],
        ['/data/a.png', '/data/b/c.png'],
        ['../x/a.png', '../../c.png'],
        ['..\\x\\a.png', 'b\\c.png'],
        ['C:\\x\\a.png', 'D:/y/c.png'],
        ['images/a.png', 'images/b/c.png'],
        ['./a.png', 'b//c.png'],
        ['q/a.png', 'r/c.png'],
    ],
)
def test_names_are_found(names, tmp_path):
    persons = named(tmp_path, names, ['a.png', 'b/c.png'])
    assert [persons[i][0].max().item() for i in range(2)] == [0, 50]

@pytest.mark.parametrize(
    'names, there',
    [
        (['x/a.png'], ['1/a.png', '2/a.png']),
        (['/x/a.png'], ['a.png', 'b/a.png']),
        (['x/a.png', 'y/a.png'], ['a.png']),
        (['1/x/a.png', '2/x/a.png'], ['x/a.png']),
        (['a.PNG'], ['a.png']),
        (['a' * 5000], ['a.png']),
        (['a\0b'], ['a.png']),
        (['.'], ['a.png']),
        (['..'], ['a.png']),
        (['/'], ['a.png']),
    ],
)
def test_names_that_fit_none_or_several_are_refused(names, there, tmp_path):
    with pytest.raises(FileNotFoundError, match='no such picture, but .*d.json names it'):
        named(tmp_path, names, there)

def test_nothing_outside_the_folder_is_read(tmp_path):
    arrow().save(tmp_path/'secret.png')
    for name in ('../secret.png', str(tmp_path/'secret.png'), 'x/../../secret.png'):
        with pytest.raises(FileNotFoundError, match='no such picture'): named(tmp_path, [name], ['a.png'])

def test_a_picture_of_another_size_is_refused(tmp_path):
    path = write(tmp_path, coco())
    Image.new('RGB', (160, 120)).save(tmp_path/'p1.png')
    for sizes in ((80, 60), ('80', '60')):
        data = coco()
        data['images'][1].update(zip(('width', 'height'), sizes))
        write(tmp_path, data, pictures=False)
        with pytest.raises(
            ValueError, match='p1.png is 160 x 120 pixels, but .*d.json says 80 x 60: every box'
        ):
            coco_persons(path, tmp_path)
    data['images'][1].update(width=None, height=0)
    assert len(load(tmp_path, data)) == 6

# going on without

@pytest.mark.parametrize('make', [text, truncated, None])
def test_skip_bad(make, tmp_path, capsys):
    "Named with a count; skipped with a list, in which the truncated one is found while the crops are cut"
    path = write(tmp_path, coco(6, 1))
    (tmp_path/'p3.png').unlink()
    if make: make(tmp_path/'p3.png')
    words = [
        'pretrain',
        '--data',
        str(path),
        '--pictures',
        str(tmp_path),
        '--min-side',
        '1',
        '--size',
        '32',
        '--puzzles',
        '6',
    ]
    assert main([*words, '--out', str(tmp_path/'a')]) == 2
    error = capsys.readouterr().err
    assert 'p3.png' in error and '1 bad pictures' in error and '--skip-bad' in error
    assert main([*words, '--skip-bad', '--out', str(tmp_path/'a')]) == 0
    rows = list(csv.reader(open(tmp_path/'a'/'skipped.csv')))
    assert rows[0] == ['picture', 'why'] and len(rows) == 2 and rows[1][0].endswith('p3.png')
    assert 'skipped.csv' in capsys.readouterr().out

def test_skipped_persons_are_counted(tmp_path):
    path = write(tmp_path, coco())
    (tmp_path/'p0.png').unlink()
    persons = coco_persons(path, tmp_path, skip_bad=True)
    assert persons.notes[0] == '4 persons of 6: 2 in bad pictures' and list(persons.skipped) == [
        str(tmp_path / 'p0.png')
    ]
    assert ap(persons) == 100 and len(coco_pictures(path, tmp_path, skip_bad=True)) == 2
    text(tmp_path/'x.png')
    assert image_folder(tmp_path, skip_bad=True).notes == ['2 pictures of 3: 1 bad pictures']
    with pytest.raises(ValueError, match='x.png cannot be read'): image_folder(tmp_path)

def test_all_bad_is_an_error_all_the_same(tmp_path):
    path = write(tmp_path, coco(7), pictures=False)
    for skip in (False, True):
        with pytest.raises(FileNotFoundError, match='p0.png.*and 2 more .7 bad pictures'):
            coco_persons(path, tmp_path, skip_bad=skip)

# the crop cache

@pytest.fixture
def persons(tmp_path): return load(tmp_path/'data', coco(20, 3)).view(size=(48, 32), margin=1.25)

def same(a, b):
    return len(a) == len(b) and all(
        near(a[i][0], b[i][0], 8) and torch.equal(a[i][1], b[i][1]) for i in range(len(a))
    )

def together(n, work):
    "Run in n threads at once; the errors"
    errors, gate = [], threading.Barrier(n)
    def go(i):
        gate.wait()
        try: work(i)
        except BaseException as e: errors.append(e)
    threads = [threading.Thread(target=go, args=(i,)) for i in range(n)]
    for t in threads: t.start()
    for t in threads: t.join()
    return errors

@pytest.mark.parametrize('turn', range(5))
def test_two_threads_cut_at_once(turn, persons, tmp_path):
    assert together(2, lambda i: same(crop_cache(persons, tmp_path/'c'), persons) or 1/0) == []

def _cut(persons, folder, gate, answers):
    gate.wait()
    try: answers.put(same(crop_cache(persons, folder), persons))
    except BaseException as e: answers.put(repr(e))

@pytest.mark.parametrize('turn', range(2))
def test_two_processes_cut_at_once(turn, persons, tmp_path):
    context = multiprocessing.get_context('fork')
    gate, answers = context.Barrier(2), context.Queue()
    both = [context.Process(target=_cut, args=(persons, tmp_path/'c', gate, answers)) for _ in range(2)]
    for p in both: p.start()
    assert [answers.get(timeout=60) for _ in both] == [True, True]
    for p in both: p.join()

def test_the_file_grows_under_two_threads(tmp_path):
    "More than its first size; what one writes the other reads"
    store, block = CropStore(tmp_path), os.urandom(1 << 20)
    def work(i):
        for k in range(45):
            store.put({f'{i} {k}'.encode(): block})
            assert store.has([f'{i} {k}'.encode()]) == [True]
    assert together(2, work) == []
    assert store.has([f'{i} {k}'.encode() for i in (0, 1) for k in range(45)]) == [True]*90

def test_workers_read_the_cache_of_their_parent(persons, tmp_path):
    cached = crop_cache(persons, tmp_path)
    cached[0]
    loader = StepLoader(
        cached, lambda *b: (b[0] / 255, *b[1:3]), bs=8, num_workers=2, device=torch.device('cpu')
    )
    assert sum(len(b[0]) for b in loader) == 60

def test_a_person_listed_twice(persons, tmp_path):
    twice = persons.subset([0, 0, 5, 0])
    assert same(crop_cache(twice, tmp_path), twice)

def test_a_changed_picture_is_cut_anew(persons, tmp_path):
    cached, file = crop_cache(persons, tmp_path/'c'), Path(persons.pictures[0])
    before = cached[0][0].clone()
    Image.new('RGB', (80, 60), (0, 250, 0)).save(file)
    again = crop_cache(persons, tmp_path/'c')
    assert near(again[0][0], persons[0][0], 8) and not near(again[0][0], before)
    assert near(cached[0][0], before) and near(again[5][0], persons[5][0], 8)

@pytest.mark.parametrize('view', [dict(size=(64, 32)), dict(margin=1.), dict(pad=2.), dict(inside=True)])
def test_other_crops_are_cut_anew(view, persons, tmp_path):
    crop_cache(persons, tmp_path)
    assert same(crop_cache(persons.view(**view), tmp_path), persons.view(**view))

def test_nothing_is_cut_twice(persons, tmp_path, monkeypatch):
    crop_cache(persons, tmp_path)
    monkeypatch.setattr(PersonDataset, 'cut', lambda *a: 1/0)
    assert crop_cache(persons.subset([3, 4]), tmp_path)[1][0].shape == (3, *persons.crop_size)

def test_bad_pictures_while_cutting(persons, tmp_path):
    truncated(Path(persons.pictures[1]))
    with pytest.raises(ValueError, match='p1.png cannot be read as a picture.*1 bad pictures'):
        crop_cache(persons, tmp_path / 'c')
    rest = crop_cache(persons, tmp_path/'c', skip_bad=True)
    assert len(rest) == 57 and list(rest.skipped) == [persons.pictures[1]]
    assert rest.notes[-1] == '3 persons left out, whose pictures cannot be read'

@pytest.mark.parametrize('spoil', [b'', b'junk'*5000])
def test_a_spoilt_cache_is_named(spoil, persons, tmp_path):
    (tmp_path/'crops.lmdb').write_bytes(spoil)
    try: assert same(crop_cache(persons, tmp_path), persons)
    except OSError as e: assert spoil and 'crops.lmdb' in str(e)

@pytest.mark.parametrize('command', ['pretrain', 'finetune', 'evaluate', 'predict', 'demo'])
def test_an_out_that_cannot_be_written(command, tmp_path, capsys, monkeypatch):
    "One sentence, before a picture is looked at"
    (tmp_path/'file').write_text('mine')
    known = None, dict(names=['a'], size=(32, 32))
    monkeypatch.setattr('hsjp.commands.known_network', lambda path, a: known)
    words = {'evaluate': ['x.pt'], 'predict': ['x.pt', str(phone(tmp_path/'a.jpg', 1))]}.get(command, [])
    monkeypatch.setattr(
        'hsjp.predict.predict', lambda model, p, *a, **kw: (np.zeros((1, 1, 2)), np.ones((1, 1)))
    )
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        assert main([command, *words, '--out', str(tmp_path/'file'/'x')]) == 2
    assert 'cannot be written' in capsys.readouterr().err and (tmp_path/'file').read_text() == 'mine'

def test_held_crops_are_the_crops_and_other_ones_are_cut(persons):
    held = hold(persons)
    assert same(held, persons) and same(held.subset([5, 1]), persons.subset([5, 1]))
    assert held.view(size=(40, 40))[3][0].shape[1:] == held.view(size=(40, 40)).crop_size
    assert torch.equal(held.view(pad=2.)[3][0], persons.view(pad=2.)[3][0])

def test_a_window_at_the_border_has_no_black_line():
    white = Image.new('RGB', (40, 30), 'white')
    for window in ((0, 0, 40, 30), (10.5, 0, 29.5, 30), (0, 3, 20, 27)):
        assert np.asarray(cut(white, window, (64, 64))).min() == 255
        assert np.asarray(cut(white, window, (8, 8))).min() == 255
    beyond = np.asarray(cut(white, (-10, 0, 40, 30), (30, 40)))
    assert beyond[:, :9].max() == 0 and beyond[:, 12:].min() == 255

def all_of_it(image, window, size):
    "A crop that computes its black parts, too"
    x, y, w, h = window
    edges = np.array([x, y, x + w, y + h])
    (left, top), (right, bottom) = np.floor(edges[:2]).astype(int) - 1, np.ceil(edges[2:]).astype(int) + 1
    area = image.crop((left, top, right, bottom))
    return area.resize(size[::-1], Image.BILINEAR, box=tuple(edges - [left, top, left, top]))

def test_what_lies_outside_its_picture_is_not_computed_and_changes_nothing():
    r = np.random.default_rng(0)
    for _ in range(300):
        pixels = r.integers(0, 255, (*r.integers(3, 200, 2), 3), np.uint8)
        (h, w), sides = pixels.shape[:2], r.uniform(1, 500, 2)*r.choice([.1, 1, 3])
        corner, size = r.uniform(-sides, [w, h]), tuple(map(int, r.integers(4, 150, 2)))
        over = np.array([corner, [w, h] - corner - sides])     # from border to border no black is mixed in
        got = np.asarray(cut(pixels, (*corner, *sides), size)).astype(int)
        assert (got == np.asarray(cut(Image.fromarray(pixels), (*corner, *sides), size))).all()
        wanted = np.asarray(all_of_it(Image.fromarray(pixels), (*corner, *sides), size))
        if not ((over >= 0) & (over < 1)).any(): assert np.abs(got - wanted).max() <= 1

def test_a_settled_window_is_cut_by_torch_as_by_pillow():
    "Pillow looks no further than a pixel beyond a window, so it gets a larger one, whose border is dropped"
    r, seen, rim = np.random.default_rng(0), 0, 4
    for _ in range(2000):
        pixels = r.integers(0, 255, (*r.integers(3, 200, 2), 3), np.uint8)
        (h, w), sides = pixels.shape[:2], r.uniform(1, 500, 2)*r.choice([.1, 1, 3])
        window = np.array([*r.uniform(-1.2*sides, [1.2*w, 1.2*h]), *sides])
        size = tuple(map(int, r.integers(4, 150, 2)))
        settled, step = settle(window[None], size)[0], sides/size[::-1]
        assert (np.abs(settled - window)[:2] <= .5*step + 1e-9).all() and (settled[2:] == sides).all()
        over = np.array([settled[:2], [w, h] - settled[:2] - sides])
        if ((over >= 0) & (over < 5*step + 2)).any(): continue     # the larger one sees black
        seen += 1
        larger = np.concatenate([settled[:2] - rim*step, sides + 2*rim*step])
        wanted = cut(Image.fromarray(pixels), larger, tuple(s + 2*rim for s in size))[rim:-rim, rim:-rim]
        off = np.abs(cut_settled(pixels, window, size).astype(int) - wanted)
        assert off[1:-1, 1:-1].max(initial=0) <= 1 and np.median(off) == 0
    assert seen > 1000

def test_a_settled_window_within_a_picture_has_no_black_line():
    white = np.full((30, 40, 3), 255, np.uint8)
    for window in ((0, 0, 40, 30), (0, 0, 20, 15), (10.5, 3.2, 28, 21)):
        for size in ((64, 64), (8, 8), (30, 40)): assert cut_settled(white, window, size).min() == 255
    for h, w, size in ((200, 200, (448, 336)), (32, 37, (64, 48)), (42, 49, (120, 80))):     # not 447.9999
        assert cut_settled(white[:1, :1].repeat(h, 0).repeat(w, 1), (0, 0, w, h), size).min() == 255
    assert cut_settled(white, (-50, 0, 40, 30), (30, 40)).max() == 0

@pytest.mark.parametrize('how', [{}, dict(progressive=True), dict(subsampling=0), dict(keep_rgb=True)])
@pytest.mark.parametrize('mode', ['RGB', 'L', 'CMYK'])
def test_an_array_is_what_pillow_reads(mode, how, tmp_path):
    noise = np.random.default_rng(0).integers(0, 255, (37, 51, 3), np.uint8)
    Image.fromarray(noise).convert(mode).save(tmp_path/'a.jpg', **how)
    assert (read_array(tmp_path/'a.jpg') == np.asarray(read_picture(tmp_path/'a.jpg'))).all()

@pytest.mark.parametrize('upright', [True, False])
@pytest.mark.parametrize('tag', range(1, 9))
def test_an_array_is_turned_as_a_picture_is(tag, upright, tmp_path):
    file = phone(tmp_path/'a.jpg', tag)
    assert (read_array(file, upright) == np.asarray(read_picture(file, upright))).all()

def test_a_cut_off_jpeg_is_refused_as_a_picture_and_as_an_array(tmp_path):
    phone(tmp_path/'a.jpg', 1).write_bytes((tmp_path/'a.jpg').read_bytes()[:-200])
    for read in (read_picture, read_array):
        with pytest.raises(ValueError, match='a.jpg cannot be read as a picture: '): read(tmp_path/'a.jpg')

# predict: one bad among many

def test_predict_goes_on_without_a_bad_one(tmp_path, capsys):
    from hsjp.models import simple_baseline
    from hsjp.weights import save_checkpoint
    save_checkpoint(tmp_path/'n.pt', simple_baseline(2, 18), 'pose', {}, size=[32, 32], names=['a', 'b'])
    good = [str(phone(tmp_path/name, 6)) for name in ('a$b_$.jpg', 'c|d.jpg', 'e<f.jpg')]
    Image.new('RGB', (4, 400)).save(tmp_path/'tall.png')
    truncated(tmp_path/'bad.png')
    (tmp_path/'o').mkdir()
    (tmp_path/'o'/'0009-old.png').write_text('of an earlier run')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        pictures = [*good, str(tmp_path/'bad.png'), str(tmp_path/'tall.png'), str(tmp_path/'x.png')]
        assert main(['predict', str(tmp_path/'n.pt'), *pictures, '--out', str(tmp_path/'o')]) == 0
    said = capsys.readouterr().out
    assert 'bad.png' in said and 'x.png' in said
    assert len(json.loads((tmp_path/'o'/'keypoints.json').read_text())) == 4
    drawn = sorted((tmp_path/'o').glob('*.png'))
    assert len(drawn) == 4 and all(max(Image.open(f).size) <= 800 for f in drawn)

def test_a_shape_of_a_header_is_no_bomb(tmp_path):
    "A png that says it is 60,000 x 60,000 is refused by its header"
    arrow().save(tmp_path/'a.png')
    data = bytearray((tmp_path/'a.png').read_bytes())
    data[16:24] = struct.pack('>II', 60_000, 60_000)
    (tmp_path/'a.png').write_bytes(data)
    with pytest.raises(ValueError, match='a.png cannot be read as a picture'): picture_sizes(tmp_path/'a.png')
    shutil.rmtree(tmp_path)

@pytest.mark.parametrize('scale', [3, 30, 150])
def test_a_box_far_larger_than_its_picture(scale, tmp_path):
    "is cut in little memory, and the picture stands where it should: in the middle"
    data = coco(1, 1, (400, 400))
    data['annotations'][0]['bbox'] = [200 - 200*scale, 200 - 200*scale, 400*scale, 400*scale]
    persons = load(tmp_path, data).view(size=(256, 256), pad=1.)
    Image.new('RGB', (400, 400), (200,)*3).save(tmp_path/'p0.png')
    crop = persons[0][0][0].float()
    assert abs(crop.sum().item()/200 - (256/scale)**2) < .1*(256/scale)**2 + 1
    rows = torch.arange(256) + .5
    assert (
        abs((crop.sum(1) * rows).sum() / crop.sum() - 128) < 1
        and abs((crop.sum(0) * rows).sum() / crop.sum() - 128) < 1
    )
