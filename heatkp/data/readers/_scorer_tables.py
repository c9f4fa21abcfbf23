"""Tables with the header rows scorer, bodyparts, coords, as DeepLabCut and Lightning Pose write.

Projects of several animals have a row `individuals` after the first. A row is an image, whose name
is in the first column, or its folders and name in the first three. Coordinates are pixels with
centres on integers.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.readers._common import FURTHEST
from heatkp.data.readers._tables import EMPTY, Row, decimal, read_points, read_table
from heatkp.errors import DataError

HEADER = ("scorer", "individuals", "bodyparts", "coords")
LABEL_DATA = "labeled-data"
"""The folder of the images in both tools' projects."""
_START = re.compile(rb'(?:\xef\xbb\xbf)?"?scorer"?\s*[,;\t|]', re.IGNORECASE)
_LONGEST = 1 << 20
"""Bytes of a header row."""

Key = tuple[str, str]
"""An individual, empty where there is just one, and a point."""
Floats = npt.NDArray[np.float64]


class ScorerTable(NamedTuple):
    """The labels of one file: N images, K points (of all individuals).

    Attributes:
        source: the file.
        keys: K individuals and points.
        images: N names of images, with slashes.
        points: (N, K, 2) pixels, NaN where not labelled.
        codes: (N, K) COCO's codes, NaN where the file says nothing.
        notes: a line for each kind of thing that was left out.
    """

    source: Path
    keys: list[Key]
    images: list[str]
    points: Floats
    codes: Floats
    notes: tuple[str, ...] = ()

    @property
    def individuals(self) -> list[str]:
        return list(dict.fromkeys(individual for individual, _ in self.keys))


def is_scorer_table(path: Path) -> bool:
    """Whether a CSV file's first rows are such a header; looks at those alone."""
    try:
        with path.open("rb") as file:
            if not _START.match(file.readline(_LONGEST)):
                return False
            return any(file.readline(_LONGEST).lstrip(b'"')[:6] == b"coords" for _ in range(3))
    except OSError:
        return False


class _Columns(NamedTuple):
    """Places of columns: x and y of each point, and those of `visible` and `likelihood`."""

    points: dict[Key, tuple[int, int]]
    visible: dict[Key, int]
    likelihood: dict[Key, int]
    left_out: list[str]


def columns_of(names: Sequence[Sequence[str]], source: Path) -> _Columns:
    """What columns hold by their names: (scorer, [individual,] point, coordinate) each.

    Raises `DataError` for columns that are there twice, an x without its y, several scorers.
    """
    scorers = list(dict.fromkeys(name[0] for name in names))
    if len(scorers) > 1:
        raise DataError(
            f"{source} has labels of {len(scorers)} scorers ({', '.join(scorers[:4])}); write a "
            "file for each"
        )
    found: dict[Key, dict[str, int]] = {}
    for place, name in enumerate(names):
        coordinate = name[-1].lower()
        axes = found.setdefault((name[1] if len(name) == 4 else "", name[-2]), {})
        if coordinate in axes:
            raise DataError(f"{source}: column {place + 1}, {'/'.join(name)}, is there twice")
        axes[coordinate] = place
    columns = _Columns({}, {}, {}, [])
    for key, axes in found.items():
        if "x" not in axes or "y" not in axes:
            raise DataError(
                f"{source}: point {key[1]!r} has columns {', '.join(axes)}; expected x and y"
            )
        columns.points[key] = axes["x"], axes["y"]
        for told, table in (("visible", columns.visible), ("likelihood", columns.likelihood)):
            if told in axes:
                table[key] = axes[told]
        columns.left_out.extend(axes.keys() - {"x", "y", "visible", "likelihood"})
    if not columns.points:
        raise DataError(f"{source} has no columns of points below its header")
    return columns


def _header(rows: Iterator[Row], first: list[str], source: Path) -> list[list[str]]:
    """The header's rows, of HEADER, by their first cells."""
    header = [first]
    for row in rows:
        header.append(row.cells)
        if row.cells[0].lower() == HEADER[-1]:
            names = tuple(cells[0].lower() for cells in header)
            if names in (HEADER, (HEADER[0], *HEADER[2:])):
                return header
            break
        if len(header) == len(HEADER):
            break
    found = ", ".join(repr(cells[0]) for cells in header)
    raise DataError(
        f"{source} is none of DeepLabCut's tables: its rows begin with {found}; expected scorer, "
        "bodyparts, coords, with individuals after the first of several animals"
    )


def read_scorer_csv(source: Path) -> ScorerTable:
    """A CSV file's table. Raises `DataError` with the row for what does not fit."""
    first, rows = read_table(source)
    header = _header(rows, first, source)
    index = next((i for i, cell in enumerate(header[-1]) if i and cell), len(header[-1]))
    columns = columns_of(list(zip(*(cells[index:] for cells in header))), source)
    pairs = [(x + index, y + index) for x, y in columns.points.values()]
    names = [part for _, part in columns.points]
    images, points, codes, likely = [], [], [], []
    for row in rows:
        image = image_name(row.cells[:index])
        if not image and not any(row.cells[index:]):  # pandas' row of the index's names
            continue
        check_image(image, row.place, bool(columns.likelihood))
        images.append(image)
        points.append(read_points(row, pairs, names))
        codes.append([_code(row, columns.visible.get(key), index) for key in columns.points])
        likely.append([_likely(row, columns.likelihood.get(key), index) for key in columns.points])
    shape = (len(images), len(pairs))
    return _made(
        source,
        columns,
        images,
        np.array(points, np.float64).reshape(*shape, 2),
        np.array(codes, np.float64).reshape(shape),
        np.array(likely, np.float64).reshape(shape),
    )


def _code(row: Row, column: int | None, index: int) -> float:
    cell = "" if column is None else row.cells[index + column].lower()
    if cell in EMPTY:
        return np.nan
    value = decimal(cell)
    if value not in (0, 1, 2):
        raise DataError(
            f"{row.place}: visible is {cell!r}; expected 0 (not labelled), 1 (occluded) or 2 "
            "(visible)"
        )
    return value


def _likely(row: Row, column: int | None, index: int) -> float:
    """The likelihood in a cell, 1 where there is no such column, 0 where it is empty."""
    return 1.0 if column is None else decimal(row.cells[index + column]) or 0.0


def image_name(cells: Sequence[str]) -> str:
    r"""The name of an image in one cell or its parts in several, with slashes.

    >>> image_name(["labeled-data", "video", "img1.png"]), image_name(["labeled-data\\a.png"])
    ('labeled-data/video/img1.png', 'labeled-data/a.png')
    """
    return "/".join(cell for cell in cells if cell).replace("\\", "/")


def check_image(image: str, place: str, predicted: bool) -> None:
    """Raises `DataError` for a row that names no image."""
    if not image:
        raise DataError(f"{place}: no image is named in the first column")
    if not image.isdigit():
        return
    what = "a tool's predictions for a video, not labels" if predicted else "of no image file"
    raise DataError(
        f"{place} has a number, {image}, where the image's name is expected: these are {what}; "
        "give the CollectedData file"
    )


def from_values(
    source: Path, names: Sequence[Sequence[str]], images: list[str], values: Floats
) -> ScorerTable:
    """The table of numbers (N, C) whose columns and rows have these names.

    Raises `DataError` for what does not fit.
    """
    columns = columns_of(names, source)
    for number, image in enumerate(images, 1):
        check_image(image, f"{source}, row {number}", bool(columns.likelihood))
    places = np.array(list(columns.points.values()), np.int64).reshape(-1, 2)
    points = values[:, places]
    bad = np.isfinite(points).any(2) & ~(np.abs(points) <= FURTHEST).all(2)
    if bad.any():
        row, k = (int(i[0]) for i in np.nonzero(bad))
        raise DataError(
            f"{source}, row {row + 1} ({images[row]}): point {list(columns.points)[k][1]} is at "
            f"{points[row, k].tolist()}; expected pixels, or x and y both NaN"
        )

    def told(table: Mapping[Key, int], default: float) -> Floats:
        one = np.full(len(values), default)
        return np.stack([values[:, table[k]] if k in table else one for k in columns.points], 1)

    likely = np.nan_to_num(told(columns.likelihood, 1.0))
    return _made(source, columns, images, points, told(columns.visible, np.nan), likely)


def _made(
    source: Path,
    columns: _Columns,
    images: list[str],
    points: Floats,
    codes: Floats,
    likely: Floats,
) -> ScorerTable:
    """The table, with what is not labelled as NaN, and notes of what that changed."""
    if not images:
        raise DataError(f"{source} holds no labelled image: a header but no rows")
    notes = []
    given = np.isfinite(points).all(2)
    without = given & ((likely == 0) | (codes == 0))
    unplaced = int((~given & (codes > 0)).sum())
    if unplaced:
        notes.append(
            f"{source.name}: points that are marked as visible or occluded but have no coordinates "
            f"count as not labelled: {unplaced}"
        )
    if columns.likelihood:
        notes.append(
            f"{source.name} has likelihoods, as predictions have: "
            f"{int((given & (likely == 0)).sum())} points of likelihood 0 are not labelled, the "
            "others are read as labels"
        )
    if columns.left_out:
        kinds = ", ".join(sorted(set(columns.left_out)))
        notes.append(f"{source.name}: columns left out: {len(columns.left_out)} ({kinds})")
    points = np.where(without[:, :, None], np.nan, points)
    return ScorerTable(source, list(columns.points), images, points, codes, tuple(notes))
