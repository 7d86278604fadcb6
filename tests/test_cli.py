"The commands on small data: what they leave, and how they refuse"
import json

import pandas as pd
import pytest
import torch
from PIL import Image

from hsjp.cli import main
from hsjp.heatmap import decode_heatmaps
from hsjp.models import normalise
from hsjp.people import mannequins
from hsjp.weights import load_checkpoint


@pytest.fixture(scope='module')
def small(tmp_path_factory):
    "Twelve mannequins as a COCO-format json with its pictures, and as a plain folder"
    folder, people = tmp_path_factory.mktemp('data'), mannequins('train', labelled=True)
    files = list(dict.fromkeys(people.files))[:12]
    (folder/'images').mkdir()
    names = {f: f'{i}.png' for i, f in enumerate(files)}
    for f, name in names.items(): Image.open(f).convert('RGB').save(folder/'images'/name)
    ids = {int(i) for i, f in zip(people.image_ids, people.files) if f in names}
    wanted = {i: f for i, f in zip(people.image_ids, people.files)}
    images = [im for im in people.source['images'] if im['id'] in ids]
    images = [dict(im, file_name=names[wanted[im['id']]]) for im in images]
    annotations = [a for a in people.source['annotations'] if a['image_id'] in ids]
    data = dict(people.source, images=images, annotations=annotations)
    (folder/'people.json').write_text(json.dumps(data))
    return folder

def finetune_words(small, out):
    "One short epoch on all the labels"
    return ['finetune', '--data', str(small/'people.json'), '--labels', '1', '--size', '64', '64',
            '--epochs', '1', '--batch', '4', '--out', str(out)]

@pytest.fixture(scope='module')
def trained(small, tmp_path_factory):
    out = tmp_path_factory.mktemp('runs')
    pre = ['pretrain', '--data', str(small/'images'), '--puzzles', '20', '20', '--size', '32']
    assert main([*pre, '--out', str(out/'puzzles')]) == 0
    assert main([*finetune_words(small, out/'hsjp'), '--weights', str(out/'puzzles'/'best.pt')]) == 0
    return out

def test_checkpoints_say_how_they_were_made(trained):
    model, checkpoint = load_checkpoint(trained/'hsjp'/'pose.pt')
    recipe = checkpoint['recipe']
    assert checkpoint['task'] == 'pose' and recipe['start'] == 'best.pt' and recipe['labels'] == 1
    assert load_checkpoint(trained/'puzzles'/'best.pt')[1]['recipe']['stages'][0]['n'] == 2

def test_finetune_from_rescaled_weights(small, trained, tmp_path):
    "The checkpoint says so, and the training is another"
    words = [*finetune_words(small, tmp_path), '--weights', str(trained/'puzzles'/'best.pt'), '--rescale']
    assert main(words) == 0
    model, checkpoint = load_checkpoint(tmp_path/'pose.pt')
    plain, as_they_are = load_checkpoint(trained/'hsjp'/'pose.pt')
    assert checkpoint['recipe']['rescale'] and not as_they_are['recipe']['rescale']
    assert not model.conv1.weight.equal(plain.conv1.weight)

@pytest.mark.parametrize('words, want', [
    (['--recipe', 'published', '--model', 'hrnet', '--width', '4'],
     dict(normal=True, half_body=.3, affine=[45, .35, 0], drops=[170/210, 200/210])),
    (['--recipe', 'published'],
     dict(normal=True, half_body=0., affine=[40, .3, 0], drops=[90/140, 120/140])),
    (['--recipe', 'paper'], dict(normal=False, half_body=0., affine=[45, .35, 0], sigma=2.))])
def test_finetune_by_recipe(words, want, small, tmp_path):
    "The recipe goes with --model, what is given on the line wins, and the checkpoint says it all"
    assert main([*finetune_words(small, tmp_path), *words]) == 0
    recipe = load_checkpoint(tmp_path/'pose.pt')[1]['recipe']
    want = dict(want, size=[64, 64], epochs=1, batch=4, lr=1e-3, margin=1.75)
    plain = {k: list(v) if isinstance(v, tuple) else v for k, v in recipe.items()}
    assert {k: plain[k] for k in want} == want

def test_puzzles_from_shards(small, tmp_path, capsys):
    "Cut and packed by one command, learnt by another"
    out, last = str(tmp_path/'shards'), ['--out', str(tmp_path/'run'), '--overwrite']
    run = lambda *words: main([*words, *last])
    assert main(['shards', '--data', str(small/'images'), '--size', '32', '--each', '3', '--out', out]) == 0
    puzzles = ['pretrain', '--data', out, '--puzzles', '20', '--size', '32']
    assert run(*puzzles, '--accumulate', '2', '--ema', '0.9') == 0
    recipe = load_checkpoint(tmp_path/'run'/'best.pt')[1]['recipe']
    assert recipe['inside'] and recipe['accumulate'] == 2 and recipe['ema'] == .9
    plan = f'{out}/train/shards.json'
    for words, said in (([*puzzles, '--pad', '1.2'], 'neither --pad nor --min-side'),
                        ([*puzzles, '--size', '64'], 'have 36 x 36 pixels; expected squares of at least 64'),
                        ([*puzzles, '--valid', 'studio'], 'studio holds no shards for validation'),
                        ([*puzzles, '--data', plan], 'holds no shards for validation'),
                        ([*puzzles, '--sync-bn', '--device', 'cpu'], '--sync-bn needs CUDA')):
        assert run(*words) == 2 and said in capsys.readouterr().err
    assert run(*puzzles, '--data', plan, '--valid', f'{out}/valid/shards.json') == 0

def test_export_finds_the_same_keypoints(trained, tmp_path):
    onnxruntime = pytest.importorskip('onnxruntime')
    assert main(['export', str(trained/'hsjp'/'pose.pt'), '--out', str(tmp_path/'pose.onnx')]) == 0
    images, model = torch.rand(3, 3, 64, 64), load_checkpoint(trained/'hsjp'/'pose.pt')[0].eval()
    session = onnxruntime.InferenceSession(tmp_path/'pose.onnx')
    heatmaps, points, _ = session.run(None, {'images': images.numpy()})
    with torch.no_grad(): ours = model(normalise(images)).numpy()
    assert abs(heatmaps - ours).max() < 1e-4*abs(ours).max()
    # points of its own maps: hardly trained, they are so rough that ours would move them, see test_models.py
    assert abs(points - decode_heatmaps(torch.from_numpy(heatmaps))[0].numpy()).max() < 1e-3

def test_evaluate_gives_one_table(small, trained):
    pose = str(trained/'hsjp'/'pose.pt')
    assert main(['evaluate', pose, pose, '--data', str(small/'people.json'), '--out', str(trained/'e')]) == 0
    table = pd.read_csv(trained/'e'/'evaluation.csv')
    assert len(table) == 2 and {'AP', 'AP50', 'AP75', 'boxes'} <= set(table.columns)
    assert (trained/'e'/'evaluation.md').read_text().count('|') > 20

def test_predict_leaves_json_and_overlays(small, trained):
    pictures = sorted(map(str, (small/'images').iterdir()))[:2]
    assert main(['predict', str(trained/'hsjp'/'pose.pt'), *pictures, '--out', str(trained/'p')]) == 0
    found = json.loads((trained/'p'/'keypoints.json').read_text())
    assert len(found) == 2 and len(found[0]['keypoints']) == 51
    assert len(list((trained/'p').glob('*.png'))) == 2

def found_in(small):
    "A made-up detection for every person, in COCO's form"
    annotations = json.loads((small/'people.json').read_text())['annotations']
    return [dict(image_id=a['image_id'], category_id=1, bbox=a['bbox'], score=.9) for a in annotations]

def detector_of(boxes, scores):
    "Stands in for `fasterrcnn`: the same boxes in every picture"
    return lambda weights, *a, **kw: lambda picture: (boxes, scores)

def test_evaluate_in_boxes_of_a_detector(small, trained, monkeypatch, tmp_path):
    words = ['evaluate', str(trained/'hsjp'/'pose.pt'), '--data', str(small/'people.json'), '--boxes']
    (tmp_path/'found.json').write_text(json.dumps(found_in(small)))
    assert main([*words, str(tmp_path/'found.json'), '--out', str(tmp_path/'a')]) == 0
    for name in ('evaluation', 'by-threshold', 'by-keypoint'):
        assert pd.read_csv(tmp_path/'a'/f'{name}.csv').boxes.tolist() == ['found.json']
        assert (tmp_path/'a'/f'{name}.md').exists()
    two = detector_of([[10, 10, 90, 150], [20, 20, 90, 150]], [.9, .8])
    monkeypatch.setattr('hsjp.detect.fasterrcnn', two)
    assert main([*words, 'fasterrcnn', '--out', str(tmp_path/'b')]) == 0
    assert pd.read_csv(tmp_path/'b'/'evaluation.csv').boxes[0] == 'Faster R-CNN'
    assert len(json.loads((tmp_path/'b'/'boxes.json').read_text())) == 24

def test_evaluate_without_annotations_leaves_results(small, trained, tmp_path, capsys):
    images = json.loads((small/'people.json').read_text())['images']
    (tmp_path/'found.json').write_text(json.dumps(found_in(small)))
    (tmp_path/'dev.json').write_text(json.dumps(dict(images=images)))
    words = ['evaluate', str(trained/'hsjp'/'pose.pt'), '--data', str(tmp_path/'dev.json'),
             '--pictures', str(small/'images'), '--boxes', str(tmp_path/'found.json'), '--nms', '1']
    assert main([*words, '--out', str(tmp_path/'o')]) == 0
    assert 'AP is unknown' in capsys.readouterr().out
    results = json.loads(next((tmp_path/'o').glob('*-results.json')).read_text())
    assert len(results) == len(found_in(small))
    assert set(results[0]) == {'image_id', 'category_id', 'keypoints', 'score'}

def test_predict_finds_several_people(small, trained, monkeypatch, tmp_path):
    pictures = sorted(map(str, (small/'images').iterdir()))[:2]
    words = ['predict', str(trained/'hsjp'/'pose.pt'), *pictures, '--detector', 'fasterrcnn']
    two = detector_of([[0, 0, 60, 120], [80, 60, 90, 150]], [.9, .8])
    monkeypatch.setattr('hsjp.detect.fasterrcnn', two)
    assert main([*words, '--nms', '1', '--out', str(tmp_path)]) == 0
    found = json.loads((tmp_path/'keypoints.json').read_text())
    assert [r['file_name'] for r in found] == [pictures[0]]*2 + [pictures[1]]*2
    monkeypatch.setattr('hsjp.detect.fasterrcnn', detector_of([], []))
    assert main([*words, '--out', str(tmp_path)]) == 2

def test_notebooks_are_copied_and_never_overwritten(tmp_path, capsys):
    assert main(['notebooks', str(tmp_path/'l')]) == 0 and (tmp_path/'l'/'00_jigsaw.ipynb').exists()
    sheet = tmp_path/'sheet'
    assert main(['notebooks', str(sheet), '--no-solutions']) == 0
    assert not any('Solution' in p.read_text(encoding='utf-8') for p in sheet.glob('0*.ipynb'))
    assert main(['notebooks', str(tmp_path/'l')]) == 2 and 'overwritten' in capsys.readouterr().err

@pytest.mark.parametrize('words,sentence', [
    (['pretrain', '--data', 'nowhere.json'], 'no such file'),
    (['pretrain', '--device', 'abacus'], "'abacus' is no device; expected 'cpu' or 'cuda'"),
    (['finetune', '--labels', '0'], 'share is 0'),
    (['finetune', '--data', '.'], 'expected a COCO-format json'),
    (['finetune', '--weights', 'nowhere.pt'], 'nowhere.pt'),
    (['finetune', '--rescale'], '--rescale has nothing to rescale; expected --weights'),
    (['evaluate', 'nowhere.pt'], 'nowhere.pt'),
    (['evaluate', '{pose}', '--boxes', 'nowhere.json'], 'no such file'),
    (['predict', '{pose}', '{picture}', '--detector', 'nowhere.pth'], 'no such file'),
    (['predict', '{puzzles}', 'x.jpg'], 'expected a pose network'),
    (['solve', '{puzzles}', '{picture}', '--pad', '0'], "'0' is not a number above 0"),
    (['export', '{puzzles}'], 'expected a pose network'),
    (['predict', '{pose}', 'x.jpg'], 'no such picture')])
def test_bad_input_ends_with_a_sentence(words, sentence, small, trained, tmp_path, capsys):
    puzzles, pose = trained/'puzzles'/'best.pt', trained/'hsjp'/'pose.pt'
    words = [w.format(picture=small/'images'/'0.png', puzzles=puzzles, pose=pose) for w in words]
    try: code = main([*words, '--out', str(tmp_path)])
    except SystemExit as e: code = e.code
    assert code == 2 and sentence in capsys.readouterr().err

def test_json_that_is_none(tmp_path, capsys):
    for text, sentence in (('{"images": []}', "no list 'annotations'"), ('nonsense', 'is not json')):
        (tmp_path/'x.json').write_text(text)
        assert main(['pretrain', '--data', str(tmp_path/'x.json'), '--out', str(tmp_path/'o')]) == 2
        assert sentence in capsys.readouterr().err

HELPED = 'demo shards pretrain finetune evaluate predict priors export notebooks'.split()

@pytest.mark.parametrize('command', HELPED)
def test_help_has_examples(command, capsys):
    with pytest.raises(SystemExit) as e: main([command, '--help'])
    assert e.value.code == 0 and 'examples:' in capsys.readouterr().out

def test_priors_of_a_json_need_no_pictures(small, tmp_path, capsys):
    (tmp_path/'people.json').write_text((small/'people.json').read_text())
    words = ['priors', '--data', str(tmp_path/'people.json'), '--n', '4', '--out', str(tmp_path/'o')]
    assert main(words) == 0 and 'N = 4' in capsys.readouterr().out
    table = pd.read_csv(tmp_path/'o'/'priors.csv')
    assert len(table) == 17*16 and table.groupby('keypoint').share.sum().round(6).isin([0, 1]).all()
    assert {f.name for f in (tmp_path/'o').iterdir()} == {
        'priors.csv', 'statements.csv', 'head.png', 'upper-limbs.png', 'lower-limbs.png'}

def test_priors_without_keypoints_are_refused(small, tmp_path, capsys):
    data = json.loads((small/'people.json').read_text())
    data['categories'] = [{'id': c['id'], 'name': c['name']} for c in data['categories']]
    for a in data['annotations']: a.pop('keypoints')
    (tmp_path/'boxes.json').write_text(json.dumps(data))
    assert main(['priors', '--data', str(tmp_path/'boxes.json'), '--out', str(tmp_path/'o')]) == 2
    assert 'has no keypoints' in capsys.readouterr().err
