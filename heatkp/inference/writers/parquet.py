"""Parquet tables, a row a point, for Spark, DuckDB, pandas and their like."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import heatkp
from heatkp.engine.exported import require_packages
from heatkp.files import AtomicFile
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, rounded
from heatkp.registry import register_writer
from heatkp.text import json_text, name_to_text

ROWS = 2**17
"""Of a row group, which are in memory until it is full; a little more where an image ends."""
COLUMNS = {
    "image": "string", "file": "string", "member": "string", "frame": "int32", "time": "float64",
    "width": "int32", "height": "int32", "object": "int32", "track": "int32", "box_x0": "float64",
    "box_y0": "float64", "box_x1": "float64", "box_y1": "float64", "box_score": "float32",
    "object_score": "float32", "point": "string", "x": "float64", "y": "float64",
    "score": "float32",
    "covariance_xx": "float32", "covariance_xy": "float32", "covariance_yy": "float32",
    "raw_x": "float64", "raw_y": "float64",
}  # fmt: skip
"""Names and types; repeated values cost next to nothing, for columns have dictionaries."""


@register_writer
class ParquetTable(BaseWriter):
    """`points.parquet`: a row for each point of each object of each image.

    `track` is which object of a video it is, through time; `raw_x` and `raw_y` are what was found,
    where `x` and `y` are smoothed.
    `object` counts from 1 within an image. An image in which nothing was found has one row, with
    nothing in the columns from `object` on, so that no image is missing. How it was made is in
    the file's metadata, as JSON under `heatkp`.
    """

    name = "parquet"
    pipes = False

    def __init__(self, folder: Path | None, about: About) -> None:
        """Raises `MissingPackageError` without pyarrow."""
        require_packages({"pyarrow": "'heatkp[parquet]'"}, "format parquet")
        import pyarrow
        import pyarrow.parquet

        self._columns: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        self._arrow = pyarrow
        head = {
            "heatkp": heatkp.__version__,
            "model": about.model,
            "options": about.options,
            "coordinates": COORDINATES,
            "points": about.skeleton.point_names,
        }
        types = {"string": pyarrow.string(), "int32": pyarrow.int32()}
        types |= {"float32": pyarrow.float32(), "float64": pyarrow.float64()}
        self._schema = pyarrow.schema(
            [(name, types[kind]) for name, kind in COLUMNS.items()],
            metadata={"heatkp": json_text(head)},
        )
        self.path = (folder or Path()) / "points.parquet"
        self._place = AtomicFile(self.path)
        self._file = pyarrow.parquet.ParquetWriter(
            self._place.part, self._schema, compression="zstd"
        )

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        height, width = input_image.image.shape[:2]
        member, time = input_image.member, input_image.time
        image = (
            name_to_text(input_image.name),
            name_to_text(input_image.file.as_posix()),
            None if member is None else name_to_text(member),
            input_image.frame,
            None if time is None else rounded(time, 4),
            width,
            height,
        )
        rows = [(*image, *row) for i, one in enumerate(objects, 1) for row in _rows(i, one)]
        for row in rows or [(*image, *[None] * (len(COLUMNS) - len(image)))]:
            for column, value in zip(self._columns.values(), row):
                column.append(value)
        if len(self._columns["image"]) >= ROWS:
            self._flush()

    def _flush(self) -> None:
        self._file.write_table(self._arrow.table(self._columns, self._schema))
        for column in self._columns.values():
            column.clear()

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        self._flush()
        self._file.close()
        self._place.finish()
        return [self.path]

    def discard(self) -> None:
        with suppress(OSError, self._arrow.ArrowException):
            self._file.close()
        self._place.discard()


def _rows(number: int, found: Keypoints) -> list[tuple[Any, ...]]:
    """The columns from `object` on, of each point."""
    box = [None] * 4 if found.box is None else [rounded(v, 3) for v in found.box]
    given = (found.box_score, found.object_score)
    sure = [None if value is None else rounded(value, 4) for value in given]
    rows: list[tuple[Any, ...]] = []
    for k, name in enumerate(found.skeleton.point_names):
        x, y = (rounded(v, 3) for v in found.points[k])
        spread = [math.nan] * 4 if found.covariance is None else found.covariance[k].ravel()
        xx, xy, _, yy = (rounded(v, 4) for v in spread)
        raw = (None, None) if found.raw is None else [rounded(v, 3) for v in found.raw[k]]
        score = rounded(found.scores[k], 4)
        rows.append((number, found.track, *box, *sure, name, x, y, score, xx, xy, yy, *raw))
    return rows
