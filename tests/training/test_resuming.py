"""Runs that are trained further: finished ones, and stopped ones with another number of epochs."""

from __future__ import annotations

import csv
import json
import shutil

import pytest
import torch
import yaml
from PIL import Image

from heatkp import runs
from heatkp.errors import SettingsError
from heatkp.training import resuming
from heatkp.training.module import KeypointModule
from heatkp.viz.animation import frame_interval
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp

ONE = ["--set", "data.points=nose", "--set", "data.train_count=8", "--set", "data.val_count=4"]
"""One step an epoch."""


def rows(run):
    with (run / runs.HISTORY).open(newline="") as file:
        timed = ("seconds", "data_wait")
        return [{k: v for k, v in r.items() if k not in timed} for r in csv.DictReader(file)]


def trained(*arguments):
    done = heatkp("train", *arguments)
    assert done.exit_code == 0, done.output
    return " ".join(done.output.split())


def stored(run):
    return {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}


def measured(monkeypatch, errors):
    """Trainings whose validation error after each epoch is one of these."""
    totals = KeypointModule.totals
    monkeypatch.setattr(
        KeypointModule,
        "totals",
        lambda self: {**totals(self), "val_mae": errors[self.current_epoch]},
    )


def interrupted(monkeypatch, epoch):
    step = KeypointModule.training_step

    def training_step(self, batch, index):
        if self.current_epoch == epoch:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(KeypointModule, "training_step", training_step)


@pytest.fixture(scope="module")
def longer(tiny_run, tmp_path_factory):
    """The small run with two more epochs, and what was said."""
    run = shutil.copytree(tiny_run, tmp_path_factory.mktemp("longer") / "run")
    return run, trained("--resume", run, "--epochs", 4)


def test_a_finished_run_goes_on(tiny_run, longer, tmp_path):
    run, said = longer
    assert rows(run)[:2] == rows(tiny_run) and [r["epoch"] for r in rows(run)] == list("0123")
    assert yaml.safe_load((run / runs.SETTINGS).read_text())["trainer"]["epochs"] == 4
    assert len(json.loads((run / runs.ENVIRONMENT).read_text())["continued"]) == 1
    best = min(float(r["val_mae"]) for r in rows(run))
    assert json.loads((run / runs.METRICS).read_text())["mae_input"] == pytest.approx(best, 1e-5)
    trained(*TINY, "--epochs", 4, "--out", tmp_path / "four")
    rates = [[r["lr"] for r in rows(r)] for r in (run, tmp_path / "four")]
    assert [float(r) for r in rates[0][2:]] == pytest.approx([float(r) for r in rates[1][2:]])
    assert rates[0][:2] != rates[1][:2]
    assert "after epoch 2, to 4 epochs" in said and "onecycle over 4 epochs" in said


def test_a_run_that_is_trained_further_and_stopped_goes_on_the_same(longer, run_copy, monkeypatch):
    interrupted(monkeypatch, 3)
    assert heatkp("train", "--resume", run_copy, "--epochs", 4).exit_code == 130
    assert not (run_copy / runs.METRICS).exists() and len(rows(run_copy)) == 3
    monkeypatch.undo()
    trained("--resume", run_copy)
    assert rows(run_copy) == rows(longer[0])
    a, b = (runs.load_run(r).model.state_dict() for r in (longer[0], run_copy))
    assert all(torch.equal(a[k], b[k]) for k in a)


@pytest.mark.parametrize("better", [False, True])
def test_the_best_weights_are_those_of_all_epochs(tiny_run, run_copy, monkeypatch, better):
    measured(monkeypatch, {2: 900.0, 3: 0.5 if better else 901.0})
    before = (run_copy / runs.WEIGHTS).read_bytes()
    trained("--resume", run_copy, "--epochs", 4)
    assert ((run_copy / runs.WEIGHTS).read_bytes() != before) is better


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_schedules_are_stretched(tmp_path, schedule):
    flags = [*TINY, *ONE, "--set", f"optimiser.schedule={schedule}"]
    flags += ["--set", "optimiser.warmup_epochs=1"]
    for name, epochs in (("short", 2), ("long", 5)):
        trained(*flags, "--epochs", epochs, "--out", tmp_path / name)
    trained("--resume", tmp_path / "short", "--epochs", 5)
    short, long = ([float(r["lr"]) for r in rows(tmp_path / n)[2:]] for n in ("short", "long"))
    assert short == pytest.approx(long) and len(short) == 3


def test_what_is_refused_changes_nothing(run_copy):
    before = stored(run_copy)
    on = ["train", "--resume", run_copy]
    for arguments, words in [
        ([], ["is finished, after 2 epochs", f"--resume {run_copy} --epochs 4", "heatkp eval"]),
        (["--epochs", 2], ["is finished", "--epochs 4"]),
        (["--epochs", 1], ["is finished", "--epochs 4"]),
        (["--set", "trainer.epochs=5", "--epochs", 4], ["contradict"]),
        (["--epochs", 4, "--seed", 3], ["trainer.seed: a run that goes on keeps", "model.init"]),
        (["--epochs", 4, "--set", "data.size=[32,32]"], ["data.size: a run that goes on keeps"]),
    ]:
        refused([*on, *arguments], *words)
        assert stored(run_copy) == before
    (run_copy / runs.LAST).unlink()
    refused([*on, "--epochs", 4], "holds no checkpoint", f"model.init={run_copy}")
    assert (run_copy / runs.METRICS).exists()


def test_the_last_epoch_must_be_validated(tmp_path):
    run = tmp_path / "run"
    trained(*TINY, *ONE, "--set", "trainer.validate_every=2", "--out", run)
    before = stored(run)
    refused(["train", "--resume", run, "--epochs", 5], "does not divide the 5 epochs")
    assert stored(run) == before
    trained("--resume", run, "--epochs", 4)
    assert [bool(r["val_mae"]) for r in rows(run)] == [False, True, False, True]


def test_a_run_that_stopped_early_goes_on(tmp_path, monkeypatch):
    run = tmp_path / "run"
    measured(monkeypatch, [1.0, *range(2, 30)])
    early = ["--epochs", 9, "--set", "trainer.early_stopping=2"]
    trained(*TINY, *ONE, *early, "--out", run)
    assert len(rows(run)) == 3
    refused(["train", "--resume", run], "after 3 of 9 epochs", "--epochs 18")
    trained("--resume", run, "--epochs", 12)  # patience is counted anew
    assert len(rows(run)) == 5
    trained("--resume", run, "--set", "trainer.early_stopping=0", "--epochs", 7)
    assert len(rows(run)) == 7


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_stopped_run_takes_another_number_of_epochs(tmp_path, monkeypatch, epochs):
    run = tmp_path / "run"
    interrupted(monkeypatch, 2)
    assert heatkp("train", *TINY, *ONE, "--epochs", 4, "--out", run).exit_code == 130
    monkeypatch.undo()
    refused(["train", "--resume", run, "--epochs", 1], "has trained 2 epochs")
    trained("--resume", run, "--epochs", epochs)
    assert len(rows(run)) == epochs and (run / runs.METRICS).is_file()


def test_frames_of_an_animation_stay_evenly_apart(tmp_path, monkeypatch):
    monkeypatch.setattr("heatkp.viz.animation.MOST_FRAMES", 22)
    run = tmp_path / "run"
    every = ["--set", "trainer.animation_every=1", "--set", "trainer.animation_faces=1"]
    trained(*TINY, *ONE, *every, "--batch-size", 1, "--epochs", 2, "--out", run)
    assert frame_interval(1, 16) == 1
    trained("--resume", run, "--epochs", 3)
    assert frame_interval(1, 24) == 2
    steps = [frame.step for frame in _frames(run)]
    assert steps == [*range(0, 25, 2)]
    with Image.open(run / "settling.gif") as image:
        assert image.n_frames <= len(steps)


def _frames(run):
    from heatkp.viz.animation import Frame

    content = torch.load(run / runs.LAST, weights_only=True)["callbacks"]
    (state,) = (v for k, v in content.items() if k.startswith("Animation"))
    return [Frame(*values) for values in state["frames"]]


def test_only_what_leaves_the_result_alone_may_change(run_copy):
    for key in resuming.MAY_CHANGE:
        section, name = key.split(".")
        assert name in yaml.safe_load((run_copy / runs.SETTINGS).read_text())[section]
    with pytest.raises(SettingsError, match=r"model\.stride"):
        resuming.resume(run_copy, None, changes={"trainer.epochs": 4, "model.stride": 2})
