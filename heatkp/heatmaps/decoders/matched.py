"""The matched filter: the Gaussian that fits a map best, wherever its centre lies."""

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
from heatkp.heatmaps.precision import accurate_dtype, without_autocast

# Map pixels; a Newton step that is shorter leaves an error of about its square.
_SHORT = 1e-4


def _climb(
    near: Tensor, pixels: Tensor, sigma: Tensor, offset: Tensor, free: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The objective of `decode_matched` at offsets (B, K, 2) and the step (B, K, 2) from there.

    near (B, K, n, n) holds heights, pixels (B, K, 2, n) where its columns and rows lie, offsets
    from the highest pixel, as is the centre; sigma (2) is along x and y. An axis that is not
    `free` (2) is one pixel long: nothing depends on it, and rounding must not say otherwise.
    """
    t = (pixels - offset[..., None]) / sigma[:, None]
    u = (-0.5 * t * t).exp()
    # The template along each axis, its first and its second derivative by the centre.
    first = t * u / sigma[:, None]
    terms = torch.stack([u, first, (t * t - 1) * u / sigma[:, None] ** 2], -2)
    products = (terms * u[..., None, :]).sum(-1)
    norm = products[..., 0]
    slope = products[..., 1] / norm
    curvature = (products[..., 2] + (first * first).sum(-1)) / norm - 2 * slope**2
    m = terms[:, :, 1] @ near @ terms[:, :, 0].mT
    height = m[..., 0, 0].clamp(min=torch.finfo(m.dtype).tiny)
    relative = m.flatten(-2) / height[..., None]
    gradient, second, mixed = relative[..., 1:4:2], relative[..., 2:7:4], relative[..., 4]
    mixed = mixed - gradient[..., 0] * gradient[..., 1]
    second = second - gradient**2 - curvature
    gradient = gradient - slope
    if free is not None:
        gradient, mixed = gradient * free, mixed * free.all()
        second = torch.where(free, second, -1.0)
    return height.log() - 0.5 * norm.log().sum(-1), _step(gradient, second, mixed, sigma)


def _step(gradient: Tensor, second: Tensor, mixed: Tensor, sigma: Tensor) -> Tensor:
    """Newton's step (B, K, 2), or one uphill where the objective is not concave.

    gradient and second hold the derivatives by x and by y, mixed that by both.
    """
    determinant = second[..., 0] * second[..., 1] - mixed**2
    concave = (second < 0).all(-1) & (determinant > 0)
    safe = torch.where(concave, determinant, 1.0)
    newton = (mixed[..., None] * gradient.flip(-1) - second.flip(-1) * gradient) / safe[..., None]
    # Uphill by the curvature a Gaussian would have, where the true one is of no use.
    return torch.where(concave[..., None], newton, 2 * sigma**2 * gradient).clamp(-1, 1)


@decoder("matched", needs="shape")
@without_autocast
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
    extent = (maps.shape[3], maps.shape[2])
    reaches = [min(math.ceil(3 * s), size - 1) for s, size in zip((sx, sy), extent)]
    reach = max(reaches)
    near = patches(maps, peak.x, peak.y, (reach, reach), fill=math.nan)
    if kind != "gaussian":
        near = amplitudes(near, peak, kind)
    # In double precision: along a ridge rounding would decide where the climb ends.
    near = near.to(accurate_dtype(maps))
    line = torch.arange(-reach, reach + 1, dtype=near.dtype, device=near.device)
    widths, sizes = (near.new_tensor(pair) for pair in ((sx, sy), extent))
    highest = peak.points(near.dtype)
    place = highest[..., None] + line
    inside = (place >= 0) & (place < sizes[:, None])
    inside &= line.abs() <= near.new_tensor(reaches)[:, None]
    # Pixels that take no part are pushed so far that the template is 0 there.
    pixels = torch.where(inside, line, 1e3 * max(sx, sy) + reach)
    within = inside[:, :, 1, :, None] & inside[:, :, 0, None, :]
    near = torch.where(within, near, 0.0)
    limit = widths.clamp(min=1.0)
    low, high = (-0.5 - highest).maximum(-limit), (sizes - 0.5 - highest).minimum(limit)
    free = sizes > 1 if 1 in extent else None

    def towards(offset: Tensor, step: Tensor, scale: Tensor) -> Tensor:
        return (offset + scale[..., None] * step).clamp(low, high)

    offset = torch.zeros_like(low)
    best, step = _climb(near, pixels, widths, offset, free)
    scale = torch.ones_like(best)
    for _ in range(steps):
        trial = towards(offset, step, scale)
        # A map that has arrived stays, so that none depends on how long the others take.
        moving = ((trial - offset).abs() > _SHORT).any(-1)
        if not torch.compiler.is_compiling() and not moving.any():
            break
        value, following = _climb(near, pixels, widths, trial, free)
        better = moving & (value > best)
        offset = torch.where(better[..., None], trial, offset)
        step = torch.where(better[..., None], following, step)
        best = torch.where(better, value, best)
        scale = torch.where(better, 1.0, torch.where(moving, scale / 4, scale))
    trial = towards(offset, step, scale)
    arrived = ((trial - offset).abs() <= _SHORT).all(-1)
    offset = torch.where(arrived[..., None], trial, offset)
    lowest = torch.where(within, near, math.inf).amin((2, 3))
    flat = lowest == torch.where(within, near, -math.inf).amax((2, 3))
    offset = torch.where(flat[..., None], 0.0, offset)
    scores = peak_scores(maps, peak, kind, sigma)
    return finish((highest + offset).to(scores.dtype), scores, None, peak.value)
