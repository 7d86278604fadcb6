"The network in the page: net.js in headless Chromium, without any network, against Python"
import base64
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import hsjp
from hsjp.augment import JigsawBatch
from hsjp.browser import network_spec
from hsjp.heatmap import decode_heatmaps, gaussian_heatmaps
from hsjp.jigsaw import assign_slots, durstenfeld
from hsjp.people import mannequins, studio
from hsjp.persons import cut, windows
from hsjp.posenet import normalise
from hsjp.pretrain import puzzle_view
from hsjp.weights import load_checkpoint

SOURCE = (Path(hsjp.__file__).parent/'data'/'js'/'net.js').read_text(encoding='utf-8')
NAMES = 'loadNet decodePeaks assignSlots cutPuzzle cropPicture personWindow'.split()
HELPERS = '''
const floats = text => new Float32Array(Uint8Array.from(atob(text), c => c.charCodeAt(0)).buffer);
const bytes = text => Uint8ClampedArray.from(atob(text), c => c.charCodeAt(0));
const text = array => {
  const b = new Uint8Array(array.buffer);
  let s = '';
  for (let i = 0; i < b.length; i += 4096) s += String.fromCharCode(...b.subarray(i, i + 4096));
  return btoa(s);
};
'''

def html(policy=''):
    "An empty page with net.js, perhaps under a content security policy"
    meta = f'<meta http-equiv="Content-Security-Policy" content="{policy}">' if policy else ''
    names = ', '.join([*NAMES, 'floats', 'bytes', 'text'])
    return f'<!doctype html>{meta}<script type="module">{SOURCE}{HELPERS}window.hsjp = {{{names}}};</script>'

@pytest.fixture(scope='module')
def open_page(browser):
    "A function that opens a page and refuses whatever it asks for; at the end nothing was asked for or wrong"
    context, wrong = browser.new_context(offline=True), []
    def opened(policy=''):
        page = context.new_page()
        page.on('request', lambda r: wrong.append(r.url))
        page.on('pageerror', lambda e: wrong.append(str(e)))
        page.set_content(html(policy))
        page.wait_for_function('window.hsjp')
        return page
    yield opened
    assert not wrong

@pytest.fixture(scope='module')
def page(open_page): return open_page()

def encoded(x): return base64.b64encode(np.ascontiguousarray(x)).decode()

def numbers(text, *shape): return np.frombuffer(base64.b64decode(text), '<f4').reshape(shape)

def run(page, spec, images, wasm=True):
    "Heatmaps of the page, (B, n_out, H/4, W/4), and whether WebAssembly made them"
    b, _, h, w = images.shape
    maps, wasm = page.evaluate('''async ({spec, images, b, h, w, wasm}) => {
      const net = await hsjp.loadNet(spec, {wasm}), rgb = hsjp.floats(images), out = [], size = 3*h*w;
      for (let i = 0; i < b; i++) out.push(...net.run(rgb.subarray(i*size, (i + 1)*size), h, w));
      return [hsjp.text(Float32Array.from(out)), net.wasm];
    }''', dict(spec=spec, images=encoded(images.numpy()), b=b, h=h, w=w, wasm=wasm))
    return torch.from_numpy(numbers(maps, b, spec['n_out'], h//4, w//4).copy()), wasm

def pictures(name, count=6):
    "What the network was made for: puzzles or people it has never seen, (B, 3, H, W) float"
    if name.startswith('puzzles'):
        squares = puzzle_view(studio('valid'), 64, pad=1.25)
        batch = JigsawBatch(int(name[-1]), 64, train=False)
        return batch(torch.stack([squares[i][0] for i in range(count)]))[0]
    people = (studio if name == 'pose-studio' else mannequins)('valid').view(size=(128, 96), labels=False)
    return torch.stack([people[i][0] for i in range(count)]).float()/255

@pytest.mark.parametrize('wasm', [True, False], ids=['wasm', 'plain'])
@pytest.mark.parametrize('name', ['puzzles-2', 'puzzles-3', 'pose-studio', 'pose-mannequins'])
def test_heatmaps_are_those_of_torch(page, name, wasm):
    images, model = pictures(name), load_checkpoint(name)[0].eval()
    with torch.no_grad(): wanted = model(normalise(images))
    maps, used = run(page, network_spec(name), images, wasm)
    assert used == wasm and wanted.max() > .5
    assert (maps - wanted).abs().max() < 1e-4

@pytest.mark.parametrize('wasm', [True, False], ids=['wasm', 'plain'])
def test_one_network_takes_pictures_of_several_sizes(page, wasm):
    spec, model = network_spec('pose-mannequins'), load_checkpoint('pose-mannequins')[0].eval()
    generator = torch.Generator().manual_seed(0)
    images = [torch.rand(3, h, w, generator=generator) for h, w in ((32, 32), (160, 96), (64, 128), (32, 32))]
    found = page.evaluate('''async ({spec, images, wasm}) => {
      const net = await hsjp.loadNet(spec, {wasm});
      return images.map(([x, h, w]) => hsjp.text(net.run(hsjp.floats(x), h, w)));
    }''', dict(spec=spec, wasm=wasm, images=[(encoded(x.numpy()), *x.shape[1:]) for x in images]))
    for x, maps in zip(images, found):
        with torch.no_grad(): wanted = model(normalise(x[None]))[0].numpy()
        assert np.abs(numbers(maps, *wanted.shape) - wanted).max() < 1e-4

def test_a_policy_without_webassembly_gets_plain_javascript(open_page):
    page = open_page("default-src 'none'; script-src 'unsafe-inline'")
    empty = 'new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])'
    refused = page.evaluate(f'WebAssembly.instantiate({empty}).then(() => 0, e => e.name)')
    images, model = pictures('puzzles-2', 1), load_checkpoint('puzzles-2')[0].eval()
    maps, used = run(page, network_spec('puzzles-2'), images)
    with torch.no_grad(): wanted = model(normalise(images))
    assert refused == 'CompileError' and not used and (maps - wanted).abs().max() < 1e-4

@pytest.mark.parametrize('h,w', [(33, 32), (0, 32)])
def test_a_wrong_size_is_named(page, h, w):
    said = page.evaluate('''async ({spec, h, w}) => {
      const net = await hsjp.loadNet(spec);
      try { net.run(new Float32Array(3*32*32), h, w); } catch (e) { return `${e.name}: ${e.message}`; }
    }''', dict(spec=network_spec('puzzles-2'), h=h, w=w))
    assert said.startswith(f'RangeError: 3072 numbers for {h} x {w} pixels; expected 3 x h x w')

def decoded(page, maps):
    "[(x, y, score)] of (K, H, W) heatmaps"
    k, h, w = maps.shape
    found = page.evaluate('({maps, k, h, w}) => hsjp.decodePeaks(hsjp.floats(maps), k, h, w)',
                          dict(maps=encoded(maps.numpy()), k=k, h=h, w=w))
    return torch.tensor([(p['x'], p['y'], p['score']) for p in found])

def heatmaps(kind):
    "(K, H, W)"
    generator = torch.Generator().manual_seed(1)
    if kind == 'network':
        with torch.no_grad():
            return load_checkpoint('pose-mannequins')[0].eval()(normalise(pictures('pose-mannequins')))[2]
    if kind == 'border':
        points = torch.rand(1, 200, 2, generator=generator)*torch.tensor([96., 128.])*1.3 - 10
        return gaussian_heatmaps(points, (32, 24), 1.5)[0]
    if kind == 'noise': return torch.randn(200, 16, 12, generator=generator)
    return torch.rand(20, *((2, 9) if kind == 'thin' else (3, 3)), generator=generator)

@pytest.mark.parametrize('kind', ['network', 'border', 'noise', 'thin', 'least'])
def test_peaks_are_those_of_python(page, kind):
    maps = heatmaps(kind)
    points, scores = decode_heatmaps(maps[None])
    found = decoded(page, maps)
    assert (found[:, :2] - points[0]).abs().max() < 1e-2 and (found[:, 2] - scores[0]).abs().max() < 1e-6

def test_empty_heatmaps_have_a_peak_too(page):
    points, _ = decode_heatmaps(torch.zeros(1, 2, 8, 8))
    assert torch.equal(decoded(page, torch.zeros(2, 8, 8))[:, :2], points[0])

@pytest.mark.parametrize('n', range(1, 9))
def test_the_assignment_is_the_best(page, n):
    points = torch.rand(5, n*n, 2, generator=torch.Generator().manual_seed(n))*90 - 10
    script = '({points, n}) => points.map(p => hsjp.assignSlots(p.map(([x, y]) => ({x, y})), n, 70))'
    found = page.evaluate(script, dict(points=points.tolist(), n=n))
    assert found == assign_slots(points, n, 70).tolist()

@pytest.mark.parametrize('points,n', [([[1, 1]], 2), ([[1, None]], 1)])
def test_points_that_do_not_fit_are_refused(page, points, n):
    said = page.evaluate('''({points, n}) => {
      const given = points.map(([x, y]) => ({x, y: y ?? NaN}));
      try { return hsjp.assignSlots(given, n, 64); } catch (e) { return e.name; }
    }''', dict(points=points, n=n))
    assert said == 'RangeError'

def rgba(picture):
    "(3, H, W) uint8 as the page's ImageData"
    pixels = picture.permute(1, 2, 0).numpy()
    full = np.concatenate([pixels, np.full((*pixels.shape[:2], 1), 255, np.uint8)], 2)
    return dict(width=pixels.shape[1], height=pixels.shape[0], data=encoded(full))

CUT = '''({picture, slots, n, size}) => {
  const given = typeof picture === 'string' ? hsjp.floats(picture)
              : new ImageData(hsjp.bytes(picture.data), picture.width, picture.height);
  return hsjp.text(hsjp.cutPuzzle(given, slots, n, size));
}'''

@pytest.mark.parametrize('float_', [False, True], ids=['rgba', 'float'])
@pytest.mark.parametrize('side,n,size', [(66, 2, 64), (66, 3, 64), (64, 2, 64), (50, 4, 64), (75, 8, 64),
                                         (231, 3, 96)])
def test_puzzles_are_those_of_python(page, side, n, size, float_):
    crop = puzzle_view(studio('valid'), 64).view(size=(side, side))[3][0]
    batch = JigsawBatch(n, size, train=False, colour=None)
    slots = durstenfeld(batch.deck, n*n, torch.Generator().manual_seed(0))[0].tolist()
    picture = encoded(crop.float().div(255).numpy()) if float_ else rgba(crop)
    found = numbers(page.evaluate(CUT, dict(picture=picture, slots=slots, n=n, size=size)), 3, size, size)
    assert np.abs(found - batch(crop[None])[0][0].numpy()).max() < 1e-4

def test_a_puzzle_wants_a_square(page):
    picture = rgba(torch.zeros(3, 8, 9, dtype=torch.uint8))
    with pytest.raises(Exception, match='not square'):
        page.evaluate(CUT, dict(picture=picture, slots=[0], n=1, size=32))

CROP = '''({picture, box, h, w}) => hsjp.text(hsjp.cropPicture(
  new ImageData(hsjp.bytes(picture.data), picture.width, picture.height), box, h, w))'''

def window(values): return dict(zip('xywh', map(float, values)))

@pytest.mark.parametrize('scale', [.3, 1., 1.25, 4., 9.])
def test_windows_are_cut_as_python_cuts_them(page, scale):
    people = mannequins('valid')
    for i in (0, 5, 11):
        image, w = people.open(i), windows(people.boxes[[i]], (128, 96), scale)[0]
        picture = rgba(torch.from_numpy(np.array(image)).permute(2, 0, 1))
        found = numbers(page.evaluate(CROP, dict(picture=picture, box=window(w), h=128, w=96)), 3, 128, 96)
        wanted = np.asarray(cut(image, w, (128, 96))).transpose(2, 0, 1)/255
        assert np.abs(found - wanted).max() < 1.5/255 and np.abs(found - wanted).mean() < 1e-4

def test_a_window_beside_the_picture_is_black(page):
    picture = rgba(torch.full((3, 20, 30), 255, dtype=torch.uint8))
    for box in ((-50, 0, 20, 20), (40, 5, 20, 10), (0, 60, 9, 9)):
        found = page.evaluate(CROP, dict(picture=picture, box=window(box), h=32, w=32))
        assert not numbers(found, 3, 32, 32).any()

def test_a_window_around_a_person(page):
    boxes = np.array([[10, 20, 30, 40], [3, 4, 500, 60.]])
    for box, wanted in zip(boxes, windows(boxes, (128, 96))):
        found = page.evaluate('box => hsjp.personWindow(box, 128, 96)', window(box))
        assert np.allclose([found[k] for k in 'xywh'], wanted)

def test_a_photo_becomes_a_pose(page):
    "A canvas picture in, keypoints out, as in the widget"
    people, model = mannequins('valid'), load_checkpoint('pose-mannequins')[0].eval()
    image, w = people.open(7), windows(people.boxes[[7]], (128, 96))[0]
    points = page.evaluate('''async ({spec, url, box}) => {
      const image = new Image();
      image.src = url;
      await image.decode();
      const canvas = new OffscreenCanvas(image.width, image.height), pen = canvas.getContext('2d');
      pen.drawImage(image, 0, 0);
      const data = pen.getImageData(0, 0, image.width, image.height), net = await hsjp.loadNet(spec);
      return hsjp.decodePeaks(net.run(hsjp.cropPicture(data, box, 128, 96), 128, 96), 17, 32, 24);
    }''', dict(spec=network_spec('pose-mannequins'), url=data_url(image), box=window(w)))
    crop = torch.from_numpy(np.array(cut(image, w, (128, 96)))).permute(2, 0, 1)[None].float()/255
    with torch.no_grad(): wanted, scores = decode_heatmaps(model(normalise(crop)))
    found, sure = torch.tensor([(p['x'], p['y']) for p in points]), scores[0] > .3
    assert sure.sum() > 8 and (found - wanted[0])[sure].norm(dim=-1).max() < .2

def data_url(image: Image.Image):
    "As PNG, which loses nothing"
    buffer = io.BytesIO()
    image.save(buffer, 'PNG')
    return f'data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}'
