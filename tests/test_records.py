"The reader of COCO-format jsons: each kind of fault, and what comes of it"
import json
import warnings
from dataclasses import astuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from made import NAMES, ap, coco, each, load, perfect, write

from hsjp.detect import detections
from hsjp.evaluate import coco_ap, coco_results, crowded
from hsjp.people import coco_persons, coco_pictures
from hsjp.persons import PersonDataset
from hsjp.records import read_records
from hsjp.skeleton import Skeleton, mirror_pairs


def changed(change, **kwargs):
    data = coco(**kwargs)
    change(data)
    return data

def category(**values): return lambda data: data['categories'][0].update(values)

# ids

@pytest.mark.parametrize(
    'image, person, kind',
    [
        (lambda i: i, lambda i: i, 0),
        (lambda i: i + 7, lambda i: 5, 90),
        (lambda i: f'im {i}', lambda i: f'a{i}', 'cat'),
        (lambda i: 10**30 + i, lambda i: 10**30 + i, 10**30),
        (lambda i: -i, lambda i: -i, -1),
        (lambda i: i + 0.5, lambda i: None, 2),
    ],
)
def test_ids_come_back_unchanged(image, person, kind, tmp_path):
    "From 0, repeated, strings, huge, negative: perfect predictions have AP 100, and results the file's ids"
    def renumber(data):
        for i, im in enumerate(data['images']): im['id'] = image(i)
        for i, a in enumerate(data['annotations']):
            a.update(id=person(i), image_id=image(a['image_id'] - 1), category_id=kind)
        data['categories'][0]['id'] = kind
    persons = load(tmp_path, changed(renumber))
    assert ap(persons) == 100
    assert [r['image_id'] for r in perfect(persons)] == [image(i//2) for i in range(6)]
    assert {r['category_id'] for r in perfect(persons)} == {kind} and list(persons.ids) == [
        person(i) for i in range(6)
    ]
    json.dumps(perfect(persons), allow_nan=False)

@pytest.mark.parametrize('there, here', [(int, str), (str, int), (float, int)])
def test_an_id_may_be_a_number_here_and_a_string_there(there, here, tmp_path):
    def retype(data):
        for im in data['images']: im['id'] = there(im['id'])
        for a in data['annotations']: a['image_id'] = here(a['image_id'])
    persons = load(tmp_path, changed(retype))
    assert ap(persons) == 100 and persons.image_ids.tolist() == [there(i) for i in (1, 1, 2, 2, 3, 3)]

def test_one_id_for_two_pictures_is_refused(tmp_path):
    with pytest.raises(
        ValueError, match=r'd.json: the image id 2 stands for two pictures, p1.png and p2.png'
    ):
        load(tmp_path, changed(lambda d: d['images'][2].update(id=2)))

# areas and boxes

@pytest.mark.parametrize('area', [..., 0, -3, None, '900', True, float('nan'), 1e300])
def test_areas_that_are_none(area, tmp_path):
    persons = load(tmp_path, changed(each(area=area)))
    w, h = persons.boxes[:, 2:].T
    assert (
        np.allclose(persons.table.area, 0.52 * w * h)
        and '6 areas were missing or 0: 0.52 x box area is used' in persons.notes
    )
    clean = load(tmp_path/'clean', changed(each(area=lambda a: .52*a['bbox'][2]*a['bbox'][3])))
    assert ap(persons, .8) == ap(clean, .8) < 100

@pytest.mark.parametrize('box', [..., None, [], [3, 4, 0, 20], [3, 4, 20, 0], [9, 9, -2, 4]])
def test_boxes_that_are_missing_or_flat(box, tmp_path):
    persons = load(tmp_path, changed(each(bbox=box)))
    x, y = persons.table.keypoints[..., 0], persons.table.keypoints[..., 1]
    assert np.allclose(persons.boxes, np.stack([x.min(1), y.min(1), np.ptp(x, 1) + 1, np.ptp(y, 1) + 1], 1))
    assert any('6 boxes were missing or flat' in n for n in persons.notes) and ap(persons) == 100

def test_boxes_as_strings(tmp_path):
    persons = load(tmp_path, changed(each(bbox=lambda a: [str(v) for v in a['bbox']])))
    assert np.allclose(persons.boxes[0], [2, 4, 35, 51]) and ap(persons) == 100

@pytest.mark.parametrize(
    'box',
    [
        [1, 2, 3],
        [1, 2, 3, 4, 5],
        'a box',
        {'x': 1},
        7,
        [1, 2, float('nan'), 4],
        [1, 2, float('inf'), 4],
        [0, 0, 1e9, 1e9],
        [[1], 2, 3, 4],
        ['a', 2, 3, 4],
    ],
)
def test_boxes_that_are_none_are_named(box, tmp_path):
    data = coco()
    data['annotations'][3].update(bbox=box, id='x7')
    with pytest.raises(ValueError, match=r"d.json: annotation 'x7': bbox is "): load(tmp_path, data)

def test_nothing_to_look_at_is_left_out_and_counted(tmp_path):
    persons = load(tmp_path, changed(lambda d: d['annotations'][1].update(bbox=None, keypoints=None)))
    assert (
        persons.notes == ['5 persons of 6: 1 without box or keypoints']
        and list(persons.ids) == [1, 3, 4, 5, 6]
        and ap(persons) == 100
    )

# keypoints

def nested(a): return [a['keypoints'][i:i+3] for i in range(0, len(a['keypoints']), 3)]

@pytest.mark.parametrize(
    'change',
    [
        each(keypoints=nested),
        each(keypoints=lambda a: [str(v) for v in a['keypoints']]),
        each(keypoints=lambda a: [v if i % 3 < 2 else True for i, v in enumerate(a['keypoints'])]),
        each(keypoints=lambda a: [v if i % 3 < 2 else 0.6 for i, v in enumerate(a['keypoints'])]),
        each(num_keypoints=0),
        each(iscrowd='0'),
        each(iscrowd=None),
    ],
)
def test_keypoints_in_other_clothes(change, tmp_path):
    persons, clean = load(tmp_path, changed(change)), load(tmp_path, coco())
    assert (
        np.array_equal(persons.points, clean.points)
        and np.array_equal(persons.visible > 0, clean.visible > 0)
        and ap(persons) == 100
    )

@pytest.mark.parametrize('nothing', [None, [], ...])
def test_a_person_without_keypoints_is_a_box(nothing, tmp_path):
    def change(data): each(keypoints=nothing)(dict(annotations=data['annotations'][2:3]))
    persons = load(tmp_path, changed(change))
    assert (
        len(persons) == 6
        and not persons.visible[2].any()
        and len(load(tmp_path, changed(change), labelled=True)) == 5
    )

def test_what_is_not_labelled_is_nowhere(tmp_path):
    "NaN, null and infinity where v is 0 count as not labelled, and nothing of them is left"
    odd = [float('nan'), None, 0, float('inf'), 'x', 0, 3, 4, None]
    persons = load(tmp_path, changed(each(keypoints=lambda a: odd + a['keypoints'][9:])))
    assert (
        not persons.table.keypoints[:, :3].any() and np.isfinite(persons.points).all() and ap(persons) == 100
    )

@pytest.mark.parametrize(
    'keypoints, words',
    [
        (lambda k: k[:-3], 'keypoints has 3 points; expected 4'),
        (lambda k: k[:-1], 'keypoints has 11 numbers'),
        (lambda k: [float('nan')] + k[1:], 'a labelled keypoint is at'),
        (lambda k: [1e300] + k[1:], 'a labelled keypoint is at'),
        (lambda k: [k[:2]] * 4, r'not \[x, y, v\]'),
        (lambda k: 'abc', 'keypoints is abc; expected a list'),
        (lambda k: {'nose': 1}, 'expected a list'),
        (lambda k: [{'x': 1}] * 12, 'expected numbers'),
    ],
)
def test_keypoints_that_are_none_are_named(keypoints, words, tmp_path):
    data = coco()
    data['annotations'][4].update(id=44, keypoints=keypoints(data['annotations'][4]['keypoints']))
    with pytest.raises(ValueError, match=f'd.json: annotation 44: .*{words}'): load(tmp_path, data)

def test_x_and_y_alone_are_no_keypoints(tmp_path):
    "Six names, four numbers short: x, y, x, y, ... would pass as four keypoints"
    data = changed(
        each(keypoints=lambda a: [v for i, v in enumerate(a['keypoints']) if i % 3 < 2]),
        names=[*NAMES, 'a', 'b'],
    )
    with pytest.raises(ValueError, match='annotation 1: keypoints has 4 points for 6 names'):
        load(tmp_path, data)

# names, limbs, mirror pairs, sigmas

@pytest.mark.parametrize(
    'names, want',
    [
        (None, [f'keypoint_{i}' for i in range(1, 5)]),
        ([], [f'keypoint_{i}' for i in range(1, 5)]),
        (NAMES[:3], [*NAMES[:3], 'keypoint_4']),
        ([*NAMES, 'ear'], NAMES),
        ([1, 2, 3, 4], list('1234')),
    ],
)
def test_names_more_or_fewer(names, want, tmp_path):
    persons = load(tmp_path, changed(category(keypoints=names, sigmas=None)))
    assert persons.skeleton.names == want and ap(persons) == 100
    assert any('names were made up or left out' in n for n in persons.notes) == (len(names or []) != 4)

@pytest.mark.parametrize(
    'limbs, want, dropped',
    [
        ([[1, 2], [2, 4]], [(0, 1), (1, 3)], 0),
        ([[0, 1], [1, 3]], [(0, 1), (1, 3)], 0),
        ([['nose', 'tail']], [(0, 3)], 0),
        (None, [], 0),
        ('nonsense', [], 0),
        ([[5, 9], [1, 2]], [(0, 1)], 1),
        ([[1], 3, [1.5, 2], ['who', 'nose'], [2, 3]], [(1, 2)], 4),
    ],
)
def test_skeletons(limbs, want, dropped, tmp_path):
    persons = load(tmp_path, changed(category(skeleton=limbs)))
    assert persons.skeleton.limbs == want and sum('not drawn' in n for n in persons.notes) == (dropped > 0)
    assert not dropped or any(n.startswith(f'{dropped} of {len(limbs)} limbs') for n in persons.notes)

def test_a_name_given_twice_has_one_partner():
    assert mirror_pairs(['left_eye', 'left_eye', 'right_eye']) == [(0, 2)] or mirror_pairs(
        ['left_eye', 'left_eye', 'right_eye']
    ) == [(1, 2)]
    assert Skeleton(['left_l', 'right_l', 'right_r', 'left_r'], [], sigmas=[0.1] * 4).flip.tolist() != [
        0,
        1,
        2,
        3,
    ]

@pytest.mark.parametrize(
    'what, value',
    [
        ('sigmas', 5),
        ('sigmas', ['a'] * 4),
        ('sigmas', [0] * 4),
        ('sigmas', [float('nan')] * 4),
        ('sigmas', {'a': 1}),
        ('sigmas', [0.1]),
        ('flip_pairs', 7),
        ('flip_pairs', {'a': 1}),
        ('flip_pairs', 'ab'),
        ('flip_pairs', [[0, 1, 2]]),
        ('pairs', [[0, 9]]),
        ('pairs', [[0, 0]]),
    ],
)
def test_a_category_that_makes_no_sense_is_named(what, value, tmp_path):
    key = 'sigmas' if what == 'sigmas' else 'flip_pairs'
    with pytest.raises(ValueError, match=f"d.json: category 'cat': {what}"):
        load(tmp_path, changed(category(**{key: value})))

@pytest.mark.parametrize('pairs', [[[0, 3]], [['nose', 'tail']]])
def test_a_category_may_state_what_swaps(pairs, tmp_path):
    assert load(tmp_path, changed(category(flip_pairs=pairs))).skeleton.flip.tolist() == [3, 1, 2, 0]
    assert load(tmp_path, coco(), flip_pairs=pairs).skeleton.flip.tolist() == [3, 1, 2, 0]

def test_a_set_where_nothing_swaps_is_said(tmp_path):
    persons = load(tmp_path, coco(names=['p1', 'p2', 'p3']))
    assert not persons.skeleton.pairs and any('not flip-tested' in n for n in persons.notes)
    assert not any('mirror' in n for n in load(tmp_path, coco()).notes)

# categories

def animals(data):
    data['categories'] = [
        dict(data['categories'][0], id=3, name='cow'),
        dict(data['categories'][0], id=8, name='dog'),
    ]
    for i, a in enumerate(data['annotations']): a['category_id'] = (3, 8)[i % 2]

def test_categories_with_the_same_keypoints_are_used_together(tmp_path):
    persons = load(tmp_path, changed(animals))
    assert (
        len(persons) == 6
        and ap(persons) == 100
        and [r['category_id'] for r in perfect(persons)] == [3, 8] * 3
    )
    assert [r['category_id'] for r in perfect(persons.subset([1, 2]))] == [8, 3]
    pictures = coco_pictures(tmp_path/'d.json', tmp_path)
    found = detections(
        pictures, [dict(image_id=1, category_id=c, bbox=[2, 4, 35, 51], score=0.9) for c in (8, 3, 5)]
    )
    assert found.category_ids.tolist() == [8, 3] and [r['category_id'] for r in found.records()] == [8, 3]

def test_the_table_is_a_json_again(tmp_path):
    first = load(tmp_path, changed(animals))
    again = load(tmp_path/'again', first.source)
    assert again.source == first.source and len(again) == 6

def test_categories_with_other_keypoints_are_listed(tmp_path):
    def change(data):
        animals(data)
        data['categories'][1]['keypoints'] = NAMES[:2]
        for a in data['annotations'][1::2]: a['keypoints'] = a['keypoints'][:6]
        data['annotations'][1].update(category_id=3, keypoints=data['annotations'][0]['keypoints'])
    persons = load(tmp_path, changed(change))
    assert len(persons) == 4 and any(
        'cow (4 keypoints, 4 annotations)' in n
        and 'dog (2 keypoints, 2 annotations)' in n
        and '--category' in n
        for n in persons.notes
    )
    assert (
        len(load(tmp_path, changed(change), category='cow'))
        == len(load(tmp_path, changed(change), category=3))
        == 4
    )
    with pytest.raises(ValueError, match="no category 'sheep'; expected one of: cow .*, dog"):
        load(tmp_path, changed(change), category='sheep')

def test_a_placeholder_is_passed_over(tmp_path):
    persons = load(
        tmp_path,
        changed(lambda d: d['categories'].insert(0, dict(id=0, name='person', supercategory='none'))),
    )
    assert len(persons) == 6 and persons.skeleton.names == NAMES and ap(persons) == 100

def test_boxes_of_eighty_kinds_are_not_all_persons(tmp_path):
    "A json of boxes for puzzles, as COCO's instances: persons alone count where there are some"
    def change(data):
        each(keypoints=..., category_id=lambda a: 1 + a['id'] % 2)(data)
        data['categories'] = [dict(id=1, name='person'), dict(id=2, name='car')]
    persons = load(tmp_path, changed(change))
    assert (
        len(persons) == 3
        and persons.skeleton is None
        and any('left out: car (0 keypoints, 3 annotations)' in n for n in persons.notes)
    )
    assert len(load(tmp_path, changed(change), category='car')) == 3

# what is left out

def test_left_out_is_counted_by_reason(tmp_path):
    def change(data):
        a = data['annotations']
        a[0]['iscrowd'] = 1
        a[1]['bbox'] = [2, 4, 10, 40]
        a[2]['image_id'] = 77
        a[3].update(keypoints=[0]*12)
        a[4]['category_id'] = 5
        data['categories'].append(dict(id=4, name='other'))
    persons = load(tmp_path, changed(change, pictures=5), labelled=True, min_side=20)
    assert persons.notes[0] == (
        '5 persons of 10: 1 of unknown categories, 1 in pictures that are not listed, '
        '1 crowds, 1 boxes under 20 px, 1 without labelled keypoints'
    )
    assert repr(persons).splitlines()[1] == persons.notes[0]

def test_a_crowd_is_passed_over_by_ap_too(tmp_path):
    persons = load(tmp_path, changed(lambda d: d['annotations'][0].update(iscrowd=1)))
    assert len(persons) == 5 and persons.notes == ['5 persons of 6: 1 crowds'] and ap(persons) == 100

def test_nobody_left_says_why(tmp_path):
    with pytest.raises(ValueError, match='d.json has no cat that fits.*6 boxes under 500 px'):
        load(tmp_path, coco(), min_side=500)

@pytest.mark.parametrize('people, noted', [(20, False), (21, True)])
def test_over_twenty_persons_are_said(people, noted, tmp_path):
    persons = load(tmp_path, coco(2, people, (people*20, 40)))
    table = coco_ap(persons, perfect(persons))
    assert (table.AP[0] < 100) == noted == bool(crowded(persons)) == bool(table.attrs['note'])
    assert not noted or '2 pictures hold more, up to 21' in table.attrs['note']

@pytest.mark.parametrize('key', ['images', 'annotations', 'categories'])
@pytest.mark.parametrize('value', [..., None, {}, 'x', 5, [1], [[]], [None]])
def test_lists_that_are_missing(key, value, tmp_path):
    data = {k: v for k, v in coco().items() if k != key} | ({} if value is ... else {key: value})
    (tmp_path/'d.json').write_text(json.dumps(data))
    with pytest.raises(ValueError, match=f"d.json.*'{key}'"): coco_persons(tmp_path/'d.json', tmp_path)

def test_a_byte_order_mark_is_no_letter(tmp_path):
    path = write(tmp_path, coco())
    path.write_text(path.read_text(), encoding='utf-8-sig')
    assert len(coco_persons(path, tmp_path)) == 6

# numbers that cannot lie

@pytest.mark.parametrize('value', [np.nan, np.inf, -np.inf])
def test_predictions_that_are_not_finite_are_refused(value, tmp_path):
    persons = load(tmp_path, coco())
    points = persons.points.astype(float)
    points[3, 2, 1] = value
    with pytest.raises(ValueError, match=r'1 of 6 predictions hold NaN or infinity \(image_id 2\)'):
        coco_results(persons, points, np.ones((6, 4)))
    results = perfect(persons)
    results[5]['keypoints'][0] = value
    with pytest.raises(ValueError, match=r'1 of 6 .*image_id 3'): coco_ap(persons, results)
    results = perfect(persons)
    results[0]['score'] = value
    with pytest.raises(ValueError, match=r'1 of 6 .*image_id 1'): coco_ap(persons, results)

# properties

numbers = st.floats(-20, 200, width=32)
@st.composite
def jsons(draw):
    "Valid jsons: any ids, any number of keypoints, everything optional left out at times"
    k, pictures = draw(st.integers(1, 6)), draw(st.integers(1, 4))
    ids = st.one_of(st.integers(), st.text(max_size=5))
    image_ids = draw(st.lists(ids, min_size=pictures, max_size=pictures, unique_by=str))
    names = draw(st.lists(st.text(min_size=1, max_size=6), min_size=k, max_size=k, unique=True))
    annotations = []
    for _ in range(draw(st.integers(1, 6))):
        point = st.tuples(numbers, numbers, st.sampled_from([0, 1, 2]))
        a = dict(
            id=draw(ids),
            image_id=draw(st.sampled_from(image_ids)),
            category_id=4,
            bbox=[*draw(st.tuples(numbers, numbers)), *draw(st.tuples(st.floats(1, 90), st.floats(1, 90)))],
            area=draw(st.floats(1, 9000)),
            keypoints=[v for p in draw(st.lists(point, min_size=k, max_size=k)) for v in p],
            iscrowd=draw(st.sampled_from([0, 0, 0, 1])),
        )
        for key in draw(st.sets(st.sampled_from(['id', 'area', 'iscrowd', 'category_id']))): del a[key]
        annotations.append(a)
    return dict(
        images=[dict(id=i, file_name=f'{n}.png') for n, i in enumerate(image_ids)],
        annotations=annotations,
        categories=[dict(id=4, name='person', keypoints=names, sigmas=[0.1] * k)],
    )

@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=jsons())
def test_what_is_read_is_what_was_written(data, tmp_path):
    "json -> table -> json -> table: nothing changes, and every value is the file's own"
    first = read_records(write(tmp_path, data, pictures=False))
    again = read_records(write(tmp_path, first.coco(), pictures=False))
    for a, b in zip(astuple(first)[1:-2], astuple(again)[1:-2]):
        assert np.array_equal(a, b) if isinstance(a, np.ndarray) else a == b
    assert len(first) == len(data['annotations']) and [first.image_ids[i] for i in first.image] == [
        a['image_id'] for a in data['annotations']
    ]
    for i, a in enumerate(data['annotations']):
        points = np.array(a['keypoints'], float).reshape(-1, 3)
        assert (
            np.array_equal(first.keypoints[i], points * (points[:, 2:] > 0))
            and first.boxes[i].tolist() == a['bbox']
        )
        assert first.area[i] == a.get('area', 0.52 * a['bbox'][2] * a['bbox'][3]) and first.crowd[i] == bool(
            a.get('iscrowd', 0)
        )

boxes = st.lists(
    st.tuples(st.floats(-50, 300), st.floats(-50, 300), st.floats(1, 400), st.floats(1, 400)),
    min_size=1,
    max_size=6,
)
sizes = st.tuples(st.integers(1, 400), st.integers(1, 400))
@settings(max_examples=80, deadline=None)
@given(
    boxes=boxes,
    size=st.tuples(st.integers(16, 256), st.integers(16, 256)),
    margin=st.floats(1, 2),
    pad=st.floats(0.5, 2),
    picture=sizes,
    inside=st.booleans(),
    seed=st.integers(0, 99),
)
def test_box_and_crop(boxes, size, margin, pad, picture, inside, seed):
    "To the crop and back, crops inside their pictures, and one person's numbers are those of the whole set"
    p = len(boxes)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        skeleton = Skeleton(NAMES, [])
    points = np.random.default_rng(seed).uniform(-50, 400, (p, 4, 2))
    persons = PersonDataset(
        [f'{i % 2}.png' for i in range(p)], boxes, skeleton, points, np.ones((p, 4)), sizes=[picture] * p
    ).view(size, margin, pad=pad, inside=inside)
    assert (
        np.abs(persons.to_picture(persons.to_crop(points)) - points).max()
        < 1e-9 * np.abs(persons.crop_windows).max() + 1e-9
    )
    windows = persons.crop_windows
    h, w = persons.crop_size
    assert np.allclose(windows[:, 2]/windows[:, 3], w/h)
    corners = persons.to_crop(np.stack([windows[:, :2], windows[:, :2] + windows[:, 2:]], 1))
    assert np.allclose(corners, [[0, 0], [w, h]], atol=1e-6)
    if inside:
        assert (windows[:, :2] >= -1e-9).all() and (
            windows[:, :2] + windows[:, 2:] <= np.array(picture) + 1e-9
        ).all()
    else:
        off = windows[:, :2] + windows[:, 2:]/2 - persons.boxes[:, :2] - persons.boxes[:, 2:]/2
        most = .5*windows[:, 2:]/(w, h) if persons.settled else 0     # half a pixel of the crop
        assert (np.abs(off) <= most + 1e-6).all()
    for i in range(p): assert np.array_equal(persons.windows_of([i])[0], windows[i])

@pytest.mark.parametrize(
    'view',
    [{}, dict(margin=1.5), dict(pad=1.0), dict(inside=True), dict(size=(32, 32), margin=1.25, inside=True)],
)
def test_an_item_is_a_row_of_the_whole(view, tmp_path):
    persons = load(tmp_path, coco()).view(**{'size': (64, 48), **view})
    whole = persons.to_crop(persons.points)
    for i in range(len(persons)):
        crop, points, visible, number = persons[i]
        assert (
            number == i
            and crop.shape == (3, *persons.crop_size)
            and np.allclose(points, whole[i], atol=1e-4)
            and visible.all()
        )
        one = persons.subset([i])[0]
        assert (one[0] == crop).all() and np.allclose(one[1], points)
