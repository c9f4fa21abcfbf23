"""The labels of an image in a tar: what its JSON may say, checked.

    {"size": [W, H],
     "objects": [{"points": {"nose": [x, y], "left_ear": [x, y, 1], "tail": null},
                  "box": [x0, y0, x1, y1], "person": "...", "track": "...", "ignored": false}],
     "source": "...", "video": "...", "frame": 12}

Pixels, centres on integers; boxes are edges. A third number is COCO's v. `points` may be a list,
and an object may have COCO's `keypoints` (x, y, v triples) and `bbox` (x, y, width, height)
instead. An image of one object may have its keys beside the image's, without `objects`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.readers._coco_values import box_of, triples_of
from heatkp.data.readers._common import FURTHEST
from heatkp.data.readers._json_values import (
    identity_of,
    numbers_in,
    objects_in,
    pixel,
    shown,
    size_in,
)
from heatkp.data.samples import Visibility
from heatkp.errors import DataError
from heatkp.limits import Limit, read_text

EXPECTED = "expected a JSON object with 'points', 'keypoints' or 'box', or a list 'objects' of such"
_OF_OBJECT = ("points", "keypoints", "box", "bbox")
_NOWHERE = (np.nan, np.nan, 0.0)


class Labelled(NamedTuple):
    """An object.

    Attributes:
        names: of the points; None for a list of them.
        triples: float32 (n, 3): x, y, v; NaN, NaN, 0 where a point is not labelled.
        box: edges (4,), or None.
        more: attributes of the sample.
    """

    names: tuple[str, ...] | None
    triples: npt.NDArray[np.float32]
    box: npt.NDArray[np.float32] | None
    more: dict[str, Any]


class Shot(NamedTuple):
    """An image's labels; `more` are attributes of all its samples, `coco` is whether a point is
    in COCO's triples."""

    size: tuple[int, int] | None
    objects: list[Labelled]
    source: str | None
    more: dict[str, Any]
    coco: bool


class TarLabels:
    """Reads the JSON of images; names of points that come again are kept once."""

    def __init__(self) -> None:
        self._names: dict[tuple[str, ...], tuple[str, ...]] = {}

    def read(self, content: bytes, place: str) -> Shot:
        """Raises `DataError`, naming `place`, for what does not fit."""
        try:
            value = json.loads(content.decode("utf-8-sig"))
        except (ValueError, RecursionError) as error:
            raise DataError(f"{place} cannot be read as JSON ({error}); {EXPECTED}") from None
        if not isinstance(value, dict):
            raise DataError(f"{place} holds {shown(value)}; {EXPECTED}")
        if "objects" in value:
            entries = objects_in(value["objects"], f"{place}: 'objects'")
            objects = [self._object(e, f"{place}: objects[{i}]") for i, e in enumerate(entries)]
        else:
            entries, objects = [value], [self._object(value, place)]
        size, more = value.get("size"), dict[str, Any]()
        if size is not None:
            pair = size if isinstance(size, list) and len(size) == 2 else (None, None)
            size = size_in(*pair)
            if size is None:
                raise DataError(f"{place}: 'size' is {shown(value['size'])}; expected [W, H]")
        video, frame = _text(value, "video", place), value.get("frame")
        if frame is not None and (type(frame) is not int or frame < 0):
            raise DataError(f"{place}: 'frame' is {shown(frame)}; expected a number from 0")
        if video is not None:
            more["video"] = video
        if frame is not None:
            more["frame"] = frame
        coco = any("keypoints" in entry for entry in entries)
        return Shot(size, objects, _text(value, "source", place), more, coco)

    def _object(self, entry: dict[str, Any], place: str) -> Labelled:
        if not any(key in entry for key in _OF_OBJECT):
            raise DataError(f"{place} has {', '.join(map(repr, entry)) or 'no key'}; {EXPECTED}")
        names: tuple[str, ...] | None = None
        given = entry.get("points")
        if given is not None and entry.get("keypoints") is not None:
            raise DataError(f"{place} has 'points' and 'keypoints': leave out one")
        if isinstance(given, dict):
            names = tuple(given)
            names = self._names.setdefault(names, names)
            triples = _triples(list(given.values()), names, f"{place}: 'points'")
        elif given is not None:
            if not isinstance(given, list):
                raise DataError(
                    f"{place}: 'points' is {shown(given)}; expected a JSON object, points by name, "
                    "or a list of them"
                )
            triples = _triples(given, None, f"{place}: 'points'")
        else:
            triples = _coco_triples(entry.get("keypoints"), place)
            names = () if entry.get("keypoints") is None else None
        box = _edges(entry["box"], place) if entry.get("box") is not None else None
        if box is None:
            box = box_of(entry.get("bbox"), place)
        more: dict[str, Any] = {}
        for key in ("person", "track"):
            if (text := _text(entry, key, place)) is not None:
                more[key] = text
        if entry.get("ignored") is not None:
            if not isinstance(entry["ignored"], bool):
                raise DataError(
                    f"{place}: 'ignored' is {shown(entry['ignored'])}; expected true or false"
                )
            more["ignored"] = entry["ignored"]
        return Labelled(names, triples, box, more)


def _text(entry: dict[str, Any], key: str, place: str) -> str | None:
    value = entry.get(key)
    return None if value is None else str(identity_of(value, place, key))


def _triples(values: list[Any], names: tuple[str, ...] | None, place: str) -> npt.NDArray[Any]:
    """x, y, v (n, 3) of points as they are written: `[x, y]`, `[x, y, v]` or null."""
    table = numbers_in(values) if values else np.empty((0, 3))
    if table is None or table.ndim != 2 or not _fits(table):
        called = range(len(values)) if names is None else names
        rows = [_triple(v, f"{place}[{name!r}]") for v, name in zip(values, called)]
        table = np.array(rows, np.float64).reshape(-1, 3)
    if table.shape[1] == 2:
        table = np.column_stack([table, np.full(len(table), float(Visibility.VISIBLE))])
    return _without_unlabelled(table)


def _fits(table: npt.NDArray[np.float64]) -> bool:
    if table.shape[1] not in (2, 3) or not (np.abs(table[:, :2]) <= FURTHEST).all():
        return False
    return table.shape[1] == 2 or bool(np.isin(table[:, 2], list(Visibility)).all())


def _triple(value: Any, place: str) -> tuple[float, float, float]:
    if value is None:
        return _NOWHERE
    if not isinstance(value, list) or len(value) not in (2, 3):
        raise DataError(f"{place} is {shown(value)}; expected [x, y], [x, y, v] or null")
    code = value[2] if len(value) == 3 else Visibility.VISIBLE
    if isinstance(code, bool) or code not in list(Visibility):
        raise DataError(f"{place} has visibility {shown(code)}, which is none of 0, 1, 2")
    if code == Visibility.NOT_LABELLED:
        return _NOWHERE
    return pixel(value[0], f"{place}: x"), pixel(value[1], f"{place}: y"), float(code)


def _coco_triples(value: Any, place: str) -> npt.NDArray[np.float32]:
    if value is None:
        return np.empty((0, 3), np.float32)
    if not isinstance(value, list):
        raise DataError(f"{place}: 'keypoints' is {shown(value)}; expected a list of numbers")
    nested = bool(value) and isinstance(value[0], list)
    if not nested and len(value) % 3:
        raise DataError(f"{place}: 'keypoints' has {len(value)} numbers; expected x, y, v triples")
    table = triples_of(value, len(value) if nested else len(value) // 3, place)
    labelled = table[:, 2] > 0
    if not (np.abs(table[labelled, :2]) <= FURTHEST).all():
        raise DataError(f"{place}: a point in 'keypoints' is labelled and lies nowhere")
    return _without_unlabelled(table)


def _without_unlabelled(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    found = table.astype(np.float32)
    found[table[:, 2] == Visibility.NOT_LABELLED] = _NOWHERE
    return found


def _edges(value: Any, place: str) -> npt.NDArray[np.float32] | None:
    """Edges of a box; None for one without area."""
    edges = numbers_in(value)
    fits = edges is not None and edges.shape == (4,) and bool((np.abs(edges) <= FURTHEST).all())
    if edges is None or not fits or (edges[2:] < edges[:2]).any():
        raise DataError(
            f"{place}: 'box' is {shown(value)}; expected edges [x0, y0, x1, y1] in pixels"
        )
    return edges.astype(np.float32) if (edges[2:] > edges[:2]).all() else None


def read_skeleton(source: Path) -> dict[str, Any]:
    """What the file beside tars says: a COCO category. Raises `DataError`."""
    expected = "it is a JSON object with a list 'keypoints' of names"
    try:
        value = json.loads(read_text(source, Limit.LABEL_BYTES, "utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{source} cannot be read as JSON ({error}); {expected}") from None
    if not isinstance(value, dict) or not value.get("keypoints"):
        raise DataError(f"{source} holds {shown(value)}; {expected}")
    return value
