"Slow: that training really learns; and that real people can be read, where the data is there"
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from hsjp.cli import main
from hsjp.crops import crop_cache
from hsjp.evaluate import coco_ap, coco_results
from hsjp.export import export_onnx
from hsjp.finetune import FinetuneRecipe, finetune
from hsjp.models import hrnet, simple_baseline
from hsjp.people import coco_persons, mannequins
from hsjp.predict import predict_batch
from hsjp.pretrain import Stage, pretrain
from hsjp.skeleton import COCO

DATA = Path(__file__).parents[2]/'shared'/'data'
REAL, LSP = DATA/'coco_persons', DATA/'lsp_extended_crops'
real = pytest.mark.skipif(not REAL.is_dir(), reason='real people (shared/data/coco_persons) are not here')

@pytest.mark.slow
def test_puzzles_are_learnt(tmp_path):
    "A small network leaves chance (1/4) on a few mannequins within two minutes"
    torch.set_num_threads(2)
    torch.manual_seed(0)
    some = lambda split, k: mannequins(split).subset(range(k)).view(size=(48, 48), labels=False)
    train, valid = crop_cache(some('train', 1000), tmp_path), crop_cache(some('valid', 128), tmp_path)
    stages = [Stage(2, 32, 8, .1, 1e-3, 32, 50, .3, ())]
    rows = pretrain(train, valid, simple_baseline(4, 18), stages, bf16=False)
    assert rows[-1]['patches'] > .4

@pytest.mark.slow
def test_poses_are_learnt(tmp_path):
    "Sixteen people are learnt by heart; exported, the network finds the same keypoints"
    torch.set_num_threads(2)
    torch.manual_seed(0)
    few = mannequins('train', labelled=True).subset(range(16)).view(size=(96, 64))
    model = simple_baseline(17, 18)
    rows = finetune(few, few, model, FinetuneRecipe(epochs=60, batch=8, affine=(0, 0, 0)), every=60)
    assert rows[-1]['AP (gt boxes)'] > 30
    onnxruntime = pytest.importorskip('onnxruntime')
    export_onnx(model, tmp_path/'pose.onnx', (96, 64))
    images = torch.stack([few[i][0] for i in range(16)])/255
    with torch.no_grad(): points, _ = predict_batch(model.eval(), images, COCO, flip_test=False)
    exported, = onnxruntime.InferenceSession(tmp_path/'pose.onnx').run(['points'], {'images': images.numpy()})
    assert np.abs(exported - points.numpy()).max() < 1e-3

@pytest.mark.parametrize('bf16', (False, True))
def test_bfloat16_by_one_argument(bf16):
    few, valid = mannequins('train').subset(range(16)), mannequins('valid').subset(range(8))
    few, valid = few.view(size=(32, 32)), valid.view(size=(32, 32))
    stages = [Stage(2, 32, 1, .2, 1e-3, 8, 0, 0., ())]
    rows = pretrain(few, valid, hrnet(4, width=8), stages, bf16=bf16, log=lambda s: None)
    assert np.isfinite(rows[-1]['train_loss'])

@real
def test_real_people_are_read():
    people = coco_persons(REAL/'person_keypoints_valid.json', REAL/'images', labelled=True)
    everyone = coco_persons(REAL/'person_keypoints_valid.json', REAL/'images', min_side=32)
    assert len(people) > 500 and len(everyone) > len(people)/2
    crop, points, visible, _ = people.view(size=(96, 64))[0]
    assert crop.shape == (3, 96, 64) and points.shape == (17, 2) and visible.any()
    table = coco_ap(people, coco_results(people, people.points, np.ones(people.visible.shape)))
    assert table.AP[0] > 99

@pytest.mark.slow
@pytest.mark.skipif(not LSP.is_dir(), reason='athletes (shared/data/lsp_extended_crops) are not here')
def test_athletes_from_labels_to_drawings(tmp_path, capsys):
    "Another data set by the commands alone: fine-tune, evaluate, draw; no face is labelled, so none counts"
    for split, k in (('train', 160), ('valid', 80)):
        d = json.loads((LSP/f'person_keypoints_{split}.json').read_text())
        ids = {i['id'] for i in d['images'][:k]}
        d |= dict(images=d['images'][:k], annotations=[a for a in d['annotations'] if a['image_id'] in ids])
        (tmp_path/f'{split}.json').write_text(json.dumps(d))
    pictures = ['--pictures', str(LSP/'images')]
    run = lambda *words: main(list(map(str, words)))
    train, valid, pose = tmp_path/'train.json', tmp_path/'valid.json', tmp_path/'pose'/'pose.pt'
    how = ['--labels', 1, '--size', 64, 64, '--epochs', 8]
    assert run('finetune', '--data', train, '--valid', valid, *pictures, *how, '--out', tmp_path/'pose') == 0
    assert run('evaluate', pose, '--data', valid, *pictures, '--out', tmp_path/'table') == 0
    some = [LSP/'images'/i['file_name'] for i in d['images'][:3]]
    assert run('predict', pose, *some, '--out', tmp_path/'drawn') == 0
    assert len(list((tmp_path/'drawn').glob('*.png'))) == 3
    assert len(json.loads((tmp_path/'drawn'/'keypoints.json').read_text())) == 3
    by_keypoint = pd.read_csv(tmp_path/'table'/'by-keypoint.csv')
    assert by_keypoint.filter(regex='nose|eye|ear').isna().all(axis=None)
    assert by_keypoint.filter(regex='hip').notna().all(axis=None)
