"OKS against pycocotools; NMS against the plain loop; detectors' boxes; AP taken apart; the half pixel, once"
import contextlib
import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image, ImageOps
from pycocotools.coco import COCO as Api
from pycocotools.cocoeval import COCOeval
from torch.nn import functional as F
from torchvision.models.detection import fasterrcnn_resnet50_fpn

from hsjp.detect import detect, detections, fasterrcnn
from hsjp.evaluate import coco_ap, coco_ap_by_keypoint, coco_ap_by_threshold, coco_results, oks, oks_nms
from hsjp.models import denormalise
from hsjp.people import PersonDataset, coco_persons, coco_pictures, image_folder
from hsjp.predict import predict, predict_batch
from hsjp.skeleton import COCO, Skeleton

REAL = Path(__file__).parents[2]/'shared'/'data'/'coco_persons'

def scene(rng, images=4, people=3):
    "A random COCO-format ground truth; some persons without labels"
    annotations = []
    for i in range(images*people):
        kp = np.concatenate([rng.integers(0, 200, (17, 2)), rng.integers(0, 3, (17, 1))*(i % 4 > 0)], 1)
        x, y, w, h = *rng.uniform(0, 80, 2), *rng.uniform(30, 120, 2)
        annotations.append(dict(
            id=i+1, image_id=i % images + 1, category_id=1, iscrowd=0, bbox=[x, y, w, h], area=w*h*.6,
            keypoints=kp.ravel().tolist(), num_keypoints=int((kp[:, 2] > 0).sum())))
    return dict(images=[dict(id=i+1, file_name=f'{i}.png', width=200, height=200) for i in range(images)],
                annotations=annotations,
                categories=[dict(id=1, name='person', keypoints=COCO.names, skeleton=[])])

def guess(rng, image_id):
    "A random result, in COCO's form"
    score = float(rng.random())
    keypoints = np.concatenate([rng.uniform(0, 200, (17, 2)), np.ones((17, 1))], 1).ravel().tolist()
    return dict(image_id=image_id, category_id=1, score=score, keypoints=keypoints)

@pytest.mark.parametrize('seed', range(5))
def test_oks_is_pycocotools(seed):
    rng = np.random.default_rng(seed)
    data = scene(rng)
    results = [guess(rng, i+1) for i in range(4) for _ in range(3)]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = Api(); gt.dataset = data; gt.createIndex()
        e = COCOeval(gt, gt.loadRes(results), 'keypoints'); e._prepare()
    for image in range(1, 5):
        g, d = e._gts[image, 1], sorted(e._dts[image, 1], key=lambda d: -d['score'])
        kg, kd = (np.array([o['keypoints'] for o in s], float).reshape(-1, 17, 3) for s in (g, d))
        area, boxes = ([o[key] for o in g] for key in ('area', 'bbox'))
        ours = oks(kd[..., :2], kg[..., :2], kg[..., 2], area, COCO.sigmas, boxes)
        assert np.abs(ours - e.computeOks(image, 1)).max() < 1e-9

@pytest.fixture
def persons(tmp_path):
    data = scene(np.random.default_rng(1))
    for im in data['images']: Image.new('RGB', (200, 200)).save(tmp_path/im['file_name'])
    (tmp_path/'p.json').write_text(json.dumps(data))
    return coco_persons(tmp_path/'p.json', tmp_path, labelled=True)

def test_perfect_predictions_have_ap_100(persons):
    sure = np.ones(persons.visible.shape)
    table = coco_ap(persons, coco_results(persons, persons.points.astype(float), sure))
    assert table.AP[0] == 100 and table.boxes[0] == 'ground truth' and len(table.columns) == 11
    mirrored = coco_results(persons, persons.points[:, COCO.flip.numpy()], sure)
    assert coco_ap(persons, mirrored).AP[0] < 60

def test_written_is_read(persons):
    read = {a['id']: np.array(a['keypoints']).reshape(17, 3)[:, :2] for a in persons.source['annotations']}
    for r, i in zip(coco_results(persons, persons.points, np.ones(persons.visible.shape)), persons.ids):
        assert np.array_equal(np.array(r['keypoints']).reshape(17, 3)[:, :2], read[i])

def test_crop_and_back(persons):
    for size, margin in (((96, 64), 1.), ((128, 128), 1.25), ((64, 96), 1.5)):
        v = persons.view(size=size, margin=margin)
        assert np.abs(v.to_picture(v.to_crop(v.points)) - v.points).max() < 1e-3

def test_crops_are_exact_to_the_half_pixel(tmp_path):
    yy, xx = np.mgrid[:200, :200] + .5
    Image.fromarray(np.uint8(255*np.exp(-((xx-90.3)**2 + (yy-70.8)**2)/200))).save(tmp_path/'a.png')
    p = image_folder(tmp_path); p.boxes[:] = 30.2, 21.7, 101.3, 88.8; p.pad = 1.25
    v = p.view(size=(128, 128))
    crop = v[0][0][0].double().numpy(); crop[crop < 20] = 0
    yy, xx = np.mgrid[:128, :128] + .5
    found = np.array([(crop*xx).sum(), (crop*yy).sum()])/crop.sum()
    assert np.abs(v.to_crop(np.array([[[90.3, 70.8]]]))[0, 0] - found).max() < .05

def test_other_keypoint_sets():
    with pytest.warns(UserWarning, match='no OKS sigmas'):
        s = Skeleton(['nose', 'left_paw', 'right_paw'], [(0, 1)])
    assert s.flip.tolist() == [0, 2, 1]

class Dots(torch.nn.Module):
    "Three keypoints, one on the red dot and two beside the green; equivariant under mirroring by its form"
    stride, task = 4, 'pose'
    # the two lie `apart` crop pixels right and left of the green dot; if `apart` is 0, on green and on blue
    def __init__(self, grid='half-pixel', apart=0, sigma=4., reach=24):
        super().__init__()
        self.grid, side = grid, 2*reach + (grid == 'index')
        self.padding = reach if grid == 'index' else reach - 2
        at = torch.arange(side) - (side-1)/2
        bell = lambda shift: torch.exp(-(at + shift)**2/(2*sigma**2))
        kernel = lambda shift: bell(0)[:, None]*bell(shift)/(sigma**2*10)
        weight = torch.zeros(3, 3, side, side)
        for k, (colour, shift) in enumerate([(0, 0), (1, apart), (1 if apart else 2, -apart)]):
            weight[k, colour] = kernel(shift)
        self.weight = torch.nn.Parameter(weight)
    def forward(self, x):
        return F.conv2d(denormalise(x).contiguous(), self.weight, stride=4, padding=self.padding)

def dots(points, size, sigma=3.):
    "Red, green and blue dots at points (..., 3, 2): (..., 3, H, W) float"
    yy, xx = torch.meshgrid(torch.arange(size[0])+.5, torch.arange(size[1])+.5, indexing='ij')
    p = torch.as_tensor(points).float()[..., None, None]
    return torch.exp(-((xx - p[..., 0, :, :])**2 + (yy - p[..., 1, :, :])**2)/(2*sigma**2))

@pytest.mark.parametrize('grid', ('half-pixel', 'index'))
@pytest.mark.parametrize('flip_test', (False, True))
def test_a_mirrored_picture_gives_the_mirrored_pose(grid, flip_test):
    hands = Skeleton(['nose', 'left_hand', 'right_hand'], [], sigmas=[.07]*3)
    where = 30 + 36*torch.rand(16, 3, 2, generator=torch.Generator().manual_seed(0))
    images, network = dots(where, (128, 96)), Dots(grid, apart=6)
    there, back = (predict_batch(network, x, hands, flip_test)[0] for x in (images, images.flip(-1)))
    mirrored = torch.stack([96 - back[..., 0], back[..., 1]], -1)[:, hands.flip]
    assert (there - mirrored).abs().max() < .01
    aside = torch.tensor([6, 0])
    want = torch.stack([where[:, 0], where[:, 1] + aside, where[:, 1] - aside], 1)
    assert (there - want).abs().max() < .02

THREE = dict(id=7, name='beetle', keypoints=['head', 'body', 'tail'], skeleton=[])

@pytest.fixture(scope='module')
def beetles(tmp_path_factory):
    "Four beetles in each of seven pictures; the fourth is never annotated, and in the seventh none is"
    folder, rng, images, annotations = tmp_path_factory.mktemp('beetles'), np.random.default_rng(0), [], []
    for i in range(1, 8):
        picture = torch.zeros(3, 200, 200)
        for j, corner in enumerate([(0, 0), (100, 0), (0, 100), (100, 100)]):
            points = np.array(corner) + rng.integers(30, 70, (3, 2)) + .5
            picture += dots(points, (200, 200))
            if j == 3 or i == 7: continue
            annotations.append(dict(
                id=len(annotations)+1, image_id=i, category_id=7, bbox=[corner[0]+15, corner[1]+15, 70, 70],
                area=3000, keypoints=np.concatenate([points - .5, [[2]]*3], 1).ravel().tolist()))
        pixels = (255*picture.clamp(max=1)).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(folder/f'{i}.png')
        images.append(dict(id=i, file_name=f'{i}.png', width=200, height=200))
    data = dict(images=images, annotations=annotations, categories=[THREE])
    (folder/'b.json').write_text(json.dumps(data))
    bare = {k: v for k, v in THREE.items() if k != 'keypoints'}
    (folder/'dev.json').write_text(json.dumps(dict(images=images, categories=[bare])))
    return folder

def looked_at(annotations, folder):
    "All pictures at 96 x 96, with a skeleton whose keypoints have no mirror pairs"
    p = coco_pictures(folder/annotations, folder).view(size=(96, 96))
    p.skeleton = Skeleton(THREE['keypoints'], [], sigmas=[.07]*3)
    return p

def boxes_around(folder, rng, jitter=3., score=.9):
    "One detection for every annotated beetle, in COCO's form"
    moved = lambda box: (np.array(box) + rng.normal(0, jitter, 4)).tolist()
    return [dict(image_id=a['image_id'], category_id=7, bbox=moved(a['bbox']), score=score)
            for a in json.loads((folder/'b.json').read_text())['annotations']]

def ap_in(boxes, nms=.9):
    return coco_ap(boxes, coco_results(boxes, *predict(Dots(), boxes, bf16=False), nms=nms))

def test_two_stages_on_whole_pictures(beetles, tmp_path):
    rng, pictures = np.random.default_rng(1), looked_at('b.json', beetles)
    good, doubles = boxes_around(beetles, rng), boxes_around(beetles, rng, score=.85)
    (tmp_path/'found.json').write_text(json.dumps(good))
    found = detections(pictures, tmp_path/'found.json')
    table = ap_in(found)
    assert table.AP[0] == 100 and table.boxes[0] == 'found.json'
    assert ap_in(detections(pictures, good + doubles)).AP[0] == 100
    assert ap_in(detections(pictures, good + doubles), nms=1.).AP[0] < 99
    false = [dict(image_id=i, category_id=7, bbox=[115, 115, 70, 70], score=.95) for i in range(1, 7)]
    assert ap_in(detections(pictures, good + false)).AP[0] < 95
    assert ap_in(detections(pictures, good + [dict(f, score=.1) for f in false])).AP[0] == 100

def test_every_picture_that_was_looked_at_counts(beetles):
    rng, pictures = np.random.default_rng(2), looked_at('b.json', beetles)
    good = boxes_around(beetles, rng)
    assert ap_in(detections(pictures, [g for g in good if g['image_id'] != 3])).AP[0] < 90
    extra = dict(image_id=7, category_id=7, bbox=[15, 15, 70, 70], score=1.)
    assert ap_in(detections(pictures, good + [extra])).AP[0] < 100
    few = pictures.subset(pictures.image_ids != 3)
    assert ap_in(detections(few, good)).AP[0] == 100

def test_results_say_their_category_and_rescore(beetles):
    boxes = boxes_around(beetles, np.random.default_rng(3), score=.5)
    found = detections(looked_at('b.json', beetles), boxes)
    results = coco_results(found, np.zeros((len(found), 3, 2)), np.tile([.1, .4, .8], (len(found), 1)))
    assert results[0]['category_id'] == 7 and abs(results[0]['score'] - .5*.6) < 1e-12

def test_mirrored_files_give_mirrored_points(beetles, tmp_path):
    pictures = looked_at('b.json', beetles)
    found = detections(pictures, boxes_around(beetles, np.random.default_rng(4)))
    for f in set(found.files): ImageOps.mirror(Image.open(f)).save(tmp_path/Path(f).name)
    boxes = found.boxes.copy(); boxes[:, 0] = 200 - boxes[:, 0] - boxes[:, 2]
    files = [tmp_path/Path(f).name for f in found.files]
    mirrored = PersonDataset(files, boxes, found.skeleton).view(size=(96, 96))
    for grid in ('half-pixel', 'index'):
        there, back = (predict(Dots(grid), p, bf16=False)[0] for p in (found, mirrored))
        back = np.stack([200 - back[..., 0], back[..., 1]], -1)
        assert np.abs(there - back).max() < .05   # crops are rounded to uint8

def test_order_of_boxes_and_batches_do_not_matter(beetles, monkeypatch):
    found = detections(looked_at('b.json', beetles), boxes_around(beetles, np.random.default_rng(5)))
    points, scores = predict(Dots(), found, bf16=False)
    order, opened, real = np.random.default_rng(0).permutation(len(found)), [], Image.open
    monkeypatch.setattr(Image, 'open', lambda f: opened.append(f) or real(f))
    again = predict(Dots(), found.subset(order), batch=5, bf16=False)
    assert np.allclose(again[0], points[order]) and np.allclose(again[1], scores[order])
    assert len(opened) == len(set(found.files))

def test_an_image_list_is_enough_for_results(beetles):
    found = detections(looked_at('dev.json', beetles), boxes_around(beetles, np.random.default_rng(6)))
    results = coco_results(found, *predict(Dots(), found, bf16=False), nms=.9)
    assert len(results) == 18 and len(results[0]['keypoints']) == 9
    for measure in (coco_ap, coco_ap_by_threshold, coco_ap_by_keypoint):
        with pytest.raises(ValueError, match='no annotations'): measure(found, results)

@pytest.mark.parametrize('found,sentence', [
    ([dict(image_id=1)], 'is no list of boxes'),
    ([dict(image_id=1, category_id=7, bbox=[1, 2, 3], score=1)], 'is no list of boxes'),
    ([dict(image_id=99, category_id=7, bbox=[1, 2, 3, 4], score=1)], 'no box of category 7'),
    ([], 'no box'),
    ([dict(image_id=1, category_id=7, bbox=[1, 2, float('nan'), 4], score=1)], 'NaN')])
def test_bad_detections_end_with_a_sentence(beetles, found, sentence):
    pictures = coco_pictures(beetles/'b.json', beetles)
    with pytest.raises(ValueError, match=sentence): detections(pictures, found)

def test_bad_image_lists_end_with_a_sentence(beetles, tmp_path):
    (tmp_path/'x.json').write_text('{"images": [{"id": 1}]}')
    with pytest.raises(ValueError, match="'file_name'"): coco_pictures(tmp_path/'x.json', tmp_path)
    with pytest.raises(FileNotFoundError, match='no such picture'): coco_pictures(beetles/'b.json', tmp_path)

def test_any_function_is_a_detector(beetles):
    pictures, shapes = looked_at('b.json', beetles), []
    def made_up(picture):
        shapes.append((tuple(picture.shape), picture.dtype))
        if len(shapes) > 2: return torch.zeros(0, 4), torch.zeros(0)
        return torch.tensor([[15., 15, 70, 70], [0, 0, 0, 9]]), torch.tensor([.9, .8])
    found = detect(pictures, made_up, 'mine')
    assert set(shapes) == {((3, 200, 200), torch.uint8)}
    assert len(found) == 2 and len(shapes) == 7 and len(found.looked) == 7
    assert ap_in(found).boxes[0] == 'mine'
    read = detections(pictures, found.records())
    assert np.array_equal(read.boxes, found.boxes) and np.allclose(read.scores, found.scores)
    assert np.array_equal(read.image_ids, found.image_ids)

def test_faster_rcnn_is_one(beetles, tmp_path):
    torch.manual_seed(0)
    network = fasterrcnn_resnet50_fpn(weights=None, weights_backbone=None)
    network.roi_heads.box_predictor.cls_score.bias.data[1] = 5   # random weights that see people everywhere
    torch.save(network.state_dict(), tmp_path/'w.pth')
    picture = torch.randint(0, 255, (3, 64, 96), dtype=torch.uint8)
    boxes, scores = fasterrcnn(tmp_path/'w.pth', size=64, device='cpu')(picture)
    assert boxes.shape == (len(scores), 4) and len(scores) and (scores > .05).all()
    assert (boxes >= 0).all() and (boxes[:, :2] + boxes[:, 2:] <= torch.tensor([96.01, 64.01])).all()
    assert fasterrcnn(None, min_score=.9, size=64, device='cpu')(picture)[0].shape == (0, 4)
    torch.save({'a': torch.zeros(1)}, tmp_path/'x.pth')
    with pytest.raises(ValueError, match='fasterrcnn_resnet50_fpn'): fasterrcnn(tmp_path/'x.pth')
    with pytest.raises(FileNotFoundError, match='no such file'): fasterrcnn(tmp_path/'nowhere.pth')

def plain_nms(points, scores, area, sigmas, threshold):
    "The published loop, one picture"
    order, keep, var = list(np.argsort(-scores, kind='stable')), [], (np.array(sigmas)*2)**2
    def alike(i, j):
        e = ((points[i] - points[j])**2).sum(-1)/var/((area[i] + area[j])/2 + np.spacing(1))/2
        return np.exp(-e).mean()
    while order:
        i, rest = order[0], order[1:]
        keep.append(i)
        order = [j for j in rest if alike(i, j) <= threshold]
    return keep

@pytest.mark.parametrize('seed', range(12))
def test_nms_is_the_published_loop(seed):
    rng, m = np.random.default_rng(seed), 200
    k, threshold = (17, .9) if seed % 3 else (int(rng.integers(1, 6)), .5)
    sigmas = COCO.sigmas[:k]
    poses, ids = rng.uniform(0, 200, (5, k, 2)), rng.integers(0, 6, m)*1000
    points = poses[rng.integers(0, 5, m)] + rng.normal(0, 1, (m, k, 2))*rng.uniform(0, 8, (m, 1, 1))
    scores, area = rng.random(m).round(1 if seed % 2 else 9), rng.uniform(500, 40000, m)
    want = []
    for image in np.unique(ids):
        rows = np.flatnonzero(ids == image)
        want += [rows[i] for i in plain_nms(points[rows], scores[rows], area[rows], sigmas, threshold)]
    kept = oks_nms(points, scores, area, sigmas, threshold, ids)
    assert sorted(kept) == sorted(want) and 0 < len(want) < m and (np.diff(scores[kept]) <= 0).all()
    together = plain_nms(points, scores, area, sigmas, threshold)
    assert oks_nms(points, scores, area, sigmas, threshold).tolist() == together

def test_nms_of_nothing_and_of_one():
    assert len(oks_nms(np.zeros((0, 17, 2)), [], [], COCO.sigmas)) == 0
    assert oks_nms(np.zeros((1, 17, 2)), [.3], [9.], COCO.sigmas).tolist() == [0]

def test_ap_taken_apart(persons):
    rng, sure = np.random.default_rng(0), np.ones(persons.visible.shape)
    rough = coco_results(persons, persons.points + rng.normal(0, 5, persons.points.shape), sure)
    by_threshold = coco_ap_by_threshold(persons, rough, 'mine')
    assert list(by_threshold.columns) == ['boxes', *(f'{t/100:.2f}' for t in range(50, 100, 5))]
    assert by_threshold.boxes[0] == 'mine'
    assert abs(by_threshold.iloc[0, 1:].mean() - coco_ap(persons, rough).AP[0]) < .01
    centres = (persons.boxes[:, :2] + persons.boxes[:, 2:]/2)[:, None]
    moved = np.where(persons.visible[..., None] > 0, persons.points, centres)
    moved[:, 9] += 500
    apart = coco_ap_by_keypoint(persons, coco_results(persons, moved, sure)).iloc[0]
    assert apart['boxes'] == 'ground truth' and apart['left_wrist'] == 0
    assert (apart.drop(['boxes', 'left_wrist']) == 100).all()

def test_one_keypoint_is_pycocotools_on_one_keypoint(persons):
    "The same number from files that hold no other keypoint; persons without it are ignored either way"
    rng = np.random.default_rng(1)
    rough = persons.points + rng.normal(0, 6, persons.points.shape)
    results = coco_results(persons, rough, rng.random(persons.visible.shape))
    one = lambda a: a['keypoints'][15:18]
    labelled = [a for a in persons.source['annotations'] if any(a['keypoints'][2::3])]
    annotations = [dict(a, keypoints=one(a), num_keypoints=int(one(a)[2] > 0)) for a in labelled]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = Api()
        gt.dataset = dict(persons.source, annotations=annotations)
        gt.createIndex()
        e = COCOeval(gt, gt.loadRes([dict(r, keypoints=one(r)) for r in results]), 'keypoints')
        e.params.kpt_oks_sigmas = np.array(COCO.sigmas[5:6])
        e.evaluate(); e.accumulate(); e.summarize()
    assert abs(coco_ap_by_keypoint(persons, results).left_shoulder[0] - 100*e.stats[0]) < .01

@pytest.mark.slow
@pytest.mark.skipif(not REAL.is_dir(), reason='real people (shared/data/coco_persons) are not here')
def test_boxes_matter_on_real_people(capsys):
    "Points off by 1.5 crop pixels, none beyond the edge: worse boxes cost AP, so do boxes around nobody"
    rng, pictures = np.random.default_rng(0), coco_pictures(REAL/'person_keypoints_valid.json', REAL/'images')
    people = coco_persons(REAL/'person_keypoints_valid.json', REAL/'images', labelled=True)
    def seen(boxes, who):
        width, height = boxes.size[::-1]
        truth = boxes.to_crop(people.points[who])
        return boxes.to_picture((truth + rng.normal(0, 1.5, truth.shape)).clip(0, [width, height]))
    def found(jitter, false=0):
        centre, side = people.boxes[:, :2] + people.boxes[:, 2:]/2, people.boxes[:, 2:]
        wrong = rng.integers(0, len(people), false)
        centre = centre + rng.normal(0, jitter, centre.shape)*side
        centre = np.concatenate([centre, rng.uniform(50, 400, (false, 2))])
        side = np.concatenate([side*np.exp(rng.normal(0, jitter, side.shape)), side[wrong]])
        ids = np.concatenate([people.image_ids, people.image_ids[wrong]])
        sure = np.concatenate([rng.uniform(.5, 1, len(people)), rng.uniform(.8, 1, false)])
        records = [dict(image_id=int(i), category_id=1, bbox=[*(c - s/2), *s], score=t)
                   for i, c, s, t in zip(ids, centre, side, sure)]
        boxes = detections(pictures, records, whose=f'jitter {jitter}, {false} false')
        points = seen(boxes, np.concatenate([np.arange(len(people)), wrong]))
        return coco_ap(boxes, coco_results(boxes, points, np.ones(points.shape[:2]), nms=.9))
    points = seen(people, slice(None))
    true = coco_ap(people, coco_results(people, points, np.ones(people.visible.shape), nms=.9))
    table = pd.concat([true, found(.05), found(.15), found(.05, 200)], ignore_index=True)
    with capsys.disabled(): print('\n' + table.to_string())
    assert table.AP[0] > table.AP[1] > table.AP[2] and table.AP[1] > table.AP[3]
