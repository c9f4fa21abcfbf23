"""Object keypoint similarity: how close two objects' points are, from 0 to 1, in the object's size.

OKS = mean over labelled points of exp(-d_i^2 / (2 A (2 s_i)^2)), with the distance d_i, the
object's area A and the point's sigma s_i, as https://cocodataset.org/#keypoints-eval has it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heatkp.errors import SettingsError
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

COCO_SIGMAS = {
    "nose": 0.026, "left_eye": 0.025, "right_eye": 0.025, "left_ear": 0.035, "right_ear": 0.035,
    "left_shoulder": 0.079, "right_shoulder": 0.079, "left_elbow": 0.072, "right_elbow": 0.072,
    "left_wrist": 0.062, "right_wrist": 0.062, "left_hip": 0.107, "right_hip": 0.107,
    "left_knee": 0.087, "right_knee": 0.087, "left_ankle": 0.089, "right_ankle": 0.089,
}  # fmt: skip
"""COCO's sigmas by the names of its 17 points."""
DEFAULT_SIGMA = 0.05
"""Of points of which nothing is known."""


def oks(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    visible: npt.ArrayLike,
    area: npt.ArrayLike,
    sigmas: npt.ArrayLike,
) -> Array:
    """Object keypoint similarity (...), of shapes that broadcast.

    Args:
        predicted: (..., K, 2) in pixels; a point that is not finite counts as infinitely far.
        true: (..., K, 2) in pixels.
        visible: (..., K), which points are labelled; others count nowhere.
        area: (...) of the true objects, in squared pixels.
        sigmas: (K,), standard deviations of labels as fractions of the square root of the area.

    Returns:
        Values in [0, 1]; 0 for an object without a labelled point.

    >>> float(oks([[3.0, 4.0]], [[0.0, 0.0]], [True], 250.0, [0.1]).round(4))
    0.2865
    """
    labelled = np.asarray(visible, bool)
    difference = np.asarray(predicted, np.float64) - np.where(
        labelled[..., None], np.asarray(true, np.float64), 0.0
    )
    size = np.asarray(area, np.float64)[..., None] + np.spacing(1)
    exponent = (difference**2).sum(-1) / (np.asarray(sigmas, np.float64) * 2) ** 2 / size / 2
    near = np.where(labelled & np.isfinite(exponent), np.exp(-np.nan_to_num(exponent)), 0.0)
    count = np.broadcast_to(labelled, near.shape).sum(-1)
    return np.asarray(near.sum(-1) / np.maximum(count, 1), np.float64)


def sigmas_for(skeleton: Skeleton, given: float | Sequence[float] | str | None = None) -> Array:
    """The sigmas (K,) of a skeleton's points.

    Args:
        given: one for all points, one for each, or `coco`. None: COCO's where each point has a
            name of COCO's 17, else 0.05.

    Raises:
        SettingsError: for another number of them, a sigma that is not above 0, and `coco` for
            points that are not COCO's.
    """
    names = skeleton.point_names
    theirs = all(name in COCO_SIGMAS for name in names)
    if given == "coco" and not theirs:
        other = next(name for name in names if name not in COCO_SIGMAS)
        raise SettingsError(
            f"COCO has no sigma for point {other!r}: give one sigma for all points, such as "
            f"{DEFAULT_SIGMA}, or {len(names)} of them"
        )
    if given is None or isinstance(given, str):
        return np.array([COCO_SIGMAS[n] if theirs else DEFAULT_SIGMA for n in names])
    sigmas = np.array(given, np.float64)
    if sigmas.ndim == 0:
        sigmas = np.full(len(names), float(sigmas))
    if sigmas.shape != (len(names),):
        raise SettingsError(f"{sigmas.size} sigmas for {len(names)} points: give 1 or {len(names)}")
    if not (np.isfinite(sigmas) & (sigmas > 0)).all():
        raise SettingsError("sigmas are above 0, as fractions of the object's size: 0.05, say")
    return sigmas


def sigmas_of_repeats(
    first: npt.ArrayLike, second: npt.ArrayLike, areas: npt.ArrayLike, fewest: int = 20
) -> Array:
    """Sigmas (K,) of a data set of which some objects were labelled twice.

    As COCO's were found: the standard deviation of a label, as a fraction of the square root of
    the object's area. Two labellings differ by twice the variance of one, in x and in y.

    Args:
        first, second: (N, K, 2) of the same objects, in pixels; NaN where not labelled.
        areas: (N,) in squared pixels.
        fewest: points with fewer pairs get the median of the others.

    Raises:
        SettingsError: where no point was labelled twice `fewest` times.
    """
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    relative = (difference**2).sum(-1) / np.asarray(areas, np.float64)[:, None]
    known = np.isfinite(relative)
    enough = known.sum(0) >= fewest
    if not enough.any():
        raise SettingsError(
            f"no point was labelled twice on {fewest} objects or more: give sigmas, such as "
            f"{DEFAULT_SIGMA}"
        )
    sums = np.where(known, relative, 0.0).sum(0)
    sigmas = np.sqrt(sums / np.maximum(known.sum(0), 1) / 4)
    return np.where(enough, sigmas, np.median(sigmas[enough]))
