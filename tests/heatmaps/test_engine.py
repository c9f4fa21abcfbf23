"""What the losses' engine takes from torch that is not public, or not promised."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from heatkp.heatmaps import kl_divergence
from heatkp.heatmaps.losses import engine

PRIVATE = "_get_current_graph_task_keep_graph"


class Probe(torch.autograd.Function):
    """What torch and the engine say within a backward pass."""

    kept: ClassVar[list[bool]] = []
    same: ClassVar[list[bool]] = []

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x.detach().clone())
        return x.sum()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> Tensor:
        (saved,) = ctx.saved_tensors
        Probe.kept.append(getattr(torch._C._autograd, PRIVATE)())
        Probe.same.append(engine.owned(saved).data_ptr() == saved.data_ptr())
        return torch.ones_like(saved)


def probed(passes: list[bool], through: str) -> type[Probe]:
    """A graph that is walked once for each of `passes`, which say whether it is kept."""
    Probe.kept, Probe.same = [], []
    x = torch.zeros(3, requires_grad=True)
    y = Probe.apply(x)
    for keep in passes:
        if through == "backward":
            y.backward(retain_graph=keep)
        else:
            torch.autograd.grad(y, x, retain_graph=keep)
    return Probe


@pytest.mark.parametrize("through", ["backward", "grad"])
def test_torch_says_whether_a_graph_is_kept(through: str) -> None:
    """Without this, each backward pass takes a copy of the gradient's buffer."""
    assert hasattr(torch._C._autograd, PRIVATE)
    assert probed([True, True, False], through).kept == [True, True, False]


@pytest.mark.parametrize("through", ["backward", "grad"])
def test_only_the_last_pass_takes_the_buffer_itself(through: str) -> None:
    assert probed([True, True, False], through).same == [False, False, True]


def gradients(passes: list[bool]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    maps = torch.randn(2, 3, 12, 10, generator=generator).requires_grad_()
    points = torch.full((2, 3, 2), 4.3)
    loss = kl_divergence(maps, points, sigma=1.5).sum()
    return [torch.autograd.grad(loss, maps, retain_graph=keep)[0] for keep in passes]


@pytest.mark.parametrize("there", [True, False])
def test_each_pass_has_the_same_gradient(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where torch has no such function any more."""
    (expected,) = gradients([False])
    if not there:
        monkeypatch.delattr(torch._C._autograd, PRIVATE)
    first, second, third = gradients([True, True, False])
    assert torch.equal(first, expected) and expected.any()
    assert torch.equal(second, expected) and torch.equal(third, expected)
    assert len({g.data_ptr() for g in (first, second, third)}) == 3


def test_gradients_are_not_recorded_within_a_backward_pass_unless_asked() -> None:
    """How second derivatives are told from first ones."""
    seen = []

    class Asks(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Tensor) -> Tensor:
            seen.append(torch.is_grad_enabled())
            return x.sum()

        @staticmethod
        def backward(ctx: Any, upstream: Tensor) -> Tensor:
            seen.append(torch.is_grad_enabled())
            return upstream.expand(3)

    x = torch.zeros(3, requires_grad=True)
    torch.autograd.grad(Asks.apply(x), x)
    torch.autograd.grad(Asks.apply(x), x, create_graph=True)
    assert seen == [False, False, False, True]


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (1, 1, 1, 1), (2, 3, 5, 7), (2, 4, 512, 512)])
def test_buffers_are_like_their_maps(shape: tuple[int, ...]) -> None:
    """The largest is over the size from which the kernel is asked for huge pages."""
    maps = torch.zeros(shape, dtype=torch.float64)
    buffer = engine.new_buffer(maps)
    assert buffer.shape == (shape[0] * shape[1], *shape[2:]) and buffer.dtype == maps.dtype
    assert buffer.is_contiguous() and buffer.fill_(2.0).sum() == 2.0 * maps.numel()
