"""Losses against their dense definitions in float64, and what they promise besides."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import heatkp.heatmaps as hm
from heatkp.heatmaps.losses import engine
from tests.heatmaps import reference

torch.set_num_threads(1)

NAMES = list(hm.LOSSES)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def compute(name: str, maps: Tensor, points: Tensor, weights: Any, sigma: Any) -> Tensor:
    info = hm.LOSSES[name]
    options = {"sigma": sigma} if info.uses_sigma else {}
    return info.function(maps, points, weights, **options)


def near_minimum(kind: str, points: Tensor, size: tuple[int, int], sigma: Any) -> Tensor:
    """Maps whose loss is at its minimum."""
    u = reference.gaussians(points, size, sigma, False)
    if kind == "gaussian":
        return u
    logs = u.clamp(min=1e-12).log()
    return logs if kind == "logits" else logs - (-u.clamp(max=1 - 1e-7)).log1p()


def arranged(maps: Tensor, layout: str) -> Tensor:
    """The same maps in another memory layout."""
    if layout == "channels_last":
        return maps.contiguous(memory_format=torch.channels_last)
    if layout == "transposed":
        return maps.mT.contiguous().mT
    if layout == "strided":
        wide = maps.new_zeros(*maps.shape[:3], 2 * maps.shape[3])
        wide[..., ::2] = maps
        return wide[..., ::2]
    return maps.contiguous()


def compare(
    name: str, maps: Tensor, points: Tensor, weights: Tensor, sigma: Any, seed: int = 0
) -> None:
    """Value and gradient of maps against the reference on the same numbers."""
    tolerance = TOLERANCE[maps.dtype]
    own = maps.detach().requires_grad_()
    dense = maps.detach().double().contiguous().requires_grad_()
    found = compute(name, own, points, weights, sigma)
    expected = reference.losses(name, dense, points.double(), weights.double(), sigma)
    assert found.shape == weights.shape and found.dtype == maps.dtype
    difference = (found.double() - expected).abs()
    assert (difference <= tolerance * (expected.abs() + 1e-4)).all(), (found, expected)
    upstream = torch.rand(found.shape, generator=torch.Generator().manual_seed(seed))
    (gradient,) = torch.autograd.grad(found, own, upstream.to(found.dtype))
    (truth,) = torch.autograd.grad(expected, dense, upstream.to(found.dtype).double())
    off = (gradient.double() - truth).flatten(2).norm(dim=2)
    # A softmax that has saturated leaves gradients below rounding, of the loss's own scale.
    scale = truth.flatten(2).norm(dim=2) + 1e-3 * expected.detach().abs().clamp(min=1)
    assert (off <= tolerance * scale).all(), (off, scale)
    unused = hm.usable_weights(points, weights, (maps.shape[2], maps.shape[3])) == 0
    assert (found[unused] == 0).all() and (gradient[unused] == 0).all()


sigmas = st.one_of(
    st.floats(0.3, 10.0),
    st.tuples(st.floats(0.3, 10.0), st.floats(0.3, 10.0)),
)
cases = {
    "height": st.integers(1, 40),
    "width": st.integers(1, 40),
    "sigma": sigmas,
    "mode": st.sampled_from(["random", "near", "large"]),
    "layout": st.sampled_from(["contiguous", "channels_last", "transposed", "strided"]),
    "dtype": st.sampled_from([torch.float32, torch.float64]),
    "seed": st.integers(0, 2**31),
}


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=50, deadline=None, derandomize=True)
@given(**cases)
def test_agrees_with_the_dense_definition(
    name: str,
    height: int,
    width: int,
    sigma: Any,
    mode: str,
    layout: str,
    dtype: torch.dtype,
    seed: int,
) -> None:
    rng = torch.Generator().manual_seed(seed)
    points = torch.rand(2, 5, 2, generator=rng).double() * torch.tensor([width, height]) - 0.5
    points[0, 0] = torch.tensor([-0.5, height - 0.5])  # a corner of the map
    points[0, 1] = torch.tensor([width - 0.5, (height - 1) / 2])  # on its border
    points = points.to(dtype)
    kind = hm.LOSSES[name].kind
    noise = torch.randn(2, 5, height, width, generator=rng).double()
    if mode == "near":
        flat = {"gaussian": 1e-3, "logits": 0.03, "sigmoid_logits": 0.03}[kind]
        maps = near_minimum(kind, points.double(), (height, width), sigma) + flat * noise
    else:
        maps = noise if mode == "random" else (1e4 * noise).clamp(-1e4, 1e4)
    points[1, 0] = torch.tensor([width + 3.0, 0.0])  # outside
    points[1, 1] = math.nan
    weights = torch.rand(2, 5, generator=rng).to(dtype) + 0.1
    weights[1, 2] = 0
    compare(name, arranged(maps.to(dtype), layout), points, weights, sigma, seed)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sigma", [1.0, 10.0])
def test_large_maps(name: str, sigma: float) -> None:
    rng = torch.Generator().manual_seed(1)
    maps = torch.randn(1, 3, 512, 512, generator=rng)
    points = torch.tensor([[[100.3, 511.4], [-0.5, 3.0], [256.0, 200.5]]])
    compare(name, maps, points, torch.ones(1, 3), sigma)


@pytest.mark.parametrize("name", NAMES)
def test_one_pixel(name: str) -> None:
    maps = torch.full((1, 1, 1, 1), 0.7)
    compare(name, maps, torch.tensor([[[0.2, -0.3]]]), torch.ones(1, 1), 2.0)


@pytest.mark.parametrize("name", [n for n in NAMES if hm.LOSSES[n].uses_sigma])
@pytest.mark.parametrize("axes", [False, True])
def test_sigma_per_keypoint(name: str, axes: bool) -> None:
    rng = torch.Generator().manual_seed(2)
    maps = torch.randn(2, 3, 20, 30, generator=rng, dtype=torch.float64)
    points = torch.rand(2, 3, 2, generator=rng, dtype=torch.float64) * 19
    shape = (2, 3, 2) if axes else (2, 3, 1)
    sigma = torch.rand(shape, generator=rng, dtype=torch.float64) * 3 + 0.3
    given_sigma = sigma if axes else sigma[..., 0]
    found = compute(name, maps, points, None, given_sigma)
    expected = reference.losses(name, maps, points, torch.ones(2, 3), sigma)
    assert torch.allclose(found, expected, rtol=1e-10, atol=1e-14)
    single = compute(name, maps[1:, 2:], points[1:, 2:], None, given_sigma[1:, 2:])
    assert torch.allclose(found[1:, 2:], single, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradcheck(name: str) -> None:
    rng = torch.Generator().manual_seed(3)
    maps = torch.randn(1, 3, 5, 4, generator=rng, dtype=torch.float64, requires_grad=True)
    points = torch.tensor([[[1.3, 2.2], [-0.5, 4.5], [math.nan, 1.0]]], dtype=torch.float64)
    weights = torch.tensor([[1.0, 0.4, 1.0]], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda z: compute(name, z, points, weights, 0.9), maps)


@pytest.mark.parametrize("kind", ["l1", "smooth_l1", "wing"])
@pytest.mark.parametrize("far", [False, True])
def test_coordinate_errors(kind: str, far: bool) -> None:
    """The mean of a flat 1 x 41 map is 20; the error is a function of the distance from it."""
    distance = 15.0 if far else 0.3
    maps = torch.zeros(1, 1, 1, 41, dtype=torch.float64, requires_grad=True)
    point = torch.tensor([[[20 - distance, 0.0]]], dtype=torch.float64)
    options = {"beta": 2.0, "wing_width": 8.0, "wing_curvature": 0.5}
    loss = hm.expectation_loss(maps, point, kind=kind, **options)
    joint = 8 - 8 * math.log(1 + 8 / 0.5)
    expected = {
        "l1": distance,
        "smooth_l1": distance - 1 if far else distance**2 / 4,
        "wing": distance - joint if far else 8 * math.log(1 + distance / 0.5),
    }[kind]
    assert loss.item() == pytest.approx(expected, rel=1e-10)
    check = lambda z: hm.expectation_loss(z, point, kind=kind, **options)  # noqa: E731
    assert torch.autograd.gradcheck(check, maps)


def test_regulariser_weight() -> None:
    maps, point = torch.randn(1, 1, 6, 7, dtype=torch.float64), torch.tensor([[[2.0, 3.0]]])
    plain = hm.expectation_loss(maps, point)
    js = hm.js_divergence(maps, point, sigma=1.5)
    both = hm.expectation_loss(maps, point, regulariser="js", regulariser_weight=0.3, sigma=1.5)
    assert torch.allclose(both, plain + 0.3 * js, rtol=1e-10)


def test_learned_sigma() -> None:
    rng = torch.Generator().manual_seed(4)
    maps = torch.randn(2, 2, 6, 5, generator=rng, dtype=torch.float64, requires_grad=True)
    points = torch.rand(2, 2, 2, generator=rng, dtype=torch.float64) * 4
    points[0, 1] = math.nan
    for shape in ((2, 2), (2, 2, 2)):
        sigma = torch.rand(shape, generator=rng, dtype=torch.float64) + 0.5
        sigma.requires_grad_()
        check = lambda z, s: hm.gaussian_nll(z, points, sigma=s)  # noqa: E731
        assert torch.autograd.gradcheck(check, (maps, sigma))
        (gradient,) = torch.autograd.grad(check(maps, sigma).sum(), sigma)
        assert (gradient[0, 1] == 0).all()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e30])
def test_weight_zero_is_zero(name: str, bad: float) -> None:
    """Whatever the point and the map hold; and the others do not notice."""
    rng = torch.Generator().manual_seed(5)
    maps = torch.randn(2, 2, 6, 5, generator=rng)
    points = torch.rand(2, 2, 2, generator=rng) * 4
    clean = compute(name, maps, points, None, 1.0)
    weights = torch.ones(2, 2)
    weights[0, 1] = 0
    points[0, 1] = bad
    maps[0, 1, 2, 2] = bad
    maps.requires_grad_()
    found = compute(name, maps, points, weights, 1.0)
    hm.masked_mean(found, weights).backward()
    assert found[0, 1] == 0 and (maps.grad[0, 1] == 0).all()
    used = weights > 0
    assert torch.equal(found[used], clean[used]) and maps.grad[used].isfinite().all()


@pytest.mark.parametrize("name", NAMES)
def test_batch_without_a_labelled_point(name: str) -> None:
    maps = torch.randn(2, 3, 6, 5, requires_grad=True)
    points = torch.full((2, 3, 2), math.nan)
    for weights in (torch.zeros(2, 3), torch.full((2, 3), math.nan), torch.ones(2, 3)):
        usable = hm.usable_weights(points, weights, (6, 5))
        loss = hm.masked_mean(compute(name, maps, points, weights, 1.0), usable)
        (gradient,) = torch.autograd.grad(loss, maps)
        assert loss.item() == 0 and (gradient == 0).all()


def test_usable_weights() -> None:
    points = torch.tensor([[[-0.5, 3.5], [4.51, 0.0], [2.0, -0.51], [2.0, math.nan], [2.0, 2.0]]])
    weights = torch.tensor([[2.0, 1.0, 1.0, 1.0, -1.0]])
    assert hm.usable_weights(points, weights, (4, 5)).tolist() == [[2.0, 0.0, 0.0, 0.0, 0.0]]
    losses = torch.tensor([[6.0, 0.0]], requires_grad=True)
    mean = hm.masked_mean(losses, torch.tensor([[0.5, 0.25]]))
    assert mean.item() == pytest.approx(8.0)
    mean.backward()
    assert losses.grad.tolist() == [[pytest.approx(4 / 3)] * 2]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_single(name: str, dtype: torch.dtype) -> None:
    rng = torch.Generator().manual_seed(6)
    maps = (3 * torch.randn(2, 3, 17, 12, generator=rng)).to(dtype).requires_grad_()
    points = torch.rand(2, 3, 2, generator=rng) * 11
    single = maps.detach().float().requires_grad_()
    found, expected = (compute(name, z, points, None, 1.5) for z in (maps, single))
    assert found.dtype == torch.float32
    assert torch.allclose(found, expected, rtol=1e-6)
    # A scaled loss, as fp16 training has it, must reach pixels of small probability.
    (64 * found).sum().backward()
    (64 * expected).sum().backward()
    assert maps.grad.dtype == dtype
    step = torch.finfo(dtype).eps
    assert torch.allclose(maps.grad.float(), single.grad, rtol=step, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_backward_twice(name: str) -> None:
    """The buffer is scaled in place only when no other backward pass can follow."""
    maps = torch.randn(1, 2, 8, 9, requires_grad=True)
    points = torch.rand(1, 2, 2) * 7
    loss = compute(name, maps, points, None, 1.0)
    upstream = torch.tensor([[2.0, 3.0]])
    first, second, third = (
        torch.autograd.grad(loss, maps, upstream, retain_graph=keep)[0]
        for keep in (True, True, False)
    )
    assert torch.equal(first, second) and torch.allclose(first, third, rtol=1e-6)
    alone = compute(name, maps, points, None, 1.0)[0, 1]
    (gradient,) = torch.autograd.grad(alone, maps)
    assert (gradient[0, 0] == 0).all()
    assert torch.allclose(3 * gradient[0, 1], first[0, 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivative_is_refused(name: str) -> None:
    maps = torch.randn(1, 1, 4, 4, requires_grad=True)
    loss = compute(name, maps, torch.ones(1, 1, 2), None, 1.0).sum()
    with pytest.raises(RuntimeError, match="create_graph"):
        torch.autograd.grad(loss, maps, create_graph=True)


class Allocations(TorchDispatchMode):
    """Counts tensors of at least a given number of bytes that come into being."""

    def __init__(self, known: Tensor, least: int) -> None:
        super().__init__()
        self.least, self.seen = least, {known.untyped_storage().data_ptr(): known}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, tuple | list) else (result,):
            if isinstance(item, Tensor) and item.untyped_storage().nbytes() >= self.least:
                self.seen.setdefault(item.untyped_storage().data_ptr(), item)
        return result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_buffer_beside_the_logits(
    name: str, layout: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "_SCRATCH", 1 << 14)
    maps = arranged(torch.randn(4, 34, 48, 48).to(dtype), layout).requires_grad_()
    points = torch.rand(4, 34, 2) * 47
    with Allocations(maps, maps.nbytes // 2) as allocations:
        torch.autograd.grad(compute(name, maps, points, None, 1.0).mean(), maps)
    assert len(allocations.seen) == 2  # the maps and their gradient
    with torch.no_grad(), Allocations(maps, maps.nbytes // 2) as allocations:
        compute(name, maps, points, None, 1.0)
    assert len(allocations.seen) == 1


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("scratch", [1, 1 << 12])
def test_blocks_do_not_matter(name: str, scratch: int, monkeypatch: pytest.MonkeyPatch) -> None:
    maps = torch.randn(3, 20, 12, 10, dtype=torch.float64, requires_grad=True)
    points = torch.rand(3, 20, 2, dtype=torch.float64) * 9
    weights = torch.rand(3, 20)
    results = []
    for size in (1 << 30, scratch):
        monkeypatch.setattr(engine, "_SCRATCH", size)
        loss = compute(name, maps, points, weights, 1.0)
        results.append((loss, *torch.autograd.grad(loss.sum(), maps)))
    for one, other in zip(*results):
        assert torch.allclose(one, other, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", NAMES)
def test_path_of_other_devices(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Off the CPU, and under the compiler, all maps are one block of plain operations."""
    maps = torch.randn(2, 3, 12, 10, requires_grad=True)
    points = torch.rand(2, 3, 2) * 9
    weights = torch.tensor([[1.0, 0.0, 2.0]]).repeat(2, 1)
    maps.data[:, 1] = math.nan
    results = []
    for plain in (False, True):
        monkeypatch.setattr(torch.compiler, "is_compiling", lambda plain=plain: plain)
        loss = compute(name, maps, points, weights, 1.0)
        results.append((loss, *torch.autograd.grad(loss.sum(), maps)))
    for one, other in zip(*results):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-8)


def test_empty_batches() -> None:
    for shape in ((0, 3, 5, 4), (2, 0, 5, 4)):
        for name in NAMES:
            maps = torch.zeros(shape, requires_grad=True)
            loss = compute(name, maps, torch.zeros(*shape[:2], 2), None, 1.0)
            assert loss.shape == shape[:2]
            loss.sum().backward()
            assert maps.grad.shape == shape


def test_errors_say_what_is_wrong() -> None:
    maps, points = torch.zeros(2, 3, 5, 4), torch.zeros(2, 3, 2)
    for bad, words in (
        ((maps[0], points), r"float32.*\(3, 5, 4\)"),
        ((maps.long(), points), r"int64.*\(2, 3, 5, 4\)"),
        ((maps, points[:1]), r"points.*\(2, 3, 2\).*\(1, 3, 2\)"),
        ((maps, points, torch.ones(3)), r"weights.*\(2, 3\).*\(3,\)"),
        ((maps, points, None, 0.0), r"sigma.*0\.0"),
        ((maps, points, None, math.nan), "sigma.*nan"),
        ((maps, points, None, torch.zeros(2, 3)), "sigma.* 0$"),
        ((maps, points, None, torch.ones(5)), r"\(5,\).*\(2, 3\)"),
    ):
        with pytest.raises(ValueError, match=words):
            hm.gaussian_cross_entropy(*bad)
    with pytest.raises(ValueError, match="gaussian_nll"):
        hm.kl_divergence(maps, points, sigma=torch.ones(2, 3, requires_grad=True))
    with pytest.raises(ValueError, match=r"'l2'.*l1, wing"):
        hm.expectation_loss(maps, points, kind="l2")
    with pytest.raises(ValueError, match=r"'kl'.*variance, js"):
        hm.expectation_loss(maps, points, regulariser="kl")
    with pytest.raises(ValueError, match=r"beta.*0\.0"):
        hm.expectation_loss(maps, points, beta=0.0)
    with pytest.raises(ValueError, match=r"\(3,\).*\(2, 3\)"):
        hm.masked_mean(torch.zeros(2, 3), torch.ones(3))


def test_descent_reaches_the_target() -> None:
    """Following each gradient leads to maps that all of the loss's decoders read right."""
    points = torch.tensor([[[3.3, 4.8], [6.0, 2.4]]])
    closest = {"argmax": 0.5, "quarter": 0.35}  # of pixels, and of quarters
    for name in NAMES:
        maps = torch.zeros(1, 2, 9, 10, requires_grad=True)
        optimiser = torch.optim.Adam([maps], lr=0.2)
        for _ in range(400):
            optimiser.zero_grad()
            compute(name, maps, points, None, 1.0).sum().backward()
            optimiser.step()
        info = hm.LOSSES[name]
        for decoder in info.decoders:
            found = hm.decode(decoder, maps.detach(), kind=info.kind).points
            off = (found - points).abs().max()
            assert off < closest.get(decoder, 0.25), (name, decoder, off)
