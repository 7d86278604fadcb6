"OKS against pycocotools; AP of perfect, mirrored and shifted predictions; the half pixel comes and goes once"
import contextlib, io, json
import numpy as np, pytest, torch
from PIL import Image
from pycocotools.coco import COCO as Api
from pycocotools.cocoeval import COCOeval
from hsjp.evaluate import coco_ap, coco_results, oks
from hsjp.people import COCO, Skeleton, coco_persons, image_folder

def scene(rng, images=4, people=3):
    "A random COCO-format ground truth; some persons without labels"
    annotations = []
    for i in range(images*people):
        kp = np.concatenate([rng.integers(0, 200, (17, 2)), rng.integers(0, 3, (17, 1))*(i % 4 > 0)], 1)
        x, y, w, h = *rng.uniform(0, 80, 2), *rng.uniform(30, 120, 2)
        annotations.append(dict(id=i+1, image_id=i % images + 1, category_id=1, iscrowd=0, keypoints=kp.ravel().tolist(), bbox=[x, y, w, h], area=w*h*.6,
                                num_keypoints=int((kp[:, 2] > 0).sum())))
    return dict(images=[dict(id=i+1, file_name=f'{i}.png', width=200, height=200) for i in range(images)], annotations=annotations,
                categories=[dict(id=1, name='person', keypoints=COCO.names, skeleton=[])])

@pytest.mark.parametrize('seed', range(5))
def test_oks_is_pycocotools(seed):
    rng = np.random.default_rng(seed)
    data = scene(rng)
    results = [dict(image_id=i+1, category_id=1, score=float(rng.random()), keypoints=np.concatenate([rng.uniform(0, 200, (17, 2)), np.ones((17, 1))], 1).ravel().tolist()) for i in range(4) for _ in range(3)]
    with contextlib.redirect_stdout(io.StringIO()):
        gt = Api(); gt.dataset = data; gt.createIndex()
        e = COCOeval(gt, gt.loadRes(results), 'keypoints'); e._prepare()
    for image in range(1, 5):
        g, d = e._gts[image, 1], sorted(e._dts[image, 1], key=lambda d: -d['score'])
        kg, kd = (np.array([o['keypoints'] for o in s], float).reshape(-1, 17, 3) for s in (g, d))
        ours = oks(kd[..., :2], kg[..., :2], kg[..., 2], [o['area'] for o in g], COCO.sigmas, [o['bbox'] for o in g])
        assert np.abs(ours - e.computeOks(image, 1)).max() < 1e-9

@pytest.fixture
def persons(tmp_path):
    data = scene(np.random.default_rng(1))
    for im in data['images']: Image.new('RGB', (200, 200)).save(tmp_path/im['file_name'])
    (tmp_path/'p.json').write_text(json.dumps(data))
    return coco_persons(tmp_path/'p.json', tmp_path, labelled=True)

def test_perfect_predictions_have_ap_100(persons):
    results = coco_results(persons, persons.points.astype(float), np.ones(persons.visible.shape))
    table = coco_ap(persons, results)
    assert table.AP[0] == 100 and table.boxes[0] == 'ground truth' and len(table.columns) == 11
    assert coco_ap(persons, coco_results(persons, persons.points[:, COCO.flip.numpy()], np.ones(persons.visible.shape))).AP[0] < 60

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
    with pytest.warns(UserWarning, match='no OKS sigmas'): s = Skeleton(['nose', 'left_paw', 'right_paw'], [(0, 1)])
    assert s.flip.tolist() == [0, 2, 1]
