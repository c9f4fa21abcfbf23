"""A CSV table with one row an image: the image's name, then x and y columns in pixels.

The header names the columns in one of these ways: `left_eye_x,left_eye_y,...`, `x0,y0,...`
(also `x0,x1,...,y0,y1,...`), or just numbers, `0,1,2,3,...`, where x and y take turns. Pixel
centres lie on integers; an empty cell or NaN is a point that is not labelled. The images are the
column whose cells end as image files do, or that is called so (`image`, `filename`), or the
first. `NAME_visible` may hold COCO's 0, 1, 2, or 0 and 1 or true and false; where
`NAME_likelihood` is 0 or empty, a point is not labelled. Other columns hold no points, as a note
says; splits may go by them (`data.group`).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._columns import Columns, find_columns
from heatkp.data.readers._common import (
    distinct,
    layout,
    only_file,
    require_files,
    source_images,
    visible_where_given,
    without_extension,
)
from heatkp.data.readers._places import locate
from heatkp.data.readers._tables import EMPTY, Row, decimal, read_points, read_table
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.errors import DataError


def _folders_like(source: Path) -> list[Path]:
    """Folders beside a table with which its name begins."""
    beside = [p for p in source.parent.iterdir() if p.is_dir() and source.stem.startswith(p.name)]
    # `training` before `train`, for training_frames_keypoints.csv
    return sorted(beside, key=lambda p: -len(p.name))


_CODES = {"true": 2.0, "yes": 2.0, "t": 2.0, "false": 0.0, "no": 0.0, "f": 0.0}


def _codes(rows: Sequence[Row], columns: Columns, names: Sequence[str]) -> npt.NDArray[np.float64]:
    """COCO's codes (N, K) in the columns of visibility; NaN where they say nothing.

    Raises `DataError` for anything but 0, 1, 2, true and false.
    """
    codes = np.full((len(rows), len(names)), np.nan)
    for k, name in enumerate(names):
        for n, row in enumerate(rows if name in columns.visibility else ()):
            cell = row.cells[columns.visibility[name]].lower()
            value = None if cell in EMPTY else _CODES.get(cell, decimal(cell))
            if cell not in EMPTY and value not in (0, 1, 2):
                raise DataError(
                    f"{row.place}: the visibility of point {name} is {cell!r}; expected 0 (not "
                    "labelled), 1 (occluded) and 2 (visible), or 0 and 1, or true and false"
                )
            codes[n, k] = np.nan if value is None else value
    return np.where(codes == 1, 2, codes) if not (codes == 2).any() else codes


def _unlikely(rows: Sequence[Row], columns: Columns, names: Sequence[str]) -> npt.NDArray[Any]:
    """Which points (N, K) have a likelihood of 0, or an empty one among others that are not."""
    found = np.zeros((len(rows), len(names)), bool)
    for k, name in enumerate(names):
        if name in columns.likelihood:
            cells = [row.cells[columns.likelihood[name]] for row in rows]
            empty = np.array([cell.lower() in EMPTY for cell in cells])
            zero = np.array([decimal(cell) == 0 for cell in cells])
            found[:, k] = zero | (empty & (not empty.all()))
    return found


def _others(
    rows: Sequence[Row], header: Sequence[str], columns: Columns
) -> list[dict[str, str] | None]:
    """What each row says in the columns without points."""
    places = {name: header.index(name) for name in columns.left_out if name in header}
    if not places:
        return [None] * len(rows)
    return [{name: row.cells[i] for name, i in places.items()} for row in rows]


def _notes(columns: Columns, unlikely: int) -> list[str]:
    notes = []
    if columns.left_out:
        shown = ", ".join(columns.left_out[:6]) + ", ..." * (len(columns.left_out) > 6)
        notes.append(f"columns that hold no points, left out: {len(columns.left_out)} ({shown})")
    if columns.likelihood:
        notes.append(
            f"likelihoods of {len(columns.likelihood)} points: {unlikely} that are 0 or empty "
            "count as not labelled, the others are left out"
        )
    return notes


@reader(
    "csv",
    "a row an image: name, then `name_x,name_y`, `x0,y0,...` or numbered columns; commas, "
    "semicolons or tabs, decimal commas",
    suffix=".csv",
    priority=0.5,
    unlabelled="empty cell, NaN, NA",
)
def read_csv(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All rows of a CSV file (or of the folder that holds just one), in its order.

    Images are looked for beside the file, in a folder beside it with which its name begins
    (`training` for training_frames_keypoints.csv), and as `locate` does. Raises `DataError`
    with the row for what does not fit, and where `strict` for images that do not exist.
    """
    source = only_file(path, ".csv")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, .csv file")
    header, given = read_table(source)
    rows = list(given)
    columns = find_columns(header, rows[:50], source)
    if not rows:
        raise DataError(f"{source} holds no labelled image: a header but no rows")
    called = list(columns.points)
    skeleton, order = layout(called)
    called = [called[i] for i in order]
    pairs = [columns.points[name] for name in called]
    codes, unlikely = _codes(rows, columns, called), _unlikely(rows, columns, called)
    names, points, visibility, dropped = [], [], [], 0
    for row, told, without in zip(rows, codes, unlikely):
        name = row.cells[columns.image]
        if not name:
            raise DataError(f"{row.place}: no image is named in column {columns.image + 1}")
        names.append(name)
        found = read_points(row, pairs, skeleton.point_names)
        dropped += int((without & np.isfinite(found).all(1)).sum())
        found[without | (told == 0)] = np.nan
        where, code = visible_where_given(found)
        points.append(where)
        visibility.append(np.where((code > 0) & (told == 1), 1, code).astype(np.uint8))
    places = [row.place for row in rows]
    files, notes = locate(source, names, places, strict, _folders_like(source))
    if strict:
        require_files(source, files)
    samples = [
        Sample(
            id=identity,
            image=partial(read_image, file),
            points=where,
            visibility=code,
            source_image=original,
            file=file,
            columns=others,
        )
        for identity, original, file, where, code, others in zip(
            distinct(map(without_extension, names)),
            source_images(names),
            files,
            points,
            visibility,
            _others(rows, header, columns),
        )
    ]
    return Labels(skeleton, samples, (*_notes(columns, dropped), *notes))
