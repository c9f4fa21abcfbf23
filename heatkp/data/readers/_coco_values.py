"""The values of COCO files, each checked: images, boxes, triples, skeletons."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import ImageFile
from heatkp.data.readers._common import known_layout, numbered_skeleton
from heatkp.data.readers._flip import flipped
from heatkp.data.readers._json_values import identity_of, numbers_in, shown
from heatkp.data.samples import Visibility
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton, named

LARGEST = 1e9
"""Pixels; float32 overflows far beyond, and what is near it is a placeholder."""
_ONE = (0, 1, None)


def skeleton_of(category: Mapping[str, Any], count: int | None, source: object) -> Skeleton:
    """The points of a category; numbered, as many as `count`, where it names none.

    Raises `DataError` for names that are none.
    """
    names = category.get("keypoints") or []
    if not isinstance(names, list) or (not names and not count):
        raise DataError(f"{source}: the category lists no keypoint names under 'keypoints'")
    for name in names:
        if not isinstance(name, str | int) or isinstance(name, bool):
            raise DataError(f"{source}: a keypoint is called {shown(name)}; expected a name")
    names = [str(name) for name in names]
    known = known_layout(names)
    if known is not None and known[1] == list(range(len(names))):
        return known[0]
    name = str(category.get("name", "keypoints"))
    try:
        if not names and count:
            skeleton = numbered_skeleton(count)
            skeleton = replace(skeleton, lines=_lines(category.get("skeleton"), count))
        else:
            skeleton = named(name, names, _lines(category.get("skeleton"), len(names)))
        return flipped(skeleton, category.get("flip_idx"))
    except (ValueError, TypeError) as error:
        raise DataError(f"{source}: category {name!r}: {error}") from None


def _lines(edges: Any, count: int) -> tuple[tuple[int, int], ...]:
    """Pairs of places, which are for drawing only; none of what is no list of COCO's pairs."""
    try:
        lines = tuple((int(a) - 1, int(b) - 1) for a, b in edges or ())
    except (ValueError, TypeError, OverflowError):
        return ()
    return lines if all(0 <= i < count for line in lines for i in line) else ()


def box_of(value: Any, place: str) -> npt.NDArray[np.float32] | None:
    """Edges of the box; None where there is none, or one without area, as some tools write."""
    if value is None:
        return None
    numbers = numbers_in(value)
    why = ""
    if numbers is None or numbers.shape != (4,):
        why = "not four numbers"
    elif not (np.abs(numbers) <= LARGEST).all():
        why = "not finite, or too large"
    elif numbers[2:].min() < 0:
        why = "of negative size"
    if numbers is None or why:
        raise DataError(
            f"{place} has bbox {shown(value)} ({why}); x, y, width, height are expected"
        )
    x, y, w, h = numbers.tolist()
    return np.array([x - 0.5, y - 0.5, x + w - 0.5, y + h - 0.5], np.float32) if w * h else None


def triples_of(value: Any, k: int, place: str) -> npt.NDArray[np.float64]:
    """x, y, v of each point (K, 3), from one list of numbers or from a list for each point."""
    if value is None or (
        isinstance(value, list) and not value
    ):  # tools leave them out where only a box was drawn
        return np.zeros((k, 3))
    numbers = numbers_in(np.frombuffer(value) if isinstance(value, array) else value)
    if numbers is None or numbers.ndim > 2:
        raise DataError(
            f"{place}: 'keypoints' is {shown(value)}, which is no list of numbers x, y, v"
        )
    if numbers.ndim == 1 and numbers.shape != (3 * k,):
        raise DataError(f"{place} has {numbers.size} numbers; {k} points need {3 * k}")
    if numbers.ndim == 2 and numbers.shape != (k, 3):
        count, each = numbers.shape
        raise DataError(
            f"{place} has {count} lists of {each} numbers; {k} points need {k} lists x, y, v"
        )
    triples = numbers.reshape(k, 3)
    if not np.isin(triples[:, 2], list(Visibility)).all():
        raise DataError(f"{place} has a visibility that is none of 0, 1, 2")
    return triples


class Image(NamedTuple):
    """An entry of `images`, and its file."""

    name: str
    size: tuple[int, int] | None
    file: ImageFile | None = None
    source: str = ""


def images_of(entries: Sequence[Mapping[str, Any]], source: Path) -> dict[int | str, Image]:
    """What a file says of its images, by id."""
    images: dict[int | str, Image] = {}
    twice: list[int | str] = []
    for i, entry in enumerate(entries):
        place = f"{source}: images[{i}]"
        identity, name = identity_of(entry.get("id"), place, "id"), entry.get("file_name")
        if not isinstance(name, str) or not name:
            raise DataError(f"{place}: 'file_name' is {shown(name)}; expected the name of a file")
        if identity in images:
            twice.append(identity)
        images[identity] = Image(name, _size(entry, place))
    if twice:
        raise DataError(
            f"{source}: {len(twice)} ids of images are there twice, {twice[0]!r} first, so that "
            "annotations fit several: number the images anew where files are joined"
        )
    return images


def _size(entry: Mapping[str, Any], place: str) -> tuple[int, int] | None:
    """Width and height; None where a file does not say, as with 0."""
    sides = []
    for key in ("width", "height"):
        value = entry.get(key) or 0
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise DataError(f"{place}: {key!r} is {shown(value)}; expected a number of pixels")
        sides.append(round(value) if 0 < value <= LARGEST else 0)
    return (sides[0], sides[1]) if min(sides) else None


def is_crowd(mark: Any, place: str) -> bool:
    """Whether an annotation is of a crowd, which has no points of its own, by its `iscrowd`."""
    if not isinstance(mark, int | float | None) or mark not in _ONE:
        raise DataError(f"{place}: 'iscrowd' is {shown(mark)}; expected 0 or 1")
    return bool(mark)
