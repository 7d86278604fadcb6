"All that may happen to weights: files, other people's names, heads, channels, grids"
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from torch import nn

from hsjp.finetune import pose_learner
from hsjp.models import hrnet, replace_head, simple_baseline
from hsjp.people import PersonDataset
from hsjp.predict import predict
from hsjp.skeleton import Skeleton
from hsjp.weights import imagenet_weights, load_checkpoint, load_weights, save_checkpoint


@pytest.fixture
def tiny(): return hrnet(16, width=4)

def stir(model, seed=0):
    "Weights and batch-norm statistics that all differ, so that a misplaced tensor is noticed"
    g = torch.Generator().manual_seed(seed)
    for n, t in model.state_dict().items():
        if n.endswith('running_var') or n.endswith('weight') and t.ndim == 1: t.uniform_(.5, 1.5, generator=g)
        elif t.ndim < 4 and t.is_floating_point(): t.normal_(0, .1, generator=g)
    return model

def same(a, b):
    a, b = a.state_dict().values(), b.state_dict().values()
    return all(torch.equal(x, y) for x, y in zip(a, b, strict=True))

def parts(names): return {n.split('.')[0] for n in names}

HEAD = ['final_layer.weight', 'final_layer.bias']

# moving weights

def renamed(model, trunk, head):
    "A state dict with other prefixes before the trunk and before the head"
    is_head = lambda k: k.startswith(('deconv_layers', 'final_layer'))
    return {(head if is_head(k) else trunk) + k: v for k, v in model.state_dict().items()}

@pytest.mark.parametrize('build, bgr', [(lambda: hrnet(5, width=4), False),
                                        (lambda: simple_baseline(5, depth=18), True)])
def test_sources(build, bgr, tmp_path):
    source = stir(build())
    torch.save(renamed(source, 'module.', 'module.'), tmp_path/'published.pth')
    sources = [(source.state_dict(), bgr), ({'state_dict': source.state_dict(), 'epoch': 210}, bgr),
               ({'model': renamed(source, 'model.', 'model.')}, bgr),
               (renamed(source, 'backbone.', 'keypoint_head.'), False),
               ({'meta': {}, 'state_dict': renamed(source, 'backbone.', 'head.')}, False),
               (str(tmp_path/'published.pth'), bgr)]
    for weights, bgr in sources:
        model = build()
        before = model.final_layer.weight.clone()
        report = load_weights(model, weights)
        assert report.missing == HEAD and len(report.skipped) == 2
        assert torch.equal(model.final_layer.weight, before)
        assert (model.grid, model.task) == ('half-pixel', None)
        assert (report.grid, report.bgr) == ('index', bgr)
        assert 'index' in repr(report) and ('BGR' in repr(report)) == bgr
        report = load_weights(model, weights, head=True)
        assert not report.missing and not report.skipped
        assert (model.grid, model.task) == ('index', 'pose') and same(model, source)

def test_trunk_only():
    source, model = simple_baseline(4, depth=18), simple_baseline(4, depth=18)
    before = model.deconv_layers[0].weight.clone()
    report = load_weights(model, source.state_dict(), trunk_only=True)
    assert parts(report.missing) == parts(report.skipped) == {'deconv_layers', 'final_layer'}
    assert torch.equal(model.deconv_layers[0].weight, before)
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)

def test_other_shapes_are_skipped(tiny):
    "A few are; where fewer than half of the tensors are found, the weights are another network's"
    state = hrnet(16, width=4).state_dict()
    other = [k for k, v in state.items() if k.startswith(('stage4.2.', 'final_layer.weight')) and v.ndim == 4]
    state |= {k: state[k][:, :1] for k in other}
    report = load_weights(tiny, state, head=True)
    assert 'layer1.0.conv1.weight' in report.loaded and 'stage4.2.branches.0.0.conv1.weight' in report.skipped
    assert 'final_layer.weight' in report.skipped and tiny.grid == 'half-pixel'  # no head came, nor its grid
    for model, source in ((tiny, hrnet(16, width=8)), (simple_baseline(16), hrnet(16))):
        with pytest.raises(ValueError, match='at least half'): load_weights(model, source.state_dict())

def test_weights_that_are_no_numbers_are_refused(tiny, tmp_path):
    state = {k: v.clone() for k, v in tiny.state_dict().items()}
    state['conv1.weight'][0, 0, 0, 0] = float('nan')
    with pytest.raises(ValueError, match='NaN'): load_weights(hrnet(16, width=4), state)
    tiny.load_state_dict(state)
    save_checkpoint(tmp_path/'nan.pt', tiny, 'pose')
    with pytest.raises(ValueError, match='nan.pt has NaN'): load_checkpoint(tmp_path/'nan.pt')

def test_a_config_that_declares_more_than_the_file_holds(tiny, tmp_path):
    "is refused before a network of that size is built"
    save_checkpoint(tmp_path/'n.pt', tiny, 'pose')
    state = torch.load(tmp_path/'n.pt', weights_only=True)
    state['config']['n_out'] = 2_000_000
    torch.save(state, tmp_path/'n.pt')
    with pytest.raises(ValueError, match='is damaged'): load_checkpoint(tmp_path/'n.pt')

def test_a_full_disk_is_a_sentence(tiny, tmp_path, monkeypatch):
    save_checkpoint(tmp_path/'n.pt', tiny, 'pose')
    before = (tmp_path/'n.pt').read_bytes()
    def full(state, path): raise RuntimeError('PytorchStreamWriter failed writing file')
    monkeypatch.setattr(torch, 'save', full)
    with pytest.raises(OSError, match='cannot be written'): save_checkpoint(tmp_path/'n.pt', tiny, 'pose')
    assert (tmp_path/'n.pt').read_bytes() == before

def test_nothing_fits(tiny):
    with pytest.raises(ValueError, match='no convolution that fits this hrnet'):
        load_weights(tiny, nn.Linear(2, 2).state_dict())

@pytest.mark.parametrize('build', [lambda c: hrnet(5, width=4, in_channels=c),
                                   lambda c: simple_baseline(5, depth=18, in_channels=c)])
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
        assert conv.weight.dtype == torch.bfloat16
        assert conv.weight.is_contiguous(memory_format=torch.channels_last)

def test_a_puzzle_head_is_no_pose_head(tiny, tmp_path):
    save_checkpoint(tmp_path/'jigsaw.pth', hrnet(16, width=4), 'jigsaw')
    tiny.task = 'pose'
    before = stir(tiny).conv1.weight.clone()
    with pytest.raises(ValueError, match='jigsaw network and the model a pose network'):
        load_weights(tiny, tmp_path/'jigsaw.pth', head=True)
    assert torch.equal(tiny.conv1.weight, before)
    assert load_weights(tiny, tmp_path/'jigsaw.pth').missing == HEAD
    tiny.task = 'jigsaw'
    load_weights(tiny, tmp_path/'jigsaw.pth', head=True)
    with pytest.raises(ValueError, match='pose network and the model a jigsaw'):
        load_weights(tiny, hrnet(16, width=4).state_dict(), head=True)

def test_our_checkpoint_brings_its_grid(tiny, tmp_path):
    source = hrnet(16, width=4)
    source.grid = 'index'
    save_checkpoint(tmp_path/'a.pth', source, 'pose')
    assert load_weights(tiny, tmp_path/'a.pth').grid == 'index' and tiny.grid == 'half-pixel'
    load_weights(tiny, tmp_path/'a.pth', head=True)
    assert (tiny.grid, tiny.task) == ('index', 'pose')
    assert replace_head(tiny, 9) is tiny
    assert (tiny.grid, tiny.task, tiny.config['n_out']) == ('half-pixel', None, 9)

def test_a_puzzle_becomes_a_pose_network_by_a_fresh_head_only():
    model = simple_baseline(16, depth=18)                                       # N = 4, K = 16
    model.task = 'jigsaw'
    skeleton = Skeleton([f'k{i}' for i in range(16)], [], [], [.1]*16)
    one = PersonDataset(['x.png'], [(0, 0, 9, 9)], skeleton, np.zeros((1, 16, 2)), np.ones((1, 16)))
    with pytest.raises(ValueError, match='solves puzzles'): pose_learner(one, one, model)
    with pytest.raises(ValueError, match='solves puzzles'): predict(model, one)
    assert pose_learner(one, one, replace_head(model, 16), device='cpu').model.task == 'pose'

def test_imagenet_weights(monkeypatch, tmp_path):
    "Asked for by the right names, without a download; they move as a file does"
    asked = []
    def resnet(name, weights): asked.append((name, weights)); return getattr(torchvision.models, name)()
    def hrnets(name, pretrained): asked.append((name, pretrained)); return create(name)
    monkeypatch.setattr(torchvision.models, 'get_model', resnet)
    model = simple_baseline(5, depth=34)
    torch.save(imagenet_weights(model), tmp_path/'resnet34.pth')
    assert asked == [('resnet34', 'IMAGENET1K_V1')]
    assert parts(load_weights(model, tmp_path/'resnet34.pth').missing) == {'deconv_layers', 'final_layer'}
    with pytest.raises(ValueError, match='width is 4'): imagenet_weights(hrnet(5, width=4))
    timm = pytest.importorskip('timm')
    create = timm.create_model
    monkeypatch.setattr(timm, 'create_model', hrnets)
    model = hrnet(5, width=18)
    assert load_weights(model, imagenet_weights(model)).missing == HEAD and asked[-1] == ('hrnet_w18', True)

# checkpoints

def test_round_trip(tmp_path):
    model = stir(simple_baseline(np.int64(3), depth=18, in_channels=6))
    model.grid = 'index'
    recipe = dict(lr=np.float32(.5), where=Path('/a'), sizes=(64, 48))
    save_checkpoint(tmp_path/'new'/'a.pth', model, 'pose', recipe=recipe, curve=np.arange(3.), none=None)
    assert os.listdir(tmp_path/'new') == ['a.pth']
    again, checkpoint = load_checkpoint(tmp_path/'new'/'a.pth')
    assert same(again, model) and (again.grid, again.task, again.config) == ('index', 'pose', model.config)
    assert checkpoint['recipe'] == dict(lr=.5, where='/a', sizes=(64, 48))
    assert checkpoint['curve'].tolist() == [0, 1, 2] and checkpoint['none'] is None
    stored = torch.load(tmp_path/'new'/'a.pth', weights_only=True)
    assert stored.keys() == {'model', 'config', 'task', 'grid', 'recipe', 'curve', 'none'}

def test_only_plain_values_are_written(tiny, tmp_path):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    old = (tmp_path/'a.pth').read_bytes()
    with pytest.raises(ValueError, match=r"checkpoint\['recipe'\]\['loss'\] is a function, expected"):
        save_checkpoint(tmp_path/'a.pth', tiny, 'pose', recipe=dict(loss=renamed))
    with pytest.raises(ValueError, match="task is 'puzzle'"):
        save_checkpoint(tmp_path/'a.pth', tiny, 'puzzle')
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
    with pytest.raises(FileNotFoundError, match='nowhere.pth does not exist'):
        load_checkpoint(tmp_path/'nowhere.pth')
    for name in ('text', 'empty', 'folder', 'cut'):
        with pytest.raises(ValueError, match=f'{name}.pth cannot be read'):
            load_checkpoint(tmp_path/f'{name}.pth')
    for name, words in (('bare', 'holds no network of ours'), ('damaged', 'is damaged')):
        with pytest.raises(ValueError, match=f'{name}.pth {words}'): load_checkpoint(tmp_path/f'{name}.pth')
