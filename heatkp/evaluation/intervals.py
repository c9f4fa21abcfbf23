"""How far a mean may be off: bootstrap intervals over groups of samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

RESAMPLES = 2000
LEVEL = 0.95


class Interval(NamedTuple):
    """A mean with the ends of its interval; these are None where there is one group only."""

    mean: float
    low: float | None
    high: float | None


def bootstrap_mean(
    values: npt.ArrayLike,
    groups: Sequence[int] | npt.NDArray[np.int64],
    counted: npt.ArrayLike | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval | None:
    """The mean of values and its 95 % percentile interval (Efron 1979), resampling whole groups:
    samples of one person, image or video are alike. None where nothing is to be counted.

    Args:
        values: (N,), or (N, K) of K points; what is not finite is left out.
        groups: (N,) numbers.
        counted: booleans of the values' shape; None: all.

    >>> bootstrap_mean([1.0, 1.0, 1.0], [0, 1, 1])
    Interval(mean=1.0, low=1.0, high=1.0)
    """
    table = np.asarray(values, np.float64)
    table = table.reshape(len(table), -1)
    known = np.isfinite(table)
    if counted is not None:
        known &= np.asarray(counted, bool).reshape(table.shape)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    sums = np.bincount(index, np.where(known, table, 0.0).sum(1), len(names))
    counts = np.bincount(index, known.sum(1), len(names))
    sums, counts = sums[counts > 0], counts[counts > 0]
    if not len(counts):
        return None
    mean = float(sums.sum() / counts.sum())
    if len(counts) < 2:
        return Interval(mean, None, None)
    rng = np.random.default_rng(seed)
    means = np.empty(resamples)
    for i in range(resamples):  # one by one: a table of all draws may not fit
        drawn = rng.integers(0, len(counts), len(counts))
        means[i] = sums[drawn].sum() / counts[drawn].sum()
    low, high = np.percentile(means, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(mean, float(low), float(high))
