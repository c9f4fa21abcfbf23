"""Decoders by hand: scores, defaults, smoothing, floors; the same in any surroundings."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import heatkp.heatmaps as hm
from heatkp.heatmaps import contents
from heatkp.heatmaps.catalogue import _reads
from tests.heatmaps.test_decoders import ALL, EXACT, perfect


@pytest.mark.parametrize("sigma, across, down", [(1.2, 7, 7), ((1.2, 1.0), 7, 5), (0.5, 3, 3)])
def test_the_score_of_logits_is_the_mass_within_two_sigma(
    sigma: hm.DecoderSigma, across: int, down: int
) -> None:
    """Rounded up to whole pixels. A flat map but for its peak, twice as high."""
    maps = torch.zeros(1, 1, 20, 30)
    maps[0, 0, 9, 12] = math.log(2)
    scores = hm.decode_argmax(maps, "logits", sigma).scores
    assert scores.item() == pytest.approx((across * down + 1) / 601)
    flat = torch.zeros(1, 1, 21, 31)  # the expectation is its middle
    scores = hm.decode_expectation(flat, "logits", sigma).scores
    assert scores.item() == pytest.approx(across * down / 651)


def test_a_decoder_reads_its_kinds_only() -> None:
    """Whatever it needs of the maps' shape."""
    info = replace(hm.DECODERS["argmax"], kinds=("gaussian",))
    assert _reads(info, contents.GAUSSIAN_MAP)
    assert not _reads(info, contents.GAUSSIAN_SOFTMAX)
    assert not _reads(replace(info, needs="mean"), contents.GAUSSIAN_MAP)


def uneven() -> Tensor:
    """Gaussians with noise, one of them near a border."""
    rng = torch.Generator().manual_seed(0)
    maps = perfect(torch.tensor([[[8.3, 8.0], [1.2, 15.1]]]), (17, 18), 1.3, "gaussian")
    return (maps + 0.02 * torch.rand(maps.shape, generator=rng)).log()


def same(one: hm.Decoded, other: hm.Decoded) -> bool:
    return all(
        (a is None and b is None)
        or (a is not None and b is not None and torch.equal(a.nan_to_num(9), b.nan_to_num(9)))
        for a, b in zip(one, other)
    )


@pytest.mark.parametrize("name", hm.DECODERS)
def test_sigma_is_one_unless_given(name: str) -> None:
    function = hm.DECODERS[name].function
    assert same(function(uneven()), function(uneven(), "logits", 1.0))
    assert not same(function(uneven()), function(uneven(), "logits", 2.0))


@pytest.mark.parametrize("name, kind", ALL)
def test_autocast_changes_nothing(name: str, kind: hm.Kind) -> None:
    maps = uneven().exp() if kind == "gaussian" else uneven()
    plain = hm.decode(name, maps, kind=kind, sigma=1.3)
    with torch.autocast("cpu", torch.bfloat16):
        assert same(hm.decode(name, maps, kind=kind, sigma=1.3), plain)


@pytest.mark.parametrize("name", hm.DECODERS)
@pytest.mark.parametrize(
    "maps",
    [
        torch.zeros(1, 4, 4),
        torch.zeros(1, 1, 4, 4).int(),
        torch.zeros(1, 1, 0, 4),
        torch.zeros(1, 1, 4, 0),
    ],
)
def test_what_is_no_map_is_refused(name: str, maps: Tensor) -> None:
    with pytest.raises(ValueError, match="B, K, H, W"):
        hm.DECODERS[name].function(maps)


def dark(heights: Tensor, blur: float) -> tuple[Tensor, Tensor]:
    """Point and covariance of a map (H, W) of heights, after DARK's paper, about a pixel that is
    two from the border at least."""
    reach = math.ceil(3 * blur)
    line = (-0.5 * (torch.arange(-reach, reach + 1).double() / blur) ** 2).exp()
    kernel = (line[:, None] * line)[None, None]
    given = torch.stack([heights.double(), torch.ones_like(heights).double()])[:, None]
    total, present = torch.nn.functional.conv2d(given, kernel, padding=reach)[:, 0]
    smooth = total / present
    y, x = divmod(int(heights.argmax()), heights.shape[1])
    x0, y0 = max(2, x), max(2, y)
    near = smooth[y0 - 2 : y0 + 3, x0 - 2 : x0 + 3]
    f = near.clamp(min=1e-10 * near.max()).log()
    slope = torch.stack([f[2, 3] - f[2, 1], f[3, 2] - f[1, 2]]) / 2
    mixed = (f[3, 3] + f[1, 1] - f[3, 1] - f[1, 3]) / 4
    xx, yy = (f[2, 4] + f[2, 0] - 2 * f[2, 2]) / 4, (f[4, 2] + f[0, 2] - 2 * f[2, 2]) / 4
    inverse = torch.linalg.inv(torch.stack([xx, mixed, mixed, yy]).view(2, 2))
    return torch.tensor([x0, y0]) - inverse @ slope, -inverse - blur**2 * torch.eye(2)


@pytest.mark.parametrize("x, y", [(8.3, 8.0), (1.2, 8.4), (8.3, 0.8), (0.9, 1.1)])
@pytest.mark.parametrize("blur", [0.8, 1.5])
def test_dark_is_the_papers_with_pixels_beyond_the_border_missing(
    x: float, y: float, blur: float
) -> None:
    heights = perfect(torch.tensor([[[x, y]]]), (17, 18), 1.7, "gaussian")
    heights = heights + 0.01 * torch.rand(heights.shape, generator=torch.manual_seed(0))
    point, covariance = dark(heights[0, 0], blur)
    found = hm.decode_dark(heights, "gaussian", blur=blur)
    assert found.covariance is not None
    assert torch.allclose(found.points[0, 0].double(), point, atol=1e-4)
    assert torch.allclose(found.covariance[0, 0].double(), covariance, atol=1e-2)


def test_dark_of_a_single_pixel() -> None:
    """What is smoother than the map can be leaves no covariance."""
    heights = torch.zeros(1, 1, 11, 11)
    heights[0, 0, 5, 5] = 1.0
    own = 4 / (2 * 10 * math.log(10))  # the log falls to its floor, 1e-10, in two pixels
    for blur in (0.2, 0.3):
        found = hm.decode_dark(heights, "gaussian", blur=blur)
        assert found.covariance is not None
        assert found.points[0, 0].tolist() == [5, 5]
        if own > blur**2:
            left = (own - blur**2) * torch.eye(2)
            assert torch.allclose(found.covariance[0, 0], left, atol=1e-5)
        else:
            assert found.covariance.isnan().all()


def test_quadratic_of_a_single_pixel() -> None:
    """Heights count from a millionth of the peak's."""
    for height in (1.0, 1e-3):
        heights = torch.zeros(1, 1, 7, 7)
        heights[0, 0, 3, 4] = height
        found = hm.decode_quadratic(heights, "gaussian")
        assert found.covariance is not None
        assert found.points[0, 0].tolist() == [4, 3]
        expected = torch.eye(2) / (12 * math.log(10))
        assert torch.allclose(found.covariance[0, 0], expected, rtol=1e-4)


@pytest.mark.parametrize("name, kind", [pair for pair in ALL if pair[0] in EXACT])
@pytest.mark.parametrize("across", [True, False])
def test_maps_of_one_row_or_column(name: str, kind: hm.Kind, across: bool) -> None:
    """The axis that there is is read exactly, the other is the pixel's."""
    point = torch.tensor([9.3, 0.0] if across else [0.0, 9.3])
    maps = perfect(point.view(1, 1, 2), (1, 20) if across else (20, 1), 1.5, kind)
    found = hm.decode(name, maps, kind=kind, sigma=1.5).points[0, 0]
    assert torch.allclose(found, point, atol=0.01)


@pytest.mark.parametrize("name", hm.DECODERS)
def test_only_the_expectation_passes_a_gradient(name: str) -> None:
    """What starts from the highest pixel would give a gradient of that pixel's choice alone."""
    found = hm.DECODERS[name].function(uneven().requires_grad_())
    assert found.points.requires_grad == (name == "expectation")
    assert name == "expectation" or not found.scores.requires_grad
