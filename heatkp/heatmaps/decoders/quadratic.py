"""The summit of a paraboloid through the log of a map."""

from __future__ import annotations

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
from heatkp.heatmaps.decoders._newton import newton, stencil_centre
from heatkp.heatmaps.precision import without_autocast


@decoder("quadratic", needs="shape", covariance=True)
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
    x, y = stencil_centre(peak.x, width, 1), stencil_centre(peak.y, height, 1)
    near = patches(maps, x, y, (1, 1))
    if kind == "gaussian":
        top = peak.value.to(near.dtype)[..., None, None]
        floor = (1e-6 * top).clamp(min=torch.finfo(near.dtype).tiny)
        logs = near.clamp(floor).log()
    elif kind == "sigmoid_logits":
        logs = torch.nn.functional.logsigmoid(near)
    else:
        logs = near - peak.value.to(near.dtype)[..., None, None]
    points, covariance = newton(logs, (x, y), peak, (height, width), 1, (1.0, 1.0))
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)
