"""Maps as what they mean."""

from __future__ import annotations

from torch import Tensor

from heatkp.heatmaps.contents import Kind


def activate(maps: Tensor, kind: Kind) -> Tensor:
    """Maps (B, K, H, W) as what they mean, none below 0.

    Logits as their softmax over all pixels, which sums to 1; logits of one sigmoid per pixel as
    that; Gaussians of peak 1 without what is negative.

    >>> import torch
    >>> activate(torch.zeros(1, 1, 2, 2), "logits").sum().item()
    1.0
    """
    if kind == "logits":
        return maps.flatten(2).softmax(2).view_as(maps)
    return maps.sigmoid() if kind == "sigmoid_logits" else maps.clamp(min=0)
