"""Named layouts of keypoints: names, left-right pairs, lines to draw, what normalises an error.

Left and right are the subject's: a frontal face's right eye is on the left of the image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches

import numpy as np
import numpy.typing as npt

from heatkp.sides import Sides

Group = tuple[int, ...]
Point = int | str
"""A point of a layout, by number or by name."""


@dataclass(frozen=True)
class Skeleton:
    """A layout of K keypoints.

    Attributes:
        name: how settings and run folders call it.
        point_names: K distinct names.
        pairs: (left, right) indices that change places when the image is mirrored.
        lines: runs of indices to join when drawing.
        normalisers: name -> two groups of points; the distance between the groups' means is
            the length by which an error is divided.
        unpaired: indices of points of which it is not known what they are in a mirrored image,
            for their counterpart is not among the points, or nothing tells it. All others that
            are in no pair lie on the midline.
        sides_from: what told that, "name" for example; empty where the layout is a known one.
        by_position: indices of points of which the positions of points told it instead.
    """

    name: str
    point_names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    lines: tuple[Group, ...] = ()
    normalisers: Mapping[str, tuple[Group, Group]] = field(default_factory=dict)
    unpaired: Group = ()
    sides_from: str = ""
    by_position: Group = ()

    def __post_init__(self) -> None:
        if len(set(self.point_names)) != len(self.point_names):
            raise ValueError(f"skeleton {self.name!r} has a point name twice")
        paired = [i for pair in self.pairs for i in pair]
        twice = [i for i in paired if paired.count(i) > 1]
        groups = [g for two in self.normalisers.values() for g in two]
        parts = (paired, *self.lines, *groups, self.unpaired, self.by_position)
        for i in (i for part in parts for i in part):
            if not 0 <= i < len(self):
                raise ValueError(f"skeleton {self.name!r} has no point {i}")
        if twice:
            point = self.point_names[twice[0]]
            raise ValueError(f"skeleton {self.name!r} has point {point!r} in two left-right pairs")

    def __len__(self) -> int:
        return len(self.point_names)

    @property
    def flip(self) -> npt.NDArray[np.int64]:
        """Order (K,) such that `mirrored_points[flip]` are the labels of the mirrored image."""
        order = np.arange(len(self))
        for left, right in self.pairs:
            order[left], order[right] = right, left
        return order

    @property
    def midline(self) -> Group:
        """Indices of points that stay what they are in a mirrored image."""
        moved = {*self.unpaired, *(i for pair in self.pairs for i in pair)}
        return tuple(i for i in range(len(self)) if i not in moved)

    @property
    def unmirrored(self) -> str | None:
        """Why mirrored images have no labels of these points, in words; None where they have."""
        if not self.unpaired:
            return None
        names = [self.point_names[i] for i in self.unpaired]
        return (
            f"{len(names)} of {len(self)} points have no known counterpart on the other side "
            f"({_some(names, 3)})"
        )

    @property
    def assumed(self) -> str:
        """Which points change places in a mirrored image, which stay, and what told so, in words.

        Empty for a known layout, of which nothing is assumed.
        """
        if not self.sides_from:
            return ""
        pairs = [(a, f"{self.point_names[a]}/{self.point_names[b]}") for a, b in self.pairs]
        middle = [(i, self.point_names[i]) for i in self.midline]
        parts = []
        for what, items in (("pairs", pairs), ("midline", middle)):
            for source in (self.sides_from, "position"):
                new = source == "position"
                told = [text for i, text in items if (i in self.by_position) == new]
                parts += [f"{what} by {source}: {_some(told, 5)}"] * bool(told)
        return "; ".join(parts) or "neither pairs nor points on the midline"

    def with_pairs(self, pairs: Sequence[Sequence[Point]]) -> Skeleton:
        """The skeleton with these (left, right) pairs; all other points lie on the midline.

        Raises `ValueError` for a point that is not there or in two pairs.
        """
        found = [(self._index(a), self._index(b)) for a, b in pairs]
        return replace(
            self, pairs=tuple(found), unpaired=(), sides_from="data.pairs", by_position=()
        )

    def with_sides(self, told: Sides, by_position: Group = ()) -> Skeleton:
        """The skeleton with what names or positions tell of left and right."""
        return replace(self, pairs=told.pairs, unpaired=told.unpaired, by_position=by_position)

    def _index(self, point: Point) -> int:
        if isinstance(point, int):
            return point
        if point in self.point_names:
            return self.point_names.index(point)
        close = get_close_matches(point, self.point_names, 3, 0.5) or self.point_names[:3]
        raise ValueError(
            f"skeleton {self.name!r} has no point {point!r}: the closest of its {len(self)} names "
            f"are {', '.join(map(repr, close))}"
        )

    def subset(self, indices: Sequence[int], name: str | None = None) -> Skeleton:
        """The skeleton of some of the points, in the given order.

        Pairs and normalisers survive where all their points do, half a pair is `unpaired`;
        lines join what is left of neighbours. Raises `ValueError` for an index that is missing
        or twice.
        """
        indices = [int(i) for i in indices]
        bad = [i for i in indices if not 0 <= i < len(self)]
        if bad or len(set(indices)) != len(indices) or not indices:
            raise ValueError(
                f"points {indices} cannot be taken from skeleton {self.name!r}: "
                f"give distinct numbers from 0 to {len(self) - 1}"
            )
        new = {old: i for i, old in enumerate(indices)}
        torn = {i for pair in self.pairs if len(new.keys() & pair) == 1 for i in pair}
        kept_lines = []
        for line in self.lines:
            run: list[int] = []
            for old in [*line, -1]:
                if old in new:
                    run.append(new[old])
                else:
                    if len(run) > 1:
                        kept_lines.append(tuple(run))
                    run = []
        return Skeleton(
            name=name or f"{self.name}[{','.join(map(str, indices))}]",
            point_names=tuple(self.point_names[i] for i in indices),
            pairs=tuple((new[a], new[b]) for a, b in self.pairs if a in new and b in new),
            lines=tuple(kept_lines),
            normalisers={
                key: (tuple(new[i] for i in a), tuple(new[i] for i in b))
                for key, (a, b) in self.normalisers.items()
                if all(i in new for i in (*a, *b))
            },
            unpaired=tuple(i for i, old in enumerate(indices) if old in torn.union(self.unpaired)),
            sides_from=self.sides_from,
            by_position=tuple(new[old] for old in self.by_position if old in new),
        )


def _some(items: Sequence[str], most: int) -> str:
    return ", ".join(items[:most]) + (f", ... ({len(items)})" if len(items) > most else "")
