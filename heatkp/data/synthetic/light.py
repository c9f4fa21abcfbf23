"""Depth of the scene, and the light that falls on it."""

from __future__ import annotations

import math
from typing import NamedTuple, cast

import cv2
import numpy as np

from heatkp.data.synthetic.model import Floats, floats
from heatkp.data.synthetic.shape import Head

RASTER = 64
"""Depth and light are computed at this fixed size, whatever the size of the image."""
_DENSE = (76, 94)
_SQUARE, _WIDER = np.ones((3, 3), np.uint8), np.ones((5, 5), np.uint8)
_NOTHING, _BACK = -9.0, -2.2

_AXIS: Floats = ((np.arange(RASTER) + 0.5) / RASTER).astype(np.float32)


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
        (a, b), (_, d) = matrix[:2, :2].tolist()
        first = math.sqrt(a)
        root = floats([(first, b / first), (0, math.sqrt(d - b * b / a))])
        result: Floats = centre[:2] + circle @ root
        return result


def _ellipsoid_depth(solid: Ellipsoid, turn: Floats, view: tuple[Floats, Floats]) -> Floats:
    centre, m = solid.posed(turn)
    (a, b), (_, d) = m[:2, :2].tolist()
    area = a * d - b * b
    lean_x, lean_y = (d * m[0, 2] - b * m[1, 2]) / area, (a * m[1, 2] - b * m[0, 2]) / area
    thickness = np.sqrt(max(float(m[2, 2] - m[0, 2] * lean_x - m[1, 2] * lean_y), 0.0))
    x, y = view[0] - centre[0], view[1] - centre[1]
    inside = 1 - (np.float32(d / area) * x - np.float32(2 * b / area) * y) * x
    inside -= np.float32(a / area) * y * y
    outside = inside <= 0
    np.maximum(inside, 0, out=inside)
    np.sqrt(inside, out=inside)
    inside *= np.float32(thickness)
    inside += np.float32(lean_x) * x + np.float32(lean_y) * y + centre[2]
    inside[outside] = _NOTHING
    result: Floats = inside
    return result


def _face_depth(head: Head) -> Floats:
    """Depth of the face itself, by scattering a dense grid, what may hide the rest last."""
    # what falls outside lands on a border that is cut off
    to_raster = np.zeros((3, 4), np.float32)
    to_raster[:2, :2] = head.place[:, :2] * np.float32(RASTER)
    to_raster[:2, 3] = head.place[:, 2] * np.float32(RASTER) + 1
    to_raster[2, 2] = 1
    dense = cv2.transform(cv2.resize(head.grid, _DENSE), to_raster)
    # a turned nose stands before the far cheek: columns go from the far side to the near one
    order = -1 if head.turn[0, 2] > 0 else 1
    column, row, z = cv2.split(dense)
    at = np.clip(row, 0, RASTER + 1).astype(np.int32)
    at *= RASTER + 2
    at += np.clip(column, 0, RASTER + 1).astype(np.int32)
    depth = np.full((RASTER + 2) ** 2, _NOTHING, np.float32)
    depth[at.T[::order].ravel()] = z.T[::order].ravel()
    return depth.reshape(RASTER + 2, RASTER + 2)[1:-1, 1:-1]


def scene_depth(head: Head, solids: list[Ellipsoid]) -> Floats:
    """z (64, 64) of what the camera sees of face and solids, continued outwards."""
    depth = _face_depth(head)
    # close the gaps between scattered samples
    depth = cast(Floats, cv2.morphologyEx(depth, cv2.MORPH_CLOSE, _SQUARE))
    depth = cast(Floats, cv2.medianBlur(depth, 3))
    linear = np.linalg.inv(head.place[:, :2]).astype(np.float32)
    x, y = _AXIS - head.place[0, 2], (_AXIS - head.place[1, 2])[:, None]
    view = (linear[0, 0] * x + linear[0, 1] * y, linear[1, 0] * x + linear[1, 1] * y)
    for solid in solids:
        np.maximum(depth, _ellipsoid_depth(solid, head.turn, view), out=depth)
    # the edge of the head continues outwards, further than any filter below reaches in: a step
    # there would show as a rim
    for square in (_SQUARE, _SQUARE, _WIDER, _WIDER):
        near = cv2.dilate(depth, square) - np.float32(0.1 * (len(square) - 1))
        np.copyto(depth, near, where=depth < _BACK)
    np.maximum(depth, _BACK, out=depth)
    return cast(Floats, cv2.GaussianBlur(depth, (5, 5), 0))


def shade(depth: Floats, head: Head, towards: Floats, ambient: float) -> tuple[Floats, Floats]:
    """Light (64, 64), about 1 where it falls straight on, and shine (64, 64)."""
    a, b = head.place[0, 0], head.place[1, 0]
    scale = float(np.hypot(a, b)) * RASTER  # pixels per unit
    # the light is fixed to the room, not to the rolled head: both are in image axes here
    slope_x = cv2.Sobel(depth, cv2.CV_32F, 1, 0, ksize=3, scale=scale / 8)
    slope_y = cv2.Sobel(depth, cv2.CV_32F, 0, 1, ksize=3, scale=scale / 8)
    lx, ly, lz = (float(v) for v in towards)
    level = slope_x * slope_x
    level += slope_y * slope_y
    level += 1
    np.sqrt(level, out=level)
    np.divide(1, level, out=level)
    across = cv2.addWeighted(slope_x, -lx, slope_y, -ly, 0.0)
    facing = cast(Floats, across + np.float32(lz))
    facing *= level
    # halfway between light and camera; the power is the eighth
    shine = cast(Floats, across + np.float32(lz + 1))
    shine *= level
    shine *= np.float32(1 / np.sqrt(lx * lx + ly * ly + (lz + 1) ** 2))
    np.maximum(shine, 0, out=shine)
    for _ in range(4):
        shine *= shine
    np.maximum(facing, 0, out=facing)
    facing *= 1 - _cast_shadow(depth, (lx, ly, lz), scale)
    shine *= facing > 0
    # what faces the camera gets some light from everywhere else, hollows less
    hollow = cast(Floats, cv2.blur(depth, (7, 7)))
    hollow -= depth
    hollow *= np.float32(-0.9)
    np.minimum(hollow, 0.1, out=hollow)
    np.maximum(hollow, -0.45, out=hollow)
    hollow += 1
    level *= np.float32(0.38 * ambient)
    level += np.float32(0.62 * ambient)
    level *= hollow
    facing *= np.float32((1 - ambient) * 1.12)
    level += facing
    return cast(Floats, cv2.blur(level, (3, 3))), shine


def _cast_shadow(depth: Floats, towards: tuple[float, float, float], scale: float) -> Floats:
    lx, ly, lz = towards
    across = max(float(np.hypot(lx, ly)), 1e-3)
    rise = min(lz / across, 6.0)
    pace = scale / across
    steps = [(d, round(lx * d * pace), round(ly * d * pace)) for d in _DISTANCES]
    reach = max(max(abs(dx), abs(dy)) for _, dx, dy in steps)
    wide = cv2.copyMakeBorder(depth, reach, reach, reach, reach, cv2.BORDER_CONSTANT, value=_BACK)
    n = len(depth)
    above = np.full_like(depth, _NOTHING)
    for distance, dx, dy in steps:
        moved = wide[reach + dy : reach + dy + n, reach + dx : reach + dx + n]
        np.maximum(above, moved - np.float32(rise * distance), out=above)
    above -= depth
    above *= 5
    np.maximum(above, 0, out=above)
    np.minimum(above, 0.85, out=above)
    return cast(Floats, cv2.blur(above, (3, 3)))


_DISTANCES = (0.13, 0.24, 0.38, 0.55, 0.75)


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
