"""Losses against a target that is never drawn: cross-entropies, KL, MSE, L1.

All take maps (B, K, H, W), points (B, K, 2) as (x, y) in map pixels, weights (B, K) or None for
ones, and sigma in map pixels (see `heatkp.heatmaps.gaussians.Sigma`), and return one loss per
keypoint, (B, K), *multiplied by its weight*, in float32 (float64 for float64 maps). A keypoint
without a weight above 0, with a point that is not finite or with one outside
[-0.5, W - 0.5] x [-0.5, H - 0.5] has loss 0 and gradient 0, whatever its map and point hold.
In place of points, all take a `heatkp.heatmaps.Mixture`: their target is then the mean of the
targets of points drawn from it, u or g with the covariances' sum S + sigma^2 instead of sigma^2.
Gradients go to the maps only; a second derivative is refused. Half-precision maps are computed
in float32. Logits of -inf mask pixels: their probability is 0, and a loss that asks for some
there is inf, with a gradient that is finite.

In the formulas i, j run over the map's rows and columns, u is the Gaussian of peak 1 about the
point and g the same normalised to sum 1 over the map (so the part beyond a border counts for
nothing), both separable, u = u_y u_x^T; p = softmax(Z) over all pixels of a map and
LSE(Z) = log sum exp(Z). What a Gaussian adds beyond some six sigma is less than rounding and left
out.
"""

from __future__ import annotations

import torch
from torch import Tensor

from heatkp.heatmaps.gaussians import Sigma, bilinear_window, gaussian_window
from heatkp.heatmaps.losses.common import Inputs, Target, prepare, refuse_gradient, weigh
from heatkp.heatmaps.losses.engine import AnyWindow, apply_kernel
from heatkp.heatmaps.losses.kernels import (
    absolute_kernel,
    bernoulli_kernel,
    js_kernel,
    kl_kernel,
    marginal_kernel,
    squared_kernel,
)
from heatkp.heatmaps.mixtures import mixture_window
from heatkp.heatmaps.precision import working_dtype


def target_window(
    inputs: Inputs, sigma: Sigma, dtype: torch.dtype, *, normalised: bool
) -> AnyWindow:
    """The windows of the targets of points, or of mixtures."""
    if inputs.mixture is not None:
        return mixture_window(inputs.mixture, sigma, inputs.size, dtype, normalised)
    return gaussian_window(inputs.points, sigma, inputs.size, dtype, normalised)


def _gaussian(
    maps: Tensor, points: Target, weights: Tensor | None, sigma: Sigma, *, normalised: bool
) -> tuple[Inputs, AnyWindow]:
    refuse_gradient(sigma)
    inputs = prepare(maps, points, weights)
    return inputs, target_window(inputs, sigma, working_dtype(maps), normalised=normalised)


def gaussian_cross_entropy(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Cross-entropy of the map's softmax to a Gaussian: LSE(Z) - g_y^T Z g_x, in nats.

    Its minimum over Z is the Gaussian's entropy, about log(2 pi e sx sy); its gradient p - g.

    Args:
        maps: logits (B, K, H, W).
        points: (B, K, 2), map pixels; or a mixture.
        weights: (B, K) or None.
        sigma: the target's standard deviation, map pixels.

    Returns:
        Weighted losses (B, K).

    >>> import torch
    >>> maps = torch.zeros(1, 1, 4, 8)
    >>> round(gaussian_cross_entropy(maps, torch.tensor([[[3.0, 1.5]]])).item(), 4)  # log 32
    3.4657
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=True)
    values = apply_kernel(maps, kl_kernel, window) + window.entropy()
    return weigh(values, inputs.weights)


def kl_divergence(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """KL(g || softmax(Z)) = LSE(Z) - g_y^T Z g_x - H(g_x) - H(g_y), in nats.

    `gaussian_cross_entropy` less the Gaussian's entropy: the same gradient p - g, and 0 at the
    minimum. Arguments and result as there.

    >>> import torch
    >>> from heatkp.heatmaps.gaussians import render_gaussians
    >>> points = torch.tensor([[[3.2, 1.5]]])
    >>> maps = render_gaussians(points, (4, 8), 1.0).log()
    >>> kl_divergence(maps, points).item() < 1e-6
    True
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=True)
    return weigh(apply_kernel(maps, kl_kernel, window), inputs.weights)


def js_divergence(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Jensen-Shannon divergence of p = softmax(Z) and g, in nats, at most log 2.

    (KL(p || m) + KL(g || m)) / 2 with m = (p + g) / 2; the regulariser of Nibali et al. 2018.
    Where g vanishes a pixel adds p log(2) / 2, so only the window needs the Gaussian. Gradient
    p (log(p / m) / 2 - sum p log(p / m) / 2). Arguments and result as `gaussian_cross_entropy`.

    >>> import torch
    >>> maps = torch.tensor([[[[0.0, 100.0]]]])
    >>> round(js_divergence(maps, torch.zeros(1, 1, 2), sigma=0.1).item(), 4)  # log 2
    0.6931
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=True)
    return weigh(apply_kernel(maps, js_kernel, window), inputs.weights)


def pixel_cross_entropy(maps: Tensor, points: Target, weights: Tensor | None = None) -> Tensor:
    """Cross-entropy to the four pixels around the point, weighted bilinearly, in nats.

    LSE(Z) - sum over the four of (1 - |j - x|)(1 - |i - y|) Z_ij: classification over pixels
    whose target has the point as its mean. Beyond the outermost pixels' centres the border pixel
    takes all. Of a mixture, a Gaussian of covariance S that is not 0 becomes one of S + 1/6, which
    is the variance that sharing adds on average. Gradient p less those weights. Arguments and
    result as `gaussian_cross_entropy`.

    >>> import torch
    >>> maps = torch.tensor([[[[0.0, 0.0, 2.0]]]])
    >>> round(pixel_cross_entropy(maps, torch.tensor([[[1.5, 0.0]]])).item(), 4)
    1.2395
    """
    inputs = prepare(maps, points, weights)
    window: AnyWindow = bilinear_window(inputs.points, inputs.size)
    if inputs.mixture is not None:
        dtype = working_dtype(maps)
        window = mixture_window(inputs.mixture, None, inputs.size, dtype, normalised=True)
    return weigh(apply_kernel(maps, kl_kernel, window) + window.entropy(), inputs.weights)


def marginal_cross_entropy(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Cross-entropies of the softmax's two marginals to the Gaussian's, summed, in nats.

    With C_j = LSE of column j and R_i = LSE of row i, 2 LSE(Z) - sum_j g_x(j) C_j -
    sum_i g_y(i) R_i: asks for the right rows and columns, leaves the shape within them open.
    Gradient 2 p - g_x(j) exp(Z - C_j) - g_y(i) exp(Z - R_i). Arguments and result as
    `gaussian_cross_entropy`.

    >>> import torch
    >>> maps = torch.zeros(1, 1, 4, 8)
    >>> round(marginal_cross_entropy(maps, torch.tensor([[[3.0, 1.5]]])).item(), 4)  # log 32
    3.4657
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=True)
    values = apply_kernel(maps, marginal_kernel, window, 2.0, dense=True)
    return weigh(values + window.marginal_entropy(), inputs.weights)


def gaussian_mse(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Mean over the map's pixels of (Z - u)^2, u the Gaussian of peak 1.

    The classical heatmap loss. Gradient 2 (Z - u) / (H W). Arguments and result as
    `gaussian_cross_entropy`, with maps of amplitudes.

    >>> import torch
    >>> maps = torch.zeros(1, 1, 1, 2)
    >>> round(gaussian_mse(maps, torch.tensor([[[0.0, 0.0]]])).item(), 4)  # (1 + 1/e) / 2
    0.6839
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=False)
    scale = 2.0 / (inputs.size[0] * inputs.size[1])
    return weigh(apply_kernel(maps, squared_kernel, window, scale, dense=True), inputs.weights)


def binary_cross_entropy(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Mean over the map's pixels of the binary cross-entropy of sigmoid(Z) to u, in nats.

    (sum softplus(Z) - u_y^T Z u_x) / (H W), u the Gaussian of peak 1. Gradient
    (sigmoid(Z) - u) / (H W). Arguments and result as `gaussian_cross_entropy`, with maps of
    logits of one sigmoid per pixel.

    >>> import torch
    >>> round(binary_cross_entropy(torch.zeros(1, 1, 4, 8), torch.zeros(1, 1, 2)).item(), 4)
    0.6931
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=False)
    scale = 1.0 / (inputs.size[0] * inputs.size[1])
    return weigh(apply_kernel(maps, bernoulli_kernel, window, scale, dense=True), inputs.weights)


def gaussian_l1(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Mean over the map's pixels of |Z - u|, u the Gaussian of peak 1.

    Gradient sign(Z - u) / (H W); beyond some six sigma u counts as 0. Arguments and result as
    `gaussian_cross_entropy`, with maps of amplitudes.

    >>> import torch
    >>> gaussian_l1(torch.full((1, 1, 1, 1), 0.25), torch.zeros(1, 1, 2)).item()
    0.75
    """
    inputs, window = _gaussian(maps, points, weights, sigma, normalised=False)
    scale = 1.0 / (inputs.size[0] * inputs.size[1])
    return weigh(apply_kernel(maps, absolute_kernel, window, scale, dense=True), inputs.weights)
