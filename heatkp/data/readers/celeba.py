"""CelebA's lists: five points of each face in `list_landmarks_align_celeba.txt`.

The first line is the number of images, the second names the columns, then an image a line: its
name, and whole pixels from the image's upper left corner, taken as they are; whether they count
from 0 is not documented (http://mmlab.ie.cuhk.edu.hk/projects/CelebA.html). `lefteye` is the eye on
the left of the image, which is the subject's right one. `list_eval_partition.txt` (0 train, 1 val,
2 test) gives the split, `identity_CelebA.txt` the person, `list_bbox_celeba.txt` the boxes of the
images in the wild, where these files are there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import distinct, number, require_files, without_extension
from heatkp.data.readers._lines import find_files, first_lines, lines_of, located, numbers_of
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

NAMES = ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
_COLUMNS = [f"{name}_{axis}" for name in NAMES for axis in "xy"]
_SPLITS = {"0": "train", "1": "val", "2": "test"}
_ALIGNED = ("img_align_celeba", "img_align_celeba_png")
_WILD = ("img_celeba",)
CELEBA5 = Skeleton(
    name="celeba5",
    point_names=NAMES,
    pairs=((1, 0), (4, 3)),  # the subject's left is on the right of the image
    normalisers={"inter-pupil": ((0,), (1,))},
)


def _is_one(path: Path) -> bool:
    lines = first_lines(path)
    return len(lines) > 1 and lines[0].isdigit() and lines[1].lower().split() == _COLUMNS


def _file(path: Path) -> Path | None:
    """The list of aligned images goes before that of the same images in the wild."""
    found = list(find_files(path, ".txt", _is_one, deepest=2))
    aligned = [file for file in found if "align" in file.name.lower()]
    found = aligned if len(aligned) == 1 else found
    return found[0] if len(found) == 1 else None


def _root(source: Path) -> Path:
    return source.parent.parent if source.parent.name.lower() == "anno" else source.parent


def _beside(source: Path, *names: str) -> Path | None:
    """A list that belongs to the landmarks: beside them, or in `Eval` or `Anno`."""
    root = _root(source)
    places = [folder / n for folder in (source.parent, root / "Eval", root / "Anno", root)
              for n in names]  # fmt: skip
    return next((place for place in places if place.is_file()), None)


def _rows(path: Path, cells: int) -> Iterator[tuple[str, str, list[str]]]:
    """Where each line stands, the image's name, and its cells; without a count and a header."""
    for i, (place, line) in enumerate(lines_of(path)):
        parts = line.split()
        if i < 2 and len(parts) != cells + 1:
            continue
        if len(parts) != cells + 1:
            raise DataError(
                f"{place}: {len(parts)} parts; an image's name and {cells} are expected"
            )
        if i < 2 and number(parts[-1]) is None:  # names of columns
            continue
        yield place, parts[0], parts[1:]


def _splits(source: Path) -> dict[str, str]:
    path = _beside(source, "list_eval_partition.txt")
    found = {}
    for place, name, (code,) in _rows(path, 1) if path else ():
        if code not in _SPLITS:
            raise DataError(f"{place}: the part is {code!r}; expected 0 train, 1 val or 2 test")
        found[name] = _SPLITS[code]
    return found


def _boxes(source: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Edges of the boxes of images in the wild: x_1, y_1, width, height."""
    path = None if "align" in source.name.lower() else _beside(source, "list_bbox_celeba.txt")
    found = {}
    for place, name, cells in _rows(path, 4) if path else ():
        x, y, w, h = numbers_of(cells, place)
        if w > 0 and h > 0:
            found[name] = np.array([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], np.float32)
    return found


def _image_folders(source: Path) -> list[Path]:
    root = _root(source)
    names = _ALIGNED if "align" in source.name.lower() else _WILD
    places = [base / name for base in (root / "Img", root) for name in names]
    inner = [place / place.name for place in places]  # as Kaggle packs them
    return [place for place in (*inner, *places, root / "Img", root) if place.is_dir()]


@reader(
    "celeba",
    "CelebA: `list_landmarks_align_celeba.txt`, its partition as splits, identities as persons",
    recognise=lambda path: _file(path) is not None,
    files="CelebA's list_landmarks_align_celeba.txt",
    priority=0.45,
)
def read_celeba(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All images of CelebA's list (or of the folder that holds it), in its order.

    Raises `DataError` with the line for what does not fit, and where `strict` for images that do
    not exist.
    """
    source = _file(path)
    if source is None:
        raise DataError(f"{path} does not hold just one of CelebA's lists of landmarks")
    names, points = [], []
    for place, name, cells in _rows(source, 10):
        names.append(name)
        points.append(numbers_of(cells, place).reshape(5, 2))
    if not names:
        raise DataError(f"{source} holds no image")
    splits, boxes = _splits(source), _boxes(source)
    identity = _beside(source, "identity_CelebA.txt")
    persons = {name: cells[0] for _, name, cells in _rows(identity, 1)} if identity else {}
    files, notes = located(source, names, strict, _image_folders(source))
    if strict:
        require_files(source, files)
    if splits and len(splits.keys() & set(names)) < len(set(names)):
        without = len(set(names) - splits.keys())
        notes = (*notes, f"images that list_eval_partition.txt puts into no part: {without}")
    visible = np.full(5, Visibility.VISIBLE, np.uint8)
    samples = [
        Sample.of_file(
            ImageFile(file, options),
            where.astype(np.float32),
            visible.copy(),
            id=sample,
            box=boxes.get(name),
            person=persons.get(name),
            split=splits.get(name),
        )
        for sample, name, file, where in zip(
            distinct(map(without_extension, names)), names, files, points
        )
    ]
    return Labels(CELEBA5, samples, notes)
