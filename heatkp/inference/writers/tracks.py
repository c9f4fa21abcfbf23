"""A long table: a row for each point of each object in each frame."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile, path_from, rounded
from heatkp.registry import register_writer

COLUMNS = (
    "image", "frame", "time", "track", "point", "x", "y", "score", "var_x", "cov_xy", "var_y",
    "raw_x", "raw_y",
)  # fmt: skip
"""`image` as other tables have it, `time` in seconds, `x` and `y` in pixels and their covariance in
squared pixels; `raw_x` and `raw_y` as found, where `x` and `y` are smoothed."""


@register_writer
class TracksTable(BaseWriter):
    """`tracks.csv`, which `heatkp viz tracks` draws.

    The frame of an image that is of no video is its place in its folder, from 0.
    """

    name = "tracks"

    def __init__(self, folder: Path | None, about: About) -> None:
        self._folder = folder
        self._text = TextFile(None if folder is None else folder / "tracks.csv")
        self._counts: dict[Path, int] = {}
        self._row(COLUMNS)

    def _row(self, cells: Sequence[object]) -> None:
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        self._text.write(line.getvalue().removesuffix("\r\n") + "\n")

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        place = input_image.file.parent
        number = input_image.frame
        if number is None:
            number = self._counts[place] = self._counts.get(place, -1) + 1
        seconds = None if input_image.time is None else rounded(input_image.time, 4)
        name = path_from(self._folder, input_image)
        for found in objects:
            raw = found.raw
            for k, point in enumerate(found.skeleton.point_names):
                if not np.isfinite(found.points[k]).all() and (
                    raw is None or not np.isfinite(raw[k]).all()
                ):
                    continue
                spread = np.full(3, np.nan)
                if found.covariance is not None:
                    spread = found.covariance[k][[0, 0, 1], [0, 1, 1]]
                cells: list[object] = [name, number, seconds, found.track, point]
                cells += [rounded(v, 3) for v in found.points[k]]
                cells.append(rounded(found.scores[k], 4))
                cells += [rounded(v, 4) for v in spread]
                cells += [None, None] if raw is None else [rounded(v, 3) for v in raw[k]]
                self._row(cells)

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
