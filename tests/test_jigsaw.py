"Properties of the puzzle over all n, sizes and dtypes"
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from hsjp.jigsaw import (
    durstenfeld,
    patch_centres,
    puzzle_size,
    reassemble,
    shuffle_patches,
    unshuffle_patches,
)

DTYPES = torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64

@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 16), patch=st.integers(1, 5), batch=st.integers(1, 3), channels=st.integers(1, 6),
       dtype=st.sampled_from(DTYPES), seed=st.integers(0, 99))
def test_unshuffle_undoes_shuffle(n, patch, batch, channels, dtype, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 255, (batch, channels, n*patch, n*patch), generator=g).to(dtype)
    slots = durstenfeld(batch, n*n, g)
    y = shuffle_patches(x, slots, n)
    assert y.dtype == x.dtype and torch.equal(unshuffle_patches(y, slots, n), x)
    assert torch.equal(reassemble(y, patch_centres(slots, n, n*patch), n), x)
    for i in range(n*n):                                    # the slow way, patch by patch
        r, c = divmod(i, n); sr, sc = divmod(slots[0, i].item(), n)
        cut = lambda im, r, c: im[0, :, r*patch:(r+1)*patch, c*patch:(c+1)*patch]
        assert torch.equal(cut(y, sr, sc), cut(x, r, c))

@pytest.mark.parametrize('items', (2, 3, 4, 5))
def test_every_permutation_is_equally_likely(items):
    slots = durstenfeld(400*math.factorial(items), items, torch.Generator().manual_seed(items))
    perms, counts = slots.unique(dim=0, return_counts=True)
    assert len(perms) == math.factorial(items) and chisquare(counts.numpy()).pvalue > .001

@pytest.mark.parametrize('size,n', [(224, 6), (224, 3), (96, 7)])
def test_centres_are_the_papers(size, n):
    c = patch_centres(torch.arange(n*n)[None], n, size)[0]
    want = [((2*(i % n)+1)*size/(2*n), (2*(i//n)+1)*size/(2*n)) for i in range(n*n)]
    assert torch.allclose(c, torch.tensor(want), atol=1e-4)
    assert puzzle_size(size, n) == math.ceil(size/n)*n

def test_reassemble_a_size_that_n_does_not_divide():
    slots = durstenfeld(2, 36, torch.Generator().manual_seed(0))
    x = torch.rand(2, 3, 224, 224)*255
    for dtype in (torch.float32, torch.bfloat16, torch.uint8, torch.int64):
        y = reassemble(x.to(dtype), patch_centres(slots, 6, 224), 6)
        assert y.shape == x.shape and y.dtype == dtype

@pytest.mark.parametrize('call,word', [
    (lambda: shuffle_patches(torch.zeros(1, 3, 10, 12), torch.zeros(1, 4).long(), 2), 'square'),
    (lambda: shuffle_patches(torch.zeros(1, 3, 10, 10), torch.zeros(1, 9).long(), 3), 'multiple of n = 3'),
    (lambda: shuffle_patches(torch.zeros(0, 3, 10, 10), torch.zeros(0, 4).long(), 2), 'at least one picture'),
    (lambda: patch_centres(torch.zeros(1, 4).long(), 17, 224), '1 to 16'),
    (lambda: puzzle_size(224, 0), '1 to 16'),
    (lambda: puzzle_size(224, 2.5), '1 to 16'),
    (lambda: reassemble(torch.zeros(1, 3, 8, 8), torch.full((1, 4, 2), torch.nan), 2), 'NaN'),
    (lambda: reassemble(torch.zeros(1, 3, 8, 8), torch.zeros(1, 9, 2), 2), 'expected'),
    (lambda: reassemble(torch.zeros(1, 3, 8, 9), torch.zeros(1, 4, 2), 2), r'\(B, C, S, S\)'),
    (lambda: reassemble(torch.zeros(2, 3, 8, 8), torch.zeros(1, 4, 2), 2), 'points has 1 rows'),
    (lambda: shuffle_patches(torch.zeros(2, 3, 8, 8), torch.zeros(1, 4).long(), 2), 'one for each of the 2'),
    (lambda: patch_centres(torch.zeros(0, 4).long(), 2, 224), 'at least one'),
    (lambda: durstenfeld(0, 4), 'at least one')])
def test_bad_input_is_named(call, word):
    with pytest.raises(ValueError, match=word): call()
