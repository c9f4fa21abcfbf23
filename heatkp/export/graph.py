"""The whole way from pixels to points as one module."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heatkp.models import DenseModel, KeypointModel


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

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        if self.autocast:
            with torch.autocast("cpu", torch.bfloat16):
                output = self.model(images)
        else:
            output = self.model(images)
        found = self.model.decode(output.float())
        points, scores = found.points.float(), found.scores.float()
        if found.covariance is None:
            return points, scores
        return points, scores, found.covariance.float()


def example(model: KeypointModel) -> Tensor:
    """Inputs to trace with, uint8 (2, C, H, W): a batch of 1 would be taken for the only size."""
    width, height = model.size
    generator = torch.Generator().manual_seed(0)
    shape = (2, model.channels, height, width)
    return torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)


def decoder_name(model: KeypointModel) -> str | None:
    """What reads the maps; None where there are none."""
    return model.head.decoder if isinstance(model, DenseModel) else None
