"""Losses on the coordinates a softmax expects: DSNT and its regularisers, learned sigma.

Conventions as in `heatkp.heatmaps.losses.targets`. Everything follows from the softmax's two
marginals, so the map is read once and its gradient, p times a row term plus a column term, is
made from them.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor

from heatkp.heatmaps.gaussians import Sigma, parse_sigma
from heatkp.heatmaps.losses.common import Inputs, Target, prepare, refuse_gradient, weigh
from heatkp.heatmaps.losses.engine import AnyWindow
from heatkp.heatmaps.losses.marginals import soft_marginals
from heatkp.heatmaps.losses.targets import target_window
from heatkp.heatmaps.precision import accurate_dtype, working_dtype

ErrorKind = Literal["smooth_l1", "l1", "wing"]
Regulariser = Literal["variance", "js"]


def _moments(
    maps: Tensor, inputs: Inputs, window: AnyWindow | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """Expected coordinates relative to the points, and variances, (B, K, 2) as (x, y); with a
    window the JS divergence from its Gaussians, (B, K).

    Relative, because the difference of two large coordinates would lose the digits of a small
    error.
    """
    dtype = accurate_dtype(maps)
    means, variances = [], []
    columns, rows, divergence = soft_marginals(maps, window)
    for axis, marginal in enumerate((columns, rows)):
        pixels = torch.arange(marginal.shape[2], dtype=dtype, device=maps.device)
        # Constants in place of what an unusable map holds: its gradient is 0, even from NaN.
        marginal = torch.where((inputs.weights > 0)[..., None], marginal, 1.0)
        offsets = pixels - inputs.points[..., axis, None].to(dtype)
        total = marginal.sum(2)
        mean = (marginal * offsets).sum(2) / total
        spread = (offsets - mean[..., None]).square()
        means.append(mean)
        variances.append((marginal * spread).sum(2) / total)
    return torch.stack(means, 2), torch.stack(variances, 2), divergence


def _error(
    offset: Tensor, kind: ErrorKind, beta: float, wing_width: float, wing_curvature: float
) -> Tensor:
    """The error of each coordinate, same shape as offset."""
    distance = offset.abs()
    if kind == "l1":
        return distance
    if kind == "smooth_l1":
        near = 0.5 * distance.square() / beta
        return torch.where(distance < beta, near, distance - 0.5 * beta)
    joint = wing_width - wing_width * math.log1p(wing_width / wing_curvature)
    near = wing_width * torch.log1p(distance / wing_curvature)
    return torch.where(distance < wing_width, near, distance - joint)


def expectation_loss(
    maps: Tensor,
    points: Target,
    weights: Tensor | None = None,
    *,
    kind: ErrorKind = "smooth_l1",
    beta: float = 1.0,
    wing_width: float = 10.0,
    wing_curvature: float = 2.0,
    regulariser: Regulariser | None = None,
    regulariser_weight: float = 1.0,
    sigma: Sigma = 1.0,
) -> Tensor:
    """Error of the softmax's expected coordinate, in map pixels, summed over x and y (DSNT).

    With p = softmax(Z), mean m_x = sum_ij p_ij j (m_y alike) and d = |m_x - x| the error is

    - "l1": d
    - "smooth_l1": d^2 / (2 beta) below beta, d - beta / 2 above
    - "wing": w log(1 + d / c) below w, d - w + w log(1 + w / c) above (Feng et al. 2018)

    and the regularisers, from Nibali et al. 2018, "Numerical Coordinate Regression with
    Convolutional Neural Networks", with which the mean alone does not decide the map's shape:

    - "variance": (v_x - sx^2)^2 + (v_y - sy^2)^2, v the variances of p
    - "js": Jensen-Shannon divergence of p and the Gaussian g about the point, in nats

    Of a mixture, (x, y) is the mean; its variances add to s^2, and g is the mean of the Gaussians
    of points drawn from it.

    Args:
        maps: logits (B, K, H, W).
        points: (B, K, 2), map pixels; or a `heatkp.heatmaps.Mixture`.
        weights: (B, K) or None.
        kind: the error.
        beta: smooth L1's bend, map pixels.
        wing_width: w above, map pixels.
        wing_curvature: c above, map pixels.
        regulariser: None, "variance" or "js".
        regulariser_weight: what the regulariser is multiplied with.
        sigma: the regularisers' standard deviation, map pixels; no gradient goes to it.

    Returns:
        Weighted losses (B, K).

    >>> maps = torch.zeros(1, 1, 1, 5)  # mean 2, variance 2 in x and 0 in y
    >>> point = torch.tensor([[[2.5, 0.0]]])
    >>> round(expectation_loss(maps, point, kind="l1").item(), 4)
    0.5
    >>> round(expectation_loss(maps, point, kind="l1", regulariser="variance").item(), 4)
    2.5
    """
    if kind not in get_args(ErrorKind):
        raise ValueError(f"unknown kind {kind!r}; allowed: {', '.join(get_args(ErrorKind))}")
    if regulariser is not None and regulariser not in get_args(Regulariser):
        raise ValueError(
            f"unknown regulariser {regulariser!r}; allowed: None, "
            f"{', '.join(get_args(Regulariser))}"
        )
    for name, value in (
        ("beta", beta),
        ("wing_width", wing_width),
        ("wing_curvature", wing_curvature),
    ):
        if not value > 0:
            raise ValueError(f"{name} must be above 0 (map pixels), got {value!r}")
    refuse_gradient(sigma)
    inputs = prepare(maps, points, weights)
    window = None
    if regulariser == "js":
        window = target_window(inputs, sigma, working_dtype(maps), normalised=True)
    offset, variance, divergence = _moments(maps, inputs, window)
    values = _error(offset, kind, beta, wing_width, wing_curvature).sum(2)
    if regulariser == "variance":
        target = parse_sigma(sigma, inputs.points, variance.dtype).square()
        target = target + inputs.variances(variance.dtype)
        values = values + regulariser_weight * (variance - target).square().sum(2)
    elif regulariser == "js":
        divergence = torch.where(inputs.weights > 0, divergence, 0.0)
        values = values + regulariser_weight * divergence
    return weigh(values, inputs.weights)


def gaussian_nll(
    maps: Tensor, points: Target, weights: Tensor | None = None, sigma: Sigma = 1.0
) -> Tensor:
    """Negative log-likelihood of the point under a Gaussian about the expected coordinate.

    With m the mean of softmax(Z): (m_x - x)^2 / (2 sx^2) + (m_y - y)^2 / (2 sy^2)
    + log(2 pi sx sy), in nats; can be negative. For learned uncertainty: sigma is the network's,
    in map pixels and positive, for instance `softplus(raw) + 0.1`, of shape (B, K) or (B, K, 2),
    and gets its gradient, as do the maps. Of a mixture it is the mean over points drawn from it:
    its variances add to the squared distances from its mean.

    Args:
        maps: logits (B, K, H, W).
        points: (B, K, 2), map pixels; or a `heatkp.heatmaps.Mixture`.
        weights: (B, K) or None.
        sigma: standard deviation of the prediction, map pixels.

    Returns:
        Weighted losses (B, K).

    >>> maps = torch.zeros(1, 1, 1, 5)
    >>> sigma = torch.tensor([[2.0]], requires_grad=True)
    >>> loss = gaussian_nll(maps, torch.tensor([[[4.0, 0.0]]]), sigma=sigma)
    >>> loss.sum().backward()
    >>> round(loss.item(), 4), round(sigma.grad.item(), 4)  # 1/2 + log(8 pi), -4/8 + 2/2
    (3.7242, 0.5)
    """
    inputs = prepare(maps, points, weights)
    offset, _, _ = _moments(maps, inputs)
    deviation = parse_sigma(sigma, inputs.points, offset.dtype)
    # Sigma of an unusable point may be anything, but must not turn the others' gradient to NaN.
    deviation = torch.where((inputs.weights > 0)[..., None], deviation, torch.ones_like(deviation))
    squares = offset.square() + inputs.variances(offset.dtype)
    values = (0.5 * squares / deviation.square() + deviation.log()).sum(2)
    return weigh(values + math.log(2 * math.pi), inputs.weights)
