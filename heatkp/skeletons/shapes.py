"""What known layouts look like: the mean shape of their points, and whether others have it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

_FACE68 = (
    (-1.269, -0.760), (-1.269, -0.400), (-1.234, -0.040), (-1.169, 0.312), (-1.052, 0.643),
    (-0.858, 0.943), (-0.617, 1.186), (-0.340, 1.379), (-0.025, 1.468), (0.306, 1.385),
    (0.615, 1.198), (0.890, 0.959), (1.114, 0.663), (1.252, 0.335), (1.327, -0.014),
    (1.374, -0.373), (1.383, -0.732), (-1.007, -0.991), (-0.867, -1.135), (-0.652, -1.174),
    (-0.420, -1.124), (-0.198, -1.043), (0.196, -1.038), (0.422, -1.114), (0.668, -1.158),
    (0.900, -1.114), (1.062, -0.967), (-0.005, -0.739), (-0.012, -0.501), (-0.019, -0.264),
    (-0.033, -0.021), (-0.270, 0.106), (-0.146, 0.151), (-0.021, 0.186), (0.105, 0.154),
    (0.229, 0.112), (-0.769, -0.728), (-0.640, -0.798), (-0.451, -0.792), (-0.309, -0.673),
    (-0.465, -0.640), (-0.641, -0.645), (0.316, -0.665), (0.462, -0.779), (0.660, -0.780),
    (0.798, -0.709), (0.659, -0.629), (0.474, -0.629), (-0.491, 0.535), (-0.314, 0.458),
    (-0.134, 0.420), (-0.023, 0.450), (0.090, 0.422), (0.275, 0.464), (0.462, 0.546),
    (0.288, 0.726), (0.108, 0.821), (-0.027, 0.831), (-0.162, 0.818), (-0.333, 0.720),
    (-0.443, 0.544), (-0.165, 0.572), (-0.027, 0.586), (0.113, 0.575), (0.409, 0.553),
    (0.116, 0.644), (-0.027, 0.659), (-0.166, 0.641),
)  # fmt: skip

MEAN_SHAPES: dict[str, npt.NDArray[np.float64]] = {"face68": np.array(_FACE68)}
"""Name of a skeleton -> points (K, 2) of its mean, upright, with y down, mean 0 and root mean
square distance 1 from it. `face68`: the mean of 300 drawn faces, laid over each other."""

MOST_LEFT = 0.3
"""Fraction of the variance that the mean shape may leave in the middle sample."""
FEWEST = 0.5
"""Fraction of the points that must be labelled in a sample that is compared."""


class Fit(NamedTuple):
    """How well samples look like a mean shape.

    Attributes:
        left: fraction of the variance that is not explained, of the middle sample.
        angle: degrees by which that sample is turned, clockwise in the image, against the mean.
    """

    left: float
    angle: float

    @property
    def good(self) -> bool:
        return self.left <= MOST_LEFT


def fit(points: npt.ArrayLike, shape: npt.ArrayLike, mirrored: bool = False) -> Fit | None:
    """How well samples (N, K, 2), NaN where not labelled, look like a shape (K, 2).

    `mirrored`: y is taken to count upwards in the samples. None where no sample has enough points.
    """
    given, mean = np.asarray(points, np.float64), np.asarray(shape, np.float64)
    a, b = given[..., 0] + 1j * given[..., 1], mean[:, 0] + 1j * mean[:, 1]
    known = np.isfinite(a)
    enough = known.sum(1) >= max(3, FEWEST * len(mean))
    a, known = a[enough], known[enough]
    if not len(a):
        return None
    a, b = np.where(known, a, 0), np.where(known, b, 0)
    count = known.sum(1, keepdims=True)
    a = np.where(known, a - a.sum(1, keepdims=True) / count, 0)
    b = np.where(known, b - b.sum(1, keepdims=True) / count, 0)
    a = a.conj() if mirrored else a
    size = np.sqrt((abs(a) ** 2).sum(1) * (abs(b) ** 2).sum(1))
    turn = (a * b.conj()).sum(1) / np.maximum(size, 1e-12)
    middle = float(np.median(abs(turn)))
    return Fit(1 - middle**2, float(np.degrees(np.angle(turn.sum()))))
