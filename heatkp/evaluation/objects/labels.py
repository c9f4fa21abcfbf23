"""Labelled objects by image, as results of any tool call the images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np

from heatkp.data.readers import read
from heatkp.data.readers._coco_values import skeleton_of
from heatkp.data.readers._json_values import Ids, identity_of, load_json, numbers_in, shown
from heatkp.data.samples import Sample
from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.objects.image_objects import TrueObjects, areas_of, extent
from heatkp.skeletons import Skeleton

_COCO = "a COCO keypoints file has images, annotations, categories, lists of JSON objects"


class TruthImage(NamedTuple):
    """The labels of an image, of one category.

    Attributes:
        identity: by which results name the image: COCO's id, the number of a video's frame, or a
            name.
        name: the image's file, or another name for people.
        tracks: which object each is through time, None where that is not told.
        category: COCO's id of it; objects of several never match.
    """

    identity: int | str
    name: str
    objects: TrueObjects
    tracks: tuple[str | None, ...]
    category: int | str | None = None


class Truth(NamedTuple):
    """Labels to measure against.

    Attributes:
        images: with those that have no object, where the labels tell.
        by_frame: whether identities are frame numbers of one video.
        notes: what was left out or is unclear.
    """

    skeleton: Skeleton
    images: list[TruthImage]
    by_frame: bool = False
    notes: tuple[str, ...] = ()

    def places(self, names: dict[int | str, str]) -> dict[int | str, int | str]:
        """The identities of images here, by the ids that a file of results gives to names.

        Names fit where their last parts are equal; a frame's name ends in its number.
        """
        if self.by_frame:
            numbers = {key: PurePosixPath(name).stem for key, name in names.items()}
            return {k: int(n) for k, n in numbers.items() if n.isascii() and n.isdigit()}
        own: dict[str, list[int | str]] = {}
        for identity, name in {i.identity: i.name for i in self.images}.items():
            own.setdefault(PurePosixPath(name).name, []).append(identity)
        found: dict[int | str, int | str] = {}
        for key, name in names.items():
            fitting = own.get(PurePosixPath(name).name, [])
            if len(fitting) > 1:
                full = {i.identity: i.name for i in self.images}
                fitting = [i for i in fitting if name.endswith(full[i]) or full[i].endswith(name)]
            if len(fitting) > 1:
                raise DataError(
                    f"the results' image {name} may be any of {len(fitting)} images of the labels, "
                    "which have the same file name: give results by COCO's image_id"
                )
            if fitting:
                found[key] = fitting[0]
        return found


def read_truth(path: Path, first_pixel: float | None = None) -> Truth:
    """The labels of a file or folder; a COCO file with its ids and areas, all else as heatkp reads
    labels for training.

    Args:
        first_pixel: what points call the centre of the first pixel, as of `data.first_pixel`.

    Raises `DataError` for what does not fit, `SettingsError` for a first pixel of a COCO file.
    """
    if path.is_file() and path.suffix.lower() == ".json":
        content = load_json(path, _COCO)
        if isinstance(content, dict) and isinstance(content.get("annotations"), list):
            if first_pixel is not None:
                raise SettingsError(
                    f"--first-pixel is not for COCO files, as {path} is: leave it out"
                )
            return _of_coco(content, path)
    labels = read(path, strict=False, first_pixel=first_pixel)
    return of_samples(labels.skeleton, labels.samples, labels.notes)


def of_samples(skeleton: Skeleton, samples: Sequence[Sample], notes: tuple[str, ...] = ()) -> Truth:
    """Samples by image: by frame number where all are frames of one video, else by name."""
    videos = {sample.video for sample in samples}
    by_frame = len(videos) == 1 and all(s.frame is not None for s in samples)
    groups: dict[int | str, list[Sample]] = {}
    for sample in samples:
        frame = sample.frame if by_frame else None
        name = sample.image_name if sample.file is not None else sample.source_image or sample.id
        groups.setdefault(name if frame is None else frame, []).append(sample)
    images = [
        TruthImage(
            key,
            own[0].image_name,
            TrueObjects.of(own, len(skeleton)),
            tuple(sample.track for sample in own),
        )
        for key, own in groups.items()
    ]
    return Truth(skeleton, images, by_frame, notes)


def _of_coco(content: dict[str, Any], path: Path) -> Truth:
    """A COCO file as pycocotools reads it: a category for each with keypoints, all images."""
    for key in ("images", "annotations", "categories"):
        part = content.get(key)
        if not isinstance(part, list) or not all(isinstance(entry, dict) for entry in part):
            raise DataError(f"{path}: {key!r} is {shown(part)}; {_COCO}")
    categories = [c for c in content["categories"] if c.get("keypoints")]
    if not categories:
        raise DataError(f"{path}: no category lists keypoint names; {_COCO}")
    if len({str(c["keypoints"]) for c in categories}) > 1:
        raise DataError(
            f"{path} has {len(categories)} categories with different keypoints: score a file for "
            "each"
        )
    skeleton = skeleton_of(categories[0], None, path)
    place = f"{path}: images"
    names = {
        identity_of(image.get("id"), place, "id"): str(image.get("file_name", image.get("id")))
        for image in content["images"]
    }
    kinds = Ids([identity_of(c.get("id"), f"{path}: categories", "id") for c in categories])
    known, groups = Ids(names), dict[tuple[int | str, int | str], list[dict[str, Any]]]()
    for i, note in enumerate(content["annotations"]):
        where = f"{path}: annotations[{i}]"
        kind = kinds.find(identity_of(note.get("category_id"), where, "category_id"))
        if kind is None:
            continue
        image = known.find(identity_of(note.get("image_id"), where, "image_id"))
        if image is None:
            raise DataError(f"{where} is of the image {note.get('image_id')!r}, which is not there")
        groups.setdefault((image, kind), []).append(note)
    several = len(categories) > 1
    images = []
    for kind in [identity_of(c.get("id"), str(path), "id") for c in categories]:
        for image, name in names.items():
            own = groups.get((image, kind), [])
            tracks = tuple(None if n.get("track_id") is None else str(n["track_id"]) for n in own)
            told = _coco_objects(own, len(skeleton), path)
            images.append(TruthImage(image, name, told, tracks, kind if several else None))
    if not any(len(image.tracks) for image in images):
        raise DataError(f"{path} holds no labelled object of the category with keypoints")
    return Truth(skeleton, images)


def _numbers(note: dict[str, Any], key: str, count: int, path: Path) -> Any:
    numbers = numbers_in(note.get(key))
    if numbers is None or numbers.size != count or not np.isfinite(numbers).all():
        raise DataError(
            f"{path}: {key!r} of annotation {note.get('id')} is {shown(note.get(key))}; expected "
            f"{count} numbers"
        )
    return numbers.ravel()


def _coco_objects(notes: Sequence[dict[str, Any]], count: int, path: Path) -> TrueObjects:
    points, visible = np.zeros((len(notes), count, 2)), np.zeros((len(notes), count), bool)
    boxes, areas = np.zeros((len(notes), 4)), np.zeros(len(notes))
    crowd, ignored = np.zeros(len(notes), bool), np.zeros(len(notes), bool)
    for i, note in enumerate(notes):
        if note.get("keypoints"):
            triples = _numbers(note, "keypoints", 3 * count, path).reshape(count, 3)
            points[i], visible[i] = triples[:, :2], triples[:, 2] > 0
        if note.get("bbox"):
            x, y, width, height = _numbers(note, "bbox", 4, path)
            boxes[i] = x, y, x + width, y + height
        else:
            boxes[i] = extent(points[i], visible[i])
        given = note.get("area")
        areas[i] = _numbers({**note, "area": [given]}, "area", 1, path)[0] if given else np.nan
        crowd[i] = bool(note.get("iscrowd"))
        ignored[i] = crowd[i] or note.get("num_keypoints", visible[i].sum()) == 0
    areas = np.where(np.isnan(areas), areas_of(boxes), areas)
    return TrueObjects(points, visible, areas, boxes, crowd, ignored)
