"""The ISBI 2015 cephalometric X-rays: 19 points, by two doctors, in a text file an image.

A file holds 19 lines `x,y`, whole pixels from the upper left corner, and then classes, which are no
points (http://www-o.ntust.edu.tw/~cweiwang/ISBI2015/challenge1/; whether pixels count from 0 or 1
is not documented: they are taken as they are). `AnnotationsByMD/400_senior` and `400_junior` label
the same images, in `RawImage/TrainingData` and elsewhere; the mean of both is what is learned, as
usual. The points, in order: sella, nasion, orbitale, porion, subspinale, supramentale, pogonion,
menton, gnathion, gonion, lower and upper incisal incision, upper and lower lip, subnasale, soft
tissue pogonion, posterior and anterior nasal spine, articulare.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import numbered_skeleton, require_files
from heatkp.data.readers._lines import find_files, first_lines, lines_of, numbers_of
from heatkp.data.readers.pts import find_by_stem
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.text import printable

COUNT = 19
_POINT = re.compile(r"-?\d+(\.\d+)?\s*,\s*-?\d+(\.\d+)?")
_FOLDER = "annotationsbymd"
_SPLITS = {"trainingdata": "train", "test1data": "test", "test2data": "test"}


def _is_one(path: Path) -> bool:
    lines = first_lines(path)
    return len(lines) >= COUNT and all(_POINT.fullmatch(line) for line in lines[:COUNT])


def parse_isbi(path: Path) -> npt.NDArray[np.float64]:
    """Points (19, 2) of a file, as it has them. Raises `DataError` with the line."""
    lines = lines_of(path)
    if len(lines) < COUNT:
        raise DataError(f"{path} has {len(lines)} lines; {COUNT} points 'x,y' are expected")
    points = []
    for place, line in lines[:COUNT]:
        parts = line.split(",")
        if len(parts) != 2:
            raise DataError(f"{place}: expected 'x,y', found {line[:60]!r}")
        points.append(numbers_of(parts, place))
    return np.array(points)


def _by_stem(path: Path) -> dict[str, list[Path]]:
    """The files of each X-ray, of both doctors; of one X-ray where the path is a file."""
    if not path.is_dir():
        folders = [f for f in path.parent.parent.iterdir() if f.is_dir()]
        same = [folder / path.name for folder in sorted(folders)]
        return {path.stem: [f for f in same if f == path or (f.is_file() and _is_one(f))]}
    found: dict[str, list[Path]] = {}
    for file in find_files(path, ".txt", _is_one):
        found.setdefault(file.stem, []).append(file)
    return dict(sorted(found.items()))


def _recognise(path: Path) -> bool:
    return next(find_files(path, ".txt", _is_one), None) is not None


@reader(
    "isbi",
    "ISBI 2015's cephalometric X-rays: a `.txt` of 19 points for each, mean of both doctors",
    recognise=_recognise,
    files="ISBI's cephalometric .txt files",
    priority=0.42,
)
def read_isbi(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All X-rays below a folder, by name, or that of one file; each with the mean of the files
    of its name.

    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    groups = _by_stem(path)
    if not groups:
        raise DataError(f"{path} holds no text files of {COUNT} points 'x,y'")
    labels = [files[0] for files in groups.values()]
    own = path.parent.parent  # of one file: its data set, where it lies as ISBI's do
    known = own.name.lower() == _FOLDER
    root = path if path.is_dir() else own.parent if known else path.parent
    images, notes = find_by_stem(labels, root, deep=path.is_dir() or known)
    if strict:
        require_files(path, images)
    every = [np.array([parse_isbi(file) for file in files]) for files in groups.values()]
    samples = []
    for stem, points, image in zip(groups, every, images):
        samples.append(
            Sample.of_file(
                ImageFile(image, options),
                points.mean(0).astype(np.float32),
                np.full(COUNT, Visibility.VISIBLE, np.uint8),
                id=printable(stem),
                split=_SPLITS.get(image.parent.name.lower()),
            )
        )
    both = [points for points in every if len(points) > 1]
    if both:
        apart = [np.hypot(*(points - points.mean(0)).transpose(2, 0, 1)).mean() for points in both]
        notes.append(
            f"X-rays of which the mean of {max(map(len, both))} doctors is taken, who are "
            f"{2 * np.mean(apart):.2g} pixels apart: {len(both)} of {len(every)}"
        )
    return Labels(numbered_skeleton(COUNT), samples, tuple(notes))
