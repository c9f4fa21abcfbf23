"""Frames of videos by number, exactly.

Seeking in a compressed video lands near a frame, not always on it, and where frames are not evenly
spaced in time a number means another frame to each library. Here frame n is the one that comes
after n others. What was passed in order is remembered by its time, so that a later seek can be
checked; where it cannot, the video is read again from its beginning.
"""

from __future__ import annotations

import os
from bisect import bisect_left
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.errors import DataError
from heatkp.files import utf8_path
from heatkp.limits import Limit

VIDEOS = (
    ".mp4", ".m4v", ".mov", ".qt", ".avi", ".divx", ".mkv", ".webm", ".wmv", ".asf", ".flv",
    ".f4v", ".ts", ".mts", ".m2ts", ".m2t", ".3gp", ".3g2", ".mpg", ".mpeg", ".mpe", ".mpv",
    ".m1v", ".m2v", ".vob", ".ogv", ".ogm", ".mxf", ".dv", ".y4m", ".rm", ".rmvb", ".mjpeg",
    ".mjpg", ".nut", ".wtv", ".amv", ".ivf", ".h264", ".264", ".h265", ".265", ".hevc", ".insv",
)  # fmt: skip
"""Extensions that are looked for in folders; files with others are tried where they are named."""
_ASF = b"\x30\x26\xb2\x75"
_PACKET = b"\x47"
"""With which each packet of an MPEG stream begins, in some files after a time of four bytes."""
NEAR = 64
"""So many frames ahead are passed one by one; to seek is slower, for it starts at a key frame."""
CLOSE = 4
"""So many frames before one that is asked for are decoded with it."""
KEPT = 32 * 2**20
"""Bytes of decoded frames that are kept of a video, for several objects of one frame and for
threads that ask out of order."""
OPEN = 8
"""Videos that are open at once."""
_BACK = (0, 16, 128)
"""Frames before the one that is asked for, to which a seek goes."""
_SAME = 1e-3
"""Milliseconds."""

Image = npt.NDArray[np.uint8]


def named_as_video(path: Path) -> bool:
    """Whether a file's extension is a video's, and its first bytes do not say otherwise.

    `.ts` and `.mts` are also TypeScript's, `.asf` the IMM Face Database's labels.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEOS:
        return False
    if suffix not in (".ts", ".mts", ".m2ts", ".m2t", ".asf"):
        return True
    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError:  # said where it is read
        return True
    if suffix == ".asf":
        return head.startswith(_ASF)
    return any(head[i : i + 1] == head[j : j + 1] == _PACKET for i, j in ((0, 188), (4, 196)))


class _Video:
    """An open video. Not for several threads at once: hold `lock`."""

    def __init__(self, path: Path) -> None:
        self.path, self.lock = path, Lock()
        self._kept: OrderedDict[int, Image] = OrderedDict()
        self._times: list[float] = []  # of frames that were passed in order from the first
        self._rising = True
        self._next = 0  # the frame that is grabbed next
        self._capture = _captured(path)

    def frame(self, number: int) -> Image:
        """RGB, uint8 (H, W, 3). Raises `DataError` where the video has no such frame."""
        if number in self._kept:
            self._kept.move_to_end(number)
            return self._kept[number]
        if not self._next <= number <= self._next + NEAR:
            self._seek(min(number, len(self._times)))
        while self._next <= number:
            if not self._grab():
                raise DataError(
                    f"{self.path} has no frame {number}: it ends after {self._next} frames that "
                    "can be read (numbers count from 0)"
                )
            if number - self._next < CLOSE:  # another thread may ask for it next
                self._keep(self._next - 1)
        if number not in self._kept:
            raise DataError(f"frame {number} of {self.path} is damaged")
        return self._kept[number]

    def _keep(self, number: int) -> None:
        """Decode what was grabbed."""
        good, image = self._capture.retrieve()
        if not good:
            return
        self._kept[number] = np.ascontiguousarray(image[:, :, ::-1])
        while len(self._kept) * image.nbytes > KEPT and len(self._kept) > CLOSE:
            self._kept.popitem(last=False)

    def _grab(self) -> bool:
        if not self._capture.grab():
            return False
        if self._next == len(self._times):
            time = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            self._rising &= not self._times or time > self._times[-1] + _SAME
            self._times.append(time)
        self._next += 1
        return True

    def _seek(self, number: int) -> None:
        """To where a frame, of those passed or the one after, is not far to go."""
        if self._next <= number <= self._next + NEAR:
            return
        for back in _BACK if self._rising and number > NEAR else ():
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, max(number - 1 - back, 0))
            if not self._capture.grab():
                break
            time = float(self._capture.get(cv2.CAP_PROP_POS_MSEC))
            place = bisect_left(self._times, time - _SAME)
            known = place < len(self._times) and abs(self._times[place] - time) <= _SAME
            if known and place < number:
                self._next = place + 1
                return
        self._capture.release()
        self._capture, self._next = _captured(self.path), 0


def _captured(path: Path) -> cv2.VideoCapture:
    with utf8_path(path) as name:
        capture = cv2.VideoCapture(name)
    if not capture.isOpened():
        raise DataError(f"{path} is not a video that can be read (damaged, or none)")
    require_frame_size(capture, path)
    return capture


def require_frame_size(capture: cv2.VideoCapture, path: Path) -> None:
    """Raises `DataError` for frames of more than `Limit.IMAGE_PIXELS`."""
    sides = (capture.get(k) for k in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT))
    width, height = (max(0, int(side)) for side in sides)
    if said := Limit.IMAGE_PIXELS.refusal(width * height, "pixels"):
        capture.release()
        raise DataError(f"{path} has frames of {width} x {height}, {said}")


_open: OrderedDict[tuple[str, int], _Video] = OrderedDict()
_lock = Lock()
_inherited: list[object] = []


def _after_fork() -> None:
    """A decoder's threads are not in the child: what the parent opened is left alone there."""
    global _open, _lock
    _inherited.append(_open)  # not released, which would wait for those threads
    _open, _lock = OrderedDict(), Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def video_frame(path: Path, number: int) -> Image:
    """A frame of a video, counted from 0: RGB, uint8 (H, W, 3); kept, so not to be written to.

    Reading in ascending order is fast. Raises `DataError` for a file that is missing or no video,
    and for a frame that it has not.
    """
    try:
        status = path.stat()
    except OSError:
        raise DataError(f"video {path} does not exist") from None
    key = (os.path.realpath(path), status.st_mtime_ns)
    with _lock:
        video = _open.get(key)
        if video is None:
            video = _open[key] = _Video(path)
        _open.move_to_end(key)
        while len(_open) > OPEN:
            _open.popitem(last=False)
    with video.lock:
        return video.frame(number)


def video_size(path: Path) -> tuple[int, int] | None:
    """Width and height of a video's frames, by its header; None for what is no video."""
    try:
        capture = _captured(path)
    except DataError:
        return None
    try:
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    finally:
        capture.release()
    return (width, height) if min(width, height) > 0 else None
