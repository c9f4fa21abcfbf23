"""What is said of images that hold more than 8 bits a value, and of files with several images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from heatkp.config import Intensity
from heatkp.data.decoding import Head, Undecodable, decode, depth_in
from heatkp.data.intensity import PERCENTILES
from heatkp.data.samples import Sample
from heatkp.errors import DataError

LOOKED_AT, MEASURED = 300, 20
"""Files whose headers are read, and deep ones of them that are decoded, evenly spread: enough to
tell, also where there are many."""


def _some(images: Sequence[Sample], most: int) -> list[Sample]:
    places = np.linspace(0, len(images) - 1, min(most, len(images))).round().astype(int)
    return [images[i] for i in places]


def _head(image: Sample) -> Head | None:
    try:
        with image.open() as file:
            return depth_in(file)
    except (DataError, OSError):
        return None


def _span(image: Sample) -> tuple[float, float, npt.DTypeLike] | None:
    """The least and the greatest finite value of a deep image, and its type; None for others."""
    try:
        with image.open() as file:
            values = decode(file.read()).values
    except (Undecodable, DataError, OSError, MemoryError):
        return None
    known = values[np.isfinite(values)]
    if values.dtype == np.uint8 or not known.size:
        return None
    return float(known.min()), float(known.max()), values.dtype


def _way(intensity: Intensity) -> str:
    if intensity == "range":
        return "each is scaled to 256 levels from its least to its greatest value"
    if intensity == "percentile":
        low, high = PERCENTILES
        return f"each is scaled to 256 levels from its {low:g}th to its {high:g}th percentile"
    return f"values from 0 to {2 ** int(intensity) - 1} become 256 levels"


def depth_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A line where images are deeper than 8 bits, and one where files hold several images."""
    images = {s.image_name: s for s in samples if s.has_image_file}  # of others nothing is told
    looked = _some(list(images.values()), LOOKED_AT)
    heads = [(image, head) for image in looked if (head := _head(image)) is not None]
    deep = [image for image, head in heads if head.bits > 8]
    several = [image for image, head in heads if head.several]
    notes = []
    if deep:
        intensity = deep[0].options.intensity
        spans = [span for image in _some(deep, MEASURED) if (span := _span(image)) is not None]
        text = (
            f"{len(deep)} of {len(looked)} images hold more than 8 bits a value, such as "
            f"{deep[0].image_name}"
        )
        if spans:
            low, high = min(s[0] for s in spans), max(s[1] for s in spans)
            text += f" ({spans[0][2]}; from {low:g} to {high:g} in {len(spans)} of them)"
        text += f": {_way(intensity)} (data.intensity: {intensity})"
        clipped = sum(isinstance(intensity, int) and s[1] >= 2**intensity for s in spans)
        if clipped:
            text += f", {clipped} of {len(spans)} have greater ones, which are clipped"
        notes.append(text)
    if several:
        notes.append(
            f"{len(several)} of {len(looked)} files hold several images (pages, frames), such as "
            f"{several[0].image_name}: the first is used"
        )
    return tuple(notes)
