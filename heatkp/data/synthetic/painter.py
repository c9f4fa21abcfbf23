"""What all strokes share: the posed person, the canvas and the curves through the points."""

from __future__ import annotations

import numpy as np

from heatkp.data.synthetic.canvas import CIRCLE, Canvas
from heatkp.data.synthetic.look import Look
from heatkp.data.synthetic.model import COUNT, Floats, Traits, floats
from heatkp.data.synthetic.shape import COLUMNS, Head, spline

LID, LIP, LIP_INNER = spline(4, 4), spline(7, 4), spline(5, 4)
BROW, THREE = spline(5, 4), spline(3, 4)
RIGHT_EYE, LEFT_EYE = (36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46)
RIGHT_BROW, LEFT_BROW = (17, 18, 19, 20, 21), (26, 25, 24, 23, 22)
NOSE_BASE = (31, 32, 33, 34, 35)


def lower_lid(eye: tuple[int, ...]) -> tuple[int, ...]:
    """Points of the lower lid from the inner corner out."""
    return (eye[3], eye[4], eye[5], eye[0])


_CURVES: tuple[tuple[tuple[int, ...], Floats], ...] = (
    *((eye[:4], LID) for eye in (RIGHT_EYE, LEFT_EYE)),
    *((lower_lid(eye), LID) for eye in (RIGHT_EYE, LEFT_EYE)),
    ((48, 49, 50, 51, 52, 53, 54), LIP),
    ((48, 59, 58, 57, 56, 55, 54), LIP),
    ((60, 61, 62, 63, 64), LIP_INNER),
    ((60, 67, 66, 65, 64), LIP_INNER),
    *((line, BROW) for line in (RIGHT_BROW, LEFT_BROW, NOSE_BASE)),
)
"""Every curve that is painted: the points it runs through and its weights."""


def _all_curves() -> tuple[Floats, dict[tuple[int, ...], slice]]:
    # one matrix product samples all curves at once
    weights = np.zeros((sum(len(w) for _, w in _CURVES), COUNT), np.float32)
    places, row = {}, 0
    for through, own in _CURVES:
        places[through] = slice(row, row + len(own))
        weights[row : row + len(own), list(through)] = own
        row += len(own)
    return weights, places


_CURVE_WEIGHTS, _CURVE_PLACES = _all_curves()


class Painter:
    """What the strokes need to know: the canvas, the head and its points in the image."""

    def __init__(self, canvas: Canvas, head: Head, look: Look, traits: Traits) -> None:
        self.canvas, self.head, self.look, self.traits = canvas, head, look, traits
        self.points = head.image(head.points)
        self._curves: Floats = _CURVE_WEIGHTS @ self.points
        self.unit = float(np.hypot(head.place[0, 0], head.place[1, 0]))
        """One unit of the head frame, as a fraction of the image."""
        self.outline = head.image(head.outline)
        self.right = head.place[:, :2] @ head.turn[:2, 0]
        """One unit across the face as the image shows it: shorter the more it is turned."""
        self.down = head.place[:, :2] @ head.turn[:2, 1]
        """One unit down the face."""
        self.axes = floats([self.right, self.down])
        self.circle = floats(CIRCLE[::2] @ self.axes)
        """A disc of radius 1 in the plane of the face (12, 2)."""
        self.cap: list[Floats] = []
        """The outlines of the hair on the skull, once they are known."""
        self.nose = self._nose_over_cheek()
        self.shadow = look.skin * floats((0.55, 0.42, 0.38))

    def curve(self, indices: tuple[int, ...]) -> Floats:
        """The smooth curve (N, 2) of `_CURVES` through labelled points."""
        result: Floats = self._curves[_CURVE_PLACES[indices]]
        return result

    def disc(self, centre: Floats, rx: float, ry: float) -> Floats:
        """An ellipse (24, 2) that lies in the plane of the face."""
        result: Floats = centre + (CIRCLE * floats((rx, ry))) @ self.axes
        return result

    def surface(self, places: list[tuple[float, float]] | Floats, lift: float = 0.0) -> Floats:
        """Frontal places (N, 2) of the surface, in the image."""
        flat = np.asarray(places, np.float32)
        return self.head.image(self.head.on_surface(flat[:, 0], flat[:, 1], lift))

    def _nose_over_cheek(self) -> Floats | None:
        """The part of a turned nose that stands before the far cheek, or None."""
        head = self.head
        side = 1 if self.traits.yaw > 0 else -1
        y = head.surface.rows[:, 0]
        top = head.surface.bumps[0, 1] - 0.05
        rows = np.flatnonzero((y > top) & (y < head.surface.bumps[3, 1] + 0.24))
        middle = COLUMNS // 2
        span = 13
        half = (
            head.grid[rows, middle : middle + span]
            if side > 0
            else head.grid[rows, middle - 1 : middle - 1 - span : -1]
        )
        reach = side * half[:, :, 0]
        best = reach.argmax(1)
        over = (best > 0) & (best < span - 1)
        if over.sum() < 4:
            return None
        edge = half[np.arange(len(rows)), best][over]
        ridge = half[over, 0]
        return head.image(np.concatenate([edge, ridge[::-1]]))
