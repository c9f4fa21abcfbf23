"""Label Studio: `tasks.json` to import, and `config.xml`, the labelling interface for it.

As https://labelstud.io/guide/task_format and https://labelstud.io/tags/keypointlabels have it: a
task has `data` and `annotations`, or `predictions` (with `model_version` and `score`), each with a
`result` of regions; these have `id`, `type`, `from_name`, `to_name`, `original_width`,
`original_height`, `image_rotation` and `value`, whose x, y, width and height are percent from the
image's corner, so half a pixel is added. A point lies in the rectangle of its object by `parentID`;
where there is none, its `meta` names the object. `meta` also says "occluded", for the format has
no field for it.

Images are named as https://labelstud.io/guide/storage (Local storage) serves them:
`/data/local-files/?d=` and the path below LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT, the set's folder.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.sax.saxutils import quoteattr

import numpy as np

from heatkp.data.readers._label_studio import OCCLUDED
from heatkp.data.samples import Visibility
from heatkp.data.writers._base import (
    Array,
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    label_writer,
    rounded,
)
from heatkp.data.writers._boxes import within
from heatkp.skeletons import Skeleton
from heatkp.text import json_text, one_line, printable

DIGITS = 10
"""Of percent."""
_IMAGE, _POINTS, _BOXES = "image", "keypoints", "boxes"
"""Names of the tags in `config.xml`."""
SHOWN = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".svg", ".avif")
"""Images that browsers show."""
WIDTH = 0.5
"""Of a point as it is drawn, percent of the image's width."""


def _percent(values: Array, size: tuple[int, int]) -> list[float | int]:
    return [rounded(v, DIGITS) for v in values / np.array(size) * 100]


def _region(
    own: str, kind: str, tag: str, value: dict[str, Any], size: tuple[int, int],
    score: float | None,
) -> dict[str, Any]:  # fmt: skip
    region = {
        "id": own,
        "type": kind,
        "from_name": tag,
        "to_name": _IMAGE,
        "original_width": size[0],
        "original_height": size[1],
        "image_rotation": 0,
        "value": value,
    }
    told = score is not None and np.isfinite(score)
    return {**region, "score": rounded(float(score or 0), 4)} if told else region


def _rectangle(found: Object, own: str, size: tuple[int, int], label: str) -> dict[str, Any] | None:
    box = None if found.box is None else within(found.box, size)
    if box is None:
        return None
    x, y = _percent(box[:2] + 0.5, size)
    width, height = _percent(box[2:] - box[:2], size)
    value = {
        "x": x, "y": y, "width": width, "height": height, "rotation": 0,
        "rectanglelabels": [printable(label)],
    }  # fmt: skip
    score = None if found.scores is None else found.scores.object
    return _region(own, "rectanglelabels", _BOXES, value, size, score)


def _regions(
    found: Object, skeleton: Skeleton, size: tuple[int, int], prefix: str, grouped: bool
) -> Iterator[dict[str, Any]]:
    """The rectangle and the points of an object; `prefix` begins their ids."""
    rectangle = _rectangle(found, f"{prefix}_box", size, skeleton.name)
    if rectangle is not None:
        yield rectangle
    scores = None if found.scores is None else found.scores.points
    for k, name in enumerate(skeleton.point_names):
        code = found.visibility[k]
        if not code:
            continue
        x, y = _percent(found.points[k] + 0.5, size)
        value = {"x": x, "y": y, "width": WIDTH, "keypointlabels": [printable(name)]}
        score = None if scores is None else float(scores[k])
        region = _region(f"{prefix}_{k}", "keypointlabels", _POINTS, value, size, score)
        said = [OCCLUDED] * bool(code == Visibility.OCCLUDED)
        if rectangle is not None:
            region["parentID"] = rectangle["id"]
        elif grouped:
            said.append(f"object {prefix}")
        yield {**region, "meta": {"text": said}} if said else region


def _task(image: LabelledImage, number: int, labels: LabelSet, grouped: bool) -> dict[str, Any]:
    result: list[dict[str, Any]] = []
    for i, found in enumerate(image.objects, 1):
        result += _regions(found, labels.skeleton, image.size, f"{number}_{i}", grouped)
    url = "/data/local-files/?d=" + quote(image.name, errors="backslashreplace")
    task: dict[str, Any] = {"id": number, "data": {_IMAGE: url}}
    if not result:
        return {**task, "annotations": []}
    if not labels.scored:
        return {**task, "annotations": [{"result": result}]}
    known = [o.scores.object for o in image.objects if o.scores is not None]
    told = [score for score in known if score is not None]
    prediction: dict[str, Any] = {"model_version": "heatkp", "result": result}
    if told:
        prediction["score"] = rounded(min(told), 4)
    return {**task, "annotations": [], "predictions": [prediction]}


def label_config(skeleton: Skeleton) -> str:
    """The labelling interface, as its page "Code" takes it."""
    names = [quoteattr(one_line(name)) for name in skeleton.point_names]
    lines = [
        "<View>",
        f'  <Image name="{_IMAGE}" value="${_IMAGE}" zoom="true"/>',
        f'  <KeyPointLabels name="{_POINTS}" toName="{_IMAGE}">',
        *(f"    <Label value={name}/>" for name in names),
        "  </KeyPointLabels>",
        f'  <RectangleLabels name="{_BOXES}" toName="{_IMAGE}">',
        f"    <Label value={quoteattr(one_line(skeleton.name))}/>",
        "  </RectangleLabels>",
        "</View>",
    ]
    return "\n".join(lines) + "\n"


@label_writer(
    "label_studio",
    "Label Studio: `tasks.json` and `config.xml`",
    holds=Holds.NAMES | Holds.OCCLUSION | Holds.MISSING | Holds.EMPTY | Holds.SEVERAL | Holds.BOXES
    | Holds.SCORES,
    read_from="tasks.json",
    predictions_read=False,
    suffixes=SHOWN,
)  # fmt: skip
def write_label_studio(labels: LabelSet, folder: Path) -> list[str]:
    """Labels are annotations; what has scores are predictions, of which a task's score is the
    least of its objects'."""
    several = any(len(image.objects) > 1 for image in labels.images)
    every = [(image, found) for image in labels.images for found in image.objects]
    boxed = [(image, found.box) for image, found in every if found.box is not None]
    grouped = several or bool(boxed)
    tasks = [_task(image, n, labels, grouped) for n, image in enumerate(labels.images, 1)]
    text = json_text(tasks, indent=1, ensure_ascii=False)
    (folder / "tasks.json").write_text(text, encoding="utf-8")
    (folder / "config.xml").write_text(label_config(labels.skeleton), encoding="utf-8")
    parts = [(box, within(box, image.size)) for image, box in boxed]
    cut = sum(part is not None and bool((part != box).any()) for box, part in parts)
    lost = sum(part is None for _, part in parts)
    counts = {
        "boxes that end at the image's edge now": cut,
        "boxes outside of their image, left out": lost,
    }
    return [f"{what}: {count}" for what, count in counts.items() if count]
