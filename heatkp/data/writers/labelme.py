"""LabelMe: a `.json` file beside each image.

As https://github.com/wkentaro/labelme, `_label_file.py`, reads and writes it (5.5): `version`,
`flags`, `shapes`, `imagePath` (relative to the file), `imageData` (may be null), `imageHeight`,
`imageWidth`; a shape has `label`, `points`, `group_id`, `description`, `shape_type`, `flags` and
`mask`. Coordinates are from the image's corner, so half a pixel is added.

An object's points, and a rectangle that is its box, are one group. `flags` say `occluded`, which
the tool shows and keeps, and the reader takes back; `description` a prediction's score.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from heatkp.data.samples import Visibility
from heatkp.data.writers._base import (
    Array,
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    ToPlace,
    label_writer,
    rounded,
)
from heatkp.skeletons import Skeleton
from heatkp.text import json_text, printable

VERSION = "5.5.0"


def _place(image: ToPlace) -> str:
    return image.name


def _shape(
    label: str, points: Array, kind: str, group: int | None, score: float | None, occluded: bool
) -> dict[str, Any]:
    told = score is not None and np.isfinite(score)
    return {
        "label": printable(label),
        "points": [[rounded(v + 0.5) for v in point] for point in points],
        "group_id": group,
        "description": f"score {score:.4f}" if told else "",
        "shape_type": kind,
        "flags": {"occluded": True} if occluded else {},
        "mask": None,
    }


def _shapes(found: Object, skeleton: Skeleton, group: int | None) -> Iterator[dict[str, Any]]:
    scores = found.scores
    if found.box is not None:
        score = None if scores is None else scores.object
        corners = found.box.reshape(2, 2)
        yield _shape(skeleton.name, corners, "rectangle", group, score, False)
    for k, name in enumerate(skeleton.point_names):
        code = found.visibility[k]
        if code:
            known = scores is not None and scores.points is not None
            score = float(scores.points[k]) if known else None  # type: ignore[union-attr, index]
            hidden = code == Visibility.OCCLUDED
            yield _shape(name, found.points[k : k + 1], "point", group, score, hidden)


def _content(image: LabelledImage, skeleton: Skeleton, grouped: bool) -> dict[str, Any]:
    shapes: list[dict[str, Any]] = []
    for number, found in enumerate(image.objects, 1):
        shapes += _shapes(found, skeleton, number if grouped else None)
    width, height = image.size
    return {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": PurePosixPath(image.name).name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }


@label_writer(
    "labelme",
    "LabelMe: a `.json` file beside each image",
    holds=Holds.NAMES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING | Holds.EMPTY
    | Holds.SEVERAL | Holds.BOXES | Holds.SCORES,
    place=_place,
    beside=True,
)  # fmt: skip
def write_labelme(labels: LabelSet, folder: Path) -> list[str]:
    """Objects are groups, numbered in each image; none where each image has one object at most,
    without a box."""
    several = any(len(image.objects) > 1 for image in labels.images)
    boxed = any(found.box is not None for image in labels.images for found in image.objects)
    for image in labels.images:
        content = _content(image, labels.skeleton, several or boxed)
        text = json_text(content, indent=2, ensure_ascii=False)
        (folder / f"{image.stem}.json").write_text(text, encoding="utf-8")
    return []
