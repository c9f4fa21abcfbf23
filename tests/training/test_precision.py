"""Training in bfloat16 on a processor: what it computes in float32 all the same."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from heatkp.training.precision import BFloat16OnProcessors, GroupedConvolutionsInFloat32
from tests.conftest import ENCODER, TINY, heatkp


class Watched(torch.overrides.TorchFunctionMode):
    """The types of images that convolutions are given, by their groups."""

    def __init__(self):
        super().__init__()
        self.types: dict[bool, set[torch.dtype]] = {True: set(), False: set()}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func is torch.conv2d:
            groups = (kwargs or {}).get("groups", args[6] if len(args) > 6 else 1)
            own = torch.bfloat16 if torch.is_autocast_enabled("cpu") else args[0].dtype
            self.types[groups > 1].add(own)
        return func(*args, **(kwargs or {}))


def layers():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1), nn.Conv2d(4, 4, 3, groups=2)
    )


def test_only_convolutions_in_groups_are_kept():
    network, images = layers(), torch.rand(2, 8, 9, 9)
    with Watched() as seen, torch.autocast("cpu", torch.bfloat16), GroupedConvolutionsInFloat32():
        found = network(images)
    assert seen.types == {True: {torch.float32}, False: {torch.bfloat16}}
    assert found.dtype == torch.bfloat16
    found.float().square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in network.parameters())


def test_their_gradients_are_those_of_float32():
    network, images = layers()[:1], torch.rand(2, 8, 9, 9)
    expected = torch.autograd.grad(network(images).sum(), network[0].weight)[0]
    with BFloat16OnProcessors().forward_context():
        found = network(images)
        total = found.float().sum()
    torch.testing.assert_close(torch.autograd.grad(total, network[0].weight)[0], expected)


def test_without_autocast_nothing_changes():
    network, images = layers(), torch.rand(2, 8, 9, 9)
    with GroupedConvolutionsInFloat32():
        found = network(images)
    torch.testing.assert_close(found, network(images), rtol=0, atol=0)


@pytest.mark.parametrize("head", ["ce", "regression"])
def test_a_training_takes_it(tmp_path, head, monkeypatch):
    kept: list[int] = []
    own = GroupedConvolutionsInFloat32.__torch_function__

    def counted(self, func, types, args=(), kwargs=None):
        kept.append(func is torch.conv2d)
        return own(self, func, types, args, kwargs)

    monkeypatch.setattr(GroupedConvolutionsInFloat32, "__torch_function__", counted)
    flags = [*TINY, *ENCODER, "--head", head, "--epochs", 1, "--set", "trainer.precision=bf16"]
    result = heatkp("train", *flags, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    assert sum(kept) > 0


def test_a_convolution_that_is_called_by_names():
    """As a network of a user's own may."""
    network, images = layers()[:1], torch.rand(2, 8, 9, 9)
    with torch.autocast("cpu", torch.bfloat16), GroupedConvolutionsInFloat32():
        found = torch.conv2d(input=images, weight=network[0].weight, groups=8)
    assert found.dtype == torch.bfloat16
