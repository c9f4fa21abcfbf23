"""YOLO-pose, Ultralytics' form: `data.yaml`, a `.txt` of labels for each image, splits.

A line is an object: class, centre x and y, width and height of the box, then x and y of each
point and, with three numbers a point, v: 0 not labelled, 1 occluded, 2 visible. With two numbers a
point is not labelled where x or y is negative (`data/utils.py`, verify_image_label), or both are 0.
An image without a `.txt`, or with an empty one, has no object. `flip_idx` tells the left-right
pairs, `kpt_names` the points' names.

All numbers but class and v are fractions of the image's width and height, so pixels are
x * width from the corner, and 0.5 is subtracted: https://docs.ultralytics.com/datasets/pose/.
Ultralytics' own `convert_coco` divides COCO's pixels, which count centres: such files are read half
a pixel too far up and left, and nothing in them tells.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.checks.sizes import read_header
from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    files_of_type,
    number,
    source_images,
    without_extension,
    without_object,
)
from heatkp.data.readers._sniff import ends
from heatkp.data.readers._yolo import Config, images_of, label_of, read_config
from heatkp.data.samples import Labels, Sample, Visibility, read_image
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text

_SUFFIXES = (".yaml", ".yml")
_BOX = 5
"""Numbers of a line before its points."""
_FURTHEST = 2.0
"""A fraction beyond it is none; points may lie somewhat outside of their image."""


def is_yolo_pose(path: Path) -> bool:
    """Whether a YAML file is a `data.yaml` with points."""
    return b"kpt_shape" in ends(path)


def _configs(folder: Path) -> list[Path]:
    return [f for suffix in _SUFFIXES for f in files_of_type(folder, suffix)]


def _recognise(path: Path) -> bool | str:
    if not path.is_dir():
        return path.suffix.lower() in _SUFFIXES and is_yolo_pose(path)
    found = [f for f in _configs(path) if is_yolo_pose(f)]
    if len(found) > 1:
        return f"it holds {len(found)} files like YOLO's data.yaml: give the path of one"
    if found:
        return True
    if any(b"names:" in (t := ends(f)) and b"train:" in t for f in _configs(path)):
        return "these are YOLO's labels of boxes: data.yaml has no kpt_shape"
    labels = path / "labels"
    if labels.is_dir() and (path / "images").is_dir() and any(labels.rglob("*.txt")):
        return "these look like YOLO's labels: write a data.yaml with train, names and kpt_shape"
    return False


class _Line(NamedTuple):
    """An object; fractions of the image."""

    number: int
    box: npt.NDArray[np.float64]
    points: npt.NDArray[np.float64]
    visibility: npt.NDArray[np.uint8]


def _values(cells: list[str], place: str) -> list[float]:
    values = []
    for cell in cells:
        value = number(cell)
        if value is None:
            raise DataError(f"{place}: {cell[:40]!r} is no number")
        values.append(value)
    return values


def _parse(line: str, config: Config, place: str) -> _Line:
    """A line of a label file. Raises `DataError`."""
    count, each = config.shape
    values = _values(line.split(), place)
    whole = _BOX + count * each
    if len(values) not in (_BOX, whole):
        raise DataError(
            f"{place} has {len(values)} numbers; class, box and {count} points of {each} numbers "
            f"(kpt_shape in {config.source.name}) are {whole}"
        )
    kind = values[0]
    if not kind.is_integer() or (config.classes and int(kind) not in config.classes):
        raise DataError(f"{place}: class {kind:g} is none of data.yaml's names")
    table = np.array(values[_BOX:] or [0.0] * (count * each)).reshape(count, each)
    box, points = np.array(values[1:_BOX]), table[:, :2]
    if each == 3:
        codes = table[:, 2]
        wrong = codes[~np.isin(codes, list(Visibility))]
        if len(wrong):
            raise DataError(
                f"{place}: the visibility of a point is {wrong[0]:g}; expected 0, 1 or 2 "
                "(predictions that Ultralytics saves have confidences there)"
            )
    else:
        given = (points >= 0).all(1) & (points != 0).any(1) & (len(values) > _BOX)
        codes = np.where(given, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    far = [v for v in (*box, *points[codes > 0].ravel()) if abs(v) > _FURTHEST]
    if far:
        raise DataError(
            f"{place} has {far[0]:g}: expected fractions of the image, 0 to 1; divide pixels by "
            "its width and height"
        )
    return _Line(int(kind), box, points, codes.astype(np.uint8))


def _parse_file(path: Path, config: Config) -> list[_Line]:
    """The objects of a label file; none where there is no such file."""
    if not path.is_file():
        return []
    try:
        lines = read_text(path, Limit.LABEL_BYTES, "utf-8-sig").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    numbered = [(n, line) for n, line in enumerate(lines, 1) if line.strip()]
    return [_parse(line, config, f"{path}, line {n}") for n, line in numbered]


class _Labelled(NamedTuple):
    """An image with its objects, and its size where it can be read."""

    file: Path
    split: str
    lines: list[_Line]
    size: tuple[int, int] | None


def _size(file: Path, strict: bool, options: ImageOptions) -> tuple[int, int] | None:
    """Width and height as `options` read the image; by its header where that can be read."""
    header = read_header(file)
    if header is not None:
        return header.seen(options.orient)
    try:
        height, width = read_image(file, options.orient).shape[:2]
    except DataError:
        if strict:
            raise
        return None
    return width, height


def _samples(image: _Labelled, name: str, original: str) -> list[Sample]:
    found = []
    for line in image.lines:
        size = np.array(image.size or (0, 0), np.float64)
        known = (line.visibility > 0) & (image.size is not None)
        centre, half = line.box[:2], line.box[2:] / 2
        edges = np.concatenate([centre - half, centre + half]) * np.tile(size, 2) - 0.5
        solid = image.size is not None and (half > 0).all()
        found.append(
            Sample(
                id=name,
                image=partial(read_image, image.file),
                points=np.where(known[:, None], line.points * size - 0.5, np.nan),
                visibility=np.where(known, line.visibility, 0).astype(np.uint8),
                box=edges if solid else None,
                source_image=original,
                file=image.file,
                split=image.split,
            )
        )
    return found


def _by_split(config: Config, strict: bool, notes: list[str]) -> list[tuple[Path, str]]:
    """Each image with its split, by which it is taken first."""
    chosen: dict[Path, str] = {}
    twice = 0
    for split in ("train", "val", "test"):
        if split not in config.splits:
            continue
        images, missing = images_of(config, split)
        if missing:
            what = f"{split}: {len(missing)} of its entries are not there ({missing[0]})"
            if strict and split != "test":
                raise DataError(f"{config.source}: {what}; correct path and {split}")
            notes.append(what)
        twice += len(chosen.keys() & set(images))
        for image in images:
            chosen.setdefault(image, split)
    if twice:
        notes.append(f"images in several splits, which count for the first: {twice}")
    return list(chosen.items())


def _alone(images: list[tuple[Path, str]]) -> int:
    """How many label files have no image."""
    known = {label_of(image) for image, _ in images}
    there = {file for folder in {p.parent for p in known} for file in folder.glob("*.txt")}
    return sum(file not in known and file.name != "classes.txt" for file in there)


def _notes(images: list[_Labelled], config: Config) -> list[str]:
    notes = []
    empty = sum(not image.lines for image in images)
    if empty:
        notes.append(
            f"images left out, for they have no object (no .txt, or an empty one): {empty}"
        )
    kinds = Counter(line.number for image in images for line in image.lines)
    if len(kinds) > 1:
        said = ", ".join(f"{n} {config.classes.get(k, k)}" for k, n in sorted(kinds.items()))
        notes.append(f"objects of several classes, which are read alike: {said}")
    lost = sum(image.size is None for image in images if image.lines)
    if lost:
        notes.append(
            f"{lost} images are missing or damaged: without them their labels are no pixels"
        )
    return notes


@reader(
    "yolo",
    "YOLO-pose (Ultralytics): `data.yaml` with its splits, `images/` and `labels/`",
    recognise=_recognise,
    files="YOLO's data.yaml with kpt_shape",
    priority=0.95,
    boxes=True,
    unlabelled="visibility 0, or 0 0",
    origin=0.5,
    of_size=True,
)
def read_yolo(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All objects of the images that a `data.yaml` (or the folder that holds it) names, by split;
    images without any are `Labels.empty`.

    Folders that are written as on another machine are found beside the file. Coordinates are
    fractions of the image as `options` read it, whose header tells its size. Raises `DataError`
    for what does not fit, and where `strict` for what is missing of train and val.
    """
    source = path
    if path.is_dir():
        found = [f for f in _configs(path) if is_yolo_pose(f)] or _configs(path)
        if len(found) != 1:
            raise DataError(f"{path} holds {len(found)} files like YOLO's data.yaml, expected one")
        source = found[0]
    config = read_config(source)
    notes: list[str] = []
    files = _by_split(config, strict, notes)
    images = []
    for file, split in files:
        lines = _parse_file(label_of(file), config)
        size = _size(file, strict, options) if lines else None
        images.append(_Labelled(file, split, lines, size))
    notes += _notes(images, config)
    alone = _alone(files)
    if alone:
        notes.append(f"label files left out, for there is no image of their name: {alone}")
    labelled = [image for image in images if image.lines]
    if not labelled:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(f"{source} holds no labelled object: no image has a line of labels{why}")
    names = _names([image.file for image in labelled], config)
    samples = []
    for image, name, original in zip(labelled, names, source_images(names)):
        samples += _samples(image, name, original)
    ids = distinct(without_extension(sample.id) for sample in samples)
    samples = [replace(sample, id=identity) for sample, identity in zip(samples, ids)]
    bare = [image for image in images if not image.lines]
    called = _names([image.file for image in bare], config)
    empty = [
        without_object(
            ImageFile(image.file, options), without_extension(name), source, None, image.split
        )
        for image, name, source in zip(bare, called, source_images(called))
    ]
    return Labels(config.skeleton, samples, tuple(notes)).with_empty(empty)


def _names(files: list[Path], config: Config) -> list[str]:
    """Images' names below the set's folder, or whole paths elsewhere."""
    roots = config.roots
    names = []
    for file in files:
        root = next((r for r in roots if file.is_relative_to(r)), None)
        names.append((file.relative_to(root) if root else file).as_posix())
    return names
