"""Samples from tables with the rows scorer, bodyparts, coords."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from heatkp.data.images import ImageFile
from heatkp.data.readers._common import distinct, layout, require_files, without_extension
from heatkp.data.readers._places import locate
from heatkp.data.readers._scorer_tables import LABEL_DATA, Key, ScorerTable
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import Group, Skeleton

SINGLE = "single"
"""DeepLabCut's individual of the points that an image has once (unique body parts)."""
_UP = 4
"""Folders above a table in which the images' names may begin; training sets are so deep."""


class Points(NamedTuple):
    """A skeleton, and what tables call its points."""

    skeleton: Skeleton
    names: list[str]


def points_of(names: Sequence[str], title: str, edges: Sequence[tuple[str, str]] = ()) -> Points:
    """The skeleton of named points, with lines between those of `edges` that are there.

    Raises `DataError` for names that are not distinct.
    """
    skeleton, order = layout(names)
    called = [names[i] for i in order]
    place = {name: i for i, name in enumerate(called)}
    lines: tuple[Group, ...] = tuple(
        (place[a], place[b]) for a, b in edges if a in place and b in place
    )
    if skeleton.sides_from:  # not a known layout, which has its own
        skeleton = replace(skeleton, name=title or skeleton.name, lines=lines)
    return Points(skeleton, called)


def _root(table: ScorerTable) -> Path:
    """The folder in which the images' names begin: one above the table, or its own."""
    folder = table.source.parent
    for above in [folder, *folder.absolute().parents][: _UP + 1]:
        if any(os.path.isfile(above / name) for name in table.images[:3]):
            return above
    return folder


def _shown(table: ScorerTable) -> list[str]:
    """Individuals with points of the skeleton: all but SINGLE, unless that is the only one."""
    return [name for name in table.individuals if name != SINGLE] or table.individuals


def names_in(tables: Sequence[ScorerTable]) -> list[str]:
    """Names of points, in the tables' order; those of SINGLE only where nothing else is there."""
    found: dict[str, None] = {}
    for table in tables:
        shown = set(_shown(table))
        found.update(dict.fromkeys(part for individual, part in table.keys if individual in shown))
    return list(found)


def _video(image: str) -> tuple[str | None, int | None]:
    """The video that an image is a frame of, by its folder, and the frame's number, by its name:
    `labeled-data/VIDEO/img0012.png`."""
    path = PurePosixPath(image)
    folder = path.parent.name
    if folder in ("", "..", LABEL_DATA):
        return None, None
    return folder, frame_number(path.stem)


def frame_number(stem: str) -> int | None:
    """The number of a frame by its file's name, without extension; None where it has none.

    >>> frame_number("img0012"), frame_number("img0012_left"), frame_number("clip-7")
    (12, 12, 7)
    """
    found = re.match(r"img([0-9]{1,9})(?:_|\Z)", stem) or re.search(r"([0-9]{1,9})\Z", stem)
    return int(found[1]) if found else None


def _of_table(
    table: ScorerTable, points: Points, files: Sequence[Path], left_out: Counter[str]
) -> Iterator[tuple[str, Sample]]:
    """A table's samples, each with a name that may not be distinct."""
    places: dict[Key, int] = {key: i for i, key in enumerate(table.keys)}
    shown = _shown(table)
    several = shown != [""]
    for row, (image, file) in enumerate(zip(table.images, files)):
        labelled_objects = 0
        video, frame = _video(image)
        for individual in shown:
            columns = [places.get((individual, name), -1) for name in points.names]
            given = [table.points[row, k] if k >= 0 else (np.nan, np.nan) for k in columns]
            where = np.array(given, np.float64).reshape(-1, 2)
            labelled = np.isfinite(where).all(1)
            if several and not labelled.any():
                continue
            labelled_objects += 1
            occluded = [k >= 0 and table.codes[row, k] == 1 for k in columns]
            codes = np.where(labelled, np.where(occluded, 1, 2), 0)
            name = without_extension(image) + (f"#{individual}" if several else "")
            yield (
                name,
                Sample(
                    ImageFile(file),
                    where.astype(np.float32),
                    codes,
                    file=file,
                    source_image=without_extension(image),
                    video=video,
                    frame=frame,
                    track=individual or None,
                ),
            )
        left_out["images left out, on which no individual is labelled"] += not labelled_objects
    unique = [i for i, (individual, _) in enumerate(table.keys) if individual == SINGLE]
    if unique and SINGLE not in shown:
        names = ", ".join(table.keys[i][1] for i in unique)
        count = int(np.isfinite(table.points[:, unique]).all(2).sum())
        left_out[f"labels of unique body parts ({names}), left out"] += count


def labels_from(tables: Sequence[ScorerTable], points: Points, strict: bool) -> Labels:
    """All objects in tables of one project, in their order.

    Raises `DataError` where nothing is left, and where `strict` for images that do not exist.
    """
    notes = [note for table in tables for note in table.notes]
    found: list[tuple[str, Sample]] = []
    left_out: Counter[str] = Counter()
    for table in tables:
        where = [str(table.source)] * len(table.images)
        files, moved = locate(table.source, table.images, where, strict, [_root(table)])
        notes += moved
        if strict:
            require_files(table.source, files)
        found += _of_table(table, points, files, left_out)
    notes += [f"{what}: {count}" for what, count in left_out.items() if count]
    if not found:
        raise DataError(f"{tables[0].source} holds no labelled object ({'; '.join(notes)})")
    samples = [
        replace(sample, id=identity)
        for identity, (_, sample) in zip(distinct(name for name, _ in found), found)
    ]
    return Labels(points.skeleton, samples, tuple(notes))
