"""Readers: one module per format, each giving a skeleton and its samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heatkp.data.checks.placeholders import without_placeholders
from heatkp.data.images import STORED, ImageOptions
from heatkp.data.mirroring import with_positions
from heatkp.data.readers.coco import read_coco
from heatkp.data.readers.common import files_of_type, walk
from heatkp.data.readers.csv_table import read_csv
from heatkp.data.readers.imglab import read_imglab
from heatkp.data.readers.imm import read_imm
from heatkp.data.readers.kaggle15 import is_kaggle15, read_kaggle15
from heatkp.data.readers.pts import read_pts
from heatkp.data.samples import Labels
from heatkp.errors import DataError

READERS: dict[str, Callable[[Path, bool], Labels]] = {
    "coco": read_coco,
    "imm": read_imm,
    "imglab": read_imglab,
    "pts": read_pts,
    "csv": read_csv,
    "kaggle15": read_kaggle15,
}
_ORIGINS = {"pts": 1.0}
"""What files call the centre of the first pixel, where that is not 0."""
_SUFFIXES = {".json": "coco", ".xml": "imglab", ".csv": "csv"}
"""Formats of one file, in the order in which a folder is searched for it."""


_OF_SIZE: dict[str, Callable[[Path, bool, ImageOptions], Labels]] = {"imm": read_imm}
"""Those whose coordinates are fractions of the image, so that its size as it is read counts."""


def recognise(path: Path) -> str:
    """The name of the format that a path holds, by names of files and a CSV file's first line.

    Raises `DataError` where it is none.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    hint = ""
    if path.is_dir():
        if files_of_type(path, ".asf"):
            return "imm"
        for suffix, name in _SUFFIXES.items():
            found = files_of_type(path, suffix)
            if len(found) == 1:
                return "kaggle15" if suffix == ".csv" and is_kaggle15(found[0]) else name
            if found:
                hint = f" (it holds {len(found)} {suffix} files: give the path of one)"
        if any(name.lower().endswith(".pts") for _, names in walk(path, False) for name in names):
            return "pts"
    else:
        suffix = path.suffix.lower()
        if suffix == ".pts":
            return "pts"
        if suffix in _SUFFIXES:
            return "kaggle15" if suffix == ".csv" and is_kaggle15(path) else _SUFFIXES[suffix]
    raise DataError(
        f"{path} holds no known format{hint}: wanted a COCO .json file (coco), dlib's .xml "
        "(imglab), a .csv table (csv), Kaggle's training.csv or test.csv (kaggle15), a folder "
        "of .pts files beside photos (pts) or of .asf files (imm); name it with data.format"
    )


def read(
    path: Path, format: str = "auto", strict: bool = True, options: ImageOptions = STORED
) -> Labels:
    """The labels of a path in one of `READERS`' formats, or in whatever it holds.

    `options` say how the images will be read. Points at placeholders such as (-1, -1) are not
    labelled; a note counts them. Raises `DataError` for what does not fit. Without `strict`,
    samples whose image is missing are read, too: it then fails when it is asked for.
    """
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    name = recognise(path) if format == "auto" else format
    of_size = _OF_SIZE.get(name)
    labels = of_size(path, strict, options) if of_size else READERS[name](path, strict)
    labels = without_placeholders(labels, _ORIGINS.get(name, 0.0))
    labels = labels._replace(samples=[s.read_with(options) for s in labels.samples])
    return with_positions(labels)
