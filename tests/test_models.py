"Networks against published names and other people's networks, and all that may happen to their weights"
import os, pickle, sys
from pathlib import Path

import numpy as np
import pytest, torch, torchvision
from hypothesis import given, settings, strategies as st
from torch import nn

from hsjp.evaluate import grid_points, predict
from hsjp.finetune import pose_learner
from hsjp.heatmap import decode_heatmaps
from hsjp.models import *
from hsjp.people import COCO, PersonDataset, Skeleton

GOLDEN = Path(__file__).parents[2]/'shared'/'golden'

@pytest.fixture(scope='module')
def w32(): return hrnet(17).eval()

@pytest.fixture(scope='module')
def sb50(): return simple_baseline(17).eval()

@pytest.fixture
def tiny(): return hrnet(16, width=4)

def keys_and_shapes(model): return [(k, 'x'.join(map(str, v.shape)) or 'scalar') for k, v in model.state_dict().items()]

def stir(model, seed=0):
    "Weights and batch-norm statistics that all differ, so that a misplaced tensor is noticed"
    g = torch.Generator().manual_seed(seed)
    for n, t in model.state_dict().items():
        if n.endswith('running_var') or n.endswith('weight') and t.ndim == 1: t.uniform_(.5, 1.5, generator=g)
        elif t.ndim < 4 and t.is_floating_point(): t.normal_(0, .1, generator=g)
    return model

def same(a, b): return all(torch.equal(x, y) for x, y in zip(a.state_dict().values(), b.state_dict().values(), strict=True))

# published names and sizes

@pytest.mark.parametrize('name, n_keys, n_params', [('sb50', 338, 33_999_697), ('w32', 1754, 28_536_113)])
def test_sizes(name, n_keys, n_params, request):
    model = request.getfixturevalue(name)
    assert len(model.state_dict()) == n_keys
    assert sum(p.numel() for p in model.parameters()) == n_params

@pytest.mark.parametrize('name, file', [('sb50', 'pose_resnet_50'), ('w32', 'pose_hrnet_w32')])
def test_golden_keys(name, file, request):
    golden = GOLDEN/f'{file}.keys.tsv'
    if not golden.exists(): pytest.skip(f'{golden} is not here')
    assert keys_and_shapes(request.getfixturevalue(name)) == [tuple(line.split('\t')) for line in golden.read_text().splitlines()]

def test_every_parameter_learns():
    for model in (hrnet(3, width=4), simple_baseline(3, depth=18)):
        model(torch.rand(2, 3, 64, 64)).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())

# other people's networks

def test_hrnet_is_timms(w32):
    timm = pytest.importorskip('timm')
    theirs = stir(timm.create_model('hrnet_w32', pretrained=False)).eval()
    report = load_weights(w32, theirs.state_dict())
    assert report.missing == ['final_layer.weight', 'final_layer.bias'] and report.grid == 'half-pixel' and not report.bgr
    dead = {n.split('.')[0] for n in report.skipped} - {'stage4'}
    assert dead == {'incre_modules', 'downsamp_modules', 'final_layer', 'classifier'}
    assert all(n.startswith(('stage4.2.fuse_layers.1', 'stage4.2.fuse_layers.2', 'stage4.2.fuse_layers.3')) for n in report.skipped if n.startswith('stage4'))
    x = torch.randn(1, 3, 96, 64)
    with torch.no_grad():
        y = theirs.act1(theirs.bn1(theirs.conv1(x)))
        y = theirs.act2(theirs.bn2(theirs.conv2(y)))
        assert torch.equal(w32.features(x), theirs.stages(y)[0])

@pytest.mark.parametrize('depth', [18, 50])
def test_simple_baseline_is_torchvisions(depth):
    theirs = stir(getattr(torchvision.models, f'resnet{depth}')()).eval()
    ours = simple_baseline(5, depth=depth).eval()
    report = load_weights(ours, theirs.state_dict())
    assert report.skipped == ['fc.weight', 'fc.bias'] and {n.split('.')[0] for n in report.missing} == {'deconv_layers', 'final_layer'}
    trunk = nn.Sequential(*list(theirs.children())[:-2])
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad(): assert torch.equal(ours.features(x), ours.deconv_layers(trunk(x)))

def test_resnet_deconvolutions_double():
    "A transposed convolution of kernel 4, stride 2, padding 1 gives exactly twice the size"
    assert simple_baseline(2, depth=34)(torch.zeros(2, 3, 64, 96)).shape == (2, 2, 16, 24)

# sizes, initialisation, errors

@pytest.mark.parametrize('build', [lambda c: hrnet(5, width=4, in_channels=c), lambda c: simple_baseline(5, depth=18, in_channels=c)])
@pytest.mark.parametrize('channels', [3, 6])
def test_shapes_and_config(build, channels):
    model = build(channels)
    assert model.eval()(torch.zeros(1, channels, 64, 96)).shape == (1, 5, 64//model.stride, 96//model.stride)
    assert keys_and_shapes(build_model(model.config)) == keys_and_shapes(model) and build_model(model.config).config == model.config
    assert (model.grid, model.task, model.stride) == ('half-pixel', None, 4)

def test_initialisation(w32):
    for model in (hrnet(200, width=32), simple_baseline(200, depth=18)):
        assert abs(model.final_layer.weight.std() - .01) < 5e-4 and not model.final_layer.bias.any()
    for deconv in simple_baseline(2, depth=50).deconv_layers[::3]:
        assert abs(deconv.weight.std() / (2 / (256*16))**.5 - 1) < .02
    conv = simple_baseline(2, depth=50, in_channels=6).conv1
    assert abs(conv.weight.std() / (2 / (64*49))**.5 - 1) < .05

@pytest.mark.parametrize('call, words', [
    (lambda: simple_baseline(17, depth=20), 'depth is 20'), (lambda: simple_baseline(0), 'n_out is 0'),
    (lambda: simple_baseline(17, in_channels=4), 'in_channels is 4'), (lambda: hrnet(17, width=0), 'width is 0'),
    (lambda: hrnet(2.5), 'n_out is 2.5'), (lambda: hrnet(17, width='w32'), "width is 'w32'"),
    (lambda: hrnet(2, width=4)(torch.zeros(1, 3, 100, 64)), 'size of x is'),
    (lambda: build_model(dict(name='vit', n_out=3)), 'config is'), (lambda: build_model(dict(name='hrnet')), 'config is'),
    (lambda: build_model(dict(name='hrnet', n_out=3, depth=50)), 'config is'),
    (lambda: normalise(torch.zeros(1, 4, 8, 8)), 'shape of x is'), (lambda: normalise(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), 'dtype of x is'),
    (lambda: replace_head(hrnet(2, width=4), 0), 'n_out is 0'), (lambda: freeze_upto(hrnet(2, width=4), 5), 'layer is 5'),
    (lambda: load_weights(hrnet(2, width=4), [1]), 'source is'), (lambda: load_weights(hrnet(2, width=4), {}), 'source has no'),
    (lambda: load_weights(hrnet(2, width=4), {}, head=True, trunk_only=True), 'trunk_only is True'),
])
def test_errors_name_the_argument(call, words):
    with pytest.raises(ValueError, match=words) as e: call()
    assert 'expected' in str(e.value) and '\n' not in str(e.value)

@given(st.sampled_from([3, 6]), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=8, deadline=None)
def test_normalise(channels, dtype):
    x = torch.rand(2, channels, 5, 7, dtype=dtype)
    want = torch.cat([torchvision.transforms.functional.normalize(c, (.485, .456, .406), (.229, .224, .225)) for c in x.split(3, 1)], 1)
    torch.testing.assert_close(normalise(x), want)
    torch.testing.assert_close(denormalise(normalise(x)), x)

def test_normalise_after_inference_mode():
    with torch.inference_mode(): normalise(torch.rand(1, 3, 4, 4, dtype=torch.float16))
    x = torch.rand(1, 3, 4, 4, dtype=torch.float16, requires_grad=True)
    normalise(x).sum().backward()
    assert x.grad is not None

# moving weights

def renamed(model, trunk, head):
    "A state dict with other prefixes before the trunk and before the head"
    is_head = lambda k: k.startswith(('deconv_layers', 'final_layer'))
    return {(head if is_head(k) else trunk) + k: v for k, v in model.state_dict().items()}

@pytest.mark.parametrize('build, bgr', [(lambda: hrnet(5, width=4), False), (lambda: simple_baseline(5, depth=18), True)])
def test_sources(build, bgr, tmp_path):
    source = stir(build())
    torch.save(renamed(source, 'module.', 'module.'), tmp_path/'published.pth')
    sources = [(source.state_dict(), bgr), ({'state_dict': source.state_dict(), 'epoch': 210}, bgr), ({'model': renamed(source, 'model.', 'model.')}, bgr),
               (renamed(source, 'backbone.', 'keypoint_head.'), False), ({'meta': {}, 'state_dict': renamed(source, 'backbone.', 'head.')}, False),
               (str(tmp_path/'published.pth'), bgr)]
    for weights, bgr in sources:
        model = build()
        before = model.final_layer.weight.clone()
        report = load_weights(model, weights)
        assert report.missing == ['final_layer.weight', 'final_layer.bias'] and len(report.skipped) == 2
        assert torch.equal(model.final_layer.weight, before) and (model.grid, model.task) == ('half-pixel', None)
        assert (report.grid, report.bgr) == ('index', bgr) and 'index' in repr(report) and ('BGR' in repr(report)) == bgr
        report = load_weights(model, weights, head=True)
        assert not report.missing and not report.skipped and (model.grid, model.task) == ('index', 'pose') and same(model, source)

def test_trunk_only():
    source, model = simple_baseline(4, depth=18), simple_baseline(4, depth=18)
    before = model.deconv_layers[0].weight.clone()
    report = load_weights(model, source.state_dict(), trunk_only=True)
    assert {n.split('.')[0] for n in report.missing} == {n.split('.')[0] for n in report.skipped} == {'deconv_layers', 'final_layer'}
    assert torch.equal(model.deconv_layers[0].weight, before) and torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)

def test_other_shapes_are_skipped(tiny):
    report = load_weights(tiny, hrnet(16, width=8).state_dict(), head=True)
    assert 'layer1.0.conv1.weight' in report.loaded and 'stage4.2.branches.0.0.conv1.weight' in report.skipped
    assert 'final_layer.weight' in report.skipped and tiny.grid == 'half-pixel'  # no head came, nor its grid

def test_nothing_fits(tiny):
    with pytest.raises(ValueError, match='no convolution that fits this hrnet'): load_weights(tiny, nn.Linear(2, 2).state_dict())

@pytest.mark.parametrize('build', [lambda c: hrnet(5, width=4, in_channels=c), lambda c: simple_baseline(5, depth=18, in_channels=c)])
def test_channels(build):
    six, three = stir(build(6)).double().eval(), build(3).double().eval()
    x = torch.randn(1, 3, 64, 64, dtype=torch.double)
    load_weights(three, six.state_dict(), head=True)
    with torch.no_grad(): torch.testing.assert_close(three(x), six(torch.cat([x, x], 1)))
    again = build(6).double().eval()
    load_weights(again, three.state_dict(), head=True)
    with torch.no_grad(): torch.testing.assert_close(three(x), again(torch.cat([x, x], 1)))
    assert torch.equal(again.conv1.weight[:, :3], again.conv1.weight[:, 3:])

def test_layout_device_and_type_stay(tiny):
    tiny.to(memory_format=torch.channels_last).bfloat16()
    load_weights(tiny, hrnet(16, width=4).state_dict(), head=True)
    replace_head(tiny, 9)
    for conv in (tiny.conv1, tiny.final_layer):
        assert conv.weight.dtype == torch.bfloat16 and conv.weight.is_contiguous(memory_format=torch.channels_last)

def test_a_puzzle_head_is_no_pose_head(tiny, tmp_path):
    save_checkpoint(tmp_path/'jigsaw.pth', hrnet(16, width=4), 'jigsaw')
    tiny.task = 'pose'
    before = stir(tiny).conv1.weight.clone()
    with pytest.raises(ValueError, match='jigsaw network and the model a pose network'): load_weights(tiny, tmp_path/'jigsaw.pth', head=True)
    assert torch.equal(tiny.conv1.weight, before)
    assert load_weights(tiny, tmp_path/'jigsaw.pth').missing == ['final_layer.weight', 'final_layer.bias']
    tiny.task = 'jigsaw'
    load_weights(tiny, tmp_path/'jigsaw.pth', head=True)
    with pytest.raises(ValueError, match='pose network and the model a jigsaw'): load_weights(tiny, hrnet(16, width=4).state_dict(), head=True)

def test_our_checkpoint_brings_its_grid(tiny, tmp_path):
    source = hrnet(16, width=4)
    source.grid = 'index'
    save_checkpoint(tmp_path/'a.pth', source, 'pose')
    assert load_weights(tiny, tmp_path/'a.pth').grid == 'index' and tiny.grid == 'half-pixel'
    load_weights(tiny, tmp_path/'a.pth', head=True)
    assert (tiny.grid, tiny.task) == ('index', 'pose')
    assert replace_head(tiny, 9) is tiny and (tiny.grid, tiny.task, tiny.config['n_out']) == ('half-pixel', None, 9)

def test_a_puzzle_becomes_a_pose_network_by_a_fresh_head_only():
    model = simple_baseline(16, depth=18)                                       # N = 4, K = 16
    model.task = 'jigsaw'
    one = PersonDataset(['x.png'], [(0, 0, 9, 9)], Skeleton([f'k{i}' for i in range(16)], [], [], [.1]*16), np.zeros((1, 16, 2)), np.ones((1, 16)))
    with pytest.raises(ValueError, match='solves puzzles'): pose_learner(one, one, model)
    with pytest.raises(ValueError, match='solves puzzles'): predict(model, one)
    assert pose_learner(one, one, replace_head(model, 16), device='cpu').model.task == 'pose'

def test_imagenet_weights(monkeypatch, tmp_path):
    "Asked for by the right names, without a download; they move as a file does"
    asked = []
    def resnet(name, weights): asked.append((name, weights)); return getattr(torchvision.models, name)()
    monkeypatch.setattr(torchvision.models, 'get_model', resnet)
    model = simple_baseline(5, depth=34)
    torch.save(imagenet_weights(model), tmp_path/'resnet34.pth')
    assert asked == [('resnet34', 'IMAGENET1K_V1')]
    assert {n.split('.')[0] for n in load_weights(model, tmp_path/'resnet34.pth').missing} == {'deconv_layers', 'final_layer'}
    with pytest.raises(ValueError, match='width is 4'): imagenet_weights(hrnet(5, width=4))
    timm = pytest.importorskip('timm')
    create = timm.create_model
    monkeypatch.setattr(timm, 'create_model', lambda name, pretrained: asked.append((name, pretrained)) or create(name))
    model = hrnet(5, width=18)
    assert load_weights(model, imagenet_weights(model)).missing == ['final_layer.weight', 'final_layer.bias'] and asked[-1] == ('hrnet_w18', True)

# leaving Python

def check_onnx(model, tmp_path, grids):
    "Same heatmaps, and from them the same points. End to end, noise of 1e-6 can move the summit of a random network's rough maps by 0.01 px; a trained network's are smooth (test_learning.py)"
    onnxruntime = pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    stir(model).train()
    with torch.no_grad():
        for _ in range(10): model(normalise(torch.rand(4, 3, 96, 64)))                          # statistics that fit the weights
    for grid in grids:
        model.train().grid = grid
        export_onnx(model, tmp_path/'new'/f'{grid}.onnx', (96, 64))
        session = onnxruntime.InferenceSession(tmp_path/'new'/f'{grid}.onnx')
        assert model.training                                                   # left as it was
        for batch in (1, 5):
            images = torch.rand(batch, 3, 96, 64)
            heatmaps, points, scores = map(torch.from_numpy, session.run(None, {'images': images.numpy()}))
            with torch.no_grad(): ours = model.eval()(normalise(images))
            assert heatmaps.shape == (batch, 17, 24, 16) and (heatmaps - ours).abs().max() < 1e-4*ours.abs().max()
            again, heights = decode_heatmaps(heatmaps)
            assert (points - grid_points(again, model)).abs().max() < 1e-3 and torch.equal(scores, heights)
    assert set(os.listdir(tmp_path/'new')) == {f'{g}.onnx' for g in grids}         # one file each, weights inside

def test_onnx_simple_baseline(tmp_path): check_onnx(simple_baseline(17, depth=18), tmp_path, ('half-pixel', 'index'))

@pytest.mark.slow
def test_onnx_hrnet(tmp_path): check_onnx(hrnet(17, width=8), tmp_path, ('half-pixel',))

def test_onnx_says_what_is_missing(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='size of x is'): export_onnx(tiny, tmp_path/'a.onnx', (100, 64))
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    with pytest.raises(ValueError, match=r"onnxscript is not installed, expected .* pip install 'hsjp\[export\]'"): export_onnx(tiny, tmp_path/'a.onnx', (64, 64))

# checkpoints

def test_round_trip(tmp_path):
    model = stir(simple_baseline(np.int64(3), depth=18, in_channels=6))
    model.grid = 'index'
    save_checkpoint(tmp_path/'new'/'a.pth', model, 'pose', recipe=dict(lr=np.float32(.5), where=Path('/a'), sizes=(64, 48)), curve=np.arange(3.), none=None)
    assert os.listdir(tmp_path/'new') == ['a.pth']
    again, checkpoint = load_checkpoint(tmp_path/'new'/'a.pth')
    assert same(again, model) and (again.grid, again.task, again.config) == ('index', 'pose', model.config)
    assert checkpoint['recipe'] == dict(lr=.5, where='/a', sizes=(64, 48)) and checkpoint['curve'].tolist() == [0, 1, 2] and checkpoint['none'] is None
    assert torch.load(tmp_path/'new'/'a.pth', weights_only=True).keys() == {'model', 'config', 'task', 'grid', 'recipe', 'curve', 'none'}

def test_only_plain_values_are_written(tiny, tmp_path):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    old = (tmp_path/'a.pth').read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint\['recipe'\]\['loss'\] is a function, expected"): save_checkpoint(tmp_path/'a.pth', tiny, 'pose', recipe=dict(loss=renamed))
    with pytest.raises(ValueError, match="task is 'puzzle'"): save_checkpoint(tmp_path/'a.pth', tiny, 'puzzle')
    assert (tmp_path/'a.pth').read_bytes() == old and os.listdir(tmp_path) == ['a.pth']

def test_an_interrupted_write_leaves_the_old_file(tiny, tmp_path, monkeypatch):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    old = (tmp_path/'a.pth').read_bytes()
    def half(state, path): Path(path).write_bytes(b'half'); raise OSError('disk full')
    monkeypatch.setattr(torch, 'save', half)
    with pytest.raises(OSError, match='disk full'): save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    assert (tmp_path/'a.pth').read_bytes() == old and os.listdir(tmp_path) == ['a.pth']

class Sly:
    def __reduce__(self): return os.mkdir, (os.environ['SLY'],)

def test_no_pickle_is_run(tiny, tmp_path, monkeypatch):
    monkeypatch.setenv('SLY', str(tmp_path/'made'))
    torch.save({'model': tiny.state_dict(), 'extra': Sly()}, tmp_path/'torch.pth')
    (tmp_path/'pickle.pth').write_bytes(pickle.dumps(Sly()))
    for name in ('torch.pth', 'pickle.pth'):
        for read in (load_checkpoint, lambda p: load_weights(tiny, p)):
            with pytest.raises(ValueError, match=f'{name} cannot be read, expected'): read(tmp_path/name)
    assert not (tmp_path/'made').exists()

def test_unreadable_files(tiny, tmp_path):
    (tmp_path/'text.pth').write_text('hello'); (tmp_path/'empty.pth').touch(); (tmp_path/'folder.pth').mkdir()
    torch.save(tiny.state_dict(), tmp_path/'bare.pth')
    save_checkpoint(tmp_path/'good.pth', tiny, 'pose')
    (tmp_path/'cut.pth').write_bytes((tmp_path/'good.pth').read_bytes()[:-5000])
    state = torch.load(tmp_path/'good.pth', weights_only=True)
    torch.save({**state, 'config': {**state['config'], 'width': 8}}, tmp_path/'damaged.pth')
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'): load_checkpoint(tmp_path/'nowhere.pth')
    for name in ('text', 'empty', 'folder', 'cut'):
        with pytest.raises(ValueError, match=f'{name}.pth cannot be read'): load_checkpoint(tmp_path/f'{name}.pth')
    with pytest.raises(ValueError, match='bare.pth holds no network of ours'): load_checkpoint(tmp_path/'bare.pth')
    with pytest.raises(ValueError, match='damaged.pth is damaged'): load_checkpoint(tmp_path/'damaged.pth')

# freezing

@pytest.mark.parametrize('build, last', [(lambda: hrnet(3, width=4), {'final_layer'}), (lambda: simple_baseline(3, depth=18), {'deconv_layers', 'final_layer'})])
def test_freeze(build, last):
    model = build()
    groups = layers(model)
    assert [len(g) > 0 for g in groups] == [True]*5
    parts = [m for g in groups for m in g] + [getattr(model, n) for n in last]
    assert sum(sum(p.numel() for p in m.parameters()) for m in parts) == sum(p.numel() for p in model.parameters())
    for layer in (0, 2, 4, 1, -1):
        freeze_upto(model, layer)
        model.eval(); nn.Sequential(model).train()             # asleep also inside a wrapper
        opt = torch.optim.SGD(model.parameters(), lr=.1)
        before = {n: t.clone() for n, t in model.state_dict().items()}
        model(torch.rand(2, 3, 64, 64)).square().mean().backward(); opt.step(); opt.zero_grad()
        moved = {n for n, t in model.state_dict().items() if not torch.equal(t, before[n])}
        names = {m: n for n, m in model.named_children()}
        for k, group in enumerate(groups):
            of_group = {n for n in before if n.split('.')[0] in {names[m] for m in group}}
            assert (moved & of_group == set()) if k <= layer else moved & of_group
        if layer == 4: assert {n.split('.')[0] for n in moved} == last
    assert all(m.training for m in model.modules())
