"""What other devices need, tried without them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from heatkp.config import Head
from heatkp.errors import SettingsError
from heatkp.models import chunked
from heatkp.models.devices import choose_device
from heatkp.registry import HEADS


@pytest.mark.parametrize(
    "name", [n for n, h in HEADS.items() if h.kind and h.default_sigma and n != "nll"]
)
@pytest.mark.parametrize("sigma", [1.5, [1.0, 2.0]])
@pytest.mark.parametrize("final", [None, 0.5])
def test_units_of_a_loss_lie_with_the_maps(name, sigma, final):
    head = HEADS[name](Head(name=name, sigma=sigma, sigma_final=final), 2)
    with FakeTensorMode(allow_non_fake_inputs=True):
        maps = torch.zeros(3, 2, 8, 8, device="cuda")
        losses = torch.zeros(3, 2, device="cuda") * head.per_target(maps)
    assert losses.device.type == "cuda" and losses.shape == (3, 2)


class NoDoubles(TorchDispatchMode):
    """Refuses tensors of float64, as MPS does."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for item in result if isinstance(result, tuple | list) else (result,):
            if isinstance(item, torch.Tensor) and item.dtype == torch.float64:
                raise TypeError("the framework does not support float64")
        return result


def test_chunks_need_no_doubles_where_there_are_none(monkeypatch):
    layer = torch.nn.Conv2d(3, 1, 1)
    features = torch.rand(4, 3, 5, 5, requires_grad=True)

    def run(f, which):
        return layer(f).square().sum()

    found = chunked.chunked_sum(run, layer, features, 3)
    single = lambda tensor: torch.float32  # noqa: E731
    monkeypatch.setattr(chunked, "accurate_dtype", single, raising=False)
    with NoDoubles():
        other = chunked.chunked_sum(run, layer, features, 3)
        other.backward()
    assert other.item() == pytest.approx(found.item())


def have(monkeypatch: pytest.MonkeyPatch, cuda: int, mps: bool) -> None:
    """A machine with so many GPUs."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


@pytest.mark.parametrize(
    ("cuda", "mps", "chosen"), [(0, False, "cpu"), (0, True, "mps"), (1, True, "cuda")]
)
def test_auto_takes_a_gpu_where_there_is_one(monkeypatch, cuda, mps, chosen):
    have(monkeypatch, cuda, mps)
    assert choose_device() == choose_device("auto") == torch.device(chosen)
    assert choose_device("cpu") == torch.device("cpu")


def test_devices_by_name(monkeypatch):
    have(monkeypatch, 2, True)
    for name in ("cuda", "cuda:0", "cuda:1", "mps", "cpu"):
        assert choose_device(name) == torch.device(name) == choose_device(torch.device(name))
    for name in ("cuda:2", "cpu:1"):
        with pytest.raises(SettingsError, match=f"{name} is not available"):
            choose_device(name)
    for name in ("gpu", "", "cuda:x", "meta", "xpu"):
        with pytest.raises(SettingsError, match=rf"--device.*{name!r}.*auto, cpu, cuda, mps"):
            choose_device(name, "--device")
    have(monkeypatch, 0, False)
    for name in ("cuda", "cuda:0", "mps"):
        with pytest.raises(SettingsError, match=f"{name} is not available"):
            choose_device(name)
