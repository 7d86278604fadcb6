"Heatmaps against the paper's formulas in double precision; decoding of exact Gaussians"
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsjp.heatmap import HeatmapLoss, decode_heatmaps, gaussian_heatmaps, masked_mse, sigma_bound


@settings(max_examples=40, deadline=None)
@given(h=st.integers(3, 64), w=st.integers(3, 64), sigma=st.floats(.6, 4), seed=st.integers(0, 99))
def test_equation_1_and_its_inverse(h, w, sigma, seed):
    p = torch.rand(2, 5, 2, generator=torch.Generator().manual_seed(seed))*torch.tensor([4.*w, 4.*h])
    maps = gaussian_heatmaps(p, (h, w), sigma)
    yy, xx = np.mgrid[:h, :w] + .5
    q = p.double().numpy()/4
    want = np.exp(-((xx-q[..., 0, None, None])**2 + (yy-q[..., 1, None, None])**2)/(2*sigma**2))
    assert np.abs(maps.numpy() - want).max() < 1e-6
    found, scores = decode_heatmaps(maps)
    assert (found - p).abs().max() < .02 and (scores <= 1).all()

def test_equation_2_keeps_its_denominator():
    g = torch.Generator().manual_seed(0)
    pred, target = torch.rand(3, 5, 8, 6, generator=g), torch.rand(3, 5, 8, 6, generator=g)
    mask = torch.tensor([[1., 0, 1, 0, 0]]).expand(3, 5)
    d, m = (pred.double() - target.double()).numpy()**2, mask.numpy()[..., None, None]
    assert abs(masked_mse(pred, target, mask).item() - (d*m).sum()/(3*5*8*6)) < 1e-6
    assert torch.allclose(masked_mse(pred, target, mask, 'none').mean(), masked_mse(pred, target, mask))

def test_loss_is_zero_on_its_own_targets():
    p = torch.rand(2, 4, 2)*60
    assert HeatmapLoss(1.3)(gaussian_heatmaps(p, (16, 16), 1.3), p, torch.ones(2, 4)) == 0

def test_a_flat_map_decodes_to_a_finite_point():
    for method in ('argmax', 'quarter', 'dark'):
        assert torch.isfinite(decode_heatmaps(torch.zeros(1, 2, 8, 8), method)[0]).all()

def test_unknown_method_is_named():
    with pytest.raises(ValueError, match="'dark'"): decode_heatmaps(torch.zeros(1, 1, 8, 8), 'softmax')

def test_no_denormals_far_from_the_point():
    maps = gaussian_heatmaps(torch.tensor([[[2., 2.], [-50., 500.]]]), (56, 56), 1.)
    assert maps.min() >= torch.finfo(torch.float32).tiny and maps[0, 1].max() < 1e-15

@pytest.mark.parametrize('call,word', [
    (lambda: gaussian_heatmaps(torch.full((1, 2, 2), torch.nan), (8, 8), 1.),
     r'points\[0, 0\] is \[nan, nan\]; expected finite'),
    (lambda: gaussian_heatmaps(torch.zeros(0, 2, 2), (8, 8), 1.), 'at least one picture'),
    (lambda: gaussian_heatmaps(torch.zeros(1, 2, 2), (8, 8), 0.), 'sigma is 0'),
    (lambda: HeatmapLoss(float('nan')), 'sigma is nan'),
    (lambda: decode_heatmaps(torch.zeros(0, 2, 8, 8)), 'at least one picture'),
    (lambda: masked_mse(*torch.zeros(2, 0, 2, 8, 8), torch.ones(0, 2)), 'at least one picture'),
    (lambda: masked_mse(*torch.zeros(2, 1, 2, 8, 8), torch.ones(1, 3)), r'mask has shape \(1, 3\)'),
    (lambda: sigma_bound(17, 56), 'n is 17')])
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word): call()
