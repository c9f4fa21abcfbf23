"""Points of all objects of an image at once."""

from __future__ import annotations

from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.config import Head as HeadSettings
from heatkp.config import Model, NotNegative, Positive, Section
from heatkp.models.base import KeypointModel
from heatkp.models.grouped import GroupedModel
from heatkp.models.heads._base import Head
from heatkp.registry import register_head


class GroupedOptions(Section):
    """Settings of head `grouped`."""

    weight: NotNegative = 1.0
    """Weight of the points' mean loss beside that of the objects' centres and sizes."""
    kappa: Positive = 0.15
    """How far from an object's centre a pixel of it may point, as a standard deviation in units of
    the root of its box's area: the smaller, the more objects that touch are kept apart, and the
    more exactly offsets must be learnt."""


@register_head
class GroupedHead(Head):
    """All objects of a whole image in one look: centres as a finder has them, and of each point a
    map and offsets to the centre of its object (`heatkp.heatmaps.grouping`); cross-entropy to the
    pixel in each object's own heatmap."""

    name = "grouped"
    content = hm.contents.PIXEL_SOFTMAX
    default_decoder = "expectation"
    Options = GroupedOptions

    @classmethod
    def build(
        cls,
        model: Model,
        settings: HeadSettings,
        points: int,
        size: tuple[int, int],
        channels: int,
    ) -> KeypointModel:
        return GroupedModel(model, cls(settings, points), points, size, channels)

    def target(self, points: Tensor, size: tuple[int, int]) -> Tensor | None:
        return hm.render_pixels(points, size)

    def loss(self, maps: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        """Of objects' own heatmaps."""
        return hm.pixel_cross_entropy(maps, points, weights)
