"""Scores beside how often points were right, and errors in units of what a network expected."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.evaluation.metrics._errors import Array, Errors

LEVELS = (0.5, 0.9, 0.99)
"""Of ellipses that should hold so many of the points."""
BINS = 10


class Reliability(NamedTuple):
    """Points in groups of about equal size, by their score.

    Attributes:
        scores: (G,), the mean score of each.
        right: (G,), the fraction that was right.
        counts: (G,), how many points it has.
    """

    scores: Array
    right: Array
    counts: npt.NDArray[np.int64]

    @property
    def error(self) -> float:
        """The mean difference of score and fraction, over points: the expected calibration error
        (Naeini et al., AAAI 2015; groups of equal size as of Nguyen and O'Connor, EMNLP 2015)."""
        return float(np.average(np.abs(self.scores - self.right), weights=self.counts))


def scored(errors: Errors) -> tuple[Array, npt.NDArray[np.bool_]] | None:
    """Scores (M,) of the labelled points that have one, and whether each point lies within the
    radius that scores are meant of; None where there is no such point."""
    if errors.scores is None or errors.score_radius is None:
        return None
    usable = errors.labelled & np.isfinite(errors.scores)
    if not usable.any():
        return None
    distance = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    return errors.scores[usable], np.asarray(distance <= errors.score_radius)[usable]


def reliability(scores: Array, right: npt.NDArray[np.bool_], bins: int = BINS) -> Reliability:
    """Groups of points (M,) by their score, `bins` at most; equal scores may be in two."""
    order = np.argsort(scores, kind="stable")
    groups = [g for g in np.array_split(order, min(bins, len(order))) if len(g)]
    return Reliability(
        np.array([scores[g].mean() for g in groups]),
        np.array([right[g].mean() for g in groups]),
        np.array([len(g) for g in groups]),
    )


def squared_lengths(errors: Errors) -> Array:
    """Squared errors in units of the covariance (Mahalanobis), (N, K); NaN where there is none.

    Where covariances are right and errors are normal, half of them is below 1.39: the quantiles
    of chi-squared with 2 degrees of freedom, -2 ln(1 - level).
    """
    found = np.full(errors.labelled.shape, np.nan)
    if errors.covariance is None:
        return found
    off = errors.image_points - errors.image_truth
    (a, b), (_, d) = np.moveaxis(errors.covariance, (2, 3), (0, 1))
    area = a * d - b * b
    usable = errors.labelled & np.isfinite(area) & (area > 0) & (a > 0)
    usable &= np.isfinite(off).all(2)
    x, y = off[usable].T
    a, b, d, area = (part[usable] for part in (a, b, d, area))
    found[usable] = (d * x * x - 2 * b * x * y + a * y * y) / area
    return found
