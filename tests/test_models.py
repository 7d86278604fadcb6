"Networks against published names and other people's networks"
from pathlib import Path

import pytest
import torch
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from made import stir
from torch import nn

from hsjp.models import (
    build_model,
    compact,
    denormalise,
    freeze_upto,
    hrnet,
    layers,
    normalise,
    replace_head,
    rescale_weights,
    simple_baseline,
)
from hsjp.weights import load_weights

GOLDEN = Path(__file__).parents[2]/'shared'/'golden'

@pytest.fixture(scope='module')
def w32(): return hrnet(17).eval()

@pytest.fixture(scope='module')
def sb50(): return simple_baseline(17).eval()

def keys_and_shapes(model):
    return [(k, 'x'.join(map(str, v.shape)) or 'scalar') for k, v in model.state_dict().items()]

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
    published = [tuple(line.split('\t')) for line in golden.read_text().splitlines()]
    assert keys_and_shapes(request.getfixturevalue(name)) == published

def test_every_parameter_learns():
    for model in (hrnet(3, width=4), simple_baseline(3, depth=18)):
        model(torch.rand(2, 3, 64, 64)).square().sum().backward()
        assert all(p.grad is not None for p in model.parameters())

@pytest.mark.parametrize('make', [
    lambda: hrnet(3, width=4), lambda: compact(3, width=8), lambda: simple_baseline(3, 18, in_channels=6),
    lambda: simple_baseline(3, depth=50, width=8, caffe=True)])
def test_rescaled_weights_say_the_same(make):
    "And have the size of random ones; the head, behind which no batch norm stands, is left alone"
    model = stir(make()).eval()
    x, head = torch.rand(2, model.conv1.in_channels, 64, 64), model.final_layer.weight.clone()
    with torch.no_grad(): before, after = model(x), rescale_weights(model)(x)
    assert (after - before).abs().max() < 2e-3*before.abs().max()
    assert model.final_layer.weight.equal(head)
    size, random = (torch.tensor([p.norm() for n, p in net.named_parameters()
                                  if p.ndim == 4 and not n.startswith(('final', 'lateral'))])
                    for net in (model, make()))
    torch.testing.assert_close(size, random, rtol=.5, atol=0)

# other people's networks

def test_hrnet_is_timms(w32):
    timm = pytest.importorskip('timm')
    theirs = stir(timm.create_model('hrnet_w32', pretrained=False)).eval()
    report = load_weights(w32, theirs.state_dict())
    assert report.missing == ['final_layer.weight', 'final_layer.bias']
    assert report.grid == 'half-pixel' and not report.bgr
    dead = {n.split('.')[0] for n in report.skipped} - {'stage4'}
    assert dead == {'incre_modules', 'downsamp_modules', 'final_layer', 'classifier'}
    unused = tuple(f'stage4.2.fuse_layers.{i}' for i in (1, 2, 3))
    assert all(n.startswith(unused) for n in report.skipped if n.startswith('stage4'))
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
    assert report.skipped == ['fc.weight', 'fc.bias']
    assert {n.split('.')[0] for n in report.missing} == {'deconv_layers', 'final_layer'}
    trunk = nn.Sequential(*list(theirs.children())[:-2])
    x = torch.randn(1, 3, 64, 96)
    with torch.no_grad(): assert torch.equal(ours.features(x), ours.deconv_layers(trunk(x)))

def test_caffe_bottlenecks():
    "Stride on the first 1x1: the same names and shapes, another network; in config only where true"
    theirs, ours = stir(torchvision.models.resnet50()).eval(), simple_baseline(5, 50, caffe=True).eval()
    for layer in (theirs.layer2, theirs.layer3, theirs.layer4):
        layer[0].conv1.stride, layer[0].conv2.stride = (2, 2), (1, 1)
    load_weights(ours, theirs.state_dict())
    trunk, x = nn.Sequential(*list(theirs.children())[:-2]), torch.randn(1, 3, 64, 96)
    with torch.no_grad(): assert torch.equal(ours.features(x), ours.deconv_layers(trunk(x)))
    assert ours.config['caffe'] and build_model(ours.config).layer4[0].conv1.stride == (2, 2)
    assert keys_and_shapes(ours) == keys_and_shapes(simple_baseline(5, 50))

def test_resnet_deconvolutions_double():
    "A transposed convolution of kernel 4, stride 2, padding 1 gives exactly twice the size"
    assert simple_baseline(2, depth=34)(torch.zeros(2, 3, 64, 96)).shape == (2, 2, 16, 24)

# sizes, initialisation, errors

@pytest.mark.parametrize('build', [lambda c: hrnet(5, width=4, in_channels=c),
                                   lambda c: simple_baseline(5, depth=18, in_channels=c)])
@pytest.mark.parametrize('channels', [3, 6])
def test_shapes_and_config(build, channels):
    model = build(channels)
    assert model.eval()(torch.zeros(1, channels, 64, 96)).shape == (1, 5, 64//model.stride, 96//model.stride)
    again = build_model(model.config)
    assert keys_and_shapes(again) == keys_and_shapes(model) and again.config == model.config
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
    (lambda: simple_baseline(17, in_channels=4), 'in_channels is 4'),
    (lambda: simple_baseline(17, depth=34, caffe=True), 'caffe is True'),
    (lambda: hrnet(17, width=0), 'width is 0'),
    (lambda: hrnet(2.5), 'n_out is 2.5'), (lambda: hrnet(17, width='w32'), "width is 'w32'"),
    (lambda: hrnet(2, width=4)(torch.zeros(1, 3, 100, 64)), 'size of x is'),
    (lambda: build_model(dict(name='vit', n_out=3)), 'config is'),
    (lambda: build_model(dict(name='hrnet')), 'config is'),
    (lambda: build_model(dict(name='hrnet', n_out=3, depth=50)), 'config is'),
    (lambda: normalise(torch.zeros(1, 4, 8, 8)), 'shape of x is'),
    (lambda: normalise(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)), 'dtype of x is'),
    (lambda: replace_head(hrnet(2, width=4), 0), 'n_out is 0'),
    (lambda: freeze_upto(hrnet(2, width=4), 5), 'layer is 5'),
    (lambda: load_weights(hrnet(2, width=4), [1]), 'source is'),
    (lambda: load_weights(hrnet(2, width=4), {}), 'source has no'),
    (lambda: load_weights(hrnet(2, width=4), {}, head=True, trunk_only=True), 'trunk_only is True'),
])
def test_errors_name_the_argument(call, words):
    with pytest.raises(ValueError, match=words) as e: call()
    assert 'expected' in str(e.value) and '\n' not in str(e.value)

@given(st.sampled_from([3, 6]), st.sampled_from([torch.float32, torch.float64]))
@settings(max_examples=8, deadline=None)
def test_normalise(channels, dtype):
    x = torch.rand(2, channels, 5, 7, dtype=dtype)
    each = torchvision.transforms.Normalize((.485, .456, .406), (.229, .224, .225))
    want = torch.cat([each(picture) for picture in x.split(3, 1)], 1)
    torch.testing.assert_close(normalise(x), want)
    torch.testing.assert_close(denormalise(normalise(x)), x)

def test_normalise_after_inference_mode():
    with torch.inference_mode(): normalise(torch.rand(1, 3, 4, 4, dtype=torch.float16))
    x = torch.rand(1, 3, 4, 4, dtype=torch.float16, requires_grad=True)
    normalise(x).sum().backward()
    assert x.grad is not None

# freezing

@pytest.mark.parametrize('build, last', [
    (lambda: hrnet(3, width=4), {'final_layer'}),
    (lambda: simple_baseline(3, depth=18), {'deconv_layers', 'final_layer'}),
])
def test_freeze(build, last):
    model = build()
    groups = layers(model)
    assert [len(g) > 0 for g in groups] == [True]*5
    parts = [m for g in groups for m in g] + [getattr(model, n) for n in last]
    size = lambda m: sum(p.numel() for p in m.parameters())
    assert sum(map(size, parts)) == size(model)
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
