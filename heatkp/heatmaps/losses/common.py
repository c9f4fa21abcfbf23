"""Before and after every loss: arguments checked, points that cannot be used set aside."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from heatkp.heatmaps.gaussians import Sigma, usable_weights
from heatkp.heatmaps.mixtures import Mixture
from heatkp.heatmaps.precision import check_maps, working_dtype

Target = Tensor | Mixture
"""Points (B, K, 2), or what is known of them; in map pixels."""


class Inputs(NamedTuple):
    """Arguments of a loss as all of them need it: unusable points at (0, 0) with weight 0.

    `points` are a mixture's means where one is given; its Gaussians are all usable, or have weight
    0.
    """

    points: Tensor
    weights: Tensor
    size: tuple[int, int]
    mixture: Mixture | None = None

    def variances(self, dtype: torch.dtype) -> Tensor | float:
        """Of the points along x and y, (B, K, 2); 0 where they are known."""
        if self.mixture is None:
            return 0.0
        return self.mixture.total_covariance.diagonal(dim1=-2, dim2=-1).to(dtype)


def prepare(maps: Tensor, points: Target, weights: Tensor | None) -> Inputs:
    """Check shapes, set aside points outside the map, not finite or without weight.

    Raises `ValueError` for shapes that do not belong together.
    """
    check_maps(maps)
    batch, keypoints, height, width = maps.shape
    mixture = None
    if isinstance(points, Mixture):
        _check_mixture(points, (batch, keypoints))
        mixture = points.accurate(maps).inside(width, height)
        points = torch.where(mixture.known[..., None], mixture.mean, torch.nan)
    if points.shape != (batch, keypoints, 2):
        raise ValueError(
            f"points must be (B, K, 2) = ({batch}, {keypoints}, 2) in map pixels for maps "
            f"{tuple(maps.shape)}, got {tuple(points.shape)}"
        )
    if weights is not None and weights.shape != (batch, keypoints):
        raise ValueError(
            f"weights must be (B, K) = ({batch}, {keypoints}), got {tuple(weights.shape)}"
        )
    points = points.detach().to(maps.device)
    if weights is not None:
        weights = weights.detach().to(maps.device)
    usable = usable_weights(points, weights, (height, width)).to(working_dtype(maps))
    points = torch.where((usable > 0)[..., None], points, torch.zeros_like(points))
    return Inputs(points, usable, (height, width), mixture)


def _check_mixture(mixture: Mixture, size: tuple[int, int]) -> None:
    """Raises `ValueError` for shapes that are not those of B, K points."""
    count = mixture.weights.shape[-1:]
    expected = [(*size, *count, *rest) for rest in ((2,), (2, 2), ())]
    if [tuple(tensor.shape) for tensor in mixture] != expected:
        raise ValueError(
            "a mixture's points, covariance and weights must be (B, K, C, 2), (B, K, C, 2, 2) and "
            f"(B, K, C) with (B, K) = {size}, got "
            f"{', '.join(str(tuple(tensor.shape)) for tensor in mixture)}"
        )


def refuse_gradient(sigma: Sigma) -> None:
    """Raises `ValueError` for a sigma that expects a gradient from a loss that gives none."""
    if isinstance(sigma, Tensor) and sigma.requires_grad:
        raise ValueError(
            "this loss gives no gradient to sigma: a wider target is always easier, so it would "
            "only grow or shrink without end. Learn sigma with gaussian_nll, or pass "
            "sigma.detach()"
        )


def weigh(values: Tensor, weights: Tensor) -> Tensor:
    """Values times weights, (B, K), exactly 0 in value and gradient where the weight is 0."""
    values = values.view(weights.shape)
    weighed = values * weights.to(values.dtype)
    return torch.where(weights > 0, weighed, torch.zeros_like(weighed)).to(weights.dtype)


def masked_mean(losses: Tensor, weights: Tensor | None = None) -> Tensor:
    """The weighted mean of losses (B, K) that are already multiplied by their weights.

    sum(losses) / sum(weights), a scalar; 0 with zero gradient, not NaN, where no weight is
    above 0. Without weights all count 1. To keep points outside the map from counting in the
    denominator, pass `usable_weights(points, weights, (H, W))`.

    >>> masked_mean(torch.tensor([[3.0, 0.0]]), torch.tensor([[2.0, 0.0]])).item()
    1.5
    >>> masked_mean(torch.zeros(1, 2), torch.zeros(1, 2)).item()
    0.0
    """
    if weights is None:
        return losses.sum() / max(losses.numel(), 1)
    if weights.shape != losses.shape:
        raise ValueError(
            f"weights {tuple(weights.shape)} and losses {tuple(losses.shape)} differ in shape"
        )
    weights = weights.detach().to(losses.dtype)
    total = torch.where(weights > 0, weights, torch.zeros_like(weights)).sum()
    return losses.sum() / torch.where(total > 0, total, torch.ones_like(total))
