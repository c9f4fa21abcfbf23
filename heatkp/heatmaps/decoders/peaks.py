"""Decoders that start from the highest pixel: argmax, quarter, quadratic, DARK."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from heatkp.heatmaps.decoders.common import (
    Decoded,
    DecoderSigma,
    Kind,
    Peak,
    amplitudes,
    check_arguments,
    find_peak,
    finish,
    patches,
    peak_scores,
    sigma_pair,
)
from heatkp.heatmaps.precision import without_autocast, working_dtype

# Curvature of the log of a Gaussian of sigma = 300 pixels; anything flatter is rounding.
_FLAT = 1e-5


@without_autocast
def decode_argmax(maps: Tensor, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """The highest pixel of each map.

    Among equals the first in row-major order, so pixel (0, 0) of a flat map. `sigma` sets only
    the neighbourhood of the score, see `Decoded`. No covariance.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: standard deviation the maps were trained on, in map pixels.

    >>> maps = torch.tensor([[[[0.0, 1.0, 0.0], [0.0, 0.5, 0.75]]]])
    >>> decode_argmax(maps, "gaussian").points.tolist()
    [[[1.0, 0.0]]]
    """
    check_arguments(maps, kind)
    maps = maps.detach()
    peak = find_peak(maps)
    return finish(
        peak.points(working_dtype(maps)), peak_scores(maps, peak, kind, sigma), None, peak.value
    )


@without_autocast
def decode_quarter(maps: Tensor, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """The highest pixel, moved a quarter of a pixel towards its higher neighbour on each axis.

    No move along an axis whose neighbours are equal or on whose border the peak lies. The
    customary offset since Newell et al. 2016 (Stacked Hourglass). No covariance.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: sets only the neighbourhood of the score, see `Decoded`.

    >>> maps = torch.tensor([[[[0.0, 0.0, 0.0], [0.2, 1.0, 0.5], [0.0, 0.0, 0.0]]]])
    >>> decode_quarter(maps, "gaussian").points.tolist()
    [[[1.25, 1.0]]]
    """
    check_arguments(maps, kind)
    maps = maps.detach()
    peak = find_peak(maps)
    near = patches(maps, peak.x, peak.y, (1, 1), fill=math.nan)
    slope = torch.stack([near[..., 1, 2] - near[..., 1, 0], near[..., 2, 1] - near[..., 0, 1]], -1)
    points = peak.points(near.dtype) + 0.25 * slope.nan_to_num(0.0).sign()
    return finish(points, peak_scores(maps, peak, kind, sigma), None, peak.value)


def _stencil_centre(position: Tensor, extent: int, reach: int) -> Tensor:
    """The pixel nearest to the peak around which a stencil fits in the map."""
    return position.clamp(min(reach, extent - 1), max(extent - 1 - reach, 0))


def _newton(
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


@without_autocast
def decode_quadratic(maps: Tensor, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """The summit of the paraboloid through the log of the map around its highest pixel.

    With f the log of the map, its central differences over 3 x 3 pixels give gradient d and
    Hessian H, and the answer is x - H^-1 d: exact for a Gaussian of any covariance, at borders
    too (there the stencil moves inside). The log is the logits themselves for softmax logits,
    log Z for Gaussian maps (values below 1e-6 of the peak count as that) and log sigmoid Z for
    sigmoid logits. Where the log is not concave (a flat map, a lone -inf beside the peak) the
    answer is the highest pixel; none is further than one pixel from it along an axis.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: sets only the neighbourhood of the score, see `Decoded`.

    Returns:
        The covariance is -H^-1: that of the Gaussian with this curvature.

    >>> from heatkp.heatmaps.gaussians import render_gaussians
    >>> maps = render_gaussians(torch.tensor([[[3.3, 2.0]]]), (6, 8), 1.5, normalised=False)
    >>> points, scores, covariance = decode_quadratic(maps, "gaussian")
    >>> [round(v, 3) for v in points[0, 0].tolist()], round(covariance[0, 0, 0, 0].item(), 3)
    ([3.3, 2.0], 2.25)
    """
    check_arguments(maps, kind)
    maps = maps.detach()
    peak = find_peak(maps)
    height, width = maps.shape[2:]
    x, y = _stencil_centre(peak.x, width, 1), _stencil_centre(peak.y, height, 1)
    near = patches(maps, x, y, (1, 1))
    if kind == "gaussian":
        top = peak.value.to(near.dtype)[..., None, None]
        floor = (1e-6 * top).clamp(min=torch.finfo(near.dtype).tiny)
        logs = near.clamp(floor).log()
    elif kind == "sigmoid_logits":
        logs = torch.nn.functional.logsigmoid(near)
    else:
        logs = near - peak.value.to(near.dtype)[..., None, None]
    points, covariance = _newton(logs, (x, y), peak, (height, width), 1, (1.0, 1.0))
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)


def _kernel(sigma: float, reach: int, like: Tensor) -> Tensor:
    """Blurs five neighbouring pixels at once: (5, 2 reach + 5), Gaussians of the given sigma."""
    pixels = torch.arange(-reach - 2, reach + 3, dtype=like.dtype, device=like.device)
    shift = torch.arange(-2, 3, dtype=like.dtype, device=like.device)[:, None]
    distance = (pixels - shift).abs()
    kernel = (-0.5 * (distance / sigma) ** 2).exp()
    return torch.where(distance <= reach, kernel, torch.zeros_like(kernel))


@without_autocast
def decode_dark(
    maps: Tensor,
    kind: Kind = "logits",
    sigma: DecoderSigma = 1.0,
    *,
    blur: float | None = None,
) -> Decoded:
    """DARK: one Newton step on the log of the blurred map (Zhang et al. 2020).

    The map is smoothed with a Gaussian of standard deviation `blur`, cut at three of them; at
    the highest pixel m of the raw map, with f the log of the smoothed map, the answer is
    m - (D''f)^-1 D'f, the derivatives as in the authors' code (first and mixed ones from
    neighbours, second ones two pixels apart). For softmax logits the probabilities are smoothed.
    Unlike there, beyond the border counts as missing and not as 0, and near it the stencil moves
    inside; within 3 blurs of the border the smoothing still pulls the answer inwards. Where the
    log is not concave, the answer is the highest pixel; none is further from it along an axis
    than one pixel or one blur, whichever is more.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: standard deviation the maps were trained on, in map pixels.
        blur: standard deviation of the smoothing in map pixels; None for sigma, as in the paper.

    Returns:
        The covariance is -(D''f)^-1 less the smoothing's own, where that leaves one.

    >>> from heatkp.heatmaps.gaussians import render_gaussians
    >>> maps = render_gaussians(torch.tensor([[[9.3, 8.0]]]), (18, 20), 2.0, normalised=False)
    >>> [round(v, 2) for v in decode_dark(maps, "gaussian", 2.0).points[0, 0].tolist()]
    [9.3, 8.0]
    """
    check_arguments(maps, kind)
    bx, by = sigma_pair(sigma) if blur is None else sigma_pair(blur)
    maps = maps.detach()
    peak = find_peak(maps)
    height, width = maps.shape[2:]
    x, y = _stencil_centre(peak.x, width, 2), _stencil_centre(peak.y, height, 2)
    rx, ry = math.ceil(3 * bx), math.ceil(3 * by)
    near = patches(maps, x, y, (rx + 2, ry + 2), fill=math.nan)
    present = (~near.isnan()).to(near.dtype)
    heights = amplitudes(near, peak, kind).nan_to_num(0.0)
    rows, columns = _kernel(by, ry, near), _kernel(bx, rx, near).mT
    smooth = (rows @ heights @ columns) / (rows @ present @ columns)
    floor = 1e-10 * smooth.amax((2, 3), keepdim=True).clamp(min=1e-20)
    points, covariance = _newton(
        smooth.clamp(floor).log(), (x, y), peak, (height, width), 2, (max(1.0, bx), max(1.0, by))
    )
    own = torch.diag(covariance.new_tensor([bx**2, by**2]))
    left = covariance - own
    proper = (left.diagonal(dim1=-2, dim2=-1) > 0).all(-1) & (torch.linalg.det(left) > 0)
    covariance = torch.where(proper[..., None, None], left, left.new_full((), math.nan))
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)
