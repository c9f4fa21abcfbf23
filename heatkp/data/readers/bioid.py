"""BioID's `.eye` files: both eyes' centres of the face in the image of the same name.

A header line `#LX LY RX RY`, then four numbers parted by tabs or blanks; left is the subject's.
They are taken as they are: whether pixels count from 0 or 1 is not documented
(https://www.bioid.com/facedb/). The 20 points of the same faces (FGnet) are `.pts` files, see
`pts`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    require_files,
    visible_where_given,
    without_extension,
)
from heatkp.data.readers._lines import find_files, lines_of, numbers_of
from heatkp.data.readers.pts import find_by_stem
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import named

_NAMES = ("left_eye", "right_eye")


def parse_eye(path: Path) -> list[list[float]]:
    """The left and the right eye. Raises `DataError` for what does not fit."""
    lines = [(place, line) for place, line in lines_of(path) if not line.startswith("#")]
    if len(lines) != 1 or len(lines[0][1].split()) != 4:
        raise DataError(f"{path}: one line of four numbers is expected: LX LY RX RY")
    place, line = lines[0]
    found: list[list[float]] = numbers_of(line.split(), place).reshape(2, 2).tolist()
    return found


def _files(path: Path) -> list[Path]:
    return list(find_files(path, ".eye", lambda file: True))


@reader(
    "bioid",
    "BioID's `.eye` files: the eyes of the face in the image beside it",
    recognise=lambda path: bool(_files(path)),
    files="BioID's .eye files",
    priority=0.35,
)
def read_bioid(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All .eye files of a folder and those below it, by name; or a single one.

    Raises `DataError` for what does not fit, and where `strict` for a file without an image.
    """
    labels = _files(path)
    if not labels:
        raise DataError(f"{path} holds no .eye files, nor do the folders in it")
    root = path if path.is_dir() else path.parent
    images, notes = find_by_stem(labels, root, path.is_dir())
    if strict:
        require_files(path, images)
    names = [label.relative_to(root).as_posix() for label in labels]
    samples = []
    for identity, label, image in zip(distinct(map(without_extension, names)), labels, images):
        points, visibility = visible_where_given(np.array(parse_eye(label)))
        samples.append(Sample.of_file(ImageFile(image, options), points, visibility, id=identity))
    return Labels(named("eyes", _NAMES), samples, tuple(notes))
