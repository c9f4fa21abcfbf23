"""Named layouts of keypoints: names, left-right pairs, lines to draw, what normalises an error.

Left and right are the subject's: a frontal face's right eye is on the left of the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp import sides
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


def _numbered(prefix: str, count: int) -> list[str]:
    return [f"{prefix}_{i}" for i in range(count)]


def _run(first: int, last: int, *, closed: bool = False) -> Group:
    return (*range(first, last + 1), *((first,) if closed else ()))


def _mirror(runs: Iterable[tuple[Iterable[int], Iterable[int]]]) -> tuple[tuple[int, int], ...]:
    return tuple((left, right) for lefts, rights in runs for left, right in zip(lefts, rights))


FACE68 = Skeleton(
    name="face68",
    point_names=(
        *_numbered("jaw", 17),
        *_numbered("right_brow", 5),
        *_numbered("left_brow", 5),
        *_numbered("nose_bridge", 3),
        "nose_tip",
        *_numbered("nose_base", 5),
        *_numbered("right_eye", 6),
        *_numbered("left_eye", 6),
        *_numbered("outer_lip", 12),
        *_numbered("inner_lip", 8),
    ),
    pairs=_mirror(
        [
            (range(16, 8, -1), range(0, 8)),
            (range(26, 21, -1), range(17, 22)),
            ((35, 34), (31, 32)),
            ((45, 44, 43, 42, 47, 46), (36, 37, 38, 39, 40, 41)),
            ((54, 53, 52, 55, 56), (48, 49, 50, 59, 58)),
            ((64, 63, 65), (60, 61, 67)),
        ]
    ),
    lines=(
        _run(0, 16),
        _run(17, 21),
        _run(22, 26),
        _run(27, 30),
        _run(31, 35),
        _run(36, 41, closed=True),
        _run(42, 47, closed=True),
        _run(48, 59, closed=True),
        _run(60, 67, closed=True),
    ),
    normalisers={
        "inter-ocular": ((36,), (45,)),
        "inter-pupil": (_run(36, 41), _run(42, 47)),
    },
)
"""The 68 points of Multi-PIE and iBUG 300-W (Sagonas et al. 2013), in that order."""

FACE58 = Skeleton(
    name="face58",
    point_names=(
        *_numbered("jaw", 13),
        *_numbered("left_eye", 8),
        *_numbered("right_eye", 8),
        *_numbered("left_brow", 5),
        *_numbered("right_brow", 5),
        *_numbered("lip", 8),
        *_numbered("nose", 5),
        "nose_tip",
        *(f"nose_{i}" for i in range(6, 11)),
    ),
    pairs=_mirror(
        [
            (range(12, 6, -1), range(0, 6)),
            (range(13, 21), range(21, 29)),
            (range(29, 34), range(34, 39)),
            ((43, 42, 44), (39, 40, 46)),
            (range(57, 52, -1), range(47, 52)),
        ]
    ),
    lines=(
        _run(0, 12),
        _run(13, 20, closed=True),
        _run(21, 28, closed=True),
        _run(29, 33),
        _run(34, 38),
        _run(39, 46, closed=True),
        _run(47, 57),
    ),
    normalisers={
        "inter-ocular": ((21,), (13,)),
        "inter-pupil": (_run(21, 28), _run(13, 20)),
    },
)
"""The 58 points of the IMM Face Database (Nordstrøm et al. 2004), in that order."""

FACE15 = Skeleton(
    name="face15",
    point_names=(
        "left_eye_center",
        "right_eye_center",
        "left_eye_inner_corner",
        "left_eye_outer_corner",
        "right_eye_inner_corner",
        "right_eye_outer_corner",
        "left_eyebrow_inner_end",
        "left_eyebrow_outer_end",
        "right_eyebrow_inner_end",
        "right_eyebrow_outer_end",
        "nose_tip",
        "mouth_left_corner",
        "mouth_right_corner",
        "mouth_center_top_lip",
        "mouth_center_bottom_lip",
    ),
    pairs=((0, 1), (2, 4), (3, 5), (6, 8), (7, 9), (11, 12)),
    lines=((2, 0, 3), (4, 1, 5), (6, 7), (8, 9), (11, 13, 12, 14, 11)),
    normalisers={"inter-pupil": ((1,), (0,))},
)
"""The 15 points of Kaggle's "Facial Keypoints Detection" (2013), in the order of its columns."""

UNLABELLED = Skeleton("unlabelled", ())
"""The layout of pictures that are there to be predicted: no points."""

NOSE_OF = {"face58": 52, "face68": 33, "face15": 10}
"""The point that "nose tip" means in the one-point task: the middle of the nose's lower edge."""

SKELETONS: dict[str, Skeleton] = {s.name: s for s in (FACE68, FACE58, FACE15)}


_FACE_POINT = re.compile(r"face(?:[ _-]?(?:landmark|kp|keypoint|point)s?)?[ _-]?0*(\d+)", re.I)


def sides_by_name(names: Sequence[str]) -> Sides:
    """As `sides.sides_by_name`; and 68 numbered points of a "face" among others are `FACE68`.

    >>> sides_by_name(["left_paw", "nose", "right_paw", "left_ear", "eyeL", "eyeR"])
    Sides(pairs=((0, 2), (4, 5)), unpaired=(3,))
    """
    found = sides.sides_by_name(names)
    matches = ((i, _FACE_POINT.fullmatch(name)) for i, name in enumerate(names))
    place = {int(match[1]): i for i, match in matches if match}
    if len(place) != len(FACE68) or sorted(place) not in ([*range(68)], [*range(1, 69)]):
        return found
    face = [place[number] for number in sorted(place)]
    pairs = (*found.pairs, *((face[a], face[b]) for a, b in FACE68.pairs))
    return Sides(tuple(sorted(pairs)), tuple(i for i in found.unpaired if i not in face))


def named(name: str, point_names: Sequence[str], lines: Sequence[Group] = ()) -> Skeleton:
    """A skeleton of which only the names are known, with what they tell of left and right.

    Raises `ValueError` for names that are not distinct.
    """
    told = sides_by_name(point_names)
    skeleton = Skeleton(name, tuple(point_names), lines=tuple(lines), sides_from="name")
    return skeleton.with_sides(told)


def restored(values: Mapping[str, Any], pairs_given: bool = False) -> Skeleton:
    """A skeleton from the plain values that a run stores.

    Runs of before took every point without a counterpart for one on the midline; what their
    names do not tell is `unpaired` now, unless settings gave the pairs (`pairs_given`).
    """

    def runs(items: Any) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(i) for i in items)

    skeleton = Skeleton(
        name=values["name"],
        point_names=tuple(values["point_names"]),
        pairs=runs(values["pairs"]),  # type: ignore[arg-type]
        lines=runs(values["lines"]),
        normalisers={k: runs(v) for k, v in values["normalisers"].items()},  # type: ignore[misc]
        unpaired=tuple(values.get("unpaired", ())),
        sides_from=values.get("sides_from", ""),
        by_position=tuple(values.get("by_position", ())),
    )
    if "unpaired" in values and ("sides_from" in values or pairs_given):
        return skeleton
    known = SKELETONS.get(re.split(r"\[|-nose", skeleton.name)[0])
    if known is not None and set(skeleton.point_names) <= set(known.point_names):
        places = [known.point_names.index(name) for name in skeleton.point_names]
        return replace(skeleton, unpaired=known.subset(places).unpaired)
    paired = {i for pair in skeleton.pairs for i in pair}
    told = sides_by_name(skeleton.point_names)
    pairs = (*skeleton.pairs, *(pair for pair in told.pairs if not paired & {*pair}))
    paired |= {i for pair in pairs for i in pair}
    unpaired = tuple(i for i in told.unpaired if i not in paired)
    return replace(skeleton, sides_from="name").with_sides(Sides(pairs, unpaired))


def select(skeleton: Skeleton, points: str | Sequence[int]) -> list[int]:
    """What `points: all | nose | [list of numbers]` means in a skeleton, as indices.

    Raises `ValueError` naming what is allowed.
    """
    if points == "all":
        return list(range(len(skeleton)))
    if points == "nose":
        if skeleton.name not in NOSE_OF:
            raise ValueError(f"skeleton {skeleton.name!r} has no nose: list points by number")
        return [NOSE_OF[skeleton.name]]
    if isinstance(points, str):
        raise ValueError(f"points {points!r} is none of: all, nose, a list of numbers")
    skeleton.subset(points)
    return [int(i) for i in points]
