"Points and pixels move together; what is drawn is repeatable; colours stay colours"
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hsjp.augment import ColourAugment, JigsawBatch, PoseBatch, move_points, random_affine, warp
from hsjp.jigsaw import patch_centres, shuffle_patches
from hsjp.skeleton import COCO


def blobs(points, h, w, width=2.5):
    yy, xx = torch.meshgrid(torch.arange(h)+.5, torch.arange(w)+.5, indexing='ij')
    return torch.exp(-((xx-points[..., 0, None, None])**2 + (yy-points[..., 1, None, None])**2)/(2*width**2))

def centroid(maps):
    h, w = maps.shape[-2:]
    x, y = (maps.sum(2)*(torch.arange(w)+.5)).sum(-1), (maps.sum(3)*(torch.arange(h)+.5)).sum(-1)
    return torch.stack([x, y], -1)/maps.sum((2, 3))[..., None]

@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), h=st.sampled_from((160, 224)), w=st.sampled_from((160, 224)))
def test_dots_follow_the_matrix(seed, h, w):
    g = torch.Generator().manual_seed(seed)
    p = torch.rand(4, 1, 2, generator=g)*8 + torch.tensor([w/2-4, h/2-4])
    m = random_affine(4, (h, w), (45, .35, .1), g)
    moved = warp(blobs(p, h, w, 6.), m, (h, w))
    assert (centroid(moved) - move_points(p, m)).abs().max() < .01

@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), side=st.integers(160, 300))
def test_puzzle_centres_lie_on_their_patches(seed, side):
    P, width = side//2, side/40
    middles = torch.tensor([[(c+.5)*P, (r+.5)*P] for r in range(2) for c in range(2)])
    dots = blobs(middles[:, None], 2*P, 2*P, width)[:, 0]
    for i in range(4):                                       # only patch i carries a dot
        crop = torch.zeros(1, 3, side, side)
        edge = (side - 2*P)//2
        crop[..., edge:edge+2*P, edge:edge+2*P] = dots[i]
        puzzle, centres, mask = JigsawBatch(2, 224, colour=None, seed=seed)(crop)
        assert torch.equal(mask, ((centres >= 0) & (centres < 224)).all(-1).float())
        x, y = centres[0, i].tolist()
        if 40 < min(x, y) and max(x, y) < 184:               # the whole dot is inside
            off = (centroid(puzzle[:, :1])[0, 0] - centres[0, i]).norm()
            assert off < .07/width                           # see `test_bilinear_wavering`

def test_same_seed_same_puzzles_and_reseeding():
    x = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8)
    a, b = JigsawBatch(3, 48, seed=5), JigsawBatch(3, 48, seed=5)
    first = a(x)
    assert all(torch.equal(s, t) for s, t in zip(first, b(x)))
    assert not torch.equal(a(x)[0], first[0])
    a.reseed(0)
    assert torch.equal(a(x)[0], first[0])

def test_evaluation_does_not_depend_on_the_batch():
    x, step = torch.randint(0, 255, (6, 3, 48, 48), dtype=torch.uint8), JigsawBatch(3, 48, train=False)
    whole = step(x, torch.arange(10, 16))
    parts = [step(x[i:i+1], torch.tensor([10+i])) for i in range(6)]
    assert torch.equal(whole[0], torch.cat([p[0] for p in parts]))

@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 16), patch=st.integers(4, 9), train=st.booleans(), seed=st.integers(0, 99))
def test_unaugmented_puzzle_is_a_copy(n, patch, train, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 255, (3, 3, n*patch, n*patch), dtype=torch.uint8, generator=g)
    puzzle, centres, mask = JigsawBatch(n, n*patch, train, None, (0, 0, 0), seed=seed)(x)
    slots = (centres[..., 1]//patch*n + centres[..., 0]//patch).long()
    assert torch.equal(puzzle, shuffle_patches(x, slots, n)/255) and mask.all()
    assert torch.equal(centres, patch_centres(slots, n, n*patch))

def test_original_goes_along():
    x = torch.randint(0, 255, (2, 3, 96, 96), dtype=torch.uint8)
    both, _, _ = JigsawBatch(3, 96, colour=None, original=True, seed=0)(x)
    assert both.shape == (2, 6, 96, 96) and torch.equal(both[:, 3:], x/255)

def test_neutral_colour_changes_nothing():
    x = torch.rand(4, 3, 20, 20)
    colour = lambda p: ColourAugment(0, 0, 0, 0, p_grey=p, p_blur=0, p_solarise=0)(x.clone())
    assert torch.allclose(colour(0), x, atol=1e-5)
    grey = colour(1)
    assert (grey[:, 0] - grey[:, 2]).abs().max() < 1e-4

def test_flip_there_and_back():
    crops, points = torch.randint(0, 255, (5, 3, 128, 96), dtype=torch.uint8), torch.rand(5, 17, 2)*90
    step = PoseBatch(COCO, (128, 96), affine=(0, 0, 0), flip=1., seed=0)
    image, p, mask = step(crops, points, torch.ones(5, 17))
    back = torch.stack([96 - p[..., 0], p[..., 1]], -1)[:, COCO.flip]
    assert (back - points).abs().max() < .01 and (image.flip(-1) - crops/255).abs().max() < 1e-4

def test_solarise_and_blur_touch_only_those_drawn():
    x, aug = torch.rand(4, 3, 32, 32), ColourAugment(p_jitter=0, p_grey=0, p_blur=0, p_solarise=0)
    draws = list(aug.draw(4))
    draws[4], draws[5] = torch.tensor([0., 7., 0., 0.]), torch.tensor([False, False, True, False])
    y = aug.apply(x.clone(), draws)
    assert torch.allclose(y[[0, 3]], x[[0, 3]], atol=1e-5)
    assert torch.allclose(y[2], torch.where(x[2] < .5, x[2], 1 - x[2]), atol=1e-5)
    assert (y[1] - x[1]).abs().max() > .01

@pytest.mark.parametrize('shape', ((1, 3, 10, 12), (0, 3, 12, 12), (3, 12, 12), (1, 1, 12, 12)))
def test_bad_crops_are_named(shape):
    with pytest.raises(ValueError, match='crops have shape'): JigsawBatch(3, 96)(torch.zeros(shape))

@pytest.mark.parametrize('dtype', (torch.float16, torch.float64, torch.int64, torch.bool))
def test_bad_dtypes_are_named(dtype):
    with pytest.raises(ValueError, match=f'crops are {dtype}; expected torch.uint8'):
        JigsawBatch(3, 96)(torch.zeros(1, 3, 12, 12, dtype=dtype))

def test_without_a_seed_the_global_generator_decides():
    crops = torch.randint(0, 255, (2, 3, 24, 24), dtype=torch.uint8)
    def once():
        torch.manual_seed(0)
        return JigsawBatch(3, 24)(crops)[0], torch.rand(3)
    (a, u), (b, v) = once(), once()
    assert torch.equal(a, b) and torch.equal(u, v) and not torch.equal(a, JigsawBatch(3, 24)(crops)[0])

@pytest.mark.parametrize('n', (0, 17, 2.5, True))
def test_bad_n_is_named(n):
    with pytest.raises(ValueError, match=f'n is {n}; expected .* 1 to 16'): JigsawBatch(n, 96)

def test_a_mirrored_puzzle_is_the_puzzle_of_the_mirrored_picture():
    crops = torch.randint(0, 256, (8, 3, 48, 48), dtype=torch.uint8)
    make = lambda flip, crops: JigsawBatch(3, 48, colour=None, affine=(0, 0, 0), seed=5, flip=flip)(crops)
    puzzle, centres, _ = make(1., crops)
    slots = (centres/16).floor().long()
    slots = slots[..., 1]*3 + slots[..., 0]
    assert torch.equal(puzzle, shuffle_patches(crops.flip(-1), slots, 3)/255)
    some = [not torch.equal(a, b) for a, b in zip(make(.5, crops)[0], make(0., crops)[0])]
    assert any(some)
    fixed = [JigsawBatch(3, 48, False, flip=f)(crops)[0] for f in (0., 1.)]
    assert torch.equal(*fixed)
