"""`trainer.animation_every`: an animation that does not touch the training."""

from __future__ import annotations

import pytest
import torch
from PIL import Image

from heatkp import runs
from heatkp.training import animation
from heatkp.training.module import KeypointModule
from tests.conftest import TINY, heatkp

EVERY = ["--set", "trainer.animation_every=2", "--set", "trainer.animation_faces=2"]


@pytest.fixture(scope="module")
def animated(tmp_path_factory):
    """The small run again, with an animation."""
    run = tmp_path_factory.mktemp("runs") / "animated"
    result = heatkp("train", *TINY, *EVERY, "--head", "softargmax", "--out", run)
    assert result.exit_code == 0, result.output
    return run


def frames(run):
    with Image.open(run / "settling.gif") as gif:
        return gif.n_frames


def test_weights_are_the_same_without(tiny_run, animated):
    assert not (tiny_run / "settling.gif").exists()
    assert frames(animated) == 4  # steps 0, 2, 4 and 6, the last
    a, b = (runs.load_run(r).model.state_dict() for r in (tiny_run, animated))
    assert all(torch.equal(a[k], b[k]) for k in a)
    last = [torch.load(r / runs.LAST, weights_only=True) for r in (tiny_run, animated)]
    a, b = (checkpoint["state_dict"] for checkpoint in last)
    assert all(torch.equal(a[k], b[k]) for k in a)
    callbacks = [" ".join(map(str, checkpoint["callbacks"])) for checkpoint in last]
    assert "Animation" not in callbacks[0] and "Animation" in callbacks[1]


def test_frames_show_the_steps_own_weights(tmp_path, monkeypatch):
    """Also the last one, when the moving average has taken their place in the model."""
    name = "network.encoder.levels.0.0.weight"
    taken = []
    take = animation.take_frame

    def recorded(model, images, step):
        taken.append((step, model.state_dict()[name].clone()))
        return take(model, images, step)

    monkeypatch.setattr(animation, "take_frame", recorded)
    every = ["--set", "trainer.animation_every=4", "--set", "trainer.ema=0.9"]
    result = heatkp("train", *TINY, *every, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    checkpoint = torch.load(tmp_path / "run" / runs.LAST, weights_only=True)
    own = checkpoint["current_model_state"][f"model.{name}"]
    assert [step for step, _ in taken] == [0, 4, 6] and torch.equal(taken[-1][1], own)
    assert not torch.equal(own, checkpoint["state_dict"][f"model.{name}"])


def test_frames_survive_a_resume(animated, tmp_path, monkeypatch):
    run = tmp_path / "run"
    step = KeypointModule.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 1 and index == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(KeypointModule, "training_step", interrupted)
    result = heatkp("train", *TINY, *EVERY, "--head", "softargmax", "--out", run)
    assert result.exit_code == 130, result.output
    assert frames(run) == 3  # steps 0, 2 and 4
    monkeypatch.undo()
    result = heatkp("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert (run / "settling.gif").read_bytes() == (animated / "settling.gif").read_bytes()


def test_regression(tmp_path):
    flags = [*TINY, "--epochs", 1, "--head", "regression", "--set", "optimiser.accumulate=2"]
    result = heatkp("train", *flags, "--set", "trainer.animation_every=1", "--out", tmp_path / "r")
    assert result.exit_code == 0, result.output
    assert frames(tmp_path / "r") == 3  # of three batches, two make a step and one the last
    result = heatkp("train", *TINY, "--set", "trainer.animation_every=-1")
    assert result.exit_code == 2 and "trainer.animation_every" in result.output
