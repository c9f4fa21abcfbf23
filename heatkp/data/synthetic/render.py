"""Painting a posed head: skin, eyes, brows, nose, mouth, beard."""

from __future__ import annotations

import cv2
import numpy as np

from heatkp.data.synthetic.canvas import CIRCLE, Canvas, ribbon, taper
from heatkp.data.synthetic.look import Look
from heatkp.data.synthetic.model import Floats, Traits
from heatkp.data.synthetic.shape import COLUMNS, FIRST_JAW, STEPS, Head, spline

LID, LIP, LIP_INNER = spline(4, 6), spline(7, 5), spline(5, 5)
BROW = spline(5, 5)
_DARK = np.float32((0.06, 0.03, 0.03))
_TOOTH = np.float32((0.90, 0.87, 0.80))

RIGHT_EYE, LEFT_EYE = (36, 37, 38, 39, 40, 41), (45, 44, 43, 42, 47, 46)
RIGHT_BROW, LEFT_BROW = (17, 18, 19, 20, 21), (26, 25, 24, 23, 22)


class Painter:
    """What the strokes need to know: the canvas, the head and its points in the image."""

    def __init__(self, canvas: Canvas, head: Head, look: Look, traits: Traits) -> None:
        self.canvas, self.head, self.look, self.traits = canvas, head, look, traits
        self.points = head.image(head.points).astype(np.float32)
        self.unit = float(np.hypot(head.place[0, 0], head.place[1, 0]))
        """One unit of the head frame, as a fraction of the image."""
        self.outline = head.image(head.outline).astype(np.float32)
        self.nose = self._nose_over_cheek()
        self.shadow = look.skin * np.float32((0.55, 0.42, 0.38))

    def curve(self, weights: Floats, indices: tuple[int, ...] | list[int]) -> Floats:
        """A smooth curve (N, 2) through labelled points."""
        result: Floats = weights @ self.points[list(indices)]
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
        return head.image(np.concatenate([edge, ridge[::-1]])).astype(np.float32)


def face_polygons(p: Painter) -> list[Floats]:
    """The skin's outline from crown to chin and what sticks out beyond it."""
    polygons = [np.concatenate([p.outline[0], p.outline[1, ::-1]])]
    if p.nose is not None:
        polygons.append(p.nose)
    return polygons


def paint_skin(p: Painter, clouds: Floats) -> None:
    """Skin with its unevenness. `clouds` is smooth noise (S, S)."""
    canvas, look = p.canvas, p.look
    polygons = face_polygons(p)
    box = canvas.box(polygons)
    cover = canvas.cover(polygons, box)
    x0, y0, x1, y1 = box
    canvas.surface(box, cover, 1.0)
    canvas.dim(box, cover * clouds[y0:y1, x0:x1], 0.018)
    canvas.lay(box, cover, look.skin)
    red = look.skin * np.float32((1.0, 0.80, 0.80))
    for at in (-0.85, 0.85):
        if p.traits.yaw * at < 15 or abs(p.traits.yaw) < 25:
            cheek = p.surface(CIRCLE * np.float32((0.34, 0.28)) + np.float32((at, 0.82)))
            canvas.fill(cheek, red, look.blush * 0.8, soft=0.14 * p.unit)
    tip = p.surface(CIRCLE * np.float32((0.16, 0.12)) + np.float32((0, 0.85)))
    canvas.fill(tip, red, 0.3, soft=0.08 * p.unit)


def paint_freckles(p: Painter, rng: np.random.Generator) -> None:
    """Small brown dots over nose and cheeks."""
    places = rng.normal((0.0, 0.7), (0.6, 0.25), (24, 2)).astype(np.float32)
    centres = p.surface(places)
    dots = [c + CIRCLE[::4] * np.float32(0.028 * p.unit) for c in centres]
    p.canvas.fill(dots, p.shadow, p.look.freckles)


def paint_eye(p: Painter, indices: tuple[int, ...], side: int) -> None:
    """Sclera, iris, lids and lashes of the eye on one side (-1: image-left)."""
    canvas, look, unit = p.canvas, p.look, p.unit
    upper = p.curve(LID, indices[:4])
    lower = p.curve(LID, [indices[3], indices[4], indices[5], indices[0]])
    eye = np.concatenate([upper, lower[1:-1]])
    corners = p.points[[indices[0], indices[3]]]
    middle = corners.mean(0)
    up = np.float32((p.head.place[0, 1], p.head.place[1, 1])) * -1
    across = p.head.place[:, 0]

    canvas.fill(middle + (CIRCLE @ np.stack([across * 0.42, up * 0.30])), None, soft=0.1 * unit, dim=0.13)
    box = canvas.box([eye], 0.02 * unit)
    x0, y0, x1, y1 = box
    if x1 > x0:
        cover = canvas.cover([eye], box)
        if p.nose is not None:
            cover *= 1 - canvas.cover([p.nose], box)
        canvas.lay(box, cover, (0.87, 0.84, 0.81))
        turn = p.head.turn
        right, down = p.head.image(turn[:, 0] * 1.0) - p.head.place[:, 2], -up
        size = 0.16
        gaze = look.gaze + np.float32((0.06 * np.sin(np.deg2rad(-p.traits.yaw)), -0.02))
        centre = middle + gaze[0] * right + gaze[1] * down + 0.02 * up
        disc = CIRCLE @ np.stack([right, down * np.float32(turn[1, 1])])
        canvas.lay(box, cover * canvas.cover([centre + disc * size], box), look.iris * 0.55)
        canvas.lay(box, cover * canvas.cover([centre + disc * (size * 0.78)], box), look.iris * 1.25)
        canvas.lay(box, cover * canvas.cover([centre + disc * (size * 0.42)], box), (0.02, 0.02, 0.02))
        # the upper lid and its lashes shade the top of the eyeball
        shade = ribbon(upper, 0.11 * unit)
        canvas.lay(box, cover * canvas.blur(canvas.cover([shade], box), 0.03 * unit) * 0.6, _DARK)
        spark = centre + up * 0.06 + across * (0.06 if look.light[0] > 0 else -0.06)
        canvas.lay(box, cover * canvas.cover([spark + CIRCLE * (0.038 * unit)], box), (1, 1, 1))
    lash = 0.5 + 0.5 * (look.brow.mean() < 0.3)
    canvas.fill(ribbon(upper, 0.055 * unit * taper(len(upper), 0.35)), _DARK, 0.75 * lash + 0.1)
    canvas.fill(ribbon(lower, 0.03 * unit * taper(len(lower))), p.shadow, 0.6)
    fold = upper + up * (0.075 + 0.03 * taper(len(upper))[:, None])
    canvas.fill(ribbon(fold[:-2], 0.035 * unit * taper(len(fold) - 2)), p.shadow, 0.55, soft=0.01 * unit)
    bag = lower + up * -0.10
    canvas.fill(ribbon(bag, 0.05 * unit * taper(len(bag))), p.shadow, 0.22, soft=0.025 * unit)
    tear = corners[1] + CIRCLE * np.float32(0.035 * unit)
    canvas.fill(tear, p.look.lips * 0.8, 0.5)


def paint_brow(p: Painter, indices: tuple[int, ...], thickness: float) -> None:
    """A brow along its labelled line, from the outer end to the inner."""
    line = p.curve(BROW, indices)
    profile = np.interp(np.linspace(0, 1, len(line)), [0, 0.35, 0.85, 1], [0.35, 0.9, 1.15, 0.75])
    width = (profile * 0.135 * thickness * p.unit).astype(np.float32)
    hidden = p.head.hidden[list(indices)].mean()
    p.canvas.fill(ribbon(line, width * 1.25), p.look.brow, 0.38 * (1 - hidden), soft=0.025 * p.unit)
    p.canvas.fill(ribbon(line, width * 0.85), p.look.brow, 0.62 * (1 - hidden), soft=0.008 * p.unit)


def paint_nose(p: Painter) -> None:
    """Nostrils, wings, the lower edge and, when turned, the profile before the cheek."""
    canvas, unit, yaw = p.canvas, p.unit, p.traits.yaw
    base = p.curve(BROW, (31, 32, 33, 34, 35))
    canvas.fill(ribbon(base, 0.09 * unit * taper(len(base))), p.shadow, 0.5, soft=0.035 * unit)
    open_up = float(np.clip(0.55 + p.traits.pitch / 25, 0.25, 1.2))
    across, down = p.head.place[:, 0], p.head.place[:, 1]
    for near, far, side in ((31, 32, -1), (35, 34, 1)):
        turned = float(np.clip(1 - side * yaw / 40, 0.0, 1.3))
        if turned < 0.15:
            continue
        centre = 0.35 * p.points[near] + 0.65 * p.points[far] - 0.055 * down
        shape = np.stack([across * 0.09 * min(turned, 1.0), down * (0.05 * open_up)])
        canvas.fill(centre + CIRCLE @ shape, _DARK + p.look.skin * 0.12, 0.8, soft=0.012 * unit)
        first, second = (70, 71) if side < 0 else (75, 74)
        wing = np.stack([p.points[first], p.points[second], p.points[near]])
        wing = spline(3, 5) @ wing
        canvas.fill(ribbon(wing, 0.05 * unit * taper(len(wing))), p.shadow, 0.55 * min(turned, 1), soft=0.015 * unit)
    if p.nose is not None:
        edge = p.nose[: len(p.nose) // 2]
        canvas.fill(ribbon(edge, 0.035 * unit * taper(len(edge))), p.shadow, 0.5, soft=0.012 * unit)


def lip_polygons(p: Painter) -> tuple[Floats, Floats, Floats, Floats]:
    """Upper and lower outer edge, upper and lower inner edge, each from image-left to right."""
    upper = p.curve(LIP, range_(48, 55))
    lower = p.curve(LIP, [48, 59, 58, 57, 56, 55, 54])
    inner_upper = p.curve(LIP_INNER, range_(60, 65))
    inner_lower = p.curve(LIP_INNER, [60, 67, 66, 65, 64])
    return upper, lower, inner_upper, inner_lower


def range_(first: int, last: int) -> list[int]:
    """The indices first to last - 1."""
    return list(range(first, last))


def paint_mouth(p: Painter) -> None:
    """Lips in two tones and, between them, teeth, tongue and the dark."""
    canvas, look, unit, traits = p.canvas, p.look, p.unit, p.traits
    upper, lower, inner_upper, inner_lower = lip_polygons(p)
    down = p.head.place[:, 1]
    canvas.fill(np.concatenate([upper, lower[::-1]]), look.lips)
    canvas.fill(np.concatenate([upper, inner_upper[::-1]]), look.lips * 0.80)
    box = canvas.box([upper, lower], 0.02)
    if box[2] > box[0]:
        hole = canvas.cover([np.concatenate([inner_upper, inner_lower[::-1]])], box)
        canvas.lay(box, hole, (0.17, 0.06, 0.06))
        gap = float(np.hypot(*(p.points[66] - p.points[62]))) / unit
        if gap > 0.04:
            drop = min(0.17, 0.06 + gap * 0.6)
            teeth = np.concatenate([inner_upper, inner_upper[::-1] + down * drop])
            canvas.lay(box, hole * canvas.blur(canvas.cover([teeth], box), 0.008 * unit), _TOOTH)
            ends = canvas.cover([c + CIRCLE * (0.12 * unit) for c in p.points[[60, 64]]], box)
            canvas.lay(box, hole * canvas.blur(ends, 0.05 * unit) * 0.8, (0.15, 0.05, 0.05))
        if gap > 0.3:
            tongue = np.concatenate([inner_lower[3:-3], inner_lower[-4:2:-1] - down * 0.16])
            canvas.lay(box, hole * canvas.blur(canvas.cover([tongue], box), 0.02 * unit) * 0.8, (0.62, 0.30, 0.29))
    line = (inner_upper + inner_lower) / 2
    if traits.open + traits.grin < 0.1:
        canvas.fill(ribbon(line, 0.04 * unit * taper(len(line), 0.3)), _DARK + look.lips * 0.25, 0.75)
    for corner in (48, 54):
        canvas.fill(p.points[corner] + CIRCLE * (0.035 * unit), p.shadow, 0.6, soft=0.02 * unit)
    shine = (lower * 0.55 + p.curve(LIP, [60, 60, 67, 66, 65, 64, 64]) * 0.45)[9:-9]
    canvas.fill(ribbon(shine, 0.05 * unit * taper(len(shine))), np.minimum(look.lips * 1.35 + 0.06, 1), 0.45, soft=0.015 * unit)
    below = lower[6:-6] + down * 0.09
    canvas.fill(ribbon(below, 0.09 * unit * taper(len(below))), p.shadow, 0.32, soft=0.04 * unit)


def paint_folds(p: Painter) -> None:
    """Lines from nose to mouth corners, deeper in a smile."""
    strength = 0.16 + 0.4 * max(p.traits.smile, 0)
    for side, wing, corner in ((-1, 31, 48), (1, 35, 54)):
        if side * p.traits.yaw > 28:
            continue
        across, down = p.head.place[:, 0] * side, p.head.place[:, 1]
        line = np.stack(
            [
                p.points[wing] + across * 0.13 - down * 0.10,
                (p.points[wing] + p.points[corner]) / 2 + across * 0.17 - down * 0.02,
                p.points[corner] + across * 0.13 + down * 0.04,
            ]
        )
        line = spline(3, 6) @ line
        p.canvas.fill(ribbon(line, 0.07 * p.unit * taper(len(line))), p.shadow, strength, soft=0.03 * p.unit)


def paint_beard(p: Painter) -> None:
    """Stubble or beard; the mouth is painted over it."""
    kind, strength = p.look.beard, p.look.beard_strength
    if kind == "none":
        return
    x_mouth, y_mouth = 0.62, float(p.head.surface.bumps[17, 1])
    y_nose = float(p.head.surface.bumps[3, 1]) + 0.28
    colour = p.look.hair * 0.85
    soft = 0.05 * p.unit
    if kind in ("moustache", "full", "goatee", "stubble"):
        top = [(-x_mouth, y_mouth + 0.05), (-0.42, y_nose + 0.13), (0, y_nose + 0.05)]
        under = [(0.0, y_mouth - 0.1), (-0.45, y_mouth - 0.02)]
        half = np.array([*top, *under], np.float32)
        whole = np.concatenate([half[:3], half[1::-1] * (-1, 1), half[:2:-1] * (-1, 1), half[3:]])
        p.canvas.fill(p.surface(whole.astype(np.float32)), colour, strength * 0.9, soft=soft)
    if kind in ("full", "stubble"):
        start = FIRST_JAW + 2 * STEPS
        left, right = p.outline[0, start:], p.outline[1, start:]
        y0 = float(p.head.surface.rows[start, 0])
        edge = p.surface([(1.15, y0 + 0.35), (0.85, y_mouth - 0.15), (0.66, y_mouth + 0.05)])
        edge_left = p.surface([(-0.66, y_mouth + 0.05), (-0.85, y_mouth - 0.15), (-1.15, y0 + 0.35)])
        chin = p.surface([(0.45, y_mouth + 0.24), (-0.45, y_mouth + 0.24)])
        polygon = np.concatenate([left, right[::-1], edge, chin, edge_left])
        p.canvas.fill(polygon, colour, strength, soft=soft)
    if kind == "goatee":
        y_chin = float(p.head.surface.rows[-1, 0])
        ring = CIRCLE * np.float32((0.5, (y_chin - y_mouth - 0.2) / 2))
        ring = ring + np.float32((0, (y_chin + y_mouth + 0.26) / 2))
        p.canvas.fill(p.surface(ring), colour, strength, soft=soft)


def paint_features(p: Painter, thickness: float) -> None:
    """All of the face in the order in which it lies."""
    paint_beard(p)
    paint_folds(p)
    paint_nose(p)
    paint_mouth(p)
    far_first = ((LEFT_EYE, 1), (RIGHT_EYE, -1)) if p.traits.yaw > 0 else ((RIGHT_EYE, -1), (LEFT_EYE, 1))
    for eye, side in far_first:
        paint_eye(p, eye, side)
    for brow in (RIGHT_BROW, LEFT_BROW):
        paint_brow(p, brow, thickness)


def to_size(layer: Floats, size: int) -> Floats:
    """A square map at another size."""
    if layer.shape[0] == size:
        return layer
    result: Floats = cv2.resize(layer, (size, size), interpolation=cv2.INTER_LINEAR)
    return result
