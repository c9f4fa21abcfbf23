"""A decoder that mass far from the peak moves less than it moves the expectation."""

from __future__ import annotations

import torch
from torch import Tensor

from heatkp.heatmaps.decoders import Decoded, DecoderSigma, Kind, decode_argmax, decoder


def _median(marginal: Tensor) -> Tensor:
    """Where the mass (..., N) of pixels, spread evenly over each, reaches one half: (...)."""
    below = marginal.cumsum(-1)
    index = (below < 0.5).sum(-1, keepdim=True).clamp(max=marginal.shape[-1] - 1)
    own = marginal.gather(-1, index).clamp(min=torch.finfo(marginal.dtype).tiny)
    missing = 0.5 - (below.gather(-1, index) - own)
    return (index - 0.5 + (missing / own).clamp(0, 1)).squeeze(-1)


@decoder("median", needs="mass", kinds=("logits",))
def decode_median(maps: Tensor, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """The median of the softmax along each axis, of maps (B, K, H, W). No covariance.

    >>> maps = torch.full((1, 1, 1, 5), -50.0)
    >>> maps[..., 1] = 0.0
    >>> decode_median(maps).points.tolist()
    [[[1.0, 0.0]]]
    """
    highest = decode_argmax(maps, kind, sigma)
    mass = maps.detach().float().flatten(2).softmax(2).view(maps.shape)
    points = torch.stack([_median(mass.sum(2)), _median(mass.sum(3))], -1)
    points = torch.where(highest.points.isnan(), torch.nan, points)
    return Decoded(points, highest.scores, None)
