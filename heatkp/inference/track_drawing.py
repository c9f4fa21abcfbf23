"""Tracks drawn on frames: each in its colour, with its number and where it came from."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import pairwise

import cv2
import numpy as np

from heatkp.data.samples import Image
from heatkp.inference.keypoints import Array, Keypoints

COLOURS = (
    (255, 176, 0), (86, 180, 233), (240, 80, 160), (0, 200, 130), (240, 228, 66), (213, 94, 0),
    (150, 120, 255), (255, 255, 255),
)  # fmt: skip
"""RGB of tracks 1, 2 and so on, and again; they can be told apart also without red or green."""
TRAIL = 50
"""Frames of which the path is shown."""
SMALL, ENLARGED = 640, 2
"""Frames with no side longer than that are enlarged so many times, for points to be told apart."""
_BITS = 4


def colour_of(track: int) -> tuple[int, int, int]:
    """RGB of a track, from 1."""
    return COLOURS[(track - 1) % len(COLOURS)]


def centre_of(found: Keypoints) -> Array | None:
    """The mean of an object's points, None where there is none."""
    finite = found.points[np.isfinite(found.points).all(1)]
    return finite.mean(0) if len(finite) else None


class TrackPen:
    """Draws the tracks of one video, frame after frame."""

    def __init__(self) -> None:
        self._trails: dict[int, deque[Array | None]] = {}

    def draw(self, image: Image, objects: Sequence[Keypoints]) -> Image:
        """A copy of a frame, uint8 (H, W, 3) RGB, with its objects; enlarged if it is small."""
        height, width = image.shape[:2]
        scale = ENLARGED if max(height, width) <= SMALL else 1
        canvas = np.ascontiguousarray(
            cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC)
            if scale > 1
            else image.copy(),
            np.uint8,
        )
        here = {o.track: centre_of(o) for o in objects if o.track is not None}
        for track in here:
            self._trails.setdefault(track, deque(maxlen=TRAIL))
        for track, trail in self._trails.items():
            trail.append(here.get(track))
        thin = max(1, round(max(canvas.shape) / 700))
        for track, trail in self._trails.items():
            _trail(canvas, trail, colour_of(track), scale, thin)
        for found in objects:
            _object(canvas, found, scale, thin)
        return canvas


def _at(point: Array, scale: int, limit: int) -> tuple[int, int]:
    """Fixed-point place of a point in an enlarged frame."""
    x, y = np.clip((point + 0.5) * scale - 0.5, -limit, limit)
    return round(float(x) * 2**_BITS), round(float(y) * 2**_BITS)


def _trail(
    canvas: Image,
    trail: Sequence[Array | None],
    colour: tuple[int, int, int],
    scale: int,
    thin: int,
) -> None:
    limit = 4 * max(canvas.shape)
    for age, (a, b) in enumerate(pairwise(trail)):
        if a is None or b is None:
            continue
        share = (age + 1) / len(trail)
        shade = tuple(int(c * (0.35 + 0.65 * share)) for c in colour)
        ends = _at(a, scale, limit), _at(b, scale, limit)
        cv2.line(canvas, *ends, shade, thin, cv2.LINE_AA, _BITS)


def _object(canvas: Image, found: Keypoints, scale: int, thin: int) -> None:
    finite = np.asarray(np.isfinite(found.points).all(1))
    if not finite.any():
        return
    limit = 4 * max(canvas.shape)
    colour = COLOURS[-1] if found.track is None else colour_of(found.track)
    places = [_at(p, scale, limit) if good else None for p, good in zip(found.points, finite)]
    for run in found.skeleton.lines:
        for a, b in pairwise(run):
            first, second = places[a], places[b]
            if first is not None and second is not None:
                cv2.line(canvas, first, second, colour, thin, cv2.LINE_AA, _BITS)
    for place in places:
        if place is not None:
            radius = round((1.2 + thin) * 2**_BITS)
            cv2.circle(canvas, place, radius, (0, 0, 0), cv2.FILLED, cv2.LINE_AA, _BITS)
            inner = round((0.4 + thin) * 2**_BITS)
            cv2.circle(canvas, place, inner, colour, cv2.FILLED, cv2.LINE_AA, _BITS)
    if found.track is not None:
        kept = found.points[finite]
        corner = (np.array([kept[:, 0].min(), kept[:, 1].min()]) + 0.5) * scale
        x, y = (int(v) for v in np.clip(corner - (0, 6), (2, 14), (limit, limit)))
        size = 0.5 * thin
        text = str(found.track)
        cv2.putText(canvas, text, (x, y), 0, size, (0, 0, 0), 3 * thin, cv2.LINE_AA)
        cv2.putText(canvas, text, (x, y), 0, size, colour, thin, cv2.LINE_AA)
