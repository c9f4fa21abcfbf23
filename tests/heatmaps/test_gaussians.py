"""Gaussians and their windows."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

import heatkp.heatmaps as hm
from heatkp.heatmaps.gaussians import bilinear_window, gaussian_window, parse_sigma
from tests.heatmaps import reference

torch.set_num_threads(1)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 30),
    width=st.integers(1, 30),
    sigma=st.one_of(st.floats(0.05, 10), st.tuples(st.floats(0.05, 10), st.floats(0.05, 10))),
    x=st.floats(0, 1),
    y=st.floats(0, 1),
    normalised=st.booleans(),
)
@example(height=1, width=2, sigma=0.05, x=0.4995, y=0.5, normalised=True)  # between two pixels
def test_window_holds_the_gaussian(
    height: int, width: int, sigma: Any, x: float, y: float, normalised: bool
) -> None:
    size = (height, width)
    points = torch.tensor([[[x * width - 0.5, y * height - 0.5]]], dtype=torch.float64)
    expected = reference.gaussians(points, size, sigma, normalised)[0, 0]
    rendered = hm.render_gaussians(points, size, sigma, normalised=normalised)[0, 0]
    assert torch.allclose(rendered, expected, rtol=1e-12, atol=1e-15)
    for dtype, tolerance in ((torch.float32, 1e-8), (torch.float64, 1e-13)):
        window = gaussian_window(points, sigma, size, dtype, normalised=normalised)
        drawn = torch.zeros(1, height * width, dtype=torch.float64)
        drawn.scatter_(1, window.index(), window.target())
        assert (drawn.view(size) - expected).abs().max() <= tolerance
        if normalised:
            assert window.target().sum().item() == pytest.approx(1, abs=1e-12)
            dense = -torch.xlogy(expected, expected).sum().item()
            assert window.entropy().item() == pytest.approx(dense, rel=1e-6, abs=1e-9)


def test_window_is_smaller_than_the_map() -> None:
    window = gaussian_window(torch.tensor([[[100.2, 50.7]]]), 1.0, (200, 300), torch.float32, True)
    assert window.rows.shape == window.columns.shape == (1, 13)
    assert (window.top.item(), window.left.item()) == (45, 94)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(height=st.integers(1, 9), width=st.integers(1, 9), x=st.floats(0, 1), y=st.floats(0, 1))
def test_bilinear_window(height: int, width: int, x: float, y: float) -> None:
    points = torch.tensor([[[x * width - 0.5, y * height - 0.5]]], dtype=torch.float64)
    window = bilinear_window(points, (height, width))
    drawn = torch.zeros(1, height * width, dtype=torch.float64)
    drawn.scatter_(1, window.index(), window.target())
    expected = reference.bilinear(points, (height, width))[0, 0]
    assert torch.allclose(drawn.view(height, width), expected, atol=1e-12)
    assert drawn.sum().item() == pytest.approx(1)


def test_far_narrower_than_a_pixel() -> None:
    maps = hm.render_gaussians(torch.tensor([[[1.4, 0.0]]]), (1, 4), 1e-3)
    assert maps.flatten().tolist() == [0, 1, 0, 0]


def test_points_outside_draw_nothing() -> None:
    points = torch.tensor([[[math.nan, 1.0], [9.0, 1.0], [1.0, 1.0]]])
    assert hm.render_gaussians(points, (3, 4)).sum((2, 3)).tolist() == [[0, 0, pytest.approx(1)]]


def test_sigma_shapes() -> None:
    points = torch.zeros(2, 3, 2)
    for sigma, expected in (
        (2.0, [2.0, 2.0]),
        ((2.0, 3.0), [2.0, 3.0]),
        (torch.tensor(2.0), [2.0, 2.0]),
        (torch.full((3,), 2.0), [2.0, 2.0]),
        (torch.full((2, 1), 2.0), [2.0, 2.0]),
        (torch.tensor([[[2.0, 3.0]]]), [2.0, 3.0]),
    ):
        parsed = parse_sigma(sigma, points, torch.float32)
        assert parsed.shape == points.shape and parsed[1, 2].tolist() == expected
    for bad in (0.0, -1.0, math.inf, (1.0, 0.0), (1.0, 2.0, 3.0)):
        with pytest.raises(ValueError, match=rf"sigma.*{re.escape(repr(bad))}"):
            parse_sigma(bad, points, torch.float32)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"\(4,\).*\(2, 3\)"):
        parse_sigma(torch.ones(4), points, torch.float32)
