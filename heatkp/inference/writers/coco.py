"""COCO keypoints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import heatkp
from heatkp.data.writers.coco import coco_category
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import COORDINATES, Failure, InputImage
from heatkp.inference.writers._base import About, BaseWriter, TextFile, path_from
from heatkp.registry import register_writer
from heatkp.text import json_text

MADE = "made by heatkp predict"


@register_writer
class CocoTable(BaseWriter):
    """A COCO keypoints file that heatkp reads, `coco.json`."""

    name = "coco"
    trains = True

    def __init__(self, folder: Path | None, about: About) -> None:
        path = None if folder is None else folder / "coco.json"
        self._text, self._about, self._count = TextFile(path), about, 0
        self._folder = folder
        self._images: list[str] = []
        info = {"description": f"{MADE}, model {about.model}", "version": heatkp.__version__}
        info["coordinates"] = COORDINATES
        self._text.write(f'{{"info": {json_text(info)},\n"annotations": [')

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        height, width = input_image.image.shape[:2]
        number = len(self._images) + 1
        name = path_from(self._folder, input_image)
        entry = {"id": number, "file_name": name, "width": width, "height": height}
        self._images.append(json.dumps(entry))
        for found in objects:
            comma = "," if self._count else ""
            self._count += 1
            annotation = found.to_coco(image_id=number, annotation_id=self._count)
            self._text.write(f"{comma}\n{json.dumps(annotation, allow_nan=False)}")

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        images = ",\n".join(self._images)
        categories = json_text([coco_category(self._about.skeleton)])
        self._text.write(f'\n],\n"images": [\n{images}\n],\n"categories": {categories}}}\n')
        return self._text.finish()

    def discard(self) -> None:
        self._text.discard()
