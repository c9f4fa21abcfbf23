"""Readers: each gives the skeleton and the samples of one format. One format a file.

To add one, put a file here that decorates its function with `reader`; other packages name
theirs in the entry points `heatkp.readers`.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from heatkp.data.checks.placeholders import without_placeholders
from heatkp.data.images import STORED, ImageOptions
from heatkp.data.layouts import AUTO, with_layout
from heatkp.data.mirroring import with_positions
from heatkp.data.readers._base import Read, Reader, one_file, reader
from heatkp.data.readers._common import is_pattern
from heatkp.data.readers._first_pixel import counted_from
from heatkp.data.readers._upwards import turned_over
from heatkp.data.samples import Labels
from heatkp.errors import DataError
from heatkp.registry import READERS

__all__ = ["READERS", "Read", "Reader", "one_file", "read", "reader", "recognise"]


def recognise(path: Path) -> str:
    """The name of the format that a path holds, by names of files and a few bytes of them.

    Raises `DataError` where it is none.
    """
    pattern = _require_there(path)
    loaded, hints = READERS.load_all()  # a broken package is named where nothing is recognised
    readers: list[Reader] = sorted(loaded.values(), key=lambda r: -r.priority)
    readers = [r for r in readers if r.patterns or not pattern]
    for found in readers:
        try:
            answer = found.recognise(path)
        except Exception as error:  # whatever another package's code raises
            answer = f"{found.name}: {type(error).__name__}: {error}"
        if answer is True:
            return found.name
        if answer and answer not in hints:
            hints.append(answer)
    hint = f" ({'; '.join(hints)})" if hints else ""
    known = ", ".join(sorted(r.name for r in readers))
    raise DataError(
        f"{path} holds no known format{hint}: name it with data.format, of {known} "
        "(`docs/labels.md` says what their files look like)"
    )


def _require_there(path: Path) -> bool:
    """Whether a path names several files by braces. Raises `DataError` where it names nothing."""
    pattern = is_pattern(path)
    if not pattern and not path.exists():
        raise DataError(f"there is no file or folder {path}")
    return pattern


@contextmanager
def _uncollected() -> Iterator[None]:
    """Readers make many objects that stay, which the search for cycles would look through again
    and again (benchmarks/reading.md)."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


def read(
    path: Path,
    format: str = "auto",
    strict: bool = True,
    options: ImageOptions = STORED,
    y_up: bool | None = None,
    layout: str = AUTO,
    first_pixel: float | None = None,
) -> Labels:
    """The labels of a path in one of `READERS`' formats, or in whatever it holds.

    Points at placeholders such as (-1, -1) are not labelled; a note counts them.

    Args:
        strict: without it, samples whose image is missing are read, too: it then fails when it is
            asked for.
        options: how the images will be read.
        y_up: whether the file counts y from the images' lower edge; None: as its format does.
        first_pixel: what points call the centre of the first pixel; None: what their format does.
        layout: which known layout numbered points are, see `with_layout`.

    Raises `DataError` for what does not fit, and `SettingsError` for a format that is none, a
    layout that has another number of points, or a first pixel where pixels are not counted.
    """
    pattern = _require_there(path)
    chosen: Reader = READERS[recognise(path) if format == "auto" else format]
    if pattern and not chosen.patterns:
        raise DataError(f"there is no file or folder {path}")
    with _uncollected():
        found = chosen.read(path, strict, options)
        labels = without_placeholders(found, chosen.origin)
    if y_up is not None and y_up != chosen.y_up:
        labels = turned_over(labels, y_up, options.orient)
    if first_pixel is not None:
        upwards = chosen.y_up if y_up is None else y_up
        labels = counted_from(labels, chosen, first_pixel, upwards)
    labels = labels._replace(samples=[s.read_with(options) for s in labels.samples])
    empty = [s.read_with(options) for s in found.empty]
    return with_positions(with_layout(labels, layout)).with_empty(empty)
