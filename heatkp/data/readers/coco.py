"""COCO keypoints: a JSON file with `images`, `annotations` and one category with keypoints.

`keypoints` are x, y, v triples (v: 0 not labelled, 1 occluded, 2 visible), here in pixels with
centres on integers; `bbox` is x, y, width, height from the image's edge. An annotation may
carry `person`, a name that splits keep on one side.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import known_layout, only_file, require_files, source_images
from heatkp.data.readers._json_values import Ids, identity_of, numbers_in, shown
from heatkp.data.readers._places import locate
from heatkp.data.samples import Labels, Sample, Visibility, read_image
from heatkp.errors import DataError
from heatkp.files import utf8_path
from heatkp.skeletons import Skeleton, named

_ONE = (0, 1, None)
_LARGEST = 1e9
"""Pixels; float32 overflows far beyond, and what is near it is a placeholder."""


def _load(source: Path) -> dict[str, list[dict[str, Any]]]:
    """The three lists of a file, of JSON objects each. Raises `DataError` for anything else."""
    keys = ("images", "annotations", "categories")
    expected = f"a COCO keypoints file has {', '.join(keys)}, lists of JSON objects"
    try:
        content = json.loads(source.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}); {expected}") from None
    if not isinstance(content, dict):
        raise DataError(f"{source} holds {shown(content)}; {expected}")
    for key in keys:
        part = content.get(key)
        if part is None or part == []:
            how = "empty" if part == [] else "missing"
            raise DataError(f"{source} holds no labelled object: {key!r} is {how}; {expected}")
        if not isinstance(part, list):
            raise DataError(f"{source}: {key!r} is {shown(part)}; {expected}")
        for i, item in enumerate(part):
            if not isinstance(item, dict):
                raise DataError(f"{source}: {key}[{i}] is {shown(item)}; {expected}")
    return {key: content[key] for key in keys}


def _category(categories: Sequence[Mapping[str, Any]], source: Path) -> Mapping[str, Any]:
    """The one with keypoints; tools write others beside it."""
    found = [c for c in categories if c.get("keypoints")] or categories
    if len(found) != 1:
        names = ", ".join(str(c.get("name")) for c in found)
        raise DataError(
            f"{source} has {len(found)} categories ({names}); one, with keypoints, is supported: "
            "write a file for each"
        )
    return found[0]


def _skeleton(category: Mapping[str, Any], source: Path) -> Skeleton:
    names = category.get("keypoints")
    if not isinstance(names, list) or not names:
        raise DataError(f"{source}: the category lists no keypoint names under 'keypoints'")
    for name in names:
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise DataError(f"{source}: a keypoint is called {shown(name)}; expected a name")
    names = [str(name) for name in names]
    known = known_layout(names)
    if known is not None and known[1] == list(range(len(names))):
        return known[0]
    name = str(category.get("name", "keypoints"))
    try:
        skeleton = named(name, names, _lines(category.get("skeleton"), len(names)))
        return _flipped(skeleton, category.get("flip_idx"))
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: category {name!r}: {error}") from None


def _flipped(skeleton: Skeleton, order: Any) -> Skeleton:
    """With the pairs of Ultralytics' `flip_idx`, each point's counterpart, where it is given."""
    if order is None:
        return skeleton
    places = list(range(len(skeleton)))
    whole = isinstance(order, list) and all(type(i) is int for i in order)
    if not whole or sorted(order) != places or any(order[order[i]] != i for i in places):
        raise ValueError(
            f"flip_idx must hold each number from 0 to {len(skeleton) - 1} once, and two points "
            "each other's"
        )
    known = {frozenset(pair): pair for pair in skeleton.pairs}  # which is the left one
    pairs = [known.get(frozenset((i, order[i])), (i, order[i])) for i in places if i < order[i]]
    return replace(skeleton.with_pairs(pairs), sides_from="flip_idx")


def _lines(edges: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places, which are for drawing only; none of what is no list of COCO's pairs."""
    try:
        lines = tuple((int(a) - 1, int(b) - 1) for a, b in edges or ())
    except (ValueError, TypeError, OverflowError):
        return ()
    return lines if all(0 <= i < count for line in lines for i in line) else ()


def _box(value: Any, place: str) -> npt.NDArray[np.float32] | None:
    """Edges of the box; None where there is none, or one without area, as some tools write."""
    if value is None:
        return None
    numbers = numbers_in(value)
    why = ""
    if numbers is None or numbers.shape != (4,):
        why = "not four numbers"
    elif not (np.abs(numbers) <= _LARGEST).all():
        why = "not finite, or too large"
    elif numbers[2:].min() < 0:
        why = "of negative size"
    if numbers is None or why:
        raise DataError(
            f"{place} has bbox {shown(value)} ({why}); x, y, width, height are expected"
        )
    x, y, w, h = numbers.tolist()
    return np.array([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], np.float32) if w * h else None


def _triples(value: Any, k: int, place: str) -> npt.NDArray[np.float64]:
    """x, y, v of each point (K, 3), from one list of numbers or from a list for each point."""
    if value is None or value == []:  # tools leave them out where only a box was drawn
        return np.zeros((k, 3))
    numbers = numbers_in(value)
    if numbers is None or numbers.ndim > 2:
        raise DataError(
            f"{place}: 'keypoints' is {shown(value)}, which is no list of numbers x, y, v"
        )
    if numbers.ndim == 1 and numbers.shape != (3 * k,):
        raise DataError(f"{place} has {numbers.size} numbers; {k} points need {3 * k}")
    if numbers.ndim == 2 and numbers.shape != (k, 3):
        count, each = numbers.shape
        raise DataError(
            f"{place} has {count} lists of {each} numbers; {k} points need {k} lists x, y, v"
        )
    triples = numbers.reshape(k, 3)
    if not np.isin(triples[:, 2], list(Visibility)).all():
        raise DataError(f"{place} has a visibility that is none of 0, 1, 2")
    return triples


class _Image(NamedTuple):
    """An entry of `images`, and its file."""

    name: str
    size: tuple[int, int] | None
    file: Path = Path()
    original: str = ""


def _images(entries: Sequence[Mapping[str, Any]], source: Path) -> dict[int | str, _Image]:
    """What a file says of its images, by id."""
    images: dict[int | str, _Image] = {}
    twice: list[int | str] = []
    for i, entry in enumerate(entries):
        place = f"{source}: images[{i}]"
        identity, name = identity_of(entry.get("id"), place, "id"), entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{place}: 'file_name' is {shown(name)}; expected the name of a file")
        if identity in images:
            twice.append(identity)
        images[identity] = _Image(name, _size(entry, place))
    if twice:
        raise DataError(
            f"{source}: {len(twice)} ids of images are there twice, {twice[0]!r} first, so that "
            "annotations fit several: number the images anew where files are joined"
        )
    return images


def _size(entry: Mapping[str, Any], place: str) -> tuple[int, int] | None:
    """Width and height; None where a file does not say, as with 0."""
    sides = []
    for key in ("width", "height"):
        value = entry.get(key) or 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{place}: {key!r} is {shown(value)}; expected a number of pixels")
        sides.append(round(value) if 0 < value <= _LARGEST else 0)
    return (sides[0], sides[1]) if min(sides) else None


def _sample(
    note: Mapping[str, Any], number: int, image: _Image, skeleton: Skeleton, source: Path
) -> Sample:
    """One annotation; those of crowds keep their box and have no points."""
    identity = number if note.get("id") is None else note["id"]
    identity = identity_of(identity, f"{source}: annotations[{number}]", "id")
    place = f"{source}: annotation {identity} of {image.file.name}"
    triples = _triples(note.get("keypoints"), len(skeleton), place)
    if _crowd(note, place):
        triples = np.zeros_like(triples)
    visibility = triples[:, 2]
    # Clipped, so that float32 holds what is only a placeholder.
    known = np.clip(triples[:, :2], -_LARGEST, _LARGEST)
    person = note.get("person")
    if isinstance(person, list | dict):
        raise DataError(f"{place}: 'person' is {shown(person)}; expected a name")
    return Sample(
        id=f"{image.file.stem}#{identity}",
        image=partial(read_image, image.file),
        points=np.where(visibility[:, None] > 0, known, np.nan).astype(np.float32),
        visibility=visibility.astype(np.uint8),
        box=_box(note.get("bbox"), place),
        person=None if person is None else str(person),
        source_image=image.original,
        file=image.file,
        declared_size=image.size,
    )


def _crowd(note: Mapping[str, Any], place: str) -> bool:
    """Whether an annotation is of a crowd, which has no points of its own."""
    mark = note.get("iscrowd")
    if not isinstance(mark, int | float | None) or mark not in _ONE:
        raise DataError(f"{place}: 'iscrowd' is {shown(mark)}; expected 0 or 1")
    return bool(mark)


def _of_category(
    annotations: list[dict[str, Any]],
    categories: Sequence[Mapping[str, Any]],
    category: Mapping[str, Any],
    source: Path,
) -> tuple[list[dict[str, Any]], list[str]]:
    """The annotations of a category, and notes; all of them where there is just one."""
    if len(categories) == 1:
        return annotations, []
    places = (f"{source}: categories[{i}]" for i in range(len(categories)))
    ids = Ids([identity_of(c.get("id"), place, "id") for c, place in zip(categories, places)])
    own = []
    for i, note in enumerate(annotations):
        name = identity_of(note.get("category_id"), f"{source}: annotations[{i}]", "category_id")
        if ids.find(name) == category["id"]:
            own.append(note)
    notes = ids.notes("category_id")
    if len(own) < len(annotations):
        notes.append(f"annotations of other categories, left out: {len(annotations) - len(own)}")
    if not own:
        raise DataError(
            f"{source} holds no labelled object: no annotation is of the category with keypoints, "
            f"{category.get('name')!r}"
        )
    return own, notes


@reader(
    "coco",
    "COCO keypoints: one `.json` file, one category with keypoints",
    suffix=".json",
    files="one COCO .json file",
    priority=0.8,
    boxes=True,
    unlabelled="visibility 0",
)
def read_coco(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All annotated objects of a COCO keypoints file (or of the folder that holds it).

    Annotations of crowds (`iscrowd`) and those without keypoints have a box and no labelled
    point. Raises `DataError` for what does not fit, and where `strict` for images that do not
    exist or are none.
    """
    source = only_file(path, ".json")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, COCO .json file")
    content = _load(source)
    category = _category(content["categories"], source)
    skeleton = _skeleton(category, source)
    images = _images(content["images"], source)
    names = [image.name for image in images.values()]
    files, located = locate(source, names, [str(source)] * len(names), strict)
    if strict:
        require_files(source, files)
    for file in files if strict else ():
        with utf8_path(file) as name:
            if not cv2.haveImageReader(name):
                raise DataError(f"{file} is not an image that can be read")
    for identity, file, original in zip(list(images), files, source_images(names)):
        images[identity] = images[identity]._replace(file=file, original=original)
    own, notes = _of_category(content["annotations"], content["categories"], category, source)
    ids, samples = Ids(images), []
    for i, annotation in enumerate(own):
        place = f"{source}: annotation {annotation.get('id', i)}"
        expected = identity_of(annotation.get("image_id"), place, "image_id")
        found = ids.find(expected)
        if found is None:
            raise DataError(f"{place} is of the image {expected!r}, which is not among the images")
        samples.append(_sample(annotation, i, images[found], skeleton, source))
    notes += ids.notes("image_id")
    crowds = sum(bool(annotation.get("iscrowd")) for annotation in own)
    if crowds:
        notes.append(f"annotations of crowds (iscrowd), none of their points is labelled: {crowds}")
    return Labels(skeleton, samples, (*located, *notes))


def coco_dictionary(
    skeleton: Skeleton, samples: Iterable[Sample], files: Iterable[tuple[str, int, int]]
) -> dict[str, Any]:
    """What `json.dump` writes so that `read_coco` reads the samples back.

    Args:
        files: name, width and height of each sample's image, in the samples' order.
    """
    images, notes = [], []
    for number, (sample, (name, width, height)) in enumerate(zip(samples, files)):
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        labelled = sample.visibility > 0
        points = np.where(labelled[:, None], sample.points, 0.0)
        triples = np.column_stack([points.round(3), sample.visibility])
        box = sample.box
        if box is None:
            low, high = points[labelled].min(0), points[labelled].max(0)
            box = np.concatenate([low, high])
        x0, y0, x1, y1 = (float(v) for v in box)
        bbox = [round(v, 3) for v in (x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0)]
        notes.append(
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "keypoints": [int(v) if v == int(v) else float(v) for v in triples.ravel()],
                "num_keypoints": int(labelled.sum()),
                "bbox": bbox,
                "area": round(bbox[2] * bbox[3], 3),
                "iscrowd": 0,
                "person": sample.person,
            }
        )
    edges = [[a + 1, b + 1] for run in skeleton.lines for a, b in pairwise(run)]
    category = {
        "id": 1,
        "name": skeleton.name,
        "keypoints": list(skeleton.point_names),
        "skeleton": edges,
    }
    return {"images": images, "annotations": notes, "categories": [category]}
