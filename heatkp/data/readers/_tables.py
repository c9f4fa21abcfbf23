"""Tables of text: rows of cells parted by commas, semicolons, tabs or pipes, and their points."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.readers._common import number
from heatkp.errors import DataError
from heatkp.limits import Limit, read_bytes

SEPARATORS = ",;\t|"
COMMENT = "#"
EMPTY = ("", "nan", "na", "n/a", "null", "none", "-")
"""What tools write for a point that is not labelled."""
_DECIMAL_COMMA = re.compile(r"\A([+-]?\d+),(\d+)\Z")


class Row(NamedTuple):
    """A row of a table: where it stands, for errors, and its cells (as many as the header's)."""

    place: str
    cells: list[str]


def read_table(source: Path) -> tuple[list[str], Iterator[Row]]:
    """The header and the rows of a CSV file, without blanks around cells; empty rows, and lines
    that begin with `#`, are skipped, and so are empty columns at the right.

    Row 1 is the first below the header. Raises `DataError`, also while rows are read, for
    what is no CSV file and for rows of another length than the header.
    """
    rows = _rows(source)
    header = next(rows, None)
    if header is None:
        raise DataError(f"{source} is empty: a CSV file starts with a row of column names")
    named = max(i for i, cell in enumerate(header.cells) if cell) + 1

    def checked() -> Iterator[Row]:
        for count, (place, cells) in enumerate(rows, 1):
            where = f"{source}, row {count} ({place})"
            if any(cells[named : len(header.cells)]):
                raise DataError(f"{where} has something in a column without a name")
            if len(cells) < named or any(cells[named:]):
                raise DataError(f"{where} has {len(cells)} cells; the header has {named}")
            yield Row(where, cells[:named])

    return header.cells[:named], checked()


def decoded(content: bytes) -> str:
    """Text as UTF-8, or as Excel saves it: UTF-16 with a mark, or Western Europe's code page."""
    if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
        return content.decode("utf-16")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("cp1252")


def _delimiter(text: str) -> str:
    """What parts a table's columns: the most frequent in its first line, a comma if in doubt."""
    header = next((n for n in text.split("\n") if n.strip() and not n.startswith(COMMENT)), "")
    unquoted = re.sub(r'"[^"]*"', "", header)
    return max(SEPARATORS, key=unquoted.count)


def _rows(source: Path) -> Iterator[Row]:
    try:
        text = decoded(read_bytes(source, Limit.LABEL_BYTES))
        skipped, delimiter = 0, _delimiter(text)
        if text[:4].lower() == "sep=":  # for Excel
            skipped, delimiter = 1, text[4:5]
            text = text.partition("\n")[2]
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True
        )
        for cells in reader:
            stripped = [cell.strip() for cell in cells]
            if any(stripped) and not stripped[0].startswith(COMMENT):
                yield Row(f"line {reader.line_num + skipped}", stripped)
    except (OSError, ValueError, TypeError, csv.Error) as error:
        raise DataError(f"{source} cannot be read as a CSV file: {error}") from None


def decimal(cell: str) -> float | None:
    """A number as spreadsheets write it, with a point or a comma; None for what is none.

    >>> decimal("1.5"), decimal("1,5"), decimal("one")
    (1.5, 1.5, None)
    """
    return number(_DECIMAL_COMMA.sub(r"\1.\2", cell))


def read_points(
    row: Row, columns: Sequence[tuple[int, int]], names: Sequence[str]
) -> npt.NDArray[np.float64]:
    """Points (K, 2) in pixels of a row's (x, y) columns; NaN where both cells are of `EMPTY`.

    Raises `DataError` for other text, and for a point of which only one cell is filled.
    """
    points = np.full((len(columns), 2), np.nan)
    for k, pair in enumerate(columns):
        cells = [row.cells[i] for i in pair]
        empty = [cell.lower() in EMPTY for cell in cells]
        if all(empty):
            continue
        for axis, (cell, without) in enumerate(zip(cells, empty)):
            value = None if without else decimal(cell)
            if value is None:
                raise DataError(
                    f"{row.place}: {'xy'[axis]} of point {names[k]} is {cell!r}; expected pixels, "
                    "or x and y both empty for a point that is not labelled"
                )
            points[k, axis] = value
    return points
