"""Images that are stored turned, with an EXIF entry that says how they are meant to be seen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from struct import error as StructError
from typing import Any, BinaryIO

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import UnidentifiedImageError

from heatkp.limits import Limit, TooLarge

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


@contextmanager
def opened(file: Path | BinaryIO) -> Iterator[PillowImage.Image]:
    """An image file as Pillow opens it: its header is read, its pixels are not yet.

    Raises `OSError` for what is none of `FORMATS`, `TooLarge` for more pixels than
    `Limit.IMAGE_PIXELS`, and what else Pillow raises.
    """
    with ExitStack() as stack:
        stream = stack.enter_context(file.open("rb")) if isinstance(file, Path) else file
        image = stack.enter_context(_identified(stream))
        require_pixels(*image.size)
        yield image


def _identified(file: BinaryIO) -> PillowImage.Image:
    """As `PIL.Image.open`, whose own limit is the whole process's and lower than many scans."""
    PillowImage.init()
    file.seek(0)
    prefix = file.read(16)
    for name in FORMATS:
        if name not in PillowImage.OPEN:  # AVIF not everywhere
            continue
        factory, accepts = PillowImage.OPEN[name]
        taken = accepts(prefix) if accepts else True
        if isinstance(taken, str) or not taken:  # text says what is lacking in Pillow
            continue
        file.seek(0)
        try:
            return factory(file, "")
        except (SyntaxError, IndexError, TypeError, StructError):  # of another format
            continue
    raise UnidentifiedImageError("no image of a known kind")


def require_pixels(width: int, height: int) -> None:
    """Raises `TooLarge` for more than `Limit.IMAGE_PIXELS`."""
    if said := Limit.IMAGE_PIXELS.refusal(width * height, "pixels"):
        raise TooLarge(f"{width} x {height} are {said}")


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
