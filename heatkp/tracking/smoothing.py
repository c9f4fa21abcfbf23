"""Paths of points smoothed: a Kalman filter forwards, and Rauch, Tung and Striebel's way back.

A point moves at a constant velocity that random accelerations change. How strong these are, and by
which factor measured covariances are too small or too large, is what makes the innovations
likeliest, for each point of a track.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.errors import DataError, SettingsError
from heatkp.tracking.motion import Array

Mask = npt.NDArray[np.bool_]
RATIOS = np.logspace(-5, 2, 15)
"""Strengths of accelerations that are tried, over a measurement's variance."""
FLOOR = 0.05
"""Standard deviation in pixels below which no measurement is believed to be exact."""
_DIFFUSE = 1e4
"""Variance of a position and of a velocity before the first measurement, over a measurement's."""
_WINDOW, _FAR = 2, 8.0
"""Frames on each side of which a median is taken, and how many spreads off it an outlier lies."""
_FEWEST = 12
"""Measurements from which a point's own strength and factor can be told."""
_LEAST_SCORE = 0.3
"""Of the point's median score, below which a measurement does not count."""
_ENDS = 3
"""Measurements after which a filter knows where a point is going."""
_SUDDEN = 10.6
"""Surprise (that of one in 200) from which the prediction is taken to be less sure than it was."""
_STEP = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [0, 0, 1, 0], [0, 0, 0, 1.0]])
_NOISE = np.kron(np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]]), np.eye(2))


@dataclass(frozen=True)
class SmoothOptions:
    """How paths are smoothed.

    Attributes:
        bridge: the longest gap, in frames, that is filled.
        least_score: measurements of a lower score do not count. None: three tenths of the point's
            median.
        doubt: probability below which a measurement is an outlier, given those before it.
        calibrate: find the factor by which measured covariances are too small or too large.
    """

    bridge: int = 15
    least_score: float | None = None
    doubt: float = 1e-4
    calibrate: bool = True

    def __post_init__(self) -> None:
        if self.bridge < 0 or not 0 < self.doubt < 1:
            raise SettingsError("smoothing: bridge is 0 frames or more, doubt between 0 and 1")


class Smoothed(NamedTuple):
    """A track's points over T frames.

    Attributes:
        points: (T, K, 2) in pixels; NaN before the first measurement of a point, after its last
            one, and in gaps that are too long.
        covariance: (T, K, 2, 2) in squared pixels, which grows in gaps.
        used: (T, K), which measurements counted.
        factor: (K,), by which the measured covariances were multiplied.
        acceleration: (K,), variance of the velocity's change in a frame, squared pixels.
    """

    points: Array
    covariance: Array
    used: Mask
    factor: Array
    acceleration: Array


def smooth(
    points: npt.ArrayLike,
    covariance: npt.ArrayLike | None = None,
    scores: npt.ArrayLike | None = None,
    options: SmoothOptions | None = None,
) -> Smoothed:
    """Smooth the points of one track.

    Args:
        points: (T, K, 2) in pixels, frame after frame; NaN where not found.
        covariance: (T, K, 2, 2) of the measurements, in squared pixels. None: equal for all
            frames, as large as the path tells.
        scores: (T, K); NaN where there is none.

    Raises:
        DataError: for shapes that do not fit.
    """
    chosen = options or SmoothOptions()
    measured = np.asarray(points, np.float64)
    if measured.ndim != 3 or measured.shape[2] != 2:
        raise DataError(f"points are (T, K, 2), not {measured.shape}")
    count, width = measured.shape[:2]
    noise = _noise(covariance, measured)
    given = np.asarray(np.isfinite(measured).all(2) & ~_low(scores, measured, chosen))
    if not given.any():
        return Smoothed(
            np.full_like(measured, np.nan), np.full((count, width, 2, 2), np.nan), given,
            np.ones(width), np.zeros(width),
        )  # fmt: skip
    plausible = given & ~_far_off(np.where(given[..., None], measured, np.nan))
    calibrate = chosen.calibrate or covariance is None
    factor, strength = _estimate(measured, noise, plausible, calibrate)
    noise = noise * factor[None, :, None, None]
    used = _without_outliers(measured, noise, given, strength, -2 * np.log(chosen.doubt))
    way = _filter(measured, noise, used, strength, sudden=_SUDDEN)
    state, spread = _back(way)
    known = _bridged(way.used, chosen.bridge)
    return Smoothed(
        np.where(known[..., None], state[..., :2], np.nan),
        np.where(known[..., None, None], spread[..., :2, :2], np.nan),
        way.used,
        factor,
        strength,
    )


def _noise(covariance: npt.ArrayLike | None, points: Array) -> Array:
    """Covariances (T, K, 2, 2) of the measurements, all of which are some."""
    shape = (*points.shape, 2)
    floor = FLOOR**2 * np.eye(2)
    if covariance is None:
        return np.broadcast_to(np.eye(2), shape)
    given = np.array(covariance, np.float64)
    if given.shape != shape:
        raise DataError(f"covariances of {points.shape} points are {shape}, not {given.shape}")
    good = np.isfinite(given).all((2, 3)) & (np.linalg.det(np.nan_to_num(given) + floor) > 0)
    for k in range(points.shape[1]):
        own = good[:, k]
        given[~own, k] = np.median(given[own, k], axis=0) if own.any() else np.eye(2)
    return (given + np.swapaxes(given, 2, 3)) / 2 + floor


def _low(scores: npt.ArrayLike | None, points: Array, options: SmoothOptions) -> Mask:
    """(T, K), whose score is too low."""
    if scores is None:
        return np.zeros(points.shape[:2], bool)
    given = np.asarray(scores, np.float64)
    if given.shape != points.shape[:2]:
        raise DataError(f"scores of {points.shape} points are {points.shape[:2]}")
    if options.least_score is not None:
        return np.asarray(given < options.least_score)
    middle = np.array([np.median(s[np.isfinite(s)]) if np.isfinite(s).any() else 0
                       for s in given.T])  # fmt: skip
    return np.asarray(given < _LEAST_SCORE * middle)


def _far_off(points: Array) -> Mask:
    """(T, K), which lie far from the median of the frames around them, for a first look."""
    count = len(points)
    padded = np.pad(points, ((_WINDOW, _WINDOW), (0, 0), (0, 0)), constant_values=np.nan)
    around = np.stack([padded[i : i + count] for i in range(2 * _WINDOW + 1)])
    off = np.zeros(points.shape[:2])
    for k in range(points.shape[1]):
        own = np.isfinite(points[:, k, 0])
        if own.any():
            middle = np.nanmedian(around[:, own, k], axis=0)
            off[own, k] = np.linalg.norm(points[own, k] - middle, axis=1)
            steps = np.linalg.norm(np.diff(points[own, k], axis=0), axis=1)
            usual = float(np.median(steps)) / 2 if len(steps) else 0.0
            off[own, k] /= max(float(np.median(off[own, k])), usual, FLOOR)
    return np.asarray(off > _FAR)


class _Way(NamedTuple):
    """The filter's states before and after each measurement, (T, ..., 4) and (T, ..., 4, 4)."""

    before: Array
    spread_before: Array
    after: Array
    spread_after: Array
    used: Mask
    surprise: Array
    """Squared innovation over its covariance, NaN where none counted."""
    volume: Array
    """Logarithm of that covariance's determinant."""


def _filter(
    points: Array,
    noise: Array,
    allowed: Mask,
    strength: Array,
    gate: float = np.inf,
    sudden: float = np.inf,
) -> _Way:
    """Kalman's filter, for accelerations (..., K) at once; `gate` is the largest surprise.

    From a surprise of `sudden` on the prediction's covariance is widened: animals stand still, and
    then move faster than their usual accelerations allow.
    """
    count, width = allowed.shape
    batch = strength.shape
    first = np.where(allowed.any(0), allowed.argmax(0), 0)
    start = points[first, np.arange(width)]
    scale = np.trace(noise, axis1=2, axis2=3).mean(0) / 2  # (K,)
    state = np.zeros((*batch, 4))
    state[..., :2] = np.nan_to_num(start)
    spread = np.broadcast_to(np.eye(4), (*batch, 4, 4)) * (_DIFFUSE * scale)[:, None, None]
    drift = strength[..., None, None] * _NOISE
    waiting = np.zeros(batch)
    shape = (count, *batch)
    way = _Way(
        np.empty((*shape, 4)), np.empty((*shape, 4, 4)), np.empty((*shape, 4)),
        np.empty((*shape, 4, 4)), np.zeros(shape, bool), np.full(shape, np.nan),
        np.full(shape, np.nan),
    )  # fmt: skip
    for t in range(count):
        if t:
            state = state @ _STEP.T
            spread = _STEP @ spread @ _STEP.T + drift
        innovation = np.nan_to_num(points[t]) - state[..., :2]
        inverse, determinant, surprise = _surprise(spread[..., :2, :2] + noise[t], innovation)
        if np.isfinite(sudden):
            wider = np.where(allowed[t], np.clip(surprise / sudden, 1, _DIFFUSE), 1)
            spread = spread * wider[..., None, None]
            inverse, determinant, surprise = _surprise(spread[..., :2, :2] + noise[t], innovation)
        way.before[t], way.spread_before[t] = state, spread
        # What contradicts the prediction time and again is right, and the prediction wrong.
        good = allowed[t] & (surprise <= gate * (1 + waiting) ** 2)
        waiting = np.where(allowed[t], np.where(good, 0, waiting + 1), waiting)
        gain = spread[..., :, :2] @ inverse
        state = np.where(
            good[..., None], state + np.einsum("...ij,...j->...i", gain, innovation), state
        )
        spread = np.where(good[..., None, None], spread - gain @ spread[..., :2, :], spread)
        spread = (spread + np.swapaxes(spread, -1, -2)) / 2
        way.after[t], way.spread_after[t], way.used[t] = state, spread, good
        way.surprise[t] = np.where(good, surprise, np.nan)
        way.volume[t] = np.where(good, np.log(determinant), np.nan)
    return way


def _without_outliers(
    points: Array, noise: Array, given: Mask, strength: Array, gate: float
) -> Mask:
    """(T, K), the measurements that a filter does not doubt.

    Such are those that fit neither what came before nor what follows: what only differs from what
    came before is a jump. Near the ends one filter alone knows something.
    """
    after = _filter(points, noise, given, strength, gate).used
    before = _filter(points[::-1], noise[::-1], given[::-1], strength, gate).used[::-1]
    early = np.cumsum(given, 0) <= _ENDS
    late = np.cumsum(given[::-1], 0)[::-1] <= _ENDS
    return np.asarray(np.where(early, before, np.where(late, after, after | before)) & given)


def _surprise(total: Array, innovation: Array) -> tuple[Array, Array, Array]:
    """Inverse and determinant of covariances (..., 2, 2), and the squared innovation over them."""
    determinant = total[..., 0, 0] * total[..., 1, 1] - total[..., 0, 1] ** 2
    inverse = np.empty_like(total)
    inverse[..., 0, 0], inverse[..., 1, 1] = total[..., 1, 1], total[..., 0, 0]
    inverse[..., 0, 1] = inverse[..., 1, 0] = -total[..., 0, 1]
    inverse /= determinant[..., None, None]
    surprise = np.einsum("...i,...ij,...j->...", innovation, inverse, innovation)
    return inverse, determinant, surprise


def _estimate(points: Array, noise: Array, used: Mask, calibrate: bool) -> tuple[Array, Array]:
    """The factor (K,) of the covariances and the strength (K,) of accelerations that make the
    measurements likeliest.

    With one factor on both, the likeliest is the mean surprise over its two dimensions.
    """
    width = points.shape[1]
    scale = np.array([
        float(np.trace(noise[used[:, k], k], axis1=1, axis2=2).mean() / 2) if used[:, k].any()
        else 1.0 for k in range(width)
    ])  # fmt: skip
    way = _filter(points, noise, used, RATIOS[:, None] * scale)
    # The first two measurements tell where a point is and how it moves, not how it varies.
    rank = np.where(used, np.cumsum(used, 0), 0)
    surprise = np.where(rank[:, None] > 2, way.surprise, np.nan)  # (T, G, K)
    volume = np.where(rank[:, None] > 2, way.volume, np.nan)
    count = np.isfinite(surprise).sum(0)[0]
    sums = np.nansum(surprise, 0)
    factor = sums / np.maximum(2 * count, 1) if calibrate else np.ones_like(sums)
    factor = np.maximum(factor, 1e-6)
    cost = np.nansum(volume, 0) + 2 * count * np.log(factor) + sums / factor
    enough = count >= _FEWEST
    if enough.any():
        # Too few measurements: as the others are, together.
        cost[:, ~enough] = cost[:, enough].sum(1)[:, None]
        factor[:, ~enough] = np.median(factor[:, enough], axis=1)[:, None]
        best = cost.argmin(0)
    else:
        best = np.full(width, len(RATIOS) // 2)
        factor = np.ones_like(factor)
    own = factor[best, np.arange(width)]
    return own, RATIOS[best] * scale * own


def _back(way: _Way) -> tuple[Array, Array]:
    """Rauch, Tung and Striebel's smoother: states (T, K, 4) and covariances (T, K, 4, 4)."""
    state, spread = way.after.copy(), way.spread_after.copy()
    for t in range(len(state) - 2, -1, -1):
        gain = (
            way.spread_after[t] @ _STEP.T @ np.linalg.pinv(way.spread_before[t + 1], hermitian=True)
        )
        change = state[t + 1] - way.before[t + 1]
        state[t] += np.einsum("...ij,...j->...i", gain, change)
        wider = spread[t + 1] - way.spread_before[t + 1]
        spread[t] += gain @ wider @ np.swapaxes(gain, -1, -2)
    return state, spread


def _bridged(used: Mask, longest: int) -> Mask:
    """(T, K), the measurements that count, and gaps between them that are not too long."""
    known = used.copy()
    for k in range(used.shape[1]):
        places = np.flatnonzero(used[:, k])
        for before, after in pairwise(places.tolist()):
            if after - before - 1 <= longest:
                known[before:after, k] = True
    return known
