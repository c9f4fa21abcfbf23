"""What a program may give as an image: files, Pillow's images, arrays, tensors."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from heatkp.config import Intensity
from heatkp.data.decoding import pixels
from heatkp.data.images import Image, as_rgb, as_uint8_rgb, read_image
from heatkp.errors import DataError

if TYPE_CHECKING:
    import torch

ImageLike: TypeAlias = "str | PathLike[str] | PillowImage.Image | npt.NDArray[Any] | torch.Tensor"
"""One image."""

ALLOWED = (
    "a path, an image of Pillow, an array (H, W), (H, W, 1), (H, W, 3) RGB or (H, W, 4), or a "
    "tensor (C, H, W); of uint8, uint16, or floats from 0 to 1"
)
TOLERANCE = 1e-3
"""By which floats may leave [0, 1]; they are clipped."""


def as_image(image: ImageLike, intensity: Intensity = "range") -> Image:
    """Any of `ALLOWED` as RGB, uint8 (H, W, 3), on white where it is transparent.

    Grey becomes three equal channels. Integers of 8 bits stay as they are, those of 16 bits and
    Pillow's images of modes I and F are scaled to 256 levels as files of that depth; floats are
    multiplied by 255.

    Args:
        image: a file is turned upright, as its EXIF entry says; what is in memory already is not,
            for points are found in its own pixels (`PIL.ImageOps.exif_transpose` turns it).
        intensity: how deeper images are scaled, as `data.intensity`.

    Raises:
        DataError: for a file that is no image, floats outside 0..1, and anything else.
    """
    if isinstance(image, str | PathLike):
        return read_image(Path(image), orient=True, intensity=intensity)
    if isinstance(image, PillowImage.Image):
        return _of_pillow(image, intensity)
    if _is_tensor(image):
        array = _of_tensor(image)  # type: ignore[arg-type]
    elif isinstance(image, np.ndarray):
        array = image
    else:
        raise DataError(f"{type(image).__name__} is no image; allowed: {ALLOWED}")
    if array.ndim not in (2, 3) or 0 in array.shape:
        raise DataError(f"an image of shape {array.shape}; allowed: {ALLOWED}")
    if array.ndim == 3 and array.shape[2] not in (1, 3, 4):
        hint = "; the channels come last in arrays" if array.shape[0] in (1, 3, 4) else ""
        raise DataError(f"an image of shape {array.shape}{hint}; allowed: {ALLOWED}")
    if array.dtype.kind == "f":
        array = _of_floats(array)
    if array.dtype.kind != "u" or array.dtype.itemsize > 2:
        raise DataError(f"an image of {array.dtype}; allowed: {ALLOWED}")
    return as_rgb(array, intensity)


def _is_tensor(value: object) -> bool:
    """Without an import of torch, which takes seconds: who has a tensor has torch."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def _of_pillow(image: PillowImage.Image, intensity: Intensity) -> Image:
    try:
        values, alpha = pixels(image)
    except (OSError, ValueError, SyntaxError) as error:  # cut off; a mode such as LAB
        raise DataError(f"Pillow's image cannot be read ({error})") from None
    if 0 in values.shape:
        raise DataError(f"an image of {image.width} x {image.height} pixels has none")
    return as_uint8_rgb(values, alpha, intensity)


def _of_tensor(image: torch.Tensor) -> npt.NDArray[Any]:
    """(H, W), or (C, H, W) with its channels last."""
    if image.ndim == 3 and image.shape[0] not in (1, 3, 4):
        raise DataError(
            f"a tensor of shape {tuple(image.shape)}; an image is (C, H, W) with 1, 3 or 4 channels"
        )
    try:
        image = image.detach().cpu()
        # NumPy has no bfloat16.
        array = np.asarray(image.float() if str(image.dtype) == "torch.bfloat16" else image)
    except (RuntimeError, TypeError, NotImplementedError) as error:  # sparse, without values
        raise DataError(f"a tensor that is no plain array ({error}); allowed: {ALLOWED}") from None
    return np.moveaxis(array, 0, 2) if array.ndim == 3 else array


def _of_floats(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    low, high = float(array.min()), float(array.max())
    if not (low >= -TOLERANCE and high <= 1 + TOLERANCE):  # NaN too
        raise DataError(
            f"an image of floats from {low:g} to {high:g}; floats are colours from 0 to 1: divide "
            "by the largest value that may be, or undo a normalisation"
        )
    return np.asarray(np.rint(np.clip(array.astype(np.float64), 0, 1) * 255), np.uint8)


def is_image(value: object) -> bool:
    """Whether a value is meant as one image, right or wrong: not a list, a batch or a mapping."""
    if isinstance(value, np.ndarray) or _is_tensor(value):
        return bool(value.ndim != 4)  # type: ignore[attr-defined]
    return isinstance(value, str | PathLike | PillowImage.Image)


def images_of(images: ImageLike | Iterable[ImageLike]) -> Iterable[ImageLike]:
    """The images of a list, of any other iterable, or of a batch (B, C, H, W) or (B, H, W, C).

    Raises `DataError` for what is none of these.
    """
    if is_image(images):
        return [images]  # type: ignore[list-item]
    if isinstance(images, bytes | bytearray | Mapping) or not isinstance(images, Iterable):
        raise DataError(
            f"{type(images).__name__} is no image; allowed: {ALLOWED}; or a list or batch of them"
        )
    return images
