"""A labelled picture: what every reader makes and every transform takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.exif import orientation, upright
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton
from heatkp.text import printable

Image = npt.NDArray[np.uint8]


class Visibility(IntEnum):
    """What is known of a point (COCO's codes)."""

    NOT_LABELLED = 0
    OCCLUDED = 1
    VISIBLE = 2


def read_image(path: str | Path, orient: bool = False) -> Image:
    """A picture file as RGB, uint8 (H, W, 3).

    `orient` shows it as a person sees it, for pictures without labels: turned as its EXIF entry
    says, and on white where it is transparent. Labels refer to the pixels as stored. Raises
    `DataError` for a file that is missing or is no picture.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"image {path} does not exist")
    content = np.fromfile(path, np.uint8)
    image = _decode(content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if image is None:
        raise DataError(f"{path} is not an image that can be read (damaged, or not a picture)")
    image = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image), np.uint8)
    jpeg = content[:2].tobytes() == b"\xff\xd8"
    if orient and not jpeg:  # JPEG files hold no transparency
        stored = _decode(content, cv2.IMREAD_UNCHANGED)
        if stored is not None and stored.ndim == 3 and stored.shape[:2] == image.shape[:2]:
            image = _on_white(image, stored[:, :, 3:])
    # Not by OpenCV, which does so for some formats only.
    return upright(image, orientation(path)) if orient else image


def _decode(content: npt.NDArray[np.uint8], flags: int) -> npt.NDArray[Any] | None:
    try:
        return cv2.imdecode(content, flags) if len(content) else None
    except cv2.error:  # more pixels than OpenCV reads
        return None


def _on_white(image: Image, alpha: npt.NDArray[Any]) -> Image:
    """(H, W, 3) blended on white by alpha (H, W, 1), or (H, W, 0) for none."""
    if not alpha.size or not np.issubdtype(alpha.dtype, np.integer):
        return image
    full = np.iinfo(alpha.dtype).max
    if (alpha == full).all():
        return image
    share = alpha.astype(np.float32) / full
    return np.asarray(np.rint(image * share + 255 * (1 - share)), np.uint8)


def as_rgb(image: Image) -> Image:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 as (H, W, 3), what is transparent on white.

    Raises `DataError` for anything else.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise DataError(f"an image is uint8 (H, W) or (H, W, C), not {image.dtype} {image.shape}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] not in (3, 4):
        raise DataError(f"an image has 1, 3 or 4 channels, not {image.shape[2]}")
    return _on_white(image[:, :, :3], image[:, :, 3:])


@dataclass(frozen=True)
class Sample:
    """An image with K labelled points.

    Attributes:
        id: distinct within a data set; bytes of a file's name that are not UTF-8 are `\\xNN`.
        image: returns the picture, uint8 (H, W, 3) RGB or (H, W) grey, when called.
        points: float32 (K, 2), pixels of the picture; NaN where not labelled.
        visibility: uint8 (K,), codes of `Visibility`.
        box: edges (x0, y0, x1, y1) of the object in the picture, or None.
        box_from_points: whether the box was made of the points, whatever the labels gave.
        given_box: the labels' own box then, or None.
        person: who is shown, for splits that keep a person on one side.
        photo: the photo that the sample is from, where several are from one; splits never
            part them. None: a photo of its own.
        file: the file that the picture is read from, or None for a picture made in memory.
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
