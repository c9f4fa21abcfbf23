"""Cross-entropy of rows and columns."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class MarginalHead(Head):
    """Cross-entropy of the softmax's two marginals to 1-D Gaussians."""

    name = "marginal"
    takes_mixtures = True
    content = hm.contents.MARGINAL_SOFTMAX
    default_sigma = 1.0
    default_decoder = "expectation"

    @property
    def asks(self) -> str:
        return "training asks for its row and column sums"

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.marginal_cross_entropy(maps, points, weights, self.sigma)
