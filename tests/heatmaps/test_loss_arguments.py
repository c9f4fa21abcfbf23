"""What losses take beside maps and points: weights, widths; and their mean."""

from __future__ import annotations

import inspect
import math

import pytest
import torch

import heatkp.heatmaps as hm


@pytest.mark.parametrize("name", hm.LOSSES)
def test_losses_say_whether_they_have_a_width(name: str) -> None:
    info = hm.LOSSES[name]
    maps = torch.randn(1, 2, 12, 12, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[[4.3, 5.1], [7.0, 6.2]]])
    takes = "sigma" in inspect.signature(info.function).parameters
    widths = [{"sigma": s} if takes else {} for s in (1.0, 2.0)]
    narrow, wide = (info.function(maps, points, **width) for width in widths)
    assert info.uses_sigma != torch.equal(narrow, wide)


@pytest.mark.parametrize("name", hm.LOSSES)
def test_no_gradient_goes_to_weights(name: str) -> None:
    """They say what counts; a network that makes them would learn to make them small."""
    maps = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    weights = torch.tensor([[1.0, 2.0]], requires_grad=True)
    loss = hm.LOSSES[name].function(maps, torch.full((1, 2, 2), 3.3), weights)
    total = hm.masked_mean(loss, weights)
    to_maps, to_weights = torch.autograd.grad(total, (maps, weights), allow_unused=True)
    assert to_weights is None and bool(to_maps.any())


@pytest.mark.parametrize("bad", [0.0, math.nan, math.inf])
def test_learned_widths_of_points_that_do_not_count(bad: float) -> None:
    """They may be anything, and the others do not notice."""
    maps = torch.randn(1, 2, 8, 8, generator=torch.Generator().manual_seed(0)).requires_grad_()
    points, weights = torch.full((1, 2, 2), 3.3), torch.tensor([[1.0, 0.0]])
    found = []
    for other in (1.0, bad):
        sigma = torch.full((1, 2, 2), 1.5)
        sigma[0, 1] = other
        sigma.requires_grad_()
        loss = hm.gaussian_nll(maps, points, weights, sigma)
        found.append((loss, *torch.autograd.grad(loss.sum(), (maps, sigma))))
    for clean, dirty in zip(*found):
        assert torch.equal(clean, dirty)


def test_means_without_weights() -> None:
    assert hm.masked_mean(torch.tensor([[1.0, 2.0], [3.0, 6.0]])).item() == 3
    empty = torch.zeros(0, 2, requires_grad=True)
    assert hm.masked_mean(empty).item() == 0


@pytest.mark.parametrize(
    "x, y, inside",
    [
        (-0.5, -0.5, True), (4.5, 3.5, True), (-0.6, 2.0, False), (4.6, 2.0, False),
        (2.0, -0.6, False), (2.0, 3.6, False), (math.nan, 2.0, False), (2.0, math.inf, False),
    ],
)  # fmt: skip
def test_where_a_map_ends(x: float, y: float, inside: bool) -> None:
    assert hm.usable_weights(torch.tensor([[[x, y]]]), None, (4, 5)).tolist() == [[float(inside)]]
