"""The highest pixel."""

from __future__ import annotations

from torch import Tensor

from heatkp.heatmaps.decoders._common import (
    Decoded,
    DecoderSigma,
    Kind,
    check_arguments,
    decoder,
    find_peak,
    finish,
    peak_scores,
)
from heatkp.heatmaps.precision import without_autocast, working_dtype


@decoder("argmax", needs="peak")
@without_autocast
def decode_argmax(maps: Tensor, kind: Kind = "logits", sigma: DecoderSigma = 1.0) -> Decoded:
    """The highest pixel of each map.

    Among equals the first in row-major order, so pixel (0, 0) of a flat map. `sigma` sets only
    the neighbourhood of the score, see `Decoded`. No covariance.

    Args:
        maps: (B, K, H, W).
        kind: what the maps hold, see `Kind`.
        sigma: standard deviation the maps were trained on, in map pixels.

    >>> import torch
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
