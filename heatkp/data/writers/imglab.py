"""dlib's imglab XML, `labels.xml`, beside a folder of images.

All numbers are whole pixels, for dlib refuses others ("string cast error", dlib 20.0.1,
`train_shape_predictor`): points are centres of pixels, a box is its first pixels and their number,
so that its edges lie half a pixel further out. A part that is not labelled is not there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from heatkp.data.writers._base import (
    Array,
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    label_writer,
    text_of,
)
from heatkp.text import one_line

MOVED = 0.01
"""Pixels; a point that is rounded by more is counted."""


def _nearest(value: float) -> int:
    return math.floor(value + 0.5)


def _rectangle(box: Array) -> dict[str, int]:
    """The whole pixels that are nearest to a box, one at least."""
    left, top, right, bottom = (_nearest(edge + 0.5) for edge in box)
    return {
        "left": left, "top": top, "width": max(1, right - left), "height": max(1, bottom - top),
    }  # fmt: skip


def _attribute(text: str) -> str:
    """A quoted value; XML cannot hold control characters."""
    return quoteattr(one_line(text))


def _box(found: Object, edges: Array, names: list[str]) -> Iterator[str]:
    place = " ".join(f"{key}='{value}'" for key, value in _rectangle(edges).items())
    score = None if found.scores is None else found.scores.object
    told = "" if score is None else f" detection_score='{text_of(score, 4)}'"
    ignored = " ignore='1'" * found.sample.ignored
    parts = [
        f"      <part name={name} x='{_nearest(x)}' y='{_nearest(y)}'/>"
        for name, (x, y), code in zip(names, found.points, found.visibility)
        if code
    ]
    if not parts:
        yield f"    <box {place}{told}{ignored}/>"
        return
    yield f"    <box {place}{told}{ignored}>"
    yield from parts
    yield "    </box>"


def _image(image: LabelledImage, names: list[str]) -> Iterator[str]:
    width, height = image.size
    yield f"  <image file={_attribute(image.name)} width='{width}' height='{height}'>"
    for found in image.objects:
        if found.extent is not None:
            yield from _box(found, found.extent, names)
    yield "  </image>"


@label_writer(
    "imglab",
    "dlib's XML, in whole pixels: `labels.xml` and a folder of images",
    holds=Holds.NAMES | Holds.OUTSIDE | Holds.MISSING | Holds.BARE | Holds.EMPTY | Holds.SEVERAL
    | Holds.IGNORED | Holds.BOXES | Holds.SCORES,
    digits=0,
    read_from="labels.xml",
)  # fmt: skip
def write_imglab(labels: LabelSet, folder: Path) -> list[str]:
    """An image with a box for each object; objects without one get the extent of their points,
    and those without points either are left out."""
    names = [_attribute(name) for name in labels.skeleton.point_names]
    every = [found for image in labels.images for found in image.objects]
    with (folder / "labels.xml").open("w", encoding="utf-8") as file:
        file.write("<?xml version='1.0' encoding='UTF-8'?>\n<dataset>\n")
        file.write(f"<name>{escape(one_line(labels.title))}</name>\n<images>\n")
        for image in labels.images:
            file.writelines(f"{line}\n" for line in _image(image, names))
        file.write("</images>\n</dataset>\n")
    points = [found.points[found.labelled] for found in every]
    moved = sum(int((np.abs(p - np.rint(p)) > MOVED).any(1).sum()) for p in points)
    used = np.zeros(len(names), bool)
    for found in every:
        used |= found.labelled
    counts = {
        "points rounded to whole pixels": moved,
        "points that no object has labelled, which are not named": int((~used).sum()),
        "objects with neither box nor points, left out": sum(f.extent is None for f in every),
        "objects without a box, which get the extent of their points": sum(
            f.box is None and f.extent is not None for f in every
        ),
    }
    return [f"{what}: {count}" for what, count in counts.items() if count]
