"""DARK: a Newton step on the log of the blurred map."""

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
from heatkp.heatmaps.decoders._newton import newton, stencil_centre
from heatkp.heatmaps.precision import without_autocast


def _kernel(sigma: float, reach: int, like: Tensor) -> Tensor:
    """Blurs five neighbouring pixels at once: (5, 2 reach + 5), Gaussians of the given sigma."""
    pixels = torch.arange(-reach - 2, reach + 3, dtype=like.dtype, device=like.device)
    shift = torch.arange(-2, 3, dtype=like.dtype, device=like.device)[:, None]
    distance = (pixels - shift).abs()
    kernel = (-0.5 * (distance / sigma) ** 2).exp()
    return torch.where(distance <= reach, kernel, torch.zeros_like(kernel))


@decoder("dark", needs="shape", covariance=True)
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
    x, y = stencil_centre(peak.x, width, 2), stencil_centre(peak.y, height, 2)
    rx, ry = math.ceil(3 * bx), math.ceil(3 * by)
    near = patches(maps, x, y, (rx + 2, ry + 2), fill=math.nan)
    present = (~near.isnan()).to(near.dtype)
    heights = amplitudes(near, peak, kind).nan_to_num(0.0)
    rows, columns = _kernel(by, ry, near), _kernel(bx, rx, near).mT
    smooth = (rows @ heights @ columns) / (rows @ present @ columns)
    floor = 1e-10 * smooth.amax((2, 3), keepdim=True).clamp(min=1e-20)
    points, covariance = newton(
        smooth.clamp(floor).log(), (x, y), peak, (height, width), 2, (max(1.0, bx), max(1.0, by))
    )
    own = torch.diag(covariance.new_tensor([bx**2, by**2]))
    left = covariance - own
    (xx, xy), (yx, yy) = (row.unbind(-1) for row in left.unbind(-2))
    proper = (xx > 0) & (yy > 0) & (xx * yy - xy * yx > 0)
    covariance = torch.where(proper[..., None, None], left, left.new_full((), math.nan))
    return finish(points, peak_scores(maps, peak, kind, sigma), covariance, peak.value)
