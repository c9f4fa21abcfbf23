"""Labels that are probably wrong: predictions of samples that were not trained on, against them.

Each point's error is compared with that point's usual one in the data (by medians, which some wrong
labels do not change), and with what is usual in its image, for some are hard. A label that would
fit far better in another order of the points (left for right, a part back to front, two points
exchanged) is explained so; what is then still far off, and does not fit the shape of the other
labels either, is a point that is off. Findings are ranked by how much more likely their explanation
is than that the labels are right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from heatkp.checking.hypotheses import (
    USUAL,
    Reordering,
    cost,
    evidence,
    penalty,
    reorderings,
)
from heatkp.checking.shapes import out_of_shape, sizes
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
KINDS = {
    "sides": "left and right are exchanged",
    "reversed": "the order of a part's points is reversed",
    "rotated": "a part's points begin at another one",
    "exchanged": "two points are exchanged",
    "off": "points are off",
    "object": "all of its points are further off than usual",
}
"""What may be wrong with labels, the most special first."""
BETTER = 0.6
"""Of the error: what may be left of it in the other order of points."""
MANY = 0.5
"""Fraction of an object's points that are off, from which the object is."""
MOST = 4
"""Findings in an image that are looked for."""
ENOUGH = 6
"""Points of an object by which its image's own level is told."""
RAYLEIGH = float(np.sqrt(2 * np.log(2)))
"""The median of a Rayleigh distribution of scale 1."""
FEWEST = 3
"""Points by which a whole object is judged."""
_NARROW = 0.15
"""Standard deviation of the logarithms of objects' errors, which is not taken to be smaller."""
_LEAST = 0.25
"""Of the usual error of all points, which that of one is not taken to be below."""


@dataclass(frozen=True)
class Finding:
    """Something that is probably wrong with the labels of an object.

    Attributes:
        sample: its place in the data.
        kind: one of `KINDS`.
        points: indices of the points.
        others: for orders, where each of their labels belongs: the label of `points[i]` lies
            where that of `others[i]` is expected.
        part: what is in another order, in words; empty for points.
        strength: how much more likely it is than right labels: a natural logarithm.
        before: the labels' error against the predictions, in what is usual.
        after: the same with the labels in the other order; None where there is none.
        shape: the greatest distance of the points from where the object's other labels let
            expect them, in what is usual; NaN where there are too few objects.
    """

    sample: int
    kind: str
    points: tuple[int, ...]
    strength: float
    before: float
    after: float | None = None
    others: tuple[int, ...] = ()
    part: str = ""
    shape: float = float("nan")


def find_suspects(
    found: npt.ArrayLike,
    labels: npt.ArrayLike,
    skeleton: Skeleton,
    spread: npt.ArrayLike | None = None,
) -> list[Finding]:
    """What is probably wrong with labels, the likeliest first.

    Args:
        found: predictions (N, K, 2), pixels, by networks that were not trained on these samples;
            NaN where there are none.
        labels: (N, K, 2), NaN where not labelled.
        spread: (N, K), standard deviations in pixels of several networks' predictions: where they
            disagree they tell little.

    Raises:
        ValueError: for shapes that do not fit.
    """
    p, t = np.asarray(found, np.float64), np.asarray(labels, np.float64)
    if p.shape != t.shape or p.shape[1:] != (len(skeleton), 2):
        raise ValueError(
            f"predictions {p.shape}, labels {t.shape}: expected (N, {len(skeleton)}, 2)"
        )
    if not len(p):
        return []
    more = np.zeros(p.shape[:2]) if spread is None else np.nan_to_num(np.asarray(spread))
    shape = out_of_shape(t)
    usual = usual_errors(p, t)
    lengths = sizes(p)
    orders = reorderings(skeleton)
    findings: list[Finding] = []
    levels = np.empty(len(p))
    deviations = np.empty(p.shape[:2])
    for i in range(len(p)):
        scale = np.hypot(lengths[i] * usual, more[i])
        apart = np.linalg.norm(p[i][:, None] - t[i][None], axis=-1) / scale[:, None]
        levels[i] = _level(apart, skeleton)
        deviations[i] = np.diagonal(apart)
        findings += _explain(i, apart / levels[i], skeleton, orders, shape[i])
    findings += _whole(deviations, {f.sample for f in findings if f.kind != "off"})
    return sorted(findings, key=lambda f: (-f.strength, f.sample))


def usual_errors(found: npt.ArrayLike, labels: npt.ArrayLike) -> Array:
    """Usual errors (K,) of points over the size of their object: the scale of a Rayleigh
    distribution, by medians, so that a few wrong labels do not change it."""
    p, t = np.asarray(found, np.float64), np.asarray(labels, np.float64)
    error = np.linalg.norm(p - t, axis=2) / sizes(p)[:, None]
    known = error[np.isfinite(error)]
    all_points = float(np.median(known)) / RAYLEIGH if len(known) else 1.0
    all_points = max(all_points, 1e-6)
    each = []
    for column in error.T:
        own = column[np.isfinite(column)]
        scale = float(np.median(own)) / RAYLEIGH if len(own) > 4 else all_points
        each.append(max(scale, _LEAST * all_points))
    return np.array(each)


def _level(apart: Array, skeleton: Skeleton) -> float:
    """How hard an image is, at least 1: the middle of its points' errors over what is usual, by
    the labels as they are, or with left and right exchanged, whichever fit better."""
    values = []
    for order in (np.arange(len(skeleton)), skeleton.flip):
        own = apart[np.arange(len(skeleton)), order]
        own = own[np.isfinite(own)]
        if len(own) >= ENOUGH:
            values.append(float(np.median(own)) / RAYLEIGH)
    return max(1.0, min(values, default=1.0))


def _explain(
    sample: int, apart: Array, skeleton: Skeleton, orders: Sequence[Reordering], shape: Array
) -> list[Finding]:
    """What is wrong with one object: other orders of its points first, then points that are off.

    `apart` (K, K) is how far the prediction of point k (row) is from the label of point j
    (column), in what is usual.
    """
    count = len(skeleton)
    apart = apart.copy()
    # A point without a label costs nothing anywhere: its label may have another point's name.
    costs = np.nan_to_num(cost(np.square(apart)))
    findings: list[Finding] = []
    if not np.any(np.diagonal(apart) > USUAL):  # nothing to explain
        return []
    for _ in range(MOST):
        made = (_sides(costs, skeleton), _order(costs, orders), _exchange(costs))
        strength, kind, part, points, others = max(made, key=lambda one: one[0])
        if strength <= 0:
            break
        moved, places = np.array(points), np.array(others)
        before, after = _rms(apart[moved, moved]), _rms(apart[moved, places])
        if after > BETTER * before:
            break
        findings.append(
            Finding(
                sample, kind, points, strength, before, after, others, part, _most(shape[moved])
            )
        )
        swap = np.arange(count)
        swap[moved] = places
        apart, costs = apart[:, swap], costs[:, swap]
    return findings + _off(
        sample, np.diagonal(apart), shape, {k for f in findings for k in f.points}
    )


_Made = tuple[float, str, str, tuple[int, ...], tuple[int, ...]]
_NOTHING: _Made = (0.0, "", "", (), ())


def _rms(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(np.sqrt(np.square(known).mean() / 2)) if len(known) else 0.0


def _most(values: Array) -> float:
    known = values[np.isfinite(values)]
    return float(known.max()) if len(known) else float("nan")


def _sides(costs: Array, skeleton: Skeleton) -> _Made:
    """The left-right pairs that fit better exchanged, together."""
    pairs = np.array(skeleton.pairs, np.int64).reshape(-1, 2)
    if not len(pairs):
        return _NOTHING
    a, b = pairs.T
    gain = costs[a, a] + costs[b, b] - costs[a, b] - costs[b, a]
    each = penalty(len(pairs))
    sure = gain > each
    if not sure.any():
        return _NOTHING
    # Once one pair is exchanged, pairs near it that fit a little better so are, too.
    taken = (gain > 0) & (sure | (sure.mean() > MANY))
    strength = float(gain[taken].sum() - each)
    points = (*a[taken].tolist(), *b[taken].tolist())
    others = (*b[taken].tolist(), *a[taken].tolist())
    return strength, "sides", "", points, others


def _order(costs: Array, orders: Sequence[Reordering]) -> _Made:
    best = _NOTHING
    for made in orders:
        points, others = np.array(made.points), np.array(made.others)
        gain = (costs[points, points] - costs[points, others]).sum()
        strength = float(gain) - penalty(len(orders))
        if strength > best[0]:
            best = strength, made.kind, made.part, made.points, made.others
    return best


def _exchange(costs: Array) -> _Made:
    """The two points that fit best exchanged."""
    own = np.diagonal(costs)
    gain = own[:, None] + own[None] - costs - costs.T
    count = len(costs)
    if count < 2:
        return _NOTHING
    k, j = (int(i) for i in np.unravel_index(gain.argmax(), gain.shape))
    strength = float(gain[k, j]) - penalty(count * (count - 1) // 2)
    return (strength, "exchanged", "", (k, j), (j, k)) if strength > 0 else _NOTHING


def _off(sample: int, own: Array, shape: Array, explained: set[int]) -> list[Finding]:
    """The points that are off, as one finding."""
    deviations = np.where(np.isfinite(own), own, 0.0)
    strength = evidence(deviations)
    strength = np.where(strength > 0, strength + evidence(np.nan_to_num(shape)) / 2, 0)
    strength = strength - penalty(len(own)) + 2.0  # of so many points one is far off by chance
    strength[list(explained)] = 0
    points = np.flatnonzero(strength > 0)
    known = int(np.isfinite(own).sum())
    if not len(points):
        return []
    kind = "object" if len(points) > max(1, MANY * known) else "off"
    points = points[np.argsort(-strength[points], kind="stable")]
    return [
        Finding(
            sample, kind, tuple(points.tolist()), float(strength[points[0]]),
            _rms(deviations[points]), shape=_most(shape[points]),
        )
    ]  # fmt: skip


def _whole(deviations: Array, explained: set[int]) -> list[Finding]:
    """Objects whose points are all far off for their data: as those of another object."""
    known = np.isfinite(deviations)
    count = known.sum(1)
    middles = (np.median(row[there]) if there.any() else 0 for row, there in zip(deviations, known))
    level = np.array(list(middles)) / RAYLEIGH
    log = np.log(np.maximum(level, 1e-6))
    usable = count >= FEWEST
    middle = np.median(log[usable]) if usable.any() else 0.0
    spread = 1.4826 * np.median(np.abs(log[usable] - middle)) if usable.any() else 0.0
    deviation = np.where(usable, (log - middle) / max(float(spread), _NARROW), 0)
    strength = evidence(np.maximum(deviation, 0))
    return [
        Finding(
            int(i), "object", tuple(np.flatnonzero(known[i]).tolist()), float(strength[i]),
            float(level[i]),
        )
        for i in np.flatnonzero(strength > 0)
        if int(i) not in explained
    ]  # fmt: skip
