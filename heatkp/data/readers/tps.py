"""TPS files of geometric morphometrics (tpsDig, geomorph): landmarks of a specimen after another.

    LM=4
    20.5 35.5
    ...
    IMAGE=img001.png
    ID=0
    SCALE=0.02

`LM` is the number of landmarks, whose lines follow; the other keys may come in any order and case.
tpsDig's y counts up from the image's lower left corner, so that a point of an image of height H is
at (x - 0.5, H - y - 0.5): ml-morph reads them as y = H - y (https://github.com/agporto/ml-morph,
utils.py), half pixels are not documented. `data.y_up=false` reads y downwards. A landmark with a
negative coordinate (tpsDig, https://rdrr.io/cran/geomorph/man/readland.tps.html), with `NA` or at
(0, 0) is not labelled. Curves and outlines (`CURVES`, `POINTS`) are left out, `SCALE` changes
nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    layout,
    only_file,
    require_files,
    source_images,
    visible_where_given,
    without_extension,
)
from heatkp.data.readers._lines import lines_of, located
from heatkp.data.readers._tables import EMPTY, decimal
from heatkp.data.readers._upwards import from_below
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError

_KEY = re.compile(r"([A-Za-z][A-Za-z0-9_ ]*?)\s*=\s*(.*)", re.DOTALL)
_IMAGE = re.compile(r".+\.(jpe?g|png|bmp|tiff?|webp|gif|jp2)", re.IGNORECASE)


@dataclass
class _Specimen:
    place: str
    count: int
    points: list[npt.NDArray[np.float64]] = field(default_factory=list)
    keys: dict[str, str] = field(default_factory=dict)
    curves: int = 0

    @property
    def image(self) -> str:
        """The name of the image: of `IMAGE`, or an `ID` that is the name of an image file."""
        identity = self.keys.get("ID", "")
        return self.keys.get("IMAGE", "") or (identity if _IMAGE.fullmatch(identity) else "")


def _count(text: str, place: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 7):
        raise DataError(f"{place}: {text[:40]!r} is no number of landmarks")
    return int(text)


def _point(line: str, place: str) -> npt.NDArray[np.float64]:
    """x and y as the file counts them; NaN for a landmark that is missing."""
    parts = line.split()
    values = [np.nan if p.lower() in EMPTY else decimal(p) for p in parts]
    if len(values) != 2 or any(v is None for v in values):
        raise DataError(f"{place}: expected 'x y' of a landmark, found {line[:60]!r}")
    point = np.array(values, np.float64)
    missing = np.isnan(point).any() or point.min() < 0 or not point.any()
    return np.full(2, np.nan) if missing else point


def _specimens(source: Path) -> Iterator[_Specimen]:
    """Raises `DataError` with the line for what does not fit."""
    specimen: _Specimen | None = None
    left = 0  # lines of points that still belong to a curve
    for place, line in lines_of(source):
        entry = _KEY.fullmatch(line)
        key = entry[1].upper() if entry else ""
        if specimen is not None and len(specimen.points) < specimen.count:
            if entry:
                raise DataError(
                    f"{place}: {specimen.count} landmarks are announced ({specimen.place}), only "
                    f"{len(specimen.points)} follow"
                )
            specimen.points.append(_point(line, place))
        elif entry and key == "LM3":
            raise DataError(f"{place}: LM3 are landmarks in three dimensions; images have two")
        elif entry and key == "LM":
            if specimen is not None:
                yield specimen
            specimen, left = _Specimen(place, _count(entry[2], place)), 0
        elif specimen is None:
            raise DataError(f"{place}: {line[:60]!r} comes before any LM=")
        elif entry and key == "POINTS":
            left = _count(entry[2], place)
            specimen.curves += left
        elif entry:
            specimen.keys.setdefault(key, entry[2].strip())
        elif left:
            _point(line, place)
            left -= 1
        else:
            raise DataError(f"{place}: {line[:60]!r} follows {specimen.count} landmarks")
    if specimen is not None:
        if len(specimen.points) < specimen.count:
            raise DataError(f"{specimen.place}: its landmarks are cut off at the file's end")
        yield specimen


def _notes(specimens: list[_Specimen], labelled: list[_Specimen]) -> list[str]:
    notes = []
    if len(labelled) < len(specimens):
        notes.append(f"specimens without landmarks, left out: {len(specimens) - len(labelled)}")
    curves = sum(s.curves for s in labelled)
    if curves:
        notes.append(f"points of curves and outlines, left out: {curves}")
    missing = sum(int(np.isnan(p).any()) for s in labelled for p in s.points)
    if missing:
        notes.append(f"landmarks that are negative, NA or at (0, 0), not labelled: {missing}")
    return notes


@reader(
    "tps",
    "TPS files of tpsDig and geomorph, y counting upwards; one file",
    suffix=".tps",
    priority=0.5,
    unlabelled="negative, NA or (0, 0)",
    y_up=True,
)
def read_tps(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All specimens of a TPS file (or of the folder that holds just one), in its order.

    The images' sizes are read from their headers. Raises `DataError` with the line for what does
    not fit, for specimens that disagree in their number of landmarks, and where `strict` for
    images that do not exist.
    """
    source = only_file(path, ".tps")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, .tps file")
    specimens = list(_specimens(source))
    labelled = [s for s in specimens if s.count]
    if not labelled:
        raise DataError(f"{source} holds no landmarks: no specimen has LM= and points")
    first = labelled[0]
    for specimen in labelled:
        if specimen.count != first.count:
            raise DataError(
                f"{specimen.place}: {specimen.count} landmarks, but {first.count} before: all "
                "specimens of a file must have the same"
            )
        if not specimen.image:
            raise DataError(f"{specimen.place}: the specimen names no image (IMAGE=)")
    names = [s.image for s in labelled]
    files, elsewhere = located(source, names, strict)
    if strict:
        require_files(source, files)
    skeleton, _ = layout([str(k + 1) for k in range(first.count)])
    samples = []
    for identity, original, file, specimen in zip(
        distinct(map(without_extension, names)), source_images(names), files, labelled
    ):
        points, visibility = visible_where_given(np.array(specimen.points))
        image = ImageFile(file, options)
        samples.append(
            Sample.of_file(image, points, visibility, id=identity, source_image=original)
        )
    upright, lost = from_below(samples, options.orient)
    return Labels(skeleton, upright, (*_notes(specimens, labelled), *elsewhere, *lost))
