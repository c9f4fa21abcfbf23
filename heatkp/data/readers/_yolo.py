"""Ultralytics' `data.yaml`: classes, points, and which images each split has."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from heatkp.data.readers._common import known_layout, walk
from heatkp.data.readers._flip import flipped
from heatkp.data.readers._json_values import shown
from heatkp.errors import DataError
from heatkp.limits import Limit, load_yaml, read_text
from heatkp.skeletons import Skeleton, named

SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
IMAGES = (
    ".bmp", ".dng", ".heic", ".jpeg", ".jpg", ".mpo", ".pfm", ".png", ".tif", ".tiff", ".webp",
)  # fmt: skip
"""What Ultralytics takes for images in a folder (`data/utils.py`, IMG_FORMATS)."""
_EXPECTED = "data.yaml needs kpt_shape: [number of points, 2 or 3]"


@dataclass(frozen=True)
class Config:
    """What a `data.yaml` says.

    Attributes:
        source: the file.
        classes: names by number.
        shape: the number of points, and 2 or 3 numbers of each.
        skeleton: the layout of the points.
        splits: names of images, folders and lists by split, as they are written.
        roots: folders from which these may be meant, the likeliest first.
    """

    source: Path
    classes: dict[int, str]
    shape: tuple[int, int]
    skeleton: Skeleton
    splits: dict[str, list[str]] = field(default_factory=dict)
    roots: tuple[Path, ...] = ()


def read_config(source: Path) -> Config:
    """A `data.yaml` with `kpt_shape`. Raises `DataError` for what does not fit."""
    try:
        content = load_yaml(read_text(source, Limit.SETTINGS_BYTES, "utf-8-sig"))
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        why = str(error).replace("\n", " ")
        raise DataError(f"{source} cannot be read as YAML: {why}") from None
    if not isinstance(content, dict):
        raise DataError(f"{source} is no data.yaml: {_EXPECTED}")
    if "kpt_shape" not in content:
        raise DataError(
            f"{source} is YOLO's, but for boxes: it has no kpt_shape. {_EXPECTED}, and labels with "
            "points behind each box"
        )
    shape = content["kpt_shape"]
    whole = isinstance(shape, list) and len(shape) == 2 and all(type(n) is int for n in shape)
    if not whole or not 1 <= shape[0] <= 10_000 or shape[1] not in (2, 3):
        raise DataError(f"{source}: kpt_shape is {_text(shape)}; {_EXPECTED}")
    classes = _classes(content.get("names"), source)
    splits: dict[str, list[str]] = {}
    for key, split in SPLITS.items():
        value = content.get(key)
        entries = value if isinstance(value, list) else [] if value is None else [value]
        if not all(isinstance(entry, str) for entry in entries):
            raise DataError(f"{source}: {key} is {_text(value)}; expected paths")
        if entries:
            splits.setdefault(split, []).extend(entries)
    if not splits:
        raise DataError(f"{source} names no images: it has neither train, val nor test")
    skeleton = _skeleton(content, shape[0], classes, source)
    roots = _roots(content.get("path"), source)
    return Config(source, classes, (shape[0], shape[1]), skeleton, splits, roots)


def _text(value: Any) -> str:
    try:
        return shown(value)
    except (TypeError, ValueError, RecursionError):  # dates, sets, what refers to itself
        return f"a {type(value).__name__}"


def _classes(names: Any, source: Path) -> dict[int, str]:
    """Names by number, of a list or a mapping; none where none are given."""
    pairs = list(enumerate(names)) if isinstance(names, list) else names
    if isinstance(pairs, dict):
        pairs = list(pairs.items())
    if pairs is None:
        return {}
    if not isinstance(pairs, list) or not all(type(number) is int for number, _ in pairs):
        raise DataError(f"{source}: names is {_text(names)}; expected a name for each number")
    return {number: str(name) for number, name in pairs}


def _point_names(value: Any, count: int, source: Path) -> list[str] | None:
    """The points' names, which are given for each class, or once; None where they are not."""
    lists = list(value.values()) if isinstance(value, dict) else [value]
    if value is None or not lists:
        return None
    for names in lists:
        good = isinstance(names, list) and all(
            isinstance(n, str | int) and not isinstance(n, bool) for n in names
        )
        if not good or len(names) != count:
            raise DataError(f"{source}: kpt_names is {_text(names)}; expected {count} names")
        if names != lists[0]:
            raise DataError(
                f"{source}: classes have points of other names (kpt_names); one kind is supported: "
                "write a set for each"
            )
    return [str(name) for name in lists[0]]


def _skeleton(
    content: dict[str, Any], count: int, classes: dict[int, str], source: Path
) -> Skeleton:
    names = _point_names(content.get("kpt_names"), count, source)
    called = next(iter(classes.values())) if len(classes) == 1 else f"points{count}"
    known = known_layout(names) if names and not all(n.isdigit() for n in names) else None
    if known is not None and known[1] == list(range(count)):
        return known[0]
    try:
        given = names or [f"point_{i}" for i in range(count)]
        return flipped(named(called, given), content.get("flip_idx"))
    except ValueError as error:
        raise DataError(f"{source}: {error}") from None


def _roots(path: Any, source: Path) -> tuple[Path, ...]:
    """`path` is the set's folder, often on the machine where it was made."""
    beside = source.parent
    if not isinstance(path, str) or not path:
        return (beside,)
    written = path.replace("\\", "/")
    last = PurePosixPath(written).name
    places = [beside / written, beside / last, beside]
    return tuple(dict.fromkeys(place for place in places if place.is_dir())) or (beside,)


def find(config: Config, entry: str, roots: Sequence[Path] = ()) -> Path | None:
    """What an entry of a split, or a line of a list, means; None where it is not there.

    Paths of another machine are found by their last parts, two or more where there are as many.
    """
    text = entry.strip().replace("\\", "/")
    parts = [part for part in text.split("/") if part not in ("", ".")]
    while parts and parts[0] == "..":
        parts.pop(0)
    places = [root / text for root in (*roots, *config.roots)]
    for i in range(max(len(parts) - 1, 1)):
        places += [root / "/".join(parts[i:]) for root in config.roots]
    for place in places:
        try:
            if text and place.exists():
                return Path(os.path.normpath(place))
        except (OSError, ValueError):  # names too long, or with zero bytes
            continue
    return None


def images_of(config: Config, split: str) -> tuple[list[Path], list[str]]:
    """The images of a split, and entries that are not there: folders, lists, or images."""
    found: list[Path] = []
    missing: list[str] = []
    for entry in config.splits[split]:
        place = find(config, entry)
        if place is None:
            missing.append(entry)
        elif place.is_dir():
            for folder, names in walk(place, predictions=False):
                found += [folder / n for n in names if Path(n).suffix.lower() in IMAGES]
        elif place.suffix.lower() == ".txt":
            for line in _lines(place):
                image = find(config, line, [place.parent])
                if image is None:
                    missing.append(line)
                else:
                    found.append(image)
        else:
            found.append(place)
    return list(dict.fromkeys(found)), missing


def _lines(path: Path) -> list[str]:
    try:
        text = read_text(path, Limit.LABEL_BYTES, "utf-8-sig")
    except (OSError, ValueError) as error:
        raise DataError(f"cannot read {path}: {error}") from None
    return [line.strip() for line in text.splitlines() if line.strip()]


def label_of(image: Path) -> Path:
    """The label file of an image: where `images` is in its path, the last of them, `labels` is in
    that of the label; else, or where it is not there, it lies beside the image."""
    beside = image.with_suffix(".txt")
    parts = list(beside.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            apart = Path(*parts)
            return beside if beside.is_file() and not apart.is_file() else apart
    return beside
