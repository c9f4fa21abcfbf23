"""The baseline: pooled features and fully connected layers that give coordinates directly."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Model
from heatkp.coordinates import denormalise, normalise
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel
from heatkp.models.convnet import ConvNet, initialise
from heatkp.models.encoders import input_statistics, plain_encoder
from heatkp.models.norms import allow_single_values, counting_single_values
from heatkp.models.prediction import Prediction

_LOSSES = {"smooth_l1": F.smooth_l1_loss, "l1": F.l1_loss, "mse": F.mse_loss}


class RegressionModel(KeypointModel):
    """An encoder or a list of layers, pooling, and fc layers to 2K numbers.

    `forward` returns coordinates (B, K, 2) normalised by the input's width and height. The last
    bias starts at the middle of the input. The loss is the mean over coordinates of smooth L1 in
    input pixels, or of what `loss` (`smooth_l1`, `l1`, `mse`) says, in fractions of the input's
    size where `normalised`; points outside the input count too. Of a mixture
    the mean is taken.
    """

    def __init__(
        self,
        settings: Model,
        points: int,
        size: tuple[int, int],
        channels: int,
        loss: str = "smooth_l1",
        normalised: bool = False,
    ) -> None:
        super().__init__(points, size, channels, input_statistics(settings))
        self.coordinate_loss, self.normalised = _LOSSES[loss], normalised
        if settings.layers:
            self.encoder: nn.Module = ConvNet(settings.layers, channels, size)
            initialise(self.encoder, settings.initialisation)
        else:
            self.encoder = plain_encoder(settings, channels)
        self.multiple = int(self.encoder.output_stride)  # type: ignore[arg-type]
        self.pooling = settings.pooling
        width, self.positions = self._measure()
        layers: list[nn.Module] = []
        for hidden in settings.hidden:
            layers += [nn.Linear(width, hidden), nn.ReLU()]
            width = hidden
        last = nn.Linear(width, 2 * points)
        self.layers = nn.Sequential(*layers, nn.Dropout(settings.dropout), last)
        initialise(self.layers, settings.initialisation)
        nn.init.normal_(last.weight, std=settings.output_spread / width**0.5)
        nn.init.normal_(last.bias, mean=0.5, std=settings.bias_spread)
        allow_single_values(self)

    def _pool(self, features: Tensor) -> Tensor:
        if features.ndim == 2:
            return features
        return features.mean((2, 3)) if self.pooling == "avg" else features.flatten(1)

    def _measure(self) -> tuple[int, int]:
        """Numbers that go into the first fc layer, and how many places of a map they are from."""
        self.encoder.eval()
        images = self.prepare(
            torch.zeros(1, self.channels, self.size[1], self.size[0]), self.multiple
        )
        try:
            with torch.no_grad(), counting_single_values(self.encoder) as pooled:
                features = self.encoder(images)[-1]
        except (RuntimeError, AssertionError, ValueError) as error:
            raise SettingsError(
                f"model: the encoder cannot take an input of {images.shape[3]}x"
                f"{images.shape[2]}: {error}"
            ) from None
        self.encoder.train()
        self.pooled_norms = len(pooled)
        width = self._pool(features).shape[1]
        flattened = features.ndim == 4 and self.pooling == "flatten"
        return width, features[0, 0].numel() if flattened else 1

    def point_rows(self) -> dict[str, int]:
        last = len(self.layers) - 1
        return {f"layers.{last}.weight": 2, f"layers.{last}.bias": 2}

    def rates(self) -> dict[str, float]:
        # Adam moves each weight by the rate. Those of all places of a map that was flattened move
        # the output together, and at the rate that suits averages they overshoot.
        if self.positions == 1:
            return {}
        first = next(i for i, m in enumerate(self.layers) if isinstance(m, nn.Linear))
        return {f"layers.{first}.weight": 1 / self.positions}

    def compile_network(self) -> None:
        self.encoder.compile()

    def forward(self, images: Tensor) -> Tensor:
        pooled = self._pool(self.encoder(self.prepare(images, self.multiple))[-1])
        return self.layers(pooled).view(-1, self.points, 2)

    def counted(self, points: hm.Target, weights: Tensor) -> Tensor:
        return weights * points.known if isinstance(points, hm.Mixture) else weights

    def loss(self, output: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        weights = self.counted(points, weights)
        if isinstance(points, hm.Mixture):
            points = points.mean
        if self.normalised:
            found, points = output.float(), normalise(points, *self.size)
        else:
            found = denormalise(output.float(), *self.size)
        points = torch.where((weights > 0)[..., None], points, found.detach())
        values = self.coordinate_loss(found, points, reduction="none").mean(-1)
        return hm.masked_mean(values * weights, weights)

    def decode(self, output: Tensor) -> Prediction:
        points = denormalise(output.float(), *self.size)
        return Prediction(points, torch.full_like(points[..., 0], torch.nan), None)
