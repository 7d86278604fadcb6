"Published networks: their grids, colours, protocol, and files on the command line"
import json

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hsjp.cli import main
from hsjp.heatmap import decode_heatmaps, gaussian_heatmaps
from hsjp.models import hrnet, normalise, simple_baseline
from hsjp.people import mannequins
from hsjp.persons import PersonDataset
from hsjp.posenet import GRIDS
from hsjp.predict import (
    grid_points,
    predict,
    predict_batch,
    published_boxes,
    published_cut,
    published_windows,
)
from hsjp.skeleton import COCO
from hsjp.weights import load_weights

H, W = 128, 96

class Seer(torch.nn.Module):
    "Finds the centre of what is bright and answers with heatmaps on its own grid"
    stride, task = 4, 'pose'
    def __init__(self, grid): super().__init__(); self.grid = grid
    def forward(self, x):
        light = x[:, 0] - x[:, 0].amin((1, 2), keepdim=True)
        light = light*(light > .05*light.amax((1, 2), keepdim=True))
        centre = lambda n, d: (light.sum(d)*torch.arange(n)).sum(1)/light.sum((1, 2))
        pixel = torch.stack([centre(W, 1), centre(H, 2)], -1)                   # index of the pixel
        cell = {'half-pixel': (pixel + .5)/4 - .5, 'index': pixel/4,
                'udp': pixel*torch.tensor([(W/4 - 1)/(W - 1), (H/4 - 1)/(H - 1)])}[self.grid]
        return gaussian_heatmaps(((cell + .5)*4)[:, None].expand(-1, 17, -1), (H//4, W//4), 2.)

def pictures_of_dots(n=12):
    g = torch.Generator().manual_seed(0)
    p = torch.rand(n, 2, generator=g)*torch.tensor([W - 50., H - 50.]) + 25
    yy, xx = torch.meshgrid(torch.arange(H) + .5, torch.arange(W) + .5, indexing='ij')
    distance = (xx - p[:, 0, None, None])**2 + (yy - p[:, 1, None, None])**2
    return p, torch.exp(-distance/18)[:, None].repeat(1, 3, 1, 1)

@pytest.mark.parametrize('grid', GRIDS)
@pytest.mark.parametrize('flip_test', (False, True))
def test_a_dot_decodes_to_its_place(grid, flip_test):
    "And the mirrored picture to the mirrored place, under every grid"
    where, images = pictures_of_dots()
    there, back = (predict_batch(Seer(grid), x, COCO, flip_test)[0] for x in (images, images.flip(-1)))
    assert (there - where[:, None]).abs().max() < .03
    assert (back - torch.stack([W - where[:, 0], where[:, 1]], -1)[:, None]).abs().max() < .03

def test_udp_needs_the_size():
    with pytest.raises(ValueError, match='size is None'): grid_points(torch.zeros(1, 1, 2), Seer('udp'))

def test_the_published_flip_is_half_a_pixel_to_the_right():
    where, images = pictures_of_dots()
    found = predict_batch(Seer('index'), images, COCO, published=True)[0] - where[:, None]
    assert (found - torch.tensor([.5, 0.])).abs().max() < .03

def test_colours():
    "A BGR network sees blue first, in picture and mirror image, and the user gives RGB"
    model, images = simple_baseline(17, 18, width=8).eval(), torch.rand(2, 3, 64, 64)
    published = simple_baseline(17, 18, width=8).eval()
    load_weights(published, model.state_dict(), head=True, grid='half-pixel')
    assert published.channels == 'bgr'
    for flip in (False, True):
        ours, theirs = (predict_batch(m, x, COCO, flip, 'argmax') for m, x in
                        ((model, images.flip(1)), (published, images)))
        assert all(map(torch.equal, ours, theirs))
    assert not torch.equal(normalise(images, 'bgr'), normalise(images))

# the published protocol, against its formulas written out one keypoint at a time

def their_centre_and_step(box, size, pixels):
    "Centre of the box, and picture pixels for an input pixel"
    x, y, w, h = box
    x1, y1 = max(0, x), max(0, y)
    x2, y2 = min(pixels[0] - 1, x1 + max(0, w - 1)), min(pixels[1] - 1, y1 + max(0, h - 1))
    w, h = x2 - x1, y2 - y1
    return (x1 + w/2, y1 + h/2), 1.25*max(w, h*size[1]/size[0])/size[1]

def their_crop(image, centre, step, size):
    "Bilinear at the indices that their affine names"
    p = np.pad(np.asarray(image, float), ((600, 600), (600, 600), (0, 0)))
    x = centre[0] + (np.arange(size[1]) - size[1]/2)*step + 600
    y = (centre[1] + (np.arange(size[0]) - size[0]/2)*step + 600)[:, None]
    i, j = np.floor(y).astype(int), np.floor(x).astype(int)
    v, u = (y - i)[..., None], (x - j)[None, :, None]
    return p[i, j]*(1-v)*(1-u) + p[i, j+1]*(1-v)*u + p[i+1, j]*v*(1-u) + p[i+1, j+1]*v*u

def their_decoding(maps, centre, step):
    out = np.zeros((len(maps), 3))
    h, w = maps.shape[1:]
    for k, m in enumerate(maps):
        py, px = divmod(int(m.argmax()), w)
        if m.max() <= 0: px = py = 0
        x, y = float(px), float(py)
        if 1 < px < w-1 and 1 < py < h-1:
            x += .25*np.sign(m[py, px+1] - m[py, px-1])
            y += .25*np.sign(m[py+1, px] - m[py-1, px])
        out[k] = centre[0] + (x - w/2)*4*step, centre[1] + (y - h/2)*4*step, m.max()
    return out

@pytest.fixture(scope='module')
def people(): return mannequins('valid').subset(range(12)).view(size=(H, W))

def crops(people):
    new = published_boxes(people)
    return [published_cut(new.open(i), w, (H, W)) for i, w in enumerate(published_windows(new))]

def test_the_published_crop(people):
    "But for steps of 1/32 pixel and whole numbers"
    for i, crop in enumerate(crops(people)):
        image = people.open(i)
        centre, step = their_centre_and_step(people.boxes[i], (H, W), image.size)
        off = np.asarray(crop, float) - their_crop(image, centre, step, (H, W))
        assert abs(off).max() < 8 and abs(off).mean() < .6 and abs(off.mean()) < .1

def test_the_published_crop_is_opencvs(people):
    "Bit by bit with OpenCV 4, which the published tables were made with; 5 computes it in another way"
    cv2 = pytest.importorskip('cv2')
    if not cv2.__version__.startswith('4'): pytest.skip('this is not OpenCV 4')
    for i, crop in enumerate(crops(people)):
        image = people.open(i)
        (x, y), step = their_centre_and_step(people.boxes[i], (H, W), image.size)
        to_input = np.array([[1/step, 0, W/2 - x/step], [0, 1/step, H/2 - y/step]])
        same = np.asarray(crop) == cv2.warpAffine(np.asarray(image), to_input, (W, H), flags=cv2.INTER_LINEAR)
        assert same.mean() > .999

def test_the_published_protocol_end_to_end(people):
    torch.manual_seed(0)
    model = hrnet(17, width=4).eval()
    model.grid, model.task = 'index', 'pose'
    points, scores = predict(model, people, protocol='published', device='cpu')
    for i, crop in enumerate(crops(people)):
        centre, step = their_centre_and_step(people.boxes[i], (H, W), people.open(i).size)
        x = normalise(torch.from_numpy(np.array(crop)).permute(2, 0, 1)[None].float()/255)
        with torch.no_grad(): maps, mirrored = (model(v)[0].numpy() for v in (x, x.flip(-1)))
        mirrored = mirrored[COCO.flip.numpy(), :, ::-1]
        shifted = mirrored.copy()
        shifted[:, :, 1:] = mirrored[:, :, :-1]
        theirs = their_decoding((maps + shifted)/2, centre, step)
        near = abs(theirs[:, :2] - (points[i] - .5)).max(1) < .02                # indices and edges
        assert near.mean() > .9 and np.allclose(theirs[:, 2], scores[i], rtol=1e-4)

def test_a_detectors_box_stays():
    box = [-5, 10, 30, 200]
    persons = PersonDataset(['x.png'], [box], COCO, sizes=[(100, 150)])
    assert published_boxes(persons).boxes.tolist() == [[0, 10, 29, 139]] and persons.boxes.tolist() == [box]
    persons.scores = np.ones(1)
    assert published_boxes(persons).boxes.tolist() == [box]

def test_protocols_that_cannot_be(people):
    model = hrnet(17, width=4)
    with pytest.raises(ValueError, match="grid is 'half-pixel'; expected 'index'"):
        predict(model, people, protocol='published')
    with pytest.raises(ValueError, match="protocol is 'theirs'"): predict(model, people, protocol='theirs')

# blur

def test_blur_keeps_maxima_and_helps_against_noise():
    g = torch.Generator().manual_seed(0)
    points = 24 + torch.rand(1, 300, 2, generator=g)*torch.tensor([W - 48., H - 48.])
    maps = gaussian_heatmaps(points, (H//4, W//4), 2.)
    noisy = maps + .03*torch.randn(maps.shape, generator=g)
    error = lambda m, blur: (decode_heatmaps(m, blur=blur)[0] - points).norm(dim=-1).mean()
    assert error(maps, 11) < .05 and error(noisy, 11) < .2 < .5 < error(noisy, 0)
    assert torch.equal(decode_heatmaps(noisy, blur=11)[1], decode_heatmaps(noisy)[1])
    assert torch.equal(decode_heatmaps(noisy, 'quarter', blur=11)[0], decode_heatmaps(noisy, 'quarter')[0])
    for bad in (4, -3, 2.5):
        with pytest.raises(ValueError, match='blur is'): decode_heatmaps(maps, blur=bad)

# the command line

@pytest.fixture(scope='module')
def files(tmp_path_factory):
    "Files as published, and six mannequins as a COCO-format json"
    folder, people = tmp_path_factory.mktemp('published'), mannequins('valid', labelled=True)
    torch.manual_seed(0)
    torch.save({f'module.{k}': v for k, v in hrnet(17, width=4).state_dict().items()}, folder/'hrnet.pth')
    torch.save({'epoch': 1, 'perf': np.float64(.7), 'state_dict': simple_baseline(17, 18).state_dict()},
               folder/'resnet.pth.tar')
    names = {f: f'{i}.png' for i, f in enumerate(list(dict.fromkeys(people.files))[:6])}
    (folder/'images').mkdir()
    for f, name in names.items(): Image.open(f).convert('RGB').save(folder/'images'/name)
    wanted = {i: f for i, f in zip(people.image_ids, people.files) if f in names}
    named = lambda im: dict(im, file_name=names[wanted[im['id']]])
    images = [named(im) for im in people.source['images'] if im['id'] in wanted]
    annotations = [a for a in people.source['annotations'] if a['image_id'] in wanted]
    (folder/'v.json').write_text(json.dumps(dict(people.source, images=images, annotations=annotations)))
    return folder

HRNET = ['--model', 'hrnet', '--width', '4', '--size', '64', '64']

def test_evaluate_takes_a_published_file(files, tmp_path, capsys):
    line = ['evaluate', str(files/'hrnet.pth'), *HRNET, '--data', str(files/'v.json'), '--out']
    assert main([*line, str(tmp_path/'a')]) == 0 and "grid of the source: 'index'" in capsys.readouterr().out
    assert main([*line, str(tmp_path/'b'), '--protocol', 'published']) == 0
    assert main([*line, str(tmp_path/'c'), '--grid', 'udp', '--blur', '11']) == 0
    ours, theirs = (pd.read_csv(tmp_path/d/'evaluation.csv') for d in 'ab')
    assert theirs.protocol.tolist() == ['published'] and 'protocol' not in ours
    results = [json.loads(next((tmp_path/d).glob('*-results.json')).read_text()) for d in 'abc']
    assert results[0] != results[1] and results[0] != results[2]

def test_predict_and_export_take_a_published_file(files, tmp_path, capsys):
    model = ['--model', 'simple_baseline', '--depth', '18', '--size', '64', '64']
    picture, file = str(files/'images'/'0.png'), str(files/'resnet.pth.tar')
    assert main(['predict', file, picture, *model, '--out', str(tmp_path)]) == 0
    assert 'BGR' in capsys.readouterr().out
    assert main(['predict', file, picture, *model, '--channels', 'rgb', '--out', str(tmp_path/'rgb')]) == 0
    found = lambda d: json.loads((d/'keypoints.json').read_text())[0]['keypoints']
    assert len(found(tmp_path)) == 51 and found(tmp_path) != found(tmp_path/'rgb')
    pytest.importorskip('onnxscript')
    assert main(['export', file, *model, '--out', str(tmp_path/'a.onnx')]) == 0

@pytest.mark.parametrize('words, sentence', [
    (['{hrnet}'], 'hrnet.pth is no checkpoint of ours; expected one from hsjp finetune, or --model'),
    (['{hrnet}', '--model', 'hrnet', '--width', '8'], 'has only'),
    (['{hrnet}', '--model', 'simple_baseline'], 'of the same kind of network'),
    (['{resnet}', '--model', 'simple_baseline', '--depth', '18', '--caffe'], 'caffe is True'),
    (['{hrnet}', *HRNET, '--grid', 'udp', '--protocol', 'published'], "grid is 'udp'; expected 'index'"),
    (['{hrnet}', *HRNET, '--blur', '4'], "'4' is not 0 or an odd number")])
def test_bad_input_ends_with_a_sentence(words, sentence, files, tmp_path, capsys):
    words = [w.format(hrnet=files/'hrnet.pth', resnet=files/'resnet.pth.tar') for w in words]
    try: code = main(['evaluate', *words, '--data', str(files/'v.json'), '--out', str(tmp_path)])
    except SystemExit as e: code = e.code
    assert code == 2 and sentence in capsys.readouterr().err

def test_another_number_of_keypoints(files, tmp_path, capsys):
    torch.save(hrnet(21, width=4).state_dict(), tmp_path/'hand.pth')
    line = ['predict', str(tmp_path/'hand.pth'), str(files/'images'/'0.png'), *HRNET, '--out', str(tmp_path)]
    assert main(line) == 2
    assert 'lacks 2 tensors' in capsys.readouterr().err

@pytest.mark.parametrize('command, flags', [
    ('evaluate', '--model --depth --width --size --grid --channels --caffe --protocol --decode --blur'),
    ('predict', '--model --depth --width --size --grid --channels --caffe'),
    ('export', '--model --depth --width --size --grid --channels --caffe')])
def test_flags_are_in_the_help(command, flags, capsys):
    with pytest.raises(SystemExit): main([command, '--help'])
    text = capsys.readouterr().out
    assert all(f'  {flag}' in text for flag in flags.split())
