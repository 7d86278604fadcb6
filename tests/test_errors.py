"Error types: the published tool's labels, pycocotools' matches, a plain rule, symmetries, repairing"
import contextlib
import copy
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import coco, write
from pycocotools.coco import COCO as CocoApi
from pycocotools.cocoeval import COCOeval

from hsjp.cli import main
from hsjp.errors import KINDS, ORDER, error_types, keypoint_errors, match, repair, repair_costs, shares
from hsjp.evaluate import coco_ap, coco_results
from hsjp.people import mannequins, studio
from hsjp.skeleton import COCO

GOLDEN = Path(__file__).parents[2]/'shared'/'golden'/'coco_analyze'
golden = pytest.mark.skipif(not GOLDEN.is_dir(),
                            reason='published labels (shared/golden/coco_analyze) are not here')
SIGMAS, FLIP = np.array(COCO.sigmas), COCO.flip.numpy()

# ---- the published labels ----

@golden
@pytest.mark.parametrize('read', [str, lambda p: p, lambda p: json.loads(p.read_text())])
def test_labels_are_the_published_ones(read):
    wanted = json.loads((GOLDEN/'labels.json').read_text())
    found = error_types(read(GOLDEN/'gt.json'), read(GOLDEN/'dt.json'))
    rows = [dict(dt_index=i, gt_id=g, labels=list(labels))
            for _, g, i, _, *labels in found.itertuples(index=False)]
    assert rows == wanted['matches']
    assert {kind: int((found.iloc[:, 4:] == kind).sum().sum()) for kind in KINDS} == wanted['counts']

# ---- pycocotools' matches, and the rule in plain loops ----

def plain(gt, dt, sigmas=SIGMAS, flip=FLIP):
    "{place in dt: (gt_id, oks, labels)}: matched by pycocotools, labelled keypoint by keypoint"
    gt = copy.deepcopy(gt)
    for a in gt['annotations']: a['num_keypoints'] = sum(v > 0 for v in a['keypoints'][2::3])
    with contextlib.redirect_stdout(io.StringIO()):
        api = CocoApi()
        api.dataset = gt
        api.createIndex()
        e = COCOeval(api, api.loadRes(copy.deepcopy(dt)), 'keypoints')
        e.params.kpt_oks_sigmas, e.params.iouThrs = sigmas, np.array([.1])
        e.params.areaRng, e.params.areaRngLbl, e.params.maxDets = [[32**2, 1e5**2]], ['all'], [20]
        e.evaluate()
    out, people = {}, {a['id']: a for a in gt['annotations']}
    for one in filter(None, e.evalImgs):
        for d, g, ignored in zip(one['dtIds'], one['dtMatches'][0], one['dtIgnore'][0]):
            if not g or ignored: continue
            own = people[int(g)]
            here = [a for a in gt['annotations'] if a['image_id'] == own['image_id']]
            everybody = [own] + [a for a in here if a is not own]
            labels = [plain_label(k, dt[d-1], everybody, sigmas, flip) for k in range(len(sigmas))]
            out[d-1] = int(g), labels
    return out

def plain_label(k, result, everybody, sigmas, flip):
    "Places in order: everybody's keypoint, then everybody's mirrored one; the first of the best wins"
    if not everybody[0]['keypoints'][3*k + 2]: return None
    p, places = np.array(result['keypoints'][3*k:3*k + 2]), []
    for j in (k, flip[k]):
        for a in everybody:
            x, y, v = a['keypoints'][3*j:3*j + 3]
            d2 = (p[0] - x)**2 + (p[1] - y)**2
            places.append(np.exp(-d2/(2*sigmas[k])**2/(a['area'] + np.spacing(1))/2) if v else -1)
    best = max(places)
    where = places.index(best)
    if best < .5: return 'miss'
    if where == 0: return 'good' if best > .85 else 'jitter' if best < .85 else None
    return 'inversion' if where == len(everybody) else 'swap'

def scene(seed, pictures=25, people=4, dts=30, names=COCO.names, sigmas=SIGMAS, flip=FLIP):
    "People near each other: crowds, unlabelled and small ones; far more predictions than people, many equal"
    rng, k, annotations, results = np.random.default_rng(seed), len(names), [], []
    for image in range(1, pictures + 1):
        here = []
        for _ in range(rng.integers(0, people + 1)):
            points, v = rng.uniform(20, 120, (k, 2)) + rng.uniform(0, 60, 2), rng.integers(0, 3, k)
            area = rng.choice([1023., 1024., 1e4, 2e4, 1e10, 1e10 + 4])
            if rng.random() < .15: v[:] = 0
            keypoints = np.where(v[:, None] > 0, np.c_[points, v], 0)
            here.append(dict(id=len(annotations) + len(here) + 1, image_id=image, category_id=1, area=area,
                             bbox=[20., 20., 160., 160.], iscrowd=int(rng.random() < .1),
                             keypoints=keypoints.ravel().tolist()))
        if len(here) > 1 and image % 5 == 0: here[1].update({k: here[0][k] for k in ('keypoints', 'area')})
        annotations += here
        for _ in range(rng.integers(0, dts + 1) if here else 1):
            a = here[rng.integers(len(here))] if here else dict(keypoints=[50, 50, 2]*k)
            points = np.reshape(a['keypoints'], (k, 3))[:, :2]
            scale = rng.choice([.2, .8, 1.5, 4.])*2*sigmas[:, None]*100
            points = points + rng.normal(0, 1, (k, 2))*scale
            if rng.random() < .5: points = np.where(rng.random((k, 1)) < .4, points[flip], points)
            if here and rng.random() < .5:
                other = np.reshape(here[rng.integers(len(here))]['keypoints'], (k, 3))[:, :2]
                points = np.where(rng.random((k, 1)) < .4, other, points)
            results.append(dict(image_id=image, category_id=1, score=float(rng.integers(1, 9)/8),
                                keypoints=np.c_[points, np.ones(k)].ravel().tolist()))
    order = rng.permutation(len(results))
    category = dict(id=1, name='person', keypoints=list(names), sigmas=list(map(float, sigmas)))
    return dict(images=[dict(id=i) for i in range(1, pictures + 1)], annotations=annotations,
                categories=[category]), [results[i] for i in order]

def agree(gt, dt, **kwargs):
    "Ours and the plain ones; the labels"
    found, wanted = error_types(gt, dt), plain(gt, dt, **kwargs)
    assert found.dt_index.tolist() == sorted(wanted) and found.gt_id.is_unique
    for _, g, i, _, *labels in found.itertuples(index=False): assert (g, labels) == wanted[i]
    return found

@pytest.mark.parametrize('seed', range(6))
def test_matches_are_those_of_pycocotools_and_labels_of_the_plain_rule(seed):
    gt, dt = scene(seed)
    kinds = shares(agree(gt, dt)).loc['all']
    assert (kinds > 1).all()
    assert max(np.bincount([r['image_id'] for r in dt])) > 20

def test_other_keypoints_have_their_own_names_sigmas_and_mirror_pairs():
    names, sigmas, flip = ['nose', 'left_paw', 'right_paw', 'tail'], np.array([.03, .1, .1, .2]), [0, 2, 1, 3]
    gt, dt = scene(3, 60, names=names, sigmas=sigmas, flip=flip)
    found = agree(gt, dt, sigmas=sigmas, flip=flip)
    assert list(found.columns) == ['image_id', 'gt_id', 'dt_index', 'oks', *names]
    kinds = {n: set(found[n].dropna()) for n in names}
    assert 'inversion' in kinds['left_paw'] and 'inversion' not in kinds['tail'] | kinds['nose']

# ---- by hand ----

def person(area=1e4, shift=(0., 0.), seen=None):
    "Points a hundred pixels apart, so that no keypoint is near another"
    points = np.stack([np.arange(17) % 5, np.arange(17)//5], 1)*100. + shift
    return points, np.ones(17) if seen is None else seen, area

def as_json(people, predictions, scores=None):
    "Ground truth and results of one picture"
    annotations = [dict(id=10 + i, image_id=7, category_id=1, bbox=[0, 0, 400, 400], area=area, iscrowd=0,
                        keypoints=np.c_[p, v].ravel().tolist()) for i, (p, v, area) in enumerate(people)]
    dt = [dict(image_id=7, category_id=1, score=s, keypoints=np.c_[p, np.ones(len(p))].ravel().tolist())
          for p, s in zip(predictions, scores or [1.]*len(predictions))]
    categories = [dict(id=1, name='person', keypoints=COCO.names)]
    return dict(images=[dict(id=7)], annotations=annotations, categories=categories), dt

def at(k, similarity, area=1e4): return 2*SIGMAS[k]*np.sqrt(-2*np.log(similarity)*area)

def test_one_of_each_kind():
    own, other = person(), person(shift=(2000, 0))
    points, k = own[0].copy(), COCO.names.index
    points[k('left_eye')] += [at(1, .86), 0]
    points[k('right_eye')] += [0, at(2, .84)]
    points[k('left_ear')] -= [at(3, .51), 0]
    points[k('right_ear')] -= [at(4, .49), 0]
    points[k('left_wrist')] = own[0][k('right_wrist')]
    points[k('left_knee')] = other[0][k('left_knee')] + 1
    points[k('right_knee')] = other[0][k('left_knee')] + 1
    row = error_types(*as_json([own, other], [points])).iloc[0]
    wanted = dict(left_eye='good', right_eye='jitter', left_ear='jitter', right_ear='miss', left_knee='swap',
                  right_knee='swap', left_wrist='inversion', image_id=7, gt_id=10, dt_index=0)
    assert {name: row[name] for name in wanted} == wanted
    assert set(row.iloc[4:].drop([n for n in wanted if n in row.index[4:]])) == {'good'}

@pytest.mark.parametrize('exact,wanted', [(.85, None), (.5, 'jitter')])
def test_exactly_85_has_no_label_and_exactly_a_half_is_jitter(exact, wanted):
    truth, seen, points = np.zeros((1, 17, 2)), np.ones((1, 17)), np.zeros((17, 2))
    points[0, 0] = at(0, exact)
    areas = 1e4*(1 + np.arange(-400, 400)*2**-52)
    found = (keypoint_errors(points, truth, seen, np.array([area]), COCO) for area in areas)
    kinds = next(kinds for kinds, near in found if near[0] == exact)
    assert kinds[0] == wanted and set(kinds[1:]) == {'good'}

def test_nobody_and_nothing():
    gt, dt = as_json([person()], [person()[0] + 5000])
    columns = ['image_id', 'gt_id', 'dt_index', 'oks', *COCO.names]
    for results in ([], dt):
        found = error_types(gt, results)
        assert len(found) == 0 and list(found.columns) == columns
        assert np.isnan(shares(found)).all().all()
    found = error_types(dict(gt, annotations=[]), dt)
    assert len(found) == 0 and list(found.columns) == columns

def test_of_equal_people_the_last_is_taken_and_people_once():
    similar = np.array([[.6, .6, .2], [.6, .6, .2], [.9, .9, .05], [.1, .1, .1]])
    assert match(similar) == [(0, 1), (1, 0), (3, 2)]

def test_small_crowded_and_unlabelled_people_are_passed_over_but_can_be_swapped_with():
    own, small = person(), person(1023., (2000, 0))
    points = own[0].copy()
    points[9] = small[0][9]
    gt, dt = as_json([own, small], [points, small[0]])
    found = error_types(gt, dt)
    assert found.gt_id.tolist() == [10] and found.left_wrist[0] == 'swap'
    gt['annotations'][1].update(area=1024., iscrowd=1)
    assert error_types(gt, dt).gt_id.tolist() == [10]
    gt['annotations'][1].update(iscrowd=0)
    assert error_types(gt, dt).gt_id.tolist() == [10, 11]
    gt['annotations'][1]['keypoints'][2::3] = [0]*17
    assert error_types(gt, dt).left_wrist.tolist() == ['miss']

def test_only_the_twenty_surest_of_a_picture_count():
    own = person()
    far, scores = [own[0] + 9000]*20, [1.]*20 + [.5]
    assert len(error_types(*as_json([own], [*far, own[0]], scores))) == 0
    assert error_types(*as_json([own], [*far[1:], own[0]], scores[1:])).dt_index.tolist() == [19]

def test_results_of_another_category_do_not_count_and_keep_their_places():
    gt, dt = as_json([person()], [person()[0]]*2)
    gt['categories'].append(dict(id=5, name='cup'))
    dt[0]['category_id'] = 5
    assert error_types(gt, dt).dt_index.tolist() == [1]

@pytest.mark.parametrize('change,sentence', [
    (lambda gt, dt: dt[0]['keypoints'].pop(), 'result 0'), (lambda gt, dt: dt[0].pop('score'), 'result 0'),
    (lambda gt, dt: dt[0].update(image_id=99), 'image 99'),
    (lambda gt, dt: dt[0].update(score=np.nan), 'NaN'),
    (lambda gt, dt: gt['annotations'][0]['keypoints'].pop(), 'keypoints of 10'),
    (lambda gt, dt: gt['annotations'][0]['keypoints'].__setitem__(0, np.inf), 'infinite'),
    (lambda gt, dt: gt['categories'][0].pop('keypoints'), 'no category with keypoints')])
def test_what_cannot_be_judged_is_a_sentence(change, sentence):
    gt, dt = as_json([person()], [person()[0]])
    change(gt, dt)
    with pytest.raises(ValueError, match=sentence): error_types(gt, dt)

# ---- symmetries ----

def moved(gt, dt, move, flip=None):
    "Everything moved; with `flip` left and right trade places, as in a mirrored picture"
    gt, dt = copy.deepcopy(gt), copy.deepcopy(dt)
    for a in gt['annotations'] + dt:
        points = np.reshape(a['keypoints'], (-1, 3)).astype(float)
        there = np.ones(len(points), bool) if 'score' in a else points[:, 2] > 0
        points[there, :2] = move(points[there, :2])
        a['keypoints'] = (points if flip is None else points[flip]).ravel().tolist()
    return gt, dt

def test_moving_and_mirroring_everything_keeps_the_labels():
    gt, dt = scene(11)
    before = error_types(gt, dt)
    after = error_types(*moved(gt, dt, lambda p: p + [64, -32]))
    assert before.drop(columns='oks').equals(after.drop(columns='oks'))
    mirrored = error_types(*moved(gt, dt, lambda p: [512, 0] + p*[-1, 1], FLIP))
    assert before.gt_id.tolist() == mirrored.gt_id.tolist()
    kinds, theirs = before[COCO.names].to_numpy(), mirrored[COCO.names].to_numpy()
    assert kinds.tolist() == theirs[:, FLIP].tolist()

# ---- repairing ----

def similarity(gt, dt, found):
    "(M, K) similarity of each matched keypoint with its own true place"
    people, out = {a['id']: a for a in gt['annotations']}, []
    for _, g, i, *_ in found.itertuples(index=False):
        p, q = (np.reshape(o['keypoints'], (-1, 3))[:, :2] for o in (people[g], dt[i]))
        out.append(np.exp(-((p - q)**2).sum(1)/(2*SIGMAS)**2/people[g]['area']/2))
    return np.array(out)

def test_repaired_keypoints_are_exactly_where_they_are_said_to_be():
    gt, dt = scene(5, 80)
    found = error_types(gt, dt)
    kinds, before = found[COCO.names].to_numpy(), similarity(gt, dt, found)
    _, near = zip(*(keypoint_errors(*scene_of(gt, dt, r)) for r in found.itertuples(index=False)))
    near = np.array(near)
    for kind, goal in dict(jitter=.85, miss=.5, inversion=near, swap=near).items():
        goal, these = np.broadcast_to(goal, near.shape), kinds == kind
        exact, theirs = (similarity(gt, repair(gt, dt, (kind,), p), found) for p in (False, True))
        assert these.sum() > 10
        assert np.allclose(exact[these], goal[these], rtol=1e-9)
        assert np.allclose(theirs[these], goal[these]**.25, rtol=1e-9)
        assert np.array_equal(exact[~these], before[~these]) and (exact[these] >= before[these] - 1e-9).all()

def scene_of(gt, dt, row):
    "Arguments of `keypoint_errors` for a match"
    everybody = [a for a in gt['annotations'] if a['image_id'] == row.image_id]
    everybody.sort(key=lambda a: a['id'] != row.gt_id)
    truth = np.array([a['keypoints'] for a in everybody], float).reshape(len(everybody), -1, 3)
    area = np.array([a['area'] for a in everybody])
    points = np.reshape(dt[row.dt_index]['keypoints'], (-1, 3))[:, :2]
    return points, truth[..., :2], truth[..., 2], area, COCO

def predictions(persons, noise, seed=0):
    "Results of a network that is off by so many pixels, and takes left for right once in a while"
    rng, points = np.random.default_rng(seed), persons.points.astype(float)
    points = np.where(rng.random((len(points), 1, 1)) < .1, points[:, FLIP], points)
    points = points + rng.normal(0, noise, points.shape)
    return coco_results(persons, points, rng.uniform(.5, 1, points.shape[:2]))

def test_costs_are_those_of_coco_ap():
    persons = mannequins('valid', labelled=True)
    dt = predictions(persons, 2.)
    costs = repair_costs(persons, dt)
    assert list(costs.index) == ['nothing', *ORDER]
    assert costs.AP['nothing'] == coco_ap(persons, dt).AP[0]
    assert costs.AP['inversion'] == coco_ap(persons, repair(persons, dt, ('inversion',))).AP[0]
    assert costs.AP_in_order['jitter'] == coco_ap(persons, repair(persons, dt)).AP[0]
    assert (costs.gain > -1).all() and costs.gain['inversion'] > 5
    assert repair_costs(persons, dt, published=True).gain['inversion'] > costs.gain['inversion'] + .5

def test_nothing_is_repaired_as_nothing_and_has_no_ap():
    gt, dt = as_json([person()], [person()[0] + 5000])
    assert repair(gt, []) == [] and repair(gt, dt) == dt
    with pytest.raises(ValueError, match='empty'): repair_costs(gt, [])

# ---- the command ----

def test_errors_of_a_results_json_need_no_pictures(tmp_path, capsys):
    gt = coco(4, 2)
    (tmp_path/'gt.json').write_text(json.dumps(gt))
    dt = [dict(image_id=a['image_id'], category_id=1, score=.5, keypoints=[v + 1 for v in a['keypoints']])
          for a in gt['annotations']]
    for name in 'ab': (tmp_path/f'{name}.json').write_text(json.dumps(dt))
    words = ['errors', '--results', str(tmp_path/'a.json'), str(tmp_path/'b.json'), '--data',
             str(tmp_path/'gt.json'), '--out', str(tmp_path/'o')]
    assert main(words) == 0
    assert {f.name for f in (tmp_path/'o').iterdir()} == {'errors.csv', 'costs.csv', 'bars.png'}
    assert 'inversion' in capsys.readouterr().out
    table = pd.read_csv(tmp_path/'o'/'errors.csv', keep_default_na=False)
    assert len(table) == 16 and set(table.network) == {str(tmp_path/f'{n}.json') for n in 'ab'}
    assert set(table['tail']) <= {*KINDS, ''}
    assert len(pd.read_csv(tmp_path/'o'/'costs.csv')) == 10
    assert main(words[:1] + words[4:]) == 2 and 'expected' in capsys.readouterr().err

def test_errors_of_shipped_networks_and_of_a_json_with_pictures(tmp_path):
    few = studio('valid', True).subset(range(6))
    ids = set(few.image_ids.tolist())
    gt = {k: [o for o in v if o.get('image_id', o['id']) in ids] if k != 'categories' else v
          for k, v in few.source.items()}
    folder = Path(few.files[0]).parent
    (tmp_path/'gt.json').write_text(json.dumps(gt))
    words = ['errors', 'pose-studio', 'pose-mannequins', '--data', str(tmp_path/'gt.json'), '--pictures',
             str(folder), '--out', str(tmp_path/'o')]
    assert main(words) == 0
    assert {f.name for f in (tmp_path/'o').iterdir()} == {'errors.csv', 'costs.csv', 'bars.png', 'worst.png'}
    assert pd.read_csv(tmp_path/'o'/'errors.csv').groupby('network').size().to_dict() == {
        'pose-studio': 6, 'pose-mannequins': 6}

def test_a_category_can_be_chosen(tmp_path):
    gt = coco(4, 2)
    dog = dict(id=2, name='dog', keypoints=['snout', 'tail'], sigmas=[.1]*2)
    gt['categories'].append(dog)
    for a in gt['annotations'][:2]: a.update(category_id=2, keypoints=a['keypoints'][:6])
    path = write(tmp_path, gt, pictures=False)
    dt = [dict(image_id=a['image_id'], category_id=a['category_id'], score=.5, keypoints=a['keypoints'])
          for a in gt['annotations']]
    (tmp_path/'dt.json').write_text(json.dumps(dt))
    words = ['errors', '--results', str(tmp_path/'dt.json'), '--data', str(path), '--out', str(tmp_path)]
    assert main(words) == 0 and len(pd.read_csv(tmp_path/'errors.csv')) == 6
    assert main([*words, '--category', 'dog']) == 0
    assert pd.read_csv(tmp_path/'errors.csv').snout.tolist() == ['good']*2

def test_errors_in_boxes_of_a_detector(tmp_path):
    few = mannequins('valid', True).subset(range(6))
    boxes = [dict(image_id=int(i), category_id=1, bbox=b, score=.9)
             for i, b in zip(few.image_ids, few.boxes.tolist())]
    (tmp_path/'boxes.json').write_text(json.dumps(boxes))
    words = ['errors', 'pose-mannequins', '--data', 'mannequins', '--boxes', str(tmp_path/'boxes.json')]
    assert main([*words, '--out', str(tmp_path/'o')]) == 0
    assert 3 < len(pd.read_csv(tmp_path/'o'/'errors.csv')) <= 6 and (tmp_path/'o'/'worst.png').exists()

def test_other_keypoints_are_refused(tmp_path, capsys):
    data = coco(2, 1)
    path = write(tmp_path, data)
    assert main(['errors', 'pose-studio', '--data', str(path), '--pictures', str(tmp_path), '--out',
                 str(tmp_path/'o')]) == 2
    assert 'expected the keypoints' in capsys.readouterr().err
