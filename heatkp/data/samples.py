"""A labelled picture: what every reader makes and every transform takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, Image, ImageFile, ImageOptions, as_rgb, read_image
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton
from heatkp.text import printable

__all__ = [
    "Image",
    "KeypointData",
    "Labels",
    "Sample",
    "Visibility",
    "as_rgb",
    "fingerprint",
    "read_image",
]


class Visibility(IntEnum):
    """What is known of a point (COCO's codes)."""

    NOT_LABELLED = 0
    OCCLUDED = 1
    VISIBLE = 2


@dataclass(frozen=True)
class Sample:
    """An image with K labelled points.

    Attributes:
        id: distinct within a data set; bytes of a file's name that are not UTF-8 are `\\xNN`.
        image: returns the image when called: an array that `as_rgb` takes.
        points: float32 (K, 2), pixels of the picture; NaN where not labelled.
        visibility: uint8 (K,), codes of `Visibility`.
        box: edges (x0, y0, x1, y1) of the object in the picture, or None.
        box_from_points: whether the box was made of the points, whatever the labels gave.
        given_box: the labels' own box then, or None.
        person: who is shown, for splits that keep a person on one side.
        photo: the photo that the sample is from, where several are from one; splits never
            part them. None: a photo of its own.
        file: the file that the picture is read from, or None for a picture made in memory.
        declared_size: width and height of the image in pixels as the labels give them, or None.
        options: how the image is read: `read_with` changes it.
        ignored: whether the labels say that the object does not count: it is neither trained on
            nor measured, but predicted where its box is in a list of boxes.
    """

    id: str
    image: Callable[[], Image] = field(repr=False, compare=False)
    points: npt.NDArray[np.float32] = field(repr=False)
    visibility: npt.NDArray[np.uint8] = field(repr=False)
    box: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    person: str | None = None
    photo: str | None = None
    file: Path | None = None
    box_from_points: bool = False
    given_box: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    declared_size: tuple[int, int] | None = field(default=None, repr=False)
    options: ImageOptions = STORED
    ignored: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", printable(self.id))
        k = len(self.visibility)
        if self.points.shape != (k, 2):
            raise DataError(f"{self.id}: points have shape {self.points.shape}, wanted ({k}, 2)")
        labelled = self.visibility > Visibility.NOT_LABELLED
        if not np.isfinite(self.points[labelled]).all():
            bad = int(np.flatnonzero(labelled & ~np.isfinite(self.points).all(axis=1))[0])
            raise DataError(f"{self.id}: point {bad} is labelled but its coordinate is not finite")

    @property
    def labelled_box(self) -> npt.NDArray[np.float32] | None:
        """The box that the labels gave, whichever the sample is framed by."""
        return self.given_box if self.box_from_points else self.box

    def rgb(self) -> Image:
        """The image as networks see it, uint8 (H, W, 3). Raises `DataError`."""
        return as_rgb(self.image(), self.options.intensity)

    def read_with(self, options: ImageOptions) -> Sample:
        """The sample with its image, of a file or an array, read in another way."""
        image = self.image if self.file is None else ImageFile(self.file, options)
        return replace(self, image=image, options=options)

    def take(self, indices: Sequence[int]) -> Sample:
        """The sample with only the given points, in that order."""
        return replace(self, points=self.points[indices], visibility=self.visibility[indices])


def fingerprint(samples: Sequence[Sample], ordered: bool = False) -> str:
    """A text that tells whether other samples, by their ids, are in a list; in any order, or
    also whether they are in another."""
    ids = [sample.id for sample in samples]
    text = "\n".join(ids if ordered else sorted(ids))
    return sha256(text.encode()).hexdigest()[:16]


class Labels(NamedTuple):
    """What a reader found.

    Attributes:
        skeleton: the layout of the points.
        samples: in the file's order, or by name.
        notes: one line for each kind of thing that was left out or mended, with its count.
    """

    skeleton: Skeleton
    samples: list[Sample]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class KeypointData:
    """Samples with the same skeleton, in two parts; `notes` as in `Labels`."""

    skeleton: Skeleton
    train: list[Sample]
    val: list[Sample]
    notes: tuple[str, ...] = ()

    def part(self, name: str) -> list[Sample]:
        """`train`, `val` or `all`."""
        return {"train": self.train, "val": self.val, "all": self.train + self.val}[name]

    def take(self, indices: Sequence[int], name: str | None = None) -> KeypointData:
        """The data with only the given points."""
        return KeypointData(
            self.skeleton.subset(indices, name),
            [s.take(indices) for s in self.train],
            [s.take(indices) for s in self.val],
            self.notes,
        )
