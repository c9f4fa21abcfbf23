"""Which regions of images a predictor looks at: boxes that are given, or that a detector finds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.config import Intensity
from heatkp.data.boxes import EDGES
from heatkp.data.inputs import as_image
from heatkp.data.samples import Image
from heatkp.engine import Region
from heatkp.errors import DataError
from heatkp.inference.detectors import Detection, Detector

Array = npt.NDArray[np.float64]
SEARCHED = ("objects", "faces")
"""Boxes that a detector is asked for."""
AHEAD, AHEAD_BYTES = 8, 2**26
"""Images, and their bytes, that are read ahead for a detector which looks at several at once."""


@dataclass(frozen=True)
class Task:
    """A region of an image that is to be looked at.

    Attributes:
        others: (N, 4), the boxes of the image's other objects.
    """

    image: Image
    index: int
    box: Array | None
    found: Detection | None = None
    others: Array | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(W, H) of the image."""
        return self.image.shape[1], self.image.shape[0]

    @property
    def own_box(self) -> Array | None:
        """The box as it was given, or as the detector drew it."""
        return self.box if self.found is None else np.asarray(self.found.box, np.float64)

    @property
    def region(self) -> Region:
        """As the engine takes it."""
        known = None if self.found is None else self.found.points
        return Region(self.image, self.box, f"image {self.index}", self.others, known)


def tasks_of(
    image: Image, index: int, boxes: list[tuple[Array, Detection | None]]
) -> Iterator[Task]:
    """A task for each box of an image."""
    edges = np.array([box for box, _ in boxes], np.float64).reshape(-1, 4)
    for i, (box, found) in enumerate(boxes):
        yield Task(image, index, box, found, np.delete(edges, i, axis=0))


def searched(
    images: Iterable[Any], intensity: Intensity, detector: Detector | None
) -> Iterator[tuple[int, Image, list[Detection] | None]]:
    """Images in their order, with what the detector finds where there is one.

    A detector that has a method `many` is asked about several images at once. Raises `DataError`
    for what is no image.
    """
    many = getattr(detector, "many", None)
    waiting: list[tuple[int, Image]] = []

    def answered() -> Iterator[tuple[int, Image, list[Detection] | None]]:
        found = many([image for _, image in waiting]) if many and waiting else []
        yield from ((*one, objects) for one, objects in zip(waiting, found))
        waiting.clear()

    for i, given in enumerate(images):
        try:
            image = as_image(given, intensity)
        except DataError as error:
            if isinstance(given, str | PathLike):  # says which
                raise
            raise DataError(f"image {i}: {error}") from None
        if detector is None:
            yield i, image, None
        elif many is None:
            yield i, image, list(detector(image))
        else:
            waiting.append((i, image))
            if len(waiting) == AHEAD or sum(one.nbytes for _, one in waiting) > AHEAD_BYTES:
                yield from answered()
    yield from answered()


def edges_of(boxes: npt.ArrayLike, index: int) -> Array:
    """Edges (N, 4) of one image. Raises `DataError` for another shape."""
    try:
        edges = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"image {index}: boxes are no numbers; {EDGES}") from None
    if edges.ndim == 1 and edges.size:
        edges = edges[None]
    if edges.size and (edges.ndim != 2 or edges.shape[1] != 4):
        raise DataError(f"image {index}: boxes have shape (4,) or (N, 4), not {edges.shape}")
    return edges.reshape(-1, 4)
