"""A constant shift of all labels against their images, from a network's errors.

A network that was trained with full rotations cannot learn a shift that is fixed in the image:
turned by an angle, the shift is turned too, and all that is left to learn is what is fixed in the
object. So where labels lie at truth + shift, its predictions lie at truth + R(heading) b, with b
of each point, and prediction minus label is R(heading) b - shift. Least squares give both, where
headings vary: were all the same, b would take the shift's place.

Mirrored images in training tell more, of objects that look the same in a mirror, as faces do. The
network cannot tell whether an image was mirrored, so that b of a point is that of its counterpart,
mirrored; and a shift across the object's middle line is seen although no heading varies.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import f as f_distribution

from heatkp.checking.shapes import align, as_complex, headings

Array = npt.NDArray[np.float64]
LEAST_SPREAD = 0.1
"""`Shift.spreads` below which nothing is told: differences between objects that
happen to go with their heading weigh ten times as much in the shift then."""
FEWEST_GROUPS = 5
SURE = 0.001
"""The probability of a figure like this without a shift, below which one is told."""
SMALLEST = 0.25
"""Pixels of a shift that is told: below it lie the biases of networks themselves."""
ROUNDS = 20
SAME = 0.25
"""Of its size: how far a shape may be from its mirror image and count as the same."""
FREEDOM = 4.0
"""Of the t distribution that errors count as having, so that wild ones count little."""


class Shift(NamedTuple):
    """Where labels lie, against their images.

    Attributes:
        x, y: pixels of the image by which labels lie right of, and below, the truth; NaN where
            nothing can be computed.
        errors: standard errors of both, from groups of samples.
        spreads: of both, how much headings, and mirrored images, tell of it: 0 where nothing to 1
            where objects point everywhere. Squared standard errors grow with 1 / spread.
        objects, groups: how many there were, and independent groups of them.
        mirrored: whether objects look the same in a mirror and were mirrored in training.
        p: the probability of such a shift or a larger one where there is none, of those of both
            numbers that are told.
    """

    x: float
    y: float
    errors: tuple[float, float]
    spreads: tuple[float, float]
    objects: int
    groups: int
    mirrored: bool = False
    p: float = 1.0

    @property
    def told(self) -> tuple[bool, bool]:
        """Of x and y, whether samples are enough, and differ enough, to tell it."""
        enough = self.groups >= FEWEST_GROUPS
        x, y = (
            enough and spread >= LEAST_SPREAD and math.isfinite(error)
            for spread, error in zip(self.spreads, self.errors)
        )
        return x, y

    @property
    def tells(self) -> bool:
        """Whether x or y is told."""
        return any(self.told)

    @property
    def length(self) -> float:
        """Pixels, of what is told."""
        return math.hypot(*(v if told else 0.0 for v, told in zip((self.x, self.y), self.told)))

    @property
    def detectable(self) -> float:
        """The shift in pixels that would be told apart from none, along x or y (99.9 %); NaN where
        neither is told."""
        known = [e for e, told in zip(self.errors, self.told) if told]
        return 3.3 * max(known, default=math.nan)

    @property
    def found(self) -> bool:
        """Whether there is a shift, as far as can be told."""
        return self.tells and self.p < SURE and self.length >= SMALLEST

    def as_dict(self) -> dict[str, Any]:
        values = {
            "x": self.x, "y": self.y, "error_x": self.errors[0], "error_y": self.errors[1],
            "p": self.p, "spread_x": self.spreads[0], "spread_y": self.spreads[1],
            "detectable": self.detectable,
        }  # fmt: skip
        known = {k: v if math.isfinite(v) else None for k, v in values.items()}
        told_x, told_y = self.told
        return {**known, "objects": self.objects, "groups": self.groups, "told_x": told_x,
                "told_y": told_y, "mirrored": self.mirrored, "found": self.found}  # fmt: skip


def estimate_shift(
    found: npt.ArrayLike,
    labels: npt.ArrayLike,
    groups: Sequence[Hashable] | None = None,
    flip: Sequence[int] | npt.NDArray[np.int64] | None = None,
) -> Shift:
    """The constant shift of labels that predictions tell.

    Args:
        found: predictions (N, K, 2) in pixels of the image, by a network that was trained with
            full rotations, of objects that it was not trained on.
        labels: (N, K, 2), NaN where not labelled.
        groups: which samples are not independent (N,), as those of one image, or of neighbouring
            frames; None: all are.
        flip: order (K,) of the points in a mirrored image, where the network was trained with
            such; used where the points' mean shape is the same in a mirror.

    Raises:
        ValueError: for shapes that do not fit.

    >>> from heatkp.checking import estimate_shift
    >>> rng = np.random.default_rng(0)
    >>> turn = np.exp(1j * rng.uniform(0, 6.28, 400))[:, None]
    >>> truth = turn * np.array([0, 20, 12j])
    >>> points = np.stack([truth.real, truth.imag], -1)
    >>> shift = estimate_shift(points + rng.normal(0, 0.3, points.shape), points + (0.5, -1.0))
    >>> round(shift.x, 1), round(shift.y, 1), shift.found
    (0.5, -1.0, True)
    """
    p, t = np.asarray(found, np.float64), np.asarray(labels, np.float64)
    if p.shape != t.shape or p.ndim != 3 or p.shape[-1] != 2:
        raise ValueError(f"predictions {p.shape} and labels {t.shape} are (N, K, 2) both")
    if groups is not None and len(groups) != len(p):
        raise ValueError(f"{len(groups)} groups for {len(p)} samples")
    count = len(p)
    numbers = np.arange(count) if groups is None else _numbers(groups)
    seen = np.where(np.isfinite(t), p, np.nan)
    mirrored = flip is not None and looks_same_mirrored(seen, flip)
    columns = np.ones((count, 2), np.complex128) * [-1, -1j]
    if mirrored:
        # Each object once more as in a mirror, where the shift's x is the other way round.
        order = np.asarray(flip)
        p, t, seen = (np.concatenate([v, (v * [-1, 1])[:, order]]) for v in (p, t, seen))
        columns = np.concatenate([columns, columns * [-1, 1]])
        numbers = np.concatenate([numbers, numbers])
    angle = headings(seen)
    difference = as_complex(p) - as_complex(t)
    known = np.isfinite(difference) & np.isfinite(angle)[:, None]
    kept = np.asarray(known.any(1))
    objects = int(kept[:count].sum())
    _, own = np.unique(numbers[kept], return_inverse=True)
    made = _solve(difference[kept], known[kept], np.exp(1j * angle[kept]), columns[kept], own)
    return made._replace(objects=objects, mirrored=mirrored)


def looks_same_mirrored(points: npt.ArrayLike, flip: Sequence[int] | npt.NDArray[np.int64]) -> bool:
    """Whether the mean shape of objects (N, K, 2) is the same in a mirror, where points change
    places by `flip` (K,)."""
    shape, _, _ = align(points)
    other = (-shape.conj())[np.asarray(flip)]
    both = np.isfinite(shape) & np.isfinite(other)
    if both.sum() < 3:
        return False
    a, b = shape[both] - shape[both].mean(), other[both] - other[both].mean()
    spread = float(np.vdot(b, b).real)
    if not spread > 1e-12:
        return False
    rest = a - b * np.vdot(b, a) / spread
    return float(np.square(np.abs(rest)).sum()) < SAME**2 * float(np.square(np.abs(a)).sum())


def _numbers(groups: Sequence[Hashable]) -> npt.NDArray[np.int64]:
    found: dict[Hashable, int] = {}
    return np.array([found.setdefault(g, len(found)) for g in groups], np.int64)


def _solve(
    difference: npt.NDArray[np.complex128],
    known: npt.NDArray[np.bool_],
    turn: npt.NDArray[np.complex128],
    columns: npt.NDArray[np.complex128],
    groups: npt.NDArray[np.int64],
) -> Shift:
    """Weighted least squares of difference = turn * b + columns @ shift; b (K,), which is solved
    for first, is put in, which takes from columns (N, 2) what turns with the objects."""
    clusters = int(groups.max(initial=-1)) + 1
    nothing = Shift(math.nan, math.nan, (math.nan, math.nan), (0.0, 0.0), 0, clusters)
    if not known.any():
        return nothing
    d, g = np.where(known, difference, 0), turn[:, None]
    weights, shift = known.astype(np.float64), np.zeros(2)

    def without_bias(values: npt.NDArray[np.complex128]) -> npt.NDArray[np.complex128]:
        total = np.maximum(weights.sum(0), 1e-12)
        left: npt.NDArray[np.complex128] = values - g * (weights * g.conj() * values).sum(0) / total
        return left

    for _ in range(ROUNDS):
        a = [without_bias(np.broadcast_to(c[:, None], d.shape)) for c in columns.T]
        left = without_bias(d)
        normal = _products(a, a, weights)
        total = float(weights.sum())
        spreads = [normal[i, i] / total for i in range(2)]
        if not max(spreads) > 1e-9:
            return nothing
        # A number that nothing tells stays 0, rather than spoil the other.
        inverse = np.linalg.pinv(normal, rcond=1e-6, hermitian=True)
        shift = inverse @ _products(a, [left], weights)[:, 0]
        rest = np.where(known, left - a[0] * shift[0] - a[1] * shift[1], 0)
        ratio = _ratio(rest, known)
        weights = known * (FREEDOM + 2) / (FREEDOM + ratio)
    # A weight falls as its error grows: the curvature of the t distribution, not the weights.
    curvature = np.linalg.pinv(
        _products(a, a, weights * FREEDOM / (FREEDOM + ratio)), rcond=1e-6, hermitian=True
    )
    influence = np.stack([(weights * (c.conj() * rest).real).sum(1) for c in a], 1) @ curvature
    each = np.zeros((clusters, 2))
    np.add.at(each, groups, influence)
    covariance = each.T @ each * clusters / max(clusters - 1, 1)
    spreads = [1 / (v * total) if v > 0 else 0.0 for v in np.diagonal(inverse)]
    errors = [math.sqrt(v) if s > 0 else math.nan for v, s in zip(np.diagonal(covariance), spreads)]
    made = Shift(
        float(shift[0]), float(shift[1]), (errors[0], errors[1]),
        (float(spreads[0]), float(spreads[1])), 0, clusters,
    )  # fmt: skip
    told = np.flatnonzero(made.told)
    return made._replace(p=_probability(shift[told], covariance[np.ix_(told, told)], clusters))


def _products(
    first: Sequence[npt.NDArray[np.complex128]],
    second: Sequence[npt.NDArray[np.complex128]],
    weights: Array,
) -> Array:
    """Weighted sums of products of columns, each of numbers in the plane."""
    return np.array([[float((weights * (a.conj() * b).real).sum()) for b in second] for a in first])


def _ratio(rest: npt.NDArray[np.complex128], known: npt.NDArray[np.bool_]) -> Array:
    """Squared errors (N, K), each over its point's own scale."""
    size = np.where(known, np.abs(rest), np.nan)
    scale = np.array([np.nanmedian(c) if np.isfinite(c).any() else 1 for c in size.T]) / 1.1774
    return np.asarray(np.square(np.abs(rest) / np.maximum(scale, 1e-6)), np.float64)


def _probability(shift: Array, covariance: Array, groups: int) -> float:
    """Of Hotelling's T^2 or more, for a mean of one or two numbers over so many groups."""
    count = len(shift)
    freedom = groups - count
    if freedom < 1 or not count:
        return 1.0
    try:
        squared = float(shift @ np.linalg.solve(covariance, shift))
    except np.linalg.LinAlgError:
        return 0.0 if np.any(np.abs(shift) > 1e-9) else 1.0
    return float(f_distribution.sf(squared * freedom / (count * (groups - 1)), count, freedom))


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
