"""What a COCO file holds: its three lists, and of them the annotations with keypoints."""

from __future__ import annotations

import json
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from heatkp.data.readers._json_lists import load_lists
from heatkp.data.readers._json_values import Ids, identity_of, numbers_in, shown
from heatkp.errors import DataError

_KEYS = ("images", "annotations", "categories")
_EXPECTED = f"a COCO keypoints file has {', '.join(_KEYS)}, lists of JSON objects"
_OF_NOTE = ("id", "image_id", "category_id", "keypoints", "bbox", "iscrowd", "person", "track_id")
_OF_IMAGE = ("id", "file_name", "width", "height")

Entry = dict[str, Any]


class NoAnnotationsError(DataError):
    """A file that is COCO's and has no annotation, as that of a test set may be."""


def load(source: Path) -> dict[str, list[Entry]]:
    """The three lists of a file, of JSON objects each, with what is used of them. Raises
    `DataError` for anything else."""

    def entry(key: str, kept: Sequence[str] | None, value: Any, i: int) -> Entry:
        if not isinstance(value, dict):
            raise DataError(f"{source}: {key}[{i}] is {shown(value)}; {_EXPECTED}")
        return value if kept is None else {k: value[k] for k in kept if k in value}

    def annotation(value: Any, i: int) -> Entry:
        note = entry("annotations", _OF_NOTE, value, i)
        points = note.get("keypoints")
        if type(points) is list and points:
            try:  # as an array they take a third of the memory
                note["keypoints"] = array("d", points)
            except (TypeError, OverflowError):
                numbers = numbers_in(points)
                note["keypoints"] = points if numbers is None else numbers
        return note

    try:
        content = load_lists(
            source,
            {
                "images": lambda value, i: entry("images", _OF_IMAGE, value, i),
                "annotations": annotation,
                "categories": lambda value, i: entry("categories", None, value, i),
            },
        )
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}); {_EXPECTED}") from None
    if not isinstance(content, dict):
        raise DataError(f"{source} holds {shown(content)}; {_EXPECTED}")
    for key in _KEYS:
        part = content.get(key)
        if part is None or part == []:
            how = "empty" if part == [] else "missing"
            kind = NoAnnotationsError if key == "annotations" else DataError
            raise kind(f"{source} holds no labelled object: {key!r} is {how}; {_EXPECTED}")
        if not isinstance(part, list):
            raise DataError(f"{source}: {key!r} is {shown(part)}; {_EXPECTED}")
    return {key: content[key] for key in _KEYS}


def _names_of(category: Mapping[str, Any]) -> str:
    return json.dumps(category.get("keypoints") or [])


def chosen_of(content: dict[str, list[Entry]], source: Path) -> tuple[list[Entry], list[str]]:
    """The categories with keypoints, which have the same, and notes; tools write others beside
    them. Raises `DataError` where several that are used have different ones."""
    categories = content["categories"]
    found = [c for c in categories if c.get("keypoints")] or categories
    if len({_names_of(c) for c in found}) > 1:
        used = {
            str(n.get("category_id"))
            for n in content["annotations"]
            if n.get("keypoints") is not None
        }
        found = [c for c in found if str(c.get("id")) in used] or found
    names = ", ".join(str(c.get("name")) for c in found[:5]) + ", ..." * (len(found) > 5)
    if len({_names_of(c) for c in found}) > 1:
        raise DataError(
            f"{source} has {len(found)} categories ({names}) with different keypoints; one list of "
            "them is supported: write a file for each"
        )
    notes = [f"categories with the same keypoints, read as one: {len(found)} ({names})"]
    return found, notes * (len(found) > 1 and bool(found[0].get("keypoints")))


def count_of(annotations: Sequence[Entry]) -> int | None:
    """The number of points of the first annotation that has any."""
    for note in annotations:
        points = note.get("keypoints")
        if isinstance(points, array):
            return len(points) // 3 or None
        if isinstance(points, np.ndarray):
            return len(points) if points.ndim == 2 else points.size // 3 or None
    return None


def of_categories(
    content: dict[str, list[Entry]], chosen: Sequence[Entry], source: Path
) -> tuple[list[Entry], list[str]]:
    """The annotations of categories, and notes; all of them where there are no others."""
    annotations, categories = content["annotations"], content["categories"]
    if len(chosen) == len(categories):
        return annotations, []
    places = (f"{source}: categories[{i}]" for i in range(len(categories)))
    ids = Ids([identity_of(c.get("id"), place, "id") for c, place in zip(categories, places)])
    kept = {identity_of(c["id"], str(source), "id") for c in chosen}
    own = []
    for i, note in enumerate(annotations):
        name = identity_of(note.get("category_id"), f"{source}: annotations[{i}]", "category_id")
        if ids.find(name) in kept:
            own.append(note)
    notes = ids.notes("category_id")
    if len(own) < len(annotations):
        notes.append(f"annotations of other categories, left out: {len(annotations) - len(own)}")
    if not own:
        raise DataError(
            f"{source} holds no labelled object: no annotation is of the category with keypoints, "
            f"{chosen[0].get('name')!r}"
        )
    return own, notes
