"""Render a picture set of dressed synthetic people with COCO keypoint annotations: mannequins or studio.

The mannequins stand in small 3D scenes; the studio's people (studio.py) before a seamless backdrop. Every
picture depends on (set, seed, split, index) alone. World axes: x right, y away from the camera, z up; metres.
"""

import argparse
import importlib
import io
import json
import math
import multiprocessing
from pathlib import Path
from types import SimpleNamespace

import anny
import numpy as np
import torch
import warp as wp
from anny.keypoints import KeypointsRegressor
from PIL import Image, ImageFilter
from scipy.sparse import csr_matrix
from scipy.spatial.transform import Rotation

HEIGHT, WIDTH, SAMPLES, QUALITY = 256, 192, 2, 54
KEYPOINTS = (
    'nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow '
    'left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle right_ankle'
).split()
SKELETON = [
    [16, 14],
    [14, 12],
    [17, 15],
    [15, 13],
    [12, 13],
    [6, 12],
    [7, 13],
    [6, 7],
    [6, 8],
    [7, 9],
    [8, 10],
    [9, 11],
    [2, 3],
    [1, 2],
    [1, 3],
    [2, 4],
    [3, 5],
    [4, 6],
    [5, 7],
]
# How deep inside the body a keypoint may lie and still count as seen (metres, for a body of 1.65 m).
DEPTH = np.array(
    [
        0.04,
        0.035,
        0.035,
        0.05,
        0.05,
        0.125,
        0.125,
        0.095,
        0.095,
        0.08,
        0.08,
        0.17,
        0.17,
        0.12,
        0.12,
        0.09,
        0.09,
    ]
)
GROUPS = dict(
    head=('head', 'eye', 'neck03'),
    torso=('spine', 'root', 'pelvis', 'clavicle', 'shoulder', 'neck01', 'neck02'),
    arm=('upperarm', 'lowerarm'),
    hand=('wrist', 'finger', 'metacarpal'),
    leg=('upperleg', 'lowerleg'),
    foot=('foot', 'toe'),
)
SCENE, BODY = 0, -1

# Legs: lean of the whole body, hip and knee flexion of one leg and of the other, legs apart (degrees).
LEGS = dict(
    stand=(0, 2, 4, 0, 4, 4),
    rest=(0, 12, 22, -3, 2, 5),
    wide=(2, 6, 8, 6, 8, 15),
    walk=(3, 26, 8, -16, 16, 2),
    stroll=(3, 16, 5, -10, 22, 2),
    run=(12, 60, 75, -18, 65, 2),
    sprint=(18, 80, 90, -30, 40, 2),
    sit=(-4, 84, 84, 86, 84, 6),
    perch=(2, 70, 60, 80, 85, 8),
    floor=(-12, 85, 20, 85, 60, 10),
    crouch=(28, 125, 132, 112, 128, 14),
    squat=(30, 95, 100, 95, 100, 16),
    kneel=(4, 88, 92, 0, 96, 4),
    knees=(0, 4, 96, 4, 96, 7),
    lunge=(6, 72, 80, -25, 22, 3),
    jump=(4, 45, 75, 15, 60, 5),
    star=(0, 5, 12, 5, 12, 32),
    kick=(-8, 72, 14, -5, 6, 4),
    bend=(55, 60, 6, 56, 8, 6),
    stoop=(32, 38, 14, 36, 18, 6),
    fours=(82, 82, 86, 86, 84, 5),
    balance=(2, 62, 105, 0, 3, 3),
    climb=(8, 75, 85, 2, 6, 4),
)
# Arms: forward flexion, abduction, outward rotation, elbow flexion (degrees).
ARMS = dict(
    hang=(2, 9, -8, 14),
    loose=(8, 16, -15, 30),
    front=(32, 6, -8, 40),
    back=(-32, 10, 0, 28),
    pump=(42, 10, -15, 95),
    pull=(-42, 16, -5, 88),
    wave=(10, 82, 80, 95),
    hail=(150, 25, 0, 25),
    up=(165, 12, 0, 14),
    fore=(85, 6, 0, 14),
    side=(0, 86, 20, 12),
    hip=(-22, 42, -62, 92),
    phone=(62, 28, -12, 138),
    fold=(32, 8, -75, 95),
    carry=(18, 6, -16, 88),
    head=(140, 38, 12, 125),
    thigh=(30, 10, -6, 42),
    throw=(20, 95, 70, 80),
    point=(75, 40, 0, 10),
    down=(62, 8, 0, 12),
)
ARM_CHOICES = dict(
    walk=('front', 'back', 'carry', 'hang', 'phone'),
    stroll=('front', 'back', 'carry', 'hang', 'wave'),
    run=('pump', 'pull'),
    sprint=('pump', 'pull'),
    sit=('thigh', 'carry', 'fold', 'phone', 'fore', 'wave', 'up'),
    perch=('thigh', 'carry', 'fold', 'phone', 'point'),
    floor=('thigh', 'carry', 'back', 'up'),
    fours=('fore',),
    bend=('down', 'fore', 'hang', 'front'),
    stoop=('down', 'fore', 'front', 'carry'),
    star=('up', 'side', 'hail', 'wave'),
    jump=('up', 'hail', 'side', 'pump', 'throw'),
)


# ---------------------------------------------------------------- the body


def load_rig():
    """The Anny model and what follows from its rest pose: faces, weights, groups, texture coordinates."""
    wp.config.quiet = True
    torch.set_num_threads(1)
    model = anny.Anny()
    labels = list(model.bone_labels)
    rest = model(
        pose_parameters=torch.eye(4, dtype=model.dtype).repeat(1, len(labels), 1, 1), phenotype_kwargs={}
    )
    faces = model.get_triangular_faces().numpy().astype(np.int32)
    canon = rest['rest_vertices'][0].numpy()
    weights, bones = model.vertex_bone_weights.numpy(), model.vertex_bone_indices.numpy()
    group_of = np.array(
        [next((i for i, names in enumerate(GROUPS.values()) if b.startswith(names)), 0) for b in labels]
    )
    groups = np.stack([(weights * (group_of[bones] == i)).sum(1) for i in range(len(GROUPS))], 1)
    heads = rest['rest_bone_poses'][0, :, :3, 3].numpy()
    shoulder, elbow, wrist = (heads[labels.index(f'{b}.L')] for b in ('upperarm01', 'lowerarm01', 'wrist'))
    mirrored = canon * np.sign(canon[:, :1] + 1e-9) ** [1, 0, 0]
    upper = (mirrored - shoulder) @ (elbow - shoulder) / ((elbow - shoulder) ** 2).sum()
    lower = (mirrored - elbow) @ (wrist - elbow) / ((wrist - elbow) ** 2).sum()
    arm = np.where(upper < 1, upper, 1 + np.clip(lower, 0, 2)) / 2
    ones = np.ones(faces.size)
    spread = csr_matrix(
        (ones, (faces.ravel(), np.repeat(np.arange(len(faces)), 3))), (len(canon), len(faces))
    )
    eye = KeypointsRegressor.coco(model, ['left_eye', 'nose'])(rest)[0].numpy()
    return SimpleNamespace(
        model=model,
        coco=KeypointsRegressor.coco(model, KEYPOINTS),
        labels=labels,
        faces=faces,
        canon=canon,
        weights=weights,
        bones=bones,
        spread=spread,
        eye=eye[0],
        nose=eye[1],
        attributes=np.concatenate([canon, groups, arm[:, None]], 1).astype(np.float32),
    )


def vertex_normals(rig, vertices):
    """Smooth normals of the body mesh."""
    a, b, c = (vertices[rig.faces[:, i]] for i in range(3))
    normals = rig.spread @ np.cross(b - a, c - a)
    return normals / (np.linalg.norm(normals, axis=1, keepdims=True) + 1e-12)


def euler(x=0.0, y=0.0, z=0.0):
    """Rotation about x, then y, then z (degrees) as a matrix."""
    return Rotation.from_euler('xyz', [x, y, z], degrees=True).as_matrix()


def frame(u, f):
    """Orthonormal frame of a limb from its two bone directions."""
    hinge = np.cross(u, f)
    hinge /= np.linalg.norm(hinge)
    u = u / np.linalg.norm(u)
    return np.stack([u, hinge, np.cross(u, hinge)], 1)


def arm_rotations(heads, rig, side, flex, abduct, outward, elbow):
    """Turn a hanging arm to the given angles: (first half of upper arm, rest of it, forearm)."""
    sign = 1 if side == 'L' else -1
    shoulder, joint, wrist = (
        heads[rig.labels.index(f'{b}.{side}')] for b in ('upperarm01', 'lowerarm01', 'wrist')
    )
    u0, f0 = joint - shoulder, wrist - joint
    raise_ = euler(-flex) @ euler(y=-sign * abduct)
    u = raise_ @ [0, 0, -1]
    f = raise_ @ euler(z=sign * outward) @ euler(-max(elbow, 6)) @ [0, 0, -1]
    full, fore = frame(u, f) @ frame(u0, f0).T, frame(f, np.cross(u, f)) @ frame(f0, np.cross(u0, f0)).T
    axis = np.cross(u0, u)
    angle = math.atan2(np.linalg.norm(axis), u0 @ u)
    swing = Rotation.from_rotvec(axis / (np.linalg.norm(axis) + 1e-9) * angle).as_matrix()
    half = Rotation.from_rotvec(Rotation.from_matrix(swing.T @ full).as_rotvec() / 2).as_matrix()
    return swing @ half, half, full.T @ fore


def draw_pose(rng, rig, heads, manner):
    """A random plausible pose: name, local rotations of all bones, lean of the whole body."""
    name = rng.choice(list(LEGS), p=manner.odds)
    lean, *legs, apart = LEGS[name]
    lean += rng.normal(0, 4)
    legs, arms = np.array(legs, float).reshape(2, 2), manner.arms.get(name, tuple(ARMS))
    order = rng.permutation(2)
    legs = legs[order] + rng.normal(0, 6, (2, 2))
    legs[:, 1] = np.clip(legs[:, 1], 1, 140)
    if name in ('walk', 'stroll', 'run', 'sprint') and rng.random() < 0.75:
        arms = np.array(arms[:2])[order[::-1]]
    elif rng.random() < 0.35:
        arms = np.repeat(rng.choice(arms), 2)
    else:
        arms = rng.choice(arms, 2)
    local = {
        'head': euler(*rng.normal([-0.4 * max(lean, 0), 0, 0], [9, 6, 22])),
        'neck01': euler(*rng.normal(0, 5, 3)),
    }
    curl = rng.normal([8 if name in ('crouch', 'floor', 'bend', 'stoop') else 1, 0, 0], [5, 4, 7])
    for bone in ('spine05', 'spine04', 'spine03', 'spine02', 'spine01'):
        local[bone] = euler(*curl * [0.6, 0.6, 0.6])
    for i, side in enumerate('LR'):
        sign = 1 if side == 'L' else -1
        hip, knee = legs[i]
        local[f'upperleg01.{side}'] = euler(-hip) @ euler(
            y=sign * (-apart - rng.normal(0, 3) + 6), z=sign * rng.normal(6, 7)
        )
        local[f'lowerleg01.{side}'] = euler(knee)
        flat = hip - knee - lean
        local[f'foot.{side}'] = euler(np.clip(0.9 * flat, -32, 28) + rng.normal(0, 4), 0, rng.normal(0, 4))
        flex, abduct, outward, elbow = np.array(ARMS[arms[i]]) + rng.normal(0, [9, 6, 10, 9])
        shrug = np.clip((max(flex, abduct) - 60) * 0.22, 0, 22)
        clavicle = euler(y=-sign * shrug)
        first, second, fore = arm_rotations(heads, rig, side, flex, max(abduct, 3), outward, elbow)
        local[f'clavicle.{side}'] = clavicle
        local[f'upperarm01.{side}'], local[f'upperarm02.{side}'] = clavicle.T @ first, second
        local[f'lowerarm01.{side}'], local[f'wrist.{side}'] = fore, euler(*rng.normal(0, 12, 3))
    return name, local, lean


def leg_odds(others=0, **odds):
    """Probabilities of all leg poses from the weights of some and of the others."""
    odds = np.array([odds.get(k, others) for k in LEGS], float)
    return odds / odds.sum()


def any_turn(rng):
    """Turn of a person about the vertical (degrees): often towards the camera, sometimes any."""
    return rng.choice([rng.normal(0, 45), rng.uniform(0, 360)], p=[0.7, 0.3])


# How the people of a set behave: arms that go with legs, turn, poses off the ground, odds of clothes in the
# palette, odds of the legs.
MANNER = SimpleNamespace(
    arms=ARM_CHOICES,
    turn=any_turn,
    lifted=('jump', 'star', 'sprint'),
    near=0.4,
    odds=leg_odds(3, stand=18, rest=12, walk=14, stroll=10, run=8, sit=12, perch=5, wide=8),
)


def segment_distance(p, a, b):
    """Distance of the point p from the segment ab."""
    t = np.clip((p - a) @ (b - a) / ((b - a) @ (b - a)), 0, 1)
    return np.linalg.norm(p - a - t * (b - a))


def collides(k, size):
    """True where a wrist or elbow enters the trunk, the head or a thigh."""
    joint = dict(zip(KEYPOINTS, k))
    top, bottom = (k[5] + k[6]) / 2, (k[11] + k[12]) / 2
    hands = [joint[f'{s}_wrist'] for s in ('left', 'right')]
    points = hands + [p + 0.35 * (p - joint[f'{s}_elbow']) for p, s in zip(hands, ('left', 'right'))]
    if any(
        segment_distance(p, top, bottom) < 0.155 * size
        for p in points + [joint['left_elbow'], joint['right_elbow']]
    ):
        return True
    if any(
        segment_distance(p, joint[f'{s}_hip'], joint[f'{s}_knee']) < 0.10 * size
        for p in points
        for s in ('left', 'right')
    ):
        return True
    if any(segment_distance(p, top, (k[3] + k[4]) / 2) < 0.115 * size for p in points):
        return True
    return np.linalg.norm(hands[0] - hands[1]) < 0.1 * size or np.linalg.norm(k[15] - k[16]) < 0.1 * size


def pick_phenotype(rng):
    """Body shape: mostly adults, some children and old people."""
    kind = rng.choice(['adult', 'child', 'old'], p=[0.72, 0.16, 0.12])
    age = dict(adult=rng.uniform(0.58, 0.8), child=rng.uniform(0.18, 0.5), old=rng.uniform(0.82, 1.0))[kind]
    shape = dict(
        gender=rng.beta(0.6, 0.6),
        muscle=rng.beta(2, 2),
        weight=rng.beta(2, 2.6),
        height=rng.beta(2.5, 2.5),
        proportions=rng.uniform(0.3, 1),
    )
    return {k: float(v) for k, v in dict(shape, age=age).items()}


def make_person(rng, rig, palette, manner=MANNER):
    """A dressed, posed person standing at the origin: mesh, extra quads, keypoints and style."""
    style, shape = draw_style(rng, palette, manner.near), pick_phenotype(rng)
    identity = torch.eye(4, dtype=rig.model.dtype).repeat(1, len(rig.labels), 1, 1)
    heads = rig.model(pose_parameters=identity, phenotype_kwargs=shape)['rest_bone_poses'][
        0, :, :3, 3
    ].numpy()
    for _ in range(12):
        pose, local, lean = draw_pose(rng, rig, heads, manner)
        parameters = identity.clone()
        for bone, rotation in local.items():
            parameters[0, rig.labels.index(bone), :3, :3] = torch.from_numpy(rotation)
        out = rig.model(pose_parameters=parameters, phenotype_kwargs=shape)
        rest = out['rest_vertices'][0].numpy()
        size = np.ptp(rest[:, 2]) / 1.65
        keypoints = rig.coco(out)[0].numpy()
        if not collides(keypoints, size * (1 + 0.35 * max(0, shape['weight'] - 0.4))):
            break
    bones = (out['bone_poses'] @ torch.linalg.inv(out['rest_bone_poses']))[0].numpy()
    world = euler(z=manner.turn(rng)) @ euler(lean)
    blend = (bones[rig.bones] * rig.weights[..., None, None]).sum(1)
    dressed = rest + clothing_offset(rng, rig, style, vertex_normals(rig, rest)) * size
    vertices = np.einsum('vij,vj->vi', blend[:, :3, :3], dressed) + blend[:, :3, 3]
    extras = [
        (skin_quads(quads, weights, bones, rig), mat)
        for quads, weights, mat in accessories(rng, rig, style, rest, size)
    ]
    lift = rng.uniform(0.08, 0.4) if pose in manner.lifted else 0
    vertices, keypoints = vertices @ world.T, keypoints @ world.T
    shift = np.array([*keypoints[11:13, :2].mean(0), vertices[:, 2].min() - lift])
    seat = None
    if pose in ('sit', 'perch'):
        below = (np.abs(rig.canon[:, 2] + 0.04) < 0.1) & (rig.attributes[:, 6:8].sum(1) < 0.5)
        seat = vertices[below, 2].min() - shift[2] + 0.012
    return SimpleNamespace(
        pose=pose,
        style=style,
        vertices=vertices - shift,
        keypoints=keypoints - shift,
        seat=seat,
        extras=[(q @ world.T - shift, m) for q, m in extras],
        depth=DEPTH * size * (1 + 0.6 * max(0, shape['weight'] - 0.45)) + style.skirt_depth,
        facing=world @ [0, -1, 0],
    )


# ---------------------------------------------------------------- clothes and hair


def colour(rng, palette, near=0.4):
    """A colour for clothes or things; often close to one of the scene's palette."""
    if rng.random() < near:
        return np.clip(palette[rng.integers(len(palette))] + rng.normal(0, 0.04, 3), 0.02, 0.95)
    value = rng.choice([rng.uniform(0.05, 0.3), rng.uniform(0.3, 0.7), rng.uniform(0.7, 0.95)])
    tint = rng.uniform(0, 1, 3)
    return np.clip(value * (1 - (s := rng.beta(1.2, 1.5)) + s * tint / tint.max()), 0.02, 0.95)


def material(rng, kinds, colours, scale):
    """What texture() needs: kind, four colours, size of the pattern, turn of the pattern, offset."""
    colours = [*colours, *colours, *colours, *colours][:4]
    return SimpleNamespace(
        kind=rng.choice(kinds),
        colours=np.array(colours),
        scale=scale,
        turn=rng.choice([0, 0, 0, 90, 45]),
        offset=rng.uniform(0, 50, 2),
    )


def cloth(rng, palette, skin, near):
    """Material of a garment; none of its colours comes close to the skin's."""
    kinds = ['plain'] * 5 + ['denim', 'stripes', 'stripes', 'checks', 'dots', 'blotches', 'blocks']
    colours = []
    while len(colours) < 3:
        c = colour(rng, palette, near)
        warm = (c[0] - c[2]) / c.sum()
        if (
            not 0.02 < warm < 0.3
            or np.abs(c / c.sum() - skin / skin.sum()).max() > 0.11
            or abs(c.mean() - skin.mean()) > 0.3
        ):
            colours.append(c)
    return material(rng, kinds, colours, rng.uniform(0.04, 0.12))


def draw_style(rng, palette, near):
    """Everything about the looks of a person that does not depend on the pose."""
    tone = rng.beta(1, 1.1)
    skin = (
        np.array([0.93, 0.75, 0.64]) * (1 - tone)
        + np.array([0.30, 0.18, 0.12]) * tone
        + rng.normal(0, 0.015, 3)
    )
    hair = np.array(
        [
            [0.05, 0.04, 0.04],
            [0.12, 0.07, 0.05],
            [0.25, 0.15, 0.08],
            [0.45, 0.3, 0.15],
            [0.75, 0.6, 0.35],
            [0.55, 0.22, 0.1],
            [0.62, 0.62, 0.62],
            [0.85, 0.84, 0.82],
        ]
    )[rng.choice(8, p=[0.25, 0.2, 0.17, 0.12, 0.09, 0.05, 0.07, 0.05])]
    lower = rng.choice(['trousers', 'shorts', 'skirt', 'dress'], p=[0.58, 0.2, 0.11, 0.11])
    skin = np.clip(skin, 0.05, 1)
    top = cloth(rng, palette, skin, near)
    hat = rng.choice(['none', 'cap', 'beanie', 'brim', 'helmet'], p=[0.68, 0.12, 0.08, 0.07, 0.05])
    cut = rng.choice(
        ['short', 'medium', 'afro', 'long', 'tail', 'bun', 'bald'], p=[0.3, 0.16, 0.08, 0.2, 0.1, 0.08, 0.08]
    )
    legs = dict(trousers=-0.83, shorts=rng.uniform(-0.42, -0.22), skirt=-0.24, dress=-0.24)[lower]
    hem = rng.uniform(-0.42, -0.25) if rng.random() < 0.6 else rng.uniform(-0.75, -0.45)
    bare = skin if rng.random() < 0.7 or lower == 'trousers' else colour(rng, palette, near)
    return SimpleNamespace(
        skin=skin,
        hair=hair + rng.normal(0, 0.02, 3),
        cut=cut,
        hat=hat,
        hat_cloth=cloth(rng, palette, skin, near),
        top=top,
        lower=lower,
        bottom=top if lower == 'dress' else cloth(rng, palette, skin, near),
        legs=legs,
        hem=hem,
        skirt_depth=np.array([0] * 11 + [0.06] * 4 + [0] * 2) * (lower in ('skirt', 'dress')),
        tights=bare,
        sleeve=rng.choice(
            [0, rng.uniform(0.22, 0.4), rng.uniform(0.45, 0.7), 0.98], p=[0.12, 0.4, 0.1, 0.38]
        ),
        waist=rng.uniform(-0.02, 0.10) - 0.05 * (lower == 'dress'),
        collar=rng.choice([0.50, 0.515, 0.53, 0.565]),
        vneck=rng.uniform(0.1, 0.5),
        jacket=rng.random() < 0.2,
        inner=colour(rng, palette, near),
        belt=rng.random() < 0.35,
        trim=colour(rng, palette, near),
        shoe=colour(rng, palette, 0.25),
        sole=colour(rng, palette, 0.2),
        shoe_top=rng.choice([-0.845, -0.845, -0.80, -0.68]),
        sock=rng.choice([-0.9, -0.78, -0.6]),
        sock_colour=colour(rng, palette, near),
        loose=rng.uniform(0.006, 0.026, 2),
        beard=rng.random() < 0.15,
        glasses=rng.random() < 0.15,
        iris=rng.uniform(0.02, 0.25, 3),
        backpack=rng.random() < 0.1,
        volume=dict(short=0.012, medium=0.026, afro=0.06, long=0.02, tail=0.012, bun=0.012, bald=0.0)[cut],
        pattern=rng.uniform(0, 9),
    )


def scalp(style, x, y, z):
    """Signed height above the hair line (positive: hair), in template coordinates."""
    low = dict(short=0, medium=-0.025, afro=-0.02, long=-0.03, tail=0, bun=0, bald=0)[style.cut]
    line = (
        np.where(y < -0.06, 0.752 - 0.75 * (y + 0.13), 0.6995 - 1.05 * (y + 0.06))
        + low * (y > -0.09)
        + 0.004 * np.sin(70 * x + style.pattern)
    )
    return z - line - 0.012 * np.abs(x) / 0.07 * (y < -0.09)


def hat_line(style, y, z):
    """Signed height above the rim of the hat."""
    return z - (0.742 + (0.10 if style.hat in ('cap', 'brim') else -0.12) * (y + 0.04))


def garment(style, a):
    """For rows of body attributes: masks of shirt, legwear, shoes; skin is what remains."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    limb, arm = a[:, 5] + a[:, 6] > 0.5, a[:, 9]
    foot = ~limb & ((a[:, 8] > 0.5) | (z < style.shoe_top))
    wavy = z + 0.004 * np.sin(40 * x + style.pattern)
    collar = style.collar + np.where(y < -0.01, style.vneck * (y + 0.01), 0)
    shirt = np.where(limb, arm < max(style.sleeve, 0.04), (wavy > style.waist) & (z < collar) & (z < 0.6))
    legwear = ~limb & ~shirt & (wavy <= style.waist) & (z > style.legs) & ~foot
    return shirt.astype(bool), legwear, foot


def clothing_offset(rng, rig, style, normals):
    """How far clothes and hair stand off the skin (per vertex, along the normals)."""
    a = rig.attributes
    shirt, legwear, foot = garment(style, a)
    ripple = (
        1 + 0.35 * np.sin(a[:, :3] @ rng.normal(0, 28, 3)) + 0.3 * np.sin(a[:, :3] @ rng.normal(0, 45, 3))
    )
    away = style.loose[0] * ripple * shirt + style.loose[1] * ripple * legwear + 0.006 * foot
    away = np.where(
        shirt & ~legwear & (a[:, 2] < style.waist + 0.06) & (a[:, 5] + a[:, 6] < 0.5), away + 0.008, away
    )
    head = (a[:, 3] > 0.5) & (a[:, 2] > 0.58)
    tall = (
        np.clip(scalp(style, *a[:, :3].T) / 0.035, 0, 1)
        * style.volume
        * (1 + 0.25 * np.sin(a[:, :3] @ rng.normal(0, 90, 3)))
    )
    if style.hat != 'none':
        worn = np.clip(hat_line(style, a[:, 1], a[:, 2]) / 0.012, 0, 1)
        tall = np.maximum(
            np.minimum(tall, 0.02), worn * dict(cap=0.016, beanie=0.022, brim=0.018, helmet=0.034)[style.hat]
        )
    return normals * np.where(head, tall, away)[:, None]


def grid_quads(grid):
    """(rows, columns, 3) points to (n, 4, 3) quads."""
    return np.stack([grid[:-1, :-1], grid[:-1, 1:], grid[1:, 1:], grid[1:, :-1]], 2).reshape(-1, 4, 3)


def ellipsoid(centre, radii, rows=8, columns=12, rough=None):
    """Quads of an ellipsoid; `rough` (a generator) makes it lumpy."""
    t, p = np.meshgrid(
        np.linspace(0, math.pi, rows + 1), np.linspace(0, 2 * math.pi, columns + 1), indexing='ij'
    )
    unit = np.stack([np.sin(t) * np.cos(p), np.sin(t) * np.sin(p), np.cos(t)], -1)
    if rough is not None:
        k = rough.normal(0, 4, (3, 3))
        unit = unit * (1 + 0.16 * np.sin(unit @ k).sum(-1, keepdims=True) / 1.5)
    return grid_quads(unit * radii + centre)


def accessories(rng, rig, style, rest, size):
    """Rest-pose quads with bone weights: skirt, long hair, tail, bun, brim, visor, backpack."""
    parts, fixed = [], lambda bone: lambda p: {bone: np.ones(p.shape[:-1])}
    head = rest[(rig.attributes[:, 3] > 0.9) & (rig.canon[:, 2] > 0.66)]
    low, high = head.min(0), head.max(0)
    middle, radii = (low + high) / 2, (high - low) / 2
    if style.lower in ('skirt', 'dress'):
        parts.append(skirt(rig, style, rest, size))
    hair = material(rng, ['hair'], [style.hair], 0.02)
    if style.cut == 'long':
        bottom = rng.uniform(0.42, 0.56)
        t, p = np.meshgrid(np.linspace(0, 1, 8), np.radians(np.linspace(-20, 200, 15)), indexing='ij')
        drop = middle[2] + 0.02 * size - t * (rest[:, 2].max() - middle[2]) * (0.78 - bottom) / 0.09
        wide = radii[0] * (1.08 + 0.35 * t)
        grid = np.stack([np.cos(p) * wide, middle[1] + 0.03 * size + np.sin(p) * radii[1] * 0.72, drop], -1)
        follow = lambda q: {
            'head': (w := np.clip((q[..., 2] - drop.min()) / np.ptp(drop) * 1.3, 0, 1)),
            'spine01': 1 - w,
        }
        parts.append((grid_quads(grid), follow, hair))
    if style.cut in ('tail', 'bun'):
        back = middle + [0, radii[1] * 1.05, radii[2] * (0.5 if style.cut == 'bun' else 0.05)]
        shape = [0.045, 0.045, 0.045] if style.cut == 'bun' else [0.03, 0.035, 0.11]
        parts.append((ellipsoid(back, np.array(shape) * size), fixed('head'), hair))
    if style.hat in ('cap', 'brim'):
        full = style.hat == 'brim'
        turn = np.radians(np.linspace(0, 360, 25) if full else np.linspace(205, 335, 10))
        out = np.array([1.0, 1.75 if full else 1.8])[:, None]
        rim = middle[2] + radii[2] * (0.12 if not full else 0.2)
        grid = np.stack(
            [
                out * np.cos(turn) * radii[0] * (1.1 if full else 1),
                middle[1] + out * np.sin(turn) * radii[1],
                rim - 0.012 * size * (out - 1) + 0 * turn,
            ],
            -1,
        )
        parts.append(
            (
                np.concatenate([grid_quads(grid), grid_quads(grid + [0, 0, 0.008])]),
                fixed('head'),
                style.hat_cloth,
            )
        )
    if style.backpack:
        back = rest[(np.abs(rig.canon[:, 2] - 0.35) < 0.1) & (np.abs(rig.canon[:, 0]) < 0.12)][:, 1].max()
        centre = rest[(np.abs(rig.canon[:, 2] - 0.33) < 0.05)].mean(0) * [0, 0, 1] + [
            0,
            back + 0.06 * size,
            0,
        ]
        parts.append((box_quads(centre, np.array([0.28, 0.15, 0.38]) * size), fixed('spine03'), style.bottom))
    return parts


def skirt(rig, style, rest, size):
    """A flared tube around hips and thighs that follows both legs."""
    near = rig.attributes[:, 5] + rig.attributes[:, 6] < 0.5
    levels = np.linspace(style.waist + 0.012, style.hem, 9)
    angles = np.linspace(0, 2 * math.pi, 29)
    rings, reach = [], np.zeros(2)
    for i, level in enumerate(levels):
        ring = rest[near & (np.abs(rig.canon[:, 2] - level) < 0.025)]
        centre, half = (ring.max(0) + ring.min(0)) / 2, np.ptp(ring, axis=0)[:2] / 2 + 0.018 * size
        reach = np.maximum(half, reach * 1.01) if level < 0.02 else half
        flare = 1 + 0.05 * i * (1 + 0.25 * np.sin(7 * angles + style.pattern)) / 2
        rings.append(
            np.stack(
                [
                    reach[0] * flare * np.cos(angles),
                    centre[1] + reach[1] * flare * np.sin(angles),
                    np.full_like(angles, ring[:, 2].mean()),
                ],
                -1,
            )
        )
    grid = np.stack(rings)
    span = grid[0, 0, 2] - grid[-1, 0, 2]

    def follow(p):
        down = np.clip(
            (grid[0, 0, 2] - p[..., 2]) / span * (levels[0] - levels[-1]) / 0.22 - 0.35 * levels[0] / 0.1,
            0,
            0.95,
        )
        left = np.clip(0.5 + p[..., 0] / (0.16 * size), 0, 1)
        return {'root': 1 - down, 'upperleg01.L': down * left, 'upperleg01.R': down * (1 - left)}

    return grid_quads(grid), follow, style.bottom


def skin_quads(quads, follow, bones, rig):
    """Pose rest-pose quads with the body's bones."""
    moved = 0
    for bone, weight in follow(quads).items():
        t = bones[rig.labels.index(bone)]
        moved = moved + weight[..., None] * (quads @ t[:3, :3].T + t[:3, 3])
    return moved


def body_colours(rig, style, a):
    """Albedo of body points from their interpolated attributes."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    limb = a[:, 5] + a[:, 6] > 0.5
    uv = np.stack([np.where(limb, y * 1.2 + z * 0.3, x + 0.7 * y), np.where(limb, a[:, 9] * 0.55, z)], 1)
    shirt, legwear, foot = garment(style, a)
    rgb = style.skin * (0.93 + 0.14 * noise(uv, 3))[:, None]
    rgb = np.where(((z < style.waist) & ~limb)[:, None], style.tights * np.ones(3), rgb)
    rgb = np.where((~limb & (z < style.sock))[:, None], style.sock_colour, rgb)
    for mask, mat in ((shirt, style.top), (legwear, style.bottom)):
        rgb[mask] = texture(mat, uv[mask])
    edge = np.abs(a[:, 9] - style.sleeve) < 0.012
    edge = (limb & edge) | (
        ~limb
        & (a[:, 3] < 0.6)
        & shirt
        & (z > style.collar - 0.05 + np.minimum(style.vneck * (y + 0.01), 0) + 0.035)
    )
    rgb[edge & shirt] = style.trim
    rgb[shirt & ~limb & style.jacket & (np.abs(x) < 0.025 + 0.12 * np.clip(z - 0.2, 0, 1)) & (y < -0.02)] = (
        style.inner
    )
    rgb[style.belt & ~limb & (np.abs(z - style.waist) < 0.014)] = style.trim * 0.6
    rgb[foot] = np.where(
        (z < -0.905)[:, None], style.sole, style.shoe * (0.85 + 0.3 * noise(uv, 6))[:, None]
    )[foot]
    return face_colours(rig, style, a, uv, rgb)


def face_colours(rig, style, a, uv, rgb):
    """Eyes, brows, mouth, beard, hair and hat over the albedo of the head."""
    x, y, z = a[:, 0], a[:, 1], a[:, 2]
    head = (a[:, 3] > 0.4) & (z > 0.57) & (a[:, 4] < 0.6)
    front, side = head & (y < rig.eye[1] + 0.035), np.abs(x) - rig.eye[0]
    up, lips = z - rig.eye[2], z - rig.nose[2] + 0.042
    if style.beard:
        rgb[head & (lips < 0.018) & (y < -0.045) & (z > 0.585)] = style.hair
    rgb[front & (np.abs(lips) < 0.008) & (np.abs(x) < 0.026)] = style.skin * [0.62, 0.32, 0.32]
    rgb[front & (np.abs(z - rig.nose[2] + 0.012) < 0.006) & (np.abs(x) < 0.014)] = style.skin * 0.6
    rgb[front & ((side / 0.019) ** 2 + (up / 0.0105) ** 2 < 1)] = [0.9, 0.9, 0.88]
    rgb[front & (side**2 + up**2 < 0.0095**2)] = style.iris
    rgb[front & (np.abs(up - 0.024) < 0.006) & (np.abs(side) < 0.021)] = style.hair * 0.6
    if style.glasses:
        rgb[front & (np.abs((side / 0.026) ** 2 + (up / 0.02) ** 2 - 1) < 0.35)] = 0.06
        rgb[head & (np.abs(up - 0.004) < 0.004) & (np.abs(x) > 0.05) & (y > -0.13) & (y < -0.04)] = 0.06
    if style.cut != 'bald':
        hair = head & (scalp(style, x, y, z) > 0)
        rgb[hair] = style.hair * (0.7 + 0.6 * noise(uv * [1, 0.15], 22))[hair, None]
    if style.hat != 'none':
        worn = head & (hat_line(style, y, z) > 0)
        rgb[worn] = texture(style.hat_cloth, uv[worn])
    return rgb


# ---------------------------------------------------------------- textures


def make_noise(size=512):
    """A square tile of multi-octave noise in 0..1 that repeats without a seam."""
    f = np.fft.fftfreq(size) * size
    radius = np.hypot(f[:, None], f[None]) + 1e-9
    spectrum = np.fft.fft2(np.random.default_rng(7).normal(size=(size, size))) * np.where(
        radius < 2, 0, radius**-1.15
    )
    field = np.fft.ifft2(spectrum).real
    return np.clip(0.5 + field / field.std() / 4.5, 0, 1).astype(np.float32)


NOISE = make_noise()


def noise(uv, frequency):
    """Noise at points uv (metres)."""
    uv = (uv * (frequency * 32)).astype(np.float32)
    low = np.floor(uv)
    (i, j), (a, b) = low.astype(np.int64).T & 511, (uv - low).T
    k, m = i + 1 & 511, j + 1 & 511
    return (NOISE[i, j] * (1 - a) + NOISE[k, j] * a) * (1 - b) + (NOISE[i, m] * (1 - a) + NOISE[k, m] * a) * b


def scatter(i, j, k=0):
    """A fixed pseudo-random number in 0..1 for every integer cell."""
    return np.modf(np.abs(np.sin(i * 12.9898 + j * 78.233 + k * 37.719) * 43758.5453))[0]


def texture(mat, uv):
    """Albedo of a material at points uv (metres)."""
    c0, c1, c2, c3 = mat.colours
    turn = math.radians(mat.turn) if mat.kind in ('stripes', 'checks', 'tiles', 'planks') else 0
    uv = uv @ np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) + mat.offset
    u, v = (uv / mat.scale).T
    cell_u, cell_v = np.floor(u), np.floor(v)
    fu, fv = u - cell_u, v - cell_v
    grain = noise(uv, 2)[:, None]
    mix = lambda mask, a, b: np.where(np.asarray(mask)[:, None], a, b)
    if mat.kind in ('stripes', 'wallpaper'):
        rgb = (
            mix(fv < 0.5, c0, c1)
            if mat.kind == 'stripes'
            else mix(fu < 0.3, c0, mix((fu - 0.65) ** 2 + (fv - 0.5) ** 2 < 0.03, c2, c1))
        )
    elif mat.kind == 'checks':
        rgb = (mix(fu < 0.5, c0, c1) + mix(fv < 0.5, c0, c1)) / 2
    elif mat.kind == 'dots':
        rgb = mix((fu - 0.5) ** 2 + (fv - 0.5) ** 2 < 0.09, c1, c0)
    elif mat.kind == 'blocks':
        rgb = mix(np.mod(np.floor(v / 2.5), 3) < 1, c1, c0)
    elif mat.kind in ('blotches', 'carpet'):
        rgb = mix(noise(uv, 0.12 / mat.scale) > 0.55, c1, mix(noise(uv + 9, 0.12 / mat.scale) > 0.6, c2, c0))
    elif mat.kind == 'bricks':
        u = u / 2 + 0.5 * np.mod(cell_v, 2)
        shade = 0.75 + 0.5 * scatter(np.floor(u), cell_v)
        rgb = mix((u - np.floor(u) < 0.06) | (fv < 0.12), c2, c0 * shade[:, None])
    elif mat.kind == 'tiles':
        rgb = mix(
            (fu < 0.05) | (fv < 0.05),
            c2 * 0.6,
            mix(np.mod(cell_u + cell_v, 2) < 1, c0, c1) * (0.85 + 0.3 * scatter(cell_u, cell_v)[:, None]),
        )
    elif mat.kind == 'planks':
        board = 0.7 + 0.5 * scatter(cell_v, np.floor(u / 9 + 5 * scatter(cell_v, 0)))
        rgb = mix(fv < 0.06, c0 * 0.35, c0 * board[:, None] * (0.8 + 0.4 * noise(uv * [0.15, 1], 6)[:, None]))
    elif mat.kind in ('grass', 'foliage'):
        rgb = c0 + (c1 - c0) * np.clip(noise(uv, 6 if mat.kind == 'grass' else 4)[:, None] * 2 - 0.5, 0, 1)
        rgb = mix(noise(uv + 3, 1.5) > 0.66, c2, rgb * (0.55 + 0.9 * noise(uv, 1)[:, None]))
    elif mat.kind == 'windows':
        glass = (np.abs(fu - 0.5) < 0.27) & (np.abs(fv - 0.5) < 0.33)
        bar = (
            (np.abs(fu - 0.5) < 0.02)
            | (np.abs(fv - 0.5) < 0.02)
            | (np.abs(fu - 0.5) > 0.25)
            | (np.abs(fv - 0.5) > 0.3)
        )
        rgb = mix(glass, mix(bar, c2, c1 * (0.4 + scatter(cell_u, cell_v))[:, None]), c0)
    elif mat.kind == 'shelf':
        book = np.floor(u * 5 + 3 * scatter(cell_v, 1))
        tall = 0.5 + 0.4 * scatter(book, cell_v, 2)
        paint = (
            mat.colours[(scatter(book, cell_v) * 3.99).astype(int)]
            * (0.6 + 0.8 * scatter(cell_v, book, 3))[:, None]
        )
        rgb = mix(fv < 0.08, c3, mix(fv < tall, paint, c3 * 0.35))
    elif mat.kind == 'poster':
        cell = mat.colours[(scatter(np.floor(u * 2), np.floor(v * 1.5)) * 3.99).astype(int)]
        rgb = mix((fu - 0.5) ** 2 + (fv - 0.4) ** 2 < 0.08, c1, cell)
    elif mat.kind == 'hair':
        rgb = c0 * (0.65 + 0.7 * noise(uv * [1, 0.2], 14)[:, None])
    else:
        fine = 0.12 if mat.kind == 'plain' else 0.45
        rgb = c0 * (1 - fine / 2 + fine * noise(uv, 8)[:, None])
    return np.clip(rgb * (0.82 + 0.36 * grain), 0.01, 1)


# ---------------------------------------------------------------- the scene


class Scene:
    """Triangles of everything in the picture, with normals, texture coordinates, material and owner."""

    def __init__(self, rng):
        self.rng, self.materials = rng, []
        self.points, self.faces, self.normals, self.uv, self.face_mat, self.face_owner = (
            [],
            [],
            [],
            [],
            [],
            [],
        )
        self.count, self.face_count, self.bodies = 0, 0, []

    def put(self, points, faces, normals, uv, mat, owner):
        """Append a triangle mesh."""
        self.points.append(points)
        self.normals.append(normals)
        self.uv.append(uv)
        self.faces.append(faces + self.count)
        self.face_mat.append(np.full(len(faces), mat))
        self.face_owner.append(np.full(len(faces), owner))
        self.count += len(points)
        self.face_count += len(faces)

    def quads(self, quads, mat, owner=SCENE, round_about=None):
        """Append quads; texture runs along their first two edges, or over (x + y, z) where they are round."""
        n = len(quads)
        normal = np.cross(quads[:, 2] - quads[:, 0], quads[:, 3] - quads[:, 1])
        normal = np.repeat((normal / (np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9))[:, None], 4, 1)
        if round_about is None:
            right, up = (
                np.linalg.norm(quads[:, 1] - quads[:, 0], axis=1),
                np.linalg.norm(quads[:, 3] - quads[:, 0], axis=1),
            )
            uv = np.stack(
                [np.stack([0 * right, right, right, 0 * right], 1), np.stack([0 * up, 0 * up, up, up], 1)], -1
            )
        else:
            out = quads - round_about
            normal = out / (np.linalg.norm(out, axis=2, keepdims=True) + 1e-9)
            uv = np.stack([quads[..., 0] + 0.7 * quads[..., 1], quads[..., 2]], -1)
        base = 4 * np.arange(n)[:, None]
        faces = np.concatenate([base + [0, 1, 2], base + [0, 2, 3]]).astype(np.int32)
        self.materials.append(mat)
        self.put(
            quads.reshape(-1, 3),
            faces,
            normal.reshape(-1, 3),
            uv.reshape(-1, 2),
            len(self.materials) - 1,
            owner,
        )

    def box(self, centre, size, mat, yaw=0.0):
        """Append a box turned about the vertical."""
        self.quads(
            box_quads(np.zeros(3), np.asarray(size, float)) @ euler(z=yaw).T + np.asarray(centre, float), mat
        )

    def tube(self, start, end, radius, mat):
        """Append a six-sided tube."""
        start, end = np.asarray(start, float), np.asarray(end, float)
        along = (end - start) / np.linalg.norm(end - start)
        side = np.cross(along, [0.31, 0.72, 0.62])
        side /= np.linalg.norm(side)
        a = np.linspace(0, 2 * math.pi, 7)[:, None]
        ring = radius * (np.cos(a) * side + np.sin(a) * np.cross(along, side))
        self.quads(grid_quads(np.stack([start + ring, end + ring])), mat)

    def body(self, rig, person, owner):
        """Append a person with clothes and accessories."""
        self.bodies.append((owner, self.face_count, person))
        self.put(
            person.vertices,
            rig.faces,
            vertex_normals(rig, person.vertices),
            np.zeros((len(person.vertices), 2)),
            BODY,
            owner,
        )
        for quads, mat in person.extras:
            self.quads(quads, mat, owner, round_about=quads.mean((0, 1)))

    def freeze(self):
        """Join the lists and build the ray-casting mesh."""
        for name in ('points', 'faces', 'normals', 'uv', 'face_mat', 'face_owner'):
            setattr(self, name, np.concatenate(getattr(self, name)))
        self.mesh = wp.Mesh(
            wp.array(self.points.astype(np.float32), dtype=wp.vec3),
            wp.array(self.faces.ravel(), dtype=wp.int32),
        )


def box_quads(centre, size):
    """Six quads of a box; texture axes run along the ground and up."""
    x, y, z = np.asarray(size) / 2
    corners = [
        [(-x, -y, -z), (x, -y, -z), (x, -y, z), (-x, -y, z)],
        [(x, y, -z), (-x, y, -z), (-x, y, z), (x, y, z)],
        [(x, -y, -z), (x, y, -z), (x, y, z), (x, -y, z)],
        [(-x, y, -z), (-x, -y, -z), (-x, -y, z), (-x, y, z)],
        [(-x, -y, z), (x, -y, z), (x, y, z), (-x, y, z)],
        [(-x, y, -z), (x, y, -z), (x, -y, -z), (-x, -y, -z)],
    ]
    return np.array(corners) + centre


def surface(rng, palette, *kinds):
    """Material of a large surface."""
    scale = dict(
        bricks=0.08,
        tiles=0.35,
        planks=0.14,
        windows=1.5,
        shelf=0.34,
        wallpaper=0.22,
        poster=0.5,
        checks=0.5,
        stripes=0.3,
        carpet=0.5,
        plain=1,
        asphalt=1,
    )
    loud = np.array([colour(rng, palette, 0.8) for _ in range(4)])
    mat = material(rng, kinds, loud + rng.uniform(0.2, 0.8) * (loud.mean(0) - loud), 1.0)
    mat.scale = scale.get(mat.kind, 0.3) * rng.uniform(0.7, 1.5)
    if mat.kind in ('grass', 'foliage'):
        green = np.array(
            [rng.uniform(0.1, 0.4), rng.uniform(0.3, 0.5), rng.uniform(0.05, 0.2)]
        ) * rng.uniform(0.6, 1.1)
        mat.colours = np.array([green * 0.45, green, green * [1.3, 1.1, 0.8], green])
    return mat


def tree(scene, palette, x, y, floor):
    """A trunk and lumpy foliage, or a bush."""
    rng, leaves = scene.rng, surface(scene.rng, palette, 'foliage')
    tall = rng.choice([0, rng.uniform(1, 2.5)])
    if tall:
        scene.tube(
            (x, y, floor),
            (x, y, floor + tall + 0.4),
            rng.uniform(0.06, 0.18),
            surface(rng, palette, 'planks'),
        )
    for _ in range(rng.integers(2, 5)):
        size = rng.uniform(0.35, 0.9, 3)
        centre = [x, y, floor + tall + size[2] * 0.7] + rng.normal(0, 0.4, 3) * [1, 1, 0.4]
        scene.quads(ellipsoid(centre, size, 9, 14, rng), leaves, round_about=centre)


def chair(scene, palette, x, y, floor, yaw, height=0.45, deep=0.45):
    """A chair; its back stands on the far side before turning."""
    mat, turn = surface(scene.rng, palette, 'planks', 'plain', 'checks'), euler(z=yaw)
    place = lambda p: turn @ p + [x, y, floor]
    scene.box(place([0, 0, height - 0.025]), (0.46, deep, 0.05), mat, yaw)
    for a in (-0.2, 0.2):
        for b in (-0.2, 0.2):
            scene.tube(place([a, b * deep / 0.45, 0]), place([a, b * deep / 0.45, height]), 0.018, mat)
        scene.tube(place([a, 0.21, height]), place([a, 0.26, height + 0.48]), 0.018, mat)
    for z in (0.18, 0.3, 0.42):
        scene.box(place([0, 0.24, height + z]), (0.42, 0.025, 0.07), mat, yaw)


def thing(
    scene,
    palette,
    x,
    y,
    floor,
    kinds=('crates', 'table', 'chair', 'pole', 'fence', 'bike', 'plant', 'cabinet'),
):
    """One object standing at (x, y)."""
    rng, yaw = scene.rng, scene.rng.uniform(-90, 90)
    kind, mat = (
        rng.choice(kinds),
        surface(rng, palette, 'planks', 'plain', 'stripes', 'checks', 'poster', 'bricks'),
    )
    if kind == 'crates':
        z = floor
        for side in rng.uniform(0.25, 0.6, rng.integers(1, 4)):
            scene.box(
                (x, y, z + side / 2),
                (side * 1.1, side, side),
                surface(rng, palette, 'planks', 'plain', 'poster'),
                yaw + rng.normal(0, 12),
            )
            z += side
    elif kind == 'table':
        wide, deep, tall = rng.uniform(0.7, 1.4), rng.uniform(0.4, 0.7), rng.uniform(0.5, 0.8)
        turn = euler(z=yaw / 4)
        scene.box((x, y, floor + tall), (wide, deep, 0.04), mat, yaw / 4)
        for a in (-0.45, 0.45):
            for b in (-0.42, 0.42):
                foot = turn @ [a * wide, b * deep, 0] + [x, y, floor]
                scene.tube(foot, foot + [0, 0, tall], 0.025, mat)
        scene.box(
            (x + rng.uniform(-0.2, 0.2), y, floor + tall + 0.12),
            rng.uniform(0.1, 0.25, 3),
            surface(rng, palette, 'plain', 'poster'),
            yaw,
        )
    elif kind == 'chair':
        chair(scene, palette, x, y, floor, yaw * 2)
    elif kind == 'pole':
        scene.tube((x, y, floor), (x, y, floor + rng.uniform(2, 4)), rng.uniform(0.03, 0.1), mat)
    elif kind == 'fence':
        n, turn, tall = rng.integers(5, 12), euler(z=yaw / 3), rng.uniform(0.5, 1.0)
        for i in np.arange(n) - n / 2:
            foot = turn @ [i * 0.14, 0, 0] + [x, y, floor]
            scene.tube(foot, foot + [0, 0, tall], 0.018, mat)
        for z in (0.15, tall - 0.06):
            scene.tube(
                turn @ [-n * 0.07, 0, 0] + [x, y, floor + z],
                turn @ [n * 0.07, 0, 0] + [x, y, floor + z],
                0.025,
                mat,
            )
    elif kind == 'bike':
        turn, dark = euler(z=yaw / 2), material(rng, ['plain'], [np.full(3, 0.05)], 1)
        spot = lambda a, z: turn @ [a, 0, 0] + [x, y, floor + z]
        for hub in (-0.5, 0.5):
            t = np.linspace(0, 2 * math.pi, 17)
            for a, b in zip(t[:-1], t[1:]):
                scene.tube(
                    spot(hub + 0.33 * math.cos(a), 0.34 + 0.33 * math.sin(a)),
                    spot(hub + 0.33 * math.cos(b), 0.34 + 0.33 * math.sin(b)),
                    0.02,
                    dark,
                )
        for a, b in (
            ((-0.5, 0.34), (-0.2, 0.8)),
            ((-0.2, 0.8), (0.35, 0.8)),
            ((0.35, 0.95), (0.5, 0.34)),
            ((-0.1, 0.3), (0.35, 0.8)),
            ((-0.5, 0.34), (-0.1, 0.3)),
            ((-0.1, 0.3), (-0.22, 0.92)),
        ):
            scene.tube(spot(*a), spot(*b), 0.02, mat)
    elif kind == 'plant':
        tall = rng.uniform(0.15, 0.4)
        scene.box((x, y, floor + tall / 2), (0.3, 0.3, tall), mat, yaw)
        for _ in range(3):
            centre = [x, y, floor + tall + 0.25] + rng.normal(0, 0.12, 3)
            scene.quads(
                ellipsoid(centre, rng.uniform(0.12, 0.3, 3), 7, 10, rng),
                surface(rng, palette, 'foliage'),
                round_about=centre,
            )
    else:
        tall = rng.uniform(0.8, 1.9)
        scene.box(
            (x, y, floor + tall / 2),
            (rng.uniform(0.5, 1.1), 0.4, tall),
            surface(rng, palette, 'shelf', 'planks', 'tiles'),
            yaw / 3,
        )


def occluder(scene, palette, person, camera_side, floor):
    """Something between the camera and the person."""
    rng, low, high = scene.rng, person.vertices.min(0), person.vertices.max(0)
    y = low[1] - rng.uniform(0.25, 0.7)
    x = rng.uniform(low[0] - 0.1, high[0] + 0.1)
    kind = rng.choice(['thing', 'pole', 'edge', 'board', 'bush'], p=[0.5, 0.17, 0.15, 0.1, 0.08])
    if kind == 'thing':
        thing(
            scene,
            palette,
            x,
            y - 0.1,
            floor,
            ('crates', 'table', 'chair', 'fence', 'bike', 'plant', 'cabinet'),
        )
    elif kind == 'pole':
        scene.tube(
            (x, y, floor),
            (x + rng.normal(0, 0.1), y, floor + 3.5),
            rng.uniform(0.03, 0.08),
            surface(rng, palette, 'plain', 'stripes', 'planks'),
        )
    elif kind == 'edge':
        edge = high[0] - rng.uniform(0.1, 0.4) * (high[0] - low[0]) if rng.random() < 0.5 else None
        centre = edge + 1 if edge is not None else low[0] + rng.uniform(0.1, 0.4) * (high[0] - low[0]) - 1
        scene.box(
            (centre, y, floor + 1.6),
            (2, 0.2, 3.2),
            surface(rng, palette, 'bricks', 'planks', 'wallpaper', 'plain', 'tiles'),
        )
    elif kind == 'board':
        top = low[2] + rng.uniform(0.2, 0.5) * (high[2] - low[2])
        scene.box(
            (x, y, (floor + top) / 2),
            (rng.uniform(0.5, 2), 0.12, top - floor),
            surface(rng, palette, 'bricks', 'planks', 'poster', 'windows'),
            rng.normal(0, 10),
        )
    else:
        tree(scene, palette, x, y - 0.5, floor - rng.uniform(0.2, 0.9))


def build_place(scene, palette, person, floor):
    """Ground, walls or buildings, and clutter around the person; True for indoors."""
    rng, indoors = scene.rng, scene.rng.random() < 0.5
    ground = (
        ('tiles', 'planks', 'carpet', 'checks', 'plain')
        if indoors
        else ('grass', 'asphalt', 'tiles', 'bricks', 'blotches')
    )
    mat = surface(rng, palette, *ground)
    reach = 9 if indoors else 40
    turn = euler(z=rng.uniform(-45, 45))
    flat = np.array([[(-reach, -reach, 0), (reach, -reach, 0), (reach, reach, 0), (-reach, reach, 0)]], float)
    scene.quads(flat @ turn.T + [0, 0, floor], mat)
    back = person.vertices[:, 1].max() + rng.uniform(0.35, 3)
    if indoors or rng.random() < 0.3:
        yaw, paint = (
            rng.normal(0, 16),
            surface(
                rng,
                palette,
                'bricks',
                'wallpaper',
                'tiles',
                'planks',
                'shelf',
                'windows',
                'stripes',
                'blotches',
            ),
        )
        side = euler(z=yaw)
        tall = 9 if indoors else rng.uniform(1, 5)
        scene.box(side @ [0, 0.5, 0] + [0, back, floor + tall / 2], (16, 0.3, tall), paint, yaw)
        scene.box(
            side @ [0, 0.33, 0] + [0, back, floor + 0.06],
            (16, 0.05, 0.12),
            surface(rng, palette, 'plain'),
            yaw,
        )
        for _ in range(rng.integers(1, 6)):
            wide, high = rng.uniform(0.3, 1.3), rng.uniform(0.3, 1.6)
            x, z = rng.uniform(-2.5, 2.5), rng.uniform(0.2, 2.4)
            scene.box(
                side @ [x, 0.33, 0] + [0, back, floor + z + high / 2],
                (wide, 0.06, high),
                surface(rng, palette, 'poster', 'windows', 'shelf', 'planks', 'dots', 'plain'),
                yaw,
            )
        if indoors:
            for s in (-1, 1):
                scene.box(
                    (s * rng.uniform(2, 4.5), 0, floor + 3),
                    (0.2, 18, 6),
                    surface(rng, palette, 'bricks', 'wallpaper', 'planks', 'windows', 'shelf', 'plain'),
                    yaw,
                )
    if not indoors:
        for _ in range(rng.integers(3, 8)):
            wide, tall = rng.uniform(2, 8), rng.uniform(2.5, 14)
            scene.box(
                (rng.uniform(-12, 12), rng.uniform(10, 28), floor + tall / 2),
                (wide, 3, tall),
                surface(rng, palette, 'windows', 'windows', 'bricks', 'planks'),
                rng.normal(0, 25),
            )
        for _ in range(rng.integers(1, 7)):
            tree(scene, palette, rng.uniform(-5, 5), back + rng.uniform(0.5, 9), floor)
    for _ in range(rng.integers(1, 6)):
        x, y = rng.uniform(-2.2, 2.2), rng.uniform(-0.3, 2.6)
        if math.hypot(x, y) > 1.15 and (y > 0.4 or abs(x) > 1.1):
            thing(scene, palette, x, y, floor)
    return indoors


def make_palette(rng):
    """Colours of a place."""
    base = rng.uniform(0, 1, 3)
    base = 0.45 + 0.55 * (base - 0.45)
    mixed = [colour(rng, [base], 0.0) * 0.7 + 0.3 * base * rng.uniform(0.3, 1) for _ in range(6)]
    calm = rng.uniform(0.2, 0.75)
    return [np.clip(c * (1 - calm) + calm * c.mean(), 0.03, 0.95) for c in mixed]


# ---------------------------------------------------------------- camera, light, picture


@wp.kernel
def cast_kernel(
    mesh: wp.uint64,
    start: wp.array(dtype=wp.vec3),
    direction: wp.array(dtype=wp.vec3),
    reach: float,
    face: wp.array(dtype=wp.int32),
    hit: wp.array(dtype=wp.vec3),
):
    i = wp.tid()
    query = wp.mesh_query_ray(mesh, start[i], direction[i], reach)
    face[i] = -1
    if query.result:
        face[i] = query.face
        hit[i] = wp.vec3(query.u, query.v, query.t)


def cast(mesh, start, direction, reach=200.0):
    """First face along every ray (-1: none) and (u, v, distance) of the hit."""
    n = len(direction)
    face, hit = wp.zeros(n, dtype=wp.int32, device='cpu'), wp.zeros(n, dtype=wp.vec3, device='cpu')
    start = np.broadcast_to(start, direction.shape)
    wp.launch(
        cast_kernel,
        n,
        [
            mesh.id,
            wp.array(start.astype(np.float32), dtype=wp.vec3, device='cpu'),
            wp.array(direction.astype(np.float32), dtype=wp.vec3, device='cpu'),
            reach,
        ],
        [face, hit],
        device='cpu',
    )
    return face.numpy(), hit.numpy()


def outline(person):
    """All points that a person's silhouette may reach."""
    return np.concatenate([person.vertices] + [q.reshape(-1, 3) for q, _ in person.extras])


def look_at(centre, away, elevation, roll, size):
    """A camera of unit focal length: position, axes, principal point, size of the picture."""
    e, roll = math.radians(elevation), math.radians(roll)
    position = centre + away * np.array([0, -math.cos(e), math.sin(e)])
    forward = (centre - position) / away
    right, up = np.array([1.0, 0, 0]), np.cross([1.0, 0, 0], forward)
    right, up = math.cos(roll) * right + math.sin(roll) * up, math.cos(roll) * up - math.sin(roll) * right
    axes = np.stack([right, -up, forward])
    return SimpleNamespace(position=position, axes=axes, focal=1.0, principal=np.zeros(2), size=size)


def aim(rng, person, elevation, cut):
    """A camera that frames the person: position, axes, focal length, principal point."""
    points = outline(person)
    away = rng.uniform(2.6, 6)
    camera = look_at((points.min(0) + points.max(0)) / 2, away, elevation, rng.normal(0, 4), (WIDTH, HEIGHT))
    plane = project(camera, points)
    low, high = plane.min(0), plane.max(0)
    tall, wide = rng.uniform(0.72, 0.93) * HEIGHT, rng.uniform(0.8, 0.95) * WIDTH
    camera.focal = min(tall / (high[1] - low[1]), wide / (high[0] - low[0]))
    free = np.array([WIDTH, HEIGHT]) - camera.focal * (high - low)
    corner = rng.uniform(0.1, 0.9, 2) * free
    if cut:
        camera.focal *= rng.uniform(1.05, 1.4)
        free = np.array([WIDTH, HEIGHT]) - camera.focal * (high - low)
        corner = np.where(
            free < 0, rng.uniform([0.0, 0.0], [1.0, 1.0]) * free, rng.uniform(-0.35, 1.0, 2) * free
        )
    camera.principal = corner - camera.focal * low
    return camera


def project(camera, points):
    """World points to continuous pixel coordinates."""
    local = (points - camera.position) @ camera.axes.T
    return local[:, :2] / local[:, 2:] * camera.focal + camera.principal


def pixel_rays(camera, samples=SAMPLES):
    """Unit directions through all samples of the picture, row by row."""
    width, height = camera.size
    y, x = np.mgrid[: height * samples, : width * samples]
    plane = (np.stack([x, y], -1).reshape(-1, 2) + 0.5) / samples
    local = np.concatenate([(plane - camera.principal) / camera.focal, np.ones((len(plane), 1))], 1)
    return local / np.linalg.norm(local, axis=1, keepdims=True) @ camera.axes


def draw_light(rng, indoors):
    """Direction, colour and ambient share of the light."""
    azimuth = rng.normal(-90, 75)
    direction = euler(z=azimuth) @ euler(y=-rng.uniform(25, 70)) @ [1, 0, 0]
    warm = rng.normal(0, 0.09)
    ambient = rng.uniform(0.35, 0.6) if indoors else rng.uniform(0.25, 0.55)
    return SimpleNamespace(
        direction=direction,
        rays=direction[None],
        reach=3.5 if indoors else 30.0,
        colour=np.array([1 + warm, 1, 1 - warm]),
        ambient=ambient * np.array([1 - warm, 1, 1 + warm]),
    )


def sky(rng, indoors, palette, directions):
    """What rays see that leave the scene: clouds, or a ceiling."""
    flat = directions[:, :2] / np.maximum(np.abs(directions[:, 2:]), 0.05)
    if indoors:
        return texture(surface(rng, palette, 'tiles', 'planks', 'plain'), flat * 2)
    blue = rng.uniform([0.3, 0.45, 0.6], [0.6, 0.7, 0.95])
    cloud = np.clip((noise(flat + rng.uniform(0, 9, 2), 0.06) - rng.uniform(0.3, 0.6)) * 4, 0, 1)[:, None]
    return (blue + 0.3 * np.clip(1 - 3 * directions[:, 2:], 0, 1)) * (1 - cloud) + cloud * rng.uniform(
        0.75, 1
    )


def meet(scene, camera, rays):
    """What the camera's rays meet: index of the ray, face, place in it, normal, point, owner."""
    face, hit = cast(scene.mesh, camera.position, rays)
    seen = np.flatnonzero(face >= 0)
    f, (u, v, t) = face[seen], hit[seen].T
    bary = np.stack([u, v, 1 - u - v], 1)[..., None]
    normal = (scene.normals[scene.faces[f]] * bary).sum(1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
    normal *= -np.sign((normal * rays[seen]).sum(1, keepdims=True))
    points = camera.position + rays[seen] * t[:, None] + normal * 0.006
    return SimpleNamespace(
        rays=seen, face=f, bary=bary, normal=normal, points=points, owner=scene.face_owner[f]
    )


def colours_of(rig, scene, met):
    """Albedo of all points met."""
    corners, mats = scene.faces[met.face], scene.face_mat[met.face]
    albedo, uv = np.zeros((len(mats), 3)), (scene.uv[corners] * met.bary).sum(1)
    for m in np.unique(mats[mats >= 0]):
        albedo[mats == m] = texture(scene.materials[m], uv[mats == m])
    for who, first, person in scene.bodies:
        own = (mats == BODY) & (met.owner == who)
        attributes = (rig.attributes[rig.faces[met.face[own] - first]] * met.bary[own]).sum(1)
        albedo[own] = body_colours(rig, person.style, attributes)
    return albedo


def share_of(mesh, points, rays, reach):
    """Share of some directions that are free at every point, up to some distance."""
    return np.mean([cast(mesh, points, np.broadcast_to(d, points.shape), reach)[0] < 0 for d in rays], 0)


def illuminate(scene, met, albedo, light):
    """Colours of all points met, under the light."""
    lit = share_of(scene.mesh, met.points, light.rays, light.reach)
    direct = np.clip(met.normal @ light.direction, 0, 1) * lit
    sky_light = light.ambient * (0.7 + 0.3 * met.normal[:, 2:])
    return albedo * (sky_light + 0.95 * direct[:, None] * light.colour)


def shade(rng, rig, scene, camera, indoors, palette):
    """Colours of all samples, and the owner of what each sees."""
    rays = pixel_rays(camera)
    met = meet(scene, camera, rays)
    rgb, owner = sky(rng, indoors, palette, rays), np.zeros(len(rays), int)
    owner[met.rays] = met.owner
    rgb[met.rays] = illuminate(scene, met, colours_of(rig, scene, met), draw_light(rng, indoors))
    return rgb, owner


def develop(rng, rgb):
    """Samples to the final picture: exposure, averaging, blur, noise."""
    rgb = rgb.reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES, 3).mean((1, 3))
    rgb = np.clip(rgb * np.clip(rng.uniform(0.36, 0.5) / rgb.mean(), 0.6, 2.2), 0, 1) ** rng.uniform(
        0.75, 1.0
    )
    picture = Image.fromarray((rgb * 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(float(rng.choice([0, 0.3, 0.5, 0.8])))
    )
    grain = rng.normal(0, rng.uniform(0, 3), (HEIGHT, WIDTH, 1))
    return Image.fromarray(np.clip(np.asarray(picture) + grain, 0, 255).astype(np.uint8))


def visibility(scene, camera, person, owner):
    """COCO keypoints (17, 3): pixel indices and 0, 1, 2 from rays towards the joints."""
    where = project(camera, person.keypoints)
    rays = person.keypoints - camera.position
    distance = np.linalg.norm(rays, axis=1)
    face, hit = cast(scene.mesh, camera.position, rays / distance[:, None])
    first = np.where(face >= 0, hit[:, 2], np.inf)
    own = (face >= 0) & (scene.face_owner[face] == owner)
    seen = (first > distance) | (own & (distance - first < person.depth))
    inside = ((where >= 0) & (where < camera.size)).all(1)
    return (np.concatenate([np.floor(where), 1.0 + seen[:, None]], 1) * inside[:, None]).astype(int)


def annotate(keypoints, mask):
    """COCO fields of one person from its keypoints and its visible silhouette."""
    y, x = np.nonzero(mask)
    box = [float(x.min()), float(y.min()), float(np.ptp(x) + 1), float(np.ptp(y) + 1)]
    return dict(
        bbox=box,
        area=int(mask.sum()),
        iscrowd=0,
        num_keypoints=int((keypoints[:, 2] > 0).sum()),
        keypoints=keypoints.ravel().tolist(),
        segmentation=[],
    )


def compose(rng, rig):
    """One scene and its camera: scene, camera, persons, indoors, palette."""
    palette = make_palette(rng)
    person = make_person(rng, rig, palette)
    elevation = rng.choice(
        [rng.uniform(-8, 14), rng.uniform(14, 45), rng.uniform(-20, -8)], p=[0.55, 0.33, 0.12]
    )
    camera = aim(rng, person, elevation, rng.random() < 0.2)
    floor, scene, low = (
        min(0.0, camera.position[2] - rng.uniform(0.1, 0.5)),
        Scene(rng),
        person.vertices.min(0),
    )
    if floor < 0:
        deep = np.ptp(person.vertices[:, 1]) + 1.6
        scene.box(
            (0, low[1] - 0.12 + deep / 2, floor / 2),
            (rng.uniform(2, 6), deep, -floor),
            surface(rng, palette, 'bricks', 'planks', 'tiles', 'plain'),
        )
    if person.seat is not None and person.seat > 0.12:
        back = person.facing * [1, 1, 0]
        yaw = math.degrees(math.atan2(-back[1], -back[0])) - 90
        if rng.random() < 0.5:
            chair(scene, palette, 0, 0, 0, yaw, person.seat)
        else:
            scene.box(
                -0.05 * back + [0, 0, person.seat / 2],
                (rng.uniform(0.4, 1.6), 0.42, person.seat),
                surface(rng, palette, 'planks', 'plain', 'checks', 'bricks'),
                yaw,
            )
    indoors = build_place(scene, palette, person, floor)
    persons, draw = [person], rng.random()
    if draw < 0.24:
        occluder(scene, palette, person, camera, floor if rng.random() < 0.7 or floor == 0 else 0)
    elif draw < 0.38:
        other = make_person(rng, rig, palette)
        half = (np.ptp(person.vertices[:, 0]) + np.ptp(other.vertices[:, 0])) / 2
        move = np.array(
            [
                rng.choice([-1, 1]) * half * rng.uniform(0.35, 0.8),
                rng.choice([rng.uniform(0.6, 1.5), rng.uniform(-0.6, -0.4)], p=[0.8, 0.2]),
                0,
            ]
        )
        other.vertices, other.keypoints = other.vertices + move, other.keypoints + move
        other.extras = [(q + move, m) for q, m in other.extras]
        persons.append(other)
    for owner, someone in enumerate(persons, 1):
        scene.body(rig, someone, owner)
    scene.freeze()
    return scene, camera, persons, indoors, palette


def make_picture(rig, seed, split, index):
    """The picture (WebP bytes) and the annotations of (seed, split, index)."""
    for attempt in range(20):
        rng = np.random.default_rng([seed, split, index, attempt])
        scene, camera, persons, indoors, palette = compose(rng, rig)
        keypoints = [visibility(scene, camera, p, i) for i, p in enumerate(persons, 1)]
        if (keypoints[0][:, 2] == 2).sum() >= 6 and (keypoints[0][:, 2] > 0).sum() >= 8:
            break
    rgb, owner = shade(rng, rig, scene, camera, indoors, palette)
    share = owner.reshape(HEIGHT, SAMPLES, WIDTH, SAMPLES)
    masks = [(share == i).sum((1, 3)) * 2 >= SAMPLES**2 for i in range(1, len(persons) + 1)]
    notes = [
        annotate(k, m)
        for i, (k, m) in enumerate(zip(keypoints, masks))
        if i == 0 or ((k[:, 2] > 0).sum() >= 3 and m.sum() > 200)
    ]
    data = io.BytesIO()
    develop(rng, rgb).save(data, 'WEBP', quality=QUALITY, method=4)
    return data.getvalue(), notes


def start_worker(chosen):
    """Load the body model, and how a picture of the set is made, once in every process."""
    global RIG, MAKE
    RIG, MAKE = load_rig(), importlib.import_module(SETS[chosen].module).make_picture


def work(task):
    """Render one picture in a worker."""
    return task, MAKE(RIG, *task)


# Of every set: the file that makes its pictures, their size, what they are.
SETS = dict(
    mannequins=SimpleNamespace(module='render', size=(WIDTH, HEIGHT), title='Mannequins'),
    studio=SimpleNamespace(module='studio', size=(160, 160), title='Studio'),
)


def coco_file(chosen, split, size, notes):
    """The COCO dictionary of one split."""
    width, height = SETS[chosen].size
    images = [dict(id=i, file_name=f'{i:06d}.webp', width=width, height=height) for i in range(1, size + 1)]
    annotations = [
        dict(id=n, image_id=i, category_id=1, **note)
        for n, (i, note) in enumerate(((i, note) for i in range(1, size + 1) for note in notes[i]), 1)
    ]
    category = dict(id=1, name='person', supercategory='person', keypoints=KEYPOINTS, skeleton=SKELETON)
    title = f'{SETS[chosen].title} ({split}): synthetic people rendered from the Anny body model'
    info = dict(description=title, version='1.0')
    return dict(info=info, licenses=[], images=images, annotations=annotations, categories=[category])


def read_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--set', choices=SETS, default='mannequins')
    parser.add_argument('--out', type=Path, help='default: hsjp/data/<set> of this repository')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--train', type=int, default=3000)
    parser.add_argument('--valid', type=int, default=400)
    parser.add_argument(
        '--without-people',
        type=int,
        default=0,
        metavar='N',
        help='studio: write the first N validation pictures also without person and shadow',
    )
    parser.add_argument('--workers', type=int, default=2)
    args = parser.parse_args()
    if args.without_people and args.set != 'studio':
        parser.error('--without-people needs --set studio: the other set has no backdrops')
    args.out = args.out or Path(__file__).resolve().parents[2] / 'hsjp' / 'data' / args.set
    return args


def main():
    """Render both splits of a set."""
    args = read_arguments()
    sizes, notes = dict(train=args.train, valid=args.valid), dict(train={}, valid={})
    for folder in [*sizes] + ['backdrops'] * (args.without_people > 0):
        (args.out / folder).mkdir(parents=True, exist_ok=True)
    tasks = [(args.seed, s, i) for s, n in enumerate(sizes.values()) for i in range(1, n + 1)]
    with multiprocessing.get_context('spawn').Pool(args.workers, start_worker, [args.set]) as pool:
        for (_, s, i), (data, found, *empty) in pool.imap_unordered(work, tasks, chunksize=4):
            split = list(sizes)[s]
            (args.out / split / f'{i:06d}.webp').write_bytes(data)
            if split == 'valid' and i <= args.without_people:
                (args.out / 'backdrops' / f'{i:06d}.webp').write_bytes(*empty)
            notes[split][i] = found
            if i % 100 == 0:
                print(split, i, flush=True)
    for split, size in sizes.items():
        path = args.out / f'person_keypoints_{split}.json'
        path.write_text(json.dumps(coco_file(args.set, split, size, notes[split]), separators=(',', ':')))


if __name__ == '__main__':
    importlib.import_module('render').main()  # one copy of this file, under its own name, in every process
