"""What is behind the head, and the textures that are cut from a larger one."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from heatkp.data.synthetic.canvas import Bytes, Canvas
from heatkp.data.synthetic.light import CLOUDS, LEAVES
from heatkp.data.synthetic.model import Floats


def paint_background(canvas: Canvas, kind: str, sharp: bool, rng: np.random.Generator) -> None:
    """Something behind the head: painted small and enlarged, so mostly out of focus."""
    size = 64 if sharp else 40
    first, second = muted(rng), muted(rng)
    lean = float(rng.uniform(-1, 1))
    ramp = _RAMPS[size]
    mix = ramp[:, None] * np.float32(1 - abs(lean)) + ramp * np.float32(lean)
    step = 128 // size
    row, column = rng.integers(0, len(CLOUDS) - 128, 2).tolist()
    cells = slice(row, row + size * step, step), slice(column, column + size * step, step)
    texture = (LEAVES if kind == "leaves" else CLOUDS)[cells]
    strength = {"plain": 0.02, "leaves": 0.16}.get(kind, 0.06)
    mix = mix[:, :, None] * (second - first)
    mix += first
    mix += np.float32(strength) * texture[:, :, None]
    small = cast(Bytes, cv2.addWeighted(mix, 255.0, mix, 0.0, 0.0, dtype=cv2.CV_8U))
    count = {"blobs": 6, "boxes": 6, "lines": 7}.get(kind, 0)
    places = rng.uniform(0, 1, (count, 4))
    one = size * 16  # four bits below the pixel
    vivid = rng.random((count, 1)) ** 2.5
    colours = rng.uniform(12, 242, (count, 1)) * (1 - vivid * rng.random((count, 3)))
    for (x, y, w, h), colour in zip(places.tolist(), colours.tolist()):
        x, y, reach = int(x * one), int(y * one), 0.05 + 0.25 * w
        if kind == "blobs":
            cv2.circle(small, (x, y), int(reach * one), colour, cv2.FILLED, cv2.LINE_AA, shift=4)
        elif kind == "boxes":
            wide, high = int(reach * one), int((0.05 + 0.25 * h) * one)
            start, end = (x - wide, y - high), (x + wide, y + high)
            cv2.rectangle(small, start, end, colour, cv2.FILLED, cv2.LINE_AA, shift=4)
        else:
            end = (y - one // 2, 2 * x - one // 2)
            thick = max(1, round(reach * 0.3 * size))
            cv2.line(small, (x, y), end, colour, thick, cv2.LINE_AA, shift=4)
    large = cv2.resize(small, (canvas.size, canvas.size))
    np.multiply(large.transpose(2, 0, 1), np.float32(1 / 255), out=canvas.layers[:3])


_RAMPS = {n: ((np.arange(n) + 0.5) / n).astype(np.float32) for n in (40, 64)}


def muted(rng: np.random.Generator) -> Floats:
    """A colour of walls, cloth and things: any brightness, seldom vivid."""
    vivid = rng.random() ** 2.5
    result: Floats = (rng.uniform(0.05, 0.95) * (1 - vivid * rng.random(3))).astype(np.float32)
    return result


def crop(texture: Floats, rng: np.random.Generator, size: int, part: int = 128) -> Floats:
    """A random square of a texture, at the size of the image."""
    y, x = rng.integers(0, texture.shape[0] - part, 2)
    if size == part:
        return texture[y : y + part, x : x + part]
    return cast(Floats, cv2.resize(texture[y : y + part, x : x + part], (size, size)))
