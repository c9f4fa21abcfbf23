"""COCO keypoints: a JSON file with `images`, `annotations` and one category with keypoints.

`keypoints` are x, y, v triples (v: 0 not labelled, 1 occluded, 2 visible), here in pixels with
centres on integers; `bbox` is x, y, width, height from the picture's edge. An annotation may
carry `person`, a name that splits keep on one side.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.readers.common import demand_files, known_layout, only_file, photos_of
from heatkp.data.readers.places import locate
from heatkp.data.samples import Labels, Sample, Visibility, read_image
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton, named


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
    except (ValueError, TypeError):
        return ()
    return lines if all(0 <= i < count for line in lines for i in line) else ()


def _box(note: Mapping[str, Any]) -> npt.NDArray[np.float32] | None:
    """Edges of the box; None where there is none, or one without area, as some tools write."""
    if note.get("bbox") is None:
        return None
    x, y, w, h = (float(v) for v in note["bbox"])
    if not all(map(math.isfinite, (x, y, w, h))) or min(w, h) < 0:
        raise ValueError("not finite, or of negative size")
    return np.array([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], np.float32) if w * h else None


def _sample(note: Mapping[str, Any], file: Path, photo: str, k: int, source: Path) -> Sample:
    name = f"annotation {note.get('id')} of {file.name}"
    try:  # tools leave them out where only a box was drawn
        flat = np.asarray(note.get("keypoints") or [0.0] * (3 * k), np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{source}: {name} has no list of numbers under 'keypoints'") from None
    if flat.shape != (3 * k,):
        raise DataError(f"{source}: {name} has {flat.size} numbers; {k} points need {3 * k}")
    triples = flat.reshape(k, 3)
    visibility = triples[:, 2]
    if not np.isin(visibility, list(Visibility)).all():
        raise DataError(f"{source}: {name} has a visibility that is none of 0, 1, 2")
    points = np.where(visibility[:, None] > 0, triples[:, :2], np.nan)
    try:
        box = _box(note)
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{source}: {name} has bbox {note['bbox']!r} ({error}); x, y, width, height are wanted"
        ) from None
    person = note.get("person")
    return Sample(
        id=f"{file.stem}#{note.get('id')}",
        image=partial(read_image, file),
        points=points.astype(np.float32),
        visibility=visibility.astype(np.uint8),
        box=box,
        person=None if person is None else str(person),
        photo=photo,
        file=file,
    )


def read_coco(path: Path, strict: bool = True) -> Labels:
    """All annotated objects of a COCO keypoints file (or of the folder that holds it).

    Raises `DataError` for what does not fit, and where `strict` for images that do not exist
    or are none.
    """
    source = only_file(path, ".json")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, COCO .json file")
    try:
        content = json.loads(source.read_text(encoding="utf-8-sig"))
        names = {i["id"]: str(i["file_name"]) for i in content["images"]}
        annotations = list(content["annotations"])
        categories = list(content["categories"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{source} is no COCO keypoints file (images, annotations, categories): {error!r}"
        ) from None
    if not all(isinstance(part, dict) for part in (*annotations, *categories)):
        raise DataError(f"{source}: annotations and categories must be JSON objects, {{...}}")
    category = _category(categories, source)
    skeleton = _skeleton(category, source)
    counts = Counter(i["id"] for i in content["images"])
    twice = [number for number, count in counts.items() if count > 1]
    if twice:
        raise DataError(
            f"{source}: {len(twice)} ids of images are there twice, {twice[0]!r} first, so that "
            "annotations fit several: number the images anew where files are joined"
        )
    files, notes = locate(source, list(names.values()), [str(source)] * len(names), strict)
    images = dict(zip(names, files))
    if strict:
        demand_files(source, files)
    for file in files if strict else ():
        if not cv2.haveImageReader(os.fspath(file)):
            raise DataError(f"{file} is not an image that can be read")
    photos = dict(zip(images, photos_of(list(names.values()))))
    own = annotations
    if len(categories) > 1:
        own = [a for a in annotations if a.get("category_id") == category.get("id")]
    if len(own) < len(annotations):
        left = f"annotations of other categories, left out: {len(annotations) - len(own)}"
        notes = (*notes, left)
    samples = []
    for annotation in own:
        image = annotation.get("image_id")
        if image not in images:
            raise DataError(
                f"{source}: annotation {annotation.get('id')} is of the image {image!r}, which is "
                "not among the images"
            )
        samples.append(_sample(annotation, images[image], photos[image], len(skeleton), source))
    return Labels(skeleton, samples, notes)


def coco_dictionary(
    skeleton: Skeleton, samples: Iterable[Sample], files: Iterable[tuple[str, int, int]]
) -> dict[str, Any]:
    """What `json.dump` writes so that `read_coco` reads the samples back.

    Args:
        files: name, width and height of each sample's picture, in the samples' order.
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
