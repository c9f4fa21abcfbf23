"""`run_sweep` and `load_sweep`, from Python and without a console."""

from __future__ import annotations

import csv
import io

import pytest
import torch
from rich.console import Console

from heatkp import runs
from heatkp.config import parse_settings
from heatkp.errors import SettingsError
from heatkp.sweeps import load_sweep, run_sweep
from heatkp.training.module import KeypointModule

SETTINGS = {
    "data": {"train_count": 8, "val_count": 4, "size": [32, 32], "workers": 0},
    "model": {"encoder": "tu-mobilenetv3_small_050", "stride": 4},
    "trainer": {"batch_size": 4, "ema": 0.0},
    "trainer.epochs": 1,
}
RATES = {"optimiser.lr": {"choices": [1e-3, 1e-4]}}


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    return run_sweep(RATES, SETTINGS, sampler="grid", out=tmp_path_factory.mktemp("out") / "mine")


def test_results_of_a_sweep(swept):
    assert swept.ended == "all trials are done" and "2 of 2 trials finished" in repr(swept)
    best = swept.best
    assert best is swept.trials[0] and best.value == min(t.value for t in swept.trials)
    assert (best.folder / runs.METRICS).is_file() and best.folder.parent == swept.folder / "runs"
    assert {t.parameters["lr"] for t in swept.trials} == {1e-3, 1e-4}
    assert [row["run"] for row in swept.table] == [t.folder.name for t in swept.trials]
    assert swept.table[0]["val_mae"] == pytest.approx(best.value, rel=1e-4)
    with (swept.folder / "sweep.csv").open(newline="") as file:
        written = list(csv.DictReader(file))
    assert list(written[0]) == list(swept.table[0])
    assert [float(row["lr"]) for row in written] == [row["lr"] for row in swept.table]
    assert (swept.folder / "curves.png").is_file() and "2 trials are finished" in swept.notes[-1]


def test_nothing_is_printed_without_a_console(swept, capfd, monkeypatch):
    """A finished sweep, asked again with settings as an object, trains nothing."""

    def training_step(*_):
        raise AssertionError("trained")

    monkeypatch.setattr(KeypointModule, "training_step", training_step)
    nested = {key: value for key, value in SETTINGS.items() if "." not in key}
    settings = parse_settings(nested | {"trainer": {**nested["trainer"], "epochs": 1}})
    again = run_sweep(RATES, settings, sampler="grid", out=swept.folder)
    assert again.table == swept.table and capfd.readouterr() == ("", "")
    console = Console(file=io.StringIO(), width=200)
    run_sweep(RATES, settings, sampler="grid", out=swept.folder, console=console)
    assert "2 combinations" in console.file.getvalue()


def test_a_sweep_is_read_without_writing(swept):
    before = {p: p.stat().st_mtime_ns for p in swept.folder.iterdir()}
    found = load_sweep(swept.folder)
    assert found.table == swept.table and found.best == swept.best and found.ended == ""
    assert {p: p.stat().st_mtime_ns for p in swept.folder.iterdir()} == before


def test_overrides_are_used_last(tmp_path):
    """One trial that is not begun, for the time is up at once."""
    found = run_sweep(
        RATES, SETTINGS, overrides=["trainer.epochs=7"], trials=1, timeout=1e-9, out=tmp_path
    )
    assert found.trials == [] and found.best is None and "0 of 0" in repr(found)
    assert found.space.settings({}).trainer.epochs == 7


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, ["tpe", "--trials"]),
        ({"trials": 0}, ["trials"]),
        ({"trials": 1, "timeout": -1}, ["timeout"]),
        ({"trials": 1, "seed": -1}, ["seed"]),
        ({"trials": 1, "sampler": "best"}, ["'best'", "tpe", "grid"]),
        ({"trials": 1, "pruner": "hard"}, ["'hard'", "median"]),
        ({"trials": 1, "overrides": ["optimiser.lr=1"]}, ["optimiser.lr", "varies it"]),
        ({"trials": 1, "overrides": ["optimiser=1"]}, ["optimiser"]),
        ({"trials": 1, "settings": {"trainer.epoch": 1}}, ["trainer.epoch", "epochs"]),
        ({"trials": 1, "space": {}}, ["nothing varies"]),
        ({"trials": 1, "space": "nosuch.yaml"}, ["nosuch.yaml"]),
        ({"trials": 1, "settings": "nosuch.yaml"}, ["nosuch.yaml"]),
    ],
)
def test_refused(tmp_path, options, words):
    with pytest.raises(SettingsError) as error:
        run_sweep(**{"space": RATES, "settings": SETTINGS, "out": tmp_path / "x", **options})
    for word in words:
        assert word in str(error.value), str(error.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_this_machine_lacks(tmp_path, monkeypatch, device):
    """Is said before any trial fails for it."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(SettingsError, match=f"trainer.device: {device}"):
        run_sweep(
            RATES, SETTINGS, overrides=[f"trainer.device={device}"], trials=1, out=tmp_path / "x"
        )
    assert not (tmp_path / "x").exists()
