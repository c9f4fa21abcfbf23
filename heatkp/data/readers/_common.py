"""What several readers need: files, numbers, tables, layouts, and which image an image is from."""

from __future__ import annotations

import math
import os
import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from heatkp.data.braces import has_braces
from heatkp.data.images import ImageFile
from heatkp.data.predicted import SUMMARY, made_by_predict
from heatkp.data.samples import Sample, Visibility
from heatkp.errors import DataError
from heatkp.sides import Sides
from heatkp.skeletons import SKELETONS, Skeleton, named
from heatkp.text import printable

FURTHEST = 1e6
"""Pixels; no image is that large, and float32 is coarse there."""


def files_of_type(folder: Path, suffix: str) -> list[Path]:
    """The files right in a folder that end in `suffix` (any case), by name; no hidden ones."""
    found = (p for p in folder.iterdir() if p.suffix.lower() == suffix and p.is_file())
    return sorted(p for p in found if not p.name.startswith("."))


def is_pattern(path: Path) -> bool:
    """Whether a path means several files by braces: nothing has its name."""
    return has_braces(str(path)) and not path.exists()


def only_file(path: Path, suffix: str) -> Path | None:
    """The file that a path means: itself, or the only one of that type in a folder."""
    if not path.is_dir():
        return path if path.suffix.lower() == suffix else None
    found = files_of_type(path, suffix)
    return found[0] if len(found) == 1 else None


def walk(folder: Path, predictions: bool = True) -> Iterator[tuple[Path, list[str]]]:
    """Each folder below and including `folder`, with its files' names, sorted; links followed.

    `predictions=False` leaves out what `heatkp predict` made below: copies of images with points
    drawn, and their tables.
    """
    seen: set[str] = set()
    for place, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        back = real in seen  # a link that leads up
        made = SUMMARY in names and Path(place) != folder and made_by_predict(Path(place))
        if back or (made and not predictions):
            folders.clear()
            continue
        seen.add(real)
        folders.sort()
        yield Path(place), sorted(n for n in names if not n.startswith("."))


MOST_OF_A_SOURCE = 20


def source_images(names: Sequence[str]) -> list[str]:
    """The image that each image is from, by the images' names within the data set.

    Data sets hold several images of one image. Roboflow calls its augmented copies
    NAME_EXT.rf.HASH.EXT, of which NAME is left, in whatever folder. 300-W's crops of the faces in
    NAME are NAME_1, NAME_2 ..., and mirrored copies end in _mirror. A split that put one of them
    into training and another into validation would measure what the network has seen. So a name
    counts without its extension, without `_mirror` and then without a number of one or two
    digits after an underscore. Elsewhere images are just numbered: numbers are a part of the
    name where more than 20 follow it, where images would have more than 5 images on average,
    or where fewer than 5 images would remain, and fewer than half as many as images.

    >>> source_images(["helen/2821_1_mirror.jpg", "lfpw/image_0735.png", "helen/2821_2.jpg"])
    ['helen/2821', 'lfpw/image_0735', 'helen/2821']
    >>> source_images(["img_1.png", "img_2.png", "img_3.png"])
    ['img_1', 'img_2', 'img_3']
    >>> source_images(["train/a_jpg.rf.8e1f0c2b4d.jpg", "train/a_jpg.rf.77ac90d1ee.jpg"])
    ['a', 'a']
    """
    exported = [_ROBOFLOW.fullmatch(name) for name in names]
    others = iter(_numbered_sources([n for n, match in zip(names, exported) if match is None]))
    return [match["name"] if match else next(others) for match in exported]


_ROBOFLOW = re.compile(
    r"(?:.*[/\\])?(?P<name>.+?)(?:_(?:jpe?g|png|bmp|webp|tiff?|heic|gif|avif|mpo))?"
    r"\.rf\.[0-9A-Za-z]{8,64}\.\w+",
    re.IGNORECASE | re.DOTALL,
)


def _numbered_sources(names: Sequence[str]) -> list[str]:
    stems = [without_extension(name).removesuffix("_mirror") for name in names]
    sources = [re.sub(r"_\d{1,2}\Z", "", stem) for stem in stems]
    numbers = Counter(source for source, _ in set(zip(sources, stems)))
    sources = [s if numbers[p] > MOST_OF_A_SOURCE else p for p, s in zip(sources, stems)]
    remaining, files = len(set(sources)), len(set(stems))
    numbered = 5 * remaining < files or (remaining < 5 and 2 * remaining < files)
    return stems if numbered else sources


def without_extension(name: str) -> str:
    """An image's name, with its folders, without the extension."""
    return posixpath.splitext(posixpath.normpath(name.replace("\\", "/")))[0]


def distinct(names: Iterable[str]) -> list[str]:
    """Names, as `printable` gives them, that differ: the second "a" becomes "a#2"."""
    result: list[str] = []
    taken: set[str] = set()
    counts: dict[str, int] = {}
    for name in map(printable, names):
        new = name
        while new in taken:
            counts[name] = counts.get(name, 1) + 1
            new = f"{name}#{counts[name]}"
        taken.add(new)
        result.append(new)
    return result


def number(text: str | None) -> float | None:
    """A coordinate in pixels; None for what is no finite number, or one beyond `FURTHEST`."""
    try:
        value = float(text) if text is not None and "_" not in text else math.nan
    except ValueError:
        return None
    return value if abs(value) <= FURTHEST else None


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) < 10


def natural(name: str) -> list[str | tuple[int, str]]:
    """A sort key under which "p2" comes before "p10"."""
    parts = re.split(r"([0-9]+)", name)
    # Compared as text, for Python turns no digits by the thousand into a number.
    return [(len(p.lstrip("0")), p.lstrip("0")) if i % 2 else p for i, p in enumerate(parts)]


def known_layout(names: Sequence[str]) -> tuple[Skeleton, list[int]] | None:
    """As `layout`, where the names tell the skeleton; None elsewhere."""
    order = list(range(len(names)))
    if len(set(names)) != len(names):
        return None
    holding = [s for s in SKELETONS.values() if set(names) <= set(s.point_names)]
    for known in holding:
        if len(names) == len(known):
            places = {name: i for i, name in enumerate(names)}
            return known, [places[name] for name in known.point_names]
    if len(names) < 2 or not holding:
        return None
    parts = [s.subset([s.point_names.index(name) for name in names]) for s in holding]
    if any((p.pairs, p.unpaired) != (parts[0].pairs, parts[0].unpaired) for p in parts):
        # Layouts that number their points in other orders: no name tells which it is.
        everything = Sides((), tuple(range(len(names))))
        return named(f"points{len(names)}", names).with_sides(everything), order
    return parts[0], order


def layout(names: Sequence[str]) -> tuple[Skeleton, list[int]]:
    """The skeleton of points with the given names, and where each of its points is in `names`.

    The names of a known skeleton, in any order, are that skeleton, some of them a part of it.
    Else the order is kept (numbers are put in theirs, and number 3 is called "point_3"), and
    left-right pairs are found by name; what numbered points are is told by their shape, see
    `with_layout`. Raises `DataError` for names that are not distinct.
    """
    known = known_layout(names)
    if known is not None:
        return known
    order = list(range(len(names)))
    if names and all(map(_is_number, names)):
        order.sort(key=lambda i: int(names[i]))
    called = [f"point_{int(n)}" if _is_number(n) else n for n in (names[i] for i in order)]
    try:
        return named(f"points{len(names)}", called), order
    except ValueError as error:
        raise DataError(f"{error} (names: {', '.join(map(repr, names[:10]))} ...)") from None


def numbered_skeleton(count: int) -> Skeleton:
    """Points without names: point_0, point_1 ...; at least one."""
    return layout([str(k) for k in range(count)])[0]


def visible_where_given(
    points: npt.NDArray[np.float64],
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Points (K, 2) and visibility (K,): visible, or not labelled where a point is NaN."""
    labelled = np.isfinite(points).all(axis=1)
    codes = np.where(labelled, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    return points.astype(np.float32), codes.astype(np.uint8)


def require_files(source: Path, files: Iterable[Path]) -> None:
    """Raises `DataError` with the first image that does not exist, and how many do not."""
    distinct_files = dict.fromkeys(files)
    missing = [f for f in distinct_files if not os.path.isfile(f)]
    if missing:
        raise DataError(
            f"{source}: the image {missing[0]} does not exist ({len(missing)} of "
            f"{len(distinct_files)} are missing); put them there, or list all with "
            "`heatkp data info`"
        )


def without_object(
    image: ImageFile, id: str, source: str | None, size: tuple[int, int] | None, split: str | None
) -> Sample:
    """An image that is listed without an object, as one of `Labels.empty`."""
    none = np.zeros((0, 2), np.float32), np.zeros(0, np.uint8)
    return Sample.of_file(
        image, *none, id=printable(id), source_image=source, declared_size=size, split=split
    )
