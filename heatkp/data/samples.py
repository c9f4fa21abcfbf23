"""A labelled image: what every reader makes and every transform takes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import IntEnum
from hashlib import sha256
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import (
    STORED,
    Image,
    ImageFile,
    ImageOptions,
    ImageSource,
    as_rgb,
    read_image,
)
from heatkp.data.inputs import ImageLike, as_image
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


@dataclass(frozen=True, init=False, slots=True)
class Sample:
    """An image with K labelled points.

    Attributes:
        image: returns the image when called: an array that `as_rgb` takes.
        points: float32 (K, 2), pixels of the image, centres on integers; NaN where not labelled.
        visibility: uint8 (K,), codes of `Visibility`.
        box: edges (x0, y0, x1, y1) of the object in the image, or None.
        id: distinct within a data set; bytes of a file's name that are not UTF-8 are `\\xNN`.
        person: who is shown, for splits that keep a person on one side.
        source_image: the image that the sample is from, where several are from one; splits never
            part them. None: an image of its own.
        file: the file that the image is read from, or None for an image made in memory. Files
            that hold several images (videos, HDF5, tars) have an `ImageSource` for `image`.
        box_from_points: whether the box was made of the points, whatever the labels gave.
        given_box: the labels' own box then, or None.
        declared_size: width and height of the image in pixels as the labels give them, or None.
        options: how the image is read: `read_with` changes it.
        split: the part of the data that the labels put it in: `train`, `val`, `test`, or None.
        video: the video that the image is a frame of; its frames are near-duplicates of each
            other. None: of no video.
        frame: the frame's number in the video, from 0.
        track: which object of the video it is, through time.
        ignored: whether the labels say that the object does not count: it is neither trained on
            nor measured, but predicted where its box is in a list of boxes.
    """

    image: Callable[[], Any] = field(repr=False, compare=False)
    points: npt.NDArray[np.float32] = field(repr=False)
    visibility: npt.NDArray[np.uint8] = field(repr=False)
    box: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    id: str = ""
    person: str | None = None
    source_image: str | None = None
    file: Path | None = None
    box_from_points: bool = False
    given_box: npt.NDArray[np.float32] | None = field(default=None, repr=False)
    declared_size: tuple[int, int] | None = field(default=None, repr=False)
    options: ImageOptions = STORED
    split: str | None = None
    video: str | None = None
    frame: int | None = None
    track: str | None = None
    ignored: bool = False
    columns: Mapping[str, str] | None = field(default=None, repr=False, compare=False)

    def __init__(
        self,
        image: ImageLike | Callable[[], Any],
        points: npt.ArrayLike,
        visible: npt.ArrayLike | None = None,
        box: npt.ArrayLike | None = None,
        *,
        id: str = "",
        visibility: npt.ArrayLike | None = None,
        person: str | None = None,
        source_image: str | None = None,
        file: str | Path | None = None,
        box_from_points: bool = False,
        given_box: npt.NDArray[np.float32] | None = None,
        declared_size: tuple[int, int] | None = None,
        options: ImageOptions = STORED,
        split: str | None = None,
        video: str | None = None,
        frame: int | None = None,
        track: str | None = None,
        ignored: bool = False,
        columns: Mapping[str, str] | None = None,
    ) -> None:
        """An image with its labels.

        Args:
            image: a file; an array, tensor or Pillow's image as `Predictor.predict` takes; or a
                function that gives an array.
            points: (K, 2), pixels of the image as (x, y), centres on integers; NaN where not
                labelled.
            visible: (K,) booleans, or COCO's codes: 0 not labelled, 1 occluded, 2 visible. None:
                all that are finite.
            box: edges (x0, y0, x1, y1) of the object in pixels of the image.
            id: what messages call it; None names it after the file.
            visibility: `visible` as codes.

        Raises:
            DataError: for shapes that do not fit, and points that are visible but not finite.
        """
        if isinstance(image, str | PathLike):
            file = Path(image)
        if file is not None and not callable(image):
            image = ImageFile(Path(file), options)
        where = None if file is None else Path(file)
        identity = printable(id or ("" if where is None else where.stem))
        labels, codes = _labels(points, visible if visibility is None else visibility, identity)
        values: dict[str, Any] = {
            "image": image if callable(image) else InMemory(image),
            "points": labels, "visibility": codes, "box": _edges(box, identity), "id": identity,
            "person": person, "source_image": source_image, "file": where,
            "box_from_points": box_from_points,
            "given_box": given_box, "declared_size": declared_size, "options": options,
            "split": split, "video": video, "frame": frame, "track": track, "ignored": ignored,
            "columns": columns,
        }  # fmt: skip
        for name, value in values.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of_file(
        cls,
        image: ImageSource,
        points: npt.NDArray[np.float32],
        visibility: npt.NDArray[np.uint8],
        id: str,
        box: npt.NDArray[np.float32] | None = None,
        source_image: str | None = None,
        declared_size: tuple[int, int] | None = None,
        **known: Any,
    ) -> Sample:
        """What `Sample(image, points, visibility, ...)` gives of an image file, its own or one
        within a tar, without its checks: for readers of many, whose values are right. `known` are
        other attributes."""
        sample = object.__new__(cls)
        put = object.__setattr__
        put(sample, "id", id)
        put(sample, "box", box)
        put(sample, "source_image", source_image)
        put(sample, "declared_size", declared_size)
        put(sample, "image", image)
        put(sample, "file", image.path)
        put(sample, "options", image.options)
        put(sample, "points", points)
        put(sample, "visibility", visibility)
        for name, default in _DEFAULTS:
            put(sample, name, known.get(name, default) if known else default)
        return sample

    @property
    def labelled_box(self) -> npt.NDArray[np.float32] | None:
        """The box that the labels gave, whichever the sample is framed by."""
        return self.given_box if self.box_from_points else self.box

    @property
    def image_part(self) -> str:
        """Which image of its file it is; empty where a file is one image."""
        return self.image.part if isinstance(self.image, ImageSource) else ""

    @property
    def image_name(self) -> str:
        """What tells the image from others: its file, and which of the file's images it is; the
        sample's id where there is no file."""
        if self.file is None:
            return self.id
        return f"{self.file}, {self.image_part}" if self.image_part else str(self.file)

    @property
    def has_image_file(self) -> bool:
        """Whether its image is an image file, of its own or within a tar; not a frame of a video,
        pixels in another file, or an image in memory."""
        image = self.image
        return image.is_file if isinstance(image, ImageSource) else self.file is not None

    def open(self) -> BinaryIO:
        """The bytes of its image file, where `has_image_file`. Raises `OSError`, `DataError`."""
        if isinstance(self.image, ImageSource):
            return self.image.open()
        assert self.file is not None
        return self.file.open("rb")

    def rgb(self) -> Image:
        """The image as networks see it, uint8 (H, W, 3). Raises `DataError`."""
        image = self.image()
        given = as_image if isinstance(self.image, InMemory) else as_rgb
        return given(image, self.options.intensity)

    def read_with(self, options: ImageOptions) -> Sample:
        """The sample with its image, of a file or an array, read in another way."""
        image = self.image
        if options == self.options and isinstance(image, ImageSource):
            return self
        if isinstance(image, ImageSource):
            image = image.read_with(options)
        elif self.file is not None:
            image = ImageFile(self.file, options)
        return replace(self, image=image, options=options)

    def take(self, indices: Sequence[int]) -> Sample:
        """The sample with only the given points, in that order."""
        return replace(self, points=self.points[indices], visibility=self.visibility[indices])


_OF_FILE = (
    "image", "file", "options", "points", "visibility", "id", "box", "source_image",
    "declared_size",
)  # fmt: skip
_DEFAULTS = tuple((f.name, f.default) for f in fields(Sample) if f.name not in _OF_FILE)


@dataclass(frozen=True)
class InMemory:
    """An image that is there already; a callable, which unlike a lambda can go to a worker."""

    image: Any = field(repr=False)

    def __call__(self) -> Any:
        return self.image


def _labels(
    points: npt.ArrayLike, visible: npt.ArrayLike | None, name: str
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
    """Points (K, 2) and codes (K,), checked."""
    try:
        where = np.asarray(points, np.float32)
        codes = None if visible is None else np.asarray(visible)
    except (TypeError, ValueError):
        raise DataError(f"{name or 'a sample'}: points must be numbers, (K, 2)") from None
    if where.size == 0:
        where = where.reshape(-1, 2)
    if where.ndim != 2 or where.shape[1] != 2:
        raise DataError(f"{name or 'a sample'}: points have shape {where.shape}, expected (K, 2)")
    finite = np.isfinite(where).all(axis=1)
    if codes is None:
        codes = np.where(finite, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    elif codes.dtype == bool:
        codes = np.where(codes, Visibility.VISIBLE, Visibility.NOT_LABELLED)
    if codes.shape != (len(where),):
        raise DataError(
            f"{name or 'a sample'}: points have shape {where.shape}, expected ({codes.size}, 2) "
            "for the given visibility"
        )
    if not np.isin(codes, list(Visibility)).all():
        raise DataError(f"{name or 'a sample'}: visibility is booleans, or 0, 1 and 2")
    bad = np.flatnonzero((codes > Visibility.NOT_LABELLED) & ~finite)
    if len(bad):
        raise DataError(
            f"{name or 'a sample'}: point {bad[0]} is labelled but its coordinate is not finite"
        )
    return where, codes.astype(np.uint8)


def _edges(box: npt.ArrayLike | None, name: str) -> npt.NDArray[np.float32] | None:
    if box is None:
        return None
    edges = np.asarray(box, np.float32)
    if edges.shape != (4,):
        raise DataError(f"{name or 'a sample'}: a box is edges (x0, y0, x1, y1), not {edges.shape}")
    return edges


def fingerprint(samples: Sequence[Sample], ordered: bool = False) -> str:
    """A text that tells whether other samples, by their ids, are in a list; in any order, or
    also whether they are in another."""
    ids = [sample.id for sample in samples]
    text = "\n".join(ids if ordered else sorted(ids))
    return sha256(text.encode()).hexdigest()[:16]


class _Labels(NamedTuple):
    skeleton: Skeleton
    samples: list[Sample]
    notes: tuple[str, ...] = ()


class Labels(_Labels):
    """What a reader found; a tuple of the first three.

    Attributes:
        skeleton: the layout of the points.
        samples: in the file's order, or by name.
        notes: one line for each kind of thing that was left out or mended, with its count.
        empty: images that are listed without an object, where the labels can say so: samples
            without points and box. Labels that are made of these do not have them by themselves.
    """

    empty: tuple[Sample, ...] = ()

    def with_empty(self, empty: Iterable[Sample]) -> Labels:
        """The same with these images without an object."""
        made = Labels(*self)
        made.empty = tuple(empty)
        return made


@dataclass(frozen=True)
class KeypointData:
    """Samples with the same skeleton, in three parts; `notes` as in `Labels`.

    Attributes:
        groups: which samples folds kept together: a group's number by a sample's id. Empty where
            there are no folds.
        left_out: objects that do not train points, on training images or others: those that the
            labels say do not count, without a labelled point, or beyond `data.train_limit`.
        empty: images without an object, each with the part that it is in as `split`.
    """

    skeleton: Skeleton
    train: list[Sample]
    val: list[Sample]
    notes: tuple[str, ...] = ()
    test: list[Sample] = field(default_factory=list)
    groups: Mapping[str, int] = field(default_factory=dict, repr=False)
    left_out: list[Sample] = field(default_factory=list, repr=False)
    empty: list[Sample] = field(default_factory=list, repr=False)

    def part(self, name: str) -> list[Sample]:
        """`train`, `val`, `test` or `all`."""
        return {
            "train": self.train,
            "val": self.val,
            "test": self.test,
            "all": [*self.train, *self.val, *self.test],
        }[name]

    def take(self, indices: Sequence[int], name: str | None = None) -> KeypointData:
        """The data with only the given points."""
        return replace(
            self,
            skeleton=self.skeleton.subset(indices, name),
            train=[s.take(indices) for s in self.train],
            val=[s.take(indices) for s in self.val],
            test=[s.take(indices) for s in self.test],
            left_out=[s.take(indices) for s in self.left_out],
        )
