"""VIA, the VGG Image Annotator, versions 1 and 2: a project, or an export as JSON or CSV.

Points are regions of the shape `point`, with `cx` and `cy`. A point's name is the value of a
region attribute: of the one that is different for all points of an image, or whose number of
values is closest to the most points of an image; where no attribute is given, the region's
number. Where one attribute leaves points of an image with the same name and another tells them
apart, the other says which object a point is of, and a `rect` with the same value is its box. The
format knows no visibility: a point that is not there is not labelled.

VIA writes whole pixels from 0 at the top-left, which are taken as they are:
https://www.robots.ox.ac.uk/~vgg/software/via/docs/face_track_annotation.html,
https://gitlab.com/vgg/via/blob/master/via-2.x.y/CodeDoc.md
"""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._embedded import EmbeddedImage
from heatkp.data.readers._json_values import load_json, pixel, shown
from heatkp.data.readers._label_studio import image_name
from heatkp.data.readers._objects import (
    Edges,
    Found,
    Frame,
    Mark,
    group_marks,
    labels_of,
    left_out,
)
from heatkp.data.readers._sniff import ends, has_keys, one_like, the_file
from heatkp.data.readers._tables import decoded
from heatkp.data.readers._via import Attributes, choose, value_of
from heatkp.data.samples import Labels, Visibility
from heatkp.errors import DataError
from heatkp.limits import Limit, read_bytes

_SUFFIXES = (".json", ".csv")
_WHAT = "VIA's project, or its export as .json or .csv"
_ADVICE = "give the regions of each object a region attribute of their own, such as its number"
_CSV = ("filename", "region_shape_attributes", "region_attributes")


def is_via(path: Path) -> bool:
    """Whether a file looks like VIA's."""
    text = ends(path)
    if path.suffix.lower() == ".csv":
        return b"region_shape_attributes" in text.split(b"\n")[0]
    told = has_keys(text, "shape_attributes") or has_keys(text, "filename", "regions")
    return text[:1] == b"{" and (b'"_via_' in text or told or _is_third(text))


def _is_third(text: bytes) -> bool:
    return has_keys(text, "project", "pid") and has_keys(text, "data_format_version")


class _Region(NamedTuple):
    shape: dict[str, Any]
    attributes: dict[str, Any]
    number: int


class _Image(NamedTuple):
    name: str
    place: str
    regions: list[_Region]
    embedded: EmbeddedImage | None = None


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DataError(f"{place} is {shown(value)}; expected a JSON object")
    return value


def _regions(value: Any, place: str) -> list[_Region]:
    """The regions of an image: VIA 2 writes a list, VIA 1 an object with their numbers."""
    items = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(items, list | None):
        raise DataError(f"{place}: 'regions' is {shown(value)}; expected a list")
    found = []
    for i, item in enumerate(items or ()):
        region = _object(item, f"{place}: regions[{i}]")
        shape = _object(region.get("shape_attributes"), f"{place}: shape of regions[{i}]")
        found.append(_Region(shape, _object(region.get("region_attributes") or {}, place), i))
    return found


def _from_json(source: Path) -> tuple[list[_Image], dict[str, Any]]:
    """Images, and what a project says of region attributes."""
    expected = "VIA's files hold an entry for each image, with 'filename' and 'regions'"
    content = load_json(source, expected)
    if not isinstance(content, dict):
        raise DataError(f"{source} holds {shown(content)}; {expected}")
    if "project" in content and "_via_img_metadata" not in content:
        raise DataError(
            f"{source} is a project of VIA 3, which is for video and audio: label images with "
            "VIA 2, or export COCO"
        )
    entries = content.get("_via_img_metadata", content)
    told = content.get("_via_attributes")
    images = []
    for key, value in _object(entries, f"{source}: '_via_img_metadata'").items():
        place = f"{source}: {shown(key)}"
        entry = _object(value, place)
        name = entry.get("filename")
        if not isinstance(name, str) or not name:
            raise DataError(f"{place}: 'filename' is {shown(name)}; {expected}")
        data = entry.get("base64_img_data")
        held = None
        if isinstance(data, str) and data:
            held = EmbeddedImage(source, place=name, text=data)
        images.append(_Image(image_name(name), place, _regions(entry.get("regions"), place), held))
    regions = told.get("region") if isinstance(told, dict) else None
    return images, regions if isinstance(regions, dict) else {}


def _from_csv(source: Path) -> list[_Image]:
    """A row is a region, or an image without one."""
    try:
        table = csv.reader(io.StringIO(decoded(read_bytes(source, Limit.LABEL_BYTES)), newline=""))
        rows = [row for row in table if row]
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{source} cannot be read as a CSV file: {error}") from None
    header = [cell.strip().lstrip("#") for cell in rows[0]] if rows else []
    if not set(_CSV) <= set(header):
        raise DataError(f"{source} is not VIA's: it has no columns {', '.join(_CSV)}")
    columns = [header.index(name) for name in _CSV]
    images: dict[str, _Image] = {}
    for i, row in enumerate(rows[1:], 1):
        place = f"{source}, row {i}"
        if len(row) <= max(columns) or not row[columns[0]]:
            raise DataError(f"{place} has {len(row)} cells; the header has {len(header)}")
        name, shape, attributes = (row[c] for c in columns)
        image = images.setdefault(name, _Image(image_name(name), place, []))
        region = _Region(_cell(shape, place), _cell(attributes, place), len(image.regions))
        if region.shape:
            image.regions.append(region)
    return list(images.values())


def _cell(text: str, place: str) -> dict[str, Any]:
    try:
        return _object(json.loads(text or "{}"), place)
    except (ValueError, RecursionError):
        raise DataError(f"{place}: {text[:60]!r} is no JSON object") from None


def _marks(image: _Image, attributes: Attributes) -> tuple[list[Mark], int]:
    """The points of an image, and how many have no name."""
    found, nameless = [], 0
    for region in image.regions:
        if region.shape.get("name") != "point":
            continue
        place = f"{image.place}, region {region.number}"
        x, y = (pixel(region.shape.get(key), f"{place}: {key}") for key in ("cx", "cy"))
        told = value_of(region.attributes, attributes.name)
        name = str(region.number) if attributes.name is None else told
        if name is None:
            nameless += 1
            continue
        group = value_of(region.attributes, attributes.group)
        found.append(Mark(name, (x, y, int(Visibility.VISIBLE)), group))
    return found, nameless


def _frames(image: _Image, attributes: Attributes, others: Counter[str]) -> list[Frame]:
    """The rectangles of an image; counts its regions of other shapes."""
    found = []
    for region in image.regions:
        kind = region.shape.get("name")
        if kind == "rect":
            group = value_of(region.attributes, attributes.group)
            found.append(Frame(_edges(region, image.place), group))
        elif kind != "point":
            others[kind if isinstance(kind, str) else "other"] += 1
    return found


def _edges(region: _Region, place: str) -> Edges:
    where = f"{place}, region {region.number}"
    x, y, width, height = (
        pixel(region.shape.get(key), f"{where}: {key}") for key in ("x", "y", "width", "height")
    )
    return x, y, x + width, y + height


def _found(
    images: list[_Image], attributes: Attributes, others: Counter[str], left: Counter[str]
) -> Iterator[Found]:
    for image in images:
        marks, nameless = _marks(image, attributes)
        others[f"point without a value of {attributes.name!r}"] += nameless
        frames = _frames(image, attributes, others)
        objects, unused = group_marks(marks, frames, image.place, _ADVICE, lone_box=False)
        others["rect"] += unused
        left["without a point"] += not objects
        for one in objects:
            yield Found(
                image.name, image.place, one.points, one.box, None, image.embedded,
                one.group is None,
            )  # fmt: skip


@reader(
    "via",
    "VIA 1 and 2 (VGG Image Annotator): a project, or its export as JSON or CSV",
    recognise=one_like(_SUFFIXES, is_via, _WHAT),
    files="VIA's project or export (.json, .csv)",
    priority=0.85,
    boxes=True,
    unlabelled="a point that is not there",
)
def read_via(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All images with points of a file of VIA's (or of the folder that holds just one).

    Points are in the order of the attribute's options in a project, else of their first
    appearance. Raises `DataError` for what does not fit, and where `strict` for images that do
    not exist.
    """
    source = the_file(path, _SUFFIXES, is_via, _WHAT)
    told: dict[str, Any] = {}
    if source.suffix.lower() == ".csv":
        images = _from_csv(source)
    else:
        images, told = _from_json(source)
    points = [
        [r.attributes for r in image.regions if r.shape.get("name") == "point"] for image in images
    ]
    attributes = choose(points)
    others: Counter[str] = Counter()
    left: Counter[str] = Counter()
    found = list(_found(images, attributes, others, left))
    notes = left_out(others, "regions left out, for they are no points of an object")
    notes += left_out(left, "images left out")
    if not found:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(f"{source} holds no labelled point: this is VIA's, without points{why}")
    return labels_of(source, found, strict, notes, order=attributes.order(told))
