"""Named layouts of keypoints: names, left-right pairs, lines to draw, what normalises an error.

Left and right are the subject's: a frontal face's right eye is on the left of the picture.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Group = tuple[int, ...]

_SIDED = (
    "(?:(?<![a-zA-Z])|(?<=[a-z])(?=[LR]))"  # where a word begins, as in left_eye, eyeLeft, eyeL
    "(?:left|right|Left|Right|LEFT|RIGHT|[lrLR](?![a-z])(?<![A-Z][LR])(?![A-Z](?![a-z])))"
)


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
            for their counterpart is not among the points, or nothing names it.
    """

    name: str
    point_names: tuple[str, ...]
    pairs: tuple[tuple[int, int], ...] = ()
    lines: tuple[Group, ...] = ()
    normalisers: Mapping[str, tuple[Group, Group]] = field(default_factory=dict)
    unpaired: Group = ()

    def __post_init__(self) -> None:
        if len(set(self.point_names)) != len(self.point_names):
            raise ValueError(f"skeleton {self.name!r} has a point name twice")
        paired = [i for pair in self.pairs for i in pair]
        if len(set(paired)) != len(paired):
            raise ValueError(f"skeleton {self.name!r} has a point in two left-right pairs")
        groups = [g for two in self.normalisers.values() for g in two]
        for i in [*paired, *(i for run in (*self.lines, *groups, self.unpaired) for i in run)]:
            if not 0 <= i < len(self):
                raise ValueError(f"skeleton {self.name!r} has no point {i}")

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
    def unmirrored(self) -> str | None:
        """Why mirrored images have no labels of these points, in words; None where they have."""
        if not self.unpaired:
            return None
        names = [self.point_names[i] for i in self.unpaired]
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        return (
            f"{len(names)} of {len(self)} points have no known counterpart on the other side "
            f"({shown})"
        )

    def with_pairs(self, pairs: Sequence[Sequence[int]]) -> Skeleton:
        """The skeleton with these (left, right) pairs; all other points lie on the midline.

        Raises `ValueError` for a point that is not there or in two pairs.
        """
        return replace(self, pairs=tuple((a, b) for a, b in pairs), unpaired=())

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
        )


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


def _swapped(side: str) -> str:
    """The other side, written alike: "Left" for "Right"."""
    other = {"left": "right", "right": "left", "l": "r", "r": "l"}[side.lower()]
    return other.upper() if side.isupper() else other.title() if side[0].isupper() else other


def _mirrored_names(name: str) -> list[str]:
    """What a point may be called on the other side: with all sides in its name exchanged."""
    words = re.sub(_SIDED, lambda m: _swapped(m[0]), name)
    anywhere = re.sub("left|right", lambda m: _swapped(m[0]), name, flags=re.IGNORECASE)
    letters = [name[:k] + _swapped(c) + name[k + 1 :] for k, c in enumerate(name) if c in "lLrR"]
    return [other for other in (words, anywhere) if other != name] or letters


def _is_left(name: str, other: str) -> bool:
    """Whether a name is the left one of two that are each other's mirrored names."""
    first = next(a for a, b in zip(name, other) if a.lower() != b.lower())
    return first.lower() == "l"


class Sides(NamedTuple):
    """The `pairs` and `unpaired` of a `Skeleton`."""

    pairs: tuple[tuple[int, int], ...]
    unpaired: Group


def sides_by_name(names: Sequence[str]) -> Sides:
    """What names of points tell of left and right.

    Names that become each other when "left" and "right", or "l" and "r", are exchanged are
    pairs; others are then on the midline, unless they name a side. Where there is no pair, of
    several points nothing is known.

    >>> sides_by_name(["left_paw", "nose", "right_paw", "left_ear", "eyeL", "eyeR"])
    Sides(pairs=((0, 2), (4, 5)), unpaired=(3,))
    >>> sides_by_name(["point_0", "point_1"])
    Sides(pairs=(), unpaired=(0, 1))
    """
    places = {name: i for i, name in enumerate(names)}
    pairs: list[tuple[int, int]] = []
    paired: set[int] = set()
    for name, i in places.items():
        for other in _mirrored_names(name):
            j = places.get(other)
            if j is not None and not {i, j} & paired:
                pairs.append((i, j) if _is_left(name, other) else (j, i))
                paired |= {i, j}
    if not pairs and len(names) > 1:
        return Sides((), tuple(range(len(names))))
    sided = {i for name, i in places.items() if re.search(_SIDED, name)}
    return Sides(tuple(pairs), tuple(sorted(sided - paired)))


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
