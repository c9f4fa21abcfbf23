"""Soft-argmax: the expected coordinate."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import model_validator
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.config import NotNegative, Section
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


class SoftargmaxOptions(Section):
    """Settings of head `softargmax`."""

    regulariser: Literal["none", "variance", "js"] = "js"
    """What keeps the map compact; without one it may be anything with the right mean."""
    regulariser_weight: NotNegative = 1.0
    """What it is multiplied with."""

    @model_validator(mode="after")
    def _consistent(self) -> SoftargmaxOptions:
        weighed = "regulariser_weight" in self.model_fields_set and self.regulariser_weight
        if self.regulariser == "none" and weighed:
            raise ValueError(
                "regulariser: none leaves nothing to weigh; leave out regulariser_weight, or "
                "choose variance or js"
            )
        return self


@register_head
class SoftargmaxHead(Head):
    """Smooth L1 on the expected coordinates of the softmax (Nibali et al. 2018)."""

    name = "softargmax"
    takes_mixtures = True
    content = hm.contents.GAUSSIAN_SOFTMAX
    default_sigma = 1.0
    default_decoder = "expectation"
    Options = SoftargmaxOptions

    @classmethod
    def content_with(cls, options: Any) -> hm.Content:
        return cls.content if options.regulariser == "js" else hm.contents.MEAN_SOFTMAX

    @property
    def regulariser(self) -> Literal["variance", "js"] | None:
        """As settings say, None for `none`."""
        chosen = self.options.regulariser
        return None if chosen == "none" else chosen

    @property
    def asks(self) -> str:
        variance = self.regulariser == "variance"
        return "training asks for its mean and width only" if variance else super().asks

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return super().target(points, size) if self.regulariser else None

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.expectation_loss(
            maps,
            points,
            weights,
            kind="smooth_l1",
            regulariser=self.regulariser,
            regulariser_weight=self.options.regulariser_weight,
            sigma=self.sigma,
        )
