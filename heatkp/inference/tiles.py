"""Large images in parts that overlap, so that small objects stay large enough to be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from heatkp.data.samples import Image
from heatkp.engine import FoundPoints
from heatkp.engine.tiling import nearest, starts
from heatkp.inference.detectors import Detection, Detector, suppress

EDGE = 0.01
"""A box that ends so near to an edge of a tile, as a fraction of its side, may be cut."""
NMS = 0.5
SMALLEST = 16
"""Side of a tile in pixels."""

Find = Callable[[Sequence[Image]], list[list[Detection]]]


def find_in_tiles(find: Find, image: Image, tile: int, nms: float = NMS) -> list[Detection]:
    """What is found in an image and in square tiles of it, the surest first.

    A tile gives what has its centre nearer to its own middle than to its neighbours'. What ends
    at an edge between tiles is left to the look at the whole image.

    Args:
        find: gives the objects of each of several images.
        tile: side in pixels of the image, at least `SMALLEST`.
        nms: of two boxes that share more than this of their common area the less sure one goes.

    Raises `ValueError` for a smaller tile.
    """
    if tile < SMALLEST:
        raise ValueError(f"a tile has a side of {SMALLEST} pixels or more, not {tile}")
    height, width = image.shape[:2]
    if max(height, width) <= tile:
        return find([image])[0]
    columns, rows = starts(width, tile), starts(height, tile)
    found = list(find([image])[0])
    for y in rows:
        parts = [np.ascontiguousarray(image[y : y + tile, x : x + tile]) for x in columns]
        for x, part, objects in zip(columns, parts, find(parts)):
            size = (part.shape[1], part.shape[0])
            for one in objects:
                box = np.asarray(one.box, np.float64) + np.array([x, y, x, y])
                low, high = box[:2] - [x, y], box[2:] - [x, y]
                whole = _own(box[[0, 2]].mean(), x, columns, tile) and _own(
                    box[[1, 3]].mean(), y, rows, tile
                )
                cut = [
                    _cut(low[0], high[0], x, size[0], width, tile),
                    _cut(low[1], high[1], y, size[1], height, tile),
                ]
                if whole and not any(cut):
                    found.append(one._replace(box=box, points=_moved(one.points, x, y)))
    boxes = np.array([one.box for one in found], np.float64).reshape(-1, 4)
    scores = np.array([one.score for one in found], np.float64)
    return [found[i] for i in suppress(boxes, scores, nms)]


def _moved(points: FoundPoints | None, x: int, y: int) -> FoundPoints | None:
    """Points of a tile in pixels of the image."""
    return None if points is None else points._replace(points=points.points + np.array([x, y]))


def _own(centre: float, start: int, all_starts: Sequence[int], tile: int) -> bool:
    """Whether a place is nearer to this tile's middle than to any other's; at the same distance
    the first one's."""
    return nearest(centre, all_starts, tile) == start


def _cut(low: float, high: float, start: int, side: int, length: int, tile: int) -> bool:
    near = EDGE * tile
    first = start > 0 and low + 0.5 < near
    last = start + side < length and high + 0.5 > side - near
    return bool(first or last)


class Tiled:
    """A detector that looks at tiles of large images."""

    def __init__(self, detector: Detector, tile: int, nms: float = NMS) -> None:
        self._detector, self.tile, self.nms = detector, tile, nms
        self.box_style = getattr(detector, "box_style", None)

    @property
    def name(self) -> str:
        return self._detector.name

    def __call__(self, image: Image) -> list[Detection]:
        def find(images: Sequence[Image]) -> list[list[Detection]]:
            return [self._detector(one) for one in images]

        return find_in_tiles(find, image, self.tile, self.nms)
