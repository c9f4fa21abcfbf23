"""Decoders: exactness, defined answers where there is none, invariances, allowed pairs."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import heatkp.heatmaps as hm
from heatkp.coordinates import input_to_map, map_to_input

torch.set_num_threads(1)

EXACT = ["quadratic", "dark", "expectation", "matched"]
BY_PEAK = [name for name in hm.DECODERS if name != "expectation"]
ALL = [(name, kind) for name, info in hm.DECODERS.items() for kind in info.kinds]


def perfect(points: Tensor, size: tuple[int, int], sigma: hm.DecoderSigma, kind: str) -> Tensor:
    """Maps of a network without error."""
    peaks = hm.render_gaussians(points.double(), size, sigma, normalised=False)
    if kind == "gaussian":
        return peaks.float()
    logs = peaks.clamp(min=1e-300).log()
    if kind == "sigmoid_logits":
        logs = logs - (-peaks.clamp(max=1 - 1e-9)).log1p()
    return logs.float()


@pytest.mark.parametrize("sigma", [1.0, 1.5, 2.0, 3.0])
@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("name, kind", [pair for pair in ALL if pair[0] in EXACT])
def test_noise_free_error(name: str, kind: hm.Kind, stride: int, sigma: float) -> None:
    size = 40
    rng = torch.Generator().manual_seed(0)
    margin = 4 * sigma
    inner = margin + torch.rand(1, 60, 2, generator=rng).double() * (size - 1 - 2 * margin)
    points = map_to_input(inner, stride)
    maps = perfect(input_to_map(points, stride), (size, size), sigma, kind)
    found = map_to_input(hm.decode(name, maps, kind=kind, sigma=sigma).points.double(), stride)
    assert ((found - points) / stride).square().sum(2).mean().sqrt() < 0.01


@pytest.mark.parametrize(
    "name, kind", [pair for pair in ALL if pair[0] in ("quadratic", "matched")]
)
@pytest.mark.parametrize("sigma", [1.0, (2.0, 1.0)])
def test_exact_at_borders(name: str, kind: hm.Kind, sigma: hm.DecoderSigma) -> None:
    points = torch.tensor([[[-0.5, -0.5], [-0.4, 6.3], [11.5, 9.5], [5.2, 9.3], [11.2, -0.3]]])
    decoded = hm.decode(name, perfect(points, (10, 12), sigma, kind), kind=kind, sigma=sigma)
    assert (decoded.points - points).abs().max() < 2e-3


@pytest.mark.parametrize("name, kind", ALL)
def test_covariances_are_the_maps_own(name: str, kind: hm.Kind) -> None:
    points = torch.tensor([[[16.2, 15.7], [15.5, 16.0]]])
    decoded = hm.decode(name, perfect(points, (32, 33), (1.5, 1.1), kind), kind=kind, sigma=1.4)
    assert hm.DECODERS[name].covariance == (decoded.covariance is not None)
    if decoded.covariance is not None:
        expected = torch.diag(torch.tensor([1.5, 1.1])).square().expand(1, 2, 2, 2)
        assert torch.allclose(decoded.covariance, expected, atol=0.03)


def test_quadratic_reads_a_rotated_gaussian() -> None:
    centre, covariance = torch.tensor([7.3, 5.8]), torch.tensor([[3.0, 1.2], [1.2, 2.0]])
    y, x = torch.meshgrid(torch.arange(12.0), torch.arange(15.0), indexing="ij")
    offset = torch.stack([x, y], -1) - centre
    maps = -0.5 * torch.einsum("hwi,ij,hwj->hw", offset, torch.linalg.inv(covariance), offset)
    decoded = hm.decode_quadratic(maps[None, None])
    assert torch.allclose(decoded.points[0, 0], centre, atol=1e-4)
    assert torch.allclose(decoded.covariance[0, 0], covariance, atol=1e-3)


@pytest.mark.parametrize("name, kind", ALL)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    dx=st.integers(-6, 6), dy=st.integers(-6, 6), seed=st.integers(0, 2**31), rough=st.booleans()
)
def test_whole_pixel_shifts(
    name: str, kind: hm.Kind, dx: int, dy: int, seed: int, rough: bool
) -> None:
    rng = torch.Generator().manual_seed(seed)
    points = 16 + torch.rand(1, 3, 2, generator=rng)
    sigma = 1.3
    maps = perfect(points, (33, 33), sigma, kind)
    if rough:  # around the peak only, so that it does not depend on the shift
        maps[..., 14:20, 14:20] += 0.3 * torch.randn(1, 3, 6, 6, generator=rng)
    moved = maps.roll((dy, dx), (2, 3))
    one = hm.decode(name, maps, kind=kind, sigma=sigma)
    other = hm.decode(name, moved, kind=kind, sigma=sigma)
    shift = torch.tensor([dx, dy])
    # roll brings the far border around, where probabilities are nearly, but not quite, nothing
    assert torch.allclose(other.points, one.points + shift, atol=2e-3)
    assert torch.allclose(other.scores, one.scores, atol=1e-4)


@pytest.mark.parametrize("name, kind", ALL)
@settings(max_examples=25, deadline=None, derandomize=True)
@given(height=st.integers(1, 12), width=st.integers(1, 12), seed=st.integers(0, 2**31))
def test_any_map(name: str, kind: hm.Kind, height: int, width: int, seed: int) -> None:
    """Noise of any size: answers on the map, near the peak, and transposed maps give the same."""
    rng = torch.Generator().manual_seed(seed)
    maps = 2 * torch.randn(2, 3, height, width, generator=rng)
    decoded = hm.decode(name, maps, kind=kind, sigma=(1.0, 1.6))
    x, y = decoded.points.unbind(-1)
    assert decoded.points.isfinite().all()
    assert ((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)).all()
    assert ((decoded.scores >= 0) & (decoded.scores <= 1)).all()
    if name in ("quarter", "quadratic", "dark", "matched"):
        peak = hm.decode_argmax(maps, kind).points
        limit = torch.tensor([1.0, 1.0 if name in ("quarter", "quadratic") else 1.6])
        assert ((decoded.points - peak).abs() <= limit + 1e-4).all()
    turned = hm.decode(name, maps.mT, kind=kind, sigma=(1.6, 1.0))
    assert torch.allclose(turned.points, decoded.points.flip(-1), atol=1e-3)
    assert torch.allclose(turned.scores, decoded.scores, atol=1e-5)
    if decoded.covariance is not None:
        flipped = turned.covariance.flip(-1, -2)
        assert torch.allclose(flipped, decoded.covariance, rtol=1e-2, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("name, kind", ALL)
def test_layouts_and_precisions(name: str, kind: hm.Kind) -> None:
    points = torch.tensor([[[9.3, 8.1], [7.5, 10.0]]])
    maps = perfect(points, (20, 18), 1.5, kind)
    plain = hm.decode(name, maps, kind=kind, sigma=1.5)
    for other in (
        maps.contiguous(memory_format=torch.channels_last),
        maps.mT.contiguous().mT,
        maps.double(),
    ):
        found = hm.decode(name, other, kind=kind, sigma=1.5)
        assert torch.allclose(found.points.float(), plain.points, atol=1e-4)
        assert found.points.dtype == (
            torch.float64 if other.dtype == torch.float64 else torch.float32
        )
    half = hm.decode(name, maps.half(), kind=kind, sigma=1.5)
    assert half.points.dtype == torch.float32
    assert (half.points - plain.points).abs().max() < 0.02


@pytest.mark.parametrize("name, kind", ALL)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_maps_without_an_answer(name: str, kind: hm.Kind, bad: float) -> None:
    maps = torch.rand(1, 3, 7, 8)
    clean = hm.decode(name, maps, kind=kind)
    maps[0, 1, 6, 7] = bad
    maps[0, 2] = -math.inf
    decoded = hm.decode(name, maps, kind=kind)
    assert decoded.points[0, 1:].isnan().all() and (decoded.scores[0, 1:] == 0).all()
    assert torch.equal(decoded.points[0, 0], clean.points[0, 0])
    assert decoded.scores[0, 0] == clean.scores[0, 0]
    if decoded.covariance is not None:
        assert decoded.covariance[0, 1:].isnan().all()


@pytest.mark.parametrize("name, kind", ALL)
@pytest.mark.parametrize("value", [0.0, 0.3, -5.0])
@pytest.mark.parametrize("size", [(7, 8), (1, 1), (1, 6), (2, 2), (4, 3)])
def test_flat_maps(name: str, kind: hm.Kind, value: float, size: tuple[int, int]) -> None:
    """The middle of the map or, for the local expectation, of the first window; else (0, 0)."""
    height, width = size
    decoded = hm.decode(name, torch.full((1, 2, *size), value), kind=kind)
    expected = torch.zeros(1, 2, 2)
    if name == "expectation":
        expected[...] = torch.tensor([(width - 1) / 2, (height - 1) / 2])
    elif name == "local_expectation" and not (kind == "gaussian" and value <= 0):
        reach = 4  # 3 sigma + 1
        expected[...] = torch.tensor([min(reach, width - 1) / 2, min(reach, height - 1) / 2])
    assert torch.allclose(decoded.points, expected, atol=1e-5)


@pytest.mark.parametrize("name", BY_PEAK)
def test_ties_go_to_the_first_pixel(name: str) -> None:
    points = torch.tensor([[[20.2, 6.3], [6.4, 20.1]]])
    two = perfect(points, (28, 28), 1.0, "gaussian").sum(1, keepdim=True)
    apart = two.roll((0, 0), (2, 3))
    apart[0, 0, 6, 20] = apart[0, 0, 20, 6] = 1.5
    point = hm.decode(name, apart, kind="gaussian").points[0, 0]
    assert (point - torch.tensor([20.0, 6.0])).abs().max() <= 1


def test_argmax_and_quarter() -> None:
    maps = torch.zeros(1, 3, 4, 5)
    maps[0, 0, 2, 3], maps[0, 0, 2, 4], maps[0, 0, 1, 3] = 0.9, 0.2, 0.1
    maps[0, 1, 0, 4] = 0.5  # a corner: no neighbours to compare
    maps[0, 2, 1, 1] = 1.7
    assert hm.decode_argmax(maps, "gaussian").points[0].tolist() == [[3, 2], [4, 0], [1, 1]]
    decoded = hm.decode_quarter(maps, "gaussian")
    assert decoded.points[0].tolist() == [[3.25, 1.75], [4, 0], [1, 1]]
    assert decoded.scores[0].tolist() == pytest.approx([0.9, 0.5, 1.0])


def test_negative_infinity_beside_the_peak() -> None:
    """Masked pixels are not an error; the peak stays the answer where no fit is possible."""
    maps = perfect(torch.tensor([[[5.3, 4.2]]]), (10, 11), 1.0, "logits")
    maps[0, 0, :, 6] = -math.inf
    for name in BY_PEAK:
        decoded = hm.decode(name, maps)
        assert (decoded.points[0, 0] - torch.tensor([5.0, 4.0])).abs().max() <= 1, name
        assert decoded.scores[0, 0] > 0.5
    assert hm.decode_quadratic(maps).points[0, 0].tolist() == [5.0, 4.0]


def test_scores() -> None:
    """Of logits: the fraction of the probability near the peak; an additive constant is nothing."""
    maps = torch.zeros(1, 2, 9, 9)
    maps[0, 0, 4, 4] = 100.0
    for name in hm.DECODERS:
        scores = hm.decode(name, maps + 1e3).scores[0]
        assert scores[0].item() == pytest.approx(1)
        # Flat: 3 x 3 of 9 x 9 pixels about the corner, 5 x 5 about the centre.
        share = 25 / 81 if name == "expectation" else 9 / 81
        assert scores[1].item() == pytest.approx(share, rel=1e-3)
    sigmoid = hm.decode_argmax(torch.full((1, 1, 3, 3), -1.0), "sigmoid_logits").scores
    assert sigmoid.item() == pytest.approx(1 / (1 + math.e))


def test_expectation_passes_gradients() -> None:
    maps = torch.randn(1, 2, 4, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda z: hm.decode_expectation(z, temperature=0.7).points, maps
    )


def test_options() -> None:
    maps = perfect(torch.tensor([[[8.3, 8.0]]]), (17, 18), 1.5, "logits")
    sharp = hm.decode_expectation(maps, temperature=0.5).covariance[0, 0, 0, 0]
    assert sharp.item() == pytest.approx(1.5**2 / 2, rel=1e-3)
    for blur in (0.5, 2.0):
        decoded = hm.decode_dark(maps, blur=blur)
        assert decoded.points[0, 0].tolist() == pytest.approx([8.3, 8.0], abs=0.01)
        assert decoded.covariance[0, 0, 0, 0].item() == pytest.approx(2.25, rel=0.05)
    small = hm.decode_local_expectation(maps, radius=1).covariance[0, 0, 0, 0]
    assert small < 1


def test_noise_is_averaged_by_decoders_that_see_more() -> None:
    rng = torch.Generator().manual_seed(0)
    points = 12 + torch.rand(1, 200, 2, generator=rng) * 8
    maps = perfect(points, (33, 33), 2.0, "gaussian")
    maps += 0.05 * torch.randn(maps.shape, generator=rng)
    rms = {
        name: (hm.decode(name, maps, kind="gaussian", sigma=2.0).points - points)
        .square().sum(-1).mean().sqrt().item()
        for name in ("argmax", "quadratic", "dark", "matched")
    }  # fmt: skip
    assert rms["matched"] < 0.1 < rms["argmax"]
    assert rms["matched"] <= rms["dark"] * 1.05 and rms["dark"] < rms["quadratic"]


def test_pairs() -> None:
    for loss, info in hm.LOSSES.items():
        for name, decoder in hm.DECODERS.items():
            if name in info.decoders:
                hm.check_pair(loss, name)
                assert info.kind in decoder.kinds and decoder.needs in info.content.traits
            else:
                with pytest.raises(
                    ValueError, match=rf"'{name}'.*'{loss}'.*{', '.join(info.decoders)}"
                ):
                    hm.check_pair(loss, name)
    assert "expectation" not in hm.LOSSES["gaussian_mse"].decoders
    assert hm.LOSSES["expectation_loss"].decoders == ("expectation",)
    with pytest.raises(ValueError, match=r"'mse'.*gaussian_cross_entropy"):
        hm.check_pair("mse", "argmax")
    with pytest.raises(ValueError, match=r"'taylor'.*argmax"):
        hm.check_pair("gaussian_mse", "taylor")


def test_errors_say_what_is_wrong() -> None:
    maps = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=r"'peak'.*argmax"):
        hm.decode("peak", maps)
    with pytest.raises(ValueError, match=r"'expectation'.*'gaussian'.*argmax, dark"):
        hm.decode("expectation", maps, kind="gaussian")
    with pytest.raises(ValueError, match=r"'probability'.*logits, gaussian, sigmoid_logits"):
        hm.decode("argmax", maps, kind="probability")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"'gaussian'.*local_expectation"):
        hm.decode_expectation(maps, "gaussian")
    for function in (hm.decode_argmax, hm.decode_matched, hm.decode_local_expectation):
        with pytest.raises(ValueError, match=r"float32.*\(1, 4, 4\)"):
            function(maps[0])
        with pytest.raises(ValueError, match=r"sigma.*0\.0"):
            function(maps, "logits", 0.0)
        with pytest.raises(ValueError, match=r"'heat'.*logits, gaussian"):
            function(maps, "heat")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"temperature.*0\.0"):
        hm.decode_expectation(maps, temperature=0.0)
    with pytest.raises(ValueError, match=r"radius.*0"):
        hm.decode_local_expectation(maps, radius=0)
