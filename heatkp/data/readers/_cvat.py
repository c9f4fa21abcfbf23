"""What CVAT's `<meta>` says: labels, the points of skeletons, and what joins them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from heatkp.data.frames import VideoFrame
from heatkp.data.readers._objects import Found
from heatkp.errors import DataError


@dataclass(frozen=True)
class Meta:
    """The part of a file before its images.

    Attributes:
        types: the type of each label without a parent, "any" where it has none, in order.
        parts: the points of each skeleton, in order.
        lines: pairs of those points that are joined, by skeleton.
        video: the file that was labelled, where it is one.
        size: width and height of the video's frames, 0 where they are not given.
    """

    types: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    lines: Mapping[str, tuple[tuple[str, str], ...]] = field(default_factory=dict)
    video: str | None = None
    size: tuple[int, int] = (0, 0)

    def ordered(self, names: list[str]) -> list[str]:
        """Names of single points in the order of their labels, and labels of points that no
        image has."""
        known = [n for n, kind in self.types.items() if kind == "points" or n in names]
        return [*known, *(n for n in names if n not in known)] if {*names} & {*known} else names


def read_meta(root: Element) -> Meta:
    """What a file says of its labels; names twice (of a project's tasks) count once."""
    types: dict[str, str] = {}
    parts: dict[str, dict[str, None]] = {}
    lines: dict[str, tuple[tuple[str, str], ...]] = {}
    for label in root.findall("./meta//labels/label"):
        name = (label.findtext("name") or "").strip()
        parent = (label.findtext("parent") or "").strip()
        if not name:
            continue
        if parent:
            parts.setdefault(parent, {})[name] = None
            continue
        types.setdefault(name, (label.findtext("type") or "any").strip())
        nodes, edges = _drawing(label.findtext("svg") or "")
        if nodes:
            lines[name] = edges
            known = parts.setdefault(name, {})
            if not known:
                known.update(dict.fromkeys(nodes))
    ordered = {name: tuple(known) for name, known in parts.items()}
    return Meta(types, ordered, lines, _video(root), _frame_size(root))


def _drawing(svg: str) -> tuple[list[str], tuple[tuple[str, str], ...]]:
    """Names of the nodes in the drawing of a skeleton, and the pairs that lines join."""
    try:
        root = fromstring(f"<svg>{svg}</svg>", forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError):
        return [], ()
    nodes: dict[str, str] = {}
    for circle in root.iter("circle"):
        name, node = circle.get("data-label-name"), circle.get("data-node-id")
        if name and node:
            nodes[node] = name.strip()
    edges = [(line.get("data-node-from"), line.get("data-node-to")) for line in root.iter("line")]
    known = [(nodes[a], nodes[b]) for a, b in edges if a in nodes and b in nodes]
    return list(nodes.values()), tuple(known)


def _video(root: Element) -> str | None:
    source = root.findtext("./meta/source") or root.findtext("./meta//source")
    return source.strip() if source and source.strip() else None


def _frame_size(root: Element) -> tuple[int, int]:
    sides = []
    for side in ("width", "height"):
        text = root.findtext(f"./meta//original_size/{side}") or ""
        sides.append(int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0)
    return sides[0], sides[1]


def frame_name(index: int) -> str:
    """What CVAT calls the image of a frame, without its suffix.

    Frames are those of the video, also where a task has only some of them.
    """
    return f"frame_{index:06d}"


def _videos(source: Path, video: str | None) -> list[Path]:
    """Where the file of a video may be."""
    name = PurePosixPath((video or "").replace("\\", "/")).name
    return [source.parent / name, source.parent / "images" / name] if name else []


def with_frames(
    found: Sequence[Found], source: Path, video: str | None, strict: bool
) -> list[Found]:
    """Objects in frames of a video with the images of these frames, or else with those of the
    video itself, where it is there.

    Raises `DataError` where `strict` and there are none.
    """
    if not any(one.more and "frame" in one.more for one in found):
        return list(found)
    images: dict[str, Path] = {}
    for folder in (source.parent / "images", source.parent):
        for file in sorted(folder.glob("[fF][rR][aA][mM][eE]_*")):
            images.setdefault(file.stem.lower(), file)
    missing = [one for one in found if one.more and "frame" in one.more and one.image not in images]
    moving = next((f for f in _videos(source, video) if f.is_file()), None)
    if strict and missing and moving is None:
        raise DataError(
            f"{source}: {len(missing)} objects are in frames of {video or 'a video'} of which "
            f"there are no images ({missing[0].image}): put the video beside it, or export it with "
            "images (in CVAT: Save images)"
        )
    absent = source.parent / "images"
    done = []
    for one in found:
        if one.more and "frame" in one.more:
            image = images.get(one.image, absent / f"{one.image}.PNG")
            within = None if moving is None else VideoFrame(moving, number=one.more["frame"])
            one = replace(one, file=image, embedded=within)
        done.append(one)
    return done
