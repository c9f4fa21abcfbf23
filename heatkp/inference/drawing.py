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
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers import Names

QUALITY = 92
"""Of JPEG files."""
LARGEST_VIDEO = 3840
"""Pixels of the longer side; larger frames are shrunk, for MPEG-4 has a limit."""


def draw_objects(input_image: InputImage, objects: Sequence[Keypoints]) -> Image:
    """The image with all its faces, uint8 (H, W, 3) RGB."""
    canvas = input_image.image.copy()
    for found in objects:
        found.draw_on(canvas)
    return canvas


class DrawnImages:
    """Copies in a folder `images`, under the images' own names.

    JPEG stays JPEG, all else becomes PNG; an image without a face gives no copy. Videos become
    MPEG-4 with all frames that were looked at.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder / "images", Names()
        self._video: _Video | None = None
        self._refused: Path | None = None

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        """Raises `DataError` where OpenCV cannot encode the image, `OSError` as files do."""
        if self._video is not None and self._video.file != input_image.file:
            self._end_video()
        if input_image.frame is not None:
            if input_image.file == self._refused:  # said once
                return
            if self._video is None:
                self._video = self._start_video(input_image)
            self._video.write(draw_objects(input_image, objects))
        elif objects:
            self._write(input_image, draw_objects(input_image, objects))

    def _place(self, stem: str, suffix: str) -> Path:
        path = self._folder / self._names.claim(stem, suffix)
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def _start_video(self, first: InputImage) -> _Video:
        name = first.name.rpartition("/")[0]
        stem = name[:-4] if name.lower().endswith(".mp4") else name
        try:
            return _Video(self._place(stem, ".mp4"), first)
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

    def __init__(self, path: Path, first: InputImage) -> None:
        """Raises `DataError` where OpenCV cannot make it."""
        self.file = first.file
        self._place = AtomicFile(path, path.suffix)  # OpenCV goes by the extension
        self._names = ExitStack()
        height, width = first.image.shape[:2]
        shrink = min(1.0, LARGEST_VIDEO / max(width, height))
        # MPEG-4 wants even sides, and at least 16 pixels.
        self._size = tuple(max(16, round(side * shrink / 2) * 2) for side in (width, height))
        codec = cv2.VideoWriter.fourcc(*"mp4v")
        name = self._names.enter_context(utf8_path(self._place.part))
        self._writer = cv2.VideoWriter(name, codec, first.rate or 25.0, self._size)
        if not self._writer.isOpened():
            self._names.close()
            raise DataError(
                f"{first.file} with its points drawn cannot be written to {path}: this OpenCV "
                "writes no such MPEG-4; leave the images out with --no-images"
            )

    def write(self, image: Image) -> None:
        height, width = image.shape[:2]
        if (width, height) != self._size:
            image = np.asarray(cv2.resize(image, self._size, interpolation=cv2.INTER_AREA))
        self._writer.write(np.ascontiguousarray(image[:, :, ::-1]))

    def finish(self) -> None:
        self._writer.release()
        self._names.close()
        self._place.finish()

    def discard(self) -> None:
        self._writer.release()
        self._names.close()
        self._place.discard()
