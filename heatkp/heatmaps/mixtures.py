"""Mixtures of Gaussians in place of points: what several say of where a point is.

A `Mixture` is a distribution of each point's place. Losses that take one ask for the mean of the
targets that they would have for points drawn from it, in closed form: a target Gaussian of
standard deviation s about a point with covariance S becomes one of covariance S + s^2.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from heatkp.coordinates import input_to_map, inside
from heatkp.heatmaps.gaussians import DenseWindow, Sigma, bilinear_factors, parse_sigma
from heatkp.heatmaps.precision import accurate_dtype

BILINEAR_VARIANCE = 1 / 6
"""Of weights that share a point among its nearest pixels, on average over places, along an axis."""


class Mixture(NamedTuple):
    """C Gaussians for each of (B, K) points; without the B, of a single sample.

    Attributes:
        points: (B, K, C, 2), their means as (x, y).
        covariance: (B, K, C, 2, 2), in squares of the same pixels; 0 for a point as such.
        weights: (B, K, C), what each counts beside the others; 0 for one that is not there.
    """

    points: Tensor
    covariance: Tensor
    weights: Tensor

    @property
    def known(self) -> Tensor:
        """Which points (B, K) have a Gaussian that counts: bool."""
        return (self.weights > 0).any(-1)

    @property
    def mean(self) -> Tensor:
        """(B, K, 2), 0 for points that are not known."""
        shares = self._shares()[..., None]
        return (shares * torch.where(shares > 0, self.points, 0.0)).sum(-2)

    @property
    def total_covariance(self) -> Tensor:
        """(B, K, 2, 2) of the whole mixture: the Gaussians' own, and that of their means."""
        shares = self._shares()[..., None]
        offsets = torch.where(shares > 0, self.points - self.mean[..., None, :], 0.0)
        own = torch.where(shares[..., None] > 0, self.covariance, 0.0)
        between = offsets[..., :, None] * offsets[..., None, :]
        return (shares[..., None] * (own + between)).sum(-3)

    def _shares(self) -> Tensor:
        """Weights that sum to 1, or 0 where a point is not known."""
        total = self.weights.sum(-1, keepdim=True)
        return self.weights / torch.where(total > 0, total, 1.0)

    def inside(self, width: float, height: float) -> Mixture:
        """Without Gaussians about a place that is not finite or not in a width x height image or
        map; the weights of those that stay sum to 1."""
        there = inside(self.points, width, height) & self.covariance.isfinite().all(-1).all(-1)
        kept = self._replace(weights=torch.where(there & (self.weights > 0), self.weights, 0.0))
        kept = kept._replace(weights=kept._shares())
        counts = kept.weights > 0
        return Mixture(
            torch.where(counts[..., None], self.points, 0.0),
            torch.where(counts[..., None, None], self.covariance, 0.0),
            kept.weights,
        )

    def on_map(self, stride: int) -> Mixture:
        """From pixels of the input to those of a map of that stride."""
        return Mixture(input_to_map(self.points, stride), self.covariance / stride**2, self.weights)

    def part(self, which: slice) -> Mixture:
        """Some of the B samples."""
        return Mixture(*(tensor[which] for tensor in self))

    def accurate(self, like: Tensor) -> Mixture:
        """Without gradients, where a tensor is, in double precision where there is any."""
        dtype = accurate_dtype(like)
        return Mixture(*(tensor.detach().to(like.device, dtype) for tensor in self))


@dataclass(frozen=True)
class MixtureWindow:
    """Where the mixtures of N = B K maps are more than rounding; `block` draws them there.

    `top` and `left` (N,) as of `Window`; `means` (N, C, 2); `precision` (N, C, 3), the entries xx,
    xy and yy of the inverse covariances; `heights` (N, C), what each Gaussian is multiplied with
    after it was normalised over the map, or as one of peak 1. Without `precision`, a Gaussian is
    shared among the four nearest pixels.
    """

    top: Tensor
    left: Tensor
    means: Tensor
    precision: Tensor
    heights: Tensor
    shape: tuple[int, int]
    size: tuple[int, int]
    normalised: bool

    def taken_apart(self) -> tuple[Any, tuple[Tensor, ...]]:
        """The tensors, and what makes a window of them again."""
        make = partial(MixtureWindow, shape=self.shape, size=self.size, normalised=self.normalised)
        return make, (self.top, self.left, self.means, self.precision, self.heights)

    def block(self, start: int, stop: int) -> DenseWindow:
        """The windows of maps start to stop."""
        part = slice(start, stop)
        rows = self.top[part, None] + torch.arange(self.shape[0], device=self.top.device)
        columns = self.left[part, None] + torch.arange(self.shape[1], device=self.top.device)
        values = self.heights.new_zeros(len(rows), *self.shape)
        for c in range(self.means.shape[1]):
            values += self._one(part, c, rows, columns)
        return DenseWindow(self.top[part], self.left[part], values, self.size)

    def _one(self, part: slice, c: int, rows: Tensor, columns: Tensor) -> Tensor:
        """One Gaussian of each map, (n, h, w)."""
        x, y = self.means[part, c, 0, None], self.means[part, c, 1, None]
        xx, xy, yy = (one[:, None, None] for one in self.precision[part, c].unbind(-1))
        height = self.heights[part, c, None, None]
        across, down = (columns - x)[:, None, :], (rows - y)[:, :, None]
        exponent = -0.5 * (xx * across**2 + yy * down**2) - xy * across * down
        if not self.normalised:
            return height * exponent.exp()
        # As for single ones: softmax, so that a very narrow one becomes its nearest pixel.
        drawn = exponent.flatten(1).softmax(1).view(exponent.shape)
        flat = xx == 0  # a point as such, among others that have a spread
        shared = bilinear_factors(y, rows, self.size[0])[:, :, None]
        shared = shared * bilinear_factors(x, columns, self.size[1])[:, None, :]
        return height * torch.where(flat, shared, drawn)

    def entropy(self) -> Tensor:
        """Entropy of each mixture in nats, (N,)."""
        return self.block(0, len(self.top)).entropy()

    def marginal_entropy(self) -> Tensor:
        """Entropies of the row and column sums, added, (N,)."""
        return self.block(0, len(self.top)).marginal_entropy()


def mixture_window(
    mixture: Mixture,
    sigma: Sigma | None,
    size: tuple[int, int],
    dtype: torch.dtype,
    normalised: bool,
) -> MixtureWindow:
    """The windows, on maps of size (H, W), of mixtures as `accurate` and `inside` leave them.

    `sigma` is the standard deviation of a point's own target. None: a point is shared among its
    four nearest pixels, and a Gaussian gets that sharing's variance. Those of peak 1 are lower
    where they are wider: they are means of ones of peak 1.
    """
    means, spread, heights = (tensor.flatten(0, 1) for tensor in mixture)
    if sigma is None:
        own = torch.full_like(means[:, 0], BILINEAR_VARIANCE)
    else:
        own = parse_sigma(sigma, mixture.points[:, :, 0], means.dtype).reshape(-1, 2).square()
    total = spread + torch.diag_embed(own)[:, None]
    xx, xy, yy = total[..., 0, 0], total[..., 0, 1], total[..., 1, 1]
    determinant = xx * yy - xy * xy
    precision = torch.stack([yy, -xy, xx], -1) / determinant[..., None]
    if sigma is None:
        shared = (spread == 0).all(-1).all(-1)
        precision = torch.where(shared[..., None], 0.0, precision)
    if not normalised:
        heights = heights * (own.prod(-1)[:, None] / determinant).sqrt()
    top, left, shape = _extent(means, torch.stack([xx, yy], -1), heights, size, dtype)
    return MixtureWindow(top, left, means, precision, heights, shape, size, normalised)


def _extent(
    means: Tensor, variances: Tensor, heights: Tensor, size: tuple[int, int], dtype: torch.dtype
) -> tuple[Tensor, Tensor, tuple[int, int]]:
    """First rows and columns (N,) of windows of one shape (h, w) that hold all that counts."""
    whole = means.new_zeros(len(means), dtype=torch.long)
    if torch.compiler.is_compiling() or not means.numel():
        return whole, whole.clone(), size  # a size that depends on data would break the graph
    counts = (heights > 0)[..., None]
    reach = (8.0 if dtype == torch.float64 else 6.2) * variances.sqrt() + 0.5
    low = torch.where(counts, means - reach, torch.inf).amin(1)
    high = torch.where(counts, means + reach, -torch.inf).amax(1)
    empty = ~counts.any(1)
    low, high = low.masked_fill(empty, 0.0).floor(), high.masked_fill(empty, 0.0).ceil()
    extent = high.new_tensor([size[1], size[0]])
    low, high = low.clamp(min=0).minimum(extent - 1), high.clamp(min=0).minimum(extent - 1)
    w, h = (int(n) for n in (high - low + 1).amax(0))
    left = low[:, 0].clamp(max=size[1] - w).long()
    top = low[:, 1].clamp(max=size[0] - h).long()
    return top, left, (h, w)
