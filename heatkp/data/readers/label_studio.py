"""Label Studio: an export as JSON, or in its short form, JSON_MIN.

A task has `data`, which names the image, and `annotations`, each with a `result` of regions: points
are those with `keypointlabels`. They are of one object where they lie in the same rectangle by
`parentID` or a relation, or their `meta` says so; the rectangle is its box. Predictions and
cancelled annotations are no labels. The format knows no visibility: a point that is not there is
not labelled; where a region's choice or its `meta` is "occluded" (heatkp writes the latter), it is
occluded. JSON_MIN is a list of rows, with regions under the names of the control tags, without
groups.

`x` and `y` are percent of `original_width` and `original_height`, from the image's corner:
https://labelstud.io/tags/keypointlabels ("x coordinate by percentage of the image size (0-100)"),
https://labelstud.io/guide/task_format. So 0.5 is subtracted from x / 100 * width.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._embedded import EmbeddedImage
from heatkp.data.readers._json_values import load_json, objects_in, shown
from heatkp.data.readers._label_studio import (
    image_in,
    image_name,
    looks_like_image,
    read_regions,
    uploaded_as,
)
from heatkp.data.readers._objects import Found, group_marks, labels_of, left_out
from heatkp.data.readers._sniff import ends, has_keys, one_like, the_file
from heatkp.data.samples import Labels
from heatkp.errors import DataError

_SUFFIXES = (".json", ".csv", ".tsv")
_WHAT = "Label Studio's export as .json"
_TELLING = (
    ("keypointlabels",), ("was_cancelled",), ("annotation_id",), ("completed_by",),
    ("total_annotations",), ("original_width",), ("file_upload",), ("result", "data"),
    ("data", "annotations"), ("data", "predictions"),
)  # fmt: skip
_ADVICE = (
    "put the points of each object into a rectangle of its own (in the list of regions, drag them "
    "onto it)"
)
_SHORT = (
    "this is Label Studio's short form (JSON_MIN), which does not tell objects apart: export JSON"
)


def is_label_studio(path: Path) -> bool:
    """Whether a file looks like an export of Label Studio's."""
    text = ends(path)
    if path.suffix.lower() != ".json":
        return b"annotation_id" in text and b"lead_time" in text
    telling = any(has_keys(text, *keys) for keys in _TELLING)
    single = has_keys(text, "data", "annotations") and not has_keys(text, "images")
    return telling if text[:1] == b"[" else text[:1] == b"{" and single


class _Annotation(NamedTuple):
    """The regions of an image, and what goes with them."""

    place: str
    data: dict[str, Any]
    regions: list[dict[str, Any]]


class _Counts:
    """What is left out, and how often."""

    def __init__(self) -> None:
        self.shapes: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self.predictions = self.cancelled = self.further = 0

    def notes(self) -> list[str]:
        notes = left_out(self.shapes, "regions left out, for they are no points of an object")
        notes += left_out(self.images, "images left out")
        if self.predictions:
            notes.append(f"predictions, which are no labels, left out: {self.predictions}")
        if self.cancelled:
            notes.append(f"cancelled annotations left out: {self.cancelled}")
        if self.further:
            notes.append(
                f"further annotations of the same image left out, for the first or the ground "
                f"truth is taken: {self.further}"
            )
        return notes


def _chosen(task: dict[str, Any], place: str, counts: _Counts) -> dict[str, Any] | None:
    """The annotation that counts: the ground truth, or the first that was not cancelled."""
    counts.predictions += len(objects_in(task.get("predictions"), f"{place}: 'predictions'"))
    given = objects_in(task.get("annotations", task.get("completions")), f"{place}: 'annotations'")
    kept = [a for a in given if not a.get("was_cancelled")]
    counts.cancelled += len(given) - len(kept)
    counts.further += max(len(kept) - 1, 0)
    return next((a for a in kept if a.get("ground_truth")), kept[0] if kept else None)


def _full(tasks: list[dict[str, Any]], source: Path, counts: _Counts) -> Iterator[_Annotation]:
    for i, task in enumerate(tasks):
        place = f"{source}: task {task.get('id', i)}"
        data = task.get("data")
        if not isinstance(data, dict):
            raise DataError(f"{place}: 'data' is {shown(data)}; expected a JSON object")
        chosen = _chosen(task, place, counts)
        if chosen is None:
            counts.images["not annotated"] += 1
            continue
        regions = objects_in(chosen.get("result"), f"{place}: 'result'")
        yield _Annotation(place, data, regions)


def _short(rows: list[dict[str, Any]], source: Path, counts: _Counts) -> Iterator[_Annotation]:
    """Rows of JSON_MIN as the annotations of JSON."""
    seen = set()
    for i, row in enumerate(rows):
        place = f"{source}: row {i + 1}"
        identity = shown(row.get("id", f"row {i}"))
        if identity in seen:
            counts.further += 1
            continue
        seen.add(identity)
        regions = []
        for key, value in row.items():
            for item in value if isinstance(value, list) else ():
                if isinstance(item, dict) and {"x", "y"} <= item.keys():
                    regions.append(_region(item, key))
        yield _Annotation(place, {k: v for k, v in row.items() if looks_like_image(v)}, regions)


def _region(item: dict[str, Any], tag: str) -> dict[str, Any]:
    kind = next((key for key in item if key.endswith("labels")), "")
    sizes = {key: item.get(key) for key in ("original_width", "original_height")}
    return {**sizes, "value": item, "type": kind, "from_name": tag, "id": ""}


def _found(annotation: _Annotation, source: Path, counts: _Counts, short: bool) -> Iterator[Found]:
    """The objects of an annotation."""
    place, data, items = annotation
    marks, frames, size, turned = read_regions(items, place, counts.shapes)
    if turned:
        counts.images["turned in Label Studio (image_rotation): turn the files instead"] += 1
        return
    advice = _SHORT if short else _ADVICE
    objects, unused = group_marks(marks, frames, place, advice, lone_box=False)
    counts.shapes["rectangle"] += unused
    counts.images["without points"] += not objects
    if not objects:
        return
    wanted = dict.fromkeys(str(item.get("to_name", "")) for item in items)
    url = image_in(data, wanted, place)
    embedded = None
    if url.startswith("data:"):
        embedded = EmbeddedImage(source, place=place.rpartition(": ")[2], text=url)
    exact = place.rpartition(": ")[2] if embedded else image_name(url)
    name = uploaded_as(exact) if "/data/upload/" in url else exact
    for one in objects:
        yield Found(
            name, place, one.points, one.box, None, embedded, one.group is None, None,
            {"declared_size": size}, exact,
        )  # fmt: skip


@reader(
    "label_studio",
    "Label Studio's export as JSON (or JSON_MIN, without groups)",
    recognise=one_like(_SUFFIXES, is_label_studio, _WHAT),
    files="Label Studio's .json export",
    priority=0.87,
    boxes=True,
    unlabelled="a point that is not there",
    origin=0.5,
)
def read_label_studio(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All objects of an export (or of the folder that holds just one), in its order.

    Images are looked for by the names that their URLs end with, as `locate` does. Images that
    were turned in Label Studio are left out, for their points are those of the turned image.
    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    source = the_file(path, _SUFFIXES, is_label_studio, _WHAT)
    if source.suffix.lower() != ".json":
        raise DataError(f"{source} is a table of Label Studio's: export JSON instead")
    content = load_json(source, "Label Studio's export is a list of tasks")
    tasks = objects_in([content] if isinstance(content, dict) else content, str(source))
    full = any(
        {"data", "annotations", "completions", "predictions"} & task.keys() for task in tasks
    )
    counts = _Counts()
    annotations = (_full if full else _short)(tasks, source, counts)
    found = [one for a in annotations for one in _found(a, source, counts, not full)]
    notes = counts.notes()
    if not found:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(
            f"{source} holds no labelled point: this is Label Studio's, with {len(tasks)} tasks "
            f"and no keypoints in an annotation{why}"
        )
    return labels_of(source, found, strict, notes)
