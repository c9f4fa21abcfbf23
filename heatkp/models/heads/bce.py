"""Binary cross-entropy of each pixel."""

from __future__ import annotations

import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class BinaryHead(Head):
    """Binary cross-entropy of each pixel to a Gaussian of peak 1.

    Starts at the target's mean instead of one half (Lin et al. 2017, section 4.1): a hundred
    empty pixels for each full one would otherwise rule the first epochs.
    """

    name = "bce"
    takes_mixtures = True
    content = hm.contents.GAUSSIAN_SIGMOID
    default_sigma = 1.5
    default_decoder = "local_expectation"

    def starting_bias(self, area: int) -> Tensor:
        mean = 2 * torch.pi * torch.as_tensor(self.start_sigma) ** 2 / area
        return torch.logit(mean.clamp(max=0.5))

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.binary_cross_entropy(maps, points, weights, self.sigma) * self.per_target(maps)
