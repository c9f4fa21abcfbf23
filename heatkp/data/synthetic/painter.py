"""What all strokes share: the posed person, the canvas and the curves through the points."""

from __future__ import annotations

from itertools import accumulate
from typing import cast

import numpy as np

from heatkp.data.synthetic.canvas import CIRCLE, Canvas, taper
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


Name = tuple[int | str, ...]
"""The labelled points that a curve runs through, or what it is called and of which side."""

_RIGHT, _DOWN = COUNT, COUNT + 1  # the face's own axes come after its points
UPPER_LIP, LOWER_LIP = (48, 49, 50, 51, 52, 53, 54), (48, 59, 58, 57, 56, 55, 54)
INNER_UPPER, INNER_LOWER = (60, 61, 62, 63, 64), (60, 67, 66, 65, 64)


def _mix(*terms: tuple[int, float]) -> Floats:
    """A place as a weighted sum of points and axes (80,)."""
    row = np.zeros(COUNT + 2, np.float32)
    for index, weight in terms:
        row[index] += weight
    return row


def _through(points: tuple[int, ...]) -> Floats:
    return np.stack([_mix((point, 1.0)) for point in points])


def _curves() -> dict[Name, Floats]:
    """Every line and place whose weights are always the same, as rows (N, 80)."""
    down = _mix((_DOWN, 1.0))
    crease = (0.075 + 0.035 * taper(len(LID)))[:, None] * down
    rows: dict[Name, Floats] = {}
    for eye in (RIGHT_EYE, LEFT_EYE):
        upper = rows[eye[:4]] = LID @ _through(eye[:4])
        lower = rows[lower_lid(eye)] = LID @ _through(lower_lid(eye))
        rows[("eye", *eye)] = np.concatenate([upper, lower[1:-1]])
        rows[("crease", *eye)] = (upper - crease)[:-2]
        rows[("middle", *eye)] = (upper[:1] + upper[-1:]) * np.float32(0.5)
    upper = rows[UPPER_LIP] = LIP @ _through(UPPER_LIP)
    lower = rows[LOWER_LIP] = LIP @ _through(LOWER_LIP)
    inner_upper = rows[INNER_UPPER] = LIP_INNER @ _through(INNER_UPPER)
    inner_lower = rows[INNER_LOWER] = LIP_INNER @ _through(INNER_LOWER)
    rows["outer",] = np.concatenate([upper, lower[::-1]])
    rows["inner",] = np.concatenate([inner_upper, inner_lower[::-1]])
    rows["upper lip",] = np.concatenate([upper, inner_upper[::-1]])
    rows["lower lip",] = np.concatenate([lower, inner_lower[::-1]])
    rows["closed",] = (inner_upper + inner_lower) * np.float32(0.5)
    rows["gloss",] = lower[9:-9] - np.float32(0.09) * down
    rows["under lip",] = lower[6:-6] + np.float32(0.10) * down
    for line in (RIGHT_BROW, LEFT_BROW, NOSE_BASE):
        rows[line] = BROW @ _through(line)
    rows["tip",] = _mix((30, 0.5), (33, 0.5))[None]
    for side, wing, base, ala, corner, lid, jaw in (
        (-1, 31, 32, (70, 71, 31), 48, 41, 2),
        (1, 35, 34, (75, 74, 35), 54, 46, 14),
    ):
        fold = (
            _mix((wing, 1), (_RIGHT, 0.13 * side), (_DOWN, -0.10)),
            _mix((wing, 0.5), (corner, 0.5), (_RIGHT, 0.17 * side), (_DOWN, -0.02)),
            _mix((corner, 1), (_RIGHT, 0.13 * side), (_DOWN, 0.04)),
        )
        rows["fold", side] = THREE @ np.stack(fold)
        rows["wing", side] = THREE @ _through(ala)
        rows["hole", side] = _mix((wing, 0.35), (base, 0.65), (_DOWN, -0.055))[None]
        rows["cheek", side] = _mix((corner, 1 / 3), (lid, 1 / 3), (jaw, 1 / 3))[None]
    return rows


_CURVES = _curves()
_CURVE_WEIGHTS = np.concatenate(list(_CURVES.values()))
_ENDS = list(accumulate(map(len, _CURVES.values())))
_CURVE_PLACES = {name: slice(a, b) for name, a, b in zip(_CURVES, [0, *_ENDS], _ENDS)}


class Painter:
    """What the strokes need to know: the canvas, the head and its points in the image."""

    def __init__(self, canvas: Canvas, head: Head, look: Look, traits: Traits) -> None:
        self.canvas, self.head, self.look, self.traits = canvas, head, look, traits
        self.points = head.image(head.points)
        self.unit = float(np.hypot(head.place[0, 0], head.place[1, 0]))
        """One unit of the head frame, as a fraction of the image."""
        self.outline = head.image(head.outline)
        self.right = head.place[:, :2] @ head.turn[:2, 0]
        """One unit across the face as the image shows it: shorter the more it is turned."""
        self.down = head.place[:, :2] @ head.turn[:2, 1]
        """One unit down the face."""
        self.axes = floats([self.right, self.down])
        self.circle: Floats = np.matmul(CIRCLE[::2], self.axes)
        """A disc of radius 1 in the plane of the face (12, 2)."""
        # one matrix product samples all curves at once
        controls = np.concatenate([self.points, self.axes])
        self._curves: Floats = np.matmul(_CURVE_WEIGHTS, controls)
        self.cap: list[Floats] = []
        """The outlines of the hair on the skull, once they are known."""
        self.nose = self._nose_over_cheek()
        self.shadow = look.skin * floats((0.55, 0.42, 0.38))

    def curve(self, *name: int | str) -> Floats:
        """A curve (N, 2) that follows from the points: see `_curves`."""
        return self._curves[_CURVE_PLACES[name]]

    def disc(self, centre: Floats, rx: float, ry: float) -> Floats:
        """An ellipse (24, 2) that lies in the plane of the face."""
        return cast(Floats, centre + (CIRCLE * floats((rx, ry))) @ self.axes)

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
