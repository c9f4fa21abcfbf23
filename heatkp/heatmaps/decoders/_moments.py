"""Mean and covariance of a mass on pixels."""

from __future__ import annotations

import torch
from torch import Tensor


def moments(mass: Tensor, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (B, K, 2) and covariance (B, K, 2, 2) of mass (B, K, h, w) at columns x, rows y."""
    px, py = mass.sum(2), mass.sum(3)
    total = px.sum(2)
    mean_x, mean_y = (px * x).sum(2) / total, (py * y).sum(2) / total
    cx, cy = x - mean_x[..., None], y - mean_y[..., None]
    xx, yy = (px * cx * cx).sum(2) / total, (py * cy * cy).sum(2) / total
    xy = ((mass @ cx[..., None])[..., 0] * cy).sum(2) / total
    covariance = torch.stack([xx, xy, xy, yy], -1).unflatten(-1, (2, 2))
    return torch.stack([mean_x, mean_y], -1), covariance
