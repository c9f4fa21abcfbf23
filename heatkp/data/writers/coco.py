"""COCO keypoints: `annotations.json`, or `annotations/SPLIT.json`, beside a folder of images.

As https://cocodataset.org/#format-data: keypoints are pixels with centres on integers; boxes are
x, y, width, height from the image's edge. Beside what COCO knows: `flip_idx` of a category (each
point's counterpart, as Ultralytics names it), `person`, `track_id`, and of predictions `score` and
`keypoint_scores`.
"""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.data.writers._base import Holds, LabelSet, Object, label_writer, numbers, rounded
from heatkp.skeletons import Skeleton
from heatkp.text import printable


def coco_category(skeleton: Skeleton) -> dict[str, Any]:
    """The category that holds a layout; its id is 1."""
    edges = [[a + 1, b + 1] for run in skeleton.lines for a, b in pairwise(run)]
    category: dict[str, Any] = {
        "id": 1,
        "name": printable(skeleton.name),
        "keypoints": [printable(name) for name in skeleton.point_names],
        "skeleton": edges,
    }
    if not skeleton.unpaired:
        category["flip_idx"] = skeleton.flip.tolist()
    return category


def _annotation(found: Object, number: int, image: int) -> dict[str, Any]:
    labelled, sample = found.labelled, found.sample
    points = np.where(labelled[:, None], found.points, 0.0)
    triples = np.column_stack([points, found.visibility])
    annotation: dict[str, Any] = {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "keypoints": numbers(triples),
        "num_keypoints": int(labelled.sum()),
        "iscrowd": int(sample.ignored),
    }
    if found.extent is not None:
        x0, y0, x1, y1 = found.extent
        annotation["bbox"] = numbers([x0 + 0.5, y0 + 0.5, x1 - x0, y1 - y0])
        annotation["area"] = rounded((x1 - x0) * (y1 - y0))
    if sample.person is not None:
        annotation["person"] = printable(sample.person)
    if sample.track is not None:
        annotation["track_id"] = printable(sample.track)
    if found.scores is not None:
        points_scores, score = found.scores
        if score is not None:
            annotation["score"] = rounded(score, 4)
        if points_scores is not None and np.isfinite(points_scores).all():
            annotation["keypoint_scores"] = numbers(points_scores, 4)
    return annotation


@label_writer(
    "coco",
    "COCO keypoints: `annotations.json`, or a file for each split, and a folder of images",
    holds=Holds.NAMES | Holds.PAIRS | Holds.LINES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING
    | Holds.BARE | Holds.EMPTY | Holds.SEVERAL | Holds.IGNORED | Holds.BOXES | Holds.PERSONS
    | Holds.SPLITS | Holds.TRACKS | Holds.SCORES,
)  # fmt: skip
def write_coco(labels: LabelSet, folder: Path) -> list[str]:
    """One category, ids from 1; objects without a box get the extent of their points.

    Of a set with splits `annotations/train.json` and so on, with ids that differ between them.
    """
    parts: dict[str | None, dict[str, Any]] = {}
    objects = boxed = 0
    for number, image in enumerate(labels.images, 1):
        category = coco_category(labels.skeleton)
        empty = {"images": [], "annotations": [], "categories": [category]}
        content = parts.setdefault(image.split, empty)
        width, height = image.size
        entry = {"id": number, "file_name": image.name, "width": width, "height": height}
        content["images"].append(entry)
        for found in image.objects:
            objects += 1
            boxed += found.box is None and found.extent is not None
            content["annotations"].append(_annotation(found, objects, number))
    for split, content in parts.items():
        place = folder / ("annotations.json" if split is None else f"annotations/{split}.json")
        place.parent.mkdir(exist_ok=True)
        place.write_text(json.dumps(content), encoding="utf-8")
    note = "objects without a box, which get the extent of their points (COCO asks for boxes)"
    return [f"{note}: {boxed}"] * bool(boxed)
