"""Anti-aliased painting of polygons given in fractions of the image.

Layers are planar: (5, S, S) floats. Three hold surface colour in [0, 1], one multiplies the
light, and one says how much of a pixel belongs to the head, on which the scene's light falls.
Paint and shadow are laid down separately and combined once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from heatkp.data.synthetic.model import Floats

Box = tuple[int, int, int, int]
Colour = tuple[float, float, float] | Floats

_EMPTY: Box = (0, 0, 0, 0)


class Canvas:
    """A square picture being painted.

    Polygons are (N, 2) arrays of fractions: 0 and 1 are the image's edges, so a fraction f lies
    at pixel f * size - 0.5 in the convention of `heatkp.coordinates`.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.layers = np.ones((5, size, size), np.float32)
        self.layers[4] = 0
        # polygons are filled on a finer raster and averaged down: exact to a fraction of a pixel
        self._finer = 4 if size <= 160 else 2

    def box(self, polygons: Sequence[Floats], margin: float = 0.0) -> Box:
        """Pixel box (x0, y0, x1, y1), ends exclusive, that holds the polygons; may be empty."""
        low = np.min([p.min(0) for p in polygons], 0) - margin
        high = np.max([p.max(0) for p in polygons], 0) + margin
        x0, y0 = np.clip(np.floor(low * self.size), 0, self.size).astype(int).tolist()
        x1, y1 = np.clip(np.ceil(high * self.size), 0, self.size).astype(int).tolist()
        return (x0, y0, x1, y1) if x1 > x0 and y1 > y0 else _EMPTY

    def cover(self, polygons: Sequence[Floats], box: Box) -> Floats:
        """Which share of each pixel of a box the union of the polygons covers: (h, w)."""
        x0, y0, x1, y1 = box
        q = self._finer
        mask = np.zeros(((y1 - y0) * q, (x1 - x0) * q), np.uint8)
        corner = np.float32((x0 * q, y0 * q))
        for polygon in polygons:
            # fillPoly takes integers as pixel centres; `shift` gives 1/256 of a fine pixel
            fine = ((polygon * (self.size * q) - corner) - 0.5) * 256
            cv2.fillPoly(mask, [np.rint(fine).astype(np.int32)], 255, shift=8)
        small = cv2.resize(mask, (x1 - x0, y1 - y0), interpolation=cv2.INTER_AREA)
        return small.astype(np.float32) * np.float32(1 / 255)

    def blur(self, cover: Floats, radius: float) -> Floats:
        """Soften by a radius given as a fraction of the image."""
        k = 2 * round(radius * self.size * 0.8) + 1
        if k < 3:
            return cover
        soft = cv2.blur(cover, (k, k), borderType=cv2.BORDER_CONSTANT)
        result: Floats = cv2.blur(soft, (k, k), borderType=cv2.BORDER_CONSTANT)
        return result

    def lay(self, box: Box, cover: Floats, colour: Colour) -> None:
        """Blend one colour over a box."""
        x0, y0, x1, y1 = box
        for layer, value in zip(self.layers, colour):
            region = layer[y0:y1, x0:x1]
            region += cover * (np.float32(value) - region)

    def surface(self, box: Box, cover: Floats, head: float) -> None:
        """Begin a new surface over a box: light as it comes, part of the head (1) or not (0)."""
        x0, y0, x1, y1 = box
        for layer, value in zip(self.layers[3:], (1.0, head)):
            region = layer[y0:y1, x0:x1]
            region += cover * (np.float32(value) - region)

    def dim(self, box: Box, cover: Floats, amount: float) -> None:
        """Multiply the light of a box by 1 - amount where covered."""
        x0, y0, x1, y1 = box
        self.layers[3, y0:y1, x0:x1] *= 1 - np.float32(amount) * cover

    def fill(
        self,
        polygon: Floats | Sequence[Floats],
        colour: Colour | None = None,
        alpha: float = 1.0,
        soft: float = 0.0,
        dim: float = 0.0,
        head: float | None = None,
    ) -> None:
        """Fill polygons (their union) with a colour, a shadow or both; soft edges if wanted.

        `head` says whether what is painted belongs to the head (1), is lit on its own (0) or
        lies on whatever is there (None).
        """
        polygons = [polygon] if isinstance(polygon, np.ndarray) else list(polygon)
        box = self.box(polygons, 2.5 * soft)
        if box == _EMPTY:
            return
        cover = self.cover(polygons, box)
        if soft:
            cover = self.blur(cover, soft)
        if colour is not None:
            self.lay(box, cover * np.float32(alpha) if alpha != 1 else cover, colour)
        if head is not None:
            self.surface(box, cover, head)
        if dim:
            self.dim(box, cover, dim)


def ribbon(line: Floats, width: float | Floats) -> Floats:
    """The outline (2N, 2) of a line (N, 2) drawn with a width, which may differ per point."""
    along = np.empty_like(line)
    along[1:-1] = line[2:] - line[:-2]
    along[0], along[-1] = line[1] - line[0], line[-1] - line[-2]
    along /= np.maximum(np.hypot(along[:, 0], along[:, 1]), 1e-6)[:, None]
    half = np.broadcast_to(np.asarray(width, np.float32) / 2, (len(line),))[:, None]
    across = np.stack([-along[:, 1], along[:, 0]], 1) * half
    return np.concatenate([line + across, (line - across)[::-1]])


_TURNS = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE: Floats = np.stack([np.cos(_TURNS), np.sin(_TURNS)], 1).astype(np.float32)
"""A unit circle (24, 2)."""


def taper(count: int, power: float = 0.7) -> Floats:
    """Widths (count,) from 0 over 1 in the middle back to 0."""
    return (np.sin(np.linspace(0.05, np.pi - 0.05, count)) ** power).astype(np.float32)
