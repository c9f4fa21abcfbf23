"""Objects that move, as a detector would find them: with noise, dropouts and false alarms."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.objects import TrackedFrame, measure_identities, oks
from heatkp.inference.keypoints import Keypoints
from heatkp.skeletons import Skeleton

SIZE = (384, 384)


def walkers(count=2, frames=300, points=6, seed=0):
    """Positions (count, frames, points, 2) of objects that walk round, looking ahead."""
    rng = np.random.default_rng(seed)
    body = np.array([[20, 0], [8, 6], [8, -6], [-5, 9], [-5, -9], [-22, 0]], float)[:points]
    made, t = np.empty((count, frames, points, 2)), np.arange(frames)
    for i in range(count):
        phase = rng.uniform(0, 2 * np.pi) + rng.choice([-1, 1]) * t * rng.uniform(0.012, 0.025)
        wide, high, wobble = rng.uniform(60, 130), rng.uniform(60, 130), rng.uniform(0, 2 * np.pi)
        swing = np.stack([wide * np.cos(phase), high * np.sin(phase)], 1)
        place = 192 + swing + 8 * np.stack([np.sin(t / 19 + wobble), np.cos(t / 23)], 1)
        heading = np.gradient(place, axis=0)
        angle = np.unwrap(np.arctan2(heading[:, 1], heading[:, 0]))
        turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], 1)
        made[i] = place[:, None] + body @ turn.reshape(-1, 2, 2).transpose(0, 2, 1)
    return made


def detected(true, noise=1.5, drop=0.1, false=0.2, unsure=0.1, merged=0.0, seed=0):
    """Keypoints of each frame in any order, and which object each is (None: a false alarm).

    `unsure` is the share of low scores; objects nearer to each other than `merged` pixels give
    one detection.
    """
    rng = np.random.default_rng(seed)
    count, frames, points = true.shape[:3]
    skeleton = Skeleton("walker", tuple(f"p{k}" for k in range(points)))
    out, owners = [], []
    for t in range(frames):
        found = []
        for i in range(count):
            middle = np.nanmean(true[:, t], 1)
            hidden = any(np.hypot(*(middle[i] - middle[j])) < merged for j in range(i))
            if hidden or rng.random() < drop:
                continue
            score = rng.uniform(0.15, 0.4) if rng.random() < unsure else rng.uniform(0.6, 1)
            found.append((true[i, t] + rng.normal(0, noise, (points, 2)), score, i))
        while rng.random() < false:
            place = rng.uniform(0, SIZE[0], 2) + rng.normal(0, 25, (points, 2))
            found.append((place, rng.uniform(0.1, 0.9), None))
        order = rng.permutation(len(found))
        out.append([
            Keypoints(found[i][0], np.full(points, found[i][1]), None, skeleton, SIZE)
            for i in order
        ])  # fmt: skip
        owners.append([found[i][2] for i in order])
    return out, owners


def measured(true, frames, ids):
    """`measure_identities` of tracks beside positions (count, frames, points, 2)."""
    count, points = true.shape[0], true.shape[2]
    told = []
    for t, (objects, own) in enumerate(zip(frames, ids)):
        kept = [j for j, number in enumerate(own) if number is not None]
        found = np.array([objects[j].points for j in kept]).reshape(1, -1, points, 2)
        seen = np.isfinite(true[:, t]).all(-1)
        area = np.nanmax(true[:, t], 1) - np.nanmin(true[:, t], 1)
        similarity = oks(
            found, true[:, t][:, None], seen[:, None], area.prod(1)[:, None], np.full(points, 0.1)
        )
        told.append(TrackedFrame([*range(count)], [own[j] for j in kept], similarity))
    return measure_identities(told)


def together(true, at, half, through=True):
    """The second object led into the first one at a frame, and through it, or back again."""
    made = true.copy()
    t = np.arange(true.shape[1])
    share = np.clip((t - (at - half)) / half, 0, 2)
    share = share if through else np.minimum(share, 2 - share)
    always = np.isfinite(true).all((0, 1, 3))
    middle = true[:, :, always].mean(2)
    made[1] += ((middle[0] - middle[1]) * share[:, None])[:, None]
    return made
