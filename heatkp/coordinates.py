"""Frames of reference and the affine maps between them.

One convention holds everywhere. Pixel centres lie on integers: the centre of the top-left
pixel is (0, 0) and an image W wide and H high covers [-0.5, W-0.5] x [-0.5, H-0.5]. Points are
(x, y). Every function takes arrays of shape (..., 2) and works alike on numpy arrays and torch
tensors; matrices are 2x3 float64 numpy arrays that act on column vectors (x, y, 1).
"""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

Points = TypeVar("Points", bound=Any)
Matrix = npt.NDArray[np.float64]


def input_to_map(points: Points, stride: float) -> Points:
    """Input pixels to pixels of a map of the given stride: u = (x + 0.5) / stride - 0.5.

    >>> float(input_to_map(np.array(1.5), 4))  # the middle of the first 4x4 block
    0.0
    """
    return (points + 0.5) / stride - 0.5


def map_to_input(points: Points, stride: float) -> Points:
    """Map pixels to input pixels: x = (u + 0.5) * stride - 0.5, the inverse of `input_to_map`."""
    return (points + 0.5) * stride - 0.5


def _size_like(points: Any, width: float, height: float) -> Any:
    if isinstance(points, np.ndarray):
        return np.array([width, height], dtype=points.dtype)
    return points.new_tensor([width, height])


def normalise(points: Points, width: float, height: float) -> Points:
    """Pixels to fractions of the image: (x + 0.5) / W, (y + 0.5) / H; in [0, 1] inside it."""
    return (points + 0.5) / _size_like(points, width, height)


def denormalise(points: Points, width: float, height: float) -> Points:
    """Fractions of the image to pixels, the inverse of `normalise`."""
    return points * _size_like(points, width, height) - 0.5


def inside(points: Any, width: float, height: float) -> Any:
    """Which points (..., 2) lie in a W x H image or map, edges included: bool (...).

    Points that are NaN do not.

    >>> inside(np.array([[-0.5, 0.0], [1.6, 0.0], [np.nan, 0.0]]), 2, 1).tolist()
    [True, False, False]
    """
    x, y = points[..., 0], points[..., 1]
    return (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)


def translation(dx: float, dy: float) -> Matrix:
    """The shift (x, y) -> (x + dx, y + dy)."""
    return np.array([[1.0, 0.0, dx], [0.0, 1.0, dy]])


def scaling(sx: float, sy: float) -> Matrix:
    """Scaling about the origin (the top-left pixel's centre)."""
    return np.array([[sx, 0.0, 0.0], [0.0, sy, 0.0]])


def rotation(degrees: float) -> Matrix:
    """Rotation about the origin; a positive angle turns the image clockwise (y points down)."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0]])


def shearing(kx: float, ky: float) -> Matrix:
    """Shear about the origin: (x, y) -> (x + kx y, y + ky x)."""
    return np.array([[1.0, kx, 0.0], [ky, 1.0, 0.0]])


def mirroring(width: float) -> Matrix:
    """Horizontal flip of an image of the given width: x -> W - 1 - x."""
    return np.array([[-1.0, 0.0, width - 1.0], [0.0, 1.0, 0.0]])


def compose(*matrices: Matrix) -> Matrix:
    """The affine that applies the given ones from left to right.

    >>> compose(translation(1, 0), scaling(2, 2))[:, 2].tolist()
    [2.0, 0.0]
    """
    total = np.eye(3)
    for matrix in matrices:
        total = np.vstack([matrix, [0.0, 0.0, 1.0]]) @ total
    return total[:2]


def invert(matrix: Matrix) -> Matrix:
    """The inverse affine. Raises `ValueError` where there is none."""
    linear = matrix[:, :2]
    determinant = float(np.linalg.det(linear))
    if not np.isfinite(determinant) or abs(determinant) < 1e-12:
        raise ValueError(f"this affine cannot be inverted (determinant {determinant:g})")
    inverse = np.linalg.inv(linear)
    return np.hstack([inverse, -inverse @ matrix[:, 2:]])


def similarity(source: npt.NDArray[Any], target: npt.NDArray[Any]) -> Matrix:
    """The rotation, scale and shift that bring points (N, 2) to others best, by least squares
    (Umeyama 1991, without reflection, as complex numbers).

    Raises `ValueError` where the points are all in one place.
    """
    a, b = np.asarray(source, np.float64), np.asarray(target, np.float64)
    x, y = (a - a.mean(0)) @ [1, 1j], (b - b.mean(0)) @ [1, 1j]
    spread = np.vdot(x, x).real
    if not spread > 0:
        raise ValueError("points that are all in one place have no similarity to others")
    turn = np.vdot(x, y) / spread
    linear = np.array([[turn.real, -turn.imag], [turn.imag, turn.real]])
    return np.hstack([linear, (b.mean(0) - linear @ a.mean(0))[:, None]])


def apply(matrix: Matrix, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Points (..., 2) through an affine, or (N, K, 2) through N of them; NaN stays NaN."""
    linear, offset = np.swapaxes(matrix[..., :2], -1, -2), matrix[..., 2]
    result: npt.NDArray[np.float64] = np.asarray(points, np.float64) @ linear
    return result + (offset if matrix.ndim == 2 else offset[..., None, :])


def box_to_frame(box: npt.ArrayLike, width: float, height: float) -> Matrix:
    """The affine that fills a W x H frame with a box (x0, y0, x1, y1), given by its edges.

    Edges are in the image frame, so the box of a whole image is (-0.5, -0.5, W-0.5, H-0.5).
    Raises `ValueError` for a box without area.
    """
    x0, y0, x1, y1 = (float(v) for v in np.asarray(box, np.float64))
    if not (x1 > x0 and y1 > y0):
        raise ValueError(f"box ({x0:g}, {y0:g}, {x1:g}, {y1:g}) has no area")
    sx, sy = width / (x1 - x0), height / (y1 - y0)
    return np.array([[sx, 0.0, -0.5 - sx * x0], [0.0, sy, -0.5 - sy * y0]])


def image_box(width: float, height: float) -> npt.NDArray[np.float64]:
    """The box (x0, y0, x1, y1) that an image covers."""
    return np.array([-0.5, -0.5, width - 0.5, height - 0.5])
