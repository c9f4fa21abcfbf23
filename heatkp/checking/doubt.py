"""Which of many images to label next: those that a network is in doubt about, and unlike each
other. Numbers only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

Array = npt.NDArray[np.float64]
PAIRS = 2000
"""Pairs of images whose middle distance is the unit of a feature."""


class Choice(NamedTuple):
    """An image that was chosen.

    Attributes:
        place: its number among the images.
        apart: how far it is from the nearest one that was chosen before, 1 being the middle
            distance of images; NaN for the first.
    """

    place: int
    apart: float


def together(reasons: Mapping[str, npt.ArrayLike]) -> Array:
    """Doubt (N,) from 0 to 1: the mean of the ranks that an image has by each reason.

    Ranks and not figures, since reasons have units of their own. A figure that is NaN counts as
    the middle; a reason that no image has, or all alike, counts nothing.

    >>> together({"spread": [1.0, 4.0, 2.0]}).tolist()
    [0.0, 1.0, 0.5]
    """
    ranks = []
    count = 0
    for figures in reasons.values():
        values = np.asarray(figures, np.float64)
        count = len(values)
        known = np.isfinite(values)
        if known.sum() < 2 or np.ptp(values[known]) == 0:
            continue
        rank = np.full(count, 0.5)
        rank[known] = (rankdata(values[known]) - 1) / (known.sum() - 1)
        ranks.append(rank)
    return np.mean(ranks, 0) if ranks else np.full(count, 0.5)


def jumps(points: Array, sizes: Array, frames: npt.ArrayLike) -> Array:
    """How far objects of a video are from the middle between their places in the frames before
    and after, (T,): the mean of the points' distances over the object's size.

    Args:
        points: (T, K, 2) in the order of time, NaN where there is none.
        sizes: (T,).
        frames: (T,), numbers of the frames: where neighbours are further apart than usual, as
            after a cut, there is no figure. NaN at both ends.
    """
    found = np.full(len(points), np.nan)
    if len(points) < 3:
        return found
    step = np.diff(np.asarray(frames, np.float64))
    near = step <= np.median(step)
    middle = (points[:-2] + points[2:]) / 2
    apart = np.linalg.norm(points[1:-1] - middle, axis=-1)
    counts = np.isfinite(apart).sum(1)
    mean = np.nansum(apart, 1) / np.maximum(counts, 1)
    usable = (counts > 0) & near[:-1] & near[1:]
    found[1:-1] = np.where(usable, mean / sizes[1:-1], np.nan)
    return found


def features(blocks: Sequence[Array], seed: int = 0) -> Array:
    """Blocks (N, D) side by side, each in units of the middle distance between images, so that
    all count the same. NaN counts as the block's mean."""
    done = []
    rng = np.random.default_rng(seed)
    for block in blocks:
        values = np.asarray(block, np.float64).reshape(len(block), -1)
        known = np.isfinite(values)
        mean = np.where(known, values, 0).sum(0) / np.maximum(known.sum(0), 1)
        values = np.where(known, values, mean)
        first, second = rng.integers(0, max(len(values), 1), (2, PAIRS))
        apart = np.linalg.norm(values[first] - values[second], axis=1) if len(values) else [0.0]
        apart = np.asarray(apart)[np.asarray(apart) > 0]
        unit = float(np.median(apart)) if len(apart) else 1.0
        done.append((values - mean) / unit)
    return np.concatenate(done, 1) / np.sqrt(max(len(done), 1))


def choose(
    doubt: Array,
    where: Array,
    count: int,
    videos: Sequence[str | None] | None = None,
    frames: Sequence[int | None] | None = None,
    gap: int = 0,
) -> list[Choice]:
    """Images to label, the first the most urgent: greedily, each time that of the greatest doubt
    times distance from those chosen before (as k-centre's greedy algorithm, Gonzalez 1985, with
    weights).

    Args:
        doubt: (N,), 0 or more.
        where: features (N, D), in which 1 is a middle distance; further apart counts no more.
        count: how many, where there are so many.
        videos, frames: of which video an image is a frame, and its number.
        gap: frames that lie between two of one video at least.
    """
    total = len(doubt)
    nearest = np.full(total, np.inf)
    free = np.ones(total, bool)
    of = np.array(["" if v is None else v for v in videos or [None] * total], object)
    number = np.array([-1 if f is None else f for f in frames or [None] * total], np.int64)
    chosen: list[Choice] = []
    while len(chosen) < min(count, total) and free.any():
        # A little for doubt alone, so that among equal images there is still an order.
        worth = np.where(free, (doubt + 1e-9) * np.minimum(nearest, 1) + 1e-12 * doubt, -1)
        best = int(worth.argmax())
        apart = float(nearest[best])
        chosen.append(Choice(best, apart if np.isfinite(apart) else float("nan")))
        free[best] = False
        if of[best]:
            free &= ~((of == of[best]) & (np.abs(number - number[best]) <= gap))
        nearest = np.minimum(nearest, np.linalg.norm(where - where[best], axis=1))
    return chosen
