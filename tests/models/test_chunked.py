from __future__ import annotations

import pytest
import torch

from heatkp import create_model
from heatkp.models.chunked import chunked_sum
from tests.models.test_models import SMALL, images


@pytest.mark.parametrize("head", ["kl", "softargmax", "argmax", "ce", "nll"])
@pytest.mark.parametrize("chunk", [1, 2, 3, 8])
def test_same_loss_and_gradients(head, chunk):
    torch.manual_seed(0)
    model = create_model(head, points=4, size=(64, 48), loss_chunk=chunk, **SMALL)
    model.double()  # rounding would hide an error: many of the encoder's gradients cancel
    x = images((64, 48), batch=5)
    points = torch.rand(5, 4, 2, dtype=torch.float64) * 60 - 4  # some lie outside
    weights = torch.ones(5, 4, dtype=torch.float64)
    points[1], weights[1] = torch.nan, 0
    found = []
    state = {k: v.clone() for k, v in model.state_dict().items()}
    for model.loss_chunk in (0, chunk):
        model.load_state_dict(state)  # batch statistics too
        model.zero_grad()
        loss = model.training_loss(x, points, weights)
        (3 * loss).backward()
        found.append((loss.detach(), {k: p.grad.clone() for k, p in model.named_parameters()}))
    (whole, a), (parts, b) = found
    assert torch.allclose(whole, parts, rtol=1e-10)
    for name in a:
        scale = a[name].abs().max().clamp(min=1e-6)
        assert (a[name] - b[name]).abs().max() <= 1e-7 * scale, name


def test_nothing_labelled():
    model = create_model("kl", points=2, size=(32, 32), loss_chunk=1, **SMALL)
    loss = model.training_loss(
        images((32, 32)), torch.full((2, 2, 2), torch.nan), torch.zeros(2, 2)
    )
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad == 0).all() for p in model.parameters() if p.grad is not None)


def test_only_a_chunk_of_maps_exists_at_once():
    model = create_model("kl", points=2, size=(32, 32), loss_chunk=2, **SMALL)
    seen = []
    model.map_layer.register_forward_hook(lambda m, i, o: seen.append(len(o)))
    model.training_loss(images((32, 32), batch=5), torch.rand(5, 2, 2) * 30, torch.ones(5, 2))
    assert seen == [2, 2, 1]


def test_frozen_parameters_and_no_gradient():
    layer = torch.nn.Conv2d(3, 1, 1)
    layer.bias.requires_grad_(False)
    features = torch.rand(4, 3, 5, 5, requires_grad=True)

    def run(f, part):
        return layer(f).square().sum()

    value = chunked_sum(run, layer, features, 3)
    value.backward()
    assert layer.bias.grad is None and layer.weight.grad is not None
    with torch.no_grad():
        assert torch.allclose(chunked_sum(run, layer, features, 3), value)
    with pytest.raises(ValueError, match="chunk is 0"):
        chunked_sum(run, layer, features, 0)
    with pytest.raises(RuntimeError, match=r"once_differentiable|does not require grad"):
        grad = torch.autograd.grad(
            chunked_sum(run, layer, features, 3), features, create_graph=True
        )[0]
        grad.sum().backward()
