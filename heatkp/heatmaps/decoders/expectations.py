"""Decoders that average coordinates: over the whole map, or around its highest pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from heatkp.heatmaps.decoders.common import (
    Decoded,
    DecoderSigma,
    Kind,
    amplitudes,
    check_arguments,
    find_peak,
    finish,
    patches,
    peak_scores,
    sigma_pair,
)
from heatkp.heatmaps.precision import without_autocast, working_dtype


def _moments(mass: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, K, 2) and covariance (B, K, 2, 2) of mass (B, K, h, w) at columns x, rows y."""
    px, py = mass.sum(2), mass.sum(3)
    total = px.sum(2)
    mean_x, mean_y = (px * x).sum(2) / total, (py * y).sum(2) / total
    cx, cy = x - mean_x[..., None], y - mean_y[..., None]
    xx, yy = (px * cx * cx).sum(2) / total, (py * cy * cy).sum(2) / total
    xy = ((mass @ cx[..., None])[..., 0] * cy).sum(2) / total
    covariance = torch.stack([xx, xy, xy, yy], -1).unflatten(-1, (2, 2))
    return torch.stack([mean_x, mean_y], -1), covariance


@without_autocast
def decode_expectation(
    maps: Tensor,
    kind: Kind = "logits",
    sigma: DecoderSigma = 1.0,
    *,
    temperature: float = 1.0,
) -> Decoded:
    """The mean coordinate under the softmax of the whole map (soft-argmax; Nibali et al. 2018).

    x = sum_ij p_ij j and y = sum_ij p_ij i with p = softmax(Z / T): differentiable. A flat map
    gives the map's centre. Only for softmax logits: over Gaussian maps or sigmoid logits the
    background outweighs the peak, and they are refused.

    Args:
        maps: logits (B, K, H, W).
        kind: must be "logits".
        sigma: sets only the neighbourhood of the score, see `Decoded`.
        temperature: T above, > 0; below 1 sharpens.

    Returns:
        The covariance is that of p.

    >>> decoded = decode_expectation(torch.tensor([[[[0.0, 0.0, math.log(2)]]]]))
    >>> decoded.points.tolist(), round(decoded.covariance[0, 0, 0, 0].item(), 4)
    ([[[1.25, 0.0]]], 0.6875)
    """
    check_arguments(maps, kind)
    if kind != "logits":
        raise ValueError(
            f"the expectation over a softmax has no meaning for maps of kind {kind!r}, only for "
            '"logits"; use a decoder around the peak: argmax, quarter, dark, quadratic, '
            "local_expectation, matched"
        )
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"temperature must be positive and finite, got {temperature!r}")
    dtype = working_dtype(maps)
    height, width = maps.shape[2:]
    mass = (maps.to(dtype).flatten(2) / temperature).softmax(2).view(maps.shape)
    x = torch.arange(width, dtype=dtype, device=maps.device)
    y = torch.arange(height, dtype=dtype, device=maps.device)
    points, covariance = _moments(mass, x, y)
    valid = torch.where(points.detach().isfinite().all(-1), 0.0, math.nan)
    where = points.detach().nan_to_num(0.0).round().long()
    rx, ry = (math.ceil(2 * s) for s in sigma_pair(sigma))
    near = patches(mass.detach(), where[..., 0], where[..., 1], (rx, ry))
    return finish(points, near.sum((2, 3)).clamp(0, 1), covariance, valid)


@without_autocast
def decode_local_expectation(
    maps: Tensor,
    kind: Kind = "logits",
    sigma: DecoderSigma = 1.0,
    *,
    radius: int | None = None,
) -> Decoded:
    """The mean coordinate over a square window around the highest pixel.

    The weights are the softmax over the window for softmax logits, the values (negative ones
    count as 0) for Gaussian maps and the probabilities for sigmoid logits. Near a border the
    window is cut and the mean moves inwards by up to some 0.8 sigma. Where no weight is left
    (Gaussian maps without a positive value) the answer is the highest pixel.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: standard deviation the maps were trained on, in map pixels.
        radius: half the window's side, in pixels; None for 3 sigma + 1, rounded up.

    Returns:
        The covariance is that of the weights.

    >>> maps = torch.tensor([[[[0.0, 0.0, 0.5, 1.0, 0.5, 0.25, 0.0, 0.9]]]])
    >>> decode_local_expectation(maps, "gaussian", radius=1).points.tolist()
    [[[3.0, 0.0]]]
    """
    check_arguments(maps, kind)
    sx, sy = sigma_pair(sigma)
    if radius is not None and radius < 1:
        raise ValueError(f"radius must be at least 1 pixel, got {radius}")
    rx = radius if radius is not None else math.ceil(3 * sx) + 1
    ry = radius if radius is not None else math.ceil(3 * sy) + 1
    maps = maps.detach()
    peak = find_peak(maps)
    near = patches(maps, peak.x, peak.y, (rx, ry), fill=-math.inf)
    mass = amplitudes(near, peak, kind)
    x = torch.arange(-rx, rx + 1, dtype=mass.dtype, device=maps.device)
    y = torch.arange(-ry, ry + 1, dtype=mass.dtype, device=maps.device)
    offset, covariance = _moments(mass, x, y)
    empty = (mass.amax((2, 3)) <= 0)[..., None]
    points = peak.points(mass.dtype) + torch.where(empty, torch.zeros_like(offset), offset)
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)
