"""What the positions of points tell of left, right and the middle, where names leave it open.

Samples are laid over each other (Procrustes analysis: moved, turned and scaled, not mirrored), and
their mean shape is compared with its mirror image. Only a shape that is symmetric as a whole tells
anything: then two points that lie on each other's mirror places are a pair, and one that lies on
its own is on the midline. A side view or a hand is not symmetric, and nothing is known of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.sides.names import Reading, Side, Sides, stems

Shape = npt.NDArray[np.complex128]
"""Points as x + iy."""
Order = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

FEWEST_SAMPLES = 20
"""In which a point must be labelled."""
MOST_SAMPLES = 2000
FEWEST_POINTS = 8
"""Of a shape of which no pair is known: smaller ones are symmetric by chance."""
TOLERANCE = 0.05
"""How far a point may be from its mirror place, in units of the shape's size (the root mean square
distance from its centre)."""
MARGIN = 9.0
"""How much worse the next best assignment must be, in units of the mean squared distance."""
FINEST = 0.01
"""The distance that is taken for the mean one where that is smaller."""
MOST_TILT = np.radians(10)
"""Of the axis of a shape of which no pair is known: from the vertical."""
UPRIGHT = 0.9
"""Length of the mean of the unit vectors of upright samples' directions."""
FEWEST_ON_AXIS = 3
"""New points on the midline where no new pair is found."""
SAME_SIDE = 0.9
"""In how many of the samples the left point of a pair must be on the left."""
WIDEST = 0.3
"""How far the points of at least one known pair must be apart."""
_NEVER = 1e6


class SidesByPosition(NamedTuple):
    """What positions tell.

    Attributes:
        sides: what names tell, with what positions add.
        added: points of which positions tell.
        doubtful: points that names pair by their numbers, and positions otherwise; `unpaired` now.
    """

    sides: Sides
    added: tuple[int, ...] = ()
    doubtful: tuple[int, ...] = ()


class _Axis(NamedTuple):
    """A reflection: z -> turn * conj(z - centre) + centre."""

    turn: complex
    centre: complex

    @classmethod
    def fitted(cls, points: Shape, partners: Shape) -> _Axis:
        """That which brings points closest (least squares) to their partners, and these to them."""
        centre = (points + partners).mean() / 2
        turn = ((points - centre) * (partners - centre)).sum()
        return cls(complex(turn / abs(turn)) if turn else -1 + 0j, complex(centre))

    def mirrored(self, shape: Shape) -> Shape:
        return self.turn * np.conj(shape - self.centre) + self.centre

    def across(self, shape: Shape) -> npt.NDArray[np.float64]:
        """Coordinates across the axis: of the opposite sign on its other side."""
        return np.asarray((shape * np.conj(np.sqrt(self.turn))).imag)

    @property
    def tilt(self) -> float:
        """The angle to the vertical, in radians."""
        return abs(float(np.angle(-self.turn))) / 2


def _aligned(points: Shape, rounds: int = 15) -> tuple[Shape, bool]:
    """Samples (N, K) laid over their mean, which has mean 0, size 1 and their mean direction, and
    whether they all have about that."""
    known = np.isfinite(points)
    shape = points[known.sum(1).argmax()]
    placed, turns = points, np.ones(len(points), complex)
    for _ in range(rounds):
        both = known & np.isfinite(shape)
        count = both.sum(1, keepdims=True)
        a, b = np.where(both, points, 0), np.where(both, shape, 0)
        a_mean, b_mean = (z.sum(1, keepdims=True) / count for z in (a, b))
        a, b = np.where(both, a - a_mean, 0), np.where(both, b - b_mean, 0)
        product = (a.conj() * b).sum(1)
        turns = product / np.maximum(abs(product), 1e-12)
        size = np.sqrt((abs(b) ** 2).sum(1) / np.maximum((abs(a) ** 2).sum(1), 1e-12))
        placed = (points - a_mean) * (turns * size)[:, None] + b_mean
        shape = _mean(placed)
        centre = shape.mean()
        scale = max(np.sqrt((abs(shape - centre) ** 2).mean()), 1e-12)
        shape, placed = (shape - centre) / scale, (placed - centre) / scale
    direction = turns.mean()
    return placed * np.exp(-1j * np.angle(direction)), bool(abs(direction) > UPRIGHT)


def middle_shape(points: Shape) -> Shape:
    """The middle (K,) of samples (N, K) that are laid over each other; NaN where a point is known
    in none. NaN marks points that are not known."""
    placed, _ = _aligned(points)
    ever = np.isfinite(placed).any(0)
    middle = np.full(placed.shape[1], np.nan, complex)
    some = placed[:, ever]
    middle[ever] = np.nanmedian(some.real, 0) + 1j * np.nanmedian(some.imag, 0)
    return middle


def _mean(placed: Shape) -> Shape:
    known = np.isfinite(placed)
    return np.asarray(np.where(known, placed, 0).sum(0) / np.maximum(known.sum(0), 1))


def _cost(shape: Shape, axis: _Axis, allowed: Bools) -> npt.NDArray[np.float64]:
    """(K, K) squared distances from mirrored points to points, where they may be partners."""
    return np.where(allowed, abs(axis.mirrored(shape)[:, None] - shape) ** 2, _NEVER)


def _best(cost: npt.NDArray[np.float64]) -> Order:
    from scipy.optimize import linear_sum_assignment  # half a second of import

    return np.asarray(linear_sum_assignment(cost)[1], np.int64)


def _allowed(keys: Sequence[Reading], sides: Sides, free: Bools) -> Bools:
    """(K, K) which points may be partners: unknown ones of the same name but for numbers.

    What names tell stays, but numbered pairs (`free`) may have another point of the other side.
    """
    allowed = np.eye(len(keys), dtype=bool)
    for a in sides.unpaired:
        allowed[a, [b for b in sides.unpaired if keys[a] == keys[b]]] = True
    for a, b in sides.pairs:
        others = [d for _, d in sides.pairs if free[d] and keys[d] == keys[b]] if free[a] else [b]
        allowed[a, a] = allowed[b, b] = False
        allowed[a, others] = allowed[others, a] = True
    return allowed


def _clear(cost: npt.NDArray[np.float64], order: Order) -> Bools:
    """Of which points (K,) every assignment to another partner is clearly worse."""
    points = np.arange(len(order))
    best = cost[points, order].sum()
    least = MARGIN * max(best / len(order), FINEST**2)

    def clear(point: int, partner: int) -> bool:
        other = cost.copy()
        other[[point, partner], [partner, point]] = _NEVER
        return bool(other[points, _best(other)].sum() - best > least)

    return np.array([clear(*pair) for pair in enumerate(order.tolist())])


def _first_axis(shape: Shape, keys: Sequence[Reading], sides: Sides) -> tuple[_Axis, float] | None:
    """The axis that known pairs and points on the midline give, and how far the widest pair is
    apart; None without pairs.

    Numbers may run the other way on the other side ("left_brow_1"), so that points whose names
    differ by numbers only count as one, their mean.
    """
    families: dict[Reading, list[tuple[int, int]]] = {}
    for pair in sides.pairs:
        families.setdefault(keys[pair[0]], []).append(pair)
    if not families:
        return None
    left, right = np.array([shape[np.array(pairs)].mean(0) for pairs in families.values()]).T
    middle = np.delete(shape, [*np.ravel(sides.pairs).astype(int), *sides.unpaired])
    one, two = (np.concatenate([*both, middle]) for both in ((left, right), (right, left)))
    axis = _Axis.fitted(one, two)
    return axis, float(abs(axis.across(left - right)).max())


def _symmetry(
    placed: Shape, upright: bool, keys: Sequence[Reading], sides: Sides, allowed: Bools
) -> tuple[Order, _Axis, Bools] | None:
    """Each point's partner, the axis, and which partners are certain; None for no symmetry.

    Args:
        placed: (N, K) samples over each other.
        upright: whether all are turned alike.
        keys: `stems` of the K names.
    """
    shape = _mean(placed)
    points = np.arange(len(shape))
    first = _first_axis(shape, keys, sides)
    if first is None and (not upright or len(shape) < FEWEST_POINTS):
        return None
    axis, width = first or (_Axis(-1 + 0j, 0j), 0.0)
    order = points
    for _ in range(10):
        before, order = order, _best(_cost(shape, axis, allowed))
        axis = _Axis.fitted(shape, shape[order])
        if np.array_equal(before, order):
            break
    off = abs(axis.mirrored(shape) - shape[order])
    if not (order[order] == points).all() or np.sqrt((off**2).mean()) > TOLERANCE:
        return None
    if first is None:
        if axis.tilt > MOST_TILT or (order != points).sum() < len(points) / 2:
            return None
    elif width < WIDEST or np.delete(off, sides.unpaired).max() > 2 * TOLERANCE:
        return None
    spread = np.sqrt(np.nanmean(abs(placed - shape) ** 2, 0))
    certain = off <= np.clip(np.minimum(spread, spread[order]), FINEST, TOLERANCE)
    for half in map(_mean, (placed[::2], placed[1::2])):
        certain &= _best(_cost(half, _Axis.fitted(half, half[order]), allowed)) == order
    gaps = axis.across(placed - placed[:, order]) * np.sign(axis.across(shape - shape[order]))
    together = np.isfinite(gaps).sum(0)
    one_way = (np.nansum(gaps > 0, 0) >= SAME_SIDE * together) & (together >= FEWEST_SAMPLES)
    certain &= one_way | (order == points)
    certain &= _clear(_cost(shape, axis, allowed), order)
    return order, axis, certain & certain[order]


def _usable(shapes: Shape) -> Shape:
    """Those of samples (N, K) of which half the points are labelled, and not all in one place."""
    known = np.isfinite(shapes)
    count = known.sum(1)
    middle = np.where(known, shapes, 0).sum(1) / np.maximum(count, 1)
    extent = np.where(known, abs(shapes - middle[:, None]), 0).max(1, initial=0)
    return shapes[(count >= max(3, count.max(initial=0) / 2)) & (extent > 0)]


def sides_by_position(points: npt.ArrayLike, names: Sequence[str], sides: Sides) -> SidesByPosition:
    """What names and then positions tell of left, right and the middle.

    Args:
        points: (N, K, 2) in pixels, NaN where not labelled.
        names: K names.
        sides: what they tell.
    """
    every = stems(names)
    samples = np.asarray(points, np.float64)
    some = np.linspace(0, len(samples) - 1, min(len(samples), MOST_SAMPLES)).astype(int)
    shapes = _usable(samples[some, :, 0] + 1j * samples[some, :, 1])
    partners = {a: b for one, two in sides.pairs for a, b in ((one, two), (two, one))}
    enough = np.isfinite(shapes).sum(0) >= FEWEST_SAMPLES
    halves = {i for i in sides.unpaired if any(isinstance(part, Side) for part in every[i])}
    used = [i for i in np.flatnonzero(enough).tolist() if enough[partners.get(i, i)]]
    used = [i for i in used if i not in halves]
    place = {old: new for new, old in enumerate(used)}
    keys = [every[i] for i in used]
    known = Sides(
        tuple((place[a], place[b]) for a, b in sides.pairs if a in place),
        tuple(place[i] for i in sides.unpaired if i in place),
    )
    counts = Counter(keys)
    free = np.array([i in partners and counts[key] > 1 for i, key in zip(used, keys)], bool)
    shapes = _usable(shapes[:, used])
    enough = np.isfinite(shapes).sum(0) >= FEWEST_SAMPLES
    if len(used) < 4 or not enough.all() or not (known.unpaired or free.any()):
        return SidesByPosition(sides)
    placed, upright = _aligned(shapes)
    found = _symmetry(placed, upright, keys, known, _allowed(keys, known, free))
    if found is None:
        return SidesByPosition(sides)
    order, axis, certain = found
    new = np.isin(np.arange(len(used)), known.unpaired) & certain
    if (order[new] == np.flatnonzero(new)).all() and new.sum() < FEWEST_ON_AXIS:
        new[:] = False  # one number each: may be chance
    # The subject's left is right in the image, unless names say where it is.
    across = axis.across(_mean(placed))
    left = sum(across[a] - across[b] for a, b in known.pairs)
    across = across * np.sign(left or axis.across(np.ones(1, complex))[0])
    pairs = [(used[p], used[order[p]]) for p in np.flatnonzero(new) if across[p] > across[order[p]]]
    doubtful = {i for i in np.flatnonzero(free & certain) if used[order[i]] != partners[used[i]]}
    lost = {i for point in doubtful for i in (used[point], partners[used[point]])}
    pairs += [pair for pair in sides.pairs if not lost & {*pair}]
    added = {used[i] for i in np.flatnonzero(new)}
    unpaired = sorted(lost | set(sides.unpaired) - added)
    found_sides = Sides(tuple(sorted(pairs)), tuple(unpaired))
    return SidesByPosition(found_sides, tuple(sorted(added)), tuple(sorted(lost)))
