"""Losses and decoders of maps of 1e-30 and of 1e30, in single precision, against float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import heatkp.heatmaps as hm
from tests.heatmaps import reference
from tests.heatmaps.test_decoders import ALL
from tests.heatmaps.test_losses import NAMES, compute

LARGEST = torch.finfo(torch.float32).max
exponents = st.integers(-38, 30)
sides = st.integers(1, 9)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(exponent=exponents, height=sides, width=sides, seed=st.integers(0, 2**31))
def test_losses(name: str, exponent: int, height: int, width: int, seed: int) -> None:
    """As the definition says in float64; infinite only where that is beyond float32. A point lies
    on a corner of the map, one in the middle, and one has no weight."""
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(1, 3, height, width, generator=rng) * 10.0**exponent
    points = torch.tensor([[[-0.5, height - 0.5], [(width - 1) / 2, (height - 1) / 2], [0, 0]]])
    weights = torch.tensor([[1.0, 1.0, 0.0]])
    own = maps.clone().requires_grad_()
    found = compute(name, own, points, weights, 1.0)
    expected = reference.losses(name, maps.double(), points.double(), weights.double(), 1.0)
    assert not found.isnan().any() and found[0, 2] == 0
    held = expected.abs() < LARGEST / 1e3
    off = (found.double() - expected).abs()[held]
    assert (off <= 1e-4 * (expected[held].abs() + 1)).all(), (found, expected)
    assert (found[~held].abs() > LARGEST / 1e6).all()
    if held.all():
        (gradient,) = torch.autograd.grad(found.sum(), own)
        assert gradient.isfinite().all() and (gradient[0, 2] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_losses_of_half_maps_at_their_limits(name: str, dtype: torch.dtype) -> None:
    largest = torch.finfo(dtype).max if dtype is torch.float16 else 1e18
    rng = torch.Generator().manual_seed(0)
    points = torch.tensor([[[2.0, 1.0], [-0.5, 3.5]]])
    for scale in (largest, torch.finfo(dtype).tiny):
        maps = (torch.rand(1, 2, 4, 5, generator=rng) * scale).to(dtype)
        found = compute(name, maps, points, torch.ones(1, 2), 1.0)
        expected = reference.losses(
            name, maps.double(), points.double(), torch.ones(1, 2).double(), 1.0
        )
        assert torch.allclose(found.double(), expected, rtol=1e-2, atol=1e-2), (found, expected)


@pytest.mark.parametrize("name, kind", ALL)
@settings(max_examples=15, deadline=None, derandomize=True)
@given(exponent=exponents, height=sides, width=sides, seed=st.integers(0, 2**31))
def test_decoders(
    name: str, kind: hm.Kind, exponent: int, height: int, width: int, seed: int
) -> None:
    """Points lie on the map and scores in [0, 1], whatever the scale; the peak is float64's."""
    rng = torch.Generator().manual_seed(seed)
    maps = torch.randn(1, 2, height, width, generator=rng) * 10.0**exponent
    found = hm.decode(name, maps, kind=kind)
    assert found.points.isfinite().all() and found.scores.isfinite().all()
    assert ((found.scores >= 0) & (found.scores <= 1)).all()
    x, y = found.points.unbind(-1)
    assert ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).all()
    if name == "argmax":
        flat = maps.double().flatten(2).argmax(2)
        assert x.tolist() == (flat % width).tolist() and y.tolist() == (flat // width).tolist()
