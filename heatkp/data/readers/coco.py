"""COCO keypoints: JSON files with `images`, `annotations` and a category with keypoints.

`keypoints` are x, y, v triples (v: 0 not labelled, 1 labelled but hidden, 2 visible) of "0-indexed"
pixels (https://cocodataset.org/#format-data), here with centres on integers; `bbox` is x, y, width,
height from the image's edge. Read as people have them: several categories with one list of names
(AP-10K), none at all (MMPose's faces: as many points as the annotations have), a list for each
point, v of 0 and 1 alone, which then is whether a point is labelled, several files as splits, also
one in each of Roboflow's folders. An annotation may carry `person`, a name that splits keep on
one side.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._coco_content import (
    Entry,
    NoAnnotationsError,
    chosen_of,
    count_of,
    load,
    of_categories,
)
from heatkp.data.readers._coco_files import Part, find_parts, image_folders, recognise_coco
from heatkp.data.readers._coco_values import (
    LARGEST,
    Image,
    box_of,
    images_of,
    is_crowd,
    skeleton_of,
    triples_of,
)
from heatkp.data.readers._common import (
    files_of_type,
    require_files,
    source_images,
    without_object,
)
from heatkp.data.readers._json_values import Ids, identity_of, numbers_in, shown
from heatkp.data.readers._places import locate
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.errors import DataError
from heatkp.files import utf8_path
from heatkp.skeletons import Skeleton
from heatkp.text import printable

BLOCK = 10_000
"""Annotations whose numbers become arrays together."""

Floats = npt.NDArray[np.float32]


class _File(NamedTuple):
    """What one file holds of the category, or categories, with keypoints."""

    part: Part
    skeleton: Skeleton
    images: dict[int | str, Image]
    annotations: list[Entry]
    notes: list[str]

    def place(self, i: int) -> str:
        return f"{self.part.file}: annotation {self.annotations[i].get('id', i)}"


def _read_file(part: Part, strict: bool, options: ImageOptions) -> _File:
    source = part.file
    content = load(source)
    chosen, notes = chosen_of(content, source)
    own, more = of_categories(content, chosen, source)
    skeleton = skeleton_of(chosen[0], count_of(own), source)
    images = images_of(content["images"], source)
    names = [image.name for image in images.values()]
    places = [str(source)] * len(names)
    files, located = locate(source, names, places, strict, image_folders(source))
    if strict:
        require_files(source, files)
    for file in files if strict else ():
        with utf8_path(file) as name:
            if not cv2.haveImageReader(name):
                raise DataError(f"{file} is not an image that can be read")
    for identity, path in zip(list(images), files):
        images[identity] = images[identity]._replace(file=ImageFile(path, options))
    return _File(part, skeleton, images, own, [*located, *notes, *more])


def _images_of_notes(file: _File) -> list[Image]:
    """The image of each annotation; adds a note where ids are written in two ways."""
    ids, found = Ids(file.images), []
    for i, note in enumerate(file.annotations):
        expected = note.get("image_id")
        if type(expected) is not int or expected not in file.images:
            expected = identity_of(expected, file.place(i), "image_id")
            identity = ids.find(expected)
            if identity is None:
                raise DataError(
                    f"{file.place(i)} is of the image {expected!r}, which is not among the images"
                )
            expected = identity
        found.append(file.images[expected])
    file.notes.extend(ids.notes("image_id"))
    return found


def _points_of(file: _File, images: Sequence[Image]) -> npt.NDArray[np.float32]:
    """x, y, v (N, K, 3) of all annotations."""
    count, k = len(file.annotations), len(file.skeleton)
    triples = np.zeros((count, k, 3), np.float32)
    for start in range(0, count, BLOCK):
        notes = file.annotations[start : start + BLOCK]
        lists = [note.pop("keypoints", None) for note in notes]  # pop: their memory is needed
        if all(type(given) is array and len(given) == 3 * k for given in lists):
            block = np.frombuffer(b"".join(lists)).reshape(-1, k, 3)
        else:
            places = (f"{file.place(start + i)} of {images[start + i].name}"
                      for i in range(len(lists)))  # fmt: skip
            block = np.stack([triples_of(g, k, place) for g, place in zip(lists, places)])
        bad = np.flatnonzero(~np.isin(block[:, :, 2], list(Visibility)).all(1))
        if len(bad):
            place = f"{file.place(start + int(bad[0]))} of {images[start + int(bad[0])].name}"
            triples_of(block[bad[0]], k, place)
        nowhere = (block[:, :, 2] > 0) & ~np.isfinite(block[:, :, :2]).all(2)
        if nowhere.any():
            i, point = (int(v[0]) for v in np.nonzero(nowhere))
            place = f"{file.place(start + i)} of {images[start + i].name}"
            name = file.skeleton.point_names[point]
            raise DataError(f"{place}: point {name} is labelled but its coordinate is not finite")
        # Clipped, so that float32 holds what is only a placeholder.
        triples[start : start + BLOCK] = np.clip(block, -LARGEST, LARGEST)
    return triples


def _boxes_of(file: _File, images: Sequence[Image]) -> list[Floats | None]:
    boxes: list[Floats | None] = []
    for start in range(0, len(file.annotations), BLOCK):
        notes = file.annotations[start : start + BLOCK]
        given = [note.pop("bbox", None) for note in notes]
        whole = numbers_in(given) if all(type(b) is list for b in given) else None
        if whole is not None and whole.shape == (len(given), 4) and _plain(whole):
            x, y, w, h = whole.T
            edges = np.stack([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], 1).astype(np.float32)
            boxes += [
                b if b_w * b_h else None for b, b_w, b_h in zip(edges, w.tolist(), h.tolist())
            ]
        else:
            places = (
                f"{file.place(start + i)} of {images[start + i].name}" for i in range(len(given))
            )
            boxes += [box_of(box, place) for box, place in zip(given, places)]
    return boxes


def _plain(boxes: npt.NDArray[np.float64]) -> bool:
    return bool((np.abs(boxes) <= LARGEST).all() and (boxes[:, 2:] >= 0).all())


def _crowds(file: _File) -> npt.NDArray[np.bool_]:
    """Which annotations are of crowds."""
    marks = [note.get("iscrowd") for note in file.annotations]
    return np.array(
        [
            type(mark) is int and mark == 1 if type(mark) is int and mark in (0, 1)
            else is_crowd(mark, file.place(i))
            for i, mark in enumerate(marks)
        ],
        bool,
    )  # fmt: skip


def _name(note: Entry, key: str, place: str) -> str | None:
    value = note.get(key)
    if isinstance(value, list | dict):
        raise DataError(f"{place}: {key!r} is {shown(value)}; expected a name or a number")
    return None if value is None else str(value)


def _samples(file: _File, images: Sequence[Image], triples: Floats) -> list[Sample]:
    """The samples of a file, given their images, and x, y and v."""
    split, crowds, boxes = file.part.split, _crowds(file), _boxes_of(file, images)
    triples[crowds] = 0
    visibility = triples[:, :, 2].astype(np.uint8)
    points = np.where(visibility[:, :, None] > 0, triples[:, :, :2], np.float32(np.nan))
    if split is not None:
        file.notes.insert(0, f"{file.part.file.name}: {len(images)} samples for {split}")
    if crowds.any():
        file.notes.append(
            f"annotations of crowds (iscrowd), without points, do not count: {crowds.sum()}"
        )
    stems: dict[str, str] = {}
    samples = []
    before = "" if split is None else f"{split}/"
    for i, (note, image) in enumerate(zip(file.annotations, images)):
        identity = i if note.get("id") is None else note["id"]
        if type(identity) is not int:
            identity = identity_of(identity, f"{file.part.file}: annotations[{i}]", "id")
        stem = stems.get(image.name)
        if stem is None:
            stem = stems[image.name] = before + printable(image.file.path.stem)  # type: ignore[union-attr]
        samples.append(
            Sample.of_file(
                image.file,  # type: ignore[arg-type]
                points[i],
                visibility[i],
                id=f"{stem}#{identity}",
                box=boxes[i],
                person=_name(note, "person", file.place(i)) if "person" in note else None,
                track=_name(note, "track_id", file.place(i)) if "track_id" in note else None,
                source_image=image.source,
                declared_size=image.size,
                split=split,
                ignored=bool(crowds[i]),
            )
        )
    return samples


def _without_objects(file: _File, images: Sequence[Image]) -> list[Sample]:
    """The images of a file that no annotation is of, in its order."""
    used, split = {id(image) for image in images}, file.part.split
    before = "" if split is None else f"{split}/"
    return [
        without_object(
            image.file,
            before + printable(image.file.path.stem),
            image.source,
            image.size,
            split,
        )
        for image in file.images.values()
        if id(image) not in used and image.file is not None
    ]


def _with_sources(files: Sequence[_File]) -> None:
    """Sets the source of each image. Roboflow's copies are one in any file; else the same name in
    two files is not the same image."""
    names = [image.name for file in files for image in file.images.values()]
    sources = iter(source_images(names))
    for file in files:
        for identity, image in file.images.items():
            source = next(sources)
            if file.part.split is not None and ".rf." not in image.name:
                source = f"{file.part.split}/{source}"
            file.images[identity] = image._replace(source=source)


@reader(
    "coco",
    "COCO keypoints: a `.json` file, or one for each split, also CVAT's and Roboflow's folders",
    recognise=recognise_coco,
    files="COCO .json files",
    priority=0.8,
    boxes=True,
    unlabelled="visibility 0",
)
def read_coco(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All annotated objects of a COCO keypoints file, or of the files that a folder holds, one for
    each split (see `find_parts`).

    Images that no annotation is of are `Labels.empty`.
    Annotations of crowds (`iscrowd`) have a box, no labelled point, and are ignored; those without
    keypoints have a box and no labelled point. Where no v is 2, 1 means visible. `person` and
    `track_id` are read beside COCO's keys. Raises `DataError` for what does not fit, and where
    `strict` for images that do not exist or are none.
    """
    parts = find_parts(path)
    if isinstance(parts, str):
        raise DataError(parts)
    if not parts and path.is_dir():  # whatever JSON there is, for its error
        parts = [Part(file) for file in files_of_type(path, ".json")]
    if not parts or (len(parts) > 1 and not all(part.split for part in parts)):
        raise DataError(f"{path} is not, and does not hold, a COCO .json file")
    files, notes = [], []
    for part in parts:
        try:
            files.append(_read_file(part, strict, options))
        except NoAnnotationsError:
            if len(parts) == 1:
                raise
            notes.append(f"{part.file.name} ({part.split}) holds no annotation and is left out")
    if not files:
        raise DataError(f"{path} holds no labelled object: all of its files have no annotation")
    skeleton = files[0].skeleton
    for file in files[1:]:
        if file.skeleton.point_names != skeleton.point_names:
            raise DataError(
                f"{file.part.file} and {files[0].part.file} have different keypoints: read each "
                "alone"
            )
    _with_sources(files)
    images = [_images_of_notes(file) for file in files]
    triples = [_points_of(file, own) for file, own in zip(files, images)]
    most = max(float(t[:, :, 2].max(initial=0)) for t in triples)
    if most == Visibility.OCCLUDED:
        for t in triples:
            t[:, :, 2] *= 2
        notes.append("no point has visibility 2: 1 is read as visible")
    samples = [
        sample for file, own, t in zip(files, images, triples) for sample in _samples(file, own, t)
    ]
    empty = [s for file, own in zip(files, images) for s in _without_objects(file, own)]
    told = (*(n for file in files for n in file.notes), *notes)
    return Labels(skeleton, samples, told).with_empty(empty)
