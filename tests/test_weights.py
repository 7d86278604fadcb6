"All that may happen to weights: files, other people's names, heads, channels, grids"
import os
import pickle
import resource
import signal
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision
from made import stir
from torch import nn

from hsjp.export import export_onnx
from hsjp.finetune import pose_learner
from hsjp.models import hrnet, normalise, replace_head, simple_baseline
from hsjp.people import PersonDataset
from hsjp.predict import predict
from hsjp.skeleton import Skeleton
from hsjp.weights import _read, imagenet_weights, load_checkpoint, load_weights, save_checkpoint


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
               (renamed(source, '_orig_mod.', '_orig_mod.'), bgr),
               (renamed(source, '_orig_mod.module.', '_orig_mod.module.'), bgr),
               (str(tmp_path/'published.pth'), bgr)]
    for weights, bgr in sources:
        model = build()
        before = model.final_layer.weight.clone()
        report = load_weights(model, weights)
        assert report.missing == HEAD and len(report.skipped) == 2
        assert torch.equal(model.final_layer.weight, before)
        assert (model.grid, model.channels, model.task) == ('half-pixel', 'rgb', None)
        assert (report.grid, report.bgr) == ('index', bgr)
        assert 'index' in repr(report) and ('BGR' in repr(report)) == bgr
        first = source.conv1.weight.flip(1) if bgr else source.conv1.weight     # turned round for RGB
        assert torch.equal(model.conv1.weight, first)
        report = load_weights(model, weights, head=True)
        assert not report.missing and not report.skipped
        assert (model.grid, model.task) == ('index', 'pose') and same(model, source)
        assert model.channels == ('bgr' if bgr else 'rgb')

def test_trunk_only():
    source, model = simple_baseline(4, depth=18), simple_baseline(4, depth=18)
    before = model.deconv_layers[0].weight.clone()
    report = load_weights(model, source.state_dict(), trunk_only=True)
    assert parts(report.missing) == parts(report.skipped) == {'deconv_layers', 'final_layer'}
    assert torch.equal(model.deconv_layers[0].weight, before)
    assert torch.equal(model.layer4[1].conv2.weight, source.layer4[1].conv2.weight)

def test_a_head_that_does_not_fit():
    wide, model = simple_baseline(5, depth=18), simple_baseline(5, depth=18, deconv=64)
    report = load_weights(model, wide.state_dict(), head=True)
    assert 'layer1.0.conv1.weight' in report.loaded and 'deconv_layers.0.weight' in report.skipped
    assert 'final_layer.weight' in report.skipped
    assert (model.grid, model.channels) == ('half-pixel', 'rgb')  # no head came, nor its grid and channels
    assert torch.equal(model.conv1.weight, wide.conv1.weight.flip(1)) and 'turned round' in repr(report)

@pytest.mark.parametrize('build', [lambda: simple_baseline(5, depth=18), lambda: hrnet(5, width=8)])
def test_another_network_is_an_error(build):
    model, other = build(), hrnet(5, width=4)
    before = stir(model).conv1.weight.clone()
    with pytest.raises(ValueError, match=r'source has only \d+ of the \d+ tensors that this'):
        load_weights(model, other.state_dict())
    assert torch.equal(model.conv1.weight, before)

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

# channels, grids and strides of published networks

def test_channels_travel(tmp_path):
    "From a published file into a model, into our checkpoint, and back; only the head brings the order"
    published, model = stir(simple_baseline(5, depth=18)), simple_baseline(5, depth=18)
    load_weights(model, published.state_dict(), head=True)
    save_checkpoint(tmp_path/'a.pth', model, 'pose')
    again, checkpoint = load_checkpoint(tmp_path/'a.pth')
    assert again.channels == checkpoint['channels'] == 'bgr'
    other = simple_baseline(5, depth=18)
    assert load_weights(other, tmp_path/'a.pth').bgr and other.channels == 'rgb'
    assert load_weights(other, tmp_path/'a.pth', head=True).bgr and other.channels == 'bgr'
    assert same(other, model)
    x = torch.rand(1, 3, 32, 32)
    assert torch.equal(normalise(x, 'bgr'), normalise(x.flip(1)))               # means in the written order
    load_weights(other, published.state_dict(), head=True, channels='rgb')
    assert other.channels == 'rgb'
    with pytest.raises(ValueError, match="channels is 'grb'"):
        load_weights(other, model.state_dict(), channels='grb')

def test_old_checkpoints_are_rgb(tiny, tmp_path):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    state = torch.load(tmp_path/'a.pth', weights_only=True)
    del state['channels'], state['recipe']
    torch.save(state, tmp_path/'old.pth')
    model, checkpoint = load_checkpoint(tmp_path/'old.pth')
    assert model.channels == checkpoint['channels'] == 'rgb' and checkpoint['recipe'] is None
    assert not load_weights(tiny, tmp_path/'old.pth', head=True).bgr

@pytest.mark.parametrize('cfg', ["dict(type='UDPHeatmap')", "dict(type='TopDownAffine', use_udp=True)"])
def test_udp_by_config_or_by_argument(cfg, tiny):
    state = renamed(hrnet(16, width=4), 'backbone.', 'head.')
    read = lambda cfg: load_weights(tiny, {'meta': {'cfg': cfg}, 'state_dict': state}, head=True).grid
    assert read(cfg) == tiny.grid == 'udp' and read('MSRAHeatmap') == tiny.grid == 'index'
    assert load_weights(tiny, state, head=True, grid='udp').grid == tiny.grid == 'udp'
    with pytest.raises(ValueError, match="grid is 'dup', expected 'half-pixel', 'index', 'udp'"):
        load_weights(tiny, state, grid='dup')

def test_caffe_is_pointed_out(tmp_path):
    model, caffe = simple_baseline(5, depth=50), simple_baseline(5, depth=50, caffe=True)
    assert '3x3 (torchvision)' in repr(load_weights(model, caffe.state_dict()))
    assert '1x1 (Caffe)' in repr(load_weights(caffe, model.state_dict()))
    save_checkpoint(tmp_path/'a.pth', caffe, 'pose')
    assert load_checkpoint(tmp_path/'a.pth')[0].layer2[0].conv1.stride == (2, 2)
    quiet = [load_weights(model, tmp_path/'a.pth'),                             # our mark
             load_weights(model, torchvision.models.resnet50().state_dict()),   # no transposed convolutions
             load_weights(simple_baseline(5, 18), simple_baseline(5, 18).state_dict())]
    assert not any('stride' in repr(r) for r in quiet)

# not finite

@pytest.mark.parametrize('bad', [float('nan'), float('inf'), 1e300])
def test_weights_that_are_not_finite(bad, tiny, tmp_path):
    before, state = tiny.conv1.weight.clone(), hrnet(16, width=4).double().state_dict()
    state['layer1.0.conv1.weight'][0, 0] = bad                                  # 1e300 has no float32
    torch.save(state, tmp_path/'bare.pth')
    for source, name in ((state, 'source'), (tmp_path/'bare.pth', 'bare.pth')):
        with pytest.raises(ValueError, match=f"{name} has NaN or infinite weights .*layer1.0.conv1.weight"):
            load_weights(tiny, source)
    assert torch.equal(tiny.conv1.weight, before)
    with torch.no_grad(): tiny.layer1[0].conv1.weight[0] = torch.nan
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    with pytest.raises(ValueError, match='a.pth has NaN'): load_checkpoint(tmp_path/'a.pth')
    with pytest.raises(ValueError, match='NaN or infinite'): export_onnx(tiny, tmp_path/'a.onnx', (64, 64))

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
    assert stored.keys() == {'model', 'config', 'task', 'grid', 'channels', 'recipe', 'curve', 'none'}

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

def test_a_full_disk_leaves_the_old_file(tiny, tmp_path):
    "torch's zip writer raises a RuntimeError; here files may not grow beyond 64 kB"
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    old, (soft, hard) = (tmp_path/'a.pth').read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(OSError, match='a.pth cannot be written: .*; a file that was there before'):
            save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path/'a.pth').read_bytes() == old and os.listdir(tmp_path) == ['a.pth']

class HistoryBuffer:
    "Pickled as mmengine's: arrays, and its own functions by name"
    def __init__(self):
        self._log_history, self.statistics_methods = np.arange(3.), {'mean': HistoryBuffer.mean}
    def mean(self): raise AssertionError('run')

def test_files_of_others_with_numpy_inside(tiny, tmp_path, monkeypatch):
    "mmpose 1.x (`meta` with arrays), mmengine in training (logs), HRNet's checkpoint.pth (np.float64)"
    module = types.ModuleType('mmengine.logging.history_buffer')
    module.HistoryBuffer, HistoryBuffer.__module__ = HistoryBuffer, module.__name__
    for name in ('mmengine', 'mmengine.logging'):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    source = stir(hrnet(16, width=4))
    arrays = dict(sigmas=np.array([.026, .1], np.float32), flip=np.arange(17), names=np.array(['nose']),
                  ok=np.array([True]))
    mm = {'meta': dict(dataset_meta=arrays, seed=np.int64(3)),
          'state_dict': renamed(source, 'backbone.', 'head.')}
    files = dict(mmpose=mm, mmengine={**mm, 'message_hub': dict(log_scalars={'loss': HistoryBuffer()})},
                 hrnet={'model': 'pose_hrnet', 'perf': np.float64(.7), 'state_dict': source.state_dict()})
    for name, contents in files.items():
        torch.save(contents, tmp_path/name)
        with pytest.raises(pickle.UnpicklingError): torch.load(tmp_path/name, weights_only=True)
        monkeypatch.delitem(sys.modules, module.__name__)       # who reads need not have mmengine
        model = hrnet(16, width=4)
        assert not load_weights(model, tmp_path/name, head=True).missing and same(model, source)
        monkeypatch.setitem(sys.modules, module.__name__, module)

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

class Fetch:
    "Asks for a function by name, as mmengine's logs do"
    def __reduce__(self): return getattr, ('text', 'upper')

def test_stand_ins_fetch_nothing(tiny, tmp_path, monkeypatch):
    torch.save({'state_dict': tiny.state_dict(), 'extra': Fetch()}, tmp_path/'a.pth')
    assert type(_read(tmp_path/'a.pth')['extra']).__name__ == '_Inert'
    monkeypatch.setenv('SLY', str(tmp_path/'made'))
    bad = np.array([Sly()], object)
    torch.save({'state_dict': tiny.state_dict(), 'extra': bad}, tmp_path/'b.pth')
    with pytest.raises(ValueError, match='cannot be read'): load_weights(tiny, tmp_path/'b.pth')
    assert not (tmp_path/'made').exists()

def test_sizes_are_checked_before_memory_is_taken(tiny, tmp_path):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    state = torch.load(tmp_path/'a.pth', weights_only=True)
    many, config = 2_000_000, state['config']
    stretched = {**state['model'], 'final_layer.weight': torch.zeros(1, 1, 1, 1).expand(many, 60, 1, 1),
                 'final_layer.bias': torch.zeros(1).expand(many)}
    lies = {'many': {**state, 'config': {**config, 'n_out': many}},
            'wide': {**state, 'config': {**config, 'width': 10**6}},
            'wider': {**state, 'config': {**config, 'width': 10**30}},
            'stretched': {**state, 'config': {**config, 'n_out': many}, 'model': stretched},
            'text': {**state, 'model': {k: 'text' for k in state['model']}},
            'none': {**state, 'model': None}, 'grid': {**state, 'grid': 'round'},
            'task': {**state, 'task': 'art'}}
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, lie in lies.items():
        torch.save(lie, tmp_path/f'{name}.pth')
        with pytest.raises(ValueError, match=f'{name}.pth is damaged') as e:
            load_checkpoint(tmp_path/f'{name}.pth')
        assert '\n' not in str(e.value)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000      # kB

def test_a_zip_bomb_is_not_unpacked(tiny, tmp_path):
    save_checkpoint(tmp_path/'a.pth', tiny, 'pose')
    write = zipfile.ZipFile(tmp_path/'b.pth', 'w', zipfile.ZIP_DEFLATED)
    with zipfile.ZipFile(tmp_path/'a.pth') as a, write as b:
        for name in a.namelist():
            b.writestr(name, bytes(10**5) if '/data/' in name else a.read(name))
    for read in (load_checkpoint, lambda p: load_weights(tiny, p)):
        with pytest.raises(ValueError, match='b.pth cannot be read') as e: read(tmp_path/'b.pth')
    assert 'unpack' in str(e.value.__cause__)

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
