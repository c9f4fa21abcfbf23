"""The mean coordinate around the highest pixel."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from heatkp.heatmaps.decoders._common import (
    Decoded,
    DecoderSigma,
    Kind,
    amplitudes,
    check_arguments,
    decoder,
    find_peak,
    finish,
    patches,
    peak_scores,
    sigma_pair,
)
from heatkp.heatmaps.decoders._moments import moments
from heatkp.heatmaps.precision import without_autocast


@decoder("local_expectation", needs="mass", covariance=True)
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
    offset, covariance = moments(mass, x, y)
    empty = (mass.amax((2, 3)) <= 0)[..., None]
    points = peak.points(mass.dtype) + torch.where(empty, torch.zeros_like(offset), offset)
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)
