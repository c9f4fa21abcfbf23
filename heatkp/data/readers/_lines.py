"""Text files of numbers: their lines, and finding such files by a few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.readers._common import number, walk
from heatkp.data.readers._places import locate
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text

LOOKED_AT = 4096
"""Bytes of a file that are read to tell what it is."""
DEEPEST = 4
"""Folders below a given one in which files are looked for."""


def lines_of(path: Path) -> list[tuple[str, str]]:
    """The lines that are not empty, without blanks around them, each after where it stands.

    Raises `DataError` for a file that is no text.
    """
    try:
        text = read_text(path, Limit.LABEL_BYTES, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    numbered = ((f"{path}, line {i}", n.strip()) for i, n in enumerate(text.splitlines(), 1))
    return [(place, line) for place, line in numbered if line]


def first_lines(path: Path, size: int = LOOKED_AT) -> list[str]:
    """The whole lines at the start of a file, without blanks around; none of what is no text."""
    try:
        with path.open("rb") as file:
            content = file.read(size)
        text = content.decode("utf-8-sig", "ignore")
    except OSError:
        return []
    if "\0" in text:
        return []
    lines = text.splitlines() if len(content) < size else text.splitlines()[:-1]
    return [line.strip() for line in lines if line.strip()]


def find_files(
    path: Path, suffix: str, accept: Callable[[Path], bool], deepest: int = DEEPEST
) -> Iterator[Path]:
    """Files of a type in a folder and those below it, by name; the path itself where it is one."""
    if not path.is_dir():
        if path.suffix.lower() == suffix and accept(path):
            yield path
        return
    depth = len(path.parts)
    for folder, names in walk(path, predictions=False):
        if len(folder.parts) - depth > deepest:
            continue
        for name in names:
            if name.lower().endswith(suffix) and accept(folder / name):
                yield folder / name


def numbers_of(parts: Sequence[str], place: str) -> npt.NDArray[np.float64]:
    """Numbers of pixels. Raises `DataError` for text that is none."""
    values = []
    for part in parts:
        value = number(part)
        if value is None:
            raise DataError(f"{place}: {part[:40]!r} is no number of pixels")
        values.append(value)
    return np.array(values, np.float64)


def located(
    source: Path,
    names: Sequence[str],
    strict: bool,
    folders: Sequence[Path] = (),
) -> tuple[list[Path], tuple[str, ...]]:
    """As `locate`, for names that a whole file gives."""
    found = locate(source, names, [str(source)] * len(names), strict, folders)
    return found.files, found.notes
