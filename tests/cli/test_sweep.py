"""`heatkp sweep` as a user runs it, killed and resumed among other things."""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import optuna
import pytest
import torch

from heatkp import runs
from heatkp.config import read_yaml
from heatkp.sweeps.space import parse_space
from heatkp.sweeps.space_file import read_space_file
from heatkp.training import fit
from heatkp.viz import sweep as figures
from tests.conftest import heatkp

BASE = """
data: {train_count: 16, val_count: 8, size: [32, 32], workers: 0}
model: {encoder: tu-mobilenetv3_small_050, stride: 4}
trainer: {epochs: 2, batch_size: 8, ema: 0.0}
"""
SPACE = """
name: "{lr}_{epochs}"
optimiser.lr: {choices: [1e-3, 1e-4, 1e-5]}
"""

KILLED = """
import os, signal, sys, torch
torch.set_num_threads(1)
from heatkp.training.module import KeypointModule
step, name, trial, epoch = KeypointModule.training_step, sys.argv.pop(1), sys.argv.pop(1), 0
def training_step(self, batch, i):
    if self.settings.optimiser.lr == float(trial) and self.current_epoch == 1 and i == 1:
        os.kill(os.getpid(), getattr(signal, name))
    return step(self, batch, i)
KeypointModule.training_step = training_step
from heatkp.cli import main
main()
"""
"""The command line, with a signal in the second epoch of the trial of that learning rate."""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep")
    (folder / "base.yaml").write_text(BASE)
    (folder / "space.yaml").write_text(SPACE)
    return ["sweep", "--config", folder / "base.yaml", "--space", folder / "space.yaml"]


def table(folder):
    with (folder / "sweep.csv").open(newline="") as file:
        return {row["run"]: row for row in csv.DictReader(file)}


def studied(folder):
    return optuna.load_study(study_name=folder.name, storage=f"sqlite:///{folder}/sweep.db")


def stamps(run):
    return {p.name: p.stat().st_mtime_ns for p in run.iterdir() if p.is_file()}


@pytest.fixture(scope="module")
def swept(files, tmp_path_factory):
    """A grid of three, killed in the second trial's second epoch and resumed, with what was
    there between."""
    folder = tmp_path_factory.mktemp("out") / "mine"
    command = [*files, "--sampler", "grid", "--out", folder]
    script = [sys.executable, "-c", KILLED, "SIGKILL", "1e-4", *map(str, command)]
    done = subprocess.run(script, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    first, second = (folder / "runs" / name for name in ("0.001_2", "0.0001_2"))
    states = [t.state.name for t in studied(folder).trials]
    assert states == ["COMPLETE", "RUNNING"]
    assert not (second / runs.METRICS).exists() and (second / runs.LAST).is_file()
    before = stamps(first)
    result = heatkp(*command)
    assert result.exit_code == 0, result.output
    assert stamps(first) == before
    return folder, result.output, command


def test_a_killed_sweep_goes_on(swept, files, tmp_path):
    folder, output, _ = swept
    assert "1 trials were cut off and go on" in output and "trial 1 of 3" not in output
    assert sorted(p.name for p in (folder / "runs").iterdir()) == ["0.0001_2", "0.001_2", "1e-05_2"]
    found = table(folder)
    assert len(found) == 3 and {row["state"] for row in found.values()} == {"finished"}
    # The killed one went on from its checkpoint: one more epoch, and one trained by itself
    # comes to the same.
    assert output.count("epoch 1/2") == 1 and output.count("epoch 2/2") == 2
    alone = heatkp("train", "--config", files[2], "--lr", "1e-4", "--out", tmp_path / "alone")
    assert alone.exit_code == 0, alone.output
    whole = json.loads((tmp_path / "alone" / runs.METRICS).read_text())
    assert whole == json.loads((folder / "runs" / "0.0001_2" / runs.METRICS).read_text())
    assert float(found["0.0001_2"]["val_mae"]) == pytest.approx(whole["mae_input"], rel=1e-4)


def test_results(swept):
    folder, output, command = swept
    rows = list(table(folder).values())
    errors = [float(row["val_mae"]) for row in rows]
    assert errors == sorted(errors)
    for row in rows:
        metrics = json.loads((folder / "runs" / row["run"] / runs.METRICS).read_text())
        assert float(row["val_mae"]) == pytest.approx(metrics["mae_input"], rel=1e-4)
        assert float(row["val_mse"]) == pytest.approx(metrics["mse_normalised"], rel=1e-4)
        assert float(row["mae_photo"]) == pytest.approx(metrics["mae_photo"], rel=1e-4)
        assert row["epochs"] == "2" and row["lr"] == row["run"].partition("_")[0]
    assert rows[0]["run"] in output and "no importances: 3 trials" in output
    assert (folder / "curves.png").stat().st_size > 1000
    # Once it is done, the same command trains nothing.
    again = heatkp(*command)
    assert again.exit_code == 0 and "epoch" not in again.output.replace("epochs", "")


def test_show_trains_nothing_and_makes_the_same(swept):
    folder, _, _ = swept
    before = (folder / "sweep.csv").read_text()
    (folder / "sweep.csv").unlink()
    (folder / "curves.png").unlink()
    result = heatkp("sweep", "--show", folder)
    assert result.exit_code == 0, result.output
    assert (folder / "sweep.csv").read_text() == before and (folder / "curves.png").is_file()


def test_the_best_run_may_be_on_another_machine(swept, tmp_path):
    folder, output, _ = swept
    assert f"Best: {folder / 'runs'}" in output
    here = tmp_path / folder.name
    shutil.copytree(folder, here)
    best = next(iter(table(folder)))
    shutil.rmtree(here / "runs" / best)
    result = heatkp("sweep", "--show", here)
    assert result.exit_code == 0, result.output
    assert f"Best: {best}, on another machine." in result.output


def test_ctrl_c_says_how_to_go_on(files, tmp_path, monkeypatch):
    from heatkp.training.module import KeypointModule

    def training_step(self, batch, i):
        raise KeyboardInterrupt

    monkeypatch.setattr(KeypointModule, "training_step", training_step)
    handler = signal.getsignal(signal.SIGINT)
    try:
        result = heatkp(*files, "--trials", 2, "--sampler", "grid", "--out", tmp_path / "x")
    finally:
        signal.signal(signal.SIGINT, handler)  # Lightning ignores it from then on
    assert result.exit_code == 130, result.output
    text = " ".join(result.output.split())
    assert "The same command goes on" in text and "train --resume" not in text
    assert [row["state"] for row in table(tmp_path / "x").values()] == ["stopped"]


def test_bad_trials_end_and_the_sweep_goes_on(files, tmp_path, monkeypatch):
    """One diverges, one cannot be built, one is pruned, one is well."""
    from heatkp.training.module import KeypointModule

    step = KeypointModule.training_step

    def training_step(self, batch, i):
        loss = step(self, batch, i)
        return loss * math.nan if self.settings.optimiser.lr == 0.5 else loss

    monkeypatch.setattr(KeypointModule, "training_step", training_step)
    monkeypatch.setattr(optuna.Trial, "should_prune", lambda self: self.params["net"] == "pruned")
    path = tmp_path / "space.yaml"
    path.write_text(
        "net:\n  variants:\n    nan: {optimiser.lr: 0.5}\n"
        "    broken: {model.encoder: tu-nosuch}\n    pruned: {optimiser.lr: 1e-5}\n"
        "    well: {optimiser.lr: 1e-3}\n"
    )
    out = tmp_path / "x"
    command = ["sweep", "--config", files[2], "--space", path, "--sampler", "grid", "--out", out]
    result = heatkp(*command, "--pruner", "median")
    assert result.exit_code == 0, result.output
    found = {row["net"]: row for row in table(out).values()}
    assert {k: row["state"] for k, row in found.items()} == {
        "well": "finished", "pruned": "pruned", "nan": "diverged", "broken": "failed",
    }  # fmt: skip
    assert "nan in epoch 1" in found["nan"]["reason"] and "'nosuch'" in found["broken"]["reason"]
    assert found["pruned"]["epochs"] == "1" and next(iter(found)) == "well"


def test_device(files, tmp_path, monkeypatch):
    """It goes into the settings of every trial."""
    used = []

    def train(settings, *_):
        used.append(settings.trainer.device)
        raise RuntimeError("seen")

    monkeypatch.setattr(fit, "train", train)
    for name, given in {"a": [], "b": ["--device", "cpu"]}.items():
        result = heatkp(*files, "--trials", 1, "--out", tmp_path / name, *given)
        assert result.exit_code == 0 and "RuntimeError: seen" in result.output, result.output
    assert used == ["auto", "cpu"]


def test_time_is_up(files, tmp_path):
    out = tmp_path / "x"
    result = heatkp(*files, "--trials", 2, "--timeout", 1e-6, "--out", out)
    assert result.exit_code == 0 and "the time is up" in result.output
    assert not (out / "runs").exists()


def test_variants_called_on_and_off(files, tmp_path):
    """Which YAML reads as true and false: the same command goes on nonetheless."""
    path = tmp_path / "space.yaml"
    path.write_text("flip: {variants: {on: {data.grey: true}, off: {data.grey: false}}}")
    command = ["sweep", "--space", path, "--trials", 2, "--timeout", 1e-6, "--out", tmp_path / "x"]
    for _ in range(2):
        result = heatkp(*command)
        assert result.exit_code == 0 and "the time is up" in result.output, result.output
    assert list(studied(tmp_path / "x").user_attrs["space"]["flip"]["variants"]) == ["on", "off"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--space"]),
        (["--trials", "0"], ["0"]),
        (["--space", "nosuch.yaml", "--trials", "3"], ["cannot read", "nosuch.yaml"]),
        (["--show", "nosuch"], ["nosuch is no sweep"]),
        (["--show", "nosuch", "--trials", "3"], ["--show takes everything"]),
        (["SPACE"], ["--trials"]),
        (["SPACE", "--trials", "3", "--set", "optimiser.lr=1"], ["varies it"]),
        (["SPACE", "--trials", "3", "--set", "optimiser.rate=1"], ["optimiser.rate", "unknown"]),
        (["SPACE", "--trials", "3", "--device", "tpu"], ["tpu", "cuda"]),
        (
            ["SPACE", "--trials", "3", "--device", "cpu", "--set", "trainer.device=cpu"],
            ["--device", "trainer.device"],
        ),
        (["--show", "nosuch", "--device", "cpu"], ["--show takes everything"]),
        (["SPACE", "--trials", "3", "--storage", "nonsense"], ["cannot be used"]),
    ],
)
def test_refused(files, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    given = [*files[3:5], *arguments[1:]] if arguments[:1] == ["SPACE"] else arguments
    result = heatkp("sweep", *given)
    text = " ".join(result.output.split())
    assert result.exit_code == 2 and "Traceback" not in text, text
    for word in words:
        assert word in text, text
    assert not list(tmp_path.rglob("runs"))


def test_pruning_needs_pixels_that_compare(tmp_path):
    path = tmp_path / "space.yaml"
    path.write_text("data.crop: {choices: [image, box]}")
    command = ["sweep", "--space", path, "--trials", 2, "--pruner", "median", "--out", tmp_path]
    result = heatkp(*command)
    assert result.exit_code == 2 and "do not compare" in result.output


def test_without_optuna(files, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "optuna" else real(name, *a)
    )
    result = heatkp(*files, "--trials", 2)
    assert result.exit_code == 2 and "pip install 'heatkp[sweep]'" in result.output


def test_curves_name_what_there_is_room_for(tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(figures, "save", lambda figure, path: kept.update(figure=figure))
    column = ([1, 2], [2.0, 1.0])
    history = dict.fromkeys(("train_loss", "val_loss", "val_mae", "lr"), column)
    names = [f"run{i}" for i in range(40)]
    labels = {n: figures.Label(float(i), i < 20) for i, n in enumerate(names)}
    figures.sweep_curves(dict.fromkeys(names, history), labels, tmp_path / "a.png")
    axes = kept["figure"].axes
    assert [len(a.lines) for a in axes] == [40, 40, 40, 0]
    legend = [t.get_text() for t in axes[3].get_legend().get_texts()]
    assert legend[0] == "1:  0.000  run0" and len(legend) == 33 and "8 more" in legend[-1]
    thick = [line for line in axes[2].lines if line.get_linewidth() > 2]
    assert thick == [axes[2].lines[0]]
    assert [line.get_linestyle() for line in axes[0].lines].count(":") == 20
    # All end in one place, where only the best has room for its number.
    assert [t.get_text() for t in axes[2].texts] == ["1"]


SWEEPS = sorted((Path(__file__).parents[2] / "configs" / "sweeps").glob("*.yaml"))


@pytest.mark.parametrize("path", SWEEPS, ids=lambda p: p.stem)
def test_sweeps_that_come_with_heatkp(root, path):
    """Each is valid beside the settings that the command at its top names."""
    lines = [line for line in path.read_text().splitlines() if "heatkp sweep" in line]
    words = shlex.split(lines[0].lstrip("# "))
    options = dict(zip(words[2::2], words[3::2]))
    assert root / options["--space"] == path
    space = parse_space(read_space_file(path), read_yaml(root / options["--config"]), path.name)
    names = [space.run_name(chosen) for chosen in space.grid()]
    assert len(set(names)) == len(names) > 1
    for chosen in space.grid():
        space.settings(chosen)


def test_there_are_sweeps():
    assert len(SWEEPS) >= 5 and torch.get_num_threads() == 1
