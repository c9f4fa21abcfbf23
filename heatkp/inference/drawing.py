"""Images and videos with what was found drawn on them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np

from heatkp.data.decoding import in_rgb_order
from heatkp.data.samples import Image
from heatkp.errors import DataError
from heatkp.files import AtomicFile, replacing, utf8_path
from heatkp.inference.h264 import H264Writer, writes_h264
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.track_drawing import TrackPen
from heatkp.inference.writers import Names

QUALITY = 92
"""Of JPEG files."""
LARGEST_VIDEO = 3840
"""Pixels of the longer side; larger frames are shrunk, for MPEG-4 has a limit."""


def draw_objects(input_image: InputImage, objects: Sequence[Keypoints]) -> Image:
    """The image with all its objects, uint8 (H, W, 3) RGB."""
    canvas = input_image.image.copy()
    for found in objects:
        found.draw_on(canvas)
    return canvas


class DrawnImages:
    """Copies in a folder `images`, under the images' own names.

    JPEG stays JPEG, all else becomes PNG; an image without an object gives no copy. Videos become
    H.264 where PyAV is installed (`pip install 'heatkp[video]'`), else MPEG-4, which browsers do
    not play, with all frames that were looked at. Tracks are drawn with their numbers and trails.
    """

    def __init__(self, folder: Path, tracks: bool = False) -> None:
        self._folder, self._names, self._tracks = folder / "images", Names(), tracks
        self._video: _Video | None = None
        self._refused: Path | None = None
        self._pens: dict[Path, TrackPen] = {}

    def _drawn(self, input_image: InputImage, objects: Sequence[Keypoints]) -> Image:
        if not self._tracks:
            return draw_objects(input_image, objects)
        file = input_image.file
        place = file if input_image.frame is not None else file.parent
        if place not in self._pens:
            self._pens = {place: TrackPen()}
        return self._pens[place].draw(input_image.image, objects)

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        """Raises `DataError` where OpenCV cannot encode the image, `OSError` as files do."""
        if self._video is not None and self._video.file != input_image.file:
            self._end_video()
        if input_image.frame is not None:
            if input_image.file == self._refused:  # said once
                return
            image = self._drawn(input_image, objects)
            if self._video is None:
                self._video = self._start_video(input_image, image)
            self._video.write(image, input_image.time)
        elif objects or self._tracks:
            self._write(input_image, self._drawn(input_image, objects))

    def _place(self, stem: str, suffix: str) -> Path:
        path = self._folder / self._names.claim(stem, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _start_video(self, first: InputImage, image: Image) -> _Video:
        name = first.name.rpartition("/")[0]
        stem = name[:-4] if name.lower().endswith(".mp4") else name
        try:
            return _Video(self._place(stem, ".mp4"), first, image)
        except DataError:
            self._refused = first.file
            raise

    def _write(self, input_image: InputImage, image: Image) -> None:
        stem, suffix = os.path.splitext(input_image.name)
        if suffix.lower() not in (".jpg", ".jpeg", ".png"):
            stem, suffix = input_image.name, ".png"
        try:
            if suffix.lower() == ".png":
                good, content = cv2.imencode(".png", in_rgb_order(image))
            else:
                quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
                good, content = cv2.imencode(".jpg", in_rgb_order(image), quality)
        except cv2.error:
            good = False
        if not good:
            raise DataError(
                f"{input_image.name} cannot be written as {suffix} with its points drawn"
            )
        path = self._place(stem, suffix)
        with replacing(path) as part:
            part.write_bytes(content.tobytes())

    def _end_video(self) -> None:
        if self._video is not None:
            self._video.finish()
        self._video = None

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        self._end_video()
        return [self._folder] if self._folder.is_dir() else []

    def discard(self) -> None:
        if self._video is not None:
            self._video.discard()
        self._video = None


class _Video:
    """A video that is there once it is whole."""

    def __init__(self, path: Path, first: InputImage, image: Image) -> None:
        """Raises `DataError` where neither PyAV nor OpenCV can make it."""
        self.file = first.file
        self._place = AtomicFile(path, path.suffix)  # OpenCV goes by the extension
        self._names = ExitStack()
        height, width = image.shape[:2]
        shrink = min(1.0, LARGEST_VIDEO / max(width, height))
        # Both codecs want even sides, and at least 16 pixels.
        sides = [max(16, round(side * shrink / 2) * 2) for side in (width, height)]
        self._size = (sides[0], sides[1])
        name = self._names.enter_context(utf8_path(self._place.part))
        rate = first.rate or 25.0
        self._writer: H264Writer | _Mpeg4Writer
        if writes_h264():
            self._writer = H264Writer(Path(name), self._size, rate)
            return
        self._writer = _Mpeg4Writer(name, self._size, rate)
        if not self._writer.opened:
            self._names.close()
            raise DataError(
                f"{first.file} with its points drawn cannot be written to {path}: this OpenCV "
                "writes no such MPEG-4; pip install 'heatkp[video]', or leave the images out with "
                "--no-images"
            )

    def write(self, image: Image, time: float | None) -> None:
        height, width = image.shape[:2]
        if (width, height) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA))
        self._writer.write(image, time)

    def finish(self) -> None:
        self._writer.finish()
        self._names.close()
        self._place.finish()

    def discard(self) -> None:
        self._writer.discard()
        self._names.close()
        self._place.discard()


class _Mpeg4Writer:
    """MPEG-4 through OpenCV, at a constant rate."""

    def __init__(self, name: str, size: tuple[int, int], rate: float) -> None:
        self._writer = cv2.VideoWriter(name, cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
        self.opened = self._writer.isOpened()

    def write(self, image: Image, time: float | None) -> None:
        self._writer.write(np.ascontiguousarray(image[:, :, ::-1]))

    def finish(self) -> None:
        self._writer.release()

    discard = finish
