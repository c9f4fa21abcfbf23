"""One Newton step on the logarithm of a map around its highest pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from heatkp.heatmaps.decoders._common import (
    Peak,
)

# Curvature of the log of a Gaussian of sigma = 300 pixels; anything flatter is rounding.
_FLAT = 1e-5


def stencil_centre(position: Tensor, extent: int, reach: int) -> Tensor:
    """The pixel nearest to the peak around which a stencil fits in the map."""
    return position.clamp(min(reach, extent - 1), max(extent - 1 - reach, 0))


def newton(
    heights: Tensor,
    centre: tuple[Tensor, Tensor],
    peak: Peak,
    size: tuple[int, int],
    step: int,
    furthest: tuple[float, float],
) -> tuple[Tensor, Tensor]:
    """The summit of the paraboloid through the logs of 9 of the pixels around a centre.

    heights (B, K, 2 s + 1, 2 s + 1) are logarithms; first and mixed derivatives come from the
    pixels beside the centre, second ones from those `step` away. Returns points (B, K, 2), no
    further than `furthest` from the peak along x and y, and covariances -H^-1.
    """
    c, s = step, step
    dx = (heights[..., c, c + 1] - heights[..., c, c - 1]) / 2
    dy = (heights[..., c + 1, c] - heights[..., c - 1, c]) / 2
    middle = 2 * heights[..., c, c]
    dxx = (heights[..., c, c + s] + heights[..., c, c - s] - middle) / s**2
    dyy = (heights[..., c + s, c] + heights[..., c - s, c] - middle) / s**2
    dxy = (
        heights[..., c + 1, c + 1]
        + heights[..., c - 1, c - 1]
        - heights[..., c + 1, c - 1]
        - heights[..., c - 1, c + 1]
    ) / 4
    height, width = size
    # An axis too short for the stencil takes no part.
    if width <= 2 * s:
        dx, dxx, dxy = torch.zeros_like(dx), -torch.ones_like(dxx), torch.zeros_like(dxy)
    if height <= 2 * s:
        dy, dyy, dxy = torch.zeros_like(dy), -torch.ones_like(dyy), torch.zeros_like(dxy)
    determinant = dxx * dyy - dxy * dxy
    # `>` is False for NaN, which pixels of -inf give.
    concave = (-dxx > _FLAT) & (-dyy > _FLAT) & (determinant > _FLAT * (dxx + dyy).abs())
    safe = torch.where(concave, determinant, torch.ones_like(determinant))
    offset = torch.stack([(dxy * dy - dyy * dx) / safe, (dxy * dx - dxx * dy) / safe], -1)
    highest = peak.points(heights.dtype)
    start = torch.stack(centre, -1).to(heights.dtype)
    if width <= 2 * s:
        start = torch.stack([highest[..., 0], start[..., 1]], -1)
    if height <= 2 * s:
        start = torch.stack([start[..., 0], highest[..., 1]], -1)
    limit = highest.new_tensor(furthest)
    found = (start + offset).clamp(highest - limit, highest + limit)
    edge = found.new_tensor([width - 0.5, height - 0.5])
    found = found.clamp(torch.full_like(edge, -0.5), edge)
    points = torch.where(concave[..., None], found, highest)
    inverse = torch.stack([-dyy, dxy, dxy, -dxx], -1) / safe[..., None]
    covariance = torch.where(concave[..., None], inverse, torch.full_like(inverse, math.nan))
    if width <= 2 * s or height <= 2 * s:
        covariance = torch.full_like(covariance, math.nan)
    return points, covariance.unflatten(-1, (2, 2))
