"""A CSV table with one row an image: the image's name, then x and y columns in pixels.

The header names the columns in one of these ways: `left_eye_x,left_eye_y,...`, `x0,y0,...`
(also `x0,x1,...,y0,y1,...`), or just numbers, `0,1,2,3,...`, where x and y take turns. Pixel
centres lie on integers; an empty cell or NaN is a point that is not labelled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from heatkp.data.readers.common import (
    demand_files,
    distinct,
    layout,
    only_file,
    photos_of,
    read_points,
    read_table,
    visible_where_given,
    without_extension,
)
from heatkp.data.readers.places import locate
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.errors import DataError

_COLUMN = (
    re.compile(r"(?P<name>.+)[_.\- ](?P<axis>[xy])", re.IGNORECASE),  # left_eye_x
    re.compile(r"(?P<axis>[xy])[_.\- ](?P<name>.+)", re.IGNORECASE),  # x_left_eye
    re.compile(r"(?P<axis>[xy])(?P<name>[0-9]+)", re.IGNORECASE),  # x0
)
_WANTED = "wanted name_x and name_y, or x0, y0, x1 ..., or the numbers 0, 1, 2 ..."


def point_columns(header: Sequence[str], source: Path) -> dict[str, tuple[int, int]]:
    """Point names with their columns of x and y, counted from 0, of column names after the first.

    Raises `DataError` for names in none of the forms, and for an x without its y.
    """
    names = header[1:]
    if names and list(names) == [str(i) for i in range(len(names))]:
        if len(names) % 2:
            raise DataError(f"{source}: {len(names)} coordinate columns; x and y make it even")
        return {str(k): (2 * k + 1, 2 * k + 2) for k in range(len(names) // 2)}
    found: dict[str, dict[str, int]] = {}
    for place, name in enumerate(names, 1):
        match = next(filter(None, (form.fullmatch(name) for form in _COLUMN)), None)
        if match is None:
            raise DataError(f"{source}: column {place + 1} is called {name!r}; {_WANTED}")
        axes = found.setdefault(match["name"], {})
        if match["axis"].lower() in axes:
            raise DataError(f"{source}: column {place + 1}, {name!r}, is there twice")
        axes[match["axis"].lower()] = place
    if not found:
        raise DataError(f"{source} has no columns after the image's name; {_WANTED}")
    for name, axes in found.items():
        if len(axes) != 2:
            raise DataError(f"{source}: point {name!r} has a column of {''.join(axes)} alone")
    return {name: (axes["x"], axes["y"]) for name, axes in found.items()}


def _folders_like(source: Path) -> list[Path]:
    """Folders beside a table with which its name begins."""
    beside = [p for p in source.parent.iterdir() if p.is_dir() and source.stem.startswith(p.name)]
    # `training` before `train`, for training_frames_keypoints.csv
    return sorted(beside, key=lambda p: -len(p.name))


def read_csv(path: Path, strict: bool = True) -> Labels:
    """All rows of a CSV file (or of the folder that holds just one), in its order.

    Images are looked for beside the file, in a folder beside it with which its name begins
    (`training` for training_frames_keypoints.csv), and as `locate` does. Raises `DataError`
    with the row for what does not fit, and where `strict` for images that do not exist.
    """
    source = only_file(path, ".csv")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, .csv file")
    header, rows = read_table(source)
    columns = point_columns(header, source)
    skeleton, order = layout(list(columns))
    pairs = [list(columns.values())[i] for i in order]
    names, places, points = [], [], []
    for row in rows:
        name = row.cells[0]
        if not name:
            raise DataError(f"{row.place}: the first cell names no image")
        names.append(name)
        places.append(row.place)
        points.append(visible_where_given(read_points(row, pairs, skeleton.point_names)))
    if not names:
        raise DataError(f"{source} has a header but no rows")
    files, notes = locate(source, names, places, strict, _folders_like(source))
    if strict:
        demand_files(source, files)
    samples = [
        Sample(
            id=identity,
            image=partial(read_image, file),
            points=labelled,
            visibility=visibility,
            photo=photo,
            file=file,
        )
        for identity, photo, file, (labelled, visibility) in zip(
            distinct(map(without_extension, names)), photos_of(names), files, points
        )
    ]
    return Labels(skeleton, samples, notes)
