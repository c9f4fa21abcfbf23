"""The whole way from pixels to points as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heatkp.engine.exported import NAMES, OBJECT_NAMES
from heatkp.models import DenseModel, KeypointModel
from heatkp.models.grouped import GroupedModel
from heatkp.runs import least_score


class PixelsToPoints(nn.Module):
    """Normalisation, network and decoder: raw pixels (B, C, H, W), uint8, to points (B, K, 2),
    scores (B, K) and, of decoders that give one, covariance (B, K, 2, 2); input pixels, float32.

    Args:
        model: put into evaluation mode.
        autocast: the network computes in bfloat16; decoders read float32 all the same.
    """

    def __init__(self, model: KeypointModel, autocast: bool = False) -> None:
        super().__init__()
        self.model, self.autocast = model.eval(), autocast

    def output(self, images: Tensor) -> Tensor:
        """What the network says, float32."""
        if self.autocast:
            with torch.autocast("cpu", torch.bfloat16):
                output = self.model(images)
        else:
            output = self.model(images)
        return output.float()

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        found = self.model.predict(self.output(images))
        return _present(found.points, found.scores, found.covariance)


class PixelsToObjects(PixelsToPoints):
    """The same for all objects of an image, up to N = `finder.max_objects`: points (B, N, K, 2),
    scores (B, N, K), boxes (B, N, 4), the objects' scores (B, N) and covariance (B, N, K, 2, 2),
    the surest first; all numbers are 0 where there are fewer. An object has a score of
    `finder.min_score` or more, and shares at most `finder.nms` with a surer one.
    """

    model: GroupedModel

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        own = self.model.finder
        output = self.output(images)
        found = self.model.objects(output, own.max_objects, least_score(own), own.nms)
        return _present(*found)


def _present(*outputs: Tensor | None) -> tuple[Tensor, ...]:
    return tuple(one.float() for one in outputs if one is not None)


def graph_of(model: KeypointModel, autocast: bool = False) -> PixelsToPoints:
    """The whole way of a network; arguments as of `PixelsToPoints`."""
    kind = PixelsToObjects if isinstance(model, GroupedModel) else PixelsToPoints
    return kind(model, autocast)


def output_names(model: KeypointModel) -> tuple[str, ...]:
    """What `graph_of` a network gives, in its order; the last is not there for all decoders."""
    return OBJECT_NAMES if isinstance(model, GroupedModel) else NAMES


def example(model: KeypointModel) -> Tensor:
    """Inputs to trace with, uint8 (2, C, H, W): a batch of 1 would be taken for the only size."""
    width, height = model.size
    generator = torch.Generator().manual_seed(0)
    shape = (2, model.channels, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def decoder_name(model: KeypointModel) -> str | None:
    """What reads the maps; None where there are none."""
    return model.head.decoder if isinstance(model, DenseModel) else None
