"""JSON lines: one image a line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile
from heatkp.inference.writers._entries import image_entry
from heatkp.registry import register_writer


@register_writer
class JsonLines(BaseWriter):
    """`points.jsonl`: each line is an image as `images` of the format json has it, nothing else.

    How it was made, and what could not be used, is in `summary.json`.
    """

    name = "jsonl"

    def __init__(self, folder: Path | None, about: About) -> None:
        self._text = TextFile(None if folder is None else folder / "points.jsonl")

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        entry = image_entry(input_image, objects)
        self._text.write(json.dumps(entry, allow_nan=False) + "\n")

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
