"""Images that a label file holds itself, in base64."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field

from heatkp.data.decoding import Undecodable, decode
from heatkp.data.images import Image, ImageSource, as_uint8_rgb
from heatkp.data.readers._json_values import load_json
from heatkp.errors import DataError


@dataclass(frozen=True)
class EmbeddedImage(ImageSource):
    """An image in a JSON file, which is decoded when it is called.

    Attributes:
        place: which image of the file it is: a key, where it holds just one.
        text: the image in base64, also as a data URL; None: the file is read when the image is
            asked for, so that images of many files are not kept in memory.
    """

    place: str = ""
    text: str | None = field(default=None, repr=False)

    @property
    def part(self) -> str:
        return self.place

    def __call__(self) -> Image:
        text = self.text if self.text is not None else self._held()
        if text.startswith("data:"):
            text = text.partition(",")[2]
        try:
            found = decode(base64.b64decode(text))
            intensity = self.options.intensity
            return as_uint8_rgb(found.values, found.alpha, intensity, found.inverted)
        except (binascii.Error, ValueError, Undecodable, MemoryError) as error:
            raise DataError(
                f"{self.path}: {self.place} is not an image that can be read ({error})"
            ) from None

    def _held(self) -> str:
        content = load_json(self.path, f"expected {self.place!r}")
        text = content.get(self.place) if isinstance(content, dict) else None
        if not isinstance(text, str):
            raise DataError(f"{self.path}: {self.place!r} is not there any more")
        return text
