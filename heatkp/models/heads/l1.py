"""Mean absolute error to a Gaussian."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class L1Head(Head):
    """Mean absolute error to a Gaussian of peak 1; dense code, for comparison."""

    name = "l1"
    takes_mixtures = True
    content = hm.contents.GAUSSIAN_MAP
    default_sigma = 1.5
    default_decoder = "matched"

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.gaussian_l1(maps, points, weights, self.sigma) * self.per_target(maps)
