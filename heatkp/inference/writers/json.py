"""One JSON document of all images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import heatkp
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile, rounded
from heatkp.registry import register_writer
from heatkp.text import json_text, name_to_text


def _object(found: Keypoints) -> dict[str, Any]:
    points = []
    for k, name in enumerate(found.skeleton.point_names):
        x, y = (rounded(v, 3) for v in found.points[k])
        point: dict[str, Any] = {"name": name, "x": x, "y": y}
        point["score"] = rounded(found.scores[k], 4)
        if found.covariance is not None:
            point["covariance"] = [[rounded(v, 4) for v in row] for row in found.covariance[k]]
        points.append(point)
    return {
        "box": None if found.box is None else [rounded(v, 3) for v in found.box],
        "box_score": None if found.box_score is None else rounded(found.box_score, 4),
        "score": None if found.score is None else rounded(found.score, 4),
        "points": points,
    }


@register_writer
class JsonTable(BaseWriter):
    """One document: how it was made, `images` with their `objects`, `errors`.

    An image a line.
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
        self._text.write(json_text(head)[:-1] + ',\n"images": [')

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        height, width = input_image.image.shape[:2]
        entry: dict[str, Any] = {"image": name_to_text(input_image.name)}
        entry["file"] = name_to_text(input_image.file.as_posix())
        if input_image.frame is not None:
            entry.update(frame=input_image.frame, time=rounded(input_image.time or 0.0, 4))
        entry.update(width=width, height=height, turned_by_exif=input_image.orientation != 1)
        entry["objects"] = [_object(found) for found in objects]
        comma = "," if self._count else ""
        self._text.write(f"{comma}\n{json.dumps(entry, allow_nan=False)}")
        self._count += 1

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        listed = json_text([failure.as_dict() for failure in failures])
        self._text.write(f'\n],\n"errors": {listed},\n"complete": {json.dumps(complete)}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
