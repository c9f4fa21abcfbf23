"""WFLW's lists: 98 points, a box and six attributes of each face, in a line.

A line holds x0 y0 ... x97 y97, x_min y_min x_max y_max, six attributes and the image's name; in the
lists of the test set's subsets there may be no box and no attributes. Coordinates are pixels from
0, centres on integers, as MMPose and HRNet use them; the box holds the pixels from x_min to x_max
(README of https://wywu.github.io/projects/LAB/WFLW.html). Several lines may name one image.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import distinct, require_files, without_extension
from heatkp.data.readers._lines import find_files, first_lines, lines_of, located, numbers_of
from heatkp.data.readers._splits import split_of
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

COUNT = 98
_POINTS, _WHOLE = 2 * COUNT, 2 * COUNT + 4 + 6 + 1
_RIGHT = (*range(16), 33, 34, 35, 36, 37, 38, 39, 40, 41, 60, 61, 62, 63, 64, 65, 66, 67, 55, 56,
          76, 77, 78, 87, 86, 88, 89, 95, 96)  # fmt: skip
_LEFT = (*range(32, 16, -1), 46, 45, 44, 43, 42, 50, 49, 48, 47, 72, 71, 70, 69, 68, 75, 74, 73,
         59, 58, 82, 81, 80, 83, 84, 92, 91, 93, 97)  # fmt: skip
WFLW98 = Skeleton(
    name="wflw98",
    point_names=tuple(f"point_{k}" for k in range(COUNT)),
    pairs=tuple(zip(_LEFT, _RIGHT)),
    lines=(
        tuple(range(33)), (*range(33, 42), 33), (*range(42, 51), 42), tuple(range(51, 55)),
        tuple(range(55, 60)), (*range(60, 68), 60), (*range(68, 76), 68), (*range(76, 88), 76),
        (*range(88, 96), 88),
    ),
    normalisers={"inter-ocular": ((60,), (72,))},
)  # fmt: skip
"""The points of WFLW (Wu et al. 2018); pairs as HRNet exchanges them, the eyes' outer corners."""


class _Face(NamedTuple):
    image: str
    points: npt.NDArray[np.float64]
    box: npt.NDArray[np.float32] | None
    split: str | None


def _is_one(path: Path) -> bool:
    line = next(iter(first_lines(path)), "").split()
    if len(line) not in (_WHOLE, _POINTS + 1):
        return False
    return all(part.replace(".", "", 1).lstrip("-").isdigit() for part in line[:_POINTS])


def _lists(path: Path) -> list[Path]:
    """The lists with boxes and attributes go before those without, of which subsets are made."""
    found = list(find_files(path, ".txt", _is_one))
    whole = [f for f in found if len(first_lines(f)[0].split()) == _WHOLE]
    return whole or found


def _parts(path: Path) -> list[tuple[Path, str | None]] | str:
    """The lists that a path means, each with its split; what to do where they are not one each."""
    found = _lists(path)
    if len(found) < 2:
        return [(file, None) for file in found]
    splits = [split_of(file.stem) for file in found]
    if None in splits or len(set(splits)) < len(splits):
        return f"{path} holds {len(found)} of WFLW's lists: give the path of one"
    return sorted(zip(found, splits), key=lambda part: part[1] != "train")


def _recognise(path: Path) -> bool | str:
    found = _parts(path)
    return found if isinstance(found, str) else bool(found)


def _faces(source: Path, split: str | None) -> list[_Face]:
    faces = []
    for place, line in lines_of(source):
        parts = line.split(maxsplit=_WHOLE - 1)
        if len(parts) != _WHOLE:
            parts = line.split(maxsplit=_POINTS)
        if len(parts) not in (_WHOLE, _POINTS + 1):
            raise DataError(
                f"{place}: {len(line.split())} parts; {_WHOLE} are expected: {COUNT} points, a "
                "box, six attributes and a name"
            )
        points = numbers_of(parts[:_POINTS], place).reshape(COUNT, 2)
        box = None
        if len(parts) == _WHOLE:
            x0, y0, x1, y1 = numbers_of(parts[_POINTS : _POINTS + 4], place)
            if x1 > x0 and y1 > y0:
                box = np.array([x0 - 0.5, y0 - 0.5, x1 + 0.5, y1 + 0.5], np.float32)
        faces.append(_Face(parts[-1], points, box, split))
    return faces


def _image_folders(source: Path) -> list[Path]:
    above = [source.parent, *source.parents[1:4]]
    return [folder / "WFLW_images" for folder in above if (folder / "WFLW_images").is_dir()]


@reader(
    "wflw",
    "WFLW: `list_98pt_rect_attr_train.txt` and `..._test.txt`, as splits",
    recognise=_recognise,
    files="WFLW's list_98pt_*.txt",
    priority=0.46,
    boxes=True,
)
def read_wflw(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All faces of a list of WFLW, or of the two that a folder holds, in their order.

    Raises `DataError` with the line for what does not fit, and where `strict` for images that do
    not exist.
    """
    parts = _parts(path)
    if isinstance(parts, str) or not parts:
        raise DataError(parts or f"{path} holds no list of WFLW")
    faces: list[_Face] = []
    files: list[Path] = []
    notes: list[str] = []
    for source, split in parts:
        own = _faces(source, split)
        if not own:
            raise DataError(f"{source} holds no face")
        found, more = located(source, [f.image for f in own], strict, _image_folders(source))
        if strict:
            require_files(source, found)
        faces, files, notes = faces + own, files + found, [*notes, *more]
        if split is not None:
            notes.append(f"{source.name}: {len(own)} faces for {split}")
    names = [without_extension(face.image) for face in faces]
    visible = np.full(COUNT, Visibility.VISIBLE, np.uint8)
    samples = [
        Sample.of_file(
            ImageFile(file, options),
            face.points.astype(np.float32),
            visible.copy(),
            id=identity,
            box=face.box,
            source_image=name,
            split=face.split,
        )
        for identity, name, file, face in zip(distinct(names), names, files, faces)
    ]
    return Labels(WFLW98, samples, tuple(notes))
