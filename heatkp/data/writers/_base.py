"""What a writer of label sets is, gets and gives, and how one becomes known.

A writer is a function under `label_writer`, called as `write(labels, folder)`:

- `labels` is a `LabelSet`: the skeleton, and each image with its name, size and objects. What
  the format cannot hold (`Holds`) has been taken out, and is counted by the caller, before.
- Images lie in `folder` already, under their names: nothing but label files is to be written.
- `folder` is new and takes the place of what the user named once the writer returns; if it
  raises, nothing is left. So no file may hold the folder's own path.
- It returns notes: a line, with its count, for each kind of thing that it left out or changed
  beyond what `Holds` tells.

What a reader gives of the folder must be what was written, to `digits` digits after the point of
a pixel; one test asks this of every writer. Numbers in `LabelSet` are decimal: `Object.points`
are the shortest that are the samples' float32, so half a pixel may be added without harm.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from enum import Flag, auto
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Sample, Visibility
from heatkp.registry import LABEL_WRITERS
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]


class Holds(Flag):
    """What a format can hold beside the points of one object an image.

    Without `NAMES` points are numbered. Of what a format does not hold, writers see nothing:
    occluded points are visible to them without `OCCLUSION`; points outside their image are not
    labelled without `OUTSIDE`; objects of which a point is not labelled are left out without
    `MISSING`, those of which none is without `BARE`, those to be ignored without `IGNORED`;
    images without an object without `EMPTY`. Without `SEVERAL` an image has one object at most.
    With `SPLITS` every image has a split (`train`, where the labels say nothing) or none has.
    """

    NAMES = auto()
    PAIRS = auto()
    LINES = auto()
    OCCLUSION = auto()
    OUTSIDE = auto()
    MISSING = auto()
    BARE = auto()
    EMPTY = auto()
    SEVERAL = auto()
    IGNORED = auto()
    BOXES = auto()
    PERSONS = auto()
    SPLITS = auto()
    VIDEOS = auto()
    TRACKS = auto()
    SCORES = auto()


NOTHING = Holds(0)
PER_SHARD = 1000
"""Images in a tar: of some 100 KB each they have 100 MB, which disks read in one go."""


class Scores(NamedTuple):
    """How sure a prediction is.

    Attributes:
        points: (K,) in [0, 1], NaN where it is not known; or None.
        object: of the whole object, or None.
    """

    points: Array | None = None
    object: float | None = None


@dataclass(frozen=True)
class Object:
    """One object of an image.

    Attributes:
        sample: as it was read; what the other attributes tell goes before it.
        points: float64 (K, 2), pixels, centres on integers; NaN where not labelled.
        visibility: uint8 (K,), codes of `Visibility`.
        box: edges (x0, y0, x1, y1), float64, as the labels give them, or None.
        scores: of a prediction; None for labels.
    """

    sample: Sample
    points: Array
    visibility: npt.NDArray[np.uint8]
    box: Array | None = None
    scores: Scores | None = None

    @classmethod
    def of(cls, sample: Sample, scores: Scores | None = None) -> Object:
        """An object with a sample's labels."""
        labelled = sample.visibility > 0
        points = np.where(labelled[:, None], decimal(sample.points), np.nan)
        edges = sample.labelled_box
        box = None if edges is None else decimal(edges)
        return cls(sample, points, sample.visibility, box, scores)

    @property
    def labelled(self) -> npt.NDArray[np.bool_]:
        """Which points (K,) are labelled."""
        return np.asarray(self.visibility > 0)

    @property
    def extent(self) -> Array | None:
        """The box, or else the edges around the labelled points' pixels; None without either."""
        if self.box is not None or not self.labelled.any():
            return self.box
        points = self.points[self.labelled]
        return np.concatenate([points.min(0) - 0.5, points.max(0) + 0.5])

    def without(self, points: npt.NDArray[np.bool_]) -> Object:
        """The object with the points (K,) that are true not labelled."""
        where = np.where(points[:, None], np.nan, self.points)
        codes = np.where(points, Visibility.NOT_LABELLED, self.visibility).astype(np.uint8)
        return replace(self, points=where, visibility=codes)


@dataclass(frozen=True)
class LabelledImage:
    """An image with its objects.

    Attributes:
        name: of its file seen from the folder, parted by slashes, as label files are to hold it.
        size: width and height of its pixels, which the points refer to.
        objects: in their order.
        split: `train`, `val`, `test`, or None.
        video, frame: of which video, and its number there from 0; or None.
        file: where it lies now. Names in label files are made of `name`, never of this.
    """

    name: str
    size: tuple[int, int]
    objects: tuple[Object, ...]
    split: str | None = None
    video: str | None = None
    frame: int | None = None
    file: Path = field(default=Path(), compare=False)

    @property
    def stem(self) -> str:
        """The name without extension, with its folders."""
        folder, slash, own = self.name.rpartition("/")
        return folder + slash + (own.rpartition(".")[0] or own)


class LabelSet(NamedTuple):
    """What a writer is to write.

    Attributes:
        skeleton: the layout of the points.
        images: in their order; none twice.
        title: what the set is called: the folder's name.
        scored: whether these are predictions, so that objects have scores.
        per_shard: how many images a file has at most, where the format packs them.
    """

    skeleton: Skeleton
    images: list[LabelledImage]
    title: str = "labels"
    scored: bool = False
    per_shard: int = PER_SHARD


class ToPlace(NamedTuple):
    """An image that is to be placed; `place` of a writer says where.

    Attributes:
        name: with its folders below the one that all images have in common; a frame's is
            `VIDEO/000012.png`.
        split, video, frame: as in `LabelledImage`.
        number: its place among the images, from 0.
    """

    name: str
    split: str | None = None
    video: str | None = None
    frame: int | None = None
    number: int = 0


def in_images(image: ToPlace) -> str:
    """Where images go, unless a format has a layout of its own: `images/NAME`."""
    return f"images/{image.name}"


Write = Callable[[LabelSet, Path], Iterable[str]]
W = TypeVar("W", bound=Write)


@dataclass(frozen=True)
class LabelWriter:
    """One format of label sets.

    Attributes:
        name: what `--to` and `--format` call it; that of the reader that reads it, where one does.
        what: what it is, for lists of formats.
        write: see this module.
        holds: what it can hold.
        digits: after the point, in pixels, that are kept.
        place: gives an image's path in the folder, parted by slashes. Where two would have one
            path, the second gets a number.
        beside: whether label files are found by where images lie, so that images have to be in
            the folder (copied or linked), under names that differ also without extension.
        read_from: the file or folder in the set's folder to read, where it is not the folder.
        suffixes: of image files that the tool takes, in lower case; others become PNG. None:
            any.
        packed: whether it puts images into files of its own, as tars. Their files stay where they
            are, and `LabelledImage.file` says where; those that lie in the folder, for they are
            written anew, are to be taken away.
        predictions_read: whether what it writes of predictions (`LabelSet.scored`) is read as
            labels at once; not where a tool keeps them apart until a person has accepted them.
    """

    name: str
    what: str
    write: Write = field(repr=False)
    holds: Holds
    digits: int
    place: Callable[[ToPlace], str] = field(default=in_images, repr=False)
    beside: bool = False
    read_from: str = ""
    predictions_read: bool = True
    suffixes: tuple[str, ...] | None = None
    packed: bool = False


def label_writer(
    name: str,
    what: str,
    *,
    holds: Holds = NOTHING,
    digits: int = 6,
    place: Callable[[ToPlace], str] = in_images,
    beside: bool = False,
    read_from: str = "",
    predictions_read: bool = True,
    suffixes: tuple[str, ...] | None = None,
    packed: bool = False,
) -> Callable[[W], W]:
    """Makes a function known as the writer of that format; arguments as in `LabelWriter`.

    Raises `ExtensionError` where the name is taken.
    """

    def register(function: W) -> W:
        made = LabelWriter(
            name, what, function, holds, digits, place, beside, read_from, predictions_read,
            suffixes, packed,
        )  # fmt: skip
        LABEL_WRITERS.register(name, made, f"{function.__module__}.{function.__qualname__}")
        return function

    return register


def decimal(values: npt.ArrayLike) -> Array:
    """The shortest decimal numbers that are these float32: 0.1, not 0.10000000149.

    >>> decimal(np.float32([0.1, 5000.1])).tolist()
    [0.1, 5000.1]
    """
    return np.asarray(values, np.float32).astype(str).astype(np.float64)


def rounded(value: float, digits: int = 6) -> float | int:
    """A number as label files hold it: whole ones without a point, no negative zero."""
    kept = round(float(value), digits) + 0.0
    return int(kept) if kept.is_integer() else kept


def numbers(values: npt.ArrayLike, digits: int = 6) -> list[float | int]:
    """`rounded` of many."""
    kept = (np.asarray(values, np.float64).ravel().round(digits) + 0.0).tolist()
    return [int(v) if v.is_integer() else v for v in kept]


def text_of(value: float, digits: int = 6) -> str:
    """`rounded` as text, never with an exponent.

    >>> [text_of(v) for v in (12.0, 0.25, 1e-5)]
    ['12', '0.25', '0.00001']
    """
    text = f"{float(value) + 0.0:.{digits}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
