"""300-W's `.pts` files."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heatkp.data.readers.pts import write_pts
from heatkp.errors import DataError
from heatkp.files import replacing
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, Names
from heatkp.registry import register_writer


@register_writer
class PtsFiles(BaseWriter):
    """300-W's form in a folder `pts`: NAME.pts, or NAME_1.pts, NAME_2.pts for several faces."""

    name = "pts"
    pipes = False
    trains = True

    def __init__(self, folder: Path | None, about: About) -> None:
        self._folder, self._names = (folder or Path()) / "pts", Names()

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        stem = (
            input_image.name
            if input_image.frame is not None
            else os.path.splitext(input_image.name)[0]
        )
        for number, found in enumerate(objects, 1):
            if not np.isfinite(found.points).all():
                raise DataError(f"{input_image.name}: a .pts file cannot hold points that are NaN")
            own = f"{stem}_{number}" if len(objects) > 1 else stem
            path = self._folder / self._names.claim(own, ".pts")
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                write_pts(part, found.points)

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        return [self._folder] if self._folder.is_dir() else []

    def discard(self) -> None:
        pass
