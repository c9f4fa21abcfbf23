"""Losses against mixtures of Gaussians: dense definitions, drawn in float64 and differentiated by
autograd."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import heatkp.heatmaps as hm
from tests.heatmaps import reference
from tests.heatmaps.test_losses import NAMES, TOLERANCE, compute

torch.set_num_threads(1)


def usable(mixture: hm.Mixture, size: tuple[int, int]) -> Tensor:
    """Weights (B, K, C) of the Gaussians about a place in the map; they sum to 1, or are 0."""
    x, y = mixture.points.unbind(-1)
    there = (x >= -0.5) & (x <= size[1] - 0.5) & (y >= -0.5) & (y <= size[0] - 0.5)
    weights = torch.where(there & (mixture.weights > 0), mixture.weights.double(), 0.0)
    total = weights.sum(-1, keepdim=True)
    return weights / torch.where(total > 0, total, 1.0)


def drawn(
    mixture: hm.Mixture, weights: Tensor, size: tuple[int, int], sigma: Any, normalised: bool
) -> Tensor:
    """Mean of the targets of points drawn from mixtures, (B, K, H, W)."""
    own = torch.zeros(2, dtype=torch.float64)
    own += 1 / 6 if sigma is None else torch.tensor(sigma, dtype=torch.float64) ** 2
    total = mixture.covariance.double() + torch.diag(own)
    y, x = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    pixels = torch.stack([x, y], -1).double()
    away = pixels - mixture.points.double().nan_to_num()[..., None, None, :]
    power = torch.einsum("bkchwi,bkcij,bkchwj->bkchw", away, total.inverse(), away)
    u = torch.exp(-power / 2)
    if normalised:
        u = torch.softmax(-power.flatten(3) / 2, 3).view(u.shape)
    else:
        u = u * (own.prod() / torch.linalg.det(total)).sqrt()[..., None, None]
    if sigma is None:
        flat = (mixture.covariance == 0).all(-1).all(-1)
        places = mixture.points.double().nan_to_num().flatten(1, 2)
        shared = reference.bilinear(places, size).view(u.shape)
        u = torch.where(flat[..., None, None], shared, u)
    return (weights[..., None, None] * u).sum(2)


def expected(name: str, maps: Tensor, mixture: hm.Mixture, sigma: Any) -> Tensor:
    """Losses (B, K) of float64 maps."""
    size = (maps.shape[2], maps.shape[3])
    shares = usable(mixture, size)
    safe = torch.where(shares[..., None, None] > 0, mixture.covariance, torch.eye(2))
    mixture = mixture._replace(covariance=safe.double())
    g = drawn(mixture, shares, size, None if name == "pixel_cross_entropy" else sigma, True)
    u = drawn(mixture, shares, size, sigma, False)
    targets = reference.of_targets(name, maps, g, u)
    if targets is not None:
        return targets
    logs = reference.log_softmax(maps)
    points = torch.where(shares[..., None] > 0, mixture.points.double(), 0.0)
    mean = (shares[..., None] * points).sum(2)
    own = mixture.covariance.double().diagonal(dim1=-2, dim2=-1)
    inner = (shares[..., None] * (own + points**2)).sum(2) - mean**2
    across = torch.arange(size[1]) - mean[..., 0, None]
    down = torch.arange(size[0]) - mean[..., 1, None]
    px, py = logs.exp().sum(2), logs.exp().sum(3)
    offset = torch.stack([(px * across).sum(2), (py * down).sum(2)], 2)
    s = torch.tensor(sigma, dtype=torch.float64).expand(2)
    if name == "gaussian_nll":
        return (0.5 * (offset**2 + inner) / s**2 + s.log()).sum(2) + math.log(2 * math.pi)
    loss = F.smooth_l1_loss(offset, torch.zeros_like(offset), reduction="none").sum(2)
    if name == "expectation_loss_variance":
        squares = torch.stack([(px * across**2).sum(2), (py * down**2).sum(2)], 2)
        return loss + (squares - offset**2 - s**2 - inner).square().sum(2)
    if name == "expectation_loss_js":
        return loss + reference.jensen_shannon(maps, g)
    assert name == "expectation_loss"
    return loss


def some(rng: torch.Generator, size: tuple[int, int], spread: float) -> hm.Mixture:
    """Three Gaussians each for 2 x 4 points, one a point as such; some outside, NaN, without
    weight."""
    height, width = size
    points = torch.rand(2, 4, 3, 2, generator=rng).double() * torch.tensor([width, height]) - 0.5
    root = spread * torch.randn(2, 4, 3, 2, 2, generator=rng).double()
    covariance = root @ root.mT
    covariance[:, :, 0] = 0
    weights = torch.rand(2, 4, 3, generator=rng).double() + 0.1
    points[0, 0, 0] = torch.tensor([-0.5, height - 0.5])  # a corner of the map
    points[0, 1, 1] = torch.tensor([width + 3.0, 0.0])
    points[0, 2, 0], covariance[0, 2, 1] = math.nan, math.nan
    weights[0, 2, 1] = 0
    points[1, 0] = -9.0  # nothing of it is in the map
    return hm.Mixture(points, covariance, weights)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    spread=st.sampled_from([0.1, 1.0, 4.0]),
    sigma=st.sampled_from([0.4, 1.0, (0.7, 2.0)]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_the_target_that_is_drawn(
    name: str, height: int, width: int, spread: float, sigma: Any, dtype: torch.dtype, seed: int
) -> None:
    rng = torch.Generator().manual_seed(seed)
    mixture = some(rng, (height, width), spread)
    mixture = hm.Mixture(*(tensor.to(dtype) for tensor in mixture))
    noise = torch.randn(2, 4, height, width, generator=rng).to(dtype)
    weights = torch.rand(2, 4, generator=rng).to(dtype) + 0.1
    weights[1, 2] = 0
    own = noise.clone().requires_grad_()
    dense = noise.double().requires_grad_()
    found = compute(name, own, mixture, weights, sigma)
    truth = expected(name, dense, mixture, sigma) * weights.double()
    used = (usable(mixture, (height, width)).sum(-1) > 0) & (weights > 0)
    assert used.sum() == 6 and found.dtype == dtype
    truth = torch.where(used, truth, 0.0)
    scale = truth.detach().abs() + 0.01
    assert ((found - truth).abs() <= TOLERANCE[dtype] * scale).all(), (found, truth)
    (gradient,) = torch.autograd.grad(found.sum(), own)
    (slope,) = torch.autograd.grad(truth.sum(), dense)
    off = (gradient.double() - slope).flatten(2).norm(dim=2)
    assert (off <= TOLERANCE[dtype] * (slope.flatten(2).norm(dim=2) + scale)).all()
    assert (gradient[~used] == 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_single_point_as_such_is_the_loss_of_that_point(name: str) -> None:
    rng = torch.Generator().manual_seed(3)
    maps = torch.randn(2, 3, 9, 11, generator=rng)
    points = torch.rand(2, 3, 2, generator=rng) * 8
    points[1, 1] = math.nan
    alone = hm.Mixture(points[:, :, None], torch.zeros(2, 3, 1, 2, 2), torch.ones(2, 3, 1))
    found, plain = (compute(name, maps, p, None, 1.3) for p in (alone, points))
    assert torch.allclose(found, plain, rtol=1e-6, atol=1e-7)


def test_moments_are_those_of_what_is_drawn() -> None:
    rng = torch.Generator().manual_seed(1)
    mixture = hm.Mixture(
        torch.rand(1, 1, 2, 2, generator=rng) * 4 + 18,
        torch.tensor([[[[[4.0, 1.5], [1.5, 3.0]], [[2.0, -1.0], [-1.0, 5.0]]]]]),
        torch.tensor([[[3.0, 1.0]]]),
    )
    g = drawn(mixture, usable(mixture, (40, 40)), (40, 40), 1.0, True)
    decoded = hm.decode("expectation", g.log())
    assert torch.allclose(decoded.points, mixture.mean.double(), atol=1e-5)
    total = mixture.total_covariance.double() + torch.eye(2)
    assert torch.allclose(decoded.covariance, total, atol=1e-4)


def test_shapes_that_do_not_belong_together_are_refused() -> None:
    points = torch.zeros(1, 2, 3, 2)
    wrong = hm.Mixture(points, torch.zeros(1, 2, 3, 2), torch.ones(1, 2, 3))
    with pytest.raises(ValueError, match="covariance"):
        hm.kl_divergence(torch.zeros(1, 2, 4, 4), wrong)
