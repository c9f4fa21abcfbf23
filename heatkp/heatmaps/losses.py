"""Losses of maps against points (interim)."""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from heatkp.heatmaps.gaussians import (
    Sigma,
    bilinear_window,
    parse_sigma,
    render_gaussians,
    usable_weights,
)


def masked_mean(losses: Tensor, weights: Tensor | None = None) -> Tensor:
    if weights is None:
        return losses.sum() / max(losses.numel(), 1)
    total = weights.to(losses.dtype).sum()
    return losses.sum() / torch.where(total > 0, total, torch.ones_like(total))


def _prepare(maps, points, weights):
    size = (maps.shape[2], maps.shape[3])
    maps = maps if maps.dtype == torch.float64 else maps.float()
    w = usable_weights(points, weights, size).to(maps.dtype)
    points = torch.where((w > 0)[..., None], points, torch.zeros_like(points)).to(maps.dtype)
    return maps, points, w, size


def _finish(values, w):
    return torch.where(w > 0, values * w, torch.zeros_like(values))


def gaussian_cross_entropy(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    g = render_gaussians(points, size, sigma)
    return _finish(-(g * maps.flatten(2).log_softmax(2).view_as(maps)).sum((2, 3)), w)


def kl_divergence(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    g = render_gaussians(points, size, sigma)
    lp = maps.flatten(2).log_softmax(2).view_as(maps)
    return _finish((torch.xlogy(g, g) - g * lp).sum((2, 3)), w)


def pixel_cross_entropy(maps, points, weights=None):
    maps, points, w, size = _prepare(maps, points, weights)
    window = bilinear_window(points, size)
    lp = maps.flatten(2).log_softmax(2).flatten(0, 1)
    values = -(lp.gather(1, window.index()) * window.target().to(maps.dtype)).sum(1)
    return _finish(values.view_as(w), w)


def gaussian_mse(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    u = render_gaussians(points, size, sigma, normalised=False)
    return _finish((maps - u).square().mean((2, 3)), w)


def gaussian_l1(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    u = render_gaussians(points, size, sigma, normalised=False)
    return _finish((maps - u).abs().mean((2, 3)), w)


def binary_cross_entropy(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    u = render_gaussians(points, size, sigma, normalised=False)
    values = F.binary_cross_entropy_with_logits(maps, u, reduction="none").mean((2, 3))
    return _finish(values, w)


def _moments(maps, centre):
    p = maps.flatten(2).softmax(2).view_as(maps)
    h, w = maps.shape[2:]
    x = torch.arange(w, dtype=maps.dtype, device=maps.device) - centre[..., 0, None]
    y = torch.arange(h, dtype=maps.dtype, device=maps.device) - centre[..., 1, None]
    px, py = p.sum(2), p.sum(3)
    offset = torch.stack([(px * x).sum(2), (py * y).sum(2)], 2)
    second = torch.stack([(px * x.square()).sum(2), (py * y.square()).sum(2)], 2)
    return offset, second - offset.square()


def expectation_loss(
    maps,
    points,
    weights=None,
    *,
    kind: Literal["smooth_l1", "l1", "wing"] = "smooth_l1",
    beta: float = 1.0,
    wing_width: float = 10.0,
    wing_curvature: float = 2.0,
    regulariser: Literal["variance", "js"] | None = None,
    regulariser_weight: float = 1.0,
    sigma: Sigma = 1.0,
):
    maps, points, w, size = _prepare(maps, points, weights)
    offset, variance = _moments(maps, points)
    e = offset.abs()
    if kind == "l1":
        values = e
    elif kind == "smooth_l1":
        values = torch.where(e < beta, 0.5 * e.square() / beta, e - 0.5 * beta)
    elif kind == "wing":
        c = wing_width - wing_width * math.log1p(wing_width / wing_curvature)
        values = torch.where(
            e < wing_width, wing_width * torch.log1p(e / wing_curvature), e - c
        )
    else:
        raise ValueError(f"unknown kind {kind!r}; allowed: smooth_l1, l1, wing")
    values = values.sum(2)
    if regulariser == "variance":
        s = parse_sigma(sigma, points, maps.dtype)
        values = values + regulariser_weight * (variance - s.square()).square().sum(2)
    elif regulariser == "js":
        g = render_gaussians(points, size, sigma)
        lp = maps.flatten(2).log_softmax(2).view_as(maps)
        lm = torch.logaddexp(lp, g.log()) - math.log(2)
        js = 0.5 * (lp.exp() * (lp - lm) + torch.xlogy(g, g) - g * lm).sum((2, 3))
        values = values + regulariser_weight * js
    return _finish(values, w)


def marginal_cross_entropy(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    g = render_gaussians(points, size, sigma)
    lx = maps.logsumexp(2).log_softmax(2)
    ly = maps.logsumexp(3).log_softmax(2)
    return _finish(-(g.sum(2) * lx).sum(2) - (g.sum(3) * ly).sum(2), w)


def gaussian_nll(maps, points, weights=None, sigma: Sigma = 1.0):
    maps, points, w, size = _prepare(maps, points, weights)
    offset, _ = _moments(maps, points)
    s = parse_sigma(sigma, points, maps.dtype)
    values = (0.5 * (offset / s).square() + s.log()).sum(2) + math.log(2 * math.pi)
    return _finish(values, w)
