"""What the columns of a table of points hold, told by their names and first cells."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from heatkp.data.readers._tables import Row
from heatkp.errors import DataError

IMAGE_NAMES = (
    "image", "image_name", "imagename", "image_file", "image_path", "filename", "file_name",
    "file", "filepath", "file_path", "path", "img", "img_name", "picture", "photo", "frame_name",
    "frame", "name", "id",
)  # fmt: skip
"""What the column of the images is called, where its cells do not tell; the first goes first."""
_COORDINATE = (
    re.compile(r"(?P<name>.+)[_.\- ](?P<axis>[xy])", re.IGNORECASE),  # left_eye_x
    re.compile(r"(?P<axis>[xy])[_.\- ](?P<name>.+)", re.IGNORECASE),  # x_left_eye
    re.compile(r"(?P<axis>[xy])(?P<name>[0-9]+)", re.IGNORECASE),  # x0
)
_VISIBILITY = (
    re.compile(r"(?P<name>.+)[_.\- ](v|vis|visible|visibility)", re.IGNORECASE),
    re.compile(r"(v|vis|visible|visibility)[_.\- ]?(?P<name>.+)", re.IGNORECASE),
)
_LIKELIHOOD = (
    re.compile(r"(?P<name>.+)[_.\- ](likelihood|score|conf|confidence|p|prob)", re.IGNORECASE),
)
_SIZES = (("w", "h"), ("width", "height"))
_EXPECTED = "expected name_x and name_y, or x0, y0, x1 ..., or the numbers 0, 1, 2 ..."
_IMAGE_FILE = re.compile(
    r".+\.(jpe?g|png|bmp|tiff?|webp|pgm|ppm|jp2|avif|gif)", re.IGNORECASE | re.DOTALL
)


@dataclass
class Columns:
    """Places of columns, counted from 0.

    Attributes:
        image: of the images' names.
        points: name of each point -> its x and y.
        visibility, likelihood: name of a point -> its column, where there is one.
        left_out: names of columns that are none of these.
    """

    image: int
    points: dict[str, tuple[int, int]]
    visibility: dict[str, int] = field(default_factory=dict)
    likelihood: dict[str, int] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)


def _matched(forms: Sequence[re.Pattern[str]], name: str) -> re.Match[str] | None:
    return next(filter(None, (form.fullmatch(name) for form in forms)), None)


def _numbered(header: Sequence[str]) -> dict[str, tuple[int, int]] | None:
    """Points of columns that are called 0, 1, 2 ..., x and y in turn; None without such."""
    places = [i for i, name in enumerate(header) if name.isascii() and name.isdigit()]
    if not places or [header[i] for i in places] != [str(n) for n in range(len(places))]:
        return None
    return {str(k): (a, b) for k, (a, b) in enumerate(zip(places[::2], places[1::2]))}


def _named(header: Sequence[str], source: Path) -> dict[str, tuple[int, int]]:
    found: dict[str, dict[str, int]] = {}
    for place, name in enumerate(header):
        match = _matched(_COORDINATE, name)
        if match is not None:
            axes = found.setdefault(match["name"], {})
            if match["axis"].lower() in axes:
                raise DataError(f"{source}: column {place + 1}, {name!r}, is there twice")
            axes[match["axis"].lower()] = place
    lower = {name.lower() for name in header}
    for name in list(found):  # a box's corner and size, not a point
        for pair in _SIZES:
            if all(f"{name}_{size}".lower() in lower for size in pair):
                found.pop(name, None)
    for name, axes in found.items():
        if len(axes) != 2:
            raise DataError(f"{source}: point {name!r} has a column of {''.join(axes)} alone")
    return {name: (axes["x"], axes["y"]) for name, axes in found.items()}


def _image_column(header: Sequence[str], rows: Sequence[Row], taken: set[int]) -> int:
    """The first column whose cells are names of image files, or one that is called so, or the
    first."""
    free = [i for i in range(len(header)) if i not in taken]
    for i in free:
        cells = [row.cells[i] for row in rows if row.cells[i]]
        if cells and all(_IMAGE_FILE.fullmatch(cell) for cell in cells):
            return i
    names = {header[i].lower().replace(" ", "_"): i for i in reversed(free)}
    return next((names[name] for name in IMAGE_NAMES if name in names), free[0] if free else 0)


def find_columns(header: Sequence[str], rows: Sequence[Row], source: Path) -> Columns:
    """What the columns of a table hold, by their names and the cells of its first rows.

    Raises `DataError` for a table without coordinates, an x without its y, a column twice.
    """
    numbered = _numbered(header)
    points = _named(header, source)
    if numbered is not None and not points:
        count = sum(name.isdigit() for name in header)
        if count % 2:
            raise DataError(f"{source}: {count} coordinate columns; x and y make it even")
        points = numbered
    if not points:
        shown = ", ".join(map(repr, header[:5])) + ", ..." * (len(header) > 5)
        raise DataError(f"{source} has no columns of coordinates ({shown}); {_EXPECTED}")
    taken = {i for pair in points.values() for i in pair}
    columns = Columns(_image_column(header, rows, taken), points)
    if columns.image in taken:
        raise DataError(f"{source} has no column of image names; put one first, called image")
    for place, name in enumerate(header):
        if place in taken or place == columns.image:
            continue
        for forms, table in ((_VISIBILITY, columns.visibility), (_LIKELIHOOD, columns.likelihood)):
            match = _matched(forms, name)
            if match is not None and match["name"] in points:
                table[match["name"]] = place
                break
        else:
            index = place == 0 and (not name or name.startswith("Unnamed:"))  # as pandas writes
            if not index:
                columns.left_out.append(name or f"column {place + 1}")
    return columns
