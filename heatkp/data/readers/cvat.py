"""CVAT's own XML: "CVAT for images" and "CVAT for video", with skeletons or single points.

A skeleton is an object. Its points come in any order; theirs is that of the skeleton's labels in
`<meta>`, or of the nodes of its drawing. `outside="1"` is not labelled, though coordinates are
written, `occluded="1"` is occluded. `<points>` that are no part of a skeleton are points of the
image's only object, or of the object of their `group_id`, each named by its label; with several
coordinates they are an object each, of numbered points. A `<box>` is an object's box where it is of
the same group. In files of videos an object is a track.

Pixels are counted from the image's top-left corner (a box around all of it is 0, 0, W, H), with
two decimals, so 0.5 is subtracted:
https://docs.cvat.ai/docs/dataset_management/formats/format-cvat/,
https://docs.cvat.ai/docs/other/xml_format
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._common import known_layout, number
from heatkp.data.readers._cvat import Meta, frame_name, read_meta, with_frames
from heatkp.data.readers._objects import (
    Edges,
    Found,
    Frame,
    Mark,
    Point,
    group_marks,
    labels_of,
    left_out,
    names_of,
)
from heatkp.data.readers._sniff import ends, one_like, the_file
from heatkp.data.readers._splits import split_of
from heatkp.data.readers._xml import xml_root
from heatkp.data.samples import Labels, Visibility
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton, named

_WHAT = "CVAT's .xml"
_ADVICE = "group the points of each object in CVAT (G), or use a skeleton"
_YES = ("1", "true", "True")
_TRACK = "heatkp_track"
"""Under which a shape in a track is told the track."""


def is_cvat(path: Path) -> bool:
    """Whether a file looks like CVAT's."""
    return b"<annotations>" in ends(path).replace(b" ", b"")


class _Where(NamedTuple):
    """The image that shapes are in."""

    image: str
    place: str
    more: dict[str, Any]


class _Reading:
    """What is gathered over a file."""

    def __init__(self, meta: Meta) -> None:
        self.meta = meta
        self.found: list[tuple[str, Found]] = []
        self.shapes: Counter[str] = Counter()
        self.images: Counter[str] = Counter()
        self.counts: set[int] = set()  # of points in shapes of several
        self.named = False  # whether there are shapes of one point
        self.between = 0  # skeletons that CVAT interpolated

    def add(self, kind: str, where: _Where, points: dict[str, Point], **more: Any) -> None:
        """An object of a kind (a skeleton's name, empty for points), unless nothing is labelled."""
        if points:
            one = Found(where.image, where.place, points, more=where.more, **more)
            self.found.append((kind, one))
        else:
            self.shapes["skeleton of which no point is labelled"] += 1

    def image(self, shapes: list[Element], where: _Where) -> None:
        """The objects of one image (or frame)."""
        before = len(self.found)
        frames = self._frames(shapes, where.place)
        used = self._skeletons(shapes, frames, where)
        used += self._points(shapes, frames, where)
        self.shapes["box"] += len(frames) - used
        for shape in shapes:
            if shape.tag not in ("skeleton", "points", "box", "tag"):
                self.shapes[shape.tag] += 1
        self.images["without a point"] += len(self.found) == before

    def _frames(self, shapes: list[Element], place: str) -> list[Frame]:
        boxes = [s for s in shapes if s.tag == "box" and s.get("outside") not in _YES]
        return [Frame(_edges(box, place), _group(box)) for box in boxes]

    def _skeletons(self, shapes: list[Element], frames: list[Frame], where: _Where) -> int:
        used = 0
        for shape in shapes:
            if shape.tag != "skeleton" or shape.get("outside") in _YES:
                continue
            box = _box_of(shape, frames)
            used += box is not None
            self.between += shape.get("keyframe") == "0"
            track = shape.get(_TRACK)
            own = where if track is None else where._replace(more={**where.more, "track": track})
            kind = (shape.get("label") or "").strip() or "skeleton"
            self.add(kind, own, _parts(shape, where.place), box=box)
        return used

    def _points(self, shapes: list[Element], frames: list[Frame], where: _Where) -> int:
        marks = []
        used = 0
        for shape in shapes:
            if shape.tag != "points" or shape.get("outside") in _YES:
                continue
            several = _several(shape, where.place)
            group = _group(shape)
            if len(several) == 1:
                self.named = True
                marks.append(Mark((shape.get("label") or "").strip(), several[0], group))
                continue
            self.counts.add(len(several))
            box = _box_of(shape, frames)
            used += box is not None
            self.add("", where, {str(i): p for i, p in enumerate(several)}, box=box)
        objects, unused = group_marks(marks, frames, where.place, _ADVICE, lone_box=False)
        for one in objects:
            self.add("", where, one.points, box=one.box, alone=one.group is None)
        return used + len(frames) - unused


def _box_of(shape: Element, frames: list[Frame]) -> Edges | None:
    """The box of a shape's group, where there is just one."""
    group = _group(shape)
    own = [frame for frame in frames if group is not None and frame.group == group]
    return own[0].edges if len(own) == 1 else None


def _parts(skeleton: Element, place: str) -> dict[str, Point]:
    """The labelled points of a skeleton."""
    points: dict[str, Point] = {}
    seen = set()
    for part in skeleton.findall("points"):
        name = (part.get("label") or "").strip()
        if not name or name in seen:
            raise DataError(f"{place}: a skeleton has the point {name!r} twice, or without a name")
        seen.add(name)
        if part.get("outside") not in _YES:
            points[name] = _one(part, place)
    return points


def _group(shape: Element) -> str | None:
    """CVAT writes no group, or 0, where there is none."""
    group = shape.get("group_id") or "0"
    return None if group == "0" else group


def _pixel(text: str | None, place: str) -> float:
    value = number(text)
    if value is None:
        raise DataError(f"{place}: a coordinate is {(text or '')[:40]!r}; expected pixels")
    return value - 0.5


def _edges(box: Element, place: str) -> Edges:
    x0, y0, x1, y1 = (_pixel(box.get(key), place) for key in ("xtl", "ytl", "xbr", "ybr"))
    return x0, y0, x1, y1


def _several(shape: Element, place: str) -> list[Point]:
    """The points of a `<points>`: "x,y" or "x,y;x,y;..."."""
    code = Visibility.OCCLUDED if shape.get("occluded") in _YES else Visibility.VISIBLE
    found = []
    for pair in (shape.get("points") or "").split(";"):
        x, comma, y = pair.partition(",")
        if not comma:
            raise DataError(f"{place}: points is {pair[:40]!r}; expected 'x,y'")
        found.append((_pixel(x, place), _pixel(y, place), int(code)))
    return found


def _one(part: Element, place: str) -> Point:
    found = _several(part, place)
    if len(found) != 1:
        raise DataError(f"{place}: the point {part.get('label')!r} has {len(found)} coordinates")
    return found[0]


def _size(width: str | None, height: str | None) -> tuple[int, int] | None:
    sides = [number(side) or 0 for side in (width, height)]
    return (round(sides[0]), round(sides[1])) if min(sides) >= 1 else None


def _images(root: Element, source: Path) -> Iterator[tuple[list[Element], _Where]]:
    """The images of a file, each with its shapes."""
    for i, image in enumerate(root.findall("image")):
        name, subset = image.get("name"), image.get("subset")
        if not name:
            raise DataError(f"{source}: image {i} has no name")
        more = {
            "declared_size": _size(image.get("width"), image.get("height")),
            "split": split_of(subset or ""),
        }
        within = f"{subset}/{name}" if subset else name
        exact = within if _is_there(source, within) else name
        yield list(image), _Where(exact, f"{source}: image {i} ({name})", more)


def _is_there(source: Path, name: str) -> bool:
    """Whether an export has a folder for each subset."""
    return any((folder / name).is_file() for folder in (source.parent, source.parent / "images"))


def _frames_of(root: Element, source: Path, meta: Meta) -> Iterator[tuple[list[Element], _Where]]:
    """The frames of a video, by number, each with its shapes."""
    frames: dict[int, list[Element]] = {}
    for t, track in enumerate(root.findall("track")):
        identity = track.get("id") or str(t)
        for shape in track:
            text = shape.get("frame") or ""
            if not (text.isascii() and text.isdigit() and len(text) < 10):
                raise DataError(f"{source}: track {identity} has a shape of frame {text[:40]!r}")
            shape.set(_TRACK, identity)
            for key in ("label", "group_id"):
                if track.get(key) and not shape.get(key):
                    shape.set(key, track.get(key, ""))
            frames.setdefault(int(text), []).append(shape)
    for index, shapes in sorted(frames.items()):
        more = {
            "declared_size": meta.size if min(meta.size) else None,
            "video": meta.video or source.parent.name,
            "frame": index,
        }
        yield shapes, _Where(frame_name(index), f"{source}: frame {index}", more)


def _one_kind(reading: _Reading, source: Path) -> tuple[str, list[Found], list[str]]:
    """Which skeleton was found (none: points), its objects, and notes."""
    kinds = Counter(kind for kind, _ in reading.found)
    skeletons = [kind for kind in kinds if kind]
    if len({reading.meta.parts.get(kind, (kind,)) for kind in skeletons}) > 1:
        counted = ", ".join(f"{kinds[kind]} {kind}" for kind in skeletons)
        raise DataError(
            f"{source} has skeletons with other points ({counted}); one kind is supported: filter "
            "by label in CVAT, and export each kind"
        )
    if not skeletons:
        if reading.counts and (reading.named or len(reading.counts) > 1):
            raise DataError(
                f"{source} has <points> of {', '.join(map(str, sorted(reading.counts)))} points"
                f"{' beside single ones' * reading.named}: all objects need the same points"
            )
        return "", [one for _, one in reading.found], []
    loose = kinds[""]
    notes = [f"<points> beside skeletons, left out: {loose}"] * bool(loose)
    return skeletons[0], [one for kind, one in reading.found if kind], notes


def _layout(kind: str, found: list[Found], meta: Meta, source: Path) -> Skeleton:
    """The layout of a skeleton, its points in the order of `<meta>`."""
    names = list(dict.fromkeys([*meta.parts.get(kind, ()), *names_of(found)]))
    known = known_layout(names)
    if known is not None and known[1] == list(range(len(names))):
        return known[0]
    places = {name: i for i, name in enumerate(names)}
    lines = [(places[a], places[b]) for a, b in meta.lines.get(kind, ()) if {a, b} <= {*places}]
    try:
        return named(kind, names, lines)
    except ValueError as error:
        raise DataError(f"{source}: skeleton {kind!r}: {error}") from None


@reader(
    "cvat",
    "CVAT's XML, for images and for video: skeletons, or points with groups",
    recognise=one_like((".xml",), is_cvat, _WHAT),
    files="CVAT's .xml",
    priority=0.88,
    boxes=True,
    unlabelled="outside, or a point that is not there",
    origin=0.5,
)
def read_cvat(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All objects of an XML file of CVAT's (or of the folder that holds just one), in its order.

    Images are looked for beside the file, in `images` and in a folder of their subset, and as
    `locate` does; frames as images `frame_000000` and in the video. Raises `DataError` for what
    does not fit, and where `strict` for images that do not exist.
    """
    source = the_file(path, (".xml",), is_cvat, _WHAT)
    root = xml_root(source, "annotations", "CVAT")
    reading = _Reading(read_meta(root))
    for shapes, where in (*_images(root, source), *_frames_of(root, source, reading.meta)):
        reading.image(shapes, where)
    notes = left_out(reading.shapes, "shapes left out, for they are no points of an object")
    notes += left_out(reading.images, "images left out")
    if not reading.found:
        why = f" ({'; '.join(notes)})" if notes else ""
        raise DataError(f"{source} holds no labelled point: this is CVAT's, without points{why}")
    kind, found, others = _one_kind(reading, source)
    notes += others
    if reading.between:
        notes.append(f"skeletons that CVAT interpolated between key frames: {reading.between}")
    found = with_frames(found, source, reading.meta.video, strict)
    folders = [source.parent / "images"]
    if kind:
        layout = _layout(kind, found, reading.meta, source)
        return labels_of(source, found, strict, notes, skeleton=layout, folders=folders)
    return labels_of(source, found, strict, notes, order=reading.meta.ordered, folders=folders)
