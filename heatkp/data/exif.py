"""Images that are stored turned, with an EXIF entry that says how they are meant to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

FORMATS = (
    "AVIF", "BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "SUN", "TIFF", "WEBP",
)  # fmt: skip
"""Of files that Pillow is asked to open: no documents (EPS, PDF), which start other programs."""
_ORIENTATION = 0x0112
_TURNED_BY_DECODERS = "TIFF"
_TURNS = {
    1: (),
    2: ("mirror",),
    3: ("half",),
    4: ("mirror", "half"),
    5: ("mirror", "left"),
    6: ("right",),
    7: ("mirror", "right"),
    8: ("left",),
}  # EXIF 2.32, tag 274
_OPENING = Lock()


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[PillowImage.Image]:
    """An image file as Pillow opens it: its header is read, its pixels are not yet.

    Raises `OSError` for what is none of `FORMATS`, and what else Pillow raises.
    """
    PillowImage.init()
    known = [name for name in FORMATS if name in PillowImage.OPEN]  # AVIF not everywhere
    with _OPENING:  # Pillow refuses large images, and its limit is the whole process's
        limit, PillowImage.MAX_IMAGE_PIXELS = PillowImage.MAX_IMAGE_PIXELS, None
        try:
            image = PillowImage.open(file, formats=known)
        finally:
            PillowImage.MAX_IMAGE_PIXELS = limit
    with image:
        yield image


def orientation_of(image: PillowImage.Image) -> int:
    """`orientation` of what `opened` gives."""
    if image.format == _TURNED_BY_DECODERS:
        return 1  # the entry is a part of the format: whoever reads it, turns it
    try:
        code = image.getexif().get(_ORIENTATION, 1)
    except Exception:  # whatever Pillow makes of a damaged entry
        return 1
    return code if code in _TURNS else 1


def orientation(file: Path | BinaryIO) -> int:
    """The EXIF orientation of a file, 1 to 8: how its pixels, as heatkp reads them, must be
    turned to be upright; 1 where it does not say."""
    try:
        with opened(file) as image:
            return orientation_of(image)
    except Exception:  # whatever Pillow makes of a file that OpenCV may read
        return 1


def upright(image: npt.NDArray[Any], code: int) -> npt.NDArray[Any]:
    """An image (H, W, ...) as stored, turned as an orientation says."""
    for turn in _TURNS[code]:
        if turn == "mirror":
            image = cv2.flip(image, 1)
        else:
            by = {"half": cv2.ROTATE_180, "right": cv2.ROTATE_90_CLOCKWISE}
            image = cv2.rotate(image, by.get(turn, cv2.ROTATE_90_COUNTERCLOCKWISE))
    return image


def upright_points(
    points: npt.ArrayLike, code: int, size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Points (..., 2) of a stored image, of a width and height, where they are in `upright`."""
    x, y = np.moveaxis(np.asarray(points, np.float64), -1, 0)
    width, height = size
    for turn in _TURNS[code]:
        if turn == "mirror":
            x = width - 1 - x
        elif turn == "half":
            x, y = width - 1 - x, height - 1 - y
        else:
            x, y = (height - 1 - y, x) if turn == "right" else (y, width - 1 - x)
            width, height = height, width
    return np.stack([x, y], -1)


def upright_boxes(
    boxes: npt.NDArray[np.float64], code: int, size: tuple[int, int]
) -> npt.NDArray[np.float64]:
    """Edges (N, 4) of boxes in a stored image, of a width and height, in `upright`."""
    corners = upright_points(boxes.reshape(-1, 2, 2), code, size)
    return np.concatenate([corners.min(1), corners.max(1)], 1)
