"""Frames of videos and of animated images.

Videos are whatever OpenCV opens. Animated GIF, WebP, PNG and AVIF files are read by Pillow, which
puts together frames that hold only what changed, and keeps what is transparent.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from heatkp.data.exif import opened
from heatkp.data.frame_range import EVERY_FRAME, FrameRange
from heatkp.data.samples import Image, as_rgb
from heatkp.data.video_reading import require_frame_size
from heatkp.data.video_times import frame_times
from heatkp.errors import DataError
from heatkp.files import utf8_path

JPEGS = (".mjpeg", ".mjpg")
"""Videos that are JPEG images, one after the other."""
ANIMATIONS = (".gif", ".apng", ".png", ".webp", ".avif")
"""Extensions of images that may hold several frames in time."""
_HEAD = 4096
"""Bytes at a file's beginning that tell what it is."""
_NO_TEXT = bytes(set(range(32)) - set(b"\b\t\n\v\f\r\x1a\x1b"))
"""Bytes that text has in no code page, and videos have soon."""
_HEIF = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"msf1", b"avif", b"avis")
"""Brands of images in a video's container, of which libraries for videos open the first tile."""
NEAR = 64
"""Frames at a video's beginning that are passed one by one; to seek is slower."""
_BACK = (0, 16, 128, 512)
"""Frames before the one that is asked for, to which a seek goes."""
_SAME_TIME = 0.1
"""Milliseconds."""
_SECONDS = 0.1
"""How long a frame is shown that does not say so."""


class Frame(NamedTuple):
    """A frame that is looked at.

    Attributes:
        image: uint8 (H, W, 3) RGB.
        number: in the file, from 0.
        time: in seconds.
        rate: frames a second, of those that are looked at.
    """

    image: Image
    number: int
    time: float
    rate: float


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_HEAD)


def is_text_file(path: Path) -> bool:
    """Whether a file begins as text does. Raises `OSError` where it cannot be read."""
    head = _head(path)
    if head.startswith(b"YUV4MPEG2"):
        return False
    wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))  # UTF-16
    return bool(head) and (wide or head.translate(None, _NO_TEXT) == head)


def begins_as_image(path: Path) -> bool:
    """Whether a file's first bytes are those of an image, whole or not.

    FFmpeg opens half a JPEG file as a video, and fills the rest with what it likes. Raises
    `OSError` where the file cannot be read.
    """
    head = _head(path)
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF:
        return True
    with utf8_path(path) as name:
        return bool(cv2.haveImageReader(name))


def frames(path: Path, every: int = 1, chosen: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
    """Every so many frames of what OpenCV opens as a video, of those that are `chosen`.

    Frame n is the one that comes after n others. Where PyAV is installed, frames far from the
    beginning are sought, and the place that is found is checked by its time; else, and where it
    does not fit, all frames before are passed.

    Raises `DataError` for what is none (text, of which FFmpeg would draw the letters, too), for
    one that has none of the chosen frames, and at the end of one that was cut off.
    """
    if not path.is_file():
        raise DataError(f"{path} is not a file")
    if is_text_file(path):
        raise DataError(f"{path} is not a video but text")
    chosen = replace(chosen, every=chosen.every * every)
    number, time, stated, given = 0, 0.0, 0.0, False
    with ExitStack() as stack:
        capture = stack.enter_context(_opened(path))
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate < 1000 else 25.0
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        if chosen.first > NEAR:
            number = _sought(capture, path, chosen.first)
            if not number:
                capture = stack.enter_context(_opened(path))
        while not chosen.ends_before(number) and capture.grab():
            # 0 where the file gives no times
            time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
            if number in chosen:
                good, image = capture.retrieve()
                if not good:
                    break
                pixels = np.ascontiguousarray(image[:, :, ::-1], np.uint8)
                yield Frame(pixels, number, time, rate / chosen.every)
                given = True
            number += 1
    if number == 0:
        raise DataError(f"{path} is not a video that can be read (damaged, or none)")
    if chosen.ends_before(number):
        return
    # Where times are uneven, a container's number of frames is a guess from its duration.
    if number < 0.9 * stated and time < 0.9 * stated / rate - _SECONDS:
        raise DataError(
            f"{path} ends after {number} of the {stated:.0f} frames that it announces: "
            "cut off? What it holds was looked at"
        )
    if not given:
        raise DataError(f"{path} has {number} frames, from 0: none of those that are asked for")


def _sought(capture: cv2.VideoCapture, path: Path, target: int) -> int:
    """Go to a frame not far before `target`: its number, or 0 where no place can be trusted.

    The frame of that number is grabbed next.
    """
    times = frame_times(path)
    if times is None or target >= len(times):
        return 0
    for back in _BACK:
        capture.set(cv2.CAP_PROP_POS_FRAMES, max(0, target - 1 - back))
        if not capture.grab():
            return 0
        place = int(np.abs(times - capture.get(cv2.CAP_PROP_POS_MSEC)).argmin())
        if abs(times[place] - capture.get(cv2.CAP_PROP_POS_MSEC)) > _SAME_TIME:
            return 0
        if 0 < place < target:
            return place + 1
    return 0


@contextmanager
def _opened(path: Path) -> Iterator[cv2.VideoCapture]:
    with utf8_path(path) as name:
        capture = cv2.VideoCapture(name)
        try:
            require_frame_size(capture, path)
            yield capture
        finally:
            capture.release()


def frame_count(path: Path) -> int:
    """How many frames a video says that it has; 1 where it does not say."""
    with _opened(path) as capture:
        return max(1, int(capture.get(cv2.CAP_PROP_FRAME_COUNT)))


def image_count(path: Path) -> int:
    """How many frames or pages an image file holds; 1 for what Pillow cannot read."""
    try:
        with opened(path) as file:
            return int(getattr(file, "n_frames", 1))
    except Exception:  # whatever Pillow makes of it; who reads the image says what is wrong
        return 1


def animation(path: Path, every: int = 1, chosen: FrameRange = EVERY_FRAME) -> Iterator[Frame]:
    """Every so many frames of an animated image, of those `chosen`; what is transparent on white.

    Raises `DataError` for one that is damaged.
    """
    number, time = 0, 0.0
    chosen = replace(chosen, every=chosen.every * every)
    try:
        with opened(path) as file:
            count = int(getattr(file, "n_frames", 1))
            for number in range(count):
                file.seek(number)
                file.load()  # WebP and AVIF files say only now how long a frame is shown
                image = np.asarray(file.convert("RGBA")) if number in chosen else None
                seconds = float(file.info.get("duration") or 0) / 1000 or _SECONDS
                if image is not None:
                    yield Frame(as_rgb(image), number, time, 1 / (seconds * chosen.every))
                time += seconds
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise DataError(f"{path} is damaged after {number} frames ({error})") from None
