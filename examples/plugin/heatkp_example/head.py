"""A head whose loss does not separate into rows and columns, written as plain dense code."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.config import Section
from heatkp.models.heads import Head, register_head


class JensenShannonOptions(Section):
    """Settings of head `js`."""

    mix: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    """Weight of the Gaussian in the mixture that both are compared with."""


@register_head
class JensenShannonHead(Head):
    """Jensen-Shannon divergence of the softmax p from a Gaussian g at the point.

    a KL(g | m) + (1 - a) KL(p | m) with m = a g + (1 - a) p and a = `mix`; at most log 2.
    """

    name = "js"
    Options = JensenShannonOptions
    content = hm.contents.GAUSSIAN_SOFTMAX
    default_sigma = 1.0
    default_decoder = "expectation"

    def loss(self, maps: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        a = self.options.mix
        size = (maps.shape[2], maps.shape[3])
        target = self.target(points, size).to(maps.device).flatten(2)
        log_found = maps.float().flatten(2).log_softmax(2)
        found = log_found.exp()
        # The smallest positive number keeps the logarithm finite where g is 0 and p vanishes.
        tiny = torch.finfo(found.dtype).tiny
        log_both = (a * target + (1 - a) * found).clamp(min=tiny).log()
        of_target = (torch.xlogy(target, target) - target * log_both).sum(2)
        of_found = (found * (log_found - log_both)).sum(2)
        losses = a * of_target + (1 - a) * of_found
        return torch.where(weights > 0, weights * losses, torch.zeros_like(losses))
