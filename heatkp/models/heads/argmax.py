"""Mean squared error to a Gaussian."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class ArgmaxHead(Head):
    """Mean squared error to a Gaussian of peak 1, read at the refined maximum."""

    name = "argmax"
    takes_mixtures = True
    content = hm.contents.GAUSSIAN_MAP
    default_sigma = 1.5
    default_decoder = "matched"

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        # A squared Gaussian is a Gaussian of half the variance.
        return hm.gaussian_mse(maps, points, weights, self.sigma) * self.per_target(maps, 0.5)
