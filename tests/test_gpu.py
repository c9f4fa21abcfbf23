"""What runs on a GPU is what runs on a CPU: pytest -n 0 tests/test_gpu.py

Skipped where there is none. HEATKP_GPU_TEST_DEVICE=cpu runs it on the CPU, to try the tests.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import heatkp
import heatkp.heatmaps as hm
from heatkp.config import parse_settings
from heatkp.models import build_model
from heatkp.registry import HEADS
from tests.conftest import TINY

DEVICE = os.environ.get("HEATKP_GPU_TEST_DEVICE", "cuda")
pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="this machine has no GPU"
)


def maps_and_points():
    rng = torch.Generator().manual_seed(0)
    maps = 4 * torch.randn(4, 5, 24, 32, generator=rng)
    points = torch.rand(4, 5, 2, generator=rng) * torch.tensor([30.0, 22.0])
    weights = (torch.rand(4, 5, generator=rng) > 0.2).float()
    points[0, 0] = torch.nan
    weights[0, 0] = 0
    return maps, points, weights


@pytest.mark.parametrize("name", list(hm.LOSSES))
def test_losses(name):
    found = []
    for device in ("cpu", DEVICE):
        maps, points, weights = (t.to(device) for t in maps_and_points())
        maps.requires_grad_()
        value = hm.masked_mean(hm.LOSSES[name].function(maps, points, weights), weights)
        (gradient,) = torch.autograd.grad(value, maps)
        assert value.device.type == torch.device(DEVICE if device == DEVICE else "cpu").type
        found.append((value.detach().cpu(), gradient.cpu()))
    (value, gradient), (theirs, other) = found
    torch.testing.assert_close(theirs, value, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(other, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", list(hm.DECODERS))
def test_decoders(name):
    maps = maps_and_points()[0]
    ours, theirs = (
        hm.decode(name, maps.to(device), kind="logits", sigma=1.5) for device in ("cpu", DEVICE)
    )
    torch.testing.assert_close(theirs.points.cpu(), ours.points, rtol=0, atol=1e-3)
    torch.testing.assert_close(theirs.scores.cpu(), ours.scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", list(HEADS))
def test_a_step_of_every_head(name):
    values = {"head": {"name": name}, "data": {"size": [64, 64]}}
    torch.manual_seed(0)
    model = build_model(parse_settings(values), 5).eval()
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (2, 3, 64, 64), generator=rng, dtype=torch.uint8)
    points, weights = torch.rand(2, 5, 2, generator=rng) * 60, torch.ones(2, 5)
    losses, found = [], []
    for device in ("cpu", DEVICE):
        model.to(device)
        given = (images.to(device), points.to(device), weights.to(device))
        losses.append(model.training_loss(*given).detach().cpu())
        found.append(model.decode(model(given[0])).points.detach().cpu())
    torch.testing.assert_close(losses[1], losses[0], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(found[1], found[0], rtol=0, atol=0.05)


def trained(folder, *arguments, devices=1):
    command = [sys.executable, "-m", "heatkp", "train", *TINY, "--out", "run"]
    command += ["--set", f"trainer.device={DEVICE}", "--set", f"trainer.devices={devices}"]
    done = subprocess.run(
        [*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=500
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "run" / "metrics.json").read_text())


def test_training_and_prediction(tmp_path):
    metrics = trained(tmp_path)
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (90, 80, 3), np.uint8)
    ours, theirs = (heatkp.load_model(tmp_path / "run", device=d) for d in ("cpu", DEVICE))
    assert next(theirs.model.parameters()).device.type == torch.device(DEVICE).type
    box = (5, 5, 70, 80)
    a, b = (model.predict(image, boxes=box)[0].points for model in (ours, theirs))
    assert np.abs(a - b).max() < 0.1
    flipped = theirs.predict(image, boxes=box, flip_test=True)[0].points
    assert np.isfinite(flipped).all()
    assert metrics["mae_input"] > 0


@pytest.mark.parametrize("precision", ["bf16", "16"])
def test_mixed_precision(tmp_path, precision):
    if DEVICE == "cpu" and precision == "16":
        pytest.skip("16 needs a GPU")
    exact = trained(tmp_path / "exact" if (tmp_path / "exact").mkdir() is None else tmp_path)
    mixed = trained(
        tmp_path, "--set", f"trainer.precision={precision}", "--set", "optimiser.clip=5"
    )
    assert mixed["mae_input"] == pytest.approx(exact["mae_input"], rel=0.1)


def test_compiled_training(tmp_path):
    compiled = trained(tmp_path, "--set", "trainer.compile=true")
    (tmp_path / "plain").mkdir()
    plain = trained(tmp_path / "plain")
    assert compiled["mae_input"] == pytest.approx(plain["mae_input"], rel=0.1)


def test_two_devices_equal_one(tmp_path):
    if DEVICE == "cuda" and torch.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU")
    frozen = ["--set", "model.freeze=[network.encoder.*bn*, network.decoder.*.1]"]
    (tmp_path / "one").mkdir()
    one = trained(tmp_path / "one", *frozen)
    two = trained(tmp_path, *frozen, devices=2)
    assert two["mae_input"] == pytest.approx(one["mae_input"], rel=0.02)
