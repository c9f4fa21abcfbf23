"""Negative log-likelihood with learned widths."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Head as HeadSettings
from heatkp.errors import SettingsError
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class NLLHead(Head):
    """Negative log-likelihood of the expected point under a Gaussian of learned width."""

    name = "nll"
    takes_mixtures = True
    content = hm.contents.MEAN_SOFTMAX
    default_sigma = 1.0
    default_decoder = "expectation"

    def __init__(self, settings: HeadSettings, points: int) -> None:
        super().__init__(settings, points)
        self.log_sigma = nn.Parameter(torch.ones(points).mul(torch.tensor(self.start_sigma)).log())

        if settings.sigma_final is not None:
            raise SettingsError("head.sigma_final: head 'nll' learns its widths from head.sigma on")

    @property
    def asks(self) -> str:
        return "training asks for its mean; width as learned"

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return hm.render_gaussians(points, size, self.log_sigma.detach().exp()[None])

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.gaussian_nll(
            maps, points, weights, self.log_sigma.exp().expand(maps.shape[0], -1)
        )
