"""The baseline: pooled features and fully connected layers that give coordinates directly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Head, Model
from heatkp.coordinates import denormalise
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel, Prediction
from heatkp.models.encoders import input_statistics, plain_encoder


class RegressionModel(KeypointModel):
    """An encoder, pooling, and fc layers to 2K numbers.

    `forward` returns coordinates (B, K, 2) normalised by the input's width and height. The last
    bias starts at the middle of the input. The loss is smooth L1 in input pixels, summed over x
    and y, and points outside the input count too.
    """

    def __init__(
        self, settings: Model, head: Head, points: int, size: tuple[int, int], channels: int
    ) -> None:
        super().__init__(points, size, channels, input_statistics(settings))
        unused = head.model_dump(exclude_defaults=True, exclude={"name"})
        if unused:
            raise SettingsError(f"head.{next(iter(unused))}: head 'regression' has no such setting")
        self.encoder = plain_encoder(settings, channels)
        self.multiple = int(self.encoder.output_stride)  # type: ignore[arg-type]
        self.pooling = settings.pooling
        width = self._measure()
        layers: list[nn.Module] = []
        for hidden in settings.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        layers += [nn.Dropout(settings.dropout), nn.Linear(width, 2 * points)]
        self.layers = nn.Sequential(*layers)
        nn.init.normal_(self.layers[-1].weight, std=0.01)  # type: ignore[arg-type]
        nn.init.constant_(self.layers[-1].bias, 0.5)  # type: ignore[arg-type]

    def _pool(self, features: Tensor) -> Tensor:
        return features.mean((2, 3)) if self.pooling == "avg" else features.flatten(1)

    def _measure(self) -> int:
        self.encoder.eval()
        with torch.no_grad():
            images = torch.zeros(1, self.channels, self.size[1], self.size[0])
            width = self._pool(self.encoder(self.prepare(images, self.multiple))[-1]).shape[1]
        self.encoder.train()
        return width

    def forward(self, images: Tensor) -> Tensor:
        pooled = self._pool(self.encoder(self.prepare(images, self.multiple))[-1])
        return self.layers(pooled).view(-1, self.points, 2)

    def loss(self, output: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        found = denormalise(output.float(), *self.size)
        points = torch.where((weights > 0)[..., None], points, found.detach())
        values = F.smooth_l1_loss(found, points, reduction="none").sum(-1)
        return hm.masked_mean(values * weights, weights)

    def decode(self, output: Tensor) -> Prediction:
        points = denormalise(output.float(), *self.size)
        return Prediction(points, torch.full_like(points[..., 0], torch.nan), None)
