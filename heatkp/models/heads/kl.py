"""Divergence from a Gaussian."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class KLHead(Head):
    """Divergence of the softmax from a Gaussian at the point."""

    name = "kl"
    takes_mixtures = True
    content = hm.contents.GAUSSIAN_SOFTMAX
    default_sigma = 1.0
    default_decoder = "expectation"

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.kl_divergence(maps, points, weights, self.sigma)
