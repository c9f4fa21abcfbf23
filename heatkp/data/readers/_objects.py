"""Objects as labelling tools write them, named points in no order, and samples made of them."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heatkp.data.images import ImageSource
from heatkp.data.readers._common import (
    distinct,
    layout,
    require_files,
    source_images,
    without_extension,
)
from heatkp.data.readers._places import locate
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

Edges = tuple[float, float, float, float]
Point = tuple[float, float, int]
"""x and y in pixels, centres on integers, and a code of `Visibility`."""


@dataclass(frozen=True)
class Found:
    """One object in a label file.

    Attributes:
        image: the image as the file names it.
        place: where in the file it stands, for errors.
        points: by name; one that is not labelled is not there.
        box: edges in pixels, centres on integers.
        file: the image's file where it is known; it is looked for by name elsewhere.
        embedded: the image within another file, where there is no file of its own.
        alone: whether nothing ties its points to each other but that they are in one image.
        called: what the sample's id is made of, instead of the image's name.
        more: further attributes of the sample.
        exact: another name of the image, which is looked for first.
    """

    image: str
    place: str
    points: Mapping[str, Point]
    box: Edges | None = None
    file: Path | None = None
    embedded: ImageSource | None = None
    alone: bool = False
    called: str | None = None
    more: Mapping[str, Any] | None = None
    exact: str | None = None


class Mark(NamedTuple):
    """A point in an image, and what says of which object it is; None: nothing does."""

    name: str
    point: Point
    group: Hashable = None


class Frame(NamedTuple):
    """A rectangle in an image."""

    edges: Edges
    group: Hashable = None


class Grouped(NamedTuple):
    """The points and the box of one object."""

    group: Hashable
    points: dict[str, Point]
    box: Edges | None


def _by_name(marks: Iterable[Mark]) -> dict[str, Point] | str:
    """Points by name; the name that is there twice, where one is."""
    points: dict[str, Point] = {}
    for mark in marks:
        if mark.name in points:
            return mark.name
        points[mark.name] = mark.point
    return points


def _inside(point: Point, edges: Edges) -> bool:
    return edges[0] <= point[0] <= edges[2] and edges[1] <= point[1] <= edges[3]


def _by_frames(marks: Sequence[Mark], frames: Sequence[Frame]) -> list[Grouped] | None:
    """Objects by the rectangles that points lie in; None unless that is certain: each point is
    in just one, no name twice, and there are two or more objects."""
    parts: dict[int, list[Mark]] = {}
    for mark in marks:
        holding = [i for i, frame in enumerate(frames) if _inside(mark.point, frame.edges)]
        if len(holding) != 1:
            return None
        parts.setdefault(holding[0], []).append(mark)
    found = []
    for i, part in sorted(parts.items()):
        points = _by_name(part)
        if isinstance(points, str):
            return None
        found.append(Grouped(("frame", i), points, frames[i].edges))
    return found if len(found) > 1 else None


def group_marks(
    marks: Sequence[Mark], frames: Sequence[Frame], place: str, advice: str, lone_box: bool
) -> tuple[list[Grouped], int]:
    """The objects of an image, and how many rectangles are the box of none.

    Marks of one group are an object, and a rectangle of that group, if it is the only one, its
    box. Marks without a group are the objects of the rectangles without a group in which they
    lie, or one object; with `lone_box` its box is the only rectangle without a group.

    Raises `DataError` where an object would have a name twice; `advice` says what to do.
    """
    groups: dict[Hashable, list[Mark]] = {}
    boxes: dict[Hashable, list[Frame]] = {}
    for mark in marks:
        groups.setdefault(mark.group, []).append(mark)
    for frame in frames:
        boxes.setdefault(frame.group, []).append(frame)
    found: list[Grouped] = []
    for group, own in groups.items():
        around = boxes.get(group, [])
        parted = _by_frames(own, around) if group is None and len(around) > 1 else None
        if parted is not None:
            found += parted
            continue
        points = _by_name(own)
        if isinstance(points, str):
            raise DataError(f"{place}: one object has the point {points!r} twice: {advice}")
        whose = len(around) == 1 and (group is not None or lone_box)
        found.append(Grouped(group, points, around[0].edges if whose else None))
    return found, len(frames) - sum(object.box is not None for object in found)


def _one_kind(found: Sequence[Found]) -> tuple[list[Found], list[str]]:
    """Without the objects that nothing ties together where others are tied, and have none of
    their names: a place in the cage, say, beside the animals."""
    tied = {name for one in found if not one.alone for name in one.points}
    loose = {name for one in found if one.alone for name in one.points}
    if not tied or not loose or tied & loose:
        return list(found), []
    names = ", ".join(sorted(loose)[:5]) + ", ..." * (len(loose) > 5)
    note = (
        f"points of no group left out, for those in groups have other names ({names}): "
        f"{sum(len(one.points) for one in found if one.alone)}"
    )
    return [one for one in found if not one.alone], [note]


def names_of(found: Iterable[Found]) -> list[str]:
    """The points' names, in the order of their first appearance."""
    return list(dict.fromkeys(name for one in found for name in one.points))


def labels_of(
    source: Path,
    found: Sequence[Found],
    strict: bool,
    notes: Iterable[str] = (),
    *,
    skeleton: Skeleton | None = None,
    order: Callable[[list[str]], list[str]] = list,
    folders: Sequence[Path] = (),
) -> Labels:
    """Samples of objects, in their order.

    Args:
        source: the label file, beside which images are looked for as `locate` does.
        strict: images that do not exist raise `DataError`.
        notes: of what was left out.
        skeleton: the layout, where the file gives it; its names are those of the points.
        order: puts the names of points in their order, where `skeleton` is not given.
        folders: more places of images.
    """
    found, others = _one_kind(found)
    if skeleton is None:
        called = order(names_of(found))
        skeleton, places = layout(called)
        called = [called[i] for i in places]
    else:
        called = list(skeleton.point_names)
    files, located = _files(source, found, strict, folders)
    if strict:
        needed = (f for f, one in zip(files, found) if one.embedded is None)
        require_files(source, needed)
    ids = distinct(without_extension(one.called or one.image) for one in found)
    originals = source_images([one.image for one in found])
    samples = []
    for one, identity, original, file in zip(found, ids, originals, files):
        given = [one.points.get(name, (np.nan, np.nan, 0)) for name in called]
        table = np.array(given, np.float64).reshape(-1, 3)
        sample = Sample(
            id=identity,
            image=partial(read_image, file),
            points=table[:, :2],
            visibility=table[:, 2].astype(np.uint8),
            box=one.box,
            source_image=original,
            file=file,
            **(one.more or {}),
        )
        if one.embedded is not None and not file.is_file():
            sample = replace(sample, image=one.embedded, file=one.embedded.path)
        samples.append(sample)
    return Labels(skeleton, samples, (*notes, *others, *located))


def _files(
    source: Path, found: Sequence[Found], strict: bool, folders: Sequence[Path]
) -> tuple[list[Path], tuple[str, ...]]:
    """The file of each object's image, or where it would be, and notes."""
    known: list[Path | None] = [one.file for one in found]
    notes: tuple[str, ...] = ()
    exact = [i for i, one in enumerate(found) if one.exact not in (None, one.image)]
    for open_, last in ((exact, False), (list(range(len(found))), True)):
        todo = [i for i in open_ if known[i] is None]
        names = [str(found[i].image if last else found[i].exact) for i in todo]
        located = locate(source, names, [found[i].place for i in todo], strict, folders)
        for i, file in zip(todo, located.files):
            known[i] = file if last or file.is_file() else None
        notes += located.notes
    return [file for file in known if file is not None], notes


def left_out(counts: Mapping[str, int], what: str) -> list[str]:
    """A line where things were left out, with the number of each kind."""
    if not sum(counts.values()):
        return []
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    return [f"{what}: {kinds}"]
