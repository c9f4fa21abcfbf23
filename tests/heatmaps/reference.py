"""The losses as their definitions say: dense targets, float64, autograd."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor


def gaussians(points: Tensor, size: tuple[int, int], sigma: Any, normalised: bool) -> Tensor:
    height, width = size
    if isinstance(sigma, Tensor):
        sigma = sigma.double() if sigma.dim() == 3 else sigma.double()[..., None]
    else:
        sigma = torch.tensor(sigma, dtype=torch.float64)
    sx, sy = torch.broadcast_to(sigma, points.shape)[..., None, None].unbind(2)
    x = torch.arange(width).double() - points[..., 0, None, None]
    y = torch.arange(height).double()[:, None] - points[..., 1, None, None]
    u = torch.exp(-((x / sx) ** 2) / 2 - (y / sy) ** 2 / 2)
    return u / u.sum((2, 3), keepdim=True) if normalised else u


def bilinear(points: Tensor, size: tuple[int, int]) -> Tensor:
    height, width = size
    x = points[..., 0, None, None].clamp(0, width - 1)
    y = points[..., 1, None, None].clamp(0, height - 1)
    across = (1 - (torch.arange(width) - x).abs()).clamp(min=0)
    down = (1 - (torch.arange(height)[:, None] - y).abs()).clamp(min=0)
    return across * down


def log_softmax(maps: Tensor) -> Tensor:
    return maps.flatten(2).log_softmax(2).view(maps.shape)


def jensen_shannon(maps: Tensor, target: Tensor) -> Tensor:
    logs = log_softmax(maps)
    middle = torch.logaddexp(logs, target.log()) - math.log(2)
    terms = logs.exp() * (logs - middle) + torch.xlogy(target, target) - target * middle
    return terms.sum((2, 3)) / 2


def of_targets(name: str, maps: Tensor, g: Tensor, u: Tensor) -> Tensor | None:
    """Losses (B, K) against targets that are drawn: g sums to 1, u has a peak of 1. None for losses
    of coordinates."""
    logs = log_softmax(maps)
    if name in ("gaussian_cross_entropy", "pixel_cross_entropy"):
        return -(g * logs).sum((2, 3))
    if name == "kl_divergence":
        return (torch.xlogy(g, g) - g * logs).sum((2, 3))
    if name == "js_divergence":
        return jensen_shannon(maps, g)
    if name == "marginal_cross_entropy":
        columns = (g.sum(2) * logs.logsumexp(2)).sum(2)
        return -columns - (g.sum(3) * logs.logsumexp(3)).sum(2)
    if name == "gaussian_mse":
        return (maps - u).square().mean((2, 3))
    if name == "gaussian_l1":
        return (maps - u).abs().mean((2, 3))
    if name == "binary_cross_entropy":
        return F.binary_cross_entropy_with_logits(maps, u, reduction="none").mean((2, 3))
    return None


def unweighted(name: str, maps: Tensor, points: Tensor, sigma: Any, **options: Any) -> Tensor:
    """Losses (B, K) of float64 maps at usable points."""
    size = (maps.shape[2], maps.shape[3])
    g = gaussians(points, size, sigma, True)
    u = gaussians(points, size, sigma, False)
    if name == "pixel_cross_entropy":
        g = bilinear(points, size)
    drawn = of_targets(name, maps, g, u)
    if drawn is not None:
        return drawn
    p = log_softmax(maps).exp()
    x = torch.arange(size[1]) - points[..., 0, None]
    y = torch.arange(size[0]) - points[..., 1, None]
    px, py = p.sum(2), p.sum(3)
    means = torch.stack([(px * x).sum(2), (py * y).sum(2)], 2)
    spread_x = ((x - means[..., :1]) ** 2 * px).sum(2)
    spread_y = ((y - means[..., 1:]) ** 2 * py).sum(2)
    if name == "gaussian_nll":
        s = torch.broadcast_to(torch.as_tensor(sigma, dtype=torch.float64), points.shape)
        return (0.5 * (means / s) ** 2 + s.log()).sum(2) + math.log(2 * math.pi)
    loss = F.smooth_l1_loss(means, torch.zeros_like(means), reduction="none").sum(2)
    if name == "expectation_loss_variance":
        s = torch.broadcast_to(torch.as_tensor(sigma, dtype=torch.float64), points.shape)
        variances = torch.stack([spread_x, spread_y], 2)
        return loss + (variances - s**2).square().sum(2)
    if name == "expectation_loss_js":
        return loss + jensen_shannon(maps, g)
    assert name == "expectation_loss"
    return loss


def losses(name: str, maps: Tensor, points: Tensor, weights: Tensor, sigma: Any) -> Tensor:
    """Weighted losses (B, K) of float64 maps."""
    height, width = maps.shape[2:]
    x, y = points.unbind(2)
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    used = inside & (weights > 0)
    safe = torch.where(used[..., None], points, 0.0)
    values = unweighted(name, maps, safe, sigma)
    return torch.where(used, values * weights, 0.0)
