"""Dense models: one map per keypoint from a segmentation network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Model
from heatkp.coordinates import input_to_map, inside, map_to_input
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel
from heatkp.models.chunked import chunked_sum
from heatkp.models.encoders import input_statistics, segmentation_network
from heatkp.models.norms import allow_single_values, counting_single_values
from heatkp.models.prediction import Prediction

if TYPE_CHECKING:
    from heatkp.models.heads import Head


def _padded(size: int, multiple: int) -> int:
    return size + -size % multiple


class MapLayer(nn.Module):
    """Features to maps: 3x3 convolution, then bilinear upsampling to the map's stride.

    Upsampling never aligns corners, so map pixel u lies at input pixel (u + 0.5) s - 0.5.
    Where features are finer than the map, they are averaged first. `bias` (K,) is where maps of
    K points start.
    """

    def __init__(self, width: int, bias: Tensor, factor: float, dropout: float) -> None:
        super().__init__()
        self.factor = factor
        self.dropout = nn.Dropout2d(dropout)
        self.convolution = nn.Conv2d(width, len(bias), 3, padding=1)
        nn.init.normal_(self.convolution.weight, std=0.01)
        self.convolution.bias = nn.Parameter(bias.clone())

    def forward(self, features: Tensor) -> Tensor:
        if self.factor < 1:
            features = F.avg_pool2d(features, round(1 / self.factor))
        maps = self.convolution(self.dropout(features))
        if self.factor > 1:
            maps = F.interpolate(
                maps, scale_factor=self.factor, mode="bilinear", align_corners=False
            )
        return maps


class DenseModel(KeypointModel):
    """A segmentation network, a map layer and a head.

    `forward` returns maps (B, K, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, settings: Model, head: Head, points: int, size: tuple[int, int], channels: int
    ) -> None:
        super().__init__(points, size, channels, input_statistics(settings))
        if settings.layers:
            raise SettingsError(
                f"model.layers: only head 'regression' takes a list of layers, not {head.name!r}; "
                "for maps choose model.architecture plain_unet"
            )
        self.stride, self.loss_chunk = settings.stride, settings.loss_chunk
        self.network = segmentation_network(settings, channels)
        self.multiple = max(int(self.network.encoder.output_stride), self.stride)  # type: ignore
        found = self._measure(size)
        while found[0] < self.stride and self._drop_last_block():
            found = self._measure(size)
        stride, width = found
        area = (-(-size[0] // self.stride)) * (-(-size[1] // self.stride))
        bias = torch.as_tensor(head.starting_bias(area)).expand(points)
        self.map_layer = MapLayer(width, bias, stride / self.stride, settings.dropout)
        self.head = head
        allow_single_values(self)

    def _drop_last_block(self) -> bool:
        """Shorten a U-Net-like decoder by its finest block: the map need not be so fine."""
        blocks = getattr(self.network.decoder, "blocks", None)
        if not isinstance(blocks, nn.ModuleList) or len(blocks) < 2:
            return False
        self.network.decoder.blocks = blocks[:-1]  # type: ignore[union-attr]
        return True

    def _measure(self, size: tuple[int, int]) -> tuple[float, int]:
        """Stride and width of the decoder's features, by looking."""
        width, height = (_padded(n, self.multiple) for n in size)
        training = self.network.training
        self.network.eval()
        try:
            with torch.no_grad(), counting_single_values(self.network) as pooled:
                features = self.network(torch.zeros(1, self.channels, height, width))
        except (RuntimeError, AssertionError, ValueError) as error:
            hint = getattr(self.network.encoder, "hint", "")
            raise SettingsError(
                f"model: {self.network.name} cannot take an input of {width}x{height}: {error}"
                + f"; {hint}" * bool(hint)
            ) from None
        self.network.train(training)
        self.pooled_norms = len(pooled)
        return height / features.shape[2], features.shape[1]

    def compile_network(self) -> None:
        self.network.compile()

    def features(self, images: Tensor) -> Tensor:
        """What the map layer takes: (B, C, h, w) of the padded input."""
        return self.network(self.prepare(images, self.multiple))

    def maps(self, features: Tensor, image_size: tuple[int, int]) -> Tensor:
        """Maps of features, without what lies over the padding; `image_size` is (H, W)."""
        height, width = (-(-n // self.stride) for n in image_size)
        return self.map_layer(features)[:, :, :height, :width]

    def forward(self, images: Tensor) -> Tensor:
        return self.maps(self.features(images), (images.shape[2], images.shape[3]))

    def counted(self, points: hm.Target, weights: Tensor) -> Tensor:
        """Weights without points outside the input: the map cannot hold them.

        The input's frame decides, not the map's, which may reach further where the stride does
        not divide the size.
        """
        if isinstance(points, hm.Mixture):
            return weights * points.inside(*self.size).known
        return weights * inside(points, *self.size)

    def _on_map(self, points: hm.Target) -> hm.Target:
        """Points, or what of a mixture lies in the input, in map pixels."""
        if isinstance(points, hm.Mixture):
            return points.inside(*self.size).on_map(self.stride)
        return input_to_map(points, self.stride)

    def _require(self, given: Tensor, expected: tuple[int, int], what: str) -> None:
        """Raises `ValueError` for another size: points beyond the model's would not count."""
        height, width = given.shape[2:]
        if (height, width) != expected:
            raise ValueError(
                f"{what} are {width}x{height}, where a model of size {self.size} is trained on "
                f"{expected[1]}x{expected[0]}: create it with size=(width, height) of your images"
            )

    def loss(self, output: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        width, height = self.size
        self._require(output, (-(-height // self.stride), -(-width // self.stride)), "maps")
        weights = self.counted(points, weights)
        values = self.head.loss(output, self._on_map(points), weights)
        return hm.masked_mean(values, weights)

    def training_loss(self, images: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        if not self.loss_chunk:
            return super().training_loss(images, points, weights)
        shape = (images.shape[2], images.shape[3])
        self._require(images, (self.size[1], self.size[0]), "images")
        weights = self.counted(points, weights)
        target = self._on_map(points)

        def summed(features: Tensor, part: slice) -> Tensor:
            own = target.part(part) if isinstance(target, hm.Mixture) else target[part]
            return self.head.loss(self.maps(features, shape), own, weights[part]).sum()

        total = chunked_sum(
            summed,
            nn.ModuleList([self.map_layer, self.head]),
            self.features(images),
            self.loss_chunk,
        )
        return total / weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)

    def decode(self, output: Tensor) -> Prediction:
        found = self.head.decode(output)
        covariance = found.covariance
        return Prediction(
            map_to_input(found.points, self.stride),
            found.scores,
            None if covariance is None else covariance * self.stride**2,
        )

    @property
    def score_radius(self) -> float | None:
        """2 sigma of the target Gaussian, of which scores of softmax maps are the probability."""
        return self.head.reach * self.stride if self.calibration is None else super().score_radius

    def point_rows(self) -> dict[str, int]:
        own = self.head.state_dict(prefix="head.")
        rows = {name: 1 for name, v in own.items() if v.ndim and len(v) == self.points}
        return {"map_layer.convolution.weight": 1, "map_layer.convolution.bias": 1, **rows}

    def set_progress(self, fraction: float) -> None:
        super().set_progress(fraction)
        self.head.progress = fraction
