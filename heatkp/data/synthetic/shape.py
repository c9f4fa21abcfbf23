"""The head as a surface: depth, pose, outline and which points can be seen.

The surface is a stack of level cross-sections (half ellipses over the midline, `model.ROWS`)
plus soft bumps for nose, sockets, cheekbones, lips and chin. Every labelled point lies on it.

Jaw points follow the contour that is seen (the 300-W habit): each belongs to one level of the
head and is where that cross-section reaches furthest to its side in the image. On a frontal
face and on the near side of a turned one this is the true edge of the jaw, on the far side the
outline of the cheek.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.synthetic import model
from heatkp.data.synthetic.model import Floats, Traits, floats

STEPS = 6
"""Grid rows per row of the model."""
COLUMNS = 72
FAR_LIMIT = 0.45
"""The outline of a cheek is sought beyond this fraction of the half width: not on the nose."""

_BUMPS: tuple[tuple[tuple[int, ...], float, float, float, float, float, str], ...] = (
    # anchors, dx, dy, width, height, amount, the identity mode that changes the amount
    ((27,), 0.0, 0.02, 0.17, 0.24, 0.13, "nose_depth"),
    ((28, 29), 0.0, 0.0, 0.17, 0.24, 0.30, "nose_depth"),
    ((29, 30), 0.0, 0.05, 0.17, 0.18, 0.24, "nose_depth"),
    ((30,), 0.0, 0.02, 0.24, 0.19, 0.42, "nose_depth"),
    ((71, 70), 0.09, 0.05, 0.13, 0.15, 0.24, ""),
    ((74, 75), -0.09, 0.05, 0.13, 0.15, 0.24, ""),
    ((36, 39), 0.05, 0.0, 0.42, 0.24, -0.22, ""),
    ((42, 45), -0.05, 0.0, 0.42, 0.24, -0.22, ""),
    ((36, 39), 0.0, 0.01, 0.27, 0.17, 0.14, ""),
    ((42, 45), 0.0, 0.01, 0.27, 0.17, 0.14, ""),
    ((18, 20), 0.0, 0.04, 0.60, 0.17, 0.12, ""),
    ((23, 25), 0.0, 0.04, 0.60, 0.17, 0.12, ""),
    ((36,), 0.05, 0.62, 0.42, 0.34, 0.13, "cheeks"),
    ((45,), -0.05, 0.62, 0.42, 0.34, 0.13, "cheeks"),
    ((51, 57), 0.0, 0.0, 0.62, 0.42, 0.12, ""),
    ((51, 62), 0.0, 0.03, 0.42, 0.09, 0.08, "lip_fullness"),
    ((66, 57), 0.0, 0.0, 0.38, 0.11, 0.10, "lip_fullness"),
    ((62, 66), 0.0, 0.0, 0.48, 0.05, -0.06, ""),
    ((57,), 0.0, 0.17, 0.42, 0.14, -0.11, ""),
    ((57,), 0.0, 0.52, 0.40, 0.26, 0.10, ""),
)


def spline(count: int, per: int, closed: bool = False) -> Floats:
    """Weights (samples, count) of a smooth curve through `count` points, `per` samples a span."""
    at = np.arange(count * per if closed else (count - 1) * per + 1) / per
    weights = np.zeros((len(at), count))
    for row, t in zip(weights, at):
        first = min(int(t), count - (1 if closed else 2))
        f = t - first
        cubic = (
            (-f + 2 * f * f - f**3) / 2,
            (2 - 5 * f * f + 3 * f**3) / 2,
            (f + 4 * f * f - 3 * f**3) / 2,
            (-f * f + f**3) / 2,
        )
        for k, w in zip(range(first - 1, first + 3), cubic):
            if closed:
                row[k % count] += w
            elif k < 0:  # a ghost that continues the end straight on
                row[[0, 1]] += 2 * w, -w
            elif k >= count:
                row[[-1, -2]] += 2 * w, -w
            else:
                row[k] += w
    return weights.astype(np.float32)


def _row_spline() -> Floats:
    """`spline` whose ends are mirrored across the midline, so that chin and crown are round."""
    n = len(model.ROWS)
    return spline(n + 2, STEPS)[STEPS:-STEPS]


_ROW_WEIGHTS = _row_spline()
_COLUMN = np.sin(np.linspace(-np.pi / 2, np.pi / 2, COLUMNS)).astype(np.float32)
_BULGE = np.sqrt(np.maximum(1 - np.abs(_COLUMN) ** 2.15, 0)).astype(np.float32)
_ROW_NUMBERS = np.arange(len(_ROW_WEIGHTS), dtype=np.float64)
FIRST_JAW = model.JAW_ROW * STEPS
_JAW58 = FIRST_JAW + STEPS * np.linspace(2.5, 8, 7)
_JAW58_LOW = _JAW58.astype(int)
_JAW58_HIGH = np.minimum(_JAW58_LOW + 1, len(_ROW_NUMBERS) - 1)
_JAW58_SHARE = (_JAW58 - _JAW58_LOW).astype(np.float32)[:, None]


_ANCHORS = np.array([(anchors[0], anchors[-1]) for anchors, *_ in _BUMPS]).T
_BUMP_TABLE = np.array([(dx, dy, 1 / w, 1 / h, z) for _, dx, dy, w, h, z, _ in _BUMPS], np.float32)
_BUMP_MODES = [model.IDENTITY.index(mode) if mode else -1 for *_, mode in _BUMPS]


_LATTICE = np.linspace(-1.9, 1.9, 97, dtype=np.float32)
_LATTICE_ROWS = (np.arange((len(model.ROWS) - 1) * STEPS + 1, dtype=np.int32) * 97)[:, None]


_FADE = np.float32(3)  # bumps end where the chin and the crown narrow to a point


class Surface(NamedTuple):
    """A face at rest in the head frame."""

    rows: Floats
    """Cross-sections (85, 4): y, half width, edge z, midline z."""
    bumps: Floats
    """(20, 5): x, y, 1/width, 1/height, amount."""

    def _relief(self, x: Floats, y: Floats) -> Floats:
        cx, cy, fx, fy, amount = (column[:, None] for column in self.bumps.T)
        along = (x.reshape(1, -1) - cx) * fx
        across = (y.reshape(1, -1) - cy) * fy
        values = amount * np.exp(-(along * along) - across * across)
        total: Floats = values.sum(0).reshape(x.shape)
        return total

    def depth(self, x: Floats, y: Floats) -> Floats:
        """z at frontal places; minus infinity beside the head."""
        at = np.interp(y, self.rows[:, 0], _ROW_NUMBERS)
        low = np.minimum(at.astype(np.int32), len(_ROW_NUMBERS) - 2)
        share = (at - low).astype(np.float32)[..., None]
        lower = self.rows[low]
        row = lower + share * (self.rows[low + 1] - lower)
        half, edge, middle = row[..., 1], row[..., 2], row[..., 3]
        u = np.abs(x) / np.maximum(half, 1e-3)
        inside = u < 1
        bulge = np.sqrt(1 - np.minimum(u, 1) ** np.float32(2.15))
        relief = self._relief(x, y) * np.minimum(half * _FADE, 1)
        z = edge + (middle - edge + relief) * bulge
        z[~inside | (y < self.rows[0, 0]) | (y > self.rows[-1, 0])] = -np.inf
        result: Floats = z
        return result

    def grid(self) -> Floats:
        """Positions (85, 72, 3) on the surface."""
        y, half, edge, middle = (column[:, None] for column in self.rows.T)
        x = half * _COLUMN
        # bumps are products of a bell along x and one along y: one matrix product on a lattice
        cx, cy, fx, fy, amount = (column[:, None] for column in self.bumps.T)
        across = np.exp(-(((self.rows[:, 0] - cy) * fy) ** 2)) * amount
        along = np.exp(-(((_LATTICE - cx) * fx) ** 2))
        lattice = across.T @ along
        at = (x - _LATTICE[0]) * np.float32(1 / (_LATTICE[1] - _LATTICE[0]))
        np.clip(at, 0, len(_LATTICE) - 1.01, out=at)
        low = at.astype(np.int32)
        at -= low
        low += _LATTICE_ROWS
        flat = lattice.ravel()
        left = flat.take(low)
        low += 1
        relief = (left + at * (flat.take(low) - left)) * np.minimum(half * _FADE, 1)
        result: Floats = np.empty((*x.shape, 3), np.float32)
        result[..., 0], result[..., 1] = x, y
        result[..., 2] = edge + (middle - edge + relief) * _BULGE
        return result


def build_surface(traits: Traits, points: Floats, rows: Floats) -> Surface:
    """The surface that belongs to frontal points (78, 2) and rows (15, 4)."""
    flipped = floats((1, -1, 1, 1))
    padded = np.concatenate([rows[1:2] * flipped, rows, rows[-2:-1] * flipped])
    dense = _ROW_WEIGHTS @ padded
    bumps = _BUMP_TABLE.copy()
    bumps[:, :2] += (points[_ANCHORS[0]] + points[_ANCHORS[1]]) / 2
    bumps[:, 4] *= 1 + 0.22 * np.append(traits.identity, np.float32(0))[_BUMP_MODES]
    return Surface(dense, bumps)


class Head(NamedTuple):
    """A posed head. `turn` (3, 3) takes the head frame to the view (same axes, camera along z);
    `place` (2, 3) takes the view's x and y to fractions of the image."""

    surface: Surface
    grid: Floats
    """Surface positions (85, 72, 3) in the view."""
    points: Floats
    """(78, 3) in the view: see `model.COUNT`."""
    jaw58: Floats
    """(13, 3) in the view."""
    outline: Floats
    """(2, 85, 3): image-left and image-right contour from the crown to the chin, in the view."""
    hidden: npt.NDArray[np.bool_]
    """(78,): behind another part of the face."""
    turn: Floats
    place: Floats

    def view(self, positions: Floats) -> Floats:
        """Head frame (..., 3) to view."""
        return positions @ self.turn.T

    def image(self, positions: Floats) -> Floats:
        """View (..., 2 or 3) to fractions of the image (..., 2)."""
        return positions[..., :2] @ self.place[:, :2].T + self.place[:, 2]

    def on_surface(self, x: Floats, y: Floats, lift: float = 0.0) -> Floats:
        """Frontal places on the surface, in the view."""
        z = np.maximum(self.surface.depth(x, y), -0.5) + lift
        return self.view(np.stack([x, y, z], -1).astype(np.float32))


def _turning(yaw: float, pitch: float) -> Floats:
    """Positive yaw turns the nose to the right of the image, positive pitch lifts it."""
    a, b = math.radians(yaw), math.radians(pitch)
    (ca, sa), (cb, sb) = (math.cos(a), math.sin(a)), (math.cos(b), math.sin(b))
    # first about the vertical, then about the line through the ears
    return floats([(ca, 0, sa), (sb * sa, cb, -sb * ca), (-cb * sa, sb, cb * ca)])


_BEYOND = int(np.searchsorted(_COLUMN, FAR_LIMIT))
_SIDES = floats((-1, 1))[:, None, None]
_SIDE, _ROW = np.arange(2)[:, None], np.arange(len(_ROW_WEIGHTS))[None]


def _contours(grid: Floats) -> Floats:
    """Where each cross-section of the view reaches furthest to either side: (2, 85, 3)."""
    halves = np.stack([grid[:, COLUMNS - _BEYOND - 1 :: -1], grid[:, _BEYOND:]])
    reach = halves[..., 0] * _SIDES
    best = np.minimum(np.maximum(reach.argmax(2), 1), reach.shape[2] - 2)
    before, at, after = (halves[_SIDE, _ROW, best + k] for k in (-1, 0, 1))
    change = (after - before) / 2
    bend = before - 2 * at + after
    slope, curve = change[..., :1] * _SIDES, bend[..., :1] * _SIDES
    t = np.minimum(np.maximum(-slope / np.minimum(curve, np.float32(-1e-6)), -1), 1)
    result: Floats = at + t * change + t * t * bend / 2
    return result


def _placement(points: Floats, traits: Traits) -> Floats:
    """Similarity that turns the view by the roll and lets the points fill their share."""
    a = math.radians(traits.roll)
    roll = floats([(math.cos(a), -math.sin(a)), (math.sin(a), math.cos(a))])
    rolled = points[:, :2] @ roll.T
    low, high = rolled.min(0), rolled.max(0)
    scale = traits.fill / float((high - low).max())
    room = 1 - scale * (high - low)
    # a little more room above, where the hair is; the factor lets some faces near the border
    centre = floats((0.5, 0.54)) + floats(traits.shift) * room * floats((0.4, 0.3))
    offset = centre - scale * (low + high) / 2
    return np.concatenate([roll * np.float32(scale), offset[:, None]], 1, dtype=np.float32)


_ALONG = np.linspace(0.14, 1.2, 6, dtype=np.float32)[:, None, None]


_STEEP = math.cos(math.radians(9))
"""Turned by less, no slope of a face is steep enough to hide anything."""


def _self_hidden(surface: Surface, points: Floats, turn: Floats) -> npt.NDArray[np.bool_]:
    """Which head-frame points (N, 3) have the face between them and the camera."""
    towards = turn[2]  # the camera's direction in the head frame
    ray = points + _ALONG * towards
    above = surface.depth(ray[..., 0], ray[..., 1]) - ray[..., 2]
    hidden: npt.NDArray[np.bool_] = (above > 0.03).any(0)
    return hidden


def build_head(traits: Traits) -> Head:
    """Pose the person: all points, outline and visibility."""
    flat, rows = model.frontal(traits)
    surface = build_surface(traits, flat, rows)
    solid = np.concatenate([flat, surface.depth(flat[:, 0], flat[:, 1])[:, None]], 1)
    turn = _turning(traits.yaw, traits.pitch)
    grid = surface.grid() @ turn.T
    outline = _contours(grid)
    solid[:17, 2] = 0
    hidden = np.zeros(model.COUNT, bool)
    if turn[2, 2] < _STEEP:
        hidden[17:] = _self_hidden(surface, solid[17:], turn)
    points = solid @ turn.T
    jaw = outline[:, FIRST_JAW::STEPS]
    points[:17] = np.concatenate([jaw[0], jaw[1, -2::-1]])
    # between two rows of the outline: on the straight edge that is drawn
    sides = outline[:, _JAW58_LOW] * (1 - _JAW58_SHARE) + outline[:, _JAW58_HIGH] * _JAW58_SHARE
    jaw58 = np.concatenate([sides[0], sides[1, -2::-1]])
    place = _placement(points[:68], traits)
    return Head(surface, grid, points, jaw58, outline, hidden, turn, place)
