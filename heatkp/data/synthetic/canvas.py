"""Anti-aliased painting of polygons given in fractions of the image.

Layers are planar: (5, S, S) floats. Three hold surface colour in [0, 1], one multiplies the
light, and one says how much of a pixel belongs to the head, on which the scene's light falls.
Paint and shadow are laid down separately and combined once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from itertools import accumulate

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.synthetic.model import Floats, floats

Bytes = npt.NDArray[np.uint8]
Fixed = npt.NDArray[np.int32]
Box = tuple[int, int, int, int]
Colour = Sequence[float] | Floats
Shapes = Floats | Sequence[Floats]

_FRACTION = 8  # bits below the fine pixel
_ONE = 1 << _FRACTION


def _joined(polygons: Sequence[Floats]) -> tuple[Floats, list[int]]:
    """All vertices one after the other, and where each polygon ends."""
    if len(polygons) == 1:
        return polygons[0], [len(polygons[0])]
    return np.concatenate(polygons), list(accumulate(map(len, polygons)))


def _polygons(shapes: Shapes) -> Sequence[Floats]:
    return (shapes,) if isinstance(shapes, np.ndarray) else shapes


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
        self.finer = 4 if size <= 160 else 2

    def box(self, shapes: Shapes, margin: float = 0.0) -> Box | None:
        """Pixel box (x0, y0, x1, y1), ends exclusive, that holds the polygons, if any does."""
        vertices, _ = _joined(_polygons(shapes))
        (x0, y0), (x1, y1) = vertices.min(0).tolist(), vertices.max(0).tolist()
        n = self.size
        left, top = max(int((x0 - margin) * n), 0), max(int((y0 - margin) * n), 0)
        right, bottom = min(int((x1 + margin) * n) + 1, n), min(int((y1 + margin) * n) + 1, n)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _fixed(self, polygons: Sequence[Floats], box: Box, finer: int) -> list[Fixed]:
        vertices, ends = _joined(polygons)
        # fillPoly takes integers as pixel centres; `shift` gives 1/256 of a fine pixel
        fine = vertices * np.float32(self.size * finer * _ONE)
        fine -= floats(box[:2]) * np.float32(finer * _ONE) + np.float32(_ONE / 2)
        whole: Fixed = np.rint(fine).astype(np.int32)
        return [whole[a:b] for a, b in zip([0, *ends], ends)]

    def _average(self, fine: Bytes, w: int, h: int, finer: int) -> Bytes:
        # halving twice is several times faster than one step by four
        if finer == 4:
            fine = cv2.resize(fine, (w * 2, h * 2), interpolation=cv2.INTER_AREA)
        return cv2.resize(fine, (w, h), interpolation=cv2.INTER_AREA)

    def cover(self, shapes: Shapes, box: Box, rough: bool = False) -> Floats:
        """Which share of each pixel of a box the union of the polygons covers: (h, w).

        `rough` is for what will be softened: quicker, edges off by up to a quarter of a pixel.
        """
        finer = 2 if rough else self.finer
        w, h = box[2] - box[0], box[3] - box[1]
        mask = np.zeros((h * finer, w * finer), np.uint8)
        for polygon in self._fixed(_polygons(shapes), box, finer):
            cv2.fillPoly(mask, [polygon], 255, shift=_FRACTION)
        small = self._average(mask, w, h, finer)
        return small * np.float32(1 / 255)

    def blur(self, cover: Floats, radius: float) -> Floats:
        """Soften by a radius given as a fraction of the image."""
        k = 2 * round(radius * self.size * 0.8) + 1
        if k < 3:
            return cover
        # twice a box comes close to a bell
        soft = cv2.blur(cover, (k, k), borderType=cv2.BORDER_REPLICATE)
        result: Floats = cv2.blur(soft, (k, k), borderType=cv2.BORDER_REPLICATE)
        return result

    def lay(self, box: Box, cover: Floats, colour: Colour) -> None:
        """Blend a colour (3,), or colours (3, h, w), over a box."""
        x0, y0, x1, y1 = box
        region = self.layers[:3, y0:y1, x0:x1]
        value = np.asarray(colour, np.float32)
        difference = (value if value.ndim == 3 else value[:, None, None]) - region
        difference *= cover
        region += difference

    def surface(self, box: Box, cover: Floats, head: float) -> None:
        """Begin a new surface over a box: light as it comes, part of the head (1) or not (0)."""
        x0, y0, x1, y1 = box
        region = self.layers[3:, y0:y1, x0:x1]
        region += cover * (floats((1.0, head))[:, None, None] - region)

    def dim(self, box: Box, cover: Floats, amount: float) -> None:
        """Multiply the light of a box by 1 - amount where covered."""
        x0, y0, x1, y1 = box
        self.layers[3, y0:y1, x0:x1] *= 1 - np.float32(amount) * cover

    def patch(
        self, box: Box, cover: Floats, ground: Colour, parts: Sequence[tuple[Floats, Colour]]
    ) -> None:
        """Blend over a box what opaque polygons, painted one after the other, look like."""
        w, h = box[2] - box[0], box[3] - box[1]
        fine = np.empty((h * self.finer, w * self.finer, 3), np.uint8)
        fine[:] = _bytes(ground)
        polygons = self._fixed([polygon for polygon, _ in parts], box, self.finer)
        for polygon, (_, colour) in zip(polygons, parts):
            cv2.fillPoly(fine, [polygon], _bytes(colour), shift=_FRACTION)
        small = self._average(fine, w, h, self.finer)
        self.lay(box, cover, small.transpose(2, 0, 1) * np.float32(1 / 255))

    def fill(
        self,
        shapes: Shapes,
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
        shapes = _polygons(shapes)
        box = self.box(shapes, 2 * soft) if len(shapes) else None
        if box is None:
            return
        cover = self.cover(shapes, box, rough=soft > 0)
        if soft:
            cover = self.blur(cover, soft)
        if colour is not None:
            self.lay(box, cover * np.float32(alpha) if alpha != 1 else cover, colour)
        if head is not None:
            self.surface(box, cover, head)
        if dim:
            self.dim(box, cover, dim)


def _bytes(colour: Colour) -> tuple[int, int, int]:
    r, g, b = (min(max(int(255 * float(v) + 0.5), 0), 255) for v in colour)
    return r, g, b


def ribbon(line: Floats, width: float | Floats) -> Floats:
    """The outline (2N, 2) of a line (N, 2) drawn with a width, which may differ per point."""
    along = np.empty((len(line), 2), np.float32)
    np.subtract(line[2:], line[:-2], out=along[1:-1])
    np.subtract(line[1], line[0], out=along[0])
    np.subtract(line[-1], line[-2], out=along[-1])
    length = np.sqrt(np.einsum("ij,ij->i", along, along)) + np.float32(1e-6)
    across = along[:, ::-1] * _QUARTER_TURN
    across *= (width / length)[:, None]
    return np.concatenate([line + across, (line - across)[::-1]])


_QUARTER_TURN = floats((-0.5, 0.5))
_TURNS = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE: Floats = np.stack([np.cos(_TURNS), np.sin(_TURNS)], 1).astype(np.float32)
"""A unit circle (24, 2)."""


@cache
def taper(count: int, power: float = 0.7) -> Floats:
    """Widths (count,) from 0 over 1 in the middle back to 0."""
    return (np.sin(np.linspace(0.05, np.pi - 0.05, count)) ** power).astype(np.float32)
