"""A suspected object with its labels and what a network found instead, as an image."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.data.samples import Image
from heatkp.data.transforms import warp

SIDE = 360
"""Pixels of the images' longer side."""
MARGIN = 1.5
"""Enlargement of the box around what is shown."""
CLOSER = 3.0
"""Times the size of what is wrong that is shown around it, where that is little of the object."""
LABEL, FOUND, LINK = (61, 220, 90), (255, 45, 120), (255, 255, 255)
"""RGB of labels, of predictions, and of lines from one to the other."""
_BITS = 4
Array = npt.NDArray[np.float64]


def region(labels: Array, found: Array, points: Sequence[int]) -> Array:
    """Edges of what to show of an object: all of its points, or closer where few are wrong."""
    every = np.concatenate([labels, found])
    edges = _edges(every)
    wrong = _edges(np.concatenate([labels[list(points)], found[list(points)]]))
    if not np.isfinite(wrong).all():
        return edges
    side = float((wrong[2:] - wrong[:2]).max()) * CLOSER
    whole = float((edges[2:] - edges[:2]).max()) * MARGIN
    least = max(side, 0.25 * whole)
    if least >= whole:
        return _square(edges, whole)
    return _square(wrong, least)


def _edges(points: Array) -> Array:
    known = points[np.isfinite(points).all(1)]
    if not len(known):
        return np.full(4, np.nan)
    return np.concatenate([known.min(0) - 0.5, known.max(0) + 0.5])


def _square(edges: Array, side: float) -> Array:
    middle = (edges[:2] + edges[2:]) / 2
    half = max(side, 8.0) / 2
    return np.concatenate([middle - half, middle + half])


def draw(image: Image, labels: Array, found: Array, points: Sequence[int]) -> Image:
    """A square part of an image, uint8 (SIDE, SIDE, 3), with labels (K, 2) as green rings and what
    was found as pink dots; suspected points larger, numbered, with a line between the two."""
    matrix = co.box_to_frame(region(labels, found, points), SIDE, SIDE)
    canvas = np.array(warp(image, matrix, (SIDE, SIDE)))
    a, b = co.apply(matrix, labels), co.apply(matrix, found)
    wrong = set(points)
    for k in [k for k in range(len(a)) if k not in wrong] + list(points):
        large = k in wrong
        if large:
            _line(canvas, a[k], b[k])
        _dot(canvas, b[k], FOUND, 4 if large else 2, -1)
        _dot(canvas, a[k], LABEL, 6 if large else 3, 2 if large else 1)
    if len(wrong) <= 16:
        for k in points:
            _number(canvas, a[k], str(k))
    return canvas


def _place(point: Array) -> tuple[int, int] | None:
    """Where OpenCV draws, in 1/16 pixels; None for what is not there, or far outside."""
    if not (np.isfinite(point).all() and (np.abs(point) < 10 * SIDE).all()):
        return None
    x, y = np.round(point * 2**_BITS).astype(int).tolist()
    return x, y


def _dot(canvas: Image, point: Array, colour: tuple[int, ...], radius: int, width: int) -> None:
    place = _place(point)
    if place is not None:
        cv2.circle(canvas, place, radius << _BITS, colour, width, cv2.LINE_AA, _BITS)


def _line(canvas: Image, start: Array, end: Array) -> None:
    first, second = _place(start), _place(end)
    if first is not None and second is not None:
        cv2.line(canvas, first, second, LINK, 1, cv2.LINE_AA, _BITS)


def _number(canvas: Image, point: Array, text: str) -> None:
    place = _place(point)
    if place is None:
        return
    x, y = place[0] // 2**_BITS + 7, place[1] // 2**_BITS - 5
    for colour, width in (((0, 0, 0), 3), (LABEL, 1)):
        cv2.putText(
            canvas, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, width, cv2.LINE_AA
        )
