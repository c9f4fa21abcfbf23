"""Losses of maps with masked pixels, logits of -inf: those of maps without these pixels."""

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
from heatkp.heatmaps.gaussians import bilinear_window, gaussian_window
from tests.heatmaps import reference
from tests.heatmaps.test_losses import NAMES, TOLERANCE, compute

LOW = -900.0
"""A logit whose probability is 0 even in double precision."""
EVERY_PIXEL = {
    "gaussian_cross_entropy", "kl_divergence", "pixel_cross_entropy", "binary_cross_entropy",
}  # fmt: skip
"""Losses that ask each pixel of the target for its probability."""


def asked(name: str, points: Tensor, size: tuple[int, int], sigma: Any) -> Tensor:
    """Which pixels (B, K, H, W) have a part of the target."""
    if name == "pixel_cross_entropy":
        window = bilinear_window(points, size)
    else:
        window = gaussian_window(points, sigma, size, points.dtype, normalised=True)
    flat = torch.zeros(points[..., 0].numel(), size[0] * size[1], dtype=torch.bool)
    flat.scatter_(1, window.index(), window.target() > 0)
    return flat.view(*points.shape[:2], *size)


def impossible(name: str, hidden: Tensor, target: Tensor) -> Tensor:
    """Where (B, K) a loss asks for something of a pixel, row or column that is masked."""
    if hm.LOSSES[name].kind == "gaussian":
        return hidden.any(3).any(2)
    if name in EVERY_PIXEL:
        return (hidden & target).any(3).any(2)
    if name == "marginal_cross_entropy":
        lost = [(hidden.all(axis) & target.any(axis)).any(2) for axis in (2, 3)]
        return lost[0] | lost[1]
    return torch.zeros(hidden.shape[:2], dtype=torch.bool)


def hide(
    maps: Tensor, target: Tensor, mode: str, share: float, generator: torch.Generator
) -> Tensor:
    """Pixels to mask: any, all but the target's, or whole rows and columns; never the highest."""
    chance = torch.rand(maps.shape, generator=generator) < share
    if mode == "lines":
        chance = chance[:, :, :1] | chance[:, :, :, :1]
    elif mode == "away":
        chance = chance & ~target
    highest = maps.flatten(2).argmax(2, keepdim=True)
    return chance.flatten(2).scatter(2, highest, False).view(maps.shape)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 24),
    width=st.integers(1, 24),
    sigma=st.one_of(st.floats(0.05, 3.0), st.tuples(st.floats(0.3, 3.0), st.floats(0.3, 3.0))),
    mode=st.sampled_from(["anywhere", "away", "lines"]),
    share=st.floats(0.02, 0.98),
    dtype=st.sampled_from([torch.float32, torch.float64]),
    seed=st.integers(0, 2**31),
)
def test_agrees_with_the_dense_definition(
    name: str, height: int, width: int, sigma: Any, mode: str, share: float,
    dtype: torch.dtype, seed: int,
) -> None:  # fmt: skip
    rng = torch.Generator().manual_seed(seed)
    extent = torch.tensor([width, height])
    points = (torch.rand(2, 4, 2, generator=rng) * extent - 0.5).clamp(min=-0.5).to(dtype)
    points = torch.minimum(points, extent.to(dtype) - 0.5)
    maps = 3 * torch.randn(2, 4, height, width, generator=rng).to(dtype)
    target = asked(name, points, (height, width), sigma)
    hidden = hide(maps, target, mode, share, rng)
    weights = torch.rand(2, 4, generator=rng).to(dtype) + 0.1
    weights[1, 3], hidden[1, 3] = 0, True  # nothing is left, and nothing asked

    own = maps.masked_fill(hidden, -math.inf).requires_grad_()
    dense = maps.double().masked_fill(hidden, LOW).requires_grad_()
    found = compute(name, own, points, weights, sigma)
    expected = reference.losses(name, dense, points.double(), weights.double(), sigma)
    never = impossible(name, hidden, target) & (weights > 0)
    assert (found[never] == math.inf).all()
    tolerance = TOLERANCE[dtype]
    off = (found.double() - expected)[~never].abs()
    assert (off <= tolerance * (expected[~never].abs() + 1)).all(), (found, expected)

    (gradient,) = torch.autograd.grad(found.sum(), own)
    (truth,) = torch.autograd.grad(expected.sum(), dense)
    assert not gradient.isnan().any()
    off = (gradient.double() - truth).masked_fill(hidden, 0).flatten(2).norm(dim=2)
    scale = truth.masked_fill(hidden, 0).flatten(2).norm(dim=2)
    seen = expected.detach().abs().masked_fill(never, 0)
    assert (off <= tolerance * (scale + 1e-2 * seen.clamp(min=1))).all(), (off, scale)
    if hm.LOSSES[name].kind != "gaussian":
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(name: str, dtype: torch.dtype) -> None:
    """Its gradient is made in another place."""
    rng = torch.Generator().manual_seed(1)
    maps = (3 * torch.randn(2, 3, 17, 12, generator=rng)).to(dtype)
    maps[:, :, ::3, 5:] = -math.inf
    maps.requires_grad_()
    single = maps.detach().float().requires_grad_()
    points = torch.rand(2, 3, 2, generator=rng) * 11
    for one in (maps, single):
        compute(name, one, points, None, 0.7).sum().backward()
    step = torch.finfo(dtype).eps
    assert torch.allclose(maps.grad.float(), single.grad, rtol=step, atol=1e-6)


def test_cross_entropy_without_a_pixel() -> None:
    maps = torch.tensor([[[[0.0, -math.inf, 1.0]]]])
    expected = F.cross_entropy(torch.tensor([[0.0, 1.0]]), torch.tensor([0]))
    found = hm.pixel_cross_entropy(maps, torch.zeros(1, 1, 2))
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert hm.pixel_cross_entropy(maps, torch.tensor([[[1.0, 0.0]]])).item() == math.inf
