"""What all decoders share: registering, the result, peaks, patches around them, scores."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from heatkp.heatmaps.contents import KINDS, Trait
from heatkp.heatmaps.contents import Kind as Kind
from heatkp.heatmaps.precision import check_maps, working_dtype
from heatkp.registry import DECODERS

F = TypeVar("F", bound="Callable[..., Decoded]")

DecoderSigma = float | tuple[float, float]
"""Standard deviation of the Gaussians the maps were trained on, map pixels: one, or (sx, sy)."""


class Decoded(NamedTuple):
    """Keypoints read off maps (B, K, H, W).

    Attributes:
        points: (B, K, 2) as (x, y) in map pixels, pixel centres on integers; NaN for a map that
            has no answer (NaN or +inf somewhere, or -inf everywhere).
        scores: (B, K) in [0, 1], 0 where there is no answer. Of softmax logits: the probability
            within 2 sigma of the peak (or of the point, for the expectation). Of Gaussian maps:
            the peak's value, clamped. Of sigmoid logits: the peak's probability.
        covariance: (B, K, 2, 2) in map pixels squared, axes (x, y), of the map's local shape as
            the decoder models it; NaN where the map has none; None for decoders without a model.
    """

    points: Tensor
    scores: Tensor
    covariance: Tensor | None


@dataclass(frozen=True)
class DecoderInfo:
    """A decoder by name.

    Attributes:
        function: called as function(maps, kind, sigma); see `decode`.
        needs: what training must have put into maps for it to be right.
        kinds: kinds of map it can read.
        covariance: whether it returns one.
    """

    function: Callable[..., Decoded] = field(repr=False)
    needs: Trait
    kinds: tuple[Kind, ...] = KINDS
    covariance: bool = False


def decoder(
    name: str, *, needs: Trait, kinds: tuple[Kind, ...] = KINDS, covariance: bool = False
) -> Callable[[F], F]:
    """Makes a function known as the decoder of that name; arguments as in `DecoderInfo`.

    Raises `ExtensionError` where the name is taken.
    """

    def register(function: F) -> F:
        info = DecoderInfo(function, needs, kinds, covariance)
        place = f"{function.__module__}.{function.__qualname__}"
        DECODERS.register(name, info, place)
        return function

    return register


class Peak(NamedTuple):
    """The highest pixel of each map, (B, K) each; the first in row-major order among equals."""

    value: Tensor
    x: Tensor
    y: Tensor

    def points(self, dtype: torch.dtype) -> Tensor:
        """The pixel's centre, (B, K, 2)."""
        return torch.stack([self.x, self.y], -1).to(dtype)


def check_arguments(maps: Tensor, kind: str) -> None:
    """Raises `ValueError` for maps that are not (B, K, H, W) floats, or an unknown kind."""
    check_maps(maps)
    if kind not in KINDS:
        raise ValueError(f"unknown kind of map {kind!r}; allowed: {', '.join(KINDS)}")


def sigma_pair(sigma: DecoderSigma) -> tuple[float, float]:
    """(sx, sy); raises `ValueError` unless both are positive and finite."""
    sx, sy = sigma if isinstance(sigma, tuple) else (sigma, sigma)
    if not all(math.isfinite(s) and s > 0 for s in (sx, sy)):
        raise ValueError(f"sigma must be positive and finite (map pixels), got {sigma!r}")
    return float(sx), float(sy)


def find_peak(maps: Tensor) -> Peak:
    """The highest pixel of each map."""
    width = maps.shape[3]
    value, index = maps.flatten(2).max(2)
    return Peak(value, index % width, index // width)


def patches(
    maps: Tensor, x: Tensor, y: Tensor, reach: tuple[int, int], fill: float = 0.0
) -> Tensor:
    """Patches (B, K, 2 ry + 1, 2 rx + 1) around pixels x, y (B, K), for reach (rx, ry).

    Pixels beyond the map hold `fill`.
    """
    height, width = maps.shape[2:]
    rx, ry = reach
    columns = x[..., None] + torch.arange(-rx, rx + 1, device=maps.device)
    rows = y[..., None] + torch.arange(-ry, ry + 1, device=maps.device)
    inside = ((rows >= 0) & (rows < height))[..., None] & ((columns >= 0) & (columns < width))[
        ..., None, :
    ]
    index = rows.clamp(0, height - 1)[..., None] * width + columns.clamp(0, width - 1)[..., None, :]
    taken = maps.flatten(2).gather(2, index.flatten(2)).view(index.shape).to(working_dtype(maps))
    return torch.where(inside, taken, torch.full_like(taken, fill))


def amplitudes(values: Tensor, peak: Peak, kind: Kind) -> Tensor:
    """Values (B, K, ...) of a map as heights that are not negative, 0 far from the peak.

    For softmax logits relative to the peak's probability.
    """
    if kind == "gaussian":
        return values.clamp(min=0)
    if kind == "sigmoid_logits":
        return values.sigmoid()
    shape = peak.value.shape + (1,) * (values.dim() - peak.value.dim())
    return (values - peak.value.to(values.dtype).view(shape)).exp()


def peak_scores(maps: Tensor, peak: Peak, kind: Kind, sigma: DecoderSigma) -> Tensor:
    """The scores described at `Decoded`, (B, K), for decoders that start from the peak."""
    dtype = working_dtype(maps)
    if kind == "gaussian":
        return peak.value.to(dtype).clamp(0, 1)
    if kind == "sigmoid_logits":
        return peak.value.to(dtype).sigmoid()
    rx, ry = (math.ceil(2 * s) for s in sigma_pair(sigma))
    near = patches(maps, peak.x, peak.y, (rx, ry), fill=-math.inf)
    highest = maps.to(dtype).flatten(2).softmax(2).amax(2)
    return (amplitudes(near, peak, kind).sum((2, 3)) * highest).clamp(0, 1)


def finish(
    points: Tensor, scores: Tensor, covariance: Tensor | None, peak_value: Tensor
) -> Decoded:
    """Put the answer for maps without an answer in place."""
    valid = peak_value.isfinite()
    nan = points.new_full((), math.nan)
    points = torch.where(valid[..., None], points, nan)
    scores = torch.where(valid, scores, torch.zeros_like(scores))
    if covariance is not None:
        covariance = torch.where(valid[..., None, None], covariance, nan)
    return Decoded(points, scores, covariance)
