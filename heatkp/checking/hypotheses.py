"""Orders in which the points of an object may have been labelled by mistake."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.skeletons import Skeleton
from heatkp.viz.report.data import part_of

FEWEST = 3
"""Points of a part that have an order."""


class Reordering(NamedTuple):
    """A wrong order that labels may have: the label of point `points[i]` lies where that of
    `others[i]` belongs.

    Attributes:
        kind: `reversed` or `rotated`.
        part: what is in another order, in words.
    """

    kind: str
    part: str
    points: tuple[int, ...]
    others: tuple[int, ...]


def parts_of(skeleton: Skeleton) -> dict[str, tuple[tuple[int, ...], bool]]:
    """Runs of three points or more that follow each other, by name, and whether they are closed.

    They are the skeleton's lines, and numbered points of one name that no line holds.
    """
    names = skeleton.point_names
    found: dict[str, tuple[tuple[int, ...], bool]] = {}
    held: set[frozenset[int]] = set()
    for line in skeleton.lines:
        closed = len(line) > 1 and line[0] == line[-1]
        points = line[:-1] if closed else line
        if len(points) >= FEWEST and len(set(points)) == len(points):
            found[_name([names[i] for i in points], found)] = tuple(points), closed
            held.add(frozenset(points))
    stems: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        stems.setdefault(part_of(name), []).append(i)
    for stem, numbered in stems.items():
        inside = any(set(numbered) <= run for run in held)
        if len(numbered) >= FEWEST and not inside and stem not in ("point", "points"):
            found.setdefault(stem, (tuple(numbered), True))
    return found


def _name(names: Sequence[str], taken: dict[str, tuple[tuple[int, ...], bool]]) -> str:
    """What a run of points is called: by what most of them are named after, else by its ends."""
    stems = [part_of(name) for name in names]
    common = max(stems, key=stems.count)
    usual = stems.count(common) > len(stems) / 2 and common not in taken
    return common if usual else f"{names[0]} to {names[-1]}"


def reorderings(skeleton: Skeleton) -> list[Reordering]:
    """Other orders of each part: back to front; of a closed one, also from another start on, in
    both directions."""
    found = []
    for name, (points, closed) in parts_of(skeleton).items():
        count = len(points)
        orders = [("reversed", [count - 1 - i for i in range(count)])]
        if closed:
            starts = [c for c in range(count) if c != count - 1]
            orders += [("reversed", [(c - i) % count for i in range(count)]) for c in starts]
            orders += [("rotated", [(i + c) % count for i in range(count)])
                       for c in range(1, count)]  # fmt: skip
        for kind, order in orders:
            moved = [i for i in range(count) if order[i] != i]
            found.append(
                Reordering(
                    kind, name, tuple(points[i] for i in moved),
                    tuple(points[order[i]] for i in moved),
                )
            )  # fmt: skip
    return found


FREEDOM = 4.0
"""Of the t distribution that errors count as having: even right labels are far off at times."""
USUAL = 3.0
"""Standard deviations up to which a single error is nothing to speak of."""


def cost(squared: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Negative logarithm of the density of errors in the plane, whose squares are given in
    squared standard deviations, against an error of 0: of a t distribution.

    >>> float(cost(np.array(0.0)))
    0.0
    """
    return (FREEDOM + 2) / 2 * np.log1p(squared / FREEDOM)


def evidence(deviations: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How much less likely an error of so many standard deviations is than one of `USUAL`, as a
    natural logarithm; not below 0."""
    beyond = cost(np.square(deviations)) - cost(np.array(USUAL**2))
    return np.asarray(np.maximum(beyond, 0.0), np.float64)


def penalty(choices: int) -> float:
    """What is taken off an explanation that is the best of so many."""
    return math.log(max(choices, 1)) + 2.0
