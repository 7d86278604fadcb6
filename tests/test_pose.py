"Poses: points stay on their pixels, the published draws, skeletons"
import pytest
import torch
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from hsjp.augment import PoseBatch, half_body, inside, move_points, normal_affine, warp
from hsjp.finetune import pose_learner
from hsjp.models import normalise, simple_baseline
from hsjp.people import mannequins
from hsjp.skeleton import COCO, Skeleton
from hsjp.weights import load_weights

UPPER = torch.arange(17) < 11

def dots(points, h, w, width):
    yy, xx = torch.meshgrid(torch.arange(h)+.5, torch.arange(w)+.5, indexing='ij')
    return torch.exp(-((xx-points[..., 0, None, None])**2 + (yy-points[..., 1, None, None])**2)/(2*width**2))

def centroid(maps):
    h, w = maps.shape[-2:]
    x, y = (maps.sum(2)*(torch.arange(w)+.5)).sum(-1), (maps.sum(3)*(torch.arange(h)+.5)).sum(-1)
    return torch.stack([x, y], -1)/maps.sum((2, 3))[..., None]

def rim(maps):
    edges = maps[..., :2, :], maps[..., -2:, :], maps[..., :2], maps[..., -2:]
    return torch.cat([e.flatten(2) for e in edges], 2).amax(2)

def people(b, seed=0, h=240, w=180):
    "Persons in crops of h x w: upper bodies in the upper half, lower bodies below"
    g = torch.Generator().manual_seed(seed)
    p = (torch.rand(b, 17, 2, generator=g) - .5)*torch.tensor([60., 40.]) + torch.tensor([w/2, h/2 - 20.])
    return p + torch.tensor([0., 40.])*~UPPER[:, None]

# points and pixels

@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), flip=st.sampled_from((0., 1.)), normal=st.booleans(),
       half=st.sampled_from((0., 1.)))
@example(seed=7025, flip=0., normal=True, half=0.)  # scale near 1: dots 6 wide lay 0.01005 px off
def test_dots_follow_the_pose(seed, flip, normal, half):
    "One channel a keypoint: after turn, scale, flip, half body every whole dot lies at its point, to 0.01 px"
    points = people(1, seed)
    width = 4. if half else 8.                      # half bodies are magnified; see `test_bilinear_wavering`
    step = PoseBatch(COCO, (192, 144), flip=flip, seed=seed, normal=normal, half_body=half)
    images, p, mask = step(dots(points, 240, 180, width), points, torch.ones(1, 17))
    if flip: images = images[:, COCO.flip]
    whole = (rim(images) < 1e-6) & (mask > 0)
    assume(whole.any())
    assert (centroid(images) - p)[whole].norm(dim=-1).max() < .01
    assert torch.equal(mask, inside(p, (192, 144)))

@pytest.mark.parametrize('width', (4., 6., 8.))
def test_bilinear_wavering(width):
    "Sampling alone, in double precision, moves a dot's middle by up to 0.07 px / its width, near scale 1"
    g = torch.Generator().manual_seed(0)
    size, b = (128, 128), 200
    points = torch.rand(b, 1, 2, generator=g).double() + 64
    scale = torch.linspace(.95, 1.05, b).double()[:, None, None]
    shift = torch.rand(b, 2, 1, generator=g) + 64*(1 - scale)
    matrix = torch.cat([scale*torch.eye(2), shift], -1)
    off = centroid(warp(dots(points, *size, width), matrix, size)) - move_points(points, matrix)
    assert .05 < off.norm(dim=-1).max()*width < .07

def test_flip_swaps_visibility_too():
    visible = torch.zeros(1, 17); visible[0, 9] = 1                          # a left wrist
    step = PoseBatch(COCO, (192, 144), affine=(0, 0, 0), flip=1., seed=0)
    _, _, mask = step(torch.zeros(1, 3, 240, 180), people(1), visible)
    assert mask.nonzero().tolist() == [[0, 10]]

def test_seeded():
    args = torch.rand(4, 3, 120, 90), people(4, 1, 120, 90), torch.ones(4, 17)
    new = lambda: PoseBatch(COCO, (96, 64), seed=5, normal=True, half_body=.5)
    a, b = new(), new()
    first = a(*args)
    assert all(map(torch.equal, first, b(*args))) and not torch.equal(a(*args)[0], first[0])
    a.reseed(0)
    assert all(map(torch.equal, a(*args), first))

def test_targets_stay_on_the_device():
    "Shapes alone, on a device that holds no numbers: nothing is looked at, copied back or looped over"
    step = PoseBatch(COCO, (96, 64), seed=5, normal=True, half_body=.5)
    step._rng = lambda device: None
    with torch.device('meta'): out = step(torch.rand(4, 3, 120, 90), torch.rand(4, 17, 2), torch.ones(4, 17))
    assert [tuple(o.shape) for o in out] == [(4, 3, 96, 64), (4, 17, 2), (4, 17)]
    assert all(o.device.type == 'meta' for o in out)

# the published draws

def moved(step, points, visible):
    "Where points of crops go, without the pictures"
    crops = torch.zeros(()).expand(len(points), 1, 240, 180)
    return move_points(points, step._move(crops, points, visible)[0])

def test_normal_draws():
    "HRNet's: turns N(0, 45) clipped at 90 in 60 %, windows 1 + N(0, 0.35) clipped at 0.65 and 1.35"
    m = normal_affine(40_000, (256, 192), (45, .35), torch.Generator().manual_seed(0))
    turn, window = torch.rad2deg(torch.atan2(m[:, 1, 0], m[:, 0, 0])), 1/m[:, :, 0].norm(dim=1)
    assert abs((turn == 0).float().mean() - .4) < .01 and turn.abs().max() < 90.01
    assert abs((turn.abs() > 89.9).float().mean() - .6*.0455) < .005                # beyond two deviations
    assert abs((turn[turn != 0].abs() < 45).float().mean() - .683) < .01
    assert abs(window.min() - .65) < 1e-4 and abs(window.max() - 1.35) < 1e-4
    assert abs(((window < .6501) | (window > 1.3499)).float().mean() - .317) < .01  # beyond one deviation
    centre = torch.tensor([96., 128.])
    assert (m[..., :2]@centre + m[..., 2] - centre).abs().max() < 1e-3

def test_uniform_draws():
    "The paper's: 45 degrees and 35 %, uniform, half of the pictures mirrored"
    p = torch.tensor([[[85., 120.], [95., 120.]]]).repeat(20_000, 1, 1)
    q = moved(PoseBatch(Skeleton(['a', 'b'], [], [], [.1]*2), (192, 144), seed=0), p, torch.ones(20_000, 2))
    d = q[:, 1] - q[:, 0]
    mirrored = d[:, 0] < 0
    scale, turn = d.norm(dim=-1)/10, torch.rad2deg(torch.atan2(d[:, 1], d[:, 0].abs()))
    assert abs(mirrored.float().mean() - .5) < .015
    for x, bound in ((scale - 1, .35), (turn, 45)):
        assert x.abs().max() < bound*1.001 and abs(x.std()/bound - 3**-.5) < .01

def halves(b, visible=None, p=1., seed=0, points=None, skeleton=COCO):
    points = people(b) if points is None else points
    step = PoseBatch(skeleton, (192, 144), affine=(0, 0, 0), flip=0., seed=seed, half_body=p)
    return moved(step, points, torch.ones(b, 17) if visible is None else visible)

def is_at_centre(q, part): return (q[:, part].mean(1) - torch.tensor([72., 96.])).norm(dim=-1) < 1e-3

def test_the_coin_is_fair():
    q = halves(20_000)
    up, low = is_at_centre(q, UPPER), is_at_centre(q, ~UPPER)
    assert (up ^ low).all() and abs(up.float().mean() - .5) < .012                  # 3.4 deviations

def test_the_window_is_one_and_a_half_boxes():
    points = people(500)
    q = halves(500, points=points)
    box = lambda p: p.amax(1) - p.amin(1)
    for part in (UPPER, ~UPPER):
        these = is_at_centre(q, part)
        before, after = box(points[these][:, part]), box(q[these][:, part])
        assert ((after/torch.tensor([144., 192.])).amax(1) - 1/1.5).abs().max() < 1e-4
        assert (after/before).diff(dim=1).abs().max() < 1e-3                       # the aspect stays

def test_who_is_halved():
    whole = people(2000)
    shift = torch.tensor([(144-180)/2, (192-240)/2])
    kept = lambda q: ((q - whole - shift).abs().amax((1, 2)) < 1e-3).float().mean()
    assert abs(kept(halves(2000, p=.3)) - .7) < .035
    eight = torch.ones(2000, 17); eight[:, 8:] = 0
    assert kept(halves(2000, eight)) == 1                                   # more than eight are needed
    nine = torch.ones(2000, 17); nine[:, 4:11] = 0; nine[:, 16] = 0         # 4 above, 5 below: still nine
    q = halves(2000, nine)
    assert kept(q) == 0 and abs(is_at_centre(q, torch.arange(4)).float().mean() - .5) < .04
    few = torch.ones(2000, 17); few[:, 13:] = 0                             # two below: always the upper body
    assert is_at_centre(halves(2000, few), UPPER).all()
    plain = Skeleton(COCO.names, [], COCO.pairs, COCO.sigmas)               # nobody said what is upper
    assert kept(halves(2000, skeleton=plain)) == 1

def test_unlabelled_points_do_not_widen_the_window():
    points, visible = people(50), torch.ones(50, 17)
    points[:, 3], visible[:, 3] = -1e4, 0
    m = half_body(points, visible, UPPER, (192, 144), torch.Generator().manual_seed(0))
    assert m[:, 0, 0].min() > .5
    same = half_body(torch.ones(3, 17, 2), torch.ones(3, 17), UPPER, (192, 144))
    assert same.isfinite().all()                                            # all in one place: a window still

# skeletons

def test_skeleton_of_a_category():
    names = ['Nose', 'Left_eye', 'Right_eye', 'L_Paw', 'R_Paw', 'tail_left', 'tail_right']
    s = Skeleton.from_category(dict(keypoints=names, skeleton=[[1, 2]], sigmas=[.05]*7))
    assert s.pairs == [(1, 2), (3, 4), (5, 6)] and s.limbs == [(0, 1)] and s.upper is None
    assert Skeleton.from_category(dict(keypoints=COCO.names, skeleton=[])) is COCO
    assert COCO.upper == list(range(11))
    with pytest.warns(UserWarning, match='no OKS sigmas known'):
        assert Skeleton.from_category(dict(keypoints=names)).sigmas == [.07]*7

@pytest.mark.parametrize('given, words', [
    (dict(limbs=[(0, 2)]), 'limbs names keypoint 2'), (dict(limbs=[(-1, 0)]), 'limbs names keypoint -1'),
    (dict(pairs=[(0, 5)]), 'pairs names keypoint 5'), (dict(upper=[7]), 'upper names keypoint 7'),
    (dict(sigmas=[.1]), 'sigmas has 1 values')])
def test_skeletons_that_cannot_be(given, words):
    fine = dict(names=['a', 'b'], limbs=[], pairs=[], sigmas=[.1, .1])
    with pytest.raises(ValueError, match=words): Skeleton(**{**fine, **given})

def test_a_published_network_that_is_trained_on_sees_its_colours_and_gets_our_grid():
    people = mannequins('train', True).subset(range(8)).view(size=(64, 64))
    model = simple_baseline(17, 18)
    published = {f'module.{k}': v for k, v in simple_baseline(17, 18).state_dict().items()}
    load_weights(model, published, head=True)
    assert (model.channels, model.grid) == ('bgr', 'index')
    learn = pose_learner(people, people, model, batch=8)
    images, *_ = learn.dls.valid.one_batch()
    crops = torch.stack([people[i][0] for i in range(8)])/255
    assert (images.cpu() - normalise(crops, 'bgr')).abs().max() < 1e-5
    assert (model.channels, model.grid) == ('bgr', 'half-pixel')
