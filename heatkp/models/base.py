"""What every model is: raw pixels in, keypoints in input pixels out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from heatkp import heatmaps as hm
from heatkp.config import Settings
from heatkp.errors import SettingsError
from heatkp.models.calibration import Calibration
from heatkp.models.freezing import freeze
from heatkp.models.prediction import Prediction

M = TypeVar("M", bound="KeypointModel")


def in_order(
    state: Mapping[str, Tensor], rows: Mapping[str, int], order: Sequence[int]
) -> dict[str, Tensor]:
    """A model's state with its points in another order: the new point i is the old `order[i]`.

    `rows` is the model's `point_rows`; tensors that do not have so many are left as they are.
    """
    found = dict(state)
    for name, count in rows.items():
        tensor = state.get(name)
        if tensor is not None and tensor.ndim and len(tensor) == count * len(order):
            found[name] = tensor.unflatten(0, (len(order), count))[list(order)].flatten(0, 1)
    return found


class KeypointModel(nn.Module):
    """Base of dense models and the regression baseline.

    Images are raw pixels in [0, 255], uint8 or float, (B, C, H, W) with C = 1 or 3 as the model
    was made; points are (B, K, 2) in input pixels; weights (B, K) are 0 for points that are not
    labelled. Subclasses define `forward`, `loss` and `decode`.

    Attributes:
        pooled_norms: how many batch norms see one value per channel of a single sample of `size`;
            in a step on one sample they use their stored statistics.
    """

    mean: Tensor
    std: Tensor
    settings: Settings | None = None
    """What it was built by, with `data.size` and `data.grey`; None for one built by hand."""
    calibration: Calibration | None = None
    """How scores and covariances are mended; `heatkp calibrate` finds it."""

    def __init__(
        self, points: int, size: tuple[int, int], channels: int, statistics: tuple[list[float], ...]
    ) -> None:
        super().__init__()
        self.points, self.size, self.channels = points, size, channels
        self.progress = 1.0
        self.pooled_norms = 0
        self._frozen_norms: list[nn.Module] = []
        mean, std = (torch.tensor(s, dtype=torch.float32) for s in statistics)
        if channels == 1:
            mean, std = mean.mean(0, keepdim=True), std.mean(0, keepdim=True)
        if len(mean) != channels:
            raise SettingsError(
                f"model.mean: has {len(mean)} numbers for {channels} channels; give model.mean and "
                "model.std one for each, or set data.grey: true for a single channel"
            )
        self.register_buffer("mean", 255 * mean.view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", 255 * std.view(1, -1, 1, 1), persistent=False)

    def freeze(self, patterns: Sequence[str]) -> None:
        """Leave layers or parameters out of training, by name; see `freezing.freeze`."""
        self._frozen_norms = freeze(self, patterns)
        self.train(self.training)

    def train(self: M, mode: bool = True) -> M:
        """As `nn.Module.train`, but batch norms that are frozen keep their statistics."""
        super().train(mode)
        for norm in self._frozen_norms:
            norm.eval()
        return self

    def prepare(self, images: Tensor, multiple: int) -> Tensor:
        """Normalised images, zero-padded right and below to a multiple of the encoder's."""
        x = (images.to(self.mean.dtype) - self.mean) / self.std
        height, width = x.shape[-2:]
        right, below = -width % multiple, -height % multiple
        return F.pad(x, (0, right, 0, below)) if right or below else x

    def point_rows(self) -> dict[str, int]:
        """Tensors of the state that hold rows for each point, one point after the other, and
        how many rows a point has."""
        return {}

    def rates(self) -> dict[str, float]:
        """Parameters that learn at a fraction of the learning rate, by name."""
        return {}

    def counted(self, points: hm.Target, weights: Tensor) -> Tensor:
        """The weights (B, K) over whose sum `loss` is the mean; all of them, unless a subclass
        leaves points out."""
        return weights

    def loss(self, output: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        """The mean loss of a batch over its weighted points; 0 where there is none.

        `points` (B, K, 2) in input pixels, or a mixture in their place where the head takes one.
        """
        raise TypeError(f"{type(self).__name__} defines no loss")

    def training_loss(self, images: Tensor, points: hm.Target, weights: Tensor) -> Tensor:
        """`loss` of the model's output, in whatever way is cheapest to train with."""
        return self.loss(self(images), points, weights)

    def decode(self, output: Tensor) -> Prediction:
        """Keypoints from what `forward` returned."""
        raise TypeError(f"{type(self).__name__} defines no decode")

    def predict(self, output: Tensor) -> Prediction:
        """`decode`, with scores and covariances calibrated where that was found."""
        found = self.decode(output)
        return found if self.calibration is None else self.calibration(found)

    @property
    def score_radius(self) -> float | None:
        """Input pixels within which a point lies with the probability that its score tells: what
        it was calibrated for, or the model's own. None where scores tell none."""
        return None if self.calibration is None else self.calibration.radius

    def compile_network(self) -> None:
        """Compile what takes most of the time with `torch.compile`; names of weights stay."""
        self.compile()

    def set_progress(self, fraction: float) -> None:
        """Tell heads that change in training how much of it is over, in [0, 1]."""
        self.progress = fraction
