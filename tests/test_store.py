"What is kept between runs, by several processes, some of which are killed: tables, headers, crops"
import io
import json
import multiprocessing
import os
import pickle
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from made import coco, load, write
from PIL import Image

import hsjp.persons
from hsjp import people, records
from hsjp.arrays import Column, load_arrays, places, release, remember, save_arrays
from hsjp.crops import CropStore, crop_cache
from hsjp.people import coco_persons, coco_pictures, image_folder
from hsjp.records import read_records

FORK = multiprocessing.get_context('fork')

@pytest.fixture(autouse=True)
def everything_is_large(monkeypatch, tmp_path):
    "As if a small json were large, and a few pictures many; the user's cache folder is a new one"
    monkeypatch.setattr(records, 'LARGE', 0)
    monkeypatch.setattr(people, 'MANY', 1)
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path/'user'))

def age(*files, seconds=100):
    "As if they had been written a while ago, each at a time of its own"
    for i, f in enumerate(files): os.utime(f, (time.time() - seconds + i,)*2)

def kept_beside(path): return sorted(Path(path).parent.glob(f'.{Path(path).name}.*.npz'))

# columns

@pytest.mark.parametrize('values', [
    [], [1, 2, -3], [2**62, -2**63], [2**63], ['a', 'é', '', '"', ',', '],[', '\ud800', '\0'],
    [1, '1', 1.5, None], [True, False], [[1, 2], {'a': 1}], [float('inf'), -.5]])
def test_a_column_gives_back_what_it_got(values, tmp_path):
    column = Column(values)
    save_arrays(tmp_path/'a.npz', column=column)
    for c in (column, load_arrays(tmp_path/'a.npz')['column']):
        assert c == values and values == c and list(c) == values and len(c) == len(values)
        assert [c[i] for i in range(len(c))] == values and [type(v) for v in c] == [type(v) for v in values]
        assert c[np.arange(len(values))[::-1]] == values[::-1] and c[1:3] == values[1:3]
        with pytest.raises(IndexError): c[len(values)]

def test_arrays_come_back_as_they_were(tmp_path):
    rng = np.random.default_rng(0)
    arrays = dict(a=rng.normal(size=(3, 4)), b=np.asfortranarray(rng.integers(0, 9, (5, 2))),
                  c=np.zeros((0, 7)), d=np.array(3), e=np.array([True, False]),
                  f=rng.normal(size=4).astype(np.float16))
    save_arrays(tmp_path/'a.npz', plain={'x': [1, None]}, **arrays)
    there = load_arrays(tmp_path/'a.npz')
    assert there.pop('plain') == {'x': [1, None]} and there.keys() == arrays.keys()
    for k, v in arrays.items(): assert np.array_equal(there[k], v) and there[k].dtype == v.dtype
    assert not there['a'].flags.writeable
    with np.load(tmp_path/'a.npz', allow_pickle=False) as z: assert np.array_equal(z['a'], arrays['a'])

def test_a_mapped_array_travels_as_the_name_of_its_file(tmp_path):
    a = np.arange(60_000).reshape(300, 200)
    save_arrays(tmp_path/'a.npz', a=a, b=np.asfortranarray(a), names=Column(map(str, range(9999))))
    there = load_arrays(tmp_path/'a.npz')
    for value in there.values():
        sent = pickle.dumps(value)
        assert len(sent) < 1000 and np.array_equal(pickle.loads(sent), value)
    for part in (there['a'][3:5], there['a'].T, there['b'][:, 7], there['a'][[1, 1, 2]], there['a'] + 1):
        assert np.array_equal(pickle.loads(pickle.dumps(part)), part)

def test_released_arrays_are_read_again(tmp_path):
    save_arrays(tmp_path/'a.npz', a=np.arange(60_000), names=Column('abc'))
    there = load_arrays(tmp_path/'a.npz')
    assert there['a'].sum() == sum(range(60_000))
    release(there.values())
    assert there['a'].sum() == sum(range(60_000)) and there['names'] == ['a', 'b', 'c']

@pytest.mark.parametrize('cut', [0, 1, 50, 200, -1, -30])
def test_half_a_file_is_refused(cut, tmp_path):
    save_arrays(tmp_path/'a.npz', a=np.arange(50), b=Column(['x']))
    (tmp_path/'a.npz').write_bytes((tmp_path/'a.npz').read_bytes()[:cut])
    with pytest.raises(ValueError, match='a.npz is damaged'): load_arrays(tmp_path/'a.npz')

def test_pickles_are_not_opened(tmp_path):
    np.savez(tmp_path/'a.npz', a=np.array([{}]), json=np.frombuffer(b'{}', np.uint8))
    with pytest.raises(ValueError, match='not plain numbers'): load_arrays(tmp_path/'a.npz')

def test_where_nothing_can_be_written_it_is_made_each_time(tmp_path, monkeypatch):
    monkeypatch.setattr('hsjp.arrays.save_arrays', lambda *a, **kw: (_ for _ in ()).throw(OSError('full')))
    (tmp_path/'a').write_text('x')
    made = []
    def make():
        made.append(1)
        return dict(a=np.arange(3))
    for _ in range(2): assert remember(tmp_path/'a', 'k', make)['a'][2] == 2
    assert len(made) == 2

# the table of a json

def test_a_table_is_the_same_the_second_time(tmp_path, monkeypatch):
    data = coco(4, 2)
    data['annotations'][1]['id'] = 'seven'
    data['annotations'][2]['area'] = 0
    data['annotations'][3]['image_id'] = 99
    path = write(tmp_path, data)
    first = read_records(path)
    assert len(kept_beside(path)) == 1
    monkeypatch.setattr(records, 'read_coco', lambda *a: 1/0)
    again = read_records(path)
    assert again.coco() == first.coco() and again.notes == first.notes and again.left_out == first.left_out
    assert again.skeleton == first.skeleton and again.path == first.path and again.rows == first.rows

def test_each_way_of_reading_is_kept_apart(tmp_path):
    data = coco(2)
    data['categories'].append(dict(id=2, name='dog', keypoints=['nose'], sigmas=[.1]))
    data['annotations'].append(dict(id=99, image_id=1, category_id=2, bbox=[1, 1, 9, 9], keypoints=[3, 3, 2]))
    path = write(tmp_path, data)
    for _ in range(2):
        assert len(read_records(path)) == 4 and len(read_records(path, 'dog')) == 1
        assert read_records(path, flip_pairs=[(0, 3)]).skeleton.pairs == [(0, 3)]
    assert len(kept_beside(path)) == 3

def test_a_json_that_changes_is_read_again(tmp_path):
    "Of the same size, within the same step of the clock"
    data = coco(1, 1)
    path = write(tmp_path, data)
    stat = path.stat()
    assert read_records(path).ids == [1]
    data['annotations'][0]['id'] = 8
    path.write_text(json.dumps(data))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size and read_records(path).ids == [8]
    age(path)
    assert read_records(path).ids == [8]

def test_a_copied_json_needs_no_reading(tmp_path, monkeypatch):
    "Other time, same contents"
    path = write(tmp_path, coco())
    read_records(path)
    age(path)
    monkeypatch.setattr(records, 'read_coco', lambda *a: 1/0)
    assert len(read_records(path)) == 6

@pytest.mark.parametrize('spoil', [b'', b'PK\3\4', b'junk'*999])
def test_a_spoilt_index_is_made_anew(spoil, tmp_path):
    path = write(tmp_path, coco())
    read_records(path)
    index = kept_beside(path)[0]
    index.write_bytes(spoil)
    assert len(read_records(path)) == 6 and len(load_arrays(index)['image']) == 6

def test_beside_a_read_only_folder_it_is_in_the_users(tmp_path, monkeypatch):
    path = write(tmp_path/'data', coco())
    real = os.replace
    def replace(a, b):
        if 'user' not in Path(b).parts: raise PermissionError
        real(a, b)
    monkeypatch.setattr(os, 'replace', replace)
    read_records(path)
    assert not [f for f in path.parent.iterdir() if f.suffix in ('.npz', '.part')]
    assert places(path, 'x')[1].parent == tmp_path/'user'/'hsjp'
    assert len(list((tmp_path/'user'/'hsjp').iterdir())) == 1
    monkeypatch.setattr(records, 'read_coco', lambda *a: 1/0)
    assert len(read_records(path)) == 6

def in_processes(n, work, *args):
    "Run it in n processes at once; what each returned"
    gate, answers = FORK.Barrier(n), FORK.Queue()
    def go():
        gate.wait()
        try: answers.put(work(*args))
        except BaseException as e: answers.put(repr(e))
    all_ = [FORK.Process(target=go) for _ in range(n)]
    for p in all_: p.start()
    got = [answers.get(timeout=120) for _ in all_]
    for p in all_: p.join()
    return got

def test_processes_index_at_once(tmp_path):
    path = write(tmp_path, coco(5, 4))
    assert in_processes(3, lambda: len(coco_persons(path, tmp_path))) == [20]*3
    assert not list(tmp_path.glob('*.part')) and len(kept_beside(path)) == 1

# headers of pictures

def stays(tmp_path, monkeypatch, opened):
    "Count the pictures that are opened"
    real = people.picture_sizes
    monkeypatch.setattr(people, 'picture_sizes', lambda f: opened.append(Path(f).name) or real(f))

def test_headers_are_read_once_and_a_changed_picture_again(tmp_path, monkeypatch):
    opened, path = [], write(tmp_path, coco(5))
    stays(tmp_path, monkeypatch, opened)
    pictures = [tmp_path/f'p{i}.png' for i in range(5)]
    age(*pictures)
    first = coco_persons(path, tmp_path)
    assert sorted(opened) == [f.name for f in pictures]
    opened.clear()
    again = coco_persons(path, tmp_path)
    assert not opened and (again.sizes == first.sizes).all() and again.files == first.files
    Image.new('RGB', (80, 60), 'red').save(pictures[3])
    assert len(coco_persons(path, tmp_path)) == 10 and opened == ['p3.png']
    Image.new('RGB', (60, 80), 'red').save(pictures[3])
    with pytest.raises(ValueError, match='p3.png is 60 x 80 pixels, but .*d.json says 80 x 60'):
        coco_persons(path, tmp_path)
    pictures[3].unlink()
    with pytest.raises(FileNotFoundError, match='p3.png: no such picture'): coco_persons(path, tmp_path)
    assert len(coco_persons(path, tmp_path, skip_bad=True)) == 8

def test_fresh_pictures_are_not_trusted(tmp_path, monkeypatch):
    "A picture that was written a moment ago may be written again within the same step of the clock"
    opened, path = [], write(tmp_path, coco(3))
    stays(tmp_path, monkeypatch, opened)
    for _ in range(2): coco_persons(path, tmp_path)
    assert len(opened) == 6

def test_names_that_are_found_elsewhere_are_looked_for_each_time(tmp_path):
    data = coco(2)
    data['images'][0]['file_name'] = 'x/y.png'
    path = write(tmp_path/'json', data, pictures=False)
    write(tmp_path/'pictures', coco(2))
    os.rename(tmp_path/'pictures'/'p0.png', tmp_path/'pictures'/'y.png')
    age(*(tmp_path/'pictures').iterdir())
    for _ in range(2): assert len(coco_persons(path, tmp_path/'pictures')) == 4
    (tmp_path/'pictures'/'x').mkdir()
    Image.new('RGB', (80, 60)).save(tmp_path/'pictures'/'x'/'y.png')
    assert Path(coco_persons(path, tmp_path/'pictures').pictures[0]).parent.name == 'x'

def test_folders_and_lists_remember_too(tmp_path, monkeypatch):
    opened, path = [], write(tmp_path, coco(4))
    age(*tmp_path.glob('*.png'))
    stays(tmp_path, monkeypatch, opened)
    for read in (lambda: image_folder(tmp_path), lambda: coco_pictures(path, tmp_path)):
        first = read()
        opened.clear()
        again = read()
        assert not opened and (again.boxes == first.boxes).all() and again.files == first.files

def test_the_order_of_pictures_is_that_of_their_persons(tmp_path):
    "So a seeded share of the pictures stays the share it was"
    data = coco(4, 2)
    data['annotations'].sort(key=lambda a: (a['id']*5) % 9)
    persons = load(tmp_path, data)
    assert [Path(f).name for f in persons.files] == [f'p{a["image_id"] - 1}.png' for a in data['annotations']]
    assert np.array_equal(np.unique(persons.picture, return_index=True)[1],
                          np.sort(np.unique(persons.picture, return_index=True)[1]))

# the crop cache

def photos(folder, count=60):
    "Persons in pictures that take some milliseconds each"
    data = coco(count, 3, (640, 480))
    for im in data['images']: im['file_name'] = im['file_name'].replace('.png', '.jpg')
    return load(folder, data).view(size=(128, 96), margin=1.25)

def crops_in(folder): return CropStore(folder)._run(lambda t: t.stat()['entries'])

def cutting(persons, folder): return len(crop_cache(persons, folder, workers=1))

def test_a_complete_cache_is_known_at_once(tmp_path, monkeypatch):
    persons = photos(tmp_path, 5)
    crop_cache(persons, tmp_path/'c')
    assert crops_in(tmp_path/'c') == 15 + 1
    monkeypatch.setattr(CropStore, 'keys', lambda *a: 1/0)
    assert len(crop_cache(persons, tmp_path/'c')) == 15
    for other in (persons.view(pad=2.), persons.subset(range(14))):
        with pytest.raises(ZeroDivisionError): crop_cache(other, tmp_path/'c')
    age(Path(persons.pictures[2]))
    with pytest.raises(ZeroDivisionError): crop_cache(persons, tmp_path/'c')

def test_an_epoch_asks_no_picture(tmp_path):
    persons = photos(tmp_path, 5)
    cached = crop_cache(persons, tmp_path/'c')
    for f in persons.pictures: Path(f).unlink()
    for some in (cached, cached.subset([7, 3]), pickle.loads(pickle.dumps(cached))):
        assert some[1][0].shape == (3, *persons.crop_size)
    with pytest.raises(ValueError, match='no such picture'): crop_cache(persons, tmp_path/'c')

def test_a_crop_comes_as_pillow_decodes_it(tmp_path):
    persons = photos(tmp_path)
    cached, store = crop_cache(persons, tmp_path/'crops'), CropStore(tmp_path/'crops')
    for i in range(0, len(persons), 7):
        theirs = np.asarray(Image.open(io.BytesIO(store.get(store.key(persons, i))))).transpose(2, 0, 1)
        assert (cached[i][0].numpy() == theirs).all()

def test_a_picture_is_opened_once_for_all_its_persons(tmp_path, monkeypatch):
    persons, opened, real = photos(tmp_path, 5), [], hsjp.persons.read_array
    monkeypatch.setattr('hsjp.persons.read_array', lambda *a: opened.append(a) or real(*a))
    crop_cache(persons, tmp_path/'c')
    assert len(opened) == 5

def test_a_killed_process_loses_nothing_that_was_written(tmp_path):
    "Two processes fill one cache; one is killed; the other ends; a third finds all"
    persons = photos(tmp_path, 500)
    folder = tmp_path/'c'
    both = [FORK.Process(target=cutting, args=(persons, folder)) for _ in range(2)]
    for p in both: p.start()
    while both[0].is_alive() and not crops_in(folder): time.sleep(.005)
    both[0].kill()
    for p in both: p.join(120)
    assert both[0].exitcode == -signal.SIGKILL and both[1].exitcode == 0
    assert crops_in(folder) == len(persons) + 1
    cached = crop_cache(persons, folder)
    assert np.abs(cached[77][0].float() - persons[77][0].float()).mean() < 3

def test_a_cache_killed_at_random_moments_is_filled_in_the_end(tmp_path):
    persons, folder, there = photos(tmp_path, 300), tmp_path/'c', 0
    for turn in range(6):
        p = FORK.Process(target=cutting, args=(persons, folder))
        p.start()
        p.join(.15*(turn + 1))
        p.kill()
        p.join()
        now = crops_in(folder)
        assert now >= there
        there = now
    assert len(crop_cache(persons, folder)) == len(persons) and crops_in(folder) == len(persons) + 1

def test_two_processes_share_the_work(tmp_path):
    "Together they cut hardly more than there is"
    persons, folder = photos(tmp_path, 800), tmp_path/'c'
    def count():
        cut, real = [], CropStore.put
        CropStore.put = lambda self, crops: cut.append(len(crops)) or real(self, crops)
        crop_cache(persons, folder, workers=1)
        return sum(cut)
    one, two = in_processes(2, count)
    assert len(persons) <= one + two <= 1.6*len(persons) + 2

def test_a_cache_that_may_only_be_read(tmp_path, monkeypatch):
    persons = photos(tmp_path, 3)
    crop_cache(persons, tmp_path/'c')
    monkeypatch.setattr(os, 'access', lambda *a: False)
    def there():
        cached = crop_cache(persons, tmp_path/'c')
        return len(cached), cached[4][0].shape[0]
    def more():
        try: crop_cache(persons.view(pad=2.), tmp_path/'c')
        except OSError as e: return 'crops.lmdb' in str(e)
    assert in_processes(1, there) == [(9, 3)] and in_processes(1, more) == [True]
