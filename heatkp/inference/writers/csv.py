"""CSV tables, a row an object."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile, path_from, rounded
from heatkp.registry import register_writer


@register_writer
class CsvTable(BaseWriter):
    """A row an object: `objects.csv` with all that is known, and `points.csv` for the csv reader.

    The latter holds names of images and points alone. To standard output goes the former.
    """

    name = "csv"
    trains = True

    def __init__(self, folder: Path | None, about: About) -> None:
        self._folder = folder
        self._all = TextFile(None if folder is None else folder / "objects.csv")
        self._points = None if folder is None else TextFile(folder / "points.csv")
        names = about.skeleton.point_names
        columns = ["image", "frame", "time", "width", "height", "object"]
        columns += ["box_x0", "box_y0", "box_x1", "box_y1", "box_score", "object_score"]
        self._row(self._all, columns + [f"{n}_{c}" for n in names for c in ("x", "y", "score")])
        if self._points is not None:
            self._row(self._points, ["image", *(f"{n}_{c}" for n in names for c in "xy")])

    @staticmethod
    def _row(text: TextFile, cells: Sequence[object]) -> None:
        line = io.StringIO()
        # With both signs in its line's end, the writer quotes cells that hold either.
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        text.write(line.getvalue().removesuffix("\r\n") + "\n")

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        def cell(value: float | None, digits: int = 3) -> float | None:
            return None if value is None else rounded(value, digits)

        name = path_from(self._folder, input_image)
        height, width = input_image.image.shape[:2]
        for number, found in enumerate(objects, 1):
            row: list[object] = [
                name,
                input_image.frame,
                cell(input_image.time, 4),
                width,
                height,
                number,
            ]
            row += [None] * 4 if found.box is None else [cell(v) for v in found.box]
            row += [cell(found.box_score, 4), cell(found.object_score, 4)]
            points = [[cell(v) for v in point] for point in found.points]
            scored = zip(points, found.scores)
            self._row(self._all, row + [v for p, s in scored for v in (*p, cell(s, 4))])
            if self._points is not None:
                self._row(self._points, [name, *(v for point in points for v in point)])

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        return self._all.finish() + ([] if self._points is None else self._points.finish())

    def discard(self) -> None:
        self._all.discard()
        if self._points is not None:
            self._points.discard()
