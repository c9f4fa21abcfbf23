"""Shapes of points: their mean, how each object is turned and how large it is, and where a point
belongs among the others. Without images and networks."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Complex = npt.NDArray[np.complex128]
ROUNDS = 10
"""Of generalised Procrustes analysis, which hardly changes after the third."""
CLIP = 5.0
"""Robust standard deviations that a coordinate counts for at most in a covariance."""


def as_complex(points: npt.ArrayLike) -> Complex:
    """Points (..., 2) as x + iy; NaN where either is not finite."""
    given = np.asarray(points, np.float64)
    finite = np.isfinite(given).all(-1)
    z: Complex = np.where(finite, given[..., 0] + 1j * given[..., 1], np.nan)
    return z


def sizes(points: npt.ArrayLike) -> Array:
    """Sizes (N,) of objects (N, K, 2): the root mean square distance of their finite points from
    the points' mean. 1 where fewer than two differ, so that lengths stay what they are."""
    z = as_complex(points)
    there = np.isfinite(z)
    count = np.maximum(there.sum(1), 1)
    centre = np.where(there, z, 0).sum(1) / count
    off = np.where(there, np.abs(z - centre[:, None]), 0)
    size = np.sqrt(np.square(off).sum(1) / count)
    return np.where(size > 1e-9, size, 1.0)


def _median(values: Complex) -> Complex:
    """Medians (K,) of real and imaginary parts over the rows; NaN where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of points that no object has
        found: Complex = np.nanmedian(values.real, 0) + 1j * np.nanmedian(values.imag, 0)
    return found


def _fit(z: Complex, shape: Complex) -> tuple[Complex, Complex, Complex]:
    """Least-squares similarities (Umeyama 1991) from a shape (K,) to objects (N, K): turns with
    scale (N,), and the means (N,) of the shape's and of the objects' points in common. A turn is
    NaN where fewer than two points in common differ."""
    both = np.isfinite(z) & np.isfinite(shape)
    count = np.maximum(both.sum(1), 1)
    known = np.where(both, shape, 0)
    there = np.where(both, z, 0)
    middle, centre = known.sum(1) / count, there.sum(1) / count
    a = np.where(both, known - middle[:, None], 0)
    b = np.where(both, there - centre[:, None], 0)
    spread = np.square(np.abs(a)).sum(1)
    product = (a.conj() * b).sum(1)
    usable = (both.sum(1) > 1) & (spread > 1e-12) & (np.abs(product) > 1e-12)
    turn = np.where(usable, product / np.where(usable, spread, 1), np.nan)
    return turn, middle, centre


def _aligned(z: Complex, shape: Complex) -> tuple[Complex, Complex]:
    """Objects (N, K) laid over a shape, and the turns with scale (N,) that lead back."""
    turn, middle, centre = _fit(z, shape)
    with np.errstate(invalid="ignore"):
        return (z - centre[:, None]) / turn[:, None] + middle[:, None], turn


def align(points: npt.ArrayLike) -> tuple[Complex, Complex, Complex]:
    """Objects laid over their mean shape: generalised Procrustes analysis (Gower 1975), with
    medians for means so that wrong points count little.

    Args:
        points: (N, K, 2), NaN where not known.

    Returns:
        The shape (K,) of size 1 about 0; the objects (N, K) on it; and turns with scale (N,),
        complex, that lead from the shape to the object. NaN where a thing is not known.
    """
    z = as_complex(points)
    there = np.isfinite(z)
    if not z.size or not there.any():
        return np.full(z.shape[1], np.nan + 0j), z, np.full(len(z), np.nan + 0j)
    shape = z[there.sum(1).argmax()]
    for _ in range(ROUNDS):
        laid, _ = _aligned(z, shape)
        # What no object has in common with the first is laid on once the shape has grown.
        shape = np.where(np.isfinite(laid).any(0), _median(laid), shape)
        known = np.isfinite(shape)
        shape = shape - shape[known].mean()
        size = np.sqrt(np.square(np.abs(shape[known])).mean())
        if not size > 1e-12:
            break
        shape = shape / size
    laid, turn = _aligned(z, shape)
    return shape, laid, turn


def headings(points: npt.ArrayLike) -> Array:
    """How objects (N, K, 2) are turned against their mean shape, (N,) in radians, clockwise as an
    image is seen; NaN where fewer than two points that differ are known."""
    _, _, turn = align(points)
    return np.where(np.isfinite(turn), np.angle(np.where(np.isfinite(turn), turn, 1)), np.nan)


def out_of_shape(points: npt.ArrayLike) -> Array:
    """How far each point is from where the others of its object let expect it, (N, K), in
    robust standard deviations of that point; NaN where it is not known.

    Objects are laid over their mean shape; coordinates count as normal with a covariance that is
    shrunk to a diagonal, and a point's expectation and spread are conditional on the others.
    """
    _, laid, _ = align(points)
    values = np.stack([laid.real, laid.imag], -1).reshape(len(laid), -1)
    there = np.isfinite(values)
    if len(values) < 3 or there.shape[1] < 4:
        return np.full(laid.shape, np.nan)
    middle, spread = _robust(values)
    usable = there & (spread > 0)
    off = np.where(usable, (values - middle) / np.where(spread > 0, spread, 1), 0.0)
    covariance = _covariance(np.clip(off, -CLIP, CLIP), usable)
    distance = np.full(laid.shape, np.nan)
    patterns, inverse = np.unique(usable, axis=0, return_inverse=True)
    for number, pattern in enumerate(patterns):
        rows = np.flatnonzero(inverse.ravel() == number)
        kept = np.flatnonzero(pattern[::2] & pattern[1::2])
        if len(kept) < 3:
            continue
        places = np.stack([2 * kept, 2 * kept + 1], 1).ravel()
        distance[np.ix_(rows, kept)] = _conditional(
            off[np.ix_(rows, places)], covariance[np.ix_(places, places)]
        )
    usual = _usual(distance)
    return distance / np.where(usual > 0, usual, np.nan)


def _robust(values: Array) -> tuple[Array, Array]:
    """Medians and robust standard deviations of columns; 0 where there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        middle = np.nanmedian(values, 0)
        spread = 1.4826 * np.nanmedian(np.abs(values - middle), 0)
    return np.nan_to_num(middle), np.nan_to_num(spread)


def _covariance(values: Array, there: npt.NDArray[np.bool_]) -> Array:
    """Covariance of columns over the rows that have both, shrunk to its diagonal: the more, the
    more columns there are to a row."""
    count = np.maximum((there.T.astype(float)) @ there, 1)
    found = (values.T @ values) / count
    rows, columns = values.shape
    kept = rows / (rows + columns)
    shrunk = kept * found + (1 - kept) * np.diag(np.diag(found))
    # Pairs of columns from different rows need not make a covariance: the least eigenvalue is.
    least = float(np.linalg.eigvalsh(shrunk)[0])
    return shrunk + np.eye(columns) * max(1e-3, 1e-3 - least)


def _conditional(off: Array, covariance: Array) -> Array:
    """Mahalanobis distances (n, k) of points in rows (n, 2k), each given the others of its row.

    With the precision matrix P, a block's residual given the others is inv(P_kk) (P x)_k, with
    the covariance inv(P_kk).
    """
    precision = np.linalg.inv(covariance)
    product = (off @ precision).reshape(len(off), -1, 2)
    blocks = np.stack([precision[i : i + 2, i : i + 2] for i in range(0, len(precision), 2)])
    squared = np.einsum("nki,kij,nkj->nk", product, np.linalg.inv(blocks), product)
    return np.sqrt(np.maximum(squared, 0))


def _usual(distance: npt.NDArray[Any]) -> Array:
    """The scale (K,) of a Rayleigh distribution, by the median of each column."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(distance, 0) / np.sqrt(2 * np.log(2)), np.float64)
