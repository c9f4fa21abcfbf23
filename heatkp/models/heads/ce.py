"""Cross-entropy to the pixel."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


@register_head
class CrossEntropyHead(Head):
    """Cross-entropy to the pixel that holds the point, shared among the four nearest."""

    name = "ce"
    takes_mixtures = True
    content = hm.contents.PIXEL_SOFTMAX
    default_decoder = "expectation"

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return hm.render_pixels(points, size)

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        return hm.pixel_cross_entropy(maps, points, weights)
