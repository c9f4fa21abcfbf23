"""Skeletons of names, of what a run stores, and of what settings choose."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from heatkp import sides
from heatkp.errors import SettingsError
from heatkp.sides import Sides
from heatkp.skeletons.faces import FACE68, NOSE_OF, SKELETONS
from heatkp.skeletons.skeleton import Group, Skeleton

MOST_POINTS = 10_000
"""Of a stored skeleton, as of YOLO's: names are compared with each other, and maps held for all."""
_FACE_POINT = re.compile(r"face(?:[ _-]?(?:landmark|kp|keypoint|point)s?)?[ _-]?0*(\d+)", re.I)


def sides_by_name(names: Sequence[str]) -> Sides:
    """As `sides.sides_by_name`; and 68 numbered points of a "face" among others are `FACE68`.

    >>> sides_by_name(["left_paw", "nose", "right_paw", "left_ear", "eyeL", "eyeR"])
    Sides(pairs=((0, 2), (4, 5)), unpaired=(3,))
    """
    found = sides.sides_by_name(names)
    face = face_points(names)
    if not face:
        return found
    pairs = (*found.pairs, *((face[a], face[b]) for a, b in FACE68.pairs))
    return Sides(tuple(sorted(pairs)), tuple(i for i in found.unpaired if i not in face))


def face_points(names: Sequence[str]) -> list[int]:
    """Places of points that are called face and a number, in the order of `FACE68`; none where
    there are not 68."""
    matches = ((i, _FACE_POINT.fullmatch(name)) for i, name in enumerate(names))
    place = {int(match[1]): i for i, match in matches if match}
    if len(place) != len(FACE68) or sorted(place) not in ([*range(68)], [*range(1, 69)]):
        return []
    return [place[number] for number in sorted(place)]


def named(name: str, point_names: Sequence[str], lines: Sequence[Group] = ()) -> Skeleton:
    """A skeleton of which only the names are known, with what they tell of left and right.

    Raises `ValueError` for names that are not distinct.
    """
    told = sides_by_name(point_names)
    skeleton = Skeleton(name, tuple(point_names), lines=tuple(lines), sides_from="name")
    return skeleton.with_sides(told)


def skeleton_of(given: Skeleton | str | Sequence[str] | None, count: int) -> Skeleton:
    """The layout of K points that a program gives: itself, its name, its points' names, or
    nothing, for points that are numbered.

    Raises `SettingsError` for an unknown name, and for another number of points.
    """
    if isinstance(given, str):
        if given not in SKELETONS:
            raise SettingsError(
                f"there is no skeleton {given!r}; choose one of {', '.join(SKELETONS)}, or give "
                "the points' names as a list"
            )
        given = SKELETONS[given]
    if not isinstance(given, Skeleton):
        names = [f"point_{k}" for k in range(count)] if given is None else [str(n) for n in given]
        known = next((s for s in SKELETONS.values() if list(s.point_names) == names), None)
        try:
            given = known or named(f"points{len(names)}", names)
        except ValueError as error:
            raise SettingsError(f"names of points: {error}") from None
    if len(given) != count:
        raise SettingsError(f"there are {count} points, but {len(given)} are named")
    return given


def restored(values: Mapping[str, Any], pairs_given: bool = False) -> Skeleton:
    """A skeleton from the plain values that a run stores.

    Runs of before took every point without a counterpart for one on the midline; what their
    names do not tell is `unpaired` now, unless settings gave the pairs (`pairs_given`).
    """

    def runs(items: Any) -> tuple[tuple[int, ...], ...]:
        return tuple(tuple(i) for i in items)

    if len(values["point_names"]) > MOST_POINTS:
        raise ValueError(f"{len(values['point_names'])} points; {MOST_POINTS} can be")
    skeleton = Skeleton(
        name=values["name"],
        point_names=tuple(values["point_names"]),
        pairs=runs(values["pairs"]),  # type: ignore[arg-type]
        lines=runs(values["lines"]),
        normalisers={k: runs(v) for k, v in dict(values["normalisers"]).items()},  # type: ignore[misc]
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
