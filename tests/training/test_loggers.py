"""Loggers by name: what each has written after a real training."""

from __future__ import annotations

import csv
import json
from importlib.util import find_spec

import pytest
import yaml

from heatkp.config import load_settings, parse_settings
from heatkp.errors import MissingPackageError, SettingsError
from heatkp.registry import LOGGERS
from heatkp.training.loggers import RunLogger, RunLoggers
from tests.conftest import TINY, heatkp


def train(names, *more, out="run"):
    result = heatkp("train", *TINY, "--set", f"trainer.loggers={names}", *more, "--out", out)
    assert result.exit_code == 0, result.output
    return json.loads(open(f"{out}/metrics.json").read())


def needs(module):
    if find_spec(module) is None:
        pytest.skip(f"{module} is not installed: pip install 'heatkp[{module}]'")


def test_csv_and_tensorboard(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    metrics = train("[csv, tensorboard]")
    nme = metrics["normalised"]["inter-ocular"]["nme"]
    name = "final/normalised/inter-ocular/nme"

    folder = tmp_path / "run" / "csv" / "version_0"
    rows = list(csv.DictReader((folder / "metrics.csv").open()))
    losses = [float(row["train_loss"]) for row in rows if row["train_loss"]]
    own = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    assert losses == pytest.approx([float(row["train_loss"]) for row in own], rel=1e-5)
    assert float(rows[-1][name]) == pytest.approx(nme)
    assert yaml.safe_load((folder / "hparams.yaml").read_text())["trainer"]["epochs"] == 2

    found = {}
    for file in sorted((tmp_path / "run" / "tensorboard").glob("events*")):
        events = EventAccumulator(str(file))
        events.Reload()
        for tag in events.Tags()["scalars"]:
            found.setdefault(tag, []).extend(event.value for event in events.Scalars(tag))
        if "_hparams_/session_start_info" in events.summary_metadata:
            found["hparams"] = True
    assert found["train_loss"] == pytest.approx(losses, rel=1e-5)
    assert found[name] == pytest.approx([nme], rel=1e-5) and found["hparams"]

    first = (folder / "metrics.csv").read_text()  # a run that goes on leaves it alone
    result = heatkp("train", "--resume", "run", "--epochs", "3", "--set", "trainer.loggers=csv")
    assert result.exit_code == 0, result.output
    assert (folder / "metrics.csv").read_text() == first
    rows = list(csv.DictReader((tmp_path / "run/csv/version_1/metrics.csv").open()))
    assert {row["epoch"] for row in rows if row["train_loss"]} == {"2"}


@pytest.mark.parametrize(
    ("given", "names"),
    [("csv, wandb", ["csv", "wandb"]), (["csv", "csv"], ["csv"]), ("none", []), ([], [])],
)
def test_names(given, names):
    assert parse_settings({"trainer": {"loggers": given}}).trainer.loggers == names


def test_auto_is_tensorboard_where_it_is_installed(monkeypatch):
    def kinds():
        return [kind.name for kind in RunLoggers(load_settings())._kinds]

    monkeypatch.setattr("heatkp.training.loggers.find_spec", lambda name: None)
    assert kinds() == []
    monkeypatch.setattr("heatkp.training.loggers.find_spec", lambda name: object())
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: object())
    assert kinds() == ["tensorboard"]


@pytest.mark.parametrize("given", [3, [1], {"csv": True}])
def test_what_is_no_name_is_refused(given):
    with pytest.raises(SettingsError, match=r"trainer\.loggers"):
        parse_settings({"trainer": {"loggers": given}})


def test_a_wrong_name_is_refused_before_anything_is_written(tmp_path):
    result = heatkp("train", *TINY, "--set", "trainer.loggers=tensorbord", "--out", "run")
    assert result.exit_code == 2 and "did you mean tensorboard" in result.output
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["tensorboard", "wandb", "mlflow"])
def test_a_missing_package_is_named_before_anything_is_written(name, monkeypatch, tmp_path):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda module: None)
    settings = load_settings(None, [f"trainer.loggers={name}"])
    with pytest.raises(MissingPackageError, match=f"pip install {name}"):
        RunLoggers(settings)
    result = heatkp("train", *TINY, "--set", f"trainer.loggers={name}", "--out", "run")
    assert result.exit_code == 2 and f"pip install {name}" in result.output
    assert not (tmp_path / "run").exists()


class Broken(RunLogger):
    """A logger whose service does not answer, and which says when it is closed."""

    name = "broken"
    closed = 0

    def open(self, run):
        from lightning.pytorch.loggers import CSVLogger

        class Silent(CSVLogger):
            def log_hyperparams(self, params=None):
                raise ConnectionRefusedError if params is None else RuntimeError("no login")

        return Silent(run, name="broken")

    def close(self, logger):
        Broken.closed += 1


def test_a_logger_that_cannot_begin_is_named_and_closed(monkeypatch):
    monkeypatch.setitem(LOGGERS._loaded, "broken", (Broken, __name__))
    result = heatkp("train", *TINY, "--set", "trainer.loggers=broken", "--out", "run")
    assert result.exit_code == 2 and "logger broken failed" in result.output
    assert "no login" in result.output and Broken.closed == 1


def test_none_are_none():
    assert RunLoggers(load_settings(None, ["trainer.loggers=none"]))._kinds == []


def test_settings_name_every_logger():
    assert set(LOGGERS) >= {"csv", "mlflow", "tensorboard", "wandb"}


def test_wandb_offline(monkeypatch, tmp_path):
    needs("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    train("wandb")
    train("wandb", out="second")  # a run of its own, not the first one's end
    import wandb

    assert wandb.run is None
    for run in ("run", "second"):
        (file,) = (tmp_path / run / "wandb").glob("offline-run-*/run-*.wandb")
        content = file.read_bytes()
        assert b"final/mae_photo" in content and b"train_loss" in content
        assert b"softargmax" in content


def test_mlflow_in_a_folder(monkeypatch, tmp_path):
    needs("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    import mlflow

    mlflow.set_tracking_uri(None)
    metrics = train("mlflow")
    (run,) = mlflow.search_runs(experiment_names=["heatkp"], output_format="list")
    assert run.info.status == "FINISHED" and run.info.run_name == "run"
    assert run.data.params["trainer/epochs"] == "2"
    assert run.data.metrics["final/mae_photo"] == pytest.approx(metrics["mae_photo"])
    assert "train_loss" in run.data.metrics


def test_csv_needs_no_package(monkeypatch):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda module: None)
    assert [k.name for k in RunLoggers(load_settings(None, ["trainer.loggers=csv"]))._kinds] == [
        "csv"
    ]
