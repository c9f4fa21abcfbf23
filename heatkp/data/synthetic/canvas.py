"""Anti-aliased painting of polygons given in fractions of the image.

Layers are planar: (5, S, S) floats. Three hold surface colour in [0, 1], one multiplies the
light, and one says how much of a pixel belongs to the head, on which the scene's light falls.
Paint and shadow are laid down separately and combined once at the end.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from itertools import accumulate, islice
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.data.synthetic.model import Floats, floats

Bytes = npt.NDArray[np.uint8]
Fixed = npt.NDArray[np.int32]
Box = tuple[int, int, int, int]
Colour = Sequence[float] | Floats
Shapes = Floats | Sequence[Floats]

Part = tuple[Floats, Colour, float]
"""A polygon, its colour and how opaque it is."""

_FRACTION = 8  # bits below the fine pixel
_SHARE = np.float32(1 / 255)


def _joined(polygons: Sequence[Floats]) -> tuple[Floats, list[int]]:
    """All vertices one after the other, and where each polygon ends."""
    if len(polygons) == 1:
        return polygons[0], [len(polygons[0])]
    return np.concatenate(polygons), list(accumulate(map(len, polygons)))


def _polygons(shapes: Shapes) -> Sequence[Floats]:
    return (shapes,) if isinstance(shapes, np.ndarray) else shapes


def _average(fine: Bytes, w: int, h: int, finer: int) -> Bytes:
    # halving twice is several times faster than one step by four
    if finer == 4:
        fine = cast(Bytes, cv2.resize(fine, (w * 2, h * 2), interpolation=cv2.INTER_AREA))
    if finer > 1:
        fine = cast(Bytes, cv2.resize(fine, (w, h), interpolation=cv2.INTER_AREA))
    return fine


class Canvas:
    """A square image being painted.

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
        whole, _ = self._fixed(_polygons(shapes), 1)
        return self._bounds(whole, 1, margin)

    def _fixed(self, polygons: Sequence[Floats], finer: int) -> tuple[Fixed, list[int]]:
        # fillPoly takes integers; `shift` gives 1/256 of a fine pixel
        vertices, ends = _joined(polygons)
        scale = np.float32((self.size * finer) << _FRACTION)
        return (vertices * scale).astype(np.int32), ends

    def _bounds(self, whole: Fixed, finer: int, margin: float) -> Box | None:
        n, unit, more = self.size, finer << _FRACTION, int(margin * self.size + 0.999)
        x, y, w, h = cv2.boundingRect(whole)
        left, top = max(x // unit - more, 0), max(y // unit - more, 0)
        right = min((x + w) // unit + 1 + more, n)
        bottom = min((y + h) // unit + 1 + more, n)
        return (left, top, right, bottom) if right > left and bottom > top else None

    def _within(self, whole: Fixed, ends: list[int], box: Box, finer: int) -> list[Fixed]:
        # fillPoly's whole numbers are the centres of pixels, hence the half
        unit = finer << _FRACTION
        half = 1 << (_FRACTION - 1)
        whole -= np.array((box[0] * unit + half, box[1] * unit + half), np.int32)
        return [whole[a:b] for a, b in zip([0, *ends], ends)]

    def cover(self, shapes: Shapes, box: Box, rough: bool = False) -> Floats:
        """Which fraction of each pixel of a box the union of the polygons covers: (h, w).

        `rough` is for what will be softened: quicker, edges off by up to a quarter of a pixel.
        """
        finer = 2 if rough else self.finer
        whole, ends = self._fixed(_polygons(shapes), finer)
        w, h = box[2] - box[0], box[3] - box[1]
        mask = np.zeros((h * finer, w * finer), np.uint8)
        for polygon in self._within(whole, ends, box, finer):
            cv2.fillPoly(mask, [polygon], 255, shift=_FRACTION)
        return _average(mask, w, h, finer) * _SHARE

    def mask(
        self, shapes: Shapes, soft: float, values: Sequence[int] | None = None
    ) -> tuple[Box, Bytes] | None:
        """A box and a softened mask (h, w) of the polygons, 255 or each its own value inside."""
        k = self._width(soft)
        # what is softened much needs no fine edges
        finer = 1 if k > 3 else 2 if soft else self.finer
        polygons = _polygons(shapes)
        if not polygons:
            return None
        whole, ends = self._fixed(polygons, finer)
        box = self._bounds(whole, finer, 2 * soft)
        if box is None:
            return None
        w, h = box[2] - box[0], box[3] - box[1]
        mask = np.zeros((h * finer, w * finer), np.uint8)
        for i, polygon in enumerate(self._within(whole, ends, box, finer)):
            value = values[i] if values else 255
            cv2.fillPoly(mask, [polygon], value, shift=_FRACTION)
        return box, _soften(_average(mask, w, h, finer), k)

    def _width(self, radius: float) -> int:
        return 2 * round(radius * self.size * 0.8) + 1

    def blur(self, cover: Bytes, radius: float) -> Bytes:
        """Soften by a radius given as a fraction of the image."""
        return _soften(cover, self._width(radius))

    def lay(self, box: Box, cover: Floats, colour: Colour, head: float | None = None) -> None:
        """Blend a colour over a box.

        With `head` it is a new surface: light as it comes, part of the head (1) or not (0).
        """
        x0, y0, x1, y1 = box
        value = [*colour] if head is None else [*colour, 1.0, head]
        region = self.layers[: len(value), y0:y1, x0:x1]
        difference = np.array(value, np.float32)[:, None, None] - region
        difference *= cover
        region += difference

    def dim(self, box: Box, cover: Floats, amount: float) -> None:
        """Multiply the light of a box by 1 - amount where covered."""
        x0, y0, x1, y1 = box
        self.layers[3, y0:y1, x0:x1] *= 1 - np.float32(amount) * cover

    def dim_over(self, found: tuple[Box, Bytes], box: Box, cover: Floats) -> None:
        """Multiply the light by 1 - mask where a box is covered; the mask has its own box."""
        (a0, b0, a1, b1), mask = found
        x0, y0, x1, y1 = max(a0, box[0]), max(b0, box[1]), min(a1, box[2]), min(b1, box[3])
        if x0 >= x1 or y0 >= y1:
            return
        amount = mask[y0 - b0 : y1 - b0, x0 - a0 : x1 - a0] * _SHARE
        amount *= cover[y0 - box[1] : y1 - box[1], x0 - box[0] : x1 - box[0]]
        self.layers[3, y0:y1, x0:x1] *= 1 - amount

    def paint(
        self,
        parts: Sequence[Part],
        soft: float = 0.0,
        head: float | None = None,
        rough: bool = False,
        windows: Sequence[Floats] = (),
        walls: Sequence[Floats] = (),
        over: Sequence[Part] = (),
    ) -> None:
        """Blend what polygons, one replacing the other from first to last, look like together.

        With `windows`, the parts are seen only through these polygons less the `walls`, and
        `over` is painted after that cut.
        """
        # what is not labelled can do with the edges that OpenCV smooths itself
        finer, line = (1, cv2.LINE_AA) if rough else (2 if soft else self.finer, cv2.LINE_8)
        every = [*parts, *over]
        if not every:
            return
        whole, ends = self._fixed([*windows, *walls, *(part[0] for part in every)], finer)
        cut = len(windows) + len(walls)
        # parts may reach beyond the windows, which bound what can be seen of them
        seen = whole
        if windows:
            first = ends[len(windows) - 1]
            hidden = ends[cut + len(parts) - 1]
            seen = np.concatenate([whole[:first], whole[hidden:]])
        box = self._bounds(seen, finer, 2 * soft)
        if box is None:
            return
        x0, y0, x1, y1 = box
        w, h = x1 - x0, y1 - y0
        polygons = self._within(whole, ends, box, finer)
        fine = np.zeros((h * finer, w * finer, 4), np.uint8)
        strokes = zip(polygons[cut:], every)
        for polygon, (_, colour, alpha) in islice(strokes, len(parts)):
            cv2.fillPoly(fine, [polygon], _bytes(colour, alpha), line, _FRACTION)
        if windows:
            fine = self._cut(fine, polygons[: len(windows)], polygons[len(windows) : cut])
        for polygon, (_, colour, alpha) in strokes:
            cv2.fillPoly(fine, [polygon], _bytes(colour, alpha), line, _FRACTION)
        small = _soften(_average(fine, w, h, finer), self._width(soft))
        # colours are already multiplied by how opaque they are
        planes = cv2.split(small)
        keep = 1 - planes[3] * _SHARE
        if head is None:
            self.layers[:3, y0:y1, x0:x1] *= keep
        else:
            self.layers[:, y0:y1, x0:x1] *= keep
            gone = 1 - keep
            self.layers[3, y0:y1, x0:x1] += gone
            if head:
                self.layers[4, y0:y1, x0:x1] += gone * np.float32(head)
        for layer, plane in zip(self.layers, planes[:3]):
            layer[y0:y1, x0:x1] += plane * _SHARE

    def _cut(self, fine: Bytes, windows: list[Fixed], walls: list[Fixed]) -> Bytes:
        mask = np.zeros(fine.shape[:2], np.uint8)
        for polygons, value in ((windows, 255), (walls, 0)):
            for polygon in polygons:
                cv2.fillPoly(mask, [polygon], value, shift=_FRACTION)
        return cast(Bytes, cv2.bitwise_and(fine, fine, mask=mask))

    def fill(
        self,
        shapes: Shapes,
        colour: Colour | None = None,
        alpha: float | Sequence[float] = 1.0,
        soft: float = 0.0,
        dim: float = 0.0,
        head: float | None = None,
    ) -> None:
        """Fill polygons (their union) with a colour, a shadow or both; soft edges if expected.

        `alpha` may differ per polygon. `head` says whether what is painted belongs to the head
        (1), is lit on its own (0) or lies on whatever is there (None).
        """
        values = None
        if not isinstance(alpha, (float, int)):
            values = [int(255 * min(a, 1.0)) for a in alpha]
            alpha = 1.0
        found = self.mask(shapes, soft, values)
        if found is None:
            return
        box, mask = found
        cover = mask * np.float32(alpha / 255)
        if colour is not None:
            self.lay(box, cover, colour, head)
        if dim:
            self.dim(box, cover, dim)


def _soften(mask: Bytes, k: int) -> Bytes:
    if k < 3:
        return mask
    # twice a box comes close to a bell
    soft = cv2.blur(mask, (k, k), borderType=cv2.BORDER_REPLICATE)
    return cast(Bytes, cv2.blur(soft, (k, k), borderType=cv2.BORDER_REPLICATE))


def _bytes(colour: Colour, alpha: float) -> tuple[float, float, float, float]:
    # OpenCV rounds and limits each by itself
    r, g, b = colour.tolist() if isinstance(colour, np.ndarray) else colour
    a = 255 * alpha
    return r * a, g * a, b * a, a


@lru_cache(maxsize=256)
def _seams(counts: tuple[int, ...]) -> tuple[Fixed, Fixed, Fixed, list[int]]:
    """For lines one after the other: next and last points, the way around each, its ends."""
    ends = list(accumulate(counts))
    total, after, before = ends[-1], [], []
    around: list[int] = []
    for start, end in zip([0, *ends], ends):
        after += [*range(start + 1, end), end - 1]
        before += [start, *range(start, end - 1)]
        around += [*range(start, end), *range(total + end - 1, total + start - 1, -1)]
    later, earlier, loop = (np.array(v, np.int32) for v in (after, before, around))
    return later, earlier, loop, [2 * end for end in ends]


def ribbons(lines: Sequence[Floats], widths: Sequence[float | Floats]) -> list[Floats]:
    """The outlines (2N, 2) of lines (N, 2) drawn with widths, which may differ per point."""
    if not lines:
        return []
    counts = tuple(map(len, lines))
    after, before, around, ends = _seams(counts)
    joined = lines[0] if len(lines) == 1 else np.concatenate(lines)
    width = np.concatenate(
        [np.full(n, w, np.float32) if isinstance(w, float) else w for n, w in zip(counts, widths)]
    )
    along = joined[after] - joined[before]
    length = np.sqrt(along[:, 0] ** 2 + along[:, 1] ** 2)
    length += np.float32(1e-6)
    across = along[:, ::-1] * _QUARTER_TURN
    across *= (width / length)[:, None]
    both: Floats = np.concatenate([joined + across, joined - across])[around]
    return [both[a:b] for a, b in zip([0, *ends], ends)]


def ribbon(line: Floats, width: float | Floats) -> Floats:
    """The outline (2N, 2) of one line."""
    return ribbons([line], [width])[0]


_QUARTER_TURN = floats((-0.5, 0.5))
_TURNS = np.linspace(0, 2 * np.pi, 25)[:-1]
CIRCLE: Floats = np.stack([np.cos(_TURNS), np.sin(_TURNS)], 1).astype(np.float32)
"""A unit circle (24, 2)."""


@cache
def taper(count: int, power: float = 0.7) -> Floats:
    """Widths (count,) from 0 over 1 in the middle back to 0."""
    return (np.sin(np.linspace(0.05, np.pi - 0.05, count)) ** power).astype(np.float32)
