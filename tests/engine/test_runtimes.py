"""What runs a network: torch, and what other packages or a program register."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import heatkp
from heatkp.engine import TorchBackend
from heatkp.errors import UnknownNameError
from heatkp.models import create_model
from heatkp.registry import RUNTIMES, register_runtime


def small_model(head):
    torch.manual_seed(0)
    encoder = "tu-mobilenetv3_small_050"
    return create_model(head, points=2, size=(36, 32), encoder=encoder, dropout=0.5)


@pytest.mark.parametrize("head", ["kl", "bce", "regression"])
def test_torch_gives_what_the_model_says(head):
    model = small_model(head)
    images = torch.randint(0, 256, (3, 3, 32, 36), dtype=torch.uint8)
    model.eval()
    with torch.no_grad():
        maps = model(images)
        expected = model.decode(maps)
    backend = TorchBackend(model)
    found = backend.run(images, maps=True)
    assert torch.equal(found.points, expected.points) and backend.run(images).maps is None
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert (found.covariance is None) == (expected.covariance is None)
    if head == "regression":
        assert backend.kind is None and backend.stride == 1 and found.maps is None
    else:
        assert (backend.kind, backend.stride) == (model.head.kind, model.stride)
        assert torch.equal(found.maps, maps)


def test_torch_leaves_the_model_alone():
    model = small_model("kl")
    model.train()
    next(iter(model.children())).eval()  # modes that differ are put back one by one
    modes = [m.training for m in model.modules()]
    before = {k: v.clone() for k, v in model.state_dict().items()}
    images = torch.randint(0, 256, (3, 3, 32, 36), dtype=torch.uint8)
    backend, random = TorchBackend(model), torch.get_rng_state()
    one, other = backend.run(images), backend.run(images)
    assert torch.equal(one.points, other.points)  # no dropout
    assert torch.equal(random, torch.get_rng_state())
    assert [m.training for m in model.modules()] == modes
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    model.forward = lambda images: 1 / 0
    with pytest.raises(ZeroDivisionError):
        backend.run(images)
    assert [m.training for m in model.modules()] == modes


def test_a_runtime_of_ones_own():
    assert "torch" in RUNTIMES and RUNTIMES["torch"] is TorchBackend

    @register_runtime
    class Shifted(TorchBackend):
        name = "shifted"

        def run(self, images, maps=False):
            found = super().run(images, maps)
            return found._replace(points=found.points + 1.0)

    image = np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)
    plain, other = (
        heatkp.load_model("face68", runtime=name).predict(image, "image", passes=1)[0].points
        for name in ("torch", "shifted")
    )
    size = heatkp.load_model("face68").framing.size
    np.testing.assert_allclose(other - plain, 80 / size[0], atol=1e-3)
    with pytest.raises(UnknownNameError, match="shifted"):
        heatkp.load_model("face68", runtime="none")
