"""How likely an object that was found is one that is followed, from 0 to 1.

The tolerance grows with what the prediction does not know, so that an object is looked for further
away the longer it was not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from heatkp.errors import SettingsError
from heatkp.evaluation.objects.oks import Array
from heatkp.tracking.motion import Found, Motion, size_of

Kind = Literal["oks", "iou", "distance"]
KINDS: tuple[Kind, ...] = ("oks", "iou", "distance")


def similarities(
    tracks: Sequence[Motion], objects: Sequence[Found], sigmas: Array, by: Kind = "oks"
) -> Array:
    """Similarities (T, D) of predicted and found objects.

    - `oks`: of their points, those that both have: heading and sides tell two objects in one
      place apart;
    - `iou`: overlap of their boxes (else of their points' extents), over what it is at the same
      place;
    - `distance`: of their centres alone.

    Args:
        sigmas: (K,), how far a point moves around the object's centre in a frame, as a fraction
            of the object's size.

    Raises:
        SettingsError: for another kind.
    """
    if by not in KINDS:
        raise SettingsError(f"tracks are matched by one of {', '.join(KINDS)}, not {by!r}")
    values = np.zeros((len(tracks), len(objects)))
    for i, motion in enumerate(tracks):
        for j, found in enumerate(objects):
            values[i, j] = _METHODS[by](motion, found, sigmas)
    return values


def _oks(motion: Motion, found: Found, sigmas: Array) -> float:
    off = ((found.points - motion.points) ** 2).sum(1)
    common = np.isfinite(off)
    if not common.any():
        return _distance(motion, found, sigmas)
    tolerance = (2 * sigmas[common] * motion.size) ** 2
    if found.covariance is not None:
        own = np.trace(found.covariance[common], axis1=1, axis2=2) / 2
        # A point that may be anywhere must not fit everywhere.
        tolerance = tolerance + np.clip(np.nan_to_num(own), 0, tolerance)
    return float(np.exp(-off[common] / (2 * (tolerance + motion.spread))).mean())


def _distance(motion: Motion, found: Found, sigmas: Array) -> float:
    finite = np.isfinite(found.points).all(1) & np.isfinite(motion.shape).all(1)
    if finite.any():
        off = (found.points - motion.points)[finite].mean(0)
    elif found.box is not None:
        off = (found.box[:2] + found.box[2:]) / 2 - motion.state[:2]
    else:
        return 0.0
    tolerance = (2 * float(sigmas.mean()) * motion.size) ** 2 + motion.spread
    return float(np.exp(-(off**2).sum() / (2 * tolerance)))


def _iou(motion: Motion, found: Found, sigmas: Array) -> float:
    ours, theirs = _box(motion.points), found.box
    if theirs is None or np.isfinite(found.points).all(1).sum() > 1:
        theirs = _box(found.points)
    if ours is None or theirs is None:
        return _distance(motion, found, sigmas)
    # What the prediction does not know makes both larger.
    margin = np.array([-1, -1, 1, 1]) * (np.sqrt(motion.spread) + 0.5)
    a, b = ours + margin, theirs + margin
    inner = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0).prod()
    return float(inner / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inner))


def _box(points: Array) -> Array | None:
    finite = points[np.isfinite(points).all(1)]
    return np.concatenate([finite.min(0), finite.max(0)]) if len(finite) > 1 else None


_METHODS = {"oks": _oks, "iou": _iou, "distance": _distance}


def alike(first: Found, second: Found, sigmas: Array, by: Kind = "oks") -> float:
    """The similarity of two objects of one frame, which may be one that was found twice."""
    motion = Motion(first)
    motion.covariance = np.zeros((4, 4))
    motion.size = max(motion.size, size_of(second))
    return _METHODS[by](motion, second, sigmas)
