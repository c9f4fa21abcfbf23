from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from importlib.metadata import version

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console

from heatkp import runs
from heatkp.config import Settings, assign, parse_settings
from heatkp.models import create_model
from heatkp.training import fit
from heatkp.training.callbacks import DataWait, StopEarly
from heatkp.training.module import KeypointModule, make_optimiser, make_schedule
from tests.conftest import ENCODER, TINY, heatkp


def rows(run):
    with (run / "metrics.csv").open(newline="") as file:
        timed = ("seconds", "data_wait")
        return [{k: v for k, v in r.items() if k not in timed} for r in csv.DictReader(file)]


def test_a_run_leaves_everything(tiny_run):
    for name in (
        "settings.yaml", "environment.json", "metrics.csv", "metrics.json",
        "weights.safetensors", "checkpoints/last.ckpt", "curves.png", "samples.png",
        "predictions.png", "error_curve.png",
    ):  # fmt: skip
        assert (tiny_run / name).stat().st_size > 100, name
    assert not list(tiny_run.rglob("*.part"))
    settings = parse_settings(yaml.safe_load((tiny_run / "settings.yaml").read_text()))
    assert settings.trainer.epochs == 2 and settings.model.mean == [0.5, 0.5, 0.5]
    recorded = json.loads((tiny_run / "environment.json").read_text())
    assert recorded["packages"]["torch"] == version("torch")
    assert len(rows(tiny_run)) == 2
    metrics = json.loads((tiny_run / "metrics.json").read_text())
    assert metrics["images"] == 12 and len(metrics["points"]) == 68


@pytest.mark.parametrize("extra", [[], ["--set", "trainer.ema=0.9"]], ids=["raw", "ema"])
def test_kept_weights_are_the_best_that_were_measured(tmp_path, extra):
    """The averaged weights are measured, so the averaged weights must be kept."""
    run = tmp_path / "run"
    result = heatkp("train", *TINY, *extra, "--epochs", 3, "--out", run)
    assert result.exit_code == 0, result.output
    best = min(float(r["val_mae"]) for r in rows(run))
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["mae_input"] == pytest.approx(best, rel=1e-5)


def test_same_seed_same_result(tiny_run, tmp_path):
    result = heatkp("train", *TINY, "--out", tmp_path / "again")
    assert result.exit_code == 0, result.output
    assert rows(tmp_path / "again") == rows(tiny_run)
    other = heatkp("train", *TINY, "--seed", 5, "--out", tmp_path / "other")
    assert other.exit_code == 0
    assert rows(tmp_path / "other") != rows(tiny_run)


KILLED = [*TINY, "--epochs", "5", "--set", "trainer.ema=0.9", "--set", "model.dropout=0.3"]


SCRIPT = """
import os, signal, sys, torch
torch.set_num_threads(1)
from heatkp.training.module import KeypointModule
step = KeypointModule.training_step
def training_step(self, batch, i):
    if self.current_epoch == 3 and i == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, batch, i)
KeypointModule.training_step = training_step
from heatkp.cli import main
main()
"""
"""The command line, killed in the middle of the fourth epoch."""


def test_interrupted_run_says_how_to_go_on(tmp_path, monkeypatch):
    step, run = KeypointModule.training_step, tmp_path / "run"

    def training_step(self, batch, i):
        if self.current_epoch == 1 and i == 1:
            signal.raise_signal(signal.SIGINT)
        return step(self, batch, i)

    monkeypatch.setattr(KeypointModule, "training_step", training_step)
    # Processes that run tests may ignore it, as those in the background of a shell do.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        done = heatkp("train", *TINY, "--out", run)
    finally:
        signal.signal(signal.SIGINT, before)
    assert done.exit_code == 130, done.output
    assert f"heatkp train --resume {run}" in " ".join(done.output.split())
    assert "Traceback" not in done.output and len(rows(run)) == 1


def test_killed_and_resumed_equals_uninterrupted(tmp_path):
    """SIGKILL in mid-epoch; the resumed run reaches the very metrics of one never stopped."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    # A worker reads ahead, of the right epoch, too.
    killed = [*KILLED, "--set", "data.workers=1"]
    done = heatkp("train", *killed, "--out", whole)
    assert done.exit_code == 0, done.output
    command = [sys.executable, "-c", SCRIPT, "train", *killed, "--out", cut]
    assert subprocess.run(command, capture_output=True).returncode == -signal.SIGKILL
    assert not (cut / "metrics.json").exists() and len(rows(cut)) == 3
    done = heatkp("train", "--resume", cut)
    assert done.exit_code == 0, done.output
    assert rows(cut) == rows(whole)
    assert json.loads((cut / "metrics.json").read_text()) == json.loads(
        (whole / "metrics.json").read_text()
    )
    a, b = (runs.load_run(r).model.state_dict() for r in (whole, cut))
    assert all(torch.equal(a[k], b[k]) for k in a)


def test_resume_before_the_first_checkpoint_starts_anew(tiny_run, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(tiny_run / "settings.yaml", run)
    result = heatkp("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert rows(run) == rows(tiny_run)


def test_resume_refuses(tiny_run, run_copy, tmp_path):
    for arguments, words in [
        ([tiny_run], "is finished"),
        ([tmp_path], "not a run folder"),
        ([tiny_run, "--epochs", 2], "is finished, after 2 epochs"),
        ([tiny_run, "--epochs", 3, "--lr", 0.1], "optimiser.lr: a run that goes on keeps its"),
        (
            [tiny_run, "--epochs", 3, "--out", tmp_path / "new"],
            "leave out --config, --out and --folds",
        ),
    ]:
        result = heatkp("train", "--resume", *arguments)
        assert result.exit_code == 2 and words in result.output.replace("\n", " ")
    (run_copy / "metrics.json").unlink()
    (run_copy / "checkpoints" / "last.ckpt").write_bytes(b"rubbish")
    result = heatkp("train", "--resume", run_copy)
    assert result.exit_code == 2 and "last.ckpt" in result.output


def test_early_stopping(tmp_path):
    run = tmp_path / "run"
    result = heatkp(
        "train", *TINY, "--epochs", 30, "--lr", 1e-9, "--set", "trainer.early_stopping=2",
        "--set", "optimiser.schedule=constant", "--out", run,
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    stopped = rows(run)
    assert len(stopped) < 30
    # Killed between its last epoch and its end, it does not train on.
    (run / "metrics.json").unlink()
    result = heatkp("train", "--resume", run)
    assert result.exit_code == 0, result.output
    assert rows(run) == stopped and (run / "metrics.json").is_file()


def test_patience_counts_epochs():
    """Lightning counts validations."""
    assert StopEarly(10).patience == 10 and StopEarly(10, 4).patience == 3


@pytest.mark.parametrize("period", [1, 2])
def test_a_training_that_diverges_says_so_and_keeps_no_such_weights(tmp_path, period):
    run = tmp_path / "run"
    result = heatkp("train", *TINY, "--lr", 1e30, "--set", "optimiser.name=sgd", "--set",
                    f"trainer.validate_every={period}", "--set", "optimiser.schedule=constant",
                    "--out", run)  # fmt: skip
    text = " ".join(result.output.split())
    assert result.exit_code == 2 and "diverged" in text, result.output
    assert "optimiser.lr" in text
    assert not list(run.glob("*.safetensors")) and not (run / runs.LAST).exists()


def test_validation_can_be_rarer(tmp_path):
    run = tmp_path / "run"
    result = heatkp("train", *TINY, "--epochs", 4, "--set", "trainer.validate_every=2",
                    "--out", run)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert [bool(r["val_mae"]) for r in rows(run)] == [False, True, False, True]
    result = heatkp("train", *TINY, "--epochs", 3, "--set", "trainer.validate_every=2")
    assert result.exit_code == 2 and "trainer.validate_every: 2" in result.output


@pytest.mark.parametrize(
    "extra",
    [
        ["optimiser.accumulate=2", "optimiser.clip=1.0", "optimiser.name=sgd"],
        [
            "trainer.precision=bf16",
            "optimiser.schedule=cosine",
            "optimiser.warmup_epochs=1",
            "optimiser.clip=1.0",
            "head.name=kl",
            "head.decoder=dark",
        ],
        ["trainer.deterministic=true", "data.grey=true", "data.crop=box"],
        ["data.workers=1", "head.sigma=2", "head.sigma_final=1", "data.skeleton=face58"],
        ["data.points=nose", "head.regulariser=none"],
    ],
)
def test_other_settings_run(tmp_path, extra):
    flags = [f for e in extra for f in ("--set", e)]
    result = heatkp("train", *TINY, "--epochs", 1, *flags, "--out", tmp_path / "run")
    assert result.exit_code == 0, result.output
    loss = float(rows(tmp_path / "run")[0]["train_loss"])
    assert np.isfinite(loss)


def test_starting_from_another_run(tiny_run, tmp_path):
    flags = [*TINY, "--epochs", 1, "--lr", 1e-9, "--out"]
    result = heatkp("train", *flags, tmp_path / "a", "--set", f"model.init={tiny_run}")
    assert result.exit_code == 0, result.output
    trained = json.loads((tiny_run / "metrics.json").read_text())["mae_input"]
    again = json.loads((tmp_path / "a" / "metrics.json").read_text())["mae_input"]
    assert abs(again - trained) < 1.0
    # Another head of the softmax; this one has widths of its own, which start fresh.
    result = heatkp("train", *flags, tmp_path / "nll", "--set", f"model.init={tiny_run}",
                    "--head", "nll")  # fmt: skip
    assert result.exit_code == 0, result.output
    other = json.loads((tmp_path / "nll" / "metrics.json").read_text())["mae_input"]
    assert abs(other - trained) < 1.0
    for extra, words in [
        (["--head", "argmax"], "choose one of ce, kl, marginal, nll, softargmax"),
        (["--head", "regression"], "or model.transfer"),
        (["--set", "data.points=nose"], "weights.safetensors has 'jaw_0'"),
        (["--set", "model.options={widths: [8, 12]}"], "does not fit the model"),
    ]:
        result = heatkp("train", *flags, tmp_path / "b", "--set", f"model.init={tiny_run}", *extra)
        assert result.exit_code == 2 and words in " ".join(result.output.split()), result.output
        assert not (tmp_path / "b").exists()


def test_transfer_to_other_points_heads_and_strides(tmp_path):
    first = tmp_path / "first"
    done = heatkp("train", *TINY, *ENCODER, "--epochs", 1, "--out", first)
    assert done.exit_code == 0, done.output
    source = runs.load_run(first).model.state_dict()
    start = [*TINY, *ENCODER, "--epochs", 1, "--lr", 1e-12, "--set", "trainer.ema=0"]
    for i, (extra, regression) in enumerate(
        [
            (["--head", "kl", "--set", "data.points=nose"], False),
            (["--set", "model.stride=2"], False),
            (["--head", "regression"], True),
        ]
    ):
        run = tmp_path / str(i)
        result = heatkp("train", *start, "--set", f"model.transfer={first}", *extra,
                        "--out", run)  # fmt: skip
        assert result.exit_code == 0, result.output
        assert f"come from {first}" in " ".join(result.output.split())
        own = runs.load_run(run).model.state_dict()
        prefix = "network." if regression else ""
        names = [k for k in own if "encoder." in k and "running" not in k and "num_" not in k]
        if i == 0:
            names += [k for k in own if "decoder.blocks.0" in k and k.endswith("weight")]
        assert len(names) > 50
        for name in names:
            torch.testing.assert_close(own[name], source[prefix + name], rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    "extra, words",
    [
        ([*ENCODER[1::2]], "model.transfer: "),
        (["model.init={run}"], "init and transfer"),
        (["model.transfer=nowhere"], "nowhere"),
    ],
)
def test_transfer_refuses(tiny_run, tmp_path, extra, words):
    flags = ["--set", f"model.transfer={tiny_run}"]
    flags += [f for e in extra for f in ("--set", e.replace("{run}", str(tiny_run)))]
    result = heatkp("train", *TINY, *flags, "--out", tmp_path / "b")
    assert result.exit_code == 2 and words in " ".join(result.output.split()), result.output
    assert not (tmp_path / "b").exists()


def test_pixels_are_scaled_as_the_source_was(tiny_run, tmp_path):
    flags = [*TINY, "--epochs", 1]
    made = tmp_path / "a"
    scaled = ["--set", "model.mean=[0.3,0.4,0.5]", "--set", "model.std=[0.2,0.2,0.2]"]
    assert heatkp("train", *flags, *scaled, "--out", made).exit_code == 0
    for key in ("init", "transfer"):
        run = tmp_path / key
        result = heatkp("train", *flags, "--set", f"model.{key}={made}", "--out", run)
        assert result.exit_code == 0, result.output
        assert runs.load_run(run).settings.model.mean == [0.3, 0.4, 0.5]


def test_schedules():
    model = create_model("kl", points=1, size=(32, 32), encoder="tu-mobilenetv3_small_050")

    def rates(**settings):
        chosen = parse_settings({"optimiser": {"lr": 1.0, **settings}}).optimiser
        optimiser = make_optimiser(model, chosen)
        schedule = make_schedule(optimiser, chosen, 20, 5)
        found = []
        for _ in range(20):
            found.append(optimiser.param_groups[0]["lr"])
            optimiser.step()
            schedule.step()
        return np.array(found)

    asked = parse_settings({"optimiser": {"name": "sgd", "momentum": 0.5}}).optimiser
    optimiser = make_optimiser(model, asked)
    make_schedule(optimiser, asked, 20, 5)
    assert all(group["momentum"] == 0.5 for group in optimiser.param_groups)
    one = rates(schedule="onecycle")
    assert one.max() == pytest.approx(1, abs=0.02) and one[0] < 0.1 and one[-1] < 0.02
    assert (rates(schedule="constant") == 1).all()
    warm = rates(schedule="constant", warmup_epochs=1)
    assert (np.diff(warm[:6]) > 0).all() and (warm[5:] == 1).all()
    cosine = rates(schedule="cosine")
    assert cosine[0] == 1 and (np.diff(cosine) < 0).all() and cosine[-1] < 0.01


def test_settings_of_a_run_are_those_of_its_weights(run_copy):
    values = yaml.safe_load((run_copy / "settings.yaml").read_text())
    values["head"]["name"] = "kl"
    (run_copy / "settings.yaml").write_text(yaml.safe_dump(values))
    result = heatkp("eval", run_copy)
    assert result.exit_code == 2 and "'softargmax'" in result.output and "'kl'" in result.output


def test_defaults_are_valid():
    assert Settings().head.name == "softargmax"


def test_progress_bar_on_a_terminal(tmp_path):
    values: dict = {}
    for flag in TINY[1 : TINY.index("--batch-size") : 2]:
        assign(values, flag)
    values["trainer"] = {"epochs": 2, "batch_size": 8}
    text = io.StringIO()
    fit.train(
        parse_settings(values),
        tmp_path / "run",
        Console(file=text, force_terminal=True, width=120),
    )
    shown = text.getvalue()
    assert "epoch 2/2" in shown and "6/6" in shown and "validation MAE" in shown


def test_waiting_for_data_is_measured(monkeypatch, tiny_run):
    """Three steps of 4 s; 1 s of waiting before the second and 2 s before the third."""
    clock = iter([10.0, 14.0, 15.0, 19.0, 21.0, 25.0, 100.0, 104.0])
    monkeypatch.setattr("heatkp.training.callbacks.time.perf_counter", lambda: next(clock))
    wait = DataWait()
    for step in range(3):
        wait.on_train_batch_start(None, None, None, step)
        wait.on_train_batch_end(None, None)
    assert wait.share == pytest.approx(3 / 15)
    wait.on_train_batch_start(None, None, None, 0)  # the next epoch begins anew
    wait.on_train_batch_end(None, None)
    assert wait.share == 0
    monkeypatch.undo()
    with (tiny_run / "metrics.csv").open(newline="") as file:
        shares = [float(r["data_wait"]) for r in csv.DictReader(file)]
    # Without workers each batch is made while the step waits.
    assert all(0 < s < 1 for s in shares)


def test_counts_are_printed(tmp_path):
    """What boxes leave out is said, not dropped silently."""
    faces = tmp_path / "faces"
    assert heatkp("data", "synth", faces, "--n", 20, "--size", 96).exit_code == 0
    result = heatkp("train", *TINY, "--data", faces, "--epochs", 1, "--set", "data.crop=box",
                    "--set", "data.box_scale=0.8", "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "16 training and 4 validation samples" in result.output
    assert "16 of 16 samples" in result.output
    assert "waited for data" in result.output
