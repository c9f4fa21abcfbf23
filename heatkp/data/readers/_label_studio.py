"""Label Studio's regions, and the names that it gives to images."""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlsplit

from heatkp.data.readers._json_values import pixel, shown, size_in
from heatkp.data.readers._objects import Edges, Frame, Mark
from heatkp.data.readers.pts import SUFFIXES
from heatkp.data.samples import Visibility
from heatkp.errors import DataError

_UPLOADED = re.compile(r"\A[0-9a-f]{8}-(?=.)")
OCCLUDED = "occluded"
"""What is written to a point's region where it is occluded: the format has no field for it."""
_NO_SHAPES = (
    "relation", "choices", "textarea", "rating", "number", "taxonomy", "datetime", "labels",
)  # fmt: skip
"""Types of results that say something of a region, or of the whole image."""
_LISTED = ("image", "img", "photo", "picture")


def image_name(url: str) -> str:
    """The path of an image, with folders where they mean something, out of what tasks hold.

    Uploaded files (/data/upload/PROJECT/8HEX-NAME) keep what Label Studio put before their name
    (see `uploaded_as`), local ones (/data/local-files/?d=PATH) and those in storages (s3://,
    gs://, also resolved) give their path. https://labelstud.io/guide/tasks, https://labelstud.io/guide/storage

    >>> image_name("/data/upload/1/1a2b3c4d-img001.png"), image_name("s3://bucket/a/b%20c.png")
    ('1a2b3c4d-img001.png', 'a/b c.png')
    """
    try:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
    except ValueError:  # [ without ], as in an address of IPv6
        return url
    if "d" in query:
        return query["d"][0].replace("\\", "/")
    if "fileuri" in query:
        try:
            inner = base64.urlsafe_b64decode(query["fileuri"][0]).decode("utf-8")
        except (binascii.Error, ValueError):
            inner = query["fileuri"][0]
        return image_name(inner) if "fileuri=" not in inner else inner
    plain = not parts.scheme and not parts.netloc
    path = unquote(parts.path) if not plain or url.startswith("/data/") else url
    if "/data/upload/" in f"/{path}":
        return PurePosixPath(path).name
    return path.lstrip("/") if not plain else path


def uploaded_as(name: str) -> str:
    """The name that an uploaded file had before."""
    return _UPLOADED.sub("", name)


def looks_like_image(value: Any) -> bool:
    """Whether a value of a task is an image: by its suffix, or the data itself."""
    if not isinstance(value, str) or not value:
        return False
    return value.startswith("data:image/") or (
        PurePosixPath(image_name(value)).suffix.lower() in (*SUFFIXES, ".gif", ".avif", ".jp2")
    )


def image_in(data: Mapping[str, Any], wanted: Iterable[str], place: str) -> str:
    """The image of a task's `data`: under one of the names that its regions are of (`to_name`),
    under a usual name, or the first value that looks like one. Raises `DataError`."""
    texts = {key: value for key, value in data.items() if isinstance(value, str) and value}
    images = {key: value for key, value in texts.items() if looks_like_image(value)}
    for known in (images, texts):
        for key in (*wanted, *_LISTED):
            if key in known:
                return known[key]
        if known is images and images:
            return next(iter(images.values()))
    raise DataError(f"{place}: no value of 'data' is an image ({shown(dict(data))})")


class Regions(NamedTuple):
    """What an annotation holds, in the tool's order."""

    marks: list[Mark]
    frames: list[Frame]
    size: tuple[int, int] | None
    turned: bool


def read_regions(items: list[dict[str, Any]], place: str, others: Counter[str]) -> Regions:
    """Points and rectangles among regions; counts those of other types.

    A point is of the object of its `parentID`, of the region that a relation ties it to, or of
    what its `meta` says.
    """
    tied, states, names = _relations(items), _states(items), _separate_labels(items)
    marks, frames = [], []
    size: tuple[int, int] | None = None
    turned = False
    for i, item in enumerate(items):
        value, where, kind = item.get("value"), f"{place}, result[{i}]", str(item.get("type", ""))
        if kind in _NO_SHAPES or not isinstance(value, dict):
            continue
        point = "keypoint" in kind or "keypointlabels" in value
        if not point and "rectangle" not in kind and "rectanglelabels" not in value:
            others[kind] += 1
            continue
        size = size_in(item.get("original_width"), item.get("original_height"))
        if size is None:
            raise DataError(
                f"{where}: without original_width and original_height percent are no pixels"
            )
        turned = turned or item.get("image_rotation", 0) not in (0, None)
        own = str(item.get("id", ""))
        if not point:
            frames.append(Frame(_edges(value, size, where), own))
            continue
        name = _label(value) or names.get(own)
        if name is None:
            others["keypoint without a label"] += 1
            continue
        x, y = (_length(value, key, side, where) - 0.5 for key, side in zip("xy", size))
        hidden = OCCLUDED in states.get(own, ()) or OCCLUDED in _meta(item)
        code = int(Visibility.OCCLUDED if hidden else Visibility.VISIBLE)
        group = item.get("parentID") or tied.get(own) or _said(item)
        marks.append(Mark(name, (x, y, code), None if group is None else str(group)))
    groups = {mark.group for mark in marks}
    # A rectangle that no point is tied to may still hold points that are not tied either.
    frames = [f if f.group in groups else f._replace(group=None) for f in frames]
    return Regions(marks, frames, size, turned)


def _relations(items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """The region that each region is tied to, in either direction: rectangles hold others."""
    kinds = {str(item.get("id", "")): str(item.get("type", "")) for item in items}
    tied: dict[str, str] = {}
    for item in items:
        if item.get("type") == "relation":
            one, other = str(item.get("from_id", "")), str(item.get("to_id", ""))
            if "rectangle" in kinds.get(one, ""):
                one, other = other, one
            if "rectangle" in kinds.get(other, ""):
                tied[one] = other
    return tied


def _separate_labels(items: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Labels of regions by id, where a <Labels> tag gives them, apart from the shape's own tag."""
    values = ((str(i.get("id", "")), i.get("value")) for i in items if i.get("type") == "labels")
    found = ((own, _label(value)) for own, value in values if isinstance(value, dict))
    return {own: name for own, name in found if name is not None}


def _states(items: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Choices that were made for a region, which share its id."""
    found: dict[str, set[str]] = {}
    for item in items:
        value = item.get("value")
        choices = value.get("choices") if isinstance(value, dict) else None
        if isinstance(choices, list):
            said = {c.strip().lower() for c in choices if isinstance(c, str)}
            found.setdefault(str(item.get("id", "")), set()).update(said)
    return found


def _meta(item: Mapping[str, Any]) -> list[str]:
    """The texts of a region's `meta`, which its panel shows."""
    meta = item.get("meta")
    text = meta.get("text") if isinstance(meta, dict) else None
    texts = text if isinstance(text, list) else [text]
    return [t.strip().lower() for t in texts if isinstance(t, str) and t.strip()]


def _said(item: Mapping[str, Any]) -> str | None:
    """The object that a region's `meta` names."""
    return " ".join(t for t in _meta(item) if t != OCCLUDED) or None


def _label(value: Mapping[str, Any]) -> str | None:
    labels = value.get("keypointlabels") or value.get("labels")
    name = labels[0] if isinstance(labels, list) and labels else labels
    return name.strip() or None if isinstance(name, str) else None


def _length(value: Mapping[str, Any], key: str, side: int, place: str) -> float:
    """A percentage as pixels from the corner."""
    return pixel(value.get(key), f"{place}: {key}") / 100 * side


def _edges(value: Mapping[str, Any], size: tuple[int, int], place: str) -> Edges:
    """Edges around a rectangle, which is turned clockwise about its top-left corner."""
    x, width = (_length(value, key, size[0], place) for key in ("x", "width"))
    y, height = (_length(value, key, size[1], place) for key in ("y", "height"))
    angle = math.radians(pixel(value.get("rotation") or 0, f"{place}: rotation"))
    sin, cos = math.sin(angle), math.cos(angle)
    corners = [(0.0, 0.0), (width, 0.0), (0.0, height), (width, height)]
    xs = [x + a * cos - b * sin - 0.5 for a, b in corners]
    ys = [y + a * sin + b * cos - 0.5 for a, b in corners]
    return min(xs), min(ys), max(xs), max(ys)
