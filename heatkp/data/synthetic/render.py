"""Painting a posed head: skin, eyes, brows, nose, mouth, beard."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np

from heatkp.data.synthetic.canvas import CIRCLE, Colour, Part, ribbons, taper
from heatkp.data.synthetic.model import Floats, floats
from heatkp.data.synthetic.painter import (
    INNER_UPPER,
    LEFT_BROW,
    LEFT_EYE,
    LID,
    LIP_INNER,
    NOSE_BASE,
    RIGHT_BROW,
    RIGHT_EYE,
    Painter,
    lower_lid,
)
from heatkp.data.synthetic.shape import FIRST_JAW, STEPS

__all__ = [
    "LEFT_EYE",
    "RIGHT_EYE",
    "Painter",
    "eye_polygon",
    "paint_eyes",
    "paint_features",
    "paint_freckles",
    "paint_mouth",
    "paint_shadows",
    "paint_skin",
    "to_size",
]

_BROW_PROFILE = np.interp(
    np.linspace(0, 1, 17), [0, 0.35, 0.85, 1], [0.05, 0.12, 0.155, 0.10]
).astype(np.float32)
_DARK = floats((0.06, 0.03, 0.03))
_FLUSH = floats((1.0, 0.80, 0.80))
_TOOTH = floats((0.90, 0.87, 0.80))


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
    canvas.lay(box, cover, look.skin, head=1.0)
    canvas.dim(box, cover * clouds[y0:y1, x0:x1], 0.018)
    # one mask for all that is flushed: each patch has its own strength
    flushed, strengths = [p.disc(p.curve("tip"), 0.17, 0.14)], [0.25]
    for side in (-1, 1):
        if side * p.traits.yaw < 25:
            flushed.append(p.disc(p.curve("cheek", side), 0.34, 0.28))
            strengths.append(look.blush * 0.8)
    canvas.fill(flushed, look.skin * _FLUSH, strengths, soft=0.12 * p.unit)


def paint_freckles(p: Painter, rng: np.random.Generator) -> None:
    """Small brown dots over nose and cheeks."""
    places = rng.normal((0.0, 0.7), (0.6, 0.25), (24, 2)).astype(np.float32)
    centres = p.surface(places)
    dots = centres[:, None] + CIRCLE[::4] * np.float32(0.028 * p.unit)
    p.canvas.fill(list(dots), p.shadow, p.look.freckles, soft=0.005 * p.unit)


def eye_polygon(p: Painter, indices: tuple[int, ...]) -> tuple[Floats, Floats]:
    """Upper lid from the outer corner in, lower lid from the inner corner out."""
    return p.curve(*indices[:4]), p.curve(*lower_lid(indices))


def paint_eyes(p: Painter, brows: list[Part] | None = None) -> None:
    """Sclera, iris, lids and lashes, and with them the brows, as they share a patch."""
    unit = p.unit
    lids = [eye_polygon(p, indices) for indices in (RIGHT_EYE, LEFT_EYE)]
    eyes = [p.curve("eye", *RIGHT_EYE), p.curve("eye", *LEFT_EYE)]
    folds = [p.curve("crease", *RIGHT_EYE), p.curve("crease", *LEFT_EYE)]
    (right, right_under), (left, left_under) = lids
    thin, full = taper(len(LID)), taper(len(LID), 0.35)
    # the upper lid and its lashes shade the top of the eyeball
    shades = [np.float32(0.11 * unit)] * 2
    lashes = [full * np.float32(0.05 * unit)] * 2
    creases = [thin[2:] * np.float32(0.04 * unit)] * 2
    rims = [thin * np.float32(0.03 * unit)] * 2
    outlines = ribbons(
        [right, left, right, left, *folds, right_under, left_under],
        [*map(float, shades), *lashes, *creases, *rims],
    )
    over: list[Part] = [(outline, p.shadow, 0.55) for outline in outlines[4:]]
    over += [(outline, _DARK, 0.85) for outline in outlines[2:4]]
    p.canvas.paint(
        [(eye, _WHITE_OF_EYE, 1.0) for eye in eyes] + _eyeballs(p, lids, outlines[:2]),
        windows=eyes,
        walls=[] if p.nose is None else [p.nose],
        over=[*(brows or []), *over],
    )


_PUPIL, _WHITE_OF_EYE, _SHADED = (0.02, 0.02, 0.02), (0.86, 0.83, 0.80), (0.60, 0.55, 0.52)


def _eyeballs(p: Painter, lids: list[tuple[Floats, Floats]], shades: list[Floats]) -> list[Part]:
    """What is seen between the lids, back to front."""
    look = p.look
    parts: list[Part] = []
    glance = look.gaze + floats((-0.06 * p.head.turn[0, 2], -0.02))
    offset: Floats = np.matmul(glance, p.axes)
    toward = 0.055 if look.light[0] > 0 else -0.055
    sparkle: Floats = np.matmul(floats((toward, -0.055)), p.axes)
    rim, inner = look.iris * np.float32(0.5), look.iris * np.float32(1.1)
    colours: tuple[Colour, ...] = (rim, inner, _PUPIL)
    circles = [p.circle * np.float32(r) for r in (0.165, 0.13, 0.07)]
    spark: Floats = p.circle * np.float32(0.036) + sparkle
    tear, red = CIRCLE[::2] * np.float32(0.06 * p.unit), look.lips * np.float32(0.9)
    for eye, (upper, _), shade in zip((RIGHT_EYE, LEFT_EYE), lids, shades):
        centre = p.curve("middle", *eye) + offset
        parts.append((upper[-1] + tear, red, 1.0))
        parts.append((shade, _SHADED, 1.0))
        parts += [(centre + c, colour, 1.0) for c, colour in zip(circles, colours)]
        parts.append((centre + spark, (1.0, 1.0, 1.0), 1.0))
    return parts


def brow_parts(p: Painter, thickness: float) -> list[Part]:
    """Brows along their labelled lines, from the outer ends to the inner."""
    widths: list[float | Floats] = []
    for indices in (RIGHT_BROW, LEFT_BROW):
        share = 1 - float(np.count_nonzero(p.head.hidden[list(indices)])) / 5
        widths.append(_BROW_PROFILE * np.float32(thickness * p.unit * share))
    lines = [p.curve(*RIGHT_BROW), p.curve(*LEFT_BROW)]
    return [(brow, p.look.brow, 0.78) for brow in ribbons(lines, widths)]


def paint_shadows(p: Painter) -> None:
    """Folds, the lower edge of the nose, nostrils, and what lies under the lip, in one patch."""
    unit, yaw = p.unit, p.traits.yaw
    lines: list[Floats] = []
    widths: list[float | Floats] = []
    strengths: list[float] = []

    def stroke(line: Floats, width: float, strength: float) -> None:
        lines.append(line)
        widths.append(taper(len(line)) * np.float32(width * unit))
        strengths.append(strength)

    open_up = min(max(0.55 + p.traits.pitch / 25, 0.25), 1.2)
    holes = []
    for side in (-1, 1):
        # folds from nose to mouth are deeper in a smile
        if side * yaw <= 28:
            stroke(p.curve("fold", side), 0.07, 0.14 + 0.36 * max(p.traits.smile, 0))
        turned = min(max(1 - side * yaw / 40, 0.0), 1.0)
        if turned >= 0.15:
            holes.append(p.disc(p.curve("hole", side), 0.09 * turned, 0.05 * open_up))
            stroke(p.curve("wing", side), 0.05 * turned, 0.5)
    stroke(p.curve("under lip"), 0.10, 0.33)
    stroke(p.curve(*NOSE_BASE), 0.08, 0.5)
    if p.nose is not None:
        stroke(p.nose[: len(p.nose) // 2], 0.035, 0.5)
    outlines = ribbons(lines, widths)
    parts: list[Part] = [
        (outline, p.shadow, strength) for outline, strength in zip(outlines, strengths)
    ]
    dot = CIRCLE[::2] * np.float32(0.05 * unit)
    parts += [(p.points[corner] + dot, p.shadow, 0.33) for corner in (48, 54)]
    hole = _DARK + p.look.skin * np.float32(0.12)
    parts += [(disc, hole, 0.8) for disc in holes]
    p.canvas.paint(parts, soft=0.018 * unit)


def paint_mouth(p: Painter) -> None:
    """Lips in two tones and, between them, teeth, tongue and the dark."""
    look, unit = p.look, p.unit
    outer, inner_upper = p.curve("outer"), p.curve(*INNER_UPPER)
    gap = float(np.hypot(*(p.points[66] - p.points[62]))) / unit
    dark = _THROAT if gap > 0.04 else look.lips * np.float32(0.35)
    parts: list[Part] = [(outer, look.lips, 1.0)]
    parts.append((p.curve("inner"), dark, 1.0))
    if gap > 0.3:
        parts.append((p.disc(p.points[66] - 0.05 * p.down, 0.3, 0.12), (0.62, 0.30, 0.29), 1.0))
    if gap > 0.04:
        # the teeth hang from behind the upper lip and fade towards the corners
        tips = inner_upper + _HANG * (min(0.17, 0.06 + gap * 0.6) * p.down)
        for cut, tooth in ((0, 0.6), (2, 0.8), (4, 1.0)):
            inside = slice(cut, len(tips) - cut)
            both = np.concatenate([inner_upper[inside], tips[inside][::-1]])
            parts.append((both, _TOOTH * np.float32(tooth), 1.0))
    # lips last: they hide what lies behind them
    parts.append((p.curve("upper lip"), look.lips * np.float32(0.80), 1.0))
    parts.append((p.curve("lower lip"), look.lips, 1.0))
    gloss = p.curve("gloss")
    lines, widths = [gloss], [taper(len(gloss)) * np.float32(0.04 * unit)]
    if gap <= 0.04:
        lines.append(p.curve("closed"))
        widths.append(taper(len(inner_upper), 0.3) * np.float32(0.04 * unit))
    bright = np.minimum(look.lips * 1.12 + 0.02, 1)
    for outline, colour in zip(ribbons(lines, widths), (bright, dark)):
        parts.append((outline, colour, 1.0))
    p.canvas.paint(parts, windows=[outer])


_HANG = taper(len(LIP_INNER), 0.5)[:, None]
_THROAT = (0.17, 0.06, 0.06)


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
    paint_shadows(p)
    paint_mouth(p)
    paint_eyes(p, brow_parts(p, thickness))


def to_size(layer: Floats, size: int) -> Floats:
    """A square map at another size."""
    if layer.shape[0] == size:
        return layer
    return cast(Floats, cv2.resize(layer, (size, size), interpolation=cv2.INTER_LINEAR))
