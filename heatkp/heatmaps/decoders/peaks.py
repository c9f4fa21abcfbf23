"""Decoders that start from the highest pixel: argmax, quarter, quadratic, DARK, matched."""

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
from heatkp.heatmaps.precision import accurate_dtype, working_dtype

# Curvature of the log of a Gaussian of sigma = 300 pixels; anything flatter is rounding.
_FLAT = 1e-5


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


def _axis_terms(pixels: Tensor, centre: Tensor, sigma: float) -> tuple[Tensor, Tensor]:
    """A peak-1 Gaussian, its first and second derivative by the centre, (B, K, 3, n), and the
    value and derivatives of half the log of its squared norm, (B, K, 3)."""
    t = (pixels - centre[..., None]) / sigma
    u = (-0.5 * t * t).exp()
    terms = torch.stack([u, t * u / sigma, (t * t - 1) * u / sigma**2], -2)
    n0 = (terms[..., 0, :] ** 2).sum(-1)
    n1 = (terms[..., 0, :] * terms[..., 1, :]).sum(-1)
    n2 = (terms[..., 1, :] ** 2 + terms[..., 0, :] * terms[..., 2, :]).sum(-1)
    slope = n1 / n0
    return terms, torch.stack([0.5 * n0.log(), slope, n2 / n0 - 2 * slope**2], -1)


def decode_matched(
    maps: Tensor,
    kind: Kind = "logits",
    sigma: DecoderSigma = 1.0,
    *,
    steps: int = 8,
) -> Decoded:
    """Matched filter: the centre whose Gaussian correlates best with the map.

    Maximises log(u_y^T Z u_x) - log |u_x| - log |u_y| over the continuous centre, u of peak 1
    and the given sigma, over a window of 3 sigma around the highest pixel, by damped Newton
    steps. By the Cauchy-Schwarz inequality the maximum for a map that is such a Gaussian is its
    centre exactly, at the borders too; for a map with white noise it is the least-squares fit.
    Z is the probabilities for softmax and sigmoid logits, and the values, negative ones
    included, for Gaussian maps. A step that does not raise the correlation is shortened; the
    answer stays within one pixel or one sigma, whichever is more, of the highest pixel along each
    axis, and is that pixel where the window is flat.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: standard deviation the maps were trained on, in map pixels.
        steps: Newton steps at most; a Gaussian takes two or three.

    Returns:
        No covariance: the template's shape is given, not found.

    >>> from heatkp.heatmaps.gaussians import render_gaussians
    >>> maps = render_gaussians(torch.tensor([[[0.3, 2.0]]]), (6, 8), 1.5, normalised=False)
    >>> [round(v, 3) for v in decode_matched(maps, "gaussian", 1.5).points[0, 0].tolist()]
    [0.3, 2.0]
    """
    check_arguments(maps, kind)
    sx, sy = sigma_pair(sigma)
    maps = maps.detach()
    peak = find_peak(maps)
    height, width = maps.shape[2:]
    rx, ry = min(math.ceil(3 * sx), width - 1), min(math.ceil(3 * sy), height - 1)
    near = patches(maps, peak.x, peak.y, (rx, ry), fill=math.nan)
    outside = near.isnan()
    if kind != "gaussian":
        near = amplitudes(near, peak, kind)
    # In double precision: along a ridge rounding would decide where the climb ends.
    near = torch.where(outside, torch.zeros_like(near), near).to(accurate_dtype(maps))
    # Offsets from the highest pixel; those beyond the map are pushed so far that u is 0.
    far = 1e3 * max(sx, sy) + rx + ry
    xs = torch.arange(-rx, rx + 1, dtype=near.dtype, device=near.device)
    ys = torch.arange(-ry, ry + 1, dtype=near.dtype, device=near.device)
    px, py = peak.x[..., None] + xs, peak.y[..., None] + ys
    xs = torch.where((px >= 0) & (px < width), xs, torch.full_like(px, far))
    ys = torch.where((py >= 0) & (py < height), ys, torch.full_like(py, far))
    highest = peak.points(near.dtype)
    limit = near.new_tensor([max(1.0, sx), max(1.0, sy)])
    low = (-0.5 - highest).maximum(-limit)
    high = (near.new_tensor([width - 0.5, height - 0.5]) - highest).minimum(limit)
    tiny = torch.finfo(near.dtype).tiny

    def evaluate(offset: Tensor) -> tuple[Tensor, Tensor]:
        """Objective (B, K) and Newton step (B, K, 2) at an offset from the highest pixel."""
        across, norm_x = _axis_terms(xs, offset[..., 0], sx)
        down, norm_y = _axis_terms(ys, offset[..., 1], sy)
        m = down @ near @ across.mT
        f = m[..., 0, 0].clamp(min=tiny)
        dx, dy = m[..., 0, 1] / f, m[..., 1, 0] / f
        dxx = m[..., 0, 2] / f - dx * dx - norm_x[..., 2]
        dyy = m[..., 2, 0] / f - dy * dy - norm_y[..., 2]
        dxy = m[..., 1, 1] / f - dx * dy
        dx, dy = dx - norm_x[..., 1], dy - norm_y[..., 1]
        if width == 1:  # nothing depends on x, and rounding must not say otherwise
            dx, dxx, dxy = torch.zeros_like(dx), -torch.ones_like(dxx), torch.zeros_like(dxy)
        if height == 1:
            dy, dyy, dxy = torch.zeros_like(dy), -torch.ones_like(dyy), torch.zeros_like(dxy)
        determinant = dxx * dyy - dxy * dxy
        concave = (dxx < 0) & (dyy < 0) & (determinant > 0)
        safe = torch.where(concave, determinant, torch.ones_like(determinant))
        newton = torch.stack([(dxy * dy - dyy * dx), (dxy * dx - dxx * dy)], -1) / safe[..., None]
        # Uphill by the curvature a Gaussian would have, where the true one is of no use.
        uphill = torch.stack([2 * sx**2 * dx, 2 * sy**2 * dy], -1)
        step = torch.where(concave[..., None], newton, uphill).clamp(-1, 1)
        return f.log() - norm_x[..., 0] - norm_y[..., 0], step

    offset = torch.zeros_like(low)
    best, step = evaluate(offset)
    scale = torch.ones_like(best)
    for _ in range(steps):
        # A map that has arrived stays, so that none depends on how long the others take.
        moving = ((scale[..., None] * step).abs() > 1e-6).any(-1)
        if not torch.compiler.is_compiling() and not moving.any():
            break
        trial = torch.clamp(offset + scale[..., None] * step, low, high)
        value, following = evaluate(trial)
        better = moving & (value > best)
        offset = torch.where(better[..., None], trial, offset)
        step = torch.where(better[..., None], following, step)
        best = torch.where(better, value, best)
        scale = torch.where(better, torch.ones_like(scale), scale / 4)
    lowest = torch.where(outside, math.inf, near).amin((2, 3))
    flat = lowest == torch.where(outside, -math.inf, near).amax((2, 3))
    offset = torch.where(flat[..., None], torch.zeros_like(offset), offset)
    scores = peak_scores(maps, peak, kind, sigma)
    return finish((highest + offset).to(scores.dtype), scores, None, peak.value)
