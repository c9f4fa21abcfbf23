"""Gaussians on the pixel grid: separable factors, the window they live in, dense rendering.

A keypoint at (x, y) with standard deviations (sx, sy), all in map pixels, stands for

    u(i, j) = exp(-(i - y)^2 / (2 sy^2)) exp(-(j - x)^2 / (2 sx^2))          peak 1
    g(i, j) = u(i, j) / sum of u over the map                                a distribution

with rows i and columns j of the map. Both are products of one factor per axis, and each factor
is nothing but rounding beyond a few standard deviations, so no loss ever touches the whole map
for its target: it touches a `Window`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from heatkp.coordinates import inside
from heatkp.heatmaps.precision import accurate_dtype, working_dtype

Sigma = float | tuple[float, float] | Tensor
"""Standard deviation in map pixels: a number, a pair (sx, sy), a tensor broadcastable to (B, K),
or one of three dimensions broadcastable to (B, K, 2) that holds (sx, sy)."""


def parse_sigma(sigma: Sigma, points: Tensor, dtype: torch.dtype) -> Tensor:
    """The standard deviations (sx, sy) of each keypoint, (B, K, 2), for points (B, K, 2).

    Raises `ValueError` for a number that is not positive and finite, and for a tensor that
    does not broadcast.

    >>> parse_sigma((1.0, 2.0), torch.zeros(1, 1, 2), torch.float32).tolist()
    [[[1.0, 2.0]]]
    """
    if not isinstance(sigma, Tensor):
        pair = sigma if isinstance(sigma, tuple) else (sigma, sigma)
        if len(pair) != 2 or not all(math.isfinite(s) and s > 0 for s in pair):
            raise ValueError(f"sigma must be positive and finite (map pixels), got {sigma!r}")
        return torch.tensor(pair, dtype=dtype, device=points.device).expand(points.shape)
    wide = sigma if sigma.dim() == 3 else sigma[..., None]
    try:
        return wide.to(points.device, dtype).expand(points.shape)
    except RuntimeError as error:
        b, k = points.shape[:2]
        raise ValueError(
            f"sigma of shape {tuple(sigma.shape)} does not broadcast to (B, K) = ({b}, {k}); "
            f"for one sigma per axis pass (sx, sy) or a tensor of shape ({b}, {k}, 2)"
        ) from error


def inside_map(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Which points (B, K, 2) are finite and within a map of size (H, W): bool (B, K).

    A map covers [-0.5, W - 0.5] x [-0.5, H - 0.5], edges included.

    >>> inside_map(torch.tensor([[[-0.5, 0.0], [1.6, 0.0], [float("nan"), 0.0]]]), (1, 2)).tolist()
    [[True, False, False]]
    """
    height, width = size
    return inside(points, width, height)


def usable_weights(points: Tensor, weights: Tensor | None, size: tuple[int, int]) -> Tensor:
    """Weights (B, K) with 0 for each point that cannot be learned from.

    That is a point which is not finite or lies outside the map of size (H, W), and a weight
    which is not above 0 (NaN included). Hand the result to `masked_mean`, so that a point
    outside does not count in the average.

    >>> usable_weights(torch.tensor([[[0.0, 0.0], [9.0, 0.0]]]), None, (4, 4)).tolist()
    [[1.0, 0.0]]
    """
    inside = inside_map(points, size)
    dtype = working_dtype(points)
    if weights is None:
        return inside.to(dtype)
    weights = weights.to(dtype)
    return torch.where(inside & (weights > 0), weights, torch.zeros_like(weights))


@dataclass(frozen=True)
class Window:
    """The part of each map in which its Gaussian is more than rounding.

    For N = B K maps: `top` and `left` (N,) are the first row and column, `rows` (N, h) and
    `columns` (N, w) the Gaussian's factors over the window, normalised or with peak 1. All
    windows have one size and lie within their maps, so no index needs masking.
    """

    top: Tensor
    left: Tensor
    rows: Tensor
    columns: Tensor
    size: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of each window."""
        return self.rows.shape[1], self.columns.shape[1]

    def taken_apart(self) -> tuple[Any, tuple[Tensor, ...]]:
        """The tensors, and what makes a window of them again."""
        return partial(Window, size=self.size), (self.top, self.left, self.rows, self.columns)

    def block(self, start: int, stop: int) -> Window:
        """The windows of maps start to stop."""
        part = slice(start, stop)
        return Window(
            self.top[part], self.left[part], self.rows[part], self.columns[part], self.size
        )

    def entropy(self) -> Tensor:
        """Entropy of each normalised Gaussian in nats, (N,)."""
        return _entropy(self.rows) + _entropy(self.columns)

    def marginal_entropy(self) -> Tensor:
        """Entropies of the row and column sums, added, (N,)."""
        return self.entropy()

    def target(self) -> Tensor:
        """The Gaussians over their windows, (N, h w)."""
        return (self.rows[:, :, None] * self.columns[:, None, :]).flatten(1)

    def index(self) -> Tensor:
        """The windows' pixels as positions in the flattened map, (N, h w)."""
        return _pixels(self.top, self.left, self.shape, self.size[1])


@dataclass(frozen=True)
class DenseWindow:
    """As `Window`, of targets that no two factors make: `values` (N, h, w) over the window."""

    top: Tensor
    left: Tensor
    values: Tensor
    size: tuple[int, int]

    @property
    def rows(self) -> Tensor:
        """Row sums, (N, h)."""
        return self.values.sum(2)

    @property
    def columns(self) -> Tensor:
        """Column sums, (N, w)."""
        return self.values.sum(1)

    def entropy(self) -> Tensor:
        """Entropy of each target that sums to 1, in nats, (N,)."""
        return _entropy(self.target())

    def marginal_entropy(self) -> Tensor:
        """Entropies of the row and column sums, added, (N,)."""
        return _entropy(self.rows) + _entropy(self.columns)

    def target(self) -> Tensor:
        """The targets over their windows, (N, h w)."""
        return self.values.flatten(1)

    def index(self) -> Tensor:
        """The windows' pixels as positions in the flattened map, (N, h w)."""
        height, width = self.values.shape[1:]
        return _pixels(self.top, self.left, (height, width), self.size[1])


def _entropy(shares: Tensor) -> Tensor:
    """Of distributions (N, n), in nats, (N,)."""
    return -torch.special.xlogy(shares, shares).sum(1)


def _pixels(top: Tensor, left: Tensor, shape: tuple[int, int], width: int) -> Tensor:
    y = top[:, None] + torch.arange(shape[0], device=top.device)
    x = left[:, None] + torch.arange(shape[1], device=top.device)
    return (y[:, :, None] * width + x[:, None, :]).flatten(1)


def _factors(
    centres: Tensor, sigma: Tensor, start: Tensor, length: int, normalised: bool
) -> Tensor:
    """One axis of the Gaussians over `length` pixels from `start`: (N, length)."""
    pixels = start[:, None] + torch.arange(length, device=start.device)
    exponent = -0.5 * ((pixels - centres[:, None]) / sigma[:, None]) ** 2
    # softmax subtracts the largest exponent: a Gaussian far narrower than a pixel becomes the
    # nearest pixel instead of 0 / 0.
    return exponent.softmax(1) if normalised else exponent.exp()


def _radius(sigma: Sigma, dtype: torch.dtype) -> float | None:
    """Distance beyond which the Gaussian is rounding; None where reading it would cost too much."""
    if isinstance(sigma, Tensor):
        if torch.compiler.is_compiling():
            return None  # a size that depends on data would break the graph
        if not sigma.numel():
            return None
        smallest, largest = (float(s) for s in sigma.detach().aminmax())
        if smallest <= 0:
            raise ValueError(f"sigma must be positive (map pixels), its smallest is {smallest:g}")
    else:
        largest = max(sigma) if isinstance(sigma, tuple) else float(sigma)
    # Mass beyond r sigma: 6e-10 at 6.2 for float32, 1e-15 at 8 for float64.
    radius = largest * (8.0 if dtype == torch.float64 else 6.2)
    return radius if math.isfinite(radius) else None


def gaussian_window(
    points: Tensor, sigma: Sigma, size: tuple[int, int], dtype: torch.dtype, normalised: bool
) -> Window:
    """The windows of Gaussians at points (B, K, 2), all of them inside the map of size (H, W).

    `dtype` is the losses' precision and sets how far a window reaches; the factors themselves
    are in double precision.
    """
    height, width = size
    accurate = accurate_dtype(points)
    deviations = parse_sigma(sigma, points, accurate).reshape(-1, 2)
    centres = points.to(accurate).reshape(-1, 2)
    radius = _radius(sigma, dtype)
    # From the nearest pixel, which is up to half a pixel off: what counts is the mass beside its.
    reach = max(size) if radius is None else math.ceil(math.hypot(radius, 0.5) - 0.5)
    h, w = min(height, 2 * reach + 1), min(width, 2 * reach + 1)
    nearest = centres.round().long()
    left = (nearest[:, 0] - reach).clamp(0, width - w)
    top = (nearest[:, 1] - reach).clamp(0, height - h)
    columns = _factors(centres[:, 0], deviations[:, 0], left, w, normalised)
    rows = _factors(centres[:, 1], deviations[:, 1], top, h, normalised)
    return Window(top, left, rows, columns, size)


def bilinear_window(points: Tensor, size: tuple[int, int]) -> Window:
    """The windows of the four pixels around each point, weighted bilinearly.

    Along a border the weight of a pixel that does not exist goes to the one that does.
    """
    height, width = size
    centres = points.to(accurate_dtype(points)).reshape(-1, 2)
    axes = []
    for axis, extent in ((1, height), (0, width)):
        centre = centres[:, axis, None]
        length = min(2, extent)
        start = centre[:, 0].floor().clamp(0, extent - length)
        pixels = start[:, None] + torch.arange(length, device=start.device)
        axes.append((start.long(), bilinear_factors(centre, pixels, extent)))
    (top, rows), (left, columns) = axes
    return Window(top, left, rows, columns, size)


def bilinear_factors(centres: Tensor, pixels: Tensor, extent: int) -> Tensor:
    """What pixels (N, n) of an axis of so many get of points (N, 1): the two nearest share each."""
    return (1 - (pixels - centres.clamp(0, extent - 1)).abs()).clamp(min=0)


def render_gaussians(
    points: Tensor, size: tuple[int, int], sigma: Sigma = 1.0, *, normalised: bool = True
) -> Tensor:
    """Draw one Gaussian per keypoint as a dense map, for images and for comparison.

    Args:
        points: (B, K, 2) as (x, y) in map pixels, pixel centres on integers.
        size: (H, W) of the maps.
        sigma: standard deviation in map pixels, see `Sigma`.
        normalised: whether each map sums to 1, or has the value 1 at its (sub-pixel) centre.

    Returns:
        Maps (B, K, H, W) of the points' dtype (float32 for lower ones). Points that are not
        finite or lie outside give a map of zeros.

    >>> maps = render_gaussians(torch.tensor([[[1.0, 0.5]]]), (2, 3), 1.0, normalised=False)
    >>> [[round(value, 4) for value in row] for row in maps[0, 0].tolist()]
    [[0.5353, 0.8825, 0.5353], [0.5353, 0.8825, 0.5353]]
    """
    height, width = size
    inside = inside_map(points, size)
    accurate = accurate_dtype(points)
    centres = torch.where(inside[..., None], points, torch.zeros_like(points)).to(accurate)
    deviations = parse_sigma(sigma, points, accurate).reshape(-1, 2)
    centres = centres.reshape(-1, 2)
    zero = centres.new_zeros(len(centres))
    rows = _factors(centres[:, 1], deviations[:, 1], zero, height, normalised)
    columns = _factors(centres[:, 0], deviations[:, 0], zero, width, normalised)
    dtype = working_dtype(points)
    maps = (rows[:, :, None] * columns[:, None, :]).view(*points.shape[:2], height, width)
    return torch.where(inside[..., None, None], maps, torch.zeros_like(maps)).to(dtype)


def render_pixels(points: Tensor, size: tuple[int, int]) -> Tensor:
    """Draw the four pixels around each point, weighted bilinearly, as `pixel_cross_entropy` asks.

    Points (B, K, 2) in map pixels to maps (B, K, H, W) that sum to 1; zeros for points that are
    not finite or lie outside.

    >>> render_pixels(torch.tensor([[[1.25, 0.0]]]), (2, 3)).tolist()
    [[[[0.0, 0.75, 0.25], [0.0, 0.0, 0.0]]]]
    """
    inside = inside_map(points, size)[..., None]
    window = bilinear_window(torch.where(inside, points, torch.zeros_like(points)), size)
    flat = points.new_zeros(inside.numel(), size[0] * size[1])
    flat.scatter_(1, window.index(), window.target().to(flat.dtype))
    return flat.view(*points.shape[:2], *size) * inside[..., None]
