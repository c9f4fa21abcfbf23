"""One JSON document of all images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import heatkp
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Fault, Picture
from heatkp.inference.writers._base import About, BaseWriter, TextFile, rounded
from heatkp.registry import register_writer
from heatkp.text import json_text, name_to_text


def _object(face: Keypoints) -> dict[str, Any]:
    points = []
    for k, name in enumerate(face.skeleton.point_names):
        x, y = (rounded(v, 3) for v in face.points[k])
        point: dict[str, Any] = {"name": name, "x": x, "y": y}
        point["score"] = rounded(face.scores[k], 4)
        if face.covariance is not None:
            point["covariance"] = [[rounded(v, 4) for v in row] for row in face.covariance[k]]
        points.append(point)
    return {
        "box": None if face.box is None else [rounded(v, 3) for v in face.box],
        "box_score": None if face.box_score is None else rounded(face.box_score, 4),
        "score": None if face.score is None else rounded(face.score, 4),
        "points": points,
    }


@register_writer
class JsonTable(BaseWriter):
    """One document: how it was made, `pictures` with their `faces`, `faults`.

    A picture a line.
    """

    name = "json"

    def __init__(self, folder: Path | None, about: About) -> None:
        path = None if folder is None else folder / "points.json"
        self._text, self._count = TextFile(path), 0
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
            entry.update(frame=picture.frame, time=rounded(picture.time or 0.0, 4))
        entry.update(width=width, height=height, turned_by_exif=picture.orientation != 1)
        entry["faces"] = [_object(face) for face in faces]
        comma = "," if self._count else ""
        self._text.write(f"{comma}\n{json.dumps(entry, allow_nan=False)}")
        self._count += 1

    def finish(self, faults: Sequence[Fault], complete: bool) -> list[Path]:
        listed = json_text([fault.as_dict() for fault in faults])
        self._text.write(f'\n],\n"faults": {listed},\n"complete": {json.dumps(complete)}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
