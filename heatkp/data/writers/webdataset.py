"""Tar shards as webdataset lays them out: `000000.tar`, or `train-000000.tar` and so on.

Each image is a member with its bytes as they are, and right behind it lies a `.json` of its labels
(`readers/_tar_labels.py` says what it holds). `skeleton.json` beside the tars is a COCO category:
names of points in order, lines, pairs. Members have no time and no owner: the same labels give the
same tars.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from heatkp.data.images import IMAGE_SUFFIXES
from heatkp.data.writers._base import (
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    ToPlace,
    label_writer,
    numbers,
    rounded,
)
from heatkp.data.writers.coco import coco_category
from heatkp.skeletons import Skeleton
from heatkp.text import json_text, printable


def _place(image: ToPlace) -> str:
    """The image's name, without dots before its extension: the first one ends a sample's key."""
    folder, slash, own = image.name.rpartition("/")
    stem, dot, suffix = own.rpartition(".")
    return f"{folder}{slash}{(stem or own).replace('.', '_')}{dot}{suffix if dot else ''}"


def _object(found: Object, skeleton: Skeleton) -> dict[str, Any]:
    points: dict[str, list[float | int]] = {}
    for name, point, code in zip(skeleton.point_names, found.points, found.visibility):
        if code:
            points[printable(name)] = [*numbers(point), *([1] if code == 1 else [])]
    told: dict[str, Any] = {"points": points}
    if found.box is not None:
        told["box"] = numbers(found.box)
    sample = found.sample
    if sample.person is not None:
        told["person"] = sample.person
    if sample.track is not None:
        told["track"] = sample.track
    if sample.ignored:
        told["ignored"] = True
    if found.scores is not None:
        of_points, score = found.scores
        if score is not None:
            told["score"] = rounded(score, 4)
        if of_points is not None and np.isfinite(of_points).all():
            told["scores"] = numbers(of_points, 4)
    return told


def _content(image: LabelledImage, skeleton: Skeleton) -> bytes:
    told: dict[str, Any] = {
        "size": list(image.size),
        "objects": [_object(found, skeleton) for found in image.objects],
    }
    source = next((o.sample.source_image for o in image.objects), None)
    for key, value in (("source", source), ("video", image.video), ("frame", image.frame)):
        if value is not None:
            told[key] = value
    return json_text(told, ensure_ascii=False).encode()


def _add(tar: tarfile.TarFile, name: str, size: int, file: BinaryIO) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = size, 0o644
    tar.addfile(entry, file)
    tar.getmembers().clear()  # tarfile keeps them all


def _portions(images: Sequence[LabelledImage], most: int) -> Iterator[Sequence[LabelledImage]]:
    for start in range(0, len(images), most):
        yield images[start : start + most]


@label_writer(
    "webdataset",
    "tar shards (webdataset): images and a `.json` each in tars of 1000 images, `skeleton.json`",
    holds=Holds.NAMES | Holds.PAIRS | Holds.LINES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING
    | Holds.BARE | Holds.EMPTY | Holds.SEVERAL | Holds.IGNORED | Holds.BOXES | Holds.PERSONS
    | Holds.SPLITS | Holds.VIDEOS | Holds.TRACKS | Holds.SCORES,
    place=_place,
    beside=True,
    suffixes=IMAGE_SUFFIXES,
    packed=True,
)  # fmt: skip
def write_webdataset(labels: LabelSet, folder: Path) -> list[str]:
    """Tars of one split each, with images in the order of the labels."""
    text = json_text(coco_category(labels.skeleton), indent=2, ensure_ascii=False)
    (folder / "skeleton.json").write_text(text, encoding="utf-8")
    parts: dict[str | None, list[LabelledImage]] = {}
    for image in labels.images:
        parts.setdefault(image.split, []).append(image)
    for split, images in parts.items():
        before = "" if split is None else f"{split}-"
        for number, portion in zip(count(), _portions(images, labels.per_shard)):
            _write_tar(folder / f"{before}{number:06d}.tar", portion, labels.skeleton, folder)
    for place in sorted(folder.rglob("*"), reverse=True):  # of images that were written anew
        if place.is_dir():
            place.rmdir()
    return []


def _write_tar(
    path: Path, images: Sequence[LabelledImage], skeleton: Skeleton, folder: Path
) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for image in images:
            with image.file.open("rb") as file:
                _add(tar, image.name, image.file.stat().st_size, file)
            if image.file == folder / image.name:
                image.file.unlink()
            content = _content(image, skeleton)
            _add(tar, f"{image.stem}.json", len(content), io.BytesIO(content))
