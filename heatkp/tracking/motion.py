"""Where an object will be: a Kalman filter of its centre, and its shape around that.

The centre moves at a constant velocity that random accelerations change. The shape is where the
points were around the centre when they were last seen.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

ACCELERATION = 0.05
"""Standard deviation of the velocity's change in a frame, in sizes of the object."""
CENTRE_NOISE = 0.02
"""Standard deviation of a measured centre, in sizes of the object."""
FIRST_VELOCITY = 0.1
"""Standard deviation of the velocity at first, in sizes of the object a frame."""
SLOWING = 0.85
"""What is left of the velocity after a frame in which the object was not seen."""
REACH = 1.0
"""An object that is not seen is looked for within about so many of its sizes."""
SMALLEST = 0.05
"""Size, as a fraction of the image's longer side, of an object of one point and no box."""


class Found(Protocol):
    """What is known of an object that was found: `heatkp.inference.keypoints.Keypoints` is such."""

    @property
    def points(self) -> Array: ...
    @property
    def covariance(self) -> Array | None: ...
    @property
    def box(self) -> Array | None: ...
    @property
    def box_score(self) -> float | None: ...
    @property
    def score(self) -> float | None: ...
    @property
    def image_size(self) -> tuple[int, int]: ...


def size_of(found: Found) -> float:
    """An object's size in pixels: the square root of the area of its points' extent, of a narrow
    one as if it were a third as wide as long; without two points of its box."""
    finite = found.points[np.isfinite(found.points).all(1)]
    sides = np.ptp(finite, axis=0) if len(finite) > 1 else np.zeros(2)
    if not sides.any() and found.box is not None:
        sides = found.box[2:] - found.box[:2]
    size = float(np.sqrt(max(sides[0] * sides[1], 0.1 * (sides**2).sum())))
    return size if size > 0 else SMALLEST * max(found.image_size)


class Motion:
    """An object's centre, velocity and shape.

    Attributes:
        state: (4,) x, y in pixels, and their changes in a frame.
        covariance: (4, 4) of the state.
        shape: (K, 2), points less the centre; NaN for those that were never seen.
        size: in pixels.
    """

    def __init__(self, found: Found) -> None:
        self.size = size_of(found)
        centre = _middle(found)
        self.state = np.concatenate([centre, np.zeros(2)])
        first, moves = (CENTRE_NOISE * self.size) ** 2, (FIRST_VELOCITY * self.size) ** 2
        self.covariance = np.diag([first, first, moves, moves])
        self.shape = found.points - centre

    @property
    def points(self) -> Array:
        """(K, 2), where the points are thought to be."""
        return self.state[:2] + self.shape

    @property
    def spread(self) -> float:
        """Variance of the centre in x or in y, squared pixels; no more than `REACH` allows."""
        own = float(self.covariance[0, 0] + self.covariance[1, 1]) / 2
        return min(own, (REACH * self.size) ** 2)

    def predict(self, seen: bool) -> None:
        """To the next frame; `seen`: whether the object was found in this one."""
        left = 1.0 if seen else SLOWING
        step = np.eye(4)
        step[0, 2] = step[1, 3] = 1.0
        step[2, 2] = step[3, 3] = left
        noise = np.kron([[1 / 3, 1 / 2], [1 / 2, 1.0]], np.eye(2))
        self.state = step @ self.state
        self.covariance = step @ self.covariance @ step.T + noise * (ACCELERATION * self.size) ** 2

    def correct(self, found: Found) -> None:
        """With an object that was found to be this one."""
        apart = found.points - self.shape
        common = np.isfinite(apart).all(1)
        measured = apart[common].mean(0) if common.any() else _middle(found)
        noise = (CENTRE_NOISE * self.size) ** 2
        gain = self.covariance[:, :2] @ np.linalg.inv(self.covariance[:2, :2] + noise * np.eye(2))
        self.state = self.state + gain @ (measured - self.state[:2])
        self.covariance = self.covariance - gain @ self.covariance[:2]
        seen = np.isfinite(found.points).all(1, keepdims=True)
        self.shape = np.where(seen, found.points - self.state[:2], self.shape)
        self.size += 0.1 * (size_of(found) - self.size)


def _middle(found: Found) -> Array:
    """The mean of an object's points; without any, the middle of its box, or of the image."""
    finite = found.points[np.isfinite(found.points).all(1)]
    if len(finite):
        return np.asarray(finite.mean(0), np.float64)
    if found.box is not None:
        return np.asarray((found.box[:2] + found.box[2:]) / 2, np.float64)
    return np.asarray(found.image_size, np.float64) / 2 - 0.5
