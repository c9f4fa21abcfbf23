"""The highest pixel, moved a quarter of a pixel."""

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
    find_peak,
    finish,
    patches,
    peak_scores,
)
from heatkp.heatmaps.precision import without_autocast


@decoder("quarter", needs="peak")
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
