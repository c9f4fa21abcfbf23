"""CVAT: `annotations.xml`, "CVAT for images 1.1", beside a folder of images.

As https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/ and
https://docs.cvat.ai/docs/other/xml_format have it: `<meta>` with a label of type `skeleton`, its
drawing and its points, which are labels with a `<parent>`; for each `<image>` a `<skeleton>` an
object, with all its points, `outside="1"` where one is not labelled. Pixels are from the image's
corner, so half a pixel is added. A `<box>` of the same `group_id` is an object's box; its label is
written only where there are boxes. CVAT has no place for scores.

CVAT imports it into a task whose labels are those (`labels.json`: paste it into the task's label
constructor, Raw) and whose images have these names.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from math import cos, pi, sin
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape, quoteattr

import numpy as np

from heatkp.data.samples import Visibility
from heatkp.data.writers._base import (
    Array,
    Holds,
    LabelledImage,
    LabelSet,
    Object,
    label_writer,
    text_of,
)
from heatkp.skeletons import Skeleton
from heatkp.text import json_text, one_line

DIGITS = 4
"""CVAT itself writes two; it reads more."""
_SUBSETS = {"train": "Train", "val": "Validation", "test": "Test"}


def _text(name: str) -> str:
    """What CVAT makes of a name, which has no blanks at its ends."""
    return one_line(name).strip() or "_"


def _attribute(name: str) -> str:
    return quoteattr(_text(name))


def _box_label(skeleton: Skeleton) -> str:
    return f"{_text(skeleton.name)} box"


def _drawing(skeleton: Skeleton) -> str:
    """A skeleton's drawing: nodes on a circle, and its lines."""
    count = len(skeleton)
    turns = [2 * pi * k / count for k in range(count)]
    places = [(50 + 40 * sin(turn), 50 - 40 * cos(turn)) for turn in turns]
    parts = []
    for a, b in dict.fromkeys(edge for run in skeleton.lines for edge in pairwise(run)):
        (x0, y0), (x1, y1) = places[a], places[b]
        parts.append(
            f'<line x1="{x0:.2f}" y1="{y0:.2f}" x2="{x1:.2f}" y2="{y1:.2f}" data-type="edge" '
            f'data-node-from="{a + 1}" data-node-to="{b + 1}"></line>'
        )
    for k, (name, (x, y)) in enumerate(zip(skeleton.point_names, places), 1):
        parts.append(
            f'<circle r="0.75" cx="{x:.2f}" cy="{y:.2f}" data-type="element node" '
            f'data-element-id="{k}" data-node-id="{k}" data-label-name={_attribute(name)}></circle>'
        )
    return "".join(parts)


def _label(name: str, kind: str, more: str = "") -> str:
    return (
        f"        <label><name>{escape(_text(name))}</name><type>{kind}</type>"
        f"<attributes></attributes>{more}</label>"
    )


def _meta(labels: LabelSet, boxed: bool) -> Iterator[str]:
    skeleton = labels.skeleton
    yield "  <meta>\n    <task>"
    yield f"      <name>{escape(one_line(labels.title))}</name>"
    yield f"      <size>{len(labels.images)}</size>\n      <mode>annotation</mode>\n      <labels>"
    yield _label(skeleton.name, "skeleton", f"<svg>{escape(_drawing(skeleton))}</svg>")
    parent = f"<parent>{escape(_text(skeleton.name))}</parent>"
    for name in skeleton.point_names:
        yield _label(name, "points", parent)
    if boxed:
        yield _label(_box_label(skeleton), "rectangle")
    yield "      </labels>\n    </task>\n  </meta>"


def label_constructor(skeleton: Skeleton, boxed: bool) -> list[dict[str, Any]]:
    """The labels as CVAT's constructor takes them (Raw)."""
    parts = [
        {"name": _text(name), "type": "points", "attributes": []} for name in skeleton.point_names
    ]
    told: list[dict[str, Any]] = [
        {
            "name": _text(skeleton.name), "type": "skeleton", "attributes": [],
            "sublabels": parts, "svg": _drawing(skeleton),
        }
    ]  # fmt: skip
    if boxed:
        told.append({"name": _box_label(skeleton), "type": "rectangle", "attributes": []})
    return told


def _pixels(values: Array) -> list[str]:
    return [text_of(v, DIGITS) for v in values + 0.5]


def _object(found: Object, skeleton: Skeleton, group: int) -> Iterator[str]:
    tied = f' group_id="{group}"' if found.box is not None else ""
    if found.box is not None:
        x0, y0, x1, y1 = _pixels(found.box)
        yield (
            f'    <box label={_attribute(_box_label(skeleton))} source="manual" occluded="0" '
            f'xtl="{x0}" ytl="{y0}" xbr="{x1}" ybr="{y1}" z_order="0"{tied}></box>'
        )
    source = "manual" if found.scores is None else "auto"
    yield f'    <skeleton label={_attribute(skeleton.name)} source="{source}" z_order="0"{tied}>'
    middle = found.points[found.labelled].mean(0)
    for name, point, code in zip(skeleton.point_names, found.points, found.visibility):
        x, y = _pixels(point if code else middle)
        yield (
            f'      <points label={_attribute(name)} source="{source}" outside="{int(code == 0)}" '
            f'occluded="{int(code == Visibility.OCCLUDED)}" points="{x},{y}"></points>'
        )
    yield "    </skeleton>"


def _image(image: LabelledImage, number: int, skeleton: Skeleton) -> Iterator[str]:
    width, height = image.size
    name = quoteattr(one_line(image.name.removeprefix("images/")))
    subset = f' subset="{_SUBSETS[image.split]}"' if image.split in _SUBSETS else ""
    yield f'  <image id="{number}" name={name}{subset} width="{width}" height="{height}">'
    for group, found in enumerate(image.objects, 1):
        yield from _object(found, skeleton, group)
    yield "  </image>"


@label_writer(
    "cvat",
    "CVAT for images: `annotations.xml` with skeletons, and `labels.json`",
    holds=Holds.NAMES | Holds.LINES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING | Holds.EMPTY
    | Holds.SEVERAL | Holds.BOXES | Holds.SPLITS,
    digits=DIGITS,
    read_from="annotations.xml",
)  # fmt: skip
def write_cvat(labels: LabelSet, folder: Path) -> list[str]:
    """A skeleton an object; splits are subsets."""
    every = [found for image in labels.images for found in image.objects]
    boxed = any(found.box is not None for found in every)
    with (folder / "annotations.xml").open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n')
        file.write("  <version>1.1</version>\n")
        file.writelines(f"{line}\n" for line in _meta(labels, boxed))
        for number, image in enumerate(labels.images):
            file.writelines(f"{line}\n" for line in _image(image, number, labels.skeleton))
        file.write("</annotations>\n")
    constructor = json_text(label_constructor(labels.skeleton, boxed), indent=1, ensure_ascii=False)
    (folder / "labels.json").write_text(constructor, encoding="utf-8")
    bad = np.array([_text(name) != name for name in labels.skeleton.point_names])
    return [f"names of points that were changed: {int(bad.sum())}"] * bool(bad.any())
