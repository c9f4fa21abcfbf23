"""dlib's "imglab" XML: images, each with boxes, each with named parts.

Coordinates are pixels with centres on integers. A box that starts at `left` and is `width`
wide covers the pixels left ... left + width - 1, so its edges lie half a pixel further out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageFile, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import (
    distinct,
    layout,
    natural,
    number,
    only_file,
    require_files,
    source_images,
    visible_where_given,
    without_extension,
    without_object,
)
from heatkp.data.readers._places import locate
from heatkp.data.readers._splits import folder_splits
from heatkp.data.readers._xml import xml_root
from heatkp.data.samples import Labels, Sample, read_image
from heatkp.errors import DataError
from heatkp.skeletons import UNLABELLED

_IGNORED = {"": False, "0": False, "false": False, "1": True, "true": True}


class _Box(NamedTuple):
    place: str
    image: str
    edges: npt.NDArray[np.float32]
    parts: dict[str, tuple[float, float]]
    size: tuple[int, int] | None
    ignored: bool = False


def _numbers(element: Element, keys: tuple[str, ...], place: str) -> list[float]:
    values = []
    for key in keys:
        value = number(element.get(key))
        if value is None:
            raise DataError(f"{place}: {key} is {element.get(key)!r}; expected a number of pixels")
        values.append(value)
    return values


def _size(image: Element) -> tuple[int, int] | None:
    """Width and height of an image, which newer versions of dlib write; None elsewhere."""
    width, height = (number(image.get(key)) or 0 for key in ("width", "height"))
    return (round(width), round(height)) if min(width, height) >= 1 else None


def _edges(element: Element, place: str) -> npt.NDArray[np.float32]:
    left, top, width, height = _numbers(element, ("left", "top", "width", "height"), place)
    if width <= 0 or height <= 0:
        raise DataError(f"{place}: the box is {width:g} wide and {height:g} high: it has no area")
    edges = np.array([left, top, left + width, top + height], np.float64) - 0.5
    return edges.astype(np.float32)


def _parts(element: Element, place: str) -> dict[str, tuple[float, float]]:
    parts: dict[str, tuple[float, float]] = {}
    for part in element.findall("part"):
        name = part.get("name")
        if not name:
            raise DataError(f"{place}: a part has no name")
        if name in parts:
            raise DataError(f"{place}: part {name!r} is there twice")
        x, y = _numbers(part, ("x", "y"), f"{place}, part {name!r}")
        parts[name] = (x, y)
    return parts


def _boxes(source: Path, notes: list[str], bare: list[str]) -> Iterator[_Box]:
    """All boxes in the file's order; fills `notes` at the end, and `bare` with the names of images
    without a box.

    Those to be ignored have no parts; one of them that is no box at all is left out.
    """
    ignored, unusable = [], []
    for i, image in enumerate(xml_root(source, "dataset", "imglab").findall("images/image"), 1):
        name = image.get("file")
        if not name:
            raise DataError(f"{source}: image {i} has no file name")
        boxes = image.findall("box")
        bare += [name] * (not boxes)
        for b, box in enumerate(boxes, 1):
            where = f"box {b} of image {i} ({name})"
            place = f"{source}: {where}"
            mark = box.get("ignore", "").strip().lower()
            if mark not in _IGNORED:
                raise DataError(f"{place}: ignore is {box.get('ignore')!r}; expected 0 or 1")
            if not _IGNORED[mark]:
                edges = _edges(box, place)
                yield _Box(place, name, edges, _parts(box, place), _size(image))
                continue
            try:
                edges = _edges(box, place)
            except DataError:
                unusable.append(where)
                continue
            ignored.append(where)
            yield _Box(place, name, edges, {}, _size(image), ignored=True)
    if ignored:
        notes.append(
            f"boxes marked with ignore='1', predicted but neither trained on nor measured: "
            f"{len(ignored)}, such as {ignored[0]}"
        )
    if unusable:
        notes.append(
            f"boxes left out, marked with ignore='1' and without an area: {len(unusable)}, such "
            f"as {unusable[0]}"
        )
    if bare:
        notes.append(f"images left out, for they have no box: {len(bare)}")


def _ids(boxes: Sequence[_Box]) -> list[str]:
    """Names of samples; those of boxes that count are as if the ignored ones were not there."""
    order = sorted(range(len(boxes)), key=lambda i: boxes[i].ignored)
    names = dict(zip(order, distinct([without_extension(boxes[i].image) for i in order])))
    return [names[i] for i in range(len(boxes))]


@reader(
    "imglab",
    "dlib's XML; without parts it is a list of faces to predict",
    suffix=".xml",
    files="one of dlib's .xml files",
    priority=0.7,
    boxes=True,
    unlabelled="a part that is not there",
)
def read_imglab(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All boxes of an imglab XML file (or of the folder that holds just one), in its order.

    Without any parts in the file the samples have no points and the skeleton is `UNLABELLED`;
    else a part that a box lacks is not labelled. Boxes with ignore='1' are `Sample.ignored`, and
    none of their points is labelled; images without a box are `Labels.empty`. Images are looked for
    as `locate` does.
    Raises `DataError` for what does not fit, and where `strict` for images that do not exist.
    """
    source = only_file(path, ".xml")
    if source is None:
        raise DataError(f"{path} is not, and does not hold just one, imglab .xml file")
    notes: list[str] = []
    without: list[str] = []
    boxes = list(_boxes(source, notes, without))
    if not boxes:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(f"{source} holds no boxes{why}: each object needs a <box> in an <image>")
    names = sorted({name for box in boxes for name in box.parts}, key=lambda n: (natural(n), n))
    skeleton, order = layout(names) if names else (UNLABELLED, [])
    bare = sum(not box.parts and not box.ignored for box in boxes)
    if names and bare:
        notes.append(f"boxes without parts, none of their points is labelled: {bare}")
    images = [box.image for box in boxes]
    files, elsewhere = locate(source, images, [str(source)] * len(images), strict)
    notes += elsewhere
    if strict:
        require_files(source, (f for f, box in zip(files, boxes) if not box.ignored))
    samples = []
    ids = _ids(boxes)
    originals = source_images(images)
    splits = folder_splits(images)
    for identity, box, file, original, split in zip(ids, boxes, files, originals, splits):
        given = [box.parts.get(names[i], (np.nan, np.nan)) for i in order]
        points, visibility = visible_where_given(np.array(given, np.float64).reshape(-1, 2))
        samples.append(
            Sample(
                id=identity,
                image=partial(read_image, file),
                points=points,
                visibility=visibility,
                box=box.edges,
                source_image=original,
                split=split,
                file=file,
                declared_size=box.size,
                ignored=box.ignored,
            )
        )
    return Labels(skeleton, samples, tuple(notes)).with_empty(_empty(source, without, options))


def _empty(source: Path, names: Sequence[str], options: ImageOptions) -> list[Sample]:
    """The images without a box that are there."""
    files, _ = locate(source, names, [str(source)] * len(names), False)
    told = zip(names, files, source_images(names), folder_splits(names))
    return [
        without_object(ImageFile(file, options), without_extension(name), original, None, split)
        for name, file, original, split in told
        if file.is_file()
    ]
