"""From a file's bytes to the values that it holds, at their full depth.

Pillow decodes images of 8 bits, the same for all versions of OpenCV and with every form of
transparency; OpenCV those that are deeper, of which Pillow keeps 8 bits only, and JPEG, in which
both agree and OpenCV is faster.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage
from PIL import TiffImagePlugin, UnidentifiedImageError

from heatkp.data.exif import opened, orientation_of, require_pixels
from heatkp.limits import TooLarge

_DAMAGED = "damaged, cut off, or of no known kind"
_PNG = b"\x89PNG\r\n\x1a\n"
_PERHAPS_DEEP = ("JPEG2000", "PPM")
"""Formats of which Pillow's mode does not tell the depth."""
_PACKED = (10, 12, 14)
"""Bits of values that TIFF files hold one right after the other; OpenCV moves them up to 16."""
_WIDTH, _HEIGHT = 256, 257
_BITS, _COLOURS, _SAMPLES, _PLANES, _EXTRA, _KIND = 258, 262, 277, 284, 338, 339
"""Tags of TIFF 6.0."""
_WHITE_IS_ZERO, _CMYK = 0, 5
_NEXT = -1
"""No tag: where the next image of the file begins, 0 for none."""
_TOLD = (
    re.compile(rb"\A#\?(?:RADIANCE|RGBE)\b[^\0]*?\n[-+][XY] +(\d+) +[-+][XY] +(\d+)"),
    re.compile(rb"\AP7\n(?=.*?^WIDTH +(\d+))(?=.*?^HEIGHT +(\d+))", re.DOTALL | re.MULTILINE),
    re.compile(rb"\AP[Ff]\s+(\d+)\s+(\d+)"),
)
"""Sizes in the headers of what OpenCV reads and Pillow does not: Radiance HDR, PAM, PFM."""
_KINDS = {1: "unsigned", 2: "signed", 3: "float"}


class Undecodable(Exception):
    """The bytes are no image that can be read; the text says why, to go into brackets."""


class Head(NamedTuple):
    """What a file's header tells: the bits of a value, and whether more than one image follows."""

    bits: int
    several: bool


class Decoded(NamedTuple):
    """What an image file holds.

    Attributes:
        values: (H, W) grey or (H, W, 3) RGB; uint8 are colours, others want scaling.
        alpha: float32 (H, W) from 0, transparent, to 1; None where all is opaque.
        orientation: how `values` must be turned to be upright, as in `exif.orientation`.
        inverted: whether the greatest values are black.
    """

    values: npt.NDArray[Any]
    alpha: npt.NDArray[np.float32] | None = None
    orientation: int = 1
    inverted: bool = False


def decode(content: bytes) -> Decoded:
    """The first image of a file. Raises `Undecodable`, and `MemoryError`."""
    try:
        return _decoded(content)
    except (TooLarge, PillowImage.DecompressionBombError) as error:
        raise Undecodable(str(error)) from None


def _decoded(content: bytes) -> Decoded:
    tags = tiff_tags(BytesIO(content))
    if tags is not None and depth_of(tags) > 8:
        require_pixels(_numbers(tags, _WIDTH, 1)[0], _numbers(tags, _HEIGHT, 1)[0])
        return _deep_tiff(content, tags)
    try:
        with opened(BytesIO(content)) as image:
            return _decode(content, image)
    except UnidentifiedImageError:
        if content.startswith(_PNG):  # for a damaged one OpenCV takes as much as a chunk claims
            raise Undecodable(_DAMAGED) from None
        _require_told(content)
        values = _by_opencv(content)
        if values is None:
            raise Undecodable(_DAMAGED) from None
        return _parted(values)
    except (Undecodable, MemoryError, TooLarge, PillowImage.DecompressionBombError):
        raise
    except Exception:  # Pillow's decoders raise errors of many kinds
        raise Undecodable(_DAMAGED) from None


def _decode(content: bytes, image: PillowImage.Image) -> Decoded:
    if image.format in ("JPEG", "MPO") and image.mode in ("L", "RGB"):
        values = _by_opencv(content, cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION)
        if values is None:
            raise Undecodable(_DAMAGED)
        return Decoded(values, None, orientation_of(image))
    deep = depth(image) > 8
    if deep or image.format in _PERHAPS_DEEP:
        if image.format == "PNG":  # as its EXIF entry asks for anyway; finds it cut off in silence
            image.load()
        values = _by_opencv(content)
        if values is not None and values.dtype != np.uint8:
            found = _parted(values)
            if found.alpha is None and image.format == "PNG" and "transparency" in image.info:
                clear = np.atleast_3d(values) == image.info["transparency"]
                found = found._replace(alpha=1 - clear.all(axis=2).astype(np.float32))
            return found._replace(orientation=orientation_of(image))
        if values is None and deep:
            raise Undecodable(_DAMAGED)
    image.load()
    return Decoded(*pixels(image), orientation_of(image))


def file_depth(path: Path) -> Head | None:
    """Of a file, mostly by its header alone; None for what cannot be read."""
    try:
        with path.open("rb") as file:
            return depth_in(file)
    except OSError:
        return None


def depth_in(file: BinaryIO) -> Head | None:
    """`file_depth` of an open file."""
    try:
        tags = tiff_tags(file)
        if tags is not None:
            return Head(depth_of(tags), bool(tags[_NEXT]))
        with opened(file) as image:
            bits = depth(image)
            if image.format in _PERHAPS_DEEP:
                file.seek(0)
                bits = 8 * decode(file.read()).values.dtype.itemsize
            return Head(bits, bool(getattr(image, "is_animated", False)))
    except Exception:  # as in `decode`
        return None


def depth(image: PillowImage.Image) -> int:
    """Bits of a value in a file that `opened` gives, without decoding it; 8 where its mode does
    not tell (JPEG 2000, PPM)."""
    tags = getattr(image, "tag_v2", None)
    if tags is not None:
        return depth_of(tags)
    if image.mode == "F":
        return 32
    # 16-bit colours of PNG are mode RGB, too.
    tiles = str(getattr(image, "tile", "")) if image.format == "PNG" else ""
    return 16 if image.mode.startswith("I") or ";16" in tiles else 8


def pixels(image: PillowImage.Image) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32] | None]:
    """Values and alpha, as in `Decoded`, of an image in Pillow's hands.

    Raises `ValueError` for a mode that Pillow cannot show as RGB (LAB).
    """
    if image.mode.startswith(("I", "F")):
        values = np.array(image)
        return values.astype(values.dtype.newbyteorder("=")), None
    clear = "transparency" in image.info
    if image.mode in ("L", "RGB") and not clear:
        return np.array(image), None
    if image.mode in ("1", "CMYK", "HSV", "RGBX", "YCbCr") and not clear:
        return np.array(image.convert("RGB")), None
    four = np.array(image.convert("RGBA"))
    return four[:, :, :3], fraction(four[:, :, 3])


def fraction(alpha: npt.NDArray[Any]) -> npt.NDArray[np.float32] | None:
    """Alpha of any type as float32 in [0, 1], or None where all is opaque."""
    full = np.iinfo(alpha.dtype).max if alpha.dtype.kind in "iu" else 1
    if (alpha == full).all():
        return None
    return np.clip(np.nan_to_num(alpha.astype(np.float32) / np.float32(full)), 0, 1)


def _by_opencv(content: bytes, flags: int = cv2.IMREAD_UNCHANGED) -> npt.NDArray[Any] | None:
    """What OpenCV makes of a file, channels in the order R, G, B, alpha; None for nothing."""
    if not content:  # ends OpenCV 4.11
        return None
    try:
        image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error:  # more pixels than OpenCV reads
        return None
    if image is None or image.ndim == 2 or image.shape[2] == 1:
        return None if image is None else image.reshape(image.shape[:2])
    if image.shape[2] not in (3, 4):
        return None
    return image if flags > 0 and flags & cv2.IMREAD_COLOR_RGB else in_rgb_order(image)


def _require_told(content: bytes) -> None:
    """Raises `TooLarge` for a size in a header that only OpenCV reads."""
    for form in _TOLD:
        if found := form.match(content[:4096]):
            require_pixels(int(found[1]), int(found[2]))


def in_rgb_order(image: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """BGR or BGRA, as OpenCV reads and writes, as RGB or RGBA, and the other way round."""
    if image.dtype in (np.uint8, np.uint16, np.float32):  # ten times as quick as by index
        code = cv2.COLOR_BGR2RGB if image.shape[2] == 3 else cv2.COLOR_BGRA2RGBA
        return np.asarray(cv2.cvtColor(image, code))
    return np.ascontiguousarray(image[:, :, [2, 1, 0, 3][: image.shape[2]]])


def _parted(values: npt.NDArray[Any]) -> Decoded:
    """(H, W), (H, W, 3) or (H, W, 4) with its alpha apart."""
    if values.ndim == 2 or values.shape[2] == 3:
        return Decoded(values)
    return Decoded(values[:, :, :3], fraction(values[:, :, 3]))


def tiff_tags(file: BinaryIO) -> Mapping[int, Any] | None:
    """Tags of the first image in a TIFF file, of those too that Pillow cannot show; None for
    other files. Raises `Undecodable` for a damaged one."""
    start = file.read(16)
    if start[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return None
    try:
        # Of large files Pillow knows one order of bytes by itself, the other by its prefix.
        header = b"II+\0" + start[4:] if b"+" in start[:4] else start[:8]
        tags = TiffImagePlugin.ImageFileDirectory_v2(header, prefix=start[:2])
        file.seek(tags.next)
        tags.load(file)
        return {**tags, _NEXT: tags.next}
    except Exception:  # of many kinds
        raise Undecodable(_DAMAGED) from None


def _numbers(tags: Mapping[int, Any], tag: int, default: int) -> tuple[int, ...]:
    value = tags.get(tag, default)
    return tuple(value) if isinstance(value, tuple) and value else (value or default,)


def depth_of(tags: Mapping[int, Any]) -> int:
    """Bits of a value by a TIFF file's tags, 9 for 8 with a sign; 8 for deeper CMYK, which Pillow
    cuts to that."""
    if tags.get(_COLOURS) == _CMYK:
        return 8
    bits = max(_numbers(tags, _BITS, 1))
    signed = any(kind in (2, 3) for kind in _numbers(tags, _KIND, 1))
    return max(bits, 9) if signed else bits


def _deep_tiff(content: bytes, tags: Mapping[int, Any]) -> Decoded:
    bits, kind = max(_numbers(tags, _BITS, 1)), _numbers(tags, _KIND, 1)[0]
    samples = tags.get(_SAMPLES, 1)
    what = f"a TIFF file of {samples} x {bits} bits, {_KINDS.get(kind, 'other')}"
    if samples > 1 and tags.get(_PLANES) == 2:
        raise Undecodable(f"{what}, in a plane for each, which cannot be read: save them together")
    # OpenCV 4 has no unsigned 32 bits, 5 has; where neither reads a kind, do not let it complain.
    values = _unsigned_by_pillow(content) if (samples, bits, kind) == (1, 32, 1) else None
    if values is None and samples in (1, 3, 4) and (kind, bits) != (3, 16):
        values = _by_opencv(content)
    if values is None or values.dtype == np.uint8:
        raise Undecodable(
            f"{what}: damaged, or of a kind that cannot be read; save it as 16 bits unsigned, or "
            "32 bits float, grey or RGB"
        )
    if bits in _PACKED:
        values = values >> (16 - bits)
    found = _parted(values)
    extra = _numbers(tags, _EXTRA, 2)[0]  # left out: alpha, as OpenCV writes it
    if extra == 0:
        found = found._replace(alpha=None)
    elif extra == 1 and found.alpha is not None:  # colours are stored times alpha
        part = np.where(found.alpha > 0, found.alpha, 1)[:, :, None]
        found = found._replace(values=found.values / part)
    return found._replace(inverted=tags.get(_COLOURS) == _WHITE_IS_ZERO)


def _unsigned_by_pillow(content: bytes) -> npt.NDArray[Any] | None:
    try:
        with opened(BytesIO(content)) as image:
            values = np.array(image)
    except Exception:  # as in `decode`
        return None
    return values.view(np.uint32) if values.dtype == np.int32 else None
