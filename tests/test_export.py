"An exported network finds what the network finds"
import os
import sys

import pytest
import torch
from made import stir

from hsjp.export import export_onnx
from hsjp.heatmap import decode_heatmaps
from hsjp.models import hrnet, normalise, simple_baseline
from hsjp.predict import grid_points


def check_onnx(model, tmp_path, grids, channels='rgb'):
    "Same heatmaps, and from them the same points"
    # not the same points end to end: noise of 1e-6 can move the summit of a random network's rough maps
    # by 0.01 px; a trained network's are smooth (test_learning.py)
    onnxruntime = pytest.importorskip('onnxruntime')
    torch.manual_seed(0)
    stir(model).train()
    with torch.no_grad():
        for _ in range(10): model(normalise(torch.rand(4, 3, 96, 64)))  # statistics that fit the weights
    model.channels = channels
    for grid in grids:
        model.train().grid = grid
        export_onnx(model, tmp_path/'new'/f'{grid}.onnx', (96, 64))
        session = onnxruntime.InferenceSession(tmp_path/'new'/f'{grid}.onnx')
        assert model.training                                                   # left as it was
        for batch in (1, 5):
            images = torch.rand(batch, 3, 96, 64)
            heatmaps, points, scores = map(torch.from_numpy, session.run(None, {'images': images.numpy()}))
            with torch.no_grad(): ours = model.eval()(normalise(images, channels))
            assert heatmaps.shape == (batch, 17, 24, 16)
            assert (heatmaps - ours).abs().max() < 1e-4*ours.abs().max()
            again, heights = decode_heatmaps(heatmaps)
            again = grid_points(again, model, (96, 64))
            assert (points - again).abs().max() < 1e-3 and torch.equal(scores, heights)
    assert set(os.listdir(tmp_path/'new')) == {f'{g}.onnx' for g in grids}  # one file each, weights inside

def test_onnx_simple_baseline(tmp_path):
    check_onnx(simple_baseline(17, depth=18), tmp_path, ('half-pixel', 'index'))

def test_onnx_bgr_and_udp(tmp_path):
    check_onnx(simple_baseline(17, depth=18, width=8), tmp_path, ('udp',), 'bgr')

@pytest.mark.slow
def test_onnx_hrnet(tmp_path): check_onnx(hrnet(17, width=8), tmp_path, ('half-pixel',))

def test_onnx_says_what_is_missing(tiny, tmp_path, monkeypatch):
    with pytest.raises(ValueError, match='size of x is'): export_onnx(tiny, tmp_path/'a.onnx', (100, 64))
    monkeypatch.setitem(sys.modules, 'onnxscript', None)
    words = r"onnxscript is not installed, expected .* pip install 'hsjp\[export\]'"
    with pytest.raises(ValueError, match=words):
        export_onnx(tiny, tmp_path/'a.onnx', (64, 64))
