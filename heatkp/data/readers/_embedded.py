"""Images that a label file holds itself, in base64."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from pathlib import Path

from heatkp.data.decoding import Undecodable, decode
from heatkp.data.images import Image, as_uint8_rgb
from heatkp.data.readers._json_values import load_json
from heatkp.errors import DataError


def from_base64(text: str, place: str) -> Image:
    """An image file in base64, also as a data URL, as RGB uint8 (H, W, 3). Raises `DataError`."""
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        found = decode(base64.b64decode(text))
        return as_uint8_rgb(found.values, found.alpha, "range", found.inverted)
    except (binascii.Error, ValueError, Undecodable, MemoryError) as error:
        raise DataError(f"{place} is not an image that can be read ({error})") from None


@dataclass(frozen=True)
class Embedded:
    """An image that stands in a label file; decoded when it is called."""

    text: str = field(repr=False)
    place: str

    def __call__(self) -> Image:
        return from_base64(self.text, self.place)


@dataclass(frozen=True)
class EmbeddedFile:
    """An image in the JSON file that describes it, under a key; the file is read when it is
    called, so that images of many files are not kept in memory."""

    source: Path
    key: str

    def __call__(self) -> Image:
        content = load_json(self.source, f"expected {self.key!r}")
        text = content.get(self.key) if isinstance(content, dict) else None
        if not isinstance(text, str):
            raise DataError(f"{self.source}: {self.key!r} is not there any more")
        return from_base64(text, f"{self.source}: {self.key!r}")
