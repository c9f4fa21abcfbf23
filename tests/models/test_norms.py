"""Training on one sample: batch norms that see one value per channel."""

from __future__ import annotations

import copy
import math

import pytest
import segmentation_models_pytorch as smp
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from heatkp import create_model
from heatkp.models.norms import allow_single_values

SMALL = {"encoder": "tu-mobilenetv3_small_050"}
LAYERS = ["conv 4 3", "bn", "relu", "pool 2", "flatten", "fc 8", "bn", "relu"]


def model_of(name: str, size: tuple[int, int], **settings):
    if name in ("regression", "layers"):
        layers = {"layers": LAYERS} if name == "layers" else {}
        return create_model("regression", points=2, size=size, **layers, **settings)
    options = {"widths": [4, 8]} if name == "plain_unet" else {}
    return create_model("kl", points=2, size=size, architecture=name, options=options, **settings)


def step(model, count, size):
    """One optimiser step; gives the loss."""
    torch.manual_seed(0)
    images = torch.rand(count, 3, size[1], size[0]) * 255
    optimiser = torch.optim.SGD(model.parameters(), 1e-4)
    loss = model.training_loss(images, torch.full((count, 2, 2), 9.0), torch.ones(count, 2))
    loss.backward()
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)
    optimiser.step()
    return loss.item()


@pytest.mark.parametrize("name", [*smp.MODEL_ARCHITECTURES_MAPPING, "plain_unet", "regression",
                                  "layers"])  # fmt: skip
def test_every_network_trains_on_one_sample(name):
    size = (128, 128) if name == "pan" else (32, 32)  # 32: encoders end in one pixel
    model = model_of(name, size, **SMALL).train()
    assert math.isfinite(step(model, 1, size))
    assert all(m.training for m in model.modules())
    model.eval()
    found = model.decode(model(torch.zeros(1, 3, size[1], size[0]))).points
    assert found.isfinite().all()


@pytest.mark.parametrize("name", ["deeplabv3", "deeplabv3plus", "upernet"])
def test_global_pooling_is_counted(name):
    assert model_of(name, (64, 64), **SMALL).pooled_norms == 1
    assert model_of("unet", (64, 64), **SMALL).pooled_norms == 0


def test_only_norms_with_one_value_keep_their_statistics():
    net = nn.Sequential(nn.BatchNorm2d(2), nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(2))
    allow_single_values(net)
    net[2].running_mean.fill_(1.0)
    net[2].running_var.fill_(4.0)
    x = torch.arange(8.0).reshape(1, 2, 2, 2)
    out = net(x)
    pooled = net[:2](x)
    assert torch.allclose(out, (pooled - 1) / (4 + net[2].eps) ** 0.5)
    assert net[0].running_mean.abs().min() > 0 and (net[2].running_mean == 1).all()
    assert int(net[2].num_batches_tracked) == 0
    with torch.no_grad():
        net(x.expand(2, 2, 2, 2) * torch.tensor([1.0, 2.0])[:, None, None, None])
    assert int(net[2].num_batches_tracked) == 1  # two samples are normalised as ever


def test_a_norm_that_fails_goes_on_training():
    net = nn.Sequential(nn.BatchNorm2d(2))
    allow_single_values(net)
    with pytest.raises(ValueError, match="4D"):
        net(torch.zeros(1, 2))
    assert net[0].training


def test_copies_and_frozen_norms():
    """The moving average trains beside a copy; frozen norms stay frozen."""
    model = model_of("deeplabv3", (32, 32), freeze=["network.encoder"], **SMALL)
    twin = copy.deepcopy(model.train())
    assert step(model, 1, (32, 32)) == step(twin, 1, (32, 32))
    frozen = [m for m in model.network.encoder.modules() if isinstance(m, _BatchNorm)]
    assert frozen and not any(m.training for m in frozen)
