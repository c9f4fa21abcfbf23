"""The mean coordinate under the softmax of a whole map."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from heatkp.heatmaps.decoders._common import (
    Decoded,
    DecoderSigma,
    Kind,
    check_arguments,
    decoder,
    finish,
    patches,
    sigma_pair,
)
from heatkp.heatmaps.decoders._moments import moments
from heatkp.heatmaps.precision import without_autocast, working_dtype


@decoder("expectation", needs="mean", covariance=True, kinds=("logits",))
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
    points, covariance = moments(mass, x, y)
    valid = torch.where(points.detach().isfinite().all(-1), 0.0, math.nan)
    where = points.detach().nan_to_num(0.0).round().long()
    rx, ry = (math.ceil(2 * s) for s in sigma_pair(sigma))
    near = patches(mass.detach(), where[..., 0], where[..., 1], (rx, ry))
    return finish(points, near.sum((2, 3)).clamp(0, 1), covariance, valid)
