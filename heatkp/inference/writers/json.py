"""One JSON document of all images."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import heatkp
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile
from heatkp.inference.writers._entries import image_entry
from heatkp.registry import register_writer
from heatkp.text import json_text


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
        entry = image_entry(input_image, objects)
        comma = "," if self._count else ""
        self._text.write(f"{comma}\n{json.dumps(entry, allow_nan=False)}")
        self._count += 1

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        listed = json_text([failure.as_dict() for failure in failures])
        self._text.write(f'\n],\n"errors": {listed},\n"complete": {json.dumps(complete)}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
