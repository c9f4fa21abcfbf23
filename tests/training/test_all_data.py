"""Runs that are trained on all samples, without validation."""

from __future__ import annotations

import json

import pytest
import torch

from heatkp import runs
from heatkp.config import parse_settings
from heatkp.errors import SettingsError
from heatkp.viz.curves import read_history
from tests.cli.test_cli import refused
from tests.conftest import TINY, figures_drawn, heatkp


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("all") / "faces"
    assert heatkp("data", "synth", folder, "--n", 9, "--size", 64).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    """A run on all of the faces, with an animation."""
    folder = tmp_path_factory.mktemp("all") / "run"
    flags = ["--set", "data.validation=0", "--set", "trainer.animation_every=1"]
    with figures_drawn():
        done = heatkp("train", *TINY, "--data", faces, *flags, "--set", "data.split=person",
                      "--set", "trainer.validate_every=3", "--out", folder)  # fmt: skip
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "9 training samples, none for validation" in text
    assert "data.split" in text and "trainer.validate_every" in text and "ignored:" in text
    assert "no error was measured" in text and f"heatkp eval {folder} --data" in text
    return folder


def test_all_samples_train_and_the_last_weights_are_kept(run):
    metrics = json.loads((run / runs.METRICS).read_text())
    history = read_history(run / runs.HISTORY)
    assert metrics["split"] is None and metrics["samples"] == 9 and "mae_photo" not in metrics
    assert (metrics["epochs"], metrics["train_loss"]) == (2, history["train_loss"][1][-1])
    assert history["val_mae"] == ([], []) and len(history["train_loss"][0]) == 2
    kept, last = (runs.load_run(run / f).model.state_dict() for f in (runs.WEIGHTS, runs.LAST))
    assert all(torch.equal(kept[k], last[k]) for k in kept)
    for name in ("curves.png", "predictions.png", "samples.png", "settling.gif"):
        assert (run / name).stat().st_size > 100
    assert not (run / "error_curve.png").exists()


def test_what_needs_validation_samples_says_what_to_do(run, faces, tiny_run, tmp_path):
    out = tmp_path / "out.json"
    for arguments in (["eval", run], ["eval", run, "--split", "val"]):
        refused(arguments, "data.validation: 0", f"heatkp eval {run} --data FILE", "--split all")
    refused(["eval", tiny_run, run, "--out", out], f"{run} was trained on all", out=out)
    page, picture = tmp_path / "page.html", tmp_path / "a.png"
    refused(["report", run, "--out", page], f"heatkp eval {run} --data FILE", out=page)
    refused(["viz-heatmaps", run], f"heatkp viz-heatmaps {run} IMAGE")
    for command in ("error-curve", "points"):
        refused(["viz", command, run, "--out", picture], "--split all", out=picture)
    refused(["viz", "filters", run, "--images", "val:0", "--out", picture], "name images instead",
            out=picture)  # fmt: skip
    refused(["train", "--resume", run], f"heatkp eval {run} --data FILE", "--epochs 4")


def test_what_needs_none_works(run, faces, tiny_run, tmp_path):
    out = tmp_path / "out.json"
    for arguments, count in (
        (["--split", "all"], 9),
        (["--split", "train"], 9),
        (["--data", faces], 9),
    ):
        done = heatkp("eval", run, *arguments, "--out", out)
        assert done.exit_code == 0, done.output
        assert json.loads(out.read_text())["images"] == count
    image = faces / "images" / "000000.png"
    for command in (
        ["viz-heatmaps", run, image, "--out", tmp_path / "maps"],
        ["viz", "points", run, "--split", "all", "--out", tmp_path / "points.png"],
        ["viz", "curves", run, tiny_run, "--out", tmp_path / "curves.png"],
        ["predict", image, "--model", run, "--out", tmp_path / "found"],
    ):
        done = heatkp(*command)
        assert done.exit_code == 0, done.output


def test_drawn_faces_and_more_epochs(tmp_path):
    run = tmp_path / "run"
    none = ["--set", "data.val_count=0", "--epochs", 1]
    assert heatkp("train", *TINY, *none, "--out", run).exit_code == 0
    refused(["eval", run], "trained on all")
    before = runs.load_run(run).model.state_dict()
    done = heatkp("train", "--resume", run, "--epochs", 2)
    assert done.exit_code == 0, done.output
    after, last = (runs.load_run(run / f).model.state_dict() for f in (runs.WEIGHTS, runs.LAST))
    assert any(not torch.equal(before[k], after[k]) for k in after)
    assert all(torch.equal(last[k], after[k]) for k in after)
    assert json.loads((run / runs.METRICS).read_text())["epochs"] == 2


@pytest.mark.parametrize("data", [{"val_count": 0}, {"path": "faces", "validation": 0}])
def test_early_stopping_needs_validation_samples(data):
    assert not parse_settings({"data": data}).data.validates
    key = "val_count" if "val_count" in data else "validation"
    with pytest.raises(SettingsError, match=rf"early_stopping.*data\.{key}: 0"):
        parse_settings({"data": data, "trainer": {"early_stopping": 3}})
    assert parse_settings({"data": {"path": "faces", "val_count": 0}}).data.validates


def test_sweeps_need_validation_samples(tmp_path):
    space, out = tmp_path / "space.yaml", tmp_path / "sweep"
    space.write_text("optimiser.lr: {choices: [0.001, 0.01]}\n")
    flags = ["--set", "data.val_count=0", "--trials", 1, "--out", out]
    refused(["sweep", "--space", space, *flags], "compares validation errors", out=out)
