"""Around the face: hair, ears, neck, clothes, glasses, things in front."""

from __future__ import annotations

import cv2
import numpy as np

from heatkp.data.synthetic.backdrop import muted
from heatkp.data.synthetic.canvas import CIRCLE, Part, ribbon, ribbons
from heatkp.data.synthetic.light import Ellipsoid
from heatkp.data.synthetic.model import Floats, floats
from heatkp.data.synthetic.painter import Painter
from heatkp.data.synthetic.shape import COLUMNS, FIRST_JAW

SKULL = Ellipsoid((0.0, -0.74, -0.30), (1.60, 1.70, 1.90))


def hair_shell(p: Painter) -> Ellipsoid:
    """The skull with its hair on."""
    d = 0.0 if p.look.style == "bald" else p.look.hair_depth
    return Ellipsoid(SKULL.centre, (SKULL.radii[0] + d, SKULL.radii[1] + d, SKULL.radii[2] + d))


def paint_body(p: Painter) -> None:
    """Neck, shoulders and clothes; they follow the head only in part."""
    head, canvas, look = p.head, p.canvas, p.look
    top = head.image(head.turn @ floats((0, 0.7, -0.45)))
    bottom = top + floats((head.place[0, 1] * 0.5, p.unit)) * 2.85
    u = p.unit
    neck = _NECK_ENDS @ np.array([top, bottom]) + _NECK * np.float32(u)
    box = canvas.box(neck)
    if box is None:
        return
    cover = canvas.cover(neck, box, rough=True)
    canvas.lay(box, cover, look.skin * _NECK_TONE, head=0.0)
    # less light reaches it, least on the side away from the light and under the chin
    dark = (1 - look.ambient) * (1 - 0.9 * float(look.light[2]))
    s = -1.1 if look.light[0] > 0 else 1.1
    edge = np.array([top + floats((s * u, 0)), bottom + floats((s * u, 0))])
    jaw = p.outline[:, FIRST_JAW:]
    chin = np.concatenate([jaw[0], jaw[1, ::-1]]) + floats((0, 0.2 * u))
    strengths = (0.25 + 0.35 * abs(float(look.light[0])), 0.42)
    found = canvas.mask([ribbon(edge, 0.6 * u), chin], 0.24 * u, [int(255 * s) for s in strengths])
    canvas.dim(box, cover, dark)
    if found is not None:
        canvas.dim_over(found, box, cover)
    collar = {"crew": 0.0, "vee": 0.55, "high": -0.75, "collar": 0.1}[look.neckline]
    height = {"crew": -0.15, "vee": -0.15, "high": -0.75, "collar": -0.35}[look.neckline]
    cloth = floats(
        [
            *((-9, 7), (-4.4, 1.1), (-3.6, 0.45), (-1.45, -0.2), (-1.08, height)),
            *((0, 0.45 + collar), (1.08, height), (1.45, -0.2), (3.6, 0.45), (4.4, 1.1), (9, 7)),
        ]
    )
    if look.neckline == "high":
        cloth[5] = 0, height + 0.22
    parts: list[Part] = [(bottom + cloth * u, look.clothes, 1.0)]
    parts.append((ribbon(bottom + cloth[4:7] * u, 0.12 * u), look.clothes * 0.8, 1.0))
    if look.neckline == "collar":
        for s in (-1, 1):
            flap = floats([(s * 1.1, -0.4), (s * 0.1, 0.6), (s * 0.75, 1.1), (s * 1.45, 0.0)])
            parts.append((bottom + flap * u, np.minimum(look.clothes * 1.25, 1), 1.0))
    canvas.paint(parts, head=0.0, rough=True)


_NECK = floats(
    [
        *((-0.95, 0), (-1.05, 1.9), (-1.7, 0), (-1.6, 1.5)),
        *((1.6, 1.5), (1.7, 0), (1.05, 1.9), (0.95, 0)),
    ]
)
_NECK_ENDS = floats([(1, 0), (1, 0), (0, 1), (0, 1), (0, 1), (0, 1), (1, 0), (1, 0)])
"""Whether each corner of the neck hangs on its top or on its bottom."""
_NECK_TONE = floats((0.97, 0.94, 0.92))
_EAR = floats([(0.26 * c - 0.03, 0.54 * s) for c, s in CIRCLE])
_EAR[:, 0] *= 1 - 0.35 * np.clip(_EAR[:, 1] / 0.5, -0.3, 1)
_EARS = np.concatenate(
    [
        np.stack([(0.30 - z) * 0.42 - 0.06, y + 0.22, z - 0.12], 1)
        for z, y in ((_EAR * scale).T for scale in (1.0, 0.62))
    ]
).astype(np.float32)
"""Outline of an ear and of its inside, x counted from the side of the head."""


def paint_ears(p: Painter) -> None:
    """The ears, half behind the cheeks."""
    head = p.head
    half = float(head.surface.rows[FIRST_JAW, 1])

    skin, inner = p.look.skin * _EAR_TONE, p.look.skin * _EAR_TONE * 0.45 + p.shadow * 0.55
    sides = [side for side in (-1, 1) if side * p.traits.yaw < 20]
    solid = np.concatenate([_EARS * floats((side, 1, 1)) for side in sides])
    solid[:, 0] += np.repeat(floats(sides), len(_EARS)) * np.float32(half)
    outlines = head.image(head.view(solid)).reshape(-1, len(_EAR), 2)
    parts: list[Part] = [
        (outline, colour, 1.0) for outline, colour in zip(outlines, (skin, inner) * len(sides))
    ]
    p.canvas.paint(parts, head=1.0, rough=True)


_EAR_TONE = floats((0.94, 0.86, 0.84))


_ACROSS = np.linspace(-1, 1, COLUMNS)
_ACROSS_COLUMNS = floats(
    np.interp(_ACROSS, np.sin(np.linspace(-np.pi / 2, np.pi / 2, COLUMNS)), np.arange(COLUMNS))
)[None]
"""Even steps across the forehead, and the columns of the head's grid there."""


def _visible_hairline(p: Painter) -> tuple[Floats, Floats]:
    """The hairline in the image from left to right (N, 2), and its heights in the head."""
    head, (middle, sides, turn, parting) = p.head, p.look.hairline
    u = _ACROSS
    wave = 0.05 * np.sin(u * 9 + 5 * parting) + 0.03 * np.sin(u * 23 + 9 * parting)
    y = middle + (sides - middle) * np.abs(u) ** turn + wave * (1 - u * u)
    y = y + 0.12 * np.exp(-(((u - 0.4 * parting) / 0.16) ** 2))
    if p.look.style == "receding":
        y -= 0.45 * np.exp(-(((np.abs(u) - 0.55) / 0.2) ** 2))
    rows = np.interp(y, head.surface.rows[:, 0], np.arange(len(head.surface.rows)))
    at = cv2.remap(head.grid, _ACROSS_COLUMNS, floats(rows[None]), cv2.INTER_LINEAR)[0]
    x = at[:, 0]
    centre = COLUMNS // 2
    at[centre:, 0] = np.maximum.accumulate(x[centre:])
    at[:centre, 0] = np.minimum.accumulate(x[:centre][::-1])[::-1]
    return head.image(at).astype(np.float32), y


def _cap(p: Painter) -> list[Floats]:
    """The hair on the skull: the shell's outline and the forehead's, pushed outwards."""
    if p.cap:
        return p.cap
    shell = p.head.image(hair_shell(p).contour(p.head.turn, CIRCLE))
    top = p.outline[:, : FIRST_JAW + 3]
    centre = p.head.image(p.head.turn @ floats((0, -0.6, 0)))
    thick = 1 + _FULLER * np.float32(p.look.hair_depth / 1.7)
    arch = np.concatenate([top[0][::-1], top[1]])
    p.cap = [shell, centre + (arch - centre) * thick]
    return p.cap


_FULLER = np.linspace(2.2, 0, FIRST_JAW + 3).clip(0, 1)[:, None].astype(np.float32)
_FULLER = np.concatenate([_FULLER[::-1], _FULLER])
"""How much of the hair's depth a point of the arch gets: thinner towards the ears."""


def paint_curtain(p: Painter, strands: Floats) -> None:
    """Long hair behind the neck."""
    if p.look.style != "long":
        return
    d = p.look.hair_depth
    xs = floats([1.5 + d, 1.75 + d, 1.8 + d, 1.65 + d, 1.2])
    ys = floats([-0.8, 0.4, 1.8, 3.2, 3.5])
    solid = np.stack([xs, ys, np.full(5, -0.7, np.float32)], 1)
    both = np.concatenate([solid, solid[::-1] * floats((-1, 1, 1))])
    _hairy(p, [p.head.image(p.head.view(both)).astype(np.float32)], strands)


def paint_scalp(p: Painter, strands: Floats) -> None:
    """The skull behind the face, with its hair."""
    if p.look.style == "bald":
        shell = p.head.image(SKULL.contour(p.head.turn, CIRCLE)).astype(np.float32)
        p.canvas.fill(shell, p.look.skin, head=1)
        return
    _hairy(p, _cap(p), strands)


def _hairy(p: Painter, polygons: list[Floats], strands: Floats, shadow: float = 0.0) -> None:
    canvas = p.canvas
    found = canvas.mask(polygons, max((0.05 if p.look.style == "curly" else 0.03) * p.unit, 0.004))
    if found is None:
        return
    box, soft = found
    x0, y0, x1, y1 = box
    noise = strands[y0:y1, x0:x1]
    if shadow:
        canvas.dim(box, canvas.blur(soft, 0.1 * p.unit) * np.float32(1 / 255), shadow)
    # strands reach over the edge here and there
    cover: Floats = soft * np.float32(2.2 / 255)
    cover += noise * np.float32(0.25)
    cover -= np.float32(0.6)
    np.minimum(cover, 1, out=cover)
    np.maximum(cover, 0, out=cover)
    canvas.lay(box, cover, p.look.hair, head=1.0)
    cover *= noise
    canvas.dim(box, cover, -0.16)


def paint_hair_front(p: Painter, strands: Floats) -> list[Floats]:
    """The hair that grows over the forehead. Returns what hides points: locks and fringe."""
    look = p.look
    if look.style == "bald":
        return []
    line, _ = _visible_hairline(p)
    hiding: list[Floats] = []
    cap = _cap(p)[1]
    if look.style == "fringe":
        line = line.copy()
        inner = slice(10, -10)
        u = _ACROSS[inner]
        drop = 0.72 + 0.1 * np.sin(17 * u + look.hairline[3] * 7)
        line[inner] += p.head.place[:, 1] * (drop * (1 - u**4))[:, None].astype(np.float32)
    polygon = np.concatenate([line, cap[::-1]])
    _hairy(p, [polygon], strands, shadow=0.35)
    if look.style == "fringe":
        hiding.append(polygon)
    if look.style == "long":
        for side in (-1, 1):
            if side * p.traits.yaw < 12:
                hiding.append(_lock(p, side))
        _hairy(p, hiding, strands, shadow=0.25)
    return hiding


def _lock(p: Painter, side: int) -> Floats:
    d, part = p.look.hair_depth, abs(float(p.look.hairline[3]))
    inner = [(1.42, -1.1, 0.7), (1.5 - 0.1 * part, 0.0, 0.35), (1.47 - 0.12 * part, 1.0, 0.3)]
    outer = [(1.8 + d, 1.8, -0.4), (1.75 + d, 0.3, -0.4), (1.55 + d, -1.1, -0.1)]
    solid = floats([*inner, (1.5, 2.2, 0.25), (1.5 + d, 3.2, -0.3), *outer])
    solid *= floats((side, 1, 1))
    return p.head.image(p.head.view(solid)).astype(np.float32)


def paint_glasses(p: Painter) -> list[Floats]:
    """Glasses; returns the lenses if nothing can be seen through them."""
    look, head = p.look, p.head
    if look.glasses == "none":
        return []
    rx, ry, power = (float(v) for v in look.glass_shape)
    corner = np.sign(CIRCLE) * np.abs(CIRCLE) ** (2 / power)
    lenses, arms = [], []
    for side in (-1, 1):
        flat = head.surface.bumps[8 if side < 0 else 9, :2]
        x = flat[0] + corner[:, 0] * rx
        y = flat[1] + 0.06 + corner[:, 1] * ry
        z = 2.18 - 0.18 * x * x
        solid = np.stack([x, y, z], 1).astype(np.float32)
        lenses.append(head.image(head.view(solid)).astype(np.float32))
        hinge = (side * (abs(flat[0]) + rx), float(flat[1]) - 0.08)
        arm = [(hinge[0], hinge[1], 2.18 - 0.18 * hinge[0] ** 2), (side * 1.66, -0.08, -0.1)]
        if side * p.traits.yaw < 8:
            arms.append(head.image(head.view(floats(arm))))
    frame, dark = 0.07 * p.unit, look.glasses == "dark"
    bridge = head.image(head.view(_BRIDGE))
    p.canvas.fill([lens + _LENS_DROP * p.down for lens in lenses], soft=0.05 * p.unit, dim=0.08)
    glints = [lens[13:17] * 0.75 + lens.mean(0) * 0.25 for lens in lenses]
    lines = [np.concatenate([lens, lens[:2]]) for lens in lenses] + [*arms, bridge, *glints]
    widths = [frame] * (len(lines) - 2) + [0.05 * p.unit] * 2
    outlines = ribbons(lines, widths)
    parts: list[Part] = []
    if dark:
        parts += [(lens, look.glass_colour * 0.4, 0.94) for lens in lenses]
    parts += [(glint, (1, 1, 1), 0.3) for glint in outlines[-2:]]
    parts += [(outline, look.glass_colour, 1.0) for outline in outlines[:-2]]
    p.canvas.paint(parts)
    return lenses if dark else []


_BRIDGE = floats([(-0.22, -0.03, 2.4), (0.0, -0.09, 2.45), (0.22, -0.03, 2.4)])
_LENS_DROP = np.float32(0.05)


def paint_occluder(p: Painter, rng: np.random.Generator) -> list[Floats]:
    """A hand, a thing or a scarf before the face; returns its outline."""
    kind, canvas, u = p.look.occluder, p.canvas, p.unit
    draws = rng.uniform(-1, 1, 12).astype(np.float32)
    if kind == "none":
        return []
    centre = p.points[:68].mean(0)
    if kind == "hand":
        return _hand(p, centre, draws)
    if kind == "scarf":
        top = p.points[33] + floats((0, (0.15 + 0.3 * abs(draws[0])) * u))
        left, right = 0.15 + 0.1 * draws[1], 0.15 + 0.1 * draws[2]
        heights = floats((-0.3, -0.1, left, 0.1, right, -0.1, -0.3))
        line = np.stack([floats((-6, -2.6, -1.2, 0, 1.2, 2.6, 6)), heights], 1)
        polygon = top + np.concatenate([line, floats([(6, 5), (-6, 5)])]) * np.float32(u)
        colour = muted(rng)
        canvas.fill(polygon, colour, head=0.0)
        first = top + line * np.float32(u)
        stripes = [first + floats((0, (0.35 + 0.45 * k) * u)) for k in range(4)]
        canvas.fill(ribbons(stripes, [0.12 * u] * 4), colour * 0.6, 0.7, soft=0.03 * u)
        return [polygon]
    at = centre + draws[:2] * floats((1.2, 1.5)) * u
    a = draws[2] * 0.6
    spin = floats([(np.cos(a), np.sin(a)), (-np.sin(a), np.cos(a))])
    extent = floats((0.5, 0.75)) * (1 + 0.4 * draws[3])
    corner = np.sign(CIRCLE) * np.abs(CIRCLE) ** 0.35
    polygon = (at + ((corner * extent) @ spin) * u).astype(np.float32)
    colour, second = muted(rng), muted(rng)
    canvas.fill(polygon + floats((0.1, 0.1)) * u, None, soft=0.08 * u, dim=0.25)
    canvas.fill(polygon, colour, head=0.0)
    label = (at + ((corner * extent * (0.75, 0.4)) @ spin) * u).astype(np.float32)
    canvas.fill(label, second, 0.9)
    return [polygon]


def _hand(p: Painter, centre: Floats, draws: Floats) -> list[Floats]:
    u, side = p.unit, np.sign(draws[0])
    tip = centre + floats((side * (0.7 + 0.5 * abs(draws[1])), 0.9 + 0.5 * draws[2])) * u
    direction = floats((side * 0.55, 0.85))
    across = floats((-direction[1], direction[0]))
    polygons = []
    for k, length in enumerate((0.15, 0.0, 0.06, 0.3)):
        start = tip + (across * (k - 1.5) * 0.36 + direction * length) * u
        line = np.stack([start + direction * (s * u) for s in np.linspace(0, 1.6, 7)])
        width = floats([0.18, 0.3, 0.34, 0.35, 0.36, 0.37, 0.38]) * u
        polygons.append(ribbon(line, width).astype(np.float32))
    palm = tip + direction * (2.2 * u) + CIRCLE * np.float32(0.95 * u)
    polygons.append(palm.astype(np.float32))
    wrist = tip + np.outer([2.4, 6], direction).astype(np.float32) * u
    polygons.append(ribbon(wrist, 1.25 * u).astype(np.float32))
    p.canvas.fill(polygons, None, soft=0.1 * u, dim=0.3)
    p.canvas.fill(polygons, p.look.skin * floats((0.95, 0.9, 0.89)), head=0.0)
    creases = ribbons([polygon[:7] for polygon in polygons[:4]], [0.06 * u] * 4)
    p.canvas.fill(creases, p.shadow, 0.6, soft=0.02 * u)
    return polygons
