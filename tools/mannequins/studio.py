"""The studio: one upright person a picture before a seamless backdrop; bodies, clothes, rays of render.py.

A backdrop is one stationary texture in picture coordinates under even light, so nothing in it tells where in
the picture one looks. Person and shadow are laid over it; without them the picture is the backdrop alone.
"""

import colorsys
import io
import math
from types import SimpleNamespace

import numpy as np
import render as R
from PIL import Image, ImageFilter
from scipy.ndimage import binary_erosion, gaussian_filter

SIDE, SAMPLES, QUALITY, STREAM = R.SETS['studio'].size[0], 3, 52, 1
RIM = 4  # pixels painted around a backdrop and cut off, so that its border looks like its inside
KEY = 0.75  # how much of the key light's strength the backdrop gets

# Clothes as people wear: black, greys, white; navy, blues; beige, brown; olive, greens; reds, pink; more.
WARDROBE = np.array(
    [
        [0.07, 0.07, 0.08],
        [0.22, 0.22, 0.24],
        [0.5, 0.5, 0.52],
        [0.9, 0.9, 0.88],
        [0.09, 0.12, 0.27],
        [0.18, 0.28, 0.5],
        [0.38, 0.55, 0.75],
        [0.2, 0.42, 0.8],
        [0.78, 0.7, 0.56],
        [0.42, 0.29, 0.19],
        [0.35, 0.36, 0.2],
        [0.12, 0.36, 0.24],
        [0.3, 0.62, 0.4],
        [0.66, 0.12, 0.14],
        [0.42, 0.09, 0.15],
        [0.87, 0.42, 0.22],
        [0.9, 0.62, 0.68],
        [0.9, 0.76, 0.25],
        [0.45, 0.3, 0.58],
        [0.25, 0.6, 0.62],
    ]
)
OUT = ('side', 'wave', 'wave', 'throw', 'hip', 'hip', 'hail', 'up', 'head', 'point')
CALM = ('hang', 'hang', 'loose', 'loose', 'front', 'carry', 'phone', 'fold', 'fore')
UPRIGHT = dict(
    stand=OUT + CALM,
    rest=OUT + CALM,
    wide=OUT + CALM,
    balance=('side', 'up', 'hip', 'wave', 'fold'),
    lunge=('hip', 'side', 'wave', 'point', 'thigh', 'carry'),
    star=('up', 'side', 'hail', 'wave'),
)
# Textures of backdrops: how often, and size of the pattern (metres, where a picture is as wide as SPAN).
KINDS = dict(
    plain=(0.3, 1.0),
    asphalt=(0.16, 1.0),
    blotches=(0.14, 0.3),
    stripes=(0.08, 0.26),
    checks=(0.08, 0.3),
    dots=(0.08, 0.2),
    bricks=(0.05, 0.085),
    tiles=(0.06, 0.35),
    wallpaper=(0.05, 0.2),
)
SPAN = 2.3


def towards(rng):
    """Turn of a person (degrees): within 50 degrees of the front, one in six of the back."""
    return rng.uniform(-50, 50) + 180 * (rng.random() < 1 / 6)


MANNER = SimpleNamespace(
    odds=R.leg_odds(stand=20, rest=18, wide=14, walk=18, stroll=14, run=3, lunge=4, star=4, balance=4),
    arms=dict(R.ARM_CHOICES, **UPRIGHT),
    turn=towards,
    lifted=(),
    near=0.85,
)


# ---------------------------------------------------------------- person, camera, light


def aim(rng, person):
    """A camera near eye level; the square window at pad 1.25 around the person lies inside the picture."""
    points = R.outline(person)
    centre = (points.min(0) + points.max(0)) / 2
    camera = R.look_at(centre, rng.uniform(3, 6), rng.uniform(3, 15), rng.normal(0, 2), (SIDE, SIDE))
    plane = R.project(camera, points)
    low, high = plane.min(0), plane.max(0)
    long = rng.uniform(0.62, 0.78) * SIDE
    camera.focal = long / (high - low).max()
    free = (SIDE - 1.25 * long) / 2 - 1
    camera.principal = SIDE / 2 + rng.uniform(-free, free, 2) - camera.focal * (low + high) / 2
    return camera


def spread(n, width):
    """Directions about z, evenly over a disc of some width (1: the hemisphere, weighted by its cosine)."""
    radius, angle = width * np.sqrt((np.arange(n) + 0.5) / n), np.arange(n) * math.pi * (3 - math.sqrt(5))
    return np.stack([radius * np.cos(angle), radius * np.sin(angle), np.sqrt(1 - radius**2)], 1)


def draw_light(rng):
    """A large lamp in front of the person, left or right of the camera, and the light of the room."""
    turn = R.euler(z=rng.normal(-90, 38)) @ R.euler(y=90 - rng.uniform(38, 65))
    warm, ambient = rng.normal(0, 0.05), rng.uniform(0.5, 0.75)
    disc = spread(24, rng.uniform(0.1, 0.22)) @ turn.T
    return SimpleNamespace(
        direction=turn @ [0, 0, 1],
        rays=disc[::4],
        disc=disc,
        reach=6.0,
        ambient=np.full(3, ambient),
        colour=np.array([1 + warm, 1, 1 - warm]),
    )


def person_layer(rig, scene, camera, light):
    """The person alone: colours times coverage, and coverage."""
    met = R.meet(scene, camera, R.pixel_rays(camera, SAMPLES))
    layer = np.zeros(((SIDE * SAMPLES) ** 2, 4))
    layer[met.rays, :3] = R.illuminate(scene, met, R.colours_of(rig, scene, met), light)
    layer[met.rays, 3] = 1
    layer = layer.reshape(SIDE, SAMPLES, SIDE, SAMPLES, 4).mean((1, 3))
    return layer[..., :3], layer[..., 3:]


def shadow_layer(scene, camera, light):
    """Share of its light that every pixel of the floor keeps beside the person; the floor is endless."""
    half = SimpleNamespace(
        **dict(
            vars(camera), focal=camera.focal / 2, principal=camera.principal / 2, size=(SIDE // 2, SIDE // 2)
        )
    )
    rays = R.pixel_rays(half, 1)
    down = np.flatnonzero(rays[:, 2] < -0.02)
    points = camera.position - rays[down] * (camera.position[2] - 0.004) / rays[down, 2:]
    lit = R.share_of(scene.mesh, points, light.disc, light.reach)
    free = R.share_of(scene.mesh, points, spread(24, 0.98), 1.2)
    share, kept = light.ambient.mean() / (light.ambient.mean() + 0.95 * KEY), np.ones(len(rays))
    kept[down] = share * free + (1 - share) * lit
    kept = kept.reshape(SIDE // 2, SIDE // 2).repeat(2, 0).repeat(2, 1)
    return gaussian_filter(kept, 1.4)[..., None]


# ---------------------------------------------------------------- backdrop


def paint_colours(rng):
    """Four colours of a backdrop: one of any hue, and others around it."""
    hue, strength, value = rng.uniform(), rng.beta(1.2, 2.2) * 0.85, rng.uniform(0.16, 0.92)
    base = np.array(colorsys.hsv_to_rgb(hue, strength, value))
    others = base * rng.uniform(0.72, 1.3, (3, 1)) + rng.normal(0, 0.05, (3, 3))
    return np.clip([base, *others], 0.04, 0.95)


def paint(rng):
    """A stationary texture over the picture: random kind, size, turn, place and colours; (SIDE, SIDE, 3)."""
    kinds, side = list(KINDS), SIDE + 2 * RIM
    mat = R.material(rng, [rng.choice(kinds, p=[KINDS[k][0] for k in kinds])], paint_colours(rng), 1.0)
    mat.scale = KINDS[mat.kind][1] * rng.uniform(0.7, 1.5)
    y, x = np.mgrid[: 2 * side, : 2 * side]
    turn = R.euler(z=rng.uniform(-25, 25))[:2, :2] * SPAN / SIDE / 2
    uv = np.stack([x, -y], -1).reshape(-1, 2) @ turn + rng.uniform(0, 64, 2)
    wall = R.texture(mat, uv).reshape(side, 2, side, 2, 3).mean((1, 3))
    return gaussian_filter(wall, (0.5, 0.5, 0))[RIM:-RIM, RIM:-RIM]


def lost(picture, empty, cover):
    """Share of the person's rim that has nearly the backdrop's colour."""
    inside = cover[..., 0] > 0.8
    rim = inside & ~binary_erosion(inside, iterations=3)
    apart = np.abs(picture - empty)[rim] @ [0.3, 0.5, 0.2]
    return (apart < 0.13).mean()


def expose(rgb, light, gain, gamma):
    """Display values 0..1 of colours under the light; highlights roll off."""
    x = np.maximum(rgb, 0) * gain / (light.ambient.mean() + 0.95 * KEY)
    return np.where(x < 0.75, x, 1 - 0.25 * np.exp(-(x - 0.75) / 0.25)) ** gamma


def stand_out(rng, colour, cover, kept, light):
    """Person over a backdrop that shows it, exposed: the picture, and the backdrop alone."""
    gain, gamma, best = rng.uniform(0.92, 1.08), rng.uniform(0.7, 0.92), None
    for _ in range(8):
        behind = paint(rng) * (light.ambient + 0.95 * KEY * light.colour)
        empty = expose(behind, light, gain, gamma)
        picture = expose(colour + (1 - cover) * behind * kept, light, gain, gamma)
        found = lost(picture, empty, cover), picture, empty
        best = found if best is None or found[0] < best[0] else best
        if best[0] < 0.2:
            break
    return best[1:]


def develop(rng, *pictures):
    """WebP bytes of pictures that share blur and grain."""
    blur, grain = float(rng.choice([0, 0.3, 0.45])), rng.normal(0, rng.uniform(0, 2), (SIDE, SIDE, 1))
    files = []
    for picture in pictures:
        soft = Image.fromarray((picture * 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(blur))
        data = io.BytesIO()
        final = Image.fromarray(np.clip(np.asarray(soft) + grain, 0, 255).astype(np.uint8))
        final.save(data, 'WEBP', quality=QUALITY, method=6)
        files.append(data.getvalue())
    return files


# ---------------------------------------------------------------- picture


def make_picture(rig, seed, split, index):
    """Of (seed, split, index): the picture, its annotations, and the picture without person and shadow."""
    rng = np.random.default_rng([seed, split, index, 0, STREAM])
    wardrobe = WARDROBE[rng.choice(len(WARDROBE), 4, replace=False)] + rng.normal(0, 0.03, (4, 3))
    person = R.make_person(rng, rig, np.clip(wardrobe, 0.03, 0.95), MANNER)
    camera, light, scene = aim(rng, person), draw_light(rng), R.Scene(rng)
    scene.body(rig, person, 1)
    scene.freeze()
    colour, cover = person_layer(rig, scene, camera, light)
    kept = shadow_layer(scene, camera, light)
    note = R.annotate(R.visibility(scene, camera, person, 1), cover[..., 0] >= 0.5)
    picture, empty = develop(rng, *stand_out(rng, colour, cover, kept, light))
    return picture, [note], empty
