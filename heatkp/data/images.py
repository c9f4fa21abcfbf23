"""Reading an image: the one function for training, evaluation, prediction and drawings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, ClassVar, TypeVar

import numpy as np
import numpy.typing as npt

from heatkp.config import Data, Intensity
from heatkp.data.decoding import Undecodable, decode, fraction
from heatkp.data.exif import upright
from heatkp.data.intensity import levels
from heatkp.errors import DataError
from heatkp.limits import Limit, TooLarge, read_bytes

Image = npt.NDArray[np.uint8]
IMAGE_SUFFIXES = (
    ".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".pgm", ".ppm", ".gif", ".apng",
    ".jpe", ".jfif", ".dib", ".pbm", ".pnm", ".jp2", ".j2k", ".avif", ".ras", ".sr",
)  # fmt: skip
"""Extensions of image files that can be read, in lower case."""
S = TypeVar("S", bound="ImageSource")


@dataclass(frozen=True)
class ImageOptions:
    """How image files are read.

    Attributes:
        orient: turned upright as their EXIF entry says, rather than as stored.
        intensity: how more than 8 bits become 256 levels; see `intensity.levels`.
    """

    orient: bool = False
    intensity: Intensity = "range"

    @classmethod
    def of(cls, data: Data) -> ImageOptions:
        """As a run's samples are read."""
        return cls(data.orient, data.intensity)

    @property
    def upright(self) -> ImageOptions:
        """As images without labels are read."""
        return replace(self, orient=True)


STORED = ImageOptions()


@dataclass(frozen=True)
class ImageSource(ABC):
    """An image that is read when it is called, and can go to a worker process until then.

    Attributes:
        path: the file that holds it.
        options: how it is read.
    """

    is_file: ClassVar[bool] = False
    """Whether `open` gives the bytes of an image file, its own or one within `path`."""

    path: Path
    options: ImageOptions = STORED

    @property
    def part(self) -> str:
        """Which image of the file it is, in words; empty where a file is one image."""
        return ""

    def open(self) -> BinaryIO:
        """The image file's bytes, where `is_file`. Raises `OSError` or `DataError`."""
        return self.path.open("rb")

    @abstractmethod
    def __call__(self) -> Image:
        """RGB, uint8 (H, W, 3). Raises `DataError`."""

    def read_with(self: S, options: ImageOptions) -> S:
        """The same image, read in another way."""
        return replace(self, options=options)


@dataclass(frozen=True)
class ImageFile(ImageSource):
    """An image file, read as `read_image` does."""

    is_file = True

    def __call__(self) -> Image:
        return read_image(self.path, self.options.orient, self.options.intensity)


def read_image(path: str | Path, orient: bool = False, intensity: Intensity = "range") -> Image:
    """An image file as RGB, uint8 (H, W, 3), on white where it is transparent.

    Of a file with several images, the first. Images of 8 bits are as stored; deeper ones are
    scaled to 256 levels.

    Args:
        orient: turn it upright, as its EXIF entry says; labels refer to the pixels as stored
            unless they were made on upright images.
        intensity: how deeper images are scaled, as `data.intensity`.

    Raises:
        DataError: for a file that is missing or is no image.
    """
    image, code = read_stored(path, intensity)
    return np.ascontiguousarray(upright(image, code)) if orient else image


def read_stored(path: str | Path, intensity: Intensity = "range") -> tuple[Image, int]:
    """`read_image` of the pixels as stored, and how they must be turned to be upright: the EXIF
    orientation, 1 to 8. Raises `DataError`."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"image {path} does not exist")
    try:
        content = read_bytes(path, Limit.IMAGE_BYTES)
    except (OSError, TooLarge) as error:
        why = getattr(error, "strerror", None) or error
        raise DataError(f"{path} cannot be read ({why})") from None
    return decoded(content, str(path), intensity)


def decoded(content: bytes, place: str, intensity: Intensity = "range") -> tuple[Image, int]:
    """`read_stored` of the bytes of an image file, which messages call `place`.

    Raises `DataError`.
    """
    try:
        found = decode(content)
        image = as_uint8_rgb(found.values, found.alpha, intensity, found.inverted)
    except Undecodable as error:
        raise DataError(f"{place} is not an image that can be read ({error})") from None
    except MemoryError:
        raise DataError(f"{place} is too large for this computer's memory") from None
    except OSError as error:
        raise DataError(f"{place} cannot be read ({error.strerror or error})") from None
    return image, found.orientation


def as_uint8_rgb(
    values: npt.NDArray[Any],
    alpha: npt.NDArray[np.float32] | None = None,
    intensity: Intensity = "range",
    inverted: bool = False,
) -> Image:
    """Values (H, W) or (H, W, 3) as RGB, uint8 (H, W, 3), blended on white by alpha (H, W).

    `inverted`: the greatest values are black. Pixels that are wholly transparent do not count
    for the scaling.
    """
    image = levels(values, intensity, None if alpha is None else alpha > 0)
    if inverted:
        image = 255 - image
    if image.ndim == 2:
        image = np.repeat(image[:, :, None], 3, axis=2)
    if alpha is None:
        return np.ascontiguousarray(image)
    part = alpha[:, :, None]
    return np.asarray(np.rint(image * part + 255 * (1 - part)), np.uint8)


def as_rgb(image: npt.NDArray[Any], intensity: Intensity = "range") -> Image:
    """An array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4) as RGB, uint8 (H, W, 3).

    What is transparent is on white. uint8 are colours; uint16 are scaled as a file of that depth.
    Raises `DataError` for anything else.
    """
    if image.dtype.str[1:] not in ("u1", "u2") or image.ndim not in (2, 3) or 0 in image.shape:
        raise DataError(
            f"an image is uint8 or uint16, (H, W) or (H, W, C), not {image.dtype} {image.shape}"
        )
    channels = 1 if image.ndim == 2 else image.shape[2]
    if channels not in (1, 3, 4):
        raise DataError(f"an image has 1, 3 or 4 channels, not {channels}")
    alpha = None
    if channels == 4:
        image, alpha = image[:, :, :3], fraction(image[:, :, 3])
    elif channels == 1:
        image = image.reshape(image.shape[:2])
    return as_uint8_rgb(image, alpha, intensity)
