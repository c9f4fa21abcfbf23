"""Depth of the scene, and the light that falls on it."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from heatkp.data.synthetic.model import Floats, floats
from heatkp.data.synthetic.shape import Head

RASTER = 84
"""Depth and light are computed at this fixed size, whatever the size of the picture."""
_DENSE = (100, 124)
_SQUARE = np.ones((3, 3), np.uint8)
_NOTHING, _BACK = -9.0, -2.2

_axis = ((np.arange(RASTER) + 0.5) / RASTER).astype(np.float32)
_PIXELS: Floats = np.stack(np.broadcast_arrays(_axis[None, :], _axis[:, None])).astype(np.float32)


class Ellipsoid(NamedTuple):
    """A solid of the head frame: centre, radii, both (3,)."""

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]

    def posed(self, turn: Floats) -> tuple[Floats, Floats]:
        """Centre (3,) and covariance-like matrix (3, 3) in the view."""
        centre = turn @ floats(self.centre)
        scaled = turn * floats(self.radii)
        return centre, scaled @ scaled.T

    def contour(self, turn: Floats, circle: Floats) -> Floats:
        """Its outline in the view (N, 2)."""
        centre, matrix = self.posed(turn)
        result: Floats = centre[:2] + circle @ np.linalg.cholesky(matrix[:2, :2]).T
        return result.astype(np.float32)


def _ellipsoid_depth(solid: Ellipsoid, turn: Floats, view: Floats) -> Floats:
    centre, m = solid.posed(turn)
    inverse = np.linalg.inv(m[:2, :2]).astype(np.float32)
    lean = inverse @ m[:2, 2]
    thickness = np.sqrt(max(float(m[2, 2] - m[:2, 2] @ lean), 0.0))
    x, y = view[0] - centre[0], view[1] - centre[1]
    inside = 1 - (inverse[0, 0] * x + 2 * inverse[0, 1] * y) * x - inverse[1, 1] * y * y
    z = centre[2] + lean[0] * x + lean[1] * y
    z += np.float32(thickness) * np.sqrt(np.maximum(inside, 0))
    z[inside <= 0] = _NOTHING
    result: Floats = z.astype(np.float32)
    return result


def _face_depth(head: Head) -> Floats:
    """Depth of the face itself, by scattering a dense grid, nearest last."""
    dense = cv2.resize(head.grid, _DENSE).reshape(-1, 3)
    # what falls outside lands on a border that is cut off
    place = head.place * np.float32(RASTER)
    x, y, z = dense[:, 0], dense[:, 1], dense[:, 2]
    column = np.clip(place[0, 0] * x + place[0, 1] * y + (place[0, 2] + 1), 0, RASTER + 1)
    row = np.clip(place[1, 0] * x + place[1, 1] * y + (place[1, 2] + 1), 0, RASTER + 1)
    at = row.astype(np.int32) * (RASTER + 2) + column.astype(np.int32)
    # 16-bit keys make numpy sort by radix, several times faster than by comparison
    order = np.argsort(((z + 6) * 5000).astype(np.uint16), kind="stable")
    depth = np.full((RASTER + 2) ** 2, _NOTHING, np.float32)
    depth[at[order]] = z[order]
    return depth.reshape(RASTER + 2, RASTER + 2)[1:-1, 1:-1]


def scene_depth(head: Head, solids: list[Ellipsoid]) -> Floats:
    """z (84, 84) of what the camera sees of face and solids, continued outwards."""
    depth = _face_depth(head)
    # close the gaps between scattered samples
    depth = cv2.morphologyEx(depth, cv2.MORPH_CLOSE, _SQUARE)
    depth = cv2.medianBlur(depth, 3)
    linear = np.linalg.inv(head.place[:, :2]).astype(np.float32)
    x, y = _PIXELS[0] - head.place[0, 2], _PIXELS[1] - head.place[1, 2]
    view = np.stack([linear[0, 0] * x + linear[0, 1] * y, linear[1, 0] * x + linear[1, 1] * y])
    for solid in solids:
        np.maximum(depth, _ellipsoid_depth(solid, head.turn, view), out=depth)
    # the edge of the head continues outwards, or the step would show as a dark rim
    for _ in range(3):
        near = cv2.dilate(depth, _SQUARE) - np.float32(0.3)
        np.copyto(depth, near, where=depth < _BACK)
    np.maximum(depth, _BACK, out=depth)
    return cv2.GaussianBlur(depth, (5, 5), 0)


def shade(depth: Floats, head: Head, towards: Floats, ambient: float) -> tuple[Floats, Floats]:
    """Light (84, 84), about 1 where it falls straight on, and shine (84, 84)."""
    a, b = head.place[0, 0], head.place[1, 0]
    scale = float(np.hypot(a, b)) * RASTER  # pixels per unit
    # the light is fixed to the room, not to the rolled head: both are in image axes here
    slope_x = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    slope_y = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    lx, ly, lz = (float(v) for v in towards)
    size = np.sqrt(slope_x * slope_x + slope_y * slope_y + 1)
    facing = (lz - lx * slope_x - ly * slope_y) / size
    half = floats((lx, ly, lz + 1)) / np.float32(np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2))
    gloss = np.maximum((half[2] - half[0] * slope_x - half[1] * slope_y) / size, 0)
    gloss *= gloss
    gloss *= gloss
    shine = gloss * gloss
    shine *= shine
    np.maximum(facing, 0, out=facing)
    facing *= 1 - _cast_shadow(depth, (lx, ly, lz), scale)
    # what faces the camera gets some light from everywhere else, hollows less
    hollow = cv2.blur(depth, (7, 7)) - depth
    around = (0.62 + 0.38 / size) * (1 - np.clip(hollow * 0.9, -0.1, 0.45))
    light = ambient * around + (1 - ambient) * 1.12 * facing
    return cv2.blur(light, (3, 3)), shine * (facing > 0)


def _cast_shadow(depth: Floats, towards: tuple[float, float, float], scale: float) -> Floats:
    lx, ly, lz = towards
    across = max(float(np.hypot(lx, ly)), 1e-3)
    rise = min(lz / across, 6.0)
    shadow = np.zeros_like(depth)
    for distance in (0.13, 0.24, 0.38, 0.55, 0.75):
        dx, dy = (round(v / across * distance * scale) for v in (lx, ly))
        moved = np.roll(depth, (-dy, -dx), (0, 1))
        np.maximum(shadow, moved - depth - np.float32(rise * distance), out=shadow)
    soft: Floats = np.minimum(shadow * 5, 0.85)
    return cv2.blur(soft, (3, 3))


def _noise(seed: int, size: int, octaves: tuple[int, ...]) -> Floats:
    rng = np.random.default_rng(seed)
    total = np.zeros((size, size), np.float32)
    for cells in octaves:
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        total += cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC)
    result: Floats = (total / total.std()).astype(np.float32)
    return result


CLOUDS = _noise(11, 256, (4, 9, 19, 40))
"""Smooth noise (256, 256), unit variance, for skin, walls and cloth."""
LEAVES = _noise(12, 256, (6, 30, 60, 120))
GRAIN = np.random.default_rng(13).standard_normal((576, 576, 3)).astype(np.float32)
"""Sensor noise, taken in random crops: drawing it afresh would cost more than all else."""


def _strands() -> Floats:
    noise = np.random.default_rng(14).standard_normal((256, 256)).astype(np.float32)
    fine = cv2.GaussianBlur(noise, (0, 0), sigmaX=0.9, sigmaY=14)
    wide = cv2.GaussianBlur(noise, (0, 0), sigmaX=3, sigmaY=30)
    total = fine / fine.std() + wide / wide.std()
    result: Floats = (total / total.std()).astype(np.float32)
    return result


STRANDS = _strands()
"""Noise (256, 256) drawn out along y, for hair."""
