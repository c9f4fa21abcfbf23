"""Painting a posed head: skin, eyes, brows, nose, mouth, beard."""

from __future__ import annotations

import cv2
import numpy as np

from heatkp.data.synthetic.canvas import CIRCLE, Canvas, ribbon, taper
from heatkp.data.synthetic.look import Look
from heatkp.data.synthetic.model import Floats, Traits, floats
from heatkp.data.synthetic.shape import COLUMNS, FIRST_JAW, STEPS, Head, spline

LID, LIP, LIP_INNER = spline(4, 4), spline(7, 4), spline(5, 4)
BROW, THREE = spline(5, 4), spline(3, 4)
_BROW_PROFILE = np.interp(
    np.linspace(0, 1, 17), [0, 0.35, 0.85, 1], [0.05, 0.12, 0.155, 0.10]
).astype(np.float32)
_DARK = floats((0.06, 0.03, 0.03))
_TOOTH = floats((0.90, 0.87, 0.80))

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
        self.right = head.place[:, :2] @ head.turn[:2, 0]
        """One unit across the face as the image shows it: shorter the more it is turned."""
        self.down = head.place[:, :2] @ head.turn[:2, 1]
        """One unit down the face."""
        self.circle: Floats = CIRCLE[::2] @ np.stack([self.right, self.down])
        """A disc of radius 1 in the plane of the face (12, 2)."""
        self.nose = self._nose_over_cheek()
        self.shadow = look.skin * floats((0.55, 0.42, 0.38))

    def curve(self, weights: Floats, indices: tuple[int, ...] | list[int]) -> Floats:
        """A smooth curve (N, 2) through labelled points."""
        result: Floats = weights @ self.points[list(indices)]
        return result

    def disc(self, centre: Floats, rx: float, ry: float) -> Floats:
        """An ellipse (24, 2) that lies in the plane of the face."""
        axes = np.stack([self.right * np.float32(rx), self.down * np.float32(ry)])
        result: Floats = centre + CIRCLE @ axes
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
    if box is None:
        return
    cover = canvas.cover(polygons, box)
    x0, y0, x1, y1 = box
    canvas.surface(box, cover, 1.0)
    canvas.dim(box, cover * clouds[y0:y1, x0:x1], 0.018)
    canvas.lay(box, cover, look.skin)
    red = look.skin * floats((1.0, 0.80, 0.80))
    cheeks = [
        p.disc((p.points[corner] + p.points[lid] + p.points[jaw]) / 3, 0.34, 0.28)
        for corner, lid, jaw, side in ((48, 41, 2, -1), (54, 46, 14, 1))
        if side * p.traits.yaw < 25
    ]
    canvas.fill(cheeks, red, look.blush * 0.8, soft=0.14 * p.unit)
    canvas.fill(p.disc((p.points[30] + p.points[33]) / 2, 0.17, 0.14), red, 0.3, soft=0.08 * p.unit)


def paint_freckles(p: Painter, rng: np.random.Generator) -> None:
    """Small brown dots over nose and cheeks."""
    places = rng.normal((0.0, 0.7), (0.6, 0.25), (24, 2)).astype(np.float32)
    centres = p.surface(places)
    dots = [c + CIRCLE[::4] * np.float32(0.028 * p.unit) for c in centres]
    p.canvas.fill(dots, p.shadow, p.look.freckles)


def eye_polygon(p: Painter, indices: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Upper lid from the outer corner in, lower lid from the inner corner out."""
    return p.curve(LID, indices[:4]), p.curve(LID, (indices[3], *indices[4:], indices[0]))


def paint_eyes(p: Painter) -> None:
    """Sclera, iris, lids and lashes."""
    canvas, unit = p.canvas, p.unit
    lids = [eye_polygon(p, indices) for indices in (RIGHT_EYE, LEFT_EYE)]
    eyes = [np.concatenate([upper, lower[1:-1]]) for upper, lower in lids]
    middles = [(upper[0] + upper[-1]) / 2 for upper, _ in lids]
    box = canvas.box(eyes)
    if box is not None:
        cover = canvas.cover(eyes, box)
        if p.nose is not None:
            cover *= 1 - canvas.cover(p.nose, box)
        canvas.patch(box, cover, (0.86, 0.83, 0.80), _eyeballs(p, lids, middles))
    thin, full = taper(len(LID)), taper(len(LID), 0.35)
    canvas.fill([ribbon(u, 0.05 * unit * full) for u, _ in lids], _DARK, 0.85)
    rise = (0.075 + 0.035 * thin)[:, None] * p.down
    creases = [ribbon((u - rise)[:-2], 0.04 * unit * thin[2:]) for u, _ in lids]
    rims = [ribbon(w, 0.03 * unit * thin) for _, w in lids]
    canvas.fill([*creases, *rims], p.shadow, 0.55)


def _eyeballs(
    p: Painter, lids: list[tuple[Floats, Floats]], middles: list[Floats]
) -> list[tuple[Floats, Floats | tuple[float, float, float]]]:
    """What is seen between the lids, back to front."""
    look, unit = p.look, p.unit
    parts: list[tuple[Floats, Floats | tuple[float, float, float]]] = []
    glance = look.gaze + floats((-0.06 * p.head.turn[0, 2], 0.0))
    toward = 0.055 if look.light[0] > 0 else -0.055
    pupil = floats((0.02, 0.02, 0.02))
    rim, inner = look.iris * np.float32(0.5), look.iris * np.float32(1.1)
    irises = ((0.165, rim), (0.13, inner), (0.07, pupil))
    for (upper, _), middle in zip(lids, middles):
        centre = middle + glance[0] * p.right + (glance[1] - 0.02) * p.down
        tear = upper[-1] + CIRCLE * np.float32(0.06 * unit)
        parts.append((tear, look.lips * np.float32(0.9)))
        # the upper lid and its lashes shade the top of the eyeball
        parts.append((ribbon(upper, 0.11 * unit), (0.60, 0.55, 0.52)))
        for radius, colour in irises:
            parts.append((centre + p.circle * np.float32(radius), colour))
        spark = centre - 0.055 * p.down + p.right * np.float32(toward)
        parts.append((spark + p.circle * np.float32(0.036), (1.0, 1.0, 1.0)))
    return parts


def paint_brows(p: Painter, thickness: float) -> None:
    """Brows along their labelled lines, from the outer ends to the inner."""
    brows = []
    for indices in (RIGHT_BROW, LEFT_BROW):
        line = p.curve(BROW, indices)
        width = _BROW_PROFILE * np.float32(thickness * p.unit)
        share = np.float32(1 - p.head.hidden[list(indices)].mean())
        brows.append(ribbon(line, width * share))
    p.canvas.fill(brows, p.look.brow, 0.78, soft=0.02 * p.unit)


def paint_nose(p: Painter) -> None:
    """Nostrils, wings, the lower edge and, when turned, the profile before the cheek."""
    canvas, unit, yaw = p.canvas, p.unit, p.traits.yaw
    base = p.curve(BROW, (31, 32, 33, 34, 35))
    wings, holes = [ribbon(base, 0.08 * unit * taper(len(base)))], []
    open_up = min(max(0.55 + p.traits.pitch / 25, 0.25), 1.2)
    for near, far, side, first, second in ((31, 32, -1, 70, 71), (35, 34, 1, 75, 74)):
        turned = min(max(1 - side * yaw / 40, 0.0), 1.0)
        if turned < 0.15:
            continue
        centre = 0.35 * p.points[near] + 0.65 * p.points[far] - 0.055 * p.down
        holes.append(p.disc(centre, 0.09 * turned, 0.05 * open_up))
        wing = THREE @ p.points[[first, second, near]]
        wings.append(ribbon(wing, 0.05 * turned * unit * taper(len(wing))))
    canvas.fill(wings, p.shadow, 0.5, soft=0.018 * unit)
    canvas.fill(holes, _DARK + p.look.skin * 0.12, 0.8, soft=0.012 * unit)
    if p.nose is not None:
        edge = p.nose[: len(p.nose) // 2]
        canvas.fill(ribbon(edge, 0.035 * unit * taper(len(edge))), p.shadow, 0.5, soft=0.012 * unit)


def lip_curves(p: Painter) -> tuple[Floats, Floats, Floats, Floats]:
    """Upper and lower outer edge, upper and lower inner edge, each from image-left to right."""
    return (
        p.curve(LIP, (48, 49, 50, 51, 52, 53, 54)),
        p.curve(LIP, (48, 59, 58, 57, 56, 55, 54)),
        p.curve(LIP_INNER, (60, 61, 62, 63, 64)),
        p.curve(LIP_INNER, (60, 67, 66, 65, 64)),
    )


def paint_mouth(p: Painter) -> None:
    """Lips in two tones and, between them, teeth, tongue and the dark."""
    canvas, look, unit = p.canvas, p.look, p.unit
    upper, lower, inner_upper, inner_lower = lip_curves(p)
    below = lower[6:-6] + p.down * np.float32(0.10)
    corners = [p.points[c] + CIRCLE * np.float32(0.05 * unit) for c in (48, 54)]
    under = ribbon(below, 0.10 * unit * taper(len(below)))
    canvas.fill([under, *corners], p.shadow, 0.35, soft=0.04 * unit)
    outer = np.concatenate([upper, lower[::-1]])
    box = canvas.box(outer)
    if box is None:
        return
    gap = float(np.hypot(*(p.points[66] - p.points[62]))) / unit
    dark = floats((0.17, 0.06, 0.06)) if gap > 0.04 else look.lips * np.float32(0.35)
    parts: list[tuple[Floats, Floats | tuple[float, float, float]]] = []
    parts.append((np.concatenate([inner_upper, inner_lower[::-1]]), dark))
    if gap > 0.3:
        parts.append((p.disc(p.points[66] - 0.05 * p.down, 0.3, 0.12), (0.62, 0.30, 0.29)))
    if gap > 0.04:
        # the teeth hang from behind the upper lip and fade towards the corners
        drop = min(0.17, 0.06 + gap * 0.6) * p.down
        hang = taper(len(inner_upper), 0.5)[:, None] * drop
        for cut, tooth in ((0, 0.6), (2, 0.8), (4, 1.0)):
            edge = inner_upper[cut : len(hang) - cut]
            tips = edge + hang[cut : len(hang) - cut]
            parts.append((np.concatenate([edge, tips[::-1]]), _TOOTH * np.float32(tooth)))
    # lips last: they hide what lies behind them
    parts.append((np.concatenate([upper, inner_upper[::-1]]), look.lips * np.float32(0.80)))
    parts.append((np.concatenate([lower, inner_lower[::-1]]), look.lips))
    if gap <= 0.04:
        line = ((inner_upper + inner_lower) * 0.5).astype(np.float32)
        parts.append((ribbon(line, 0.04 * unit * taper(len(line), 0.3)), dark))
    canvas.patch(box, canvas.cover(outer, box), look.lips, parts)
    shine = lower[9:-9] - p.down * np.float32(0.09)
    canvas.fill(
        ribbon(shine, 0.05 * unit * taper(len(shine))),
        np.minimum(look.lips * 1.35 + 0.06, 1),
        0.4,
        soft=0.015 * unit,
    )


def paint_folds(p: Painter) -> None:
    """Lines from nose to mouth corners, deeper in a smile."""
    strength = 0.16 + 0.4 * max(p.traits.smile, 0)
    folds = []
    for side, wing, corner in ((-1, 31, 48), (1, 35, 54)):
        if side * p.traits.yaw > 28:
            continue
        across, start, end = p.right * np.float32(side), p.points[wing], p.points[corner]
        middle = (start + end) / 2 + across * 0.17 - p.down * 0.02
        start = start + across * 0.13 - p.down * 0.10
        line = THREE @ np.stack([start, middle, end + across * 0.13 + p.down * 0.04])
        folds.append(ribbon(line, 0.07 * p.unit * taper(len(line))))
    p.canvas.fill(folds, p.shadow, strength, soft=0.03 * p.unit)


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
        half = floats([(1.15, y0 + 0.35), (0.85, y_mouth - 0.15), (0.66, y_mouth + 0.05)])
        half = np.concatenate([half, floats([(0.45, y_mouth + 0.24)])])
        inner = p.surface(np.concatenate([half, half[::-1] * floats((-1, 1))]))
        polygon = np.concatenate([left, right[::-1], inner])
        p.canvas.fill(polygon, colour, strength, soft=soft)
    if kind == "goatee":
        y_chin = float(p.head.surface.rows[-1, 0])
        ring = CIRCLE * floats((0.5, (y_chin - y_mouth - 0.2) / 2))
        ring = ring + floats((0, (y_chin + y_mouth + 0.26) / 2))
        p.canvas.fill(p.surface(ring), colour, strength, soft=soft)


def paint_features(p: Painter, thickness: float) -> None:
    """All of the face in the order in which it lies."""
    paint_beard(p)
    paint_folds(p)
    paint_nose(p)
    paint_mouth(p)
    paint_eyes(p)
    paint_brows(p, thickness)


def to_size(layer: Floats, size: int) -> Floats:
    """A square map at another size."""
    if layer.shape[0] == size:
        return layer
    result: Floats = cv2.resize(layer, (size, size), interpolation=cv2.INTER_LINEAR)
    return result
