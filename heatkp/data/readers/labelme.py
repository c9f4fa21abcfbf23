"""LabelMe: a JSON file beside each image, with `shapes`; also what its forks write.

A point is a shape of type `point` with one [x, y], its `label` the point's name. Shapes with one
`group_id` are of one object, and a `rectangle` among them is its box; shapes without are the
image's only object, or the objects of the rectangles in which they lie. The format knows no
visibility: a point that is not there is not labelled, and one whose `flags` have a true
`occluded` is occluded, which is how heatkp writes it.

Coordinates are floats on a canvas whose (0, 0) is the image's top-left corner, so 0.5 is
subtracted. Source: https://github.com/wkentaro/labelme, `_label_file.py` and `widgets/canvas.py`
(`outOfPixmap`: 0 <= x <= width), which the documents do not state.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import natural, walk
from heatkp.data.readers._embedded import EmbeddedImage
from heatkp.data.readers._json_values import load_json, objects_in, pixel, shown, size_in
from heatkp.data.readers._objects import (
    Edges,
    Found,
    Frame,
    Mark,
    group_marks,
    labels_of,
    left_out,
)
from heatkp.data.readers._sniff import ends, has_keys
from heatkp.data.readers.pts import SUFFIXES
from heatkp.data.samples import Labels, Visibility
from heatkp.errors import DataError

MOST_LOOKED_AT = 50
"""Files of a folder that are looked at, to see whether any is LabelMe's."""
_EXPECTED = "LabelMe's files have 'shapes' and 'imagePath'"
_ADVICE = "give the shapes of each object a group id of their own (in LabelMe: Edit, Group)"


def is_labelme(path: Path) -> bool:
    """Whether a file looks like LabelMe's."""
    text = ends(path)
    others = ("imagePath", "imageHeight", "imageData", "lineColor")
    return text[:1] == b"{" and has_keys(text, "shapes") and any(has_keys(text, k) for k in others)


def _json_files(folder: Path) -> Iterator[Path]:
    for place, names in walk(folder, predictions=False):
        yield from (place / name for name in names if name.lower().endswith(".json"))


def _recognise(path: Path) -> bool:
    if not path.is_dir():
        return path.suffix.lower() == ".json" and is_labelme(path)
    return any(is_labelme(file) for file, _ in zip(_json_files(path), range(MOST_LOOKED_AT)))


def _corners(shape: dict[str, Any], place: str) -> list[tuple[float, float]]:
    """The points of a shape, pixels with centres on integers."""
    points = shape.get("points")
    if not isinstance(points, list):
        raise DataError(f"{place}: 'points' is {shown(points)}; expected a list of [x, y]")
    found = []
    for point in points:
        if not isinstance(point, list) or len(point) != 2:
            raise DataError(f"{place}: a point is {shown(point)}; expected [x, y]")
        found.append((pixel(point[0], place) - 0.5, pixel(point[1], place) - 0.5))
    return found


def _edges(corners: list[tuple[float, float]]) -> Edges:
    xs, ys = zip(*corners)
    return min(xs), min(ys), max(xs), max(ys)


def _occluded(shape: dict[str, Any]) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and flags.get("occluded") is True


def _group(shape: dict[str, Any], place: str) -> int | str | None:
    group = shape.get("group_id")
    if group is not None and (isinstance(group, bool) or not isinstance(group, int | str)):
        raise DataError(f"{place}: 'group_id' is {shown(group)}; expected a number or null")
    return group


def _shapes(
    content: dict[str, Any], source: Path, others: Counter[str]
) -> tuple[list[Mark], list[Frame]]:
    """The points and rectangles of a file; counts its shapes of other types."""
    marks, frames = [], []
    for i, shape in enumerate(objects_in(content.get("shapes"), f"{source}: 'shapes'")):
        kind = shape.get("shape_type") or "polygon"  # as files before LabelMe 3.3 mean it
        place = f"{source}: shapes[{i}]"
        if kind not in ("point", "rectangle"):
            others[kind if isinstance(kind, str) else "other"] += 1
            continue
        corners, group = _corners(shape, place), _group(shape, place)
        if kind == "rectangle":
            if len(corners) < 2:
                raise DataError(f"{place}: a rectangle has {len(corners)} corners")
            frames.append(Frame(_edges(corners), group))
            continue
        name = shape.get("label")
        if not isinstance(name, str) or not name.strip() or len(corners) != 1:
            raise DataError(
                f"{place}: label {shown(name)} with {len(corners)} points; a point has a name and "
                "one [x, y]"
            )
        code = Visibility.OCCLUDED if _occluded(shape) else Visibility.VISIBLE
        marks.append(Mark(name.strip(), (*corners[0], int(code)), group))
    return marks, frames


def _image(content: dict[str, Any], source: Path) -> tuple[str, Path]:
    """The image's name relative to the file, and its file where it is there (or would be).

    `imagePath` may be another machine's: then the image of that name, or of the file's own, beside
    the file is meant.
    """
    given = content.get("imagePath")
    name = given.replace("\\", "/") if isinstance(given, str) and given else source.stem + ".jpg"
    last = PurePosixPath(name).name
    beside = source.parent
    likely = [beside / name, beside / last, *(beside / (source.stem + end) for end in SUFFIXES)]
    likely += [beside.parent / "images" / last, beside.parent / beside.name / last]
    file = next((f for f in likely if os.path.isfile(f)), beside / name)
    return last, Path(os.path.normpath(file))


def _found(
    content: dict[str, Any], source: Path, root: Path, others: Counter[str]
) -> Iterator[Found]:
    """The objects of a file."""
    marks, frames = _shapes(content, source, others)
    objects, unused = group_marks(marks, frames, str(source), _ADVICE, lone_box=True)
    others["rectangle"] += unused
    name, file = _image(content, source)
    called = source.relative_to(root).as_posix()
    size = size_in(content.get("imageWidth"), content.get("imageHeight"))
    data = content.get("imageData")
    held = EmbeddedImage(source, place="imageData") if isinstance(data, str) and data else None
    for one in objects:
        yield Found(
            name, str(source), one.points, one.box, file, held, one.group is None, called,
            {"declared_size": size},
        )  # fmt: skip


@reader(
    "labelme",
    "LabelMe: a `.json` file for each image, with points, groups and rectangles",
    recognise=_recognise,
    files="LabelMe's .json files",
    priority=0.86,
    boxes=True,
    unlabelled="a point that is not there",
    origin=0.5,
)
def read_labelme(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All of LabelMe's files in a folder and the folders below it, by name; or a single one.

    Points are put in the order of their names, for files have them in any order. The image that
    a file holds itself (`imageData`) is taken where there is none of its name. Raises `DataError`
    for what does not fit, and where `strict` for images that do not exist.
    """
    single = not path.is_dir()
    files = [path] if single else [f for f in _json_files(path) if is_labelme(f)]
    root = path.parent if single else path
    others: Counter[str] = Counter()
    found: list[Found] = []
    empty = 0
    for source in files:
        content = load_json(source, _EXPECTED)
        if not isinstance(content, dict) or "shapes" not in content:
            raise DataError(f"{source} is not LabelMe's: {_EXPECTED}")
        objects = list(_found(content, source, root, others))
        found += objects
        empty += not objects
    notes = left_out(others, "shapes left out, for they are no points and the box of no object")
    if empty:
        notes.append(f"images left out, for none of their points is labelled: {empty}")
    foreign = 0 if single else sum(1 for _ in _json_files(path)) - len(files)
    if foreign:
        notes.append(f".json files left out, for they are not LabelMe's: {foreign}")
    if not found:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(
            f"{path} holds no labelled point: these are {len(files)} files of LabelMe without "
            f"shapes of type 'point'{why}"
        )

    def by_name(names: list[str]) -> list[str]:
        return sorted(names, key=lambda n: (natural(n), n))

    return labels_of(root / "labels", found, strict, notes, order=by_name)
