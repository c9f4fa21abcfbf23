"""What was found, as tables: JSON, CSV, COCO, `.pts` files.

Tables are UTF-8; they hold names of files as `heatkp.text.name_to_text` writes them.

Tables are written as pictures come, so thousands need no more memory than one, and appear under
their names when they are complete.
"""

from __future__ import annotations

import csv
import io
import json
import math
import os
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

import heatkp
from heatkp.data.readers.coco import coco_dictionary
from heatkp.data.readers.pts import write_pts
from heatkp.errors import DataError
from heatkp.files import fitting, replacing
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Fault, Picture
from heatkp.skeletons import Skeleton
from heatkp.text import json_text, name_to_text, printable

MADE = "made by heatkp predict"


@dataclass(frozen=True)
class About:
    """What tables say of how they were made.

    Attributes:
        model: as it was named.
        skeleton: the model's points.
        options: names and plain values of what changes the result.
    """

    model: str
    skeleton: Skeleton
    options: dict[str, Any]


class Writer(Protocol):
    """Takes pictures one by one; then come `finish`, where all went well, and `discard`."""

    def add(self, picture: Picture, faces: Sequence[Keypoints]) -> None:
        """Raises `OSError` where it cannot be written."""

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        """Put files into their places; returns those that were written."""

    def discard(self) -> None:
        """Leave nothing unfinished behind."""


class _Text:
    """A file that is there once it is whole; without a path, standard output."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115
        else:
            self._part = path.with_name(path.name + ".part")
            self._file = self._part.open("w", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        self._file.write(printable(text))

    def finish(self) -> list[Path]:
        if self.path is None:
            self._file.seek(0)
            sys.stdout.flush()
            # In UTF-8 as files are, whatever a screen's encoding.
            binary = getattr(sys.stdout, "buffer", None)
            while block := self._file.read(2**20):
                if binary is None:
                    sys.stdout.write(block)
                else:
                    binary.write(block.encode())
            sys.stdout.flush()
            self._file.close()
            return []
        self._file.close()
        os.replace(self._part, self.path)
        return [self.path]

    def discard(self) -> None:
        with suppress(OSError):  # a full disk fails again when the rest is flushed
            self._file.close()
        if self.path is not None:
            self._part.unlink(missing_ok=True)


def _number(value: float, digits: int) -> float | None:
    """For JSON, which knows no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def _path_from(folder: Path | None, picture: Picture) -> str:
    """The picture's file seen from a folder (or from here), and a frame's number below it."""
    try:
        # `..` leads out of where a link leads to, not out of the link.
        file = os.path.join(os.path.realpath(picture.file.parent), picture.file.name)
        path = os.path.relpath(file, os.path.realpath(folder or ".")).replace(os.sep, "/")
    except ValueError:  # on another drive
        path = picture.file.as_posix()
    path = name_to_text(path)
    return path if picture.frame is None else f"{path}/{picture.frame:06d}"


def _face(face: Keypoints) -> dict[str, Any]:
    points = []
    for k, name in enumerate(face.skeleton.point_names):
        x, y = (_number(v, 3) for v in face.points[k])
        point: dict[str, Any] = {"name": name, "x": x, "y": y}
        point["score"] = _number(face.scores[k], 4)
        if face.covariance is not None:
            point["covariance"] = [[_number(v, 4) for v in row] for row in face.covariance[k]]
        points.append(point)
    return {
        "box": None if face.box is None else [_number(v, 3) for v in face.box],
        "box_score": None if face.box_score is None else _number(face.box_score, 4),
        "score": None if face.score is None else _number(face.score, 4),
        "points": points,
    }


class JsonTable:
    """One document: how it was made, `pictures` with their `faces`, `faults`.

    A picture a line. `path` None is standard output.
    """

    def __init__(self, path: Path | None, about: About) -> None:
        self._text, self._count = _Text(path), 0
        head = {
            "heatkp": heatkp.__version__,
            "model": about.model,
            "options": about.options,
            "coordinates": COORDINATES,
            "skeleton": {
                "name": about.skeleton.name,
                "points": about.skeleton.point_names,
                "lines": about.skeleton.lines,
            },
        }
        self._text.write(json_text(head)[:-1] + ',\n"pictures": [')

    def add(self, picture: Picture, faces: Sequence[Keypoints]) -> None:
        height, width = picture.image.shape[:2]
        entry: dict[str, Any] = {"picture": name_to_text(picture.name)}
        entry["file"] = name_to_text(picture.file.as_posix())
        if picture.frame is not None:
            entry.update(frame=picture.frame, time=_number(picture.time or 0.0, 4))
        entry.update(width=width, height=height, turned_by_exif=picture.orientation != 1)
        entry["faces"] = [_face(face) for face in faces]
        comma = "," if self._count else ""
        self._text.write(f"{comma}\n{json.dumps(entry, allow_nan=False)}")
        self._count += 1

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        listed = json_text([fault.as_dict() for fault in faults])
        self._text.write(f'\n],\n"faults": {listed},\n"complete": {json.dumps(complete)}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()


class CsvTable:
    """A row a face: `faces.csv` with all that is known, `points.csv` as heatkp's reader takes it.

    The reader takes names of pictures and points alone. To standard output goes the former.
    """

    def __init__(self, folder: Path | None, about: About) -> None:
        self._folder = folder
        self._all = _Text(None if folder is None else folder / "faces.csv")
        self._points = None if folder is None else _Text(folder / "points.csv")
        names = about.skeleton.point_names
        columns = ["picture", "frame", "time", "width", "height", "face"]
        columns += ["box_x0", "box_y0", "box_x1", "box_y1", "box_score"]
        self._row(self._all, columns + [f"{n}_{c}" for n in names for c in ("x", "y", "score")])
        if self._points is not None:
            self._row(self._points, ["picture", *(f"{n}_{c}" for n in names for c in "xy")])

    @staticmethod
    def _row(text: _Text, cells: Sequence[object]) -> None:
        line = io.StringIO()
        # With both signs in its line's end, the writer quotes cells that hold either.
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        text.write(line.getvalue().removesuffix("\r\n") + "\n")

    def add(self, picture: Picture, faces: Sequence[Keypoints]) -> None:
        def cell(value: float | None, digits: int = 3) -> float | None:
            return None if value is None else _number(value, digits)

        name = _path_from(self._folder, picture)
        height, width = picture.image.shape[:2]
        for number, face in enumerate(faces, 1):
            row: list[object] = [name, picture.frame, cell(picture.time, 4), width, height, number]
            row += [None] * 4 if face.box is None else [cell(v) for v in face.box]
            row.append(cell(face.box_score, 4))
            points = [[cell(v) for v in point] for point in face.points]
            scored = zip(points, face.scores)
            self._row(self._all, row + [v for p, s in scored for v in (*p, cell(s, 4))])
            if self._points is not None:
                self._row(self._points, [name, *(v for point in points for v in point)])

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        return self._all.finish() + ([] if self._points is None else self._points.finish())

    def discard(self) -> None:
        self._all.discard()
        if self._points is not None:
            self._points.discard()


class CocoTable:
    """A COCO keypoints file that heatkp reads; `path` None is standard output."""

    def __init__(self, path: Path | None, about: About) -> None:
        self._text, self._about, self._count = _Text(path), about, 0
        self._folder = None if path is None else path.parent
        self._images: list[str] = []
        info = {"description": f"{MADE}, model {about.model}", "version": heatkp.__version__}
        info["coordinates"] = COORDINATES
        self._text.write(f'{{"info": {json_text(info)},\n"annotations": [')

    def add(self, picture: Picture, faces: Sequence[Keypoints]) -> None:
        height, width = picture.image.shape[:2]
        number = len(self._images) + 1
        name = _path_from(self._folder, picture)
        entry = {"id": number, "file_name": name, "width": width, "height": height}
        self._images.append(json.dumps(entry))
        for face in faces:
            comma = "," if self._count else ""
            self._count += 1
            annotation = face.to_coco(image_id=number, annotation_id=self._count)
            self._text.write(f"{comma}\n{json.dumps(annotation, allow_nan=False)}")

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        images = ",\n".join(self._images)
        categories = json_text(coco_dictionary(self._about.skeleton, [], [])["categories"])
        self._text.write(f'\n],\n"images": [\n{images}\n],\n"categories": {categories}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()


class Names:
    """File names, each given once, also where capitals do not count; none too long."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, stem: str, suffix: str) -> str:
        folder, slash, own = stem.rpartition("/")
        name, number = folder + slash + fitting(own, suffix), 1
        while name.casefold() in self._taken:
            number += 1
            name = folder + slash + fitting(own, f"-{number}{suffix}")
        self._taken.add(name.casefold())
        return name


class PtsFiles:
    """300-W's form in a folder `pts`: NAME.pts, or NAME_1.pts, NAME_2.pts for several faces."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._names = folder / "pts", Names()

    def add(self, picture: Picture, faces: Sequence[Keypoints]) -> None:
        stem = picture.name if picture.frame is not None else os.path.splitext(picture.name)[0]
        for number, face in enumerate(faces, 1):
            if not np.isfinite(face.points).all():
                raise DataError(f"{picture.name}: a .pts file cannot hold points that are NaN")
            own = f"{stem}_{number}" if len(faces) > 1 else stem
            path = self._folder / self._names.claim(own, ".pts")
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing(path) as part:
                write_pts(part, face.points)

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        return [self._folder] if self._folder.is_dir() else []

    def discard(self) -> None:
        pass
