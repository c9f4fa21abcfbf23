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
from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from rich.console import Console

from heatkp import runs
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.errors import DataError
from heatkp.files import write_text
from heatkp.sweeps import results
from heatkp.sweeps import study as studies
from heatkp.sweeps.search import Search
from heatkp.sweeps.space import parse_space
from heatkp.training import fit
from tests.conftest import heatkp

BASE = {"data": {"train_count": 4, "val_count": 2, "size": [32, 32]}}
RATES = "optimiser.lr: {choices: [1e-3, 1e-4]}"


@pytest.fixture
def search(tmp_path):
    """Makes a grid search over a space."""

    def make(content=RATES, base=BASE):
        space = parse_space(yaml.safe_load(content), base, "space.yaml")
        study = studies.open_study(
            optuna.storages.InMemoryStorage(), "sweep", space,
            studies.make_sampler("random", 0), studies.make_pruner("none", 3),
        )  # fmt: skip
        console = Console(file=io.StringIO(), width=1000)
        total = sum(1 for _ in space.grid())
        return Search(study, space, tmp_path, total, True, False, None, console)

    return make


def told(search):
    return search.console.file.getvalue()


def states(search):
    return [t.state.name for t in studies.trials(search.study)]


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
    assert found.go() == "all trials are done"
    assert states(found) == ["FAIL", "COMPLETE"]
    reason = studies.trials(found.study)[0].user_attrs["reason"]
    assert "left nothing: enlarge data.box_scale" in reason and reason in told(found)
    assert len(found.study.trials) == 2


@pytest.mark.parametrize("fault", ["no folder", "a damaged picture"])
def test_data_that_no_trial_can_use_end_the_sweep(search, monkeypatch, tmp_path, fault):
    folder = tmp_path / "faces"
    if fault != "no folder":
        assert heatkp("data", "synth", "--n", 4, "--size", 48, folder).exit_code == 0
        (folder / "images" / "000002.png").write_bytes(b"no picture")

    def do(settings):
        raise DataError("bad data")

    stand_in(monkeypatch, do)
    found = search(base={"data": {"path": str(folder), "validation": 0.5}})
    for _ in range(2):
        with pytest.raises(DataError, match="bad data"):
            found.go()
        assert states(found) == ["WAITING"]


def test_a_trial_of_another_machine_goes_on_with_the_settings_of_this(
    search, monkeypatch, tmp_path
):
    seen = []
    monkeypatch.setattr(fit, "prepare", lambda settings, *_, **__: seen.append(settings))
    monkeypatch.setattr(fit, "fit", lambda *arguments: None)
    monkeypatch.setattr(fit, "finish", lambda *arguments: {"mae_input": 1.0})
    mine = {"trainer": {"device": "cpu", "threads": 2}, "data": {**BASE["data"], "workers": 0}}
    found = search("optimiser.lr: {choices: [1e-3]}", mine)
    trial = studies.next_trial(found.study, found.space, True)
    trial.set_user_attr("run", "begun")
    theirs = found.space.settings(trial.params)
    theirs.trainer.device, theirs.trainer.threads = "cuda", 64
    theirs.data.workers, theirs.data.cache, theirs.model.mean = 16, "/theirs", [0.5, 0.5, 0.5]
    folder = tmp_path / results.RUNS / "begun"
    folder.mkdir(parents=True)
    write_text(folder / runs.SETTINGS, theirs.to_yaml())
    assert studies.put_back(found.study, found.study.trials[0])
    found.go()
    assert states(found) == ["COMPLETE"], told(found)
    (used,) = seen
    assert (used.trainer.device, used.trainer.threads, used.data.workers) == ("cpu", 2, 0)
    assert used.data.cache == "auto" and used.model.mean == [0.5, 0.5, 0.5]


def test_an_error_that_is_no_number(search, monkeypatch):
    stand_in(monkeypatch, lambda settings: None if settings.optimiser.lr == 1e-3 else 1.0)
    found = search()
    found.go()
    assert states(found) == ["FAIL", "COMPLETE"]
    assert "failed: mae_input is no number" in told(found)
    assert "another process" not in told(found)


def test_a_database_that_is_away_for_a_moment(search, monkeypatch):
    stand_in(monkeypatch, lambda settings: 1.0)
    found, away = search(), [StorageInternalError("database is locked")]
    tell = found.study.tell

    def once_away(*arguments, **options):
        if away:
            raise away.pop()
        tell(*arguments, **options)

    monkeypatch.setattr(found.study, "tell", once_away)
    found.go()
    assert states(found) == ["COMPLETE", "COMPLETE"]
    assert "did not take the result (database is locked)" in told(found)
    assert "another process" not in told(found)


@pytest.mark.parametrize("end", ["finishes", "fails"])
def test_a_trial_that_another_process_took_up(search, monkeypatch, end):
    found = search("optimiser.lr: {choices: [1e-3]}")
    taken = []

    def do(settings):
        if not taken:
            taken.append(studies.put_back(found.study, found.study.trials[-1]))
            if end == "fails":
                raise RuntimeError("no memory")
        return 1.0

    stand_in(monkeypatch, do)
    found.go()
    assert taken == [True] and states(found) == ["COMPLETE"]
    assert "another process took this trial up and its result counts" in told(found)


def test_a_table_that_cannot_be_written_is_said(search, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    stand_in(monkeypatch, lambda settings: 1.0)
    monkeypatch.setattr(results, "write_csv", refuse)
    found = search()
    assert found.go() == "all trials are done" and states(found) == ["COMPLETE"] * 2
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
    found.go()
    ways = studies.distributions(found.space.parameters)
    found._run(found.study.ask({"optimiser.lr": ways["optimiser.lr"]}))
    assert found.study.trials[-1].state == TrialState.COMPLETE
    assert "same_as" in found.study.trials[-1].user_attrs and len(found.write()) == 2
