"""A constant shift of all labels against their images, from a network's errors.

A network that was trained with full rotations cannot learn a shift that is fixed in the image:
turned by an angle, the shift is turned too, and all that is left to learn is what is fixed in the
object. So where labels lie at truth + shift, its predictions lie at truth + R(heading) b, with b
of each point, and prediction minus label is R(heading) b - shift. Least squares give both, where
headings vary: were all the same, b would take the shift's place.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution

from heatkp.checking.shapes import as_complex, headings

Array = npt.NDArray[np.float64]
LEAST_SPREAD = 0.1
"""Of headings (`Shift.spread`), below which nothing is told: differences between objects that
happen to go with their heading weigh ten times as much in the shift then."""
FEWEST_GROUPS = 5
SURE = 0.001
"""The probability of a figure like this without a shift, below which one is told."""
SMALLEST = 0.25
"""Pixels of a shift that is told: below it lie the biases of networks themselves."""
ROUNDS = 20
FREEDOM = 4.0
"""Of the t distribution that errors count as having, so that wild ones count little."""


class Shift(NamedTuple):
    """Where labels lie, against their images.

    Attributes:
        x, y: pixels of the image by which labels lie right of, and below, the truth; NaN where
            nothing can be computed.
        errors: standard errors of both, from groups of samples.
        spread: of headings, 0 where all are the same to 1 where they point everywhere (1 - R^2
            of the mean resultant length R). The squared standard error grows with 1 / spread.
        objects, groups: how many there were, and independent groups of them.
        p: the probability of such a shift or a larger one where there is none.
    """

    x: float
    y: float
    errors: tuple[float, float]
    spread: float
    objects: int
    groups: int
    p: float

    @property
    def length(self) -> float:
        return math.hypot(self.x, self.y)

    @property
    def detectable(self) -> float:
        """The shift in pixels that would be told apart from none (95 %)."""
        return 2.45 * max(self.errors)

    @property
    def tells(self) -> bool:
        """Whether headings vary enough, and samples are enough, to tell a shift from none."""
        enough = self.spread >= LEAST_SPREAD and self.groups >= FEWEST_GROUPS
        return enough and math.isfinite(self.detectable)

    @property
    def found(self) -> bool:
        """Whether there is a shift, as far as can be told."""
        return self.tells and self.p < SURE and self.length >= SMALLEST

    def as_dict(self) -> dict[str, Any]:
        values = {
            "x": self.x, "y": self.y, "error_x": self.errors[0], "error_y": self.errors[1],
            "p": self.p, "spread_of_headings": self.spread, "detectable": self.detectable,
        }  # fmt: skip
        known = {k: v if math.isfinite(v) else None for k, v in values.items()}
        return {**known, "objects": self.objects, "groups": self.groups, "tells": self.tells,
                "found": self.found}  # fmt: skip


def estimate_shift(
    found: npt.ArrayLike, labels: npt.ArrayLike, groups: Sequence[Hashable] | None = None
) -> Shift:
    """The constant shift of labels that predictions tell.

    Args:
        found: predictions (N, K, 2) in pixels of the image, by a network that was trained with
            full rotations, of objects that it was not trained on.
        labels: (N, K, 2), NaN where not labelled.
        groups: which samples are not independent (N,), as those of one image, or of neighbouring
            frames; None: all are.

    Raises:
        ValueError: for shapes that do not fit.

    >>> from heatkp.checking import estimate_shift
    >>> rng = np.random.default_rng(0)
    >>> turn = np.exp(1j * rng.uniform(0, 6.28, 400))[:, None]
    >>> truth = turn * np.array([0, 20, 12j])
    >>> points = np.stack([truth.real, truth.imag], -1)
    >>> shift = estimate_shift(points + rng.normal(0, 1, points.shape), points + (0.5, -1.0))
    >>> round(shift.x, 1), round(shift.y, 1), shift.found
    (0.5, -1.0, True)
    """
    p, t = np.asarray(found, np.float64), np.asarray(labels, np.float64)
    if p.shape != t.shape or p.ndim != 3 or p.shape[-1] != 2:
        raise ValueError(f"predictions {p.shape} and labels {t.shape} are (N, K, 2) both")
    if groups is not None and len(groups) != len(p):
        raise ValueError(f"{len(groups)} groups for {len(p)} samples")
    angle = headings(np.where(np.isfinite(t), p, np.nan))
    difference = as_complex(p) - as_complex(t)
    known = np.isfinite(difference) & np.isfinite(angle)[:, None]
    kept = np.asarray(known.any(1))
    numbers = _numbers(range(len(p)) if groups is None else groups, kept)
    return _solve(difference[kept], known[kept], np.exp(1j * angle[kept]), numbers)


def _numbers(groups: Sequence[Hashable], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    found: dict[Hashable, int] = {}
    return np.array([found.setdefault(g, len(found)) for g, k in zip(groups, kept) if k], np.int64)


def _solve(
    difference: npt.NDArray[np.complex128],
    known: npt.NDArray[np.bool_],
    turn: npt.NDArray[np.complex128],
    groups: npt.NDArray[np.int64],
) -> Shift:
    """Weighted least squares of difference = turn * b - shift; b (K,) is solved for first.

    With b of each point put in, shift has the factor a = turn * mean(conj(turn)) - 1, and the sum
    of |a|^2 is the number of samples times `spread`.
    """
    count, clusters = len(difference), int(groups.max(initial=-1)) + 1
    nothing = Shift(math.nan, math.nan, (math.nan, math.nan), 0.0, count, clusters, 1.0)
    if not known.any():
        return nothing
    d, g = np.where(known, difference, 0), turn[:, None]
    weights, shift = known.astype(np.float64), 0j
    for _ in range(ROUNDS):
        total = np.maximum(weights.sum(0), 1e-12)
        mean, bias = (weights * g.conj()).sum(0) / total, (weights * g.conj() * d).sum(0) / total
        a, left = g * mean - 1, d - g * bias
        information = float((weights * np.square(np.abs(a))).sum())
        spread = information / float(weights.sum())
        if not spread > 1e-9:
            return nothing
        shift = complex((weights * a.conj() * left).sum() / information)
        rest = np.where(known, left - a * shift, 0)
        ratio = _ratio(rest, known)
        weights = known * (FREEDOM + 2) / (FREEDOM + ratio)
    # A weight falls as its error grows: the curvature of the t distribution, not the weights.
    curvature = weights * FREEDOM / (FREEDOM + ratio)
    influence = (weights * a.conj() * rest).sum(1) / (curvature * np.square(np.abs(a))).sum()
    each = np.zeros((clusters, 2))
    np.add.at(each, groups, np.stack([influence.real, influence.imag], 1))
    covariance = each.T @ each * clusters / max(clusters - 1, 1)
    errors = (math.sqrt(covariance[0, 0]), math.sqrt(covariance[1, 1]))
    p = _probability(np.array([shift.real, shift.imag]), covariance, clusters)
    return Shift(shift.real, shift.imag, errors, spread, count, clusters, p)


def _ratio(rest: npt.NDArray[np.complex128], known: npt.NDArray[np.bool_]) -> Array:
    """Squared errors (N, K), each over its point's own scale."""
    size = np.where(known, np.abs(rest), np.nan)
    scale = np.array([np.nanmedian(c) if np.isfinite(c).any() else 1 for c in size.T]) / 1.1774
    return np.asarray(np.square(np.abs(rest) / np.maximum(scale, 1e-6)), np.float64)


def _probability(shift: Array, covariance: Array, groups: int) -> float:
    """Of Hotelling's T^2 or more, for a mean of two numbers over so many groups."""
    freedom = groups - 2
    if freedom < 1:
        return 1.0
    try:
        squared = float(shift @ np.linalg.solve(covariance, shift))
    except np.linalg.LinAlgError:
        return 0.0 if np.any(np.abs(shift) > 1e-9) else 1.0
    return float(f_distribution.sf(squared * freedom / (2 * (groups - 1)), 2, freedom))


LEARNED = 0.2
"""Of a shift: the fraction that a network may have learned, above which that is said."""


def learnable(augmentation: Mapping[str, Any]) -> float:
    """The fraction of a fixed shift that a network may learn in spite of its rotations: the mean
    resultant length of their angles, 0 for full rotations, 1 without any.

    `augmentation` are the settings of that name.
    """
    angles = [float(angle) for angle in augmentation.get("angles") or ()]
    if angles:
        return float(abs(np.exp(1j * np.deg2rad(angles)).mean()))
    radians = math.radians(float(augmentation.get("rotation", 0.0)))
    if augmentation.get("distribution") == "normal":
        return math.exp(-(radians**2) / 2)
    return abs(float(np.sinc(radians / math.pi)))
