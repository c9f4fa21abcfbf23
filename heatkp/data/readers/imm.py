"""The IMM Face Database: one `.asf` file (AAM shape file) beside each image, 58 points."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.coordinates import denormalise
from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import files_of_type
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text
from heatkp.skeletons import FACE58

_NAME = re.compile(r"(?P<person>\d+)-\d+[mf]$", re.IGNORECASE)


def parse_asf(path: Path) -> tuple[npt.NDArray[np.float64], str]:
    """Points (58, 2) as fractions of width and height, and the name of the image.

    Raises `DataError` with the line for whatever does not fit.
    """
    try:
        text = read_text(path, Limit.LABEL_BYTES)
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    lines = [
        (number, line.strip())
        for number, line in enumerate(text.splitlines(), 1)
        if line.strip() and not line.strip().startswith("#")
    ]
    if not lines:
        raise DataError(f"{path} is empty: an .asf file starts with the number of points")
    number, first = lines[0]
    if not first.isdigit():
        raise DataError(f"{path}, line {number}: expected the number of points, found {first!r}")
    count = int(first)
    if count != len(FACE58):
        raise DataError(f"{path}, line {number}: has {count} points; IMM faces have {len(FACE58)}")
    if len(lines) != count + 2:
        raise DataError(
            f"{path}: {max(len(lines) - 2, 0)} of {count} point lines and an image name expected "
            f"after the count; the file is cut off or has extra lines"
        )
    points = np.full((count, 2), np.nan)
    for number, line in lines[1:-1]:
        parts = line.split()
        try:
            x, y, index = float(parts[2]), float(parts[3]), int(parts[4])
        except (IndexError, ValueError):
            raise DataError(
                f"{path}, line {number}: expected 'path type x y point from to', found {line!r}"
            ) from None
        if not 0 <= index < count or not np.isnan(points[index, 0]):
            raise DataError(f"{path}, line {number}: point {index} is out of range or twice")
        if not (np.isfinite(x) and np.isfinite(y)):
            raise DataError(f"{path}, line {number}: point {index} has a coordinate {x}, {y}")
        points[index] = x, y
    return points, lines[-1][1]


def _sample(path: Path, strict: bool, options: ImageOptions) -> Sample:
    fractions, host = parse_asf(path)
    places = [path.parent / host, *(path.with_suffix(end) for end in (".jpg", ".JPG"))]
    image_path = next((place for place in places if place.is_file()), places[1])
    if strict and not image_path.is_file():
        raise DataError(f"{path} names the image {host!r}, which is not beside it")
    image = ImageFile(image_path, options)
    visibility = np.full(len(FACE58), Visibility.VISIBLE, np.uint8)
    try:
        height, width = image().shape[:2]
    except DataError:
        if strict:
            raise
        width = height = 0  # without the image, fractions are no pixels
        visibility[:] = Visibility.NOT_LABELLED
        fractions[:] = np.nan
    match = _NAME.match(path.stem)
    return Sample(
        id=path.stem,
        image=image,
        points=denormalise(fractions, width, height).astype(np.float32),
        visibility=visibility,
        person=match["person"] if match else path.stem,
        file=image_path,
    )


def _recognise(path: Path) -> bool:
    return path.is_dir() and bool(files_of_type(path, ".asf"))


@reader(
    "imm",
    "the [IMM Face Database](http://www2.imm.dtu.dk/pubdb/pubs/3160-full.html) (`.asf`)",
    recognise=_recognise,
    files="a folder of .asf files",
    priority=0.9,
    of_size=True,
)
def read_imm(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All labelled images of a folder, by name, or that of one `.asf` file. Every image is
    decoded once, to find bad ones.

    Coordinates are fractions of the image as `options` read it.

    Raises `DataError` naming the first file that is not right; images that are missing or
    damaged are so where `strict`, and else have no labelled points.
    """
    paths = files_of_type(path, ".asf") if path.is_dir() else [path]
    if not paths:
        raise DataError(f"{path} holds no .asf files")
    samples = [_sample(path, strict, options) for path in paths]
    lost = sum(not (s.visibility > 0).any() for s in samples)
    note = f"{lost} images are missing or damaged: without them their labels are no pixels"
    return Labels(FACE58, samples, (note,) if lost else ())
