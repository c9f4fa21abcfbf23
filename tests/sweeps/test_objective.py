"""The loop of a sweep, whose trainings are stood in for."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import optuna
import pytest
import torch
import yaml
from optuna.exceptions import StorageInternalError, TrialPruned
from optuna.trial import TrialState
from rich.console import Console

from heatkp import runs
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.errors import DataError, DivergedError
from heatkp.files import write_text
from heatkp.sweeps import results
from heatkp.sweeps import study as studies
from heatkp.sweeps.objective import Objective
from heatkp.sweeps.recovery import requeue, standing_trials
from heatkp.sweeps.space import parse_space
from heatkp.sweeps.sweep import optimise
from heatkp.training import fit
from tests.conftest import heatkp

BASE = {"data": {"train_count": 4, "val_count": 2, "size": [32, 32]}}
RATES = "optimiser.lr: {choices: [1e-3, 1e-4]}"


@pytest.fixture
def search(tmp_path):
    """Makes the objective of a grid over a space."""

    def make(content=RATES, base=BASE):
        space = parse_space(yaml.safe_load(content), base, "space.yaml")
        study = studies.open_study(
            optuna.storages.InMemoryStorage(), "sweep", space, studies.make_pruner("none", 3)
        )
        console = Console(file=io.StringIO(), width=1000)
        total = sum(1 for _ in space.grid())
        return Objective(study, space, tmp_path, total, "grid", 0, False, None, console)

    return make


def told(search):
    return search.console.file.getvalue()


def states(search):
    return [t.state.name for t in standing_trials(search.study)]


def stand_in(monkeypatch, do):
    """`do(settings)` instead of a training; it gives the error, and the run has its metrics."""

    def train(settings, out, console, callbacks):
        metrics = dict.fromkeys(("mae_input", "mae_photo"), do(settings))
        out.mkdir(parents=True)
        write_text(out / runs.METRICS, json.dumps(metrics))
        return out, metrics

    monkeypatch.setattr(fit, "train", train)


def test_data_that_a_trials_own_settings_leave_nothing_of(search, monkeypatch):
    """That trial fails, is not tried again, and the others come to their turn."""

    def do(settings):
        KeypointDataModule(settings, load_data(settings.data)).preload()
        return 1.0

    stand_in(monkeypatch, do)
    base = {"data": {**BASE["data"], "crop": "box", "skip_outside": True}}
    found = search("data.box_scale: {choices: [0.2, 1.5]}", base)
    assert optimise(found) == "all trials are done"
    assert states(found) == ["FAIL", "COMPLETE"]
    reason = standing_trials(found.study)[0].user_attrs["reason"]
    assert "left nothing: enlarge data.box_scale" in reason and reason in told(found)
    assert len(found.study.trials) == 2


@pytest.mark.parametrize("failure", ["no folder", "a damaged image"])
def test_data_that_no_trial_can_use_end_the_sweep(search, monkeypatch, tmp_path, failure):
    folder = tmp_path / "faces"
    if failure != "no folder":
        assert heatkp("data", "synth", "--n", 4, "--size", 48, folder).exit_code == 0
        (folder / "images" / "000002.png").write_bytes(b"no picture")

    def do(settings):
        raise DataError("bad data")

    stand_in(monkeypatch, do)
    found = search(base={"data": {"path": str(folder), "validation": 0.5}})
    for _ in range(2):
        with pytest.raises(DataError, match="bad data"):
            optimise(found)
        assert states(found) == ["WAITING"]


def test_a_trial_of_another_machine_goes_on_with_the_settings_of_this(
    search, monkeypatch, tmp_path
):
    seen = []
    monkeypatch.setattr(fit, "prepare", lambda settings, *_, **__: seen.append(settings))
    monkeypatch.setattr("heatkp.training.resuming.begin", lambda *arguments, **more: None)
    monkeypatch.setattr(fit, "fit", lambda *arguments: None)
    monkeypatch.setattr(fit, "finish", lambda *arguments: {"mae_input": 1.0})
    mine = {"trainer": {"device": "cpu", "threads": 2}, "data": {**BASE["data"], "workers": 0}}
    found = search("optimiser.lr: {choices: [1e-3]}", mine)
    params = next(found.space.grid())
    theirs = found.space.settings(params)
    theirs.trainer.device, theirs.trainer.threads = "cuda", 64
    theirs.data.workers, theirs.data.cache, theirs.model.mean = 16, "/theirs", [0.5, 0.5, 0.5]
    folder = tmp_path / results.RUNS / "begun"
    folder.mkdir(parents=True)
    write_text(folder / runs.SETTINGS, theirs.to_yaml())
    found.study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=params,
            distributions=found.space.distributions(),
            user_attrs={"grid": True, "run": "begun"},
        )
    )
    optimise(found)
    assert states(found) == ["COMPLETE"], told(found)
    (used,) = seen
    assert (used.trainer.device, used.trainer.threads, used.data.workers) == ("cpu", 2, 0)
    assert used.data.cache == "auto" and used.model.mean == [0.5, 0.5, 0.5]


def test_an_error_that_is_no_number(search, monkeypatch):
    stand_in(monkeypatch, lambda settings: None if settings.optimiser.lr == 1e-3 else 1.0)
    found = search()
    optimise(found)
    assert states(found) == ["FAIL", "COMPLETE"]
    assert "failed: mae_input is no number" in told(found)
    assert "another process" not in told(found)


@pytest.mark.parametrize("call", ["set_trial_state_values", "set_trial_user_attr"])
def test_a_database_that_is_away_for_a_moment(search, monkeypatch, call):
    """When a trial is over: its continuation has nothing to train and brings the result."""
    trained, away = [], []

    def do(settings):
        trained.append(settings.optimiser.lr)
        if len(trained) == 1:
            away.append(StorageInternalError("database is locked"))
        return 1.0

    stand_in(monkeypatch, do)
    found = search()
    storage = found.study._storage
    real = getattr(storage, call)

    def once_away(*arguments, **options):
        if away:
            raise away.pop()
        return real(*arguments, **options)

    monkeypatch.setattr(storage, call, once_away)
    optimise(found)
    assert states(found) == ["COMPLETE", "COMPLETE"] and trained == [1e-3, 1e-4]
    assert "did not take the result (database is locked)" in told(found)
    assert "another process" not in told(found)


@pytest.mark.parametrize("end", ["finishes", "fails"])
def test_a_trial_that_another_process_took_up(search, monkeypatch, end):
    found = search("optimiser.lr: {choices: [1e-3]}")
    taken = []

    def do(settings):
        if not taken:
            taken.append(requeue(found.study, found.study.trials[-1]))
            if end == "fails":
                raise RuntimeError("no memory")
        return 1.0

    stand_in(monkeypatch, do)
    optimise(found)
    assert taken == [True] and states(found) == ["COMPLETE"]
    assert "another process took this trial up and its result counts" in told(found)


def test_a_table_that_cannot_be_written_is_said(search, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    stand_in(monkeypatch, lambda settings: 1.0)
    monkeypatch.setattr(results, "write_text", refuse)
    found = search()
    assert optimise(found) == "all trials are done" and states(found) == ["COMPLETE"] * 2
    assert "sweep.csv cannot be written: Permission denied; the sweep goes on" in told(found)


def test_two_processes_write_one_file(tmp_path, monkeypatch):
    """The second does all while the first has written but not yet moved its file there."""
    model = torch.nn.Linear(2, 2)
    for kind, write in [
        ("write_text", lambda path: write_text(path, "a,b\n")),
        ("write_bytes", lambda path: runs.save_weights(path, model, {})),
    ]:
        path, real, others = tmp_path / kind, getattr(Path, kind), [write]

        def slow(self, content, path=path, real=real, others=others, **options):
            real(self, content, **options)
            if others:
                others.pop()(path)

        monkeypatch.setattr(Path, kind, slow)
        before = os.umask(0o027)
        try:
            write(path)
        finally:
            os.umask(before)
        assert not others and path.stat().st_mode & 0o777 == 0o640
    assert sorted(p.name for p in tmp_path.iterdir()) == ["write_bytes", "write_text"]


def test_a_repeat_has_the_result_of_the_first_and_no_row(search, monkeypatch):
    stand_in(monkeypatch, lambda settings: settings.optimiser.lr)
    found = search()
    optimise(found)
    found.sampler = "random"
    found.run_one()
    assert found.study.trials[-1].state == TrialState.COMPLETE
    assert "same_as" in found.study.trials[-1].user_attrs
    assert len(results.read_results(found.study, found.space, found.folder).trials) == 2


def test_a_pruned_and_a_diverged_trial_count_to_a_sampler(search, monkeypatch):
    ends = {1e-3: TrialPruned("after epoch 1"), 1e-4: DivergedError("nan in epoch 1")}

    def do(settings):
        raise ends[settings.optimiser.lr]

    stand_in(monkeypatch, do)
    found = search()
    optimise(found)
    assert states(found) == ["PRUNED", "PRUNED"]
    told_of = results.read_results(found.study, found.space, found.folder).trials
    assert [(t.state, t.reason) for t in told_of] == [
        ("pruned", "after epoch 1"), ("diverged", "nan in epoch 1"),
    ]  # fmt: skip


def test_optuna_says_nothing_of_its_own_and_keeps_its_verbosity(search, monkeypatch, capfd):
    def do(settings):
        raise RuntimeError("no memory")

    stand_in(monkeypatch, do)
    before = optuna.logging.get_verbosity()
    optimise(search())
    assert capfd.readouterr() == ("", "") and optuna.logging.get_verbosity() == before
