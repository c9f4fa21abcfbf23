"""Losses and decoders inside compiled and exported models."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import heatkp.heatmaps as hm

torch.set_num_threads(1)


class Trained(nn.Module):
    """A model that returns its loss."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.name = name

    def forward(self, images: Tensor, points: Tensor, weights: Tensor) -> Tensor:
        losses = hm.LOSSES[self.name].function(self.conv(images), points, weights)
        return hm.masked_mean(losses, weights)


class Reader(nn.Module):
    """A model that returns points."""

    def __init__(self, name: str, kind: hm.Kind) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.name, self.kind = name, kind

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        decoded = hm.decode(self.name, self.conv(images), kind=self.kind, sigma=1.5)
        return decoded.points, decoded.scores


def batch(size: int = 2) -> tuple[Tensor, Tensor, Tensor]:
    rng = torch.Generator().manual_seed(0)
    images = torch.randn(size, 3, 12, 14, generator=rng)
    points = torch.rand(size, 4, 2, generator=rng) * 11
    points[0, 0] = torch.nan
    weights = torch.ones(size, 4)
    weights[-1, 1] = 0
    return images, points, weights


@pytest.mark.parametrize("name", list(hm.LOSSES))
def test_compiled_training(name: str) -> None:
    model = Trained(name)
    model(*batch()).backward()
    expected = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    loss = compiled(*batch())
    loss.backward()
    assert torch.allclose(loss, model(*batch()), rtol=1e-5)
    for parameter, gradient in zip(model.parameters(), expected):
        assert torch.allclose(parameter.grad, gradient, rtol=1e-4, atol=1e-6)


def test_compiled_training_on_mixtures() -> None:
    images, points, weights = batch()
    alone = hm.Mixture(points[:, :, None], torch.eye(2).expand(2, 4, 1, 2, 2), weights[..., None])
    model = Trained("kl_divergence")
    torch._dynamo.reset()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    assert torch.allclose(
        compiled(images, alone, weights), model(images, alone, weights), rtol=1e-5
    )


@pytest.mark.parametrize("name", ["gaussian_cross_entropy", "expectation_loss_js", "gaussian_mse"])
def test_exported_loss(name: str) -> None:
    model = Trained(name).eval()
    exported = torch.export.export(model, batch()).module()
    assert torch.allclose(exported(*batch()), model(*batch()), rtol=1e-5)


@pytest.mark.parametrize(
    "name, kind",
    [(name, "logits") for name in hm.DECODERS]
    + [(name, kind) for name in ("dark", "quadratic") for kind in ("gaussian", "sigmoid_logits")],
)
def test_exported_decoder(name: str, kind: hm.Kind) -> None:
    model = Reader(name, kind).eval()
    dynamic = ({0: torch.export.Dim("batch", max=64)},)
    exported = torch.export.export(model, batch()[:1], dynamic_shapes=dynamic).module()
    for size in (2, 5):
        images = batch(size)[0]
        for found, expected in zip(exported(images), model(images)):
            assert torch.allclose(found, expected, atol=1e-5)
