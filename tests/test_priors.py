"Priors against a slow loop; nearest cells, unseen keypoints, mirrors, errors; stored numbers against COCO's"
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from hsjp.people import image_folder, mannequins
from hsjp.priors import (
    CELLS,
    coco_priors,
    keypoint_groups,
    keypoint_priors,
    main_cells,
    paper_statements,
    priors_of,
    show_prior,
    show_priors,
    tidy_priors,
)
from hsjp.skeleton import COCO

ROOT = Path(__file__).parents[1]
DATA = ROOT.parent/'shared'/'data'
NPZ, REAL = DATA/'coco2017_keypoints'/'coco2017_keypoints.npz', DATA/'coco_persons'
arrays = pytest.mark.skipif(not NPZ.is_file(), reason='COCO in numbers (coco2017_keypoints) is not here')
real = pytest.mark.skipif(not REAL.is_dir(), reason='real people (shared/data/coco_persons) are not here')

def slow(boxes, points, visible, n):
    "A person, a keypoint, a cell at a time: the cell whose rectangle is nearest to the point"
    counts = np.zeros((points.shape[1], n, n))
    for (x, y, w, h), those, seen in zip(boxes, points, visible):
        for k, (px, py) in enumerate(those):
            if not seen[k] > 0: continue
            def distance(cell, px=px, py=py, x=x, y=y, w=w, h=h):
                row, column = cell
                left, top = x + column*w/n, y + row*h/n
                return (max(left - px, 0, px - left - w/n)**2 + max(top - py, 0, py - top - h/n)**2)
            counts[k][min(np.ndindex(n, n), key=distance)] += 1
    with np.errstate(invalid='ignore'): return counts/counts.sum((1, 2), keepdims=True)

def crowd(seed, persons=60, k=5, spread=.7):
    "Random persons, many of whose points lie outside of their box; the last keypoint is never labelled"
    rng = np.random.default_rng(seed)
    boxes = np.concatenate([rng.uniform(-50, 500, (persons, 2)), rng.uniform(3, 300, (persons, 2))], 1)
    points = boxes[:, None, :2] + (.5 + rng.normal(0, spread, (persons, k, 2)))*boxes[:, None, 2:]
    visible = rng.integers(0, 3, (persons, k))
    visible[:, -1] = 0
    return boxes, points, visible

@pytest.fixture(scope='module')
def benchmark():
    "benchmarks/priors.py"
    spec = spec_from_file_location('benchmark', ROOT/'benchmarks'/'priors.py')
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module

@pytest.fixture(scope='module')
def coco(benchmark): return benchmark.from_npz(NPZ)

@pytest.mark.parametrize('n', [1, 2, 3, 6, 7])
def test_the_slow_loop_counts_the_same(n):
    some = crowd(n)
    found = keypoint_priors(*some, n)
    assert found.shape == (5, n, n)
    assert np.allclose(found, slow(*some, n), equal_nan=True)
    assert np.allclose(found[:-1].sum((1, 2)), 1) and np.isnan(found[-1]).all()

def test_only_labelled_points_count_whatever_the_others_are():
    boxes, points, visible = crowd(0)
    expected = keypoint_priors(boxes, points, visible)
    points[visible == 0] = np.nan
    for seen in (visible, visible > 0, (visible > 0).tolist()):
        assert np.array_equal(keypoint_priors(boxes, points, seen), expected, equal_nan=True)

def test_nobody_and_nothing():
    assert np.isnan(keypoint_priors(np.zeros((0, 4)), np.zeros((0, 4, 2)), np.zeros((0, 4)))).all()
    assert keypoint_priors(np.ones((2, 4)), np.zeros((2, 0, 2)), np.zeros((2, 0)), 2).shape == (0, 2, 2)

@pytest.mark.parametrize('x,column', [
    (-1e9, 0), (9.999, 0), (10, 0), (19.999, 0), (20, 1), (30, 2), (40, 2), (40.01, 2), (1e300, 2)])
def test_outside_counts_in_the_nearest_cell_and_an_edge_in_the_cell_it_begins(x, column):
    for axis in (0, 1):
        point = np.full((1, 1, 2), 25.)
        point[..., axis] = x
        found = keypoint_priors([(10, 10, 30, 30)], point, [[2]])[0]
        assert found[(1, column) if axis == 0 else (column, 1)] == 1

@pytest.mark.parametrize('n', range(1, 60))
def test_whole_numbers_on_a_border_are_not_rounded_into_the_cell_before(n):
    points = np.stack([np.arange(n)*7., np.arange(n)*7.], 1)[:, None]
    found = keypoint_priors(np.tile([0, 0, 7*n, 7*n], (n, 1)), points, np.ones((n, 1)), n)[0]
    assert np.allclose(found, np.eye(n)/n)

def test_mirrored_persons_with_swapped_names_have_the_mirrored_priors():
    boxes, points, visible = crowd(3, 200, 17)
    flip, width = COCO.flip.numpy(), 640
    back = boxes.copy()
    back[:, 0] = width - boxes[:, 0] - boxes[:, 2]
    mirrored = np.stack([width - points[..., 0], points[..., 1]], -1)
    for n in (3, 6):
        here = keypoint_priors(boxes, points, visible, n)
        there = keypoint_priors(back, mirrored[:, flip], visible[:, flip], n)
        assert np.allclose(there[flip], here[:, :, ::-1], equal_nan=True)

def test_where_the_picture_lies_and_how_large_it_is_do_not_matter():
    boxes, points, visible = crowd(4)
    scale, shift = np.array([3, .25]), np.array([100, -70])
    moved = np.concatenate([boxes[:, :2]*scale + shift, boxes[:, 2:]*scale], 1)
    assert np.allclose(keypoint_priors(moved, points*scale + shift, visible),
                       keypoint_priors(boxes, points, visible), equal_nan=True)

def spoil(what):
    boxes, points, visible = (np.array(o, float) for o in crowd(5))
    visible[7, 2] = 2
    if what == 'nan point': points[7, 2, 0] = np.nan
    elif what == 'infinite point': points[7, 2, 1] = np.inf
    elif what == 'nan box': boxes[7, 1] = np.nan
    elif what == 'flat box': boxes[7, 3] = 0
    elif what == 'negative box': boxes[7, 2] = -3
    elif what == 'nan visible': visible[7, 2] = np.nan
    elif what == 'boxes': boxes = boxes[:-1]
    elif what == 'corners': boxes = boxes[:, :3]
    elif what == 'visible': visible = visible[:, :-1]
    elif what == 'points': points = points[..., :1]
    elif what == 'one person': points = points[0]
    return boxes, points, visible

@pytest.mark.parametrize('what,says', [
    ('nan point', r'points\[7, 2\] is \[nan, '), ('infinite point', r'points\[7, 2\] is .*inf\] and'),
    ('nan box', r'boxes\[7\] is .*nan'), ('flat box', r'boxes\[7\] is .* 0.0\]; expected x y w h'),
    ('negative box', r'boxes\[7\] is .*-3.0'), ('nan visible', 'visible holds NaN'),
    ('boxes', r'boxes has shape \(59, 4\); expected \(60, 4\)'),
    ('corners', r'boxes has shape \(60, 3\); expected \(60, 4\)'),
    ('visible', r'visible has shape \(60, 4\); expected \(60, 5\)'),
    ('points', r'points has shape \(60, 5, 1\); expected \(P, K, 2\)'),
    ('one person', r'points has shape \(5, 2\); expected \(P, K, 2\)')])
def test_bad_input_is_named(what, says):
    with pytest.raises(ValueError, match=says): keypoint_priors(*spoil(what))

@pytest.mark.parametrize('n', [0, -1, 2.5, True, '3', None])
def test_bad_n_is_named(n):
    with pytest.raises(ValueError, match='n is .*; expected a whole number'): keypoint_priors(*crowd(0), n)

def test_priors_of_a_dataset(tmp_path):
    people = mannequins('valid')
    for n in (3, 6):
        expected = keypoint_priors(people.boxes, people.points, people.visible > 0, n)
        assert np.array_equal(priors_of(people, n), expected)
    assert priors_of(people, 3, people.crop_windows)[:, :, 1].min() < 1
    plt.imsave(tmp_path/'a.png', np.zeros((40, 30, 3)))
    with pytest.raises(ValueError, match='no keypoints'): priors_of(image_folder(tmp_path))

def test_tables():
    priors = np.full((3, 3, 3), np.nan)
    priors[0], priors[1] = 1/9, np.diag([.2, .7, .1])
    long = tidy_priors(priors, ['a', 'b', 'c'])
    assert list(long.columns) == ['keypoint', 'row', 'column', 'cell', 'share'] and len(long) == 27
    for _, r in long.iterrows():
        assert np.isclose(r.share, priors['abc'.index(r.keypoint), r.row, r.column], equal_nan=True)
        assert r.cell == CELLS[3*r.row + r.column]
    assert tidy_priors(np.ones((1, 6, 6))/36, ['a']).cell.tolist() == [str(i) for i in range(36)]
    short = main_cells(priors, ['a', 'b', 'c']).set_index('keypoint')
    assert short.loc['b'].tolist() == ['centre', 70, 6.3, 1] and short['cells for half']['a'] == 5
    assert short['largest cell']['c'] == 'never seen' and short.loc['c'].iloc[1:].isna().all()

def test_groups_are_found_by_whole_words():
    names = ['leftEar', 'REAR_PAW', 'forearm', 'LHip', 'eyeR', 'l.wrist', 'Right Knee', 'neck', 'shoulder_l']
    assert keypoint_groups(names) == {'head': [0, 4], 'lower limbs': [3, 6], 'upper limbs': [5, 8],
                                      'other': [1, 2, 7]}
    assert [len(those) for those in keypoint_groups(COCO.names).values()] == [5, 6, 6]

@pytest.mark.parametrize('n', [1, 3, 6, 9])
def test_figures_show_every_keypoint_in_percent(n):
    names = [*COCO.names, *(f'point {i}' for i in range(7))]
    priors = keypoint_priors(*crowd(n, 100, len(names)), n)
    figures = show_priors(priors, names)
    titles = [ax.get_title() for fig in figures.values() for ax in fig.axes if ax.get_title()]
    assert list(figures) == ['head', 'lower limbs', 'upper limbs', 'other']
    assert sorted(titles) == sorted(names)
    words = {ax.get_title(): [t.get_text() for t in ax.texts] for f in figures.values() for ax in f.axes}
    assert words['point 6'] == ['never seen']
    shares = [f'{100*s:.0f}' + '%'*(n <= 4) for s in priors[0].ravel()] if n <= 8 else []
    assert words['nose'] == shares
    plt.close('all')
    assert show_prior(priors[0]).images[0].get_array().max() == priors[0].max()
    plt.close('all')

def agrees(three, six): return paper_statements(three, six).agrees.tolist()

def test_statements_follow_the_numbers():
    three, six = coco_priors(3), coco_priors(6)
    table = paper_statements(three, six)
    assert list(table.columns) == ['statement', 'read as', 'number', 'unit', 'agrees']
    assert table.index[table.agrees == 'no'].tolist() == [4, 6, 9]
    assert table.number[1] == round(100*three[:5, 0].sum(1).min(), 1)                   # heads in the top row
    elbow = 100*three[7].ravel()
    assert table.number[12] <= elbow[5] - np.delete(elbow, [3, 5]).max()
    upside = agrees(three[:, ::-1], six[:, ::-1])
    assert [upside[i] for i in (1, 2, 8)] == ['no']*3 and upside[12] == 'yes'
    mirrored = agrees(three[:, :, ::-1], six[:, :, ::-1])
    assert mirrored[9] == 'yes' and mirrored[10] == 'no' and mirrored[1] == 'yes'
    assert set(agrees(np.full((17, 3, 3), 1/9), np.full((17, 6, 6), 1/36))[:3]) == {'no'}
    blind = three.copy()
    blind[:5] = np.nan
    assert agrees(blind, six)[1:4] == ['unknown']*3
    with pytest.raises(ValueError, match=r'six has shape \(17, 3, 3\); expected \(17, 6, 6\)'):
        paper_statements(three, three)
    with pytest.raises(ValueError, match='expected 3 or 6'): coco_priors(4)

def test_stored_priors_are_whole():
    three, six = coco_priors(3), coco_priors(6)
    assert np.allclose(three.sum((1, 2)), 1, atol=1e-5) and np.allclose(six.sum((1, 2)), 1, atol=3e-5)
    assert np.allclose(six.reshape(17, 3, 2, 3, 2).sum((2, 4)), three, atol=1e-5)

@arrays
def test_stored_priors_are_those_of_all_persons(coco):
    assert len(coco[0]) == 156_165
    for n in (3, 6): assert np.abs(keypoint_priors(*coco, n) - coco_priors(n)).max() < 1e-6

@arrays
def test_half_a_pixel_changes_no_answer_on_all_persons(coco):
    boxes, points, visible = coco
    shifted = [keypoint_priors(boxes, points + [.5/640, .5/480], visible, n) for n in (3, 6)]
    assert agrees(*shifted) == agrees(coco_priors(3), coco_priors(6))
    assert paper_statements(*shifted).number[[10, 12]].tolist() == [2.2, 13.0]

@real
def test_half_a_pixel_on_real_persons(benchmark):
    parts = [benchmark.from_json(REAL/f'person_keypoints_{split}.json') for split in ('train', 'valid')]
    boxes, points, visible = map(np.concatenate, zip(*parts))
    assert len(boxes) == 6_041
    change = keypoint_priors(boxes, points, visible) - keypoint_priors(boxes, points - .5, visible)
    assert .005 < np.abs(change).max() < .0155
