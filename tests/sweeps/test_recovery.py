"""Trials that were cut off and the queue, on one machine and between several."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from datetime import datetime, timedelta

import optuna
import pytest
import sqlalchemy
import yaml
from optuna.trial import TrialState

from heatkp.sweeps import recovery
from heatkp.sweeps import study as studies
from heatkp.sweeps.recovery import requeue, requeue_lost, standing_trials
from heatkp.sweeps.space import parse_space

CONTENT = """
optimiser.lr: {choices: [1e-2, 1e-3, 1e-4]}
trainer.batch_size: {low: 2, high: 4, step: 2}
"""
SPACE = parse_space(yaml.safe_load(CONTENT), {"trainer": {"epochs": 3}}, "space.yaml")
DEAD = 2**22 + 12345
"""Above Linux's largest process number."""
HERE = platform.node()


@pytest.fixture
def memory():
    return studies.open_study(
        optuna.storages.InMemoryStorage(), "sweep", SPACE, studies.make_pruner("none", 3)
    )


def on_disk(folder):
    storage = studies.open_storage(None, folder, new=True)
    return studies.open_study(storage, "sweep", SPACE, studies.make_pruner("none", 3))


def begin(study, **attrs):
    """A running trial that was never heard of again."""
    params = next(SPACE.grid())
    study.add_trial(
        optuna.create_trial(
            state=TrialState.RUNNING, params=params, distributions=SPACE.distributions(),
            user_attrs={"run": "a", **attrs}, intermediate_values={0: 5.0},
        )
    )  # fmt: skip
    return study.trials[-1]


def heartbeat(study, trial, age):
    """A heartbeat of so many seconds ago, by the database's clock."""
    backend = study._storage._backend
    backend.record_heartbeat(trial._trial_id)
    with backend.engine.begin() as connection:
        at = connection.execute(sqlalchemy.select(sqlalchemy.func.now())).scalar()
        connection.execute(
            sqlalchemy.text("UPDATE trial_heartbeats SET heartbeat = :at WHERE trial_id = :id"),
            {"at": at - timedelta(seconds=age), "id": trial._trial_id},
        )


def test_a_trial_of_a_killed_process_goes_on_with_its_run_and_errors(tmp_path):
    """At once, whatever its heartbeat, and once."""
    trial = begin(on_disk(tmp_path), process=[HERE, DEAD], grid=True)
    study = on_disk(tmp_path)
    heartbeat(study, trial, 0)
    assert requeue_lost(study) == 1 and requeue_lost(study) == 1 and len(study.trials) == 2
    (standing,) = standing_trials(study)
    assert standing.state == TrialState.WAITING and standing.params == trial.params
    seen = []

    def objective(taken):
        seen.append((SPACE.suggest(taken), taken.user_attrs, study.trials[-1].intermediate_values))
        return 3.0

    study.optimize(objective, n_trials=1)
    assert seen == [(trial.params, {"run": "a", "grid": True}, {0: 5.0})]
    assert [t.value for t in standing_trials(study)] == [3.0] and requeue_lost(study) == 0


@pytest.mark.parametrize(
    ("process", "age", "lost"),
    [
        ([HERE, os.getppid()], 0, False),
        ([HERE, os.getpid()], 0, True),  # our number, but not ours: none runs here
        (["elsewhere", DEAD], 0, False),
        (["elsewhere", DEAD], recovery.GRACE_PERIOD - 60, False),
        (["elsewhere", DEAD], recovery.GRACE_PERIOD + 60, True),
        ([HERE, os.getppid()], recovery.GRACE_PERIOD + 60, True),  # a number used again
    ],
)
def test_which_trials_are_lost(tmp_path, process, age, lost):
    study = on_disk(tmp_path)
    heartbeat(study, begin(study, process=process), age)
    assert requeue_lost(study) == lost
    assert [t.state.name for t in standing_trials(study)] == ["WAITING" if lost else "RUNNING"]
    assert standing_trials(study)[0].user_attrs["run"] == "a"


def test_heartbeats_while_a_trial_runs(tmp_path, monkeypatch):
    """They are recorded, and a database that is away for one does not end them."""
    monkeypatch.setattr(recovery, "HEARTBEAT_INTERVAL", 1)
    real, tries = optuna.storages.RDBStorage.record_heartbeat, []

    def record(self, trial_id):
        tries.append(trial_id)
        if len(tries) == 1:
            raise sqlalchemy.exc.OperationalError("UPDATE", {}, Exception("database is locked"))
        real(self, trial_id)

    monkeypatch.setattr(optuna.storages.RDBStorage, "record_heartbeat", record)
    study = on_disk(tmp_path)

    def objective(trial):
        until = time.monotonic() + 30
        while len(tries) < 3 and time.monotonic() < until:
            time.sleep(0.02)
        return 1.0

    study.optimize(objective, n_trials=1)
    engine = study._storage._backend.engine
    with engine.connect() as connection:
        count = connection.execute(
            sqlalchemy.text("SELECT COUNT(*) FROM trial_heartbeats")
        ).scalar()
    assert len(tries) >= 3 and count == 1


@pytest.mark.parametrize(("age", "lost"), [(0, False), (recovery.GRACE_PERIOD + 60, True)])
@pytest.mark.parametrize("attrs", [{}, {"process": ["elsewhere", 1], "alive": 0.0}])
def test_trials_without_a_heartbeat(memory, monkeypatch, attrs, age, lost):
    """Killed before the first one, or stored by an earlier version, with the time in `alive`."""
    trial = begin(memory, **{k: time.time() - age if k == "alive" else v for k, v in attrs.items()})
    trial.datetime_start = datetime.now() - timedelta(seconds=age)
    monkeypatch.setattr(memory, "get_trials", lambda **_: [trial])
    assert recovery._process_is_dead(memory.get_trials()[0]) == lost


def test_continuations_of_an_earlier_version_stand_for_what_they_continue(memory):
    begun = begin(memory, process=["elsewhere", 1])
    memory.tell(begun.number, state=TrialState.FAIL)
    begin(memory, process=["elsewhere", 1], **{"continues": begun.number})
    assert [t.number for t in standing_trials(memory)] == [1]
    assert requeue(memory, memory.trials[1]) and [t.number for t in standing_trials(memory)] == [2]


def test_only_one_process_takes_a_trial_up(memory):
    trial = begin(memory, process=[HERE, DEAD])
    assert requeue(memory, trial) and not requeue(memory, trial)
    assert not requeue(memory, memory.trials[0])  # failed by now, and continued
    assert len(memory.trials) == 2


def grid_worker(study):
    """`begin()` gives the next combination that this worker trains, or None."""

    def begin():
        if not any(t.state == TrialState.WAITING for t in standing_trials(study)) and not (
            recovery.queue_next_combination(study, SPACE)
        ):
            return None
        trial = study.ask(SPACE.distributions())
        if recovery.is_superfluous(study, trial):
            study.tell(trial, state=TrialState.FAIL)
            return begin()
        return trial

    return begin


def test_a_grid_is_gone_through_once(memory):
    """By two processes in turns, one trial dropped on the way, one cut off."""
    workers = [grid_worker(memory), grid_worker(memory)]
    done = []
    for i in range(20):
        trial = workers[i % 2]()
        if trial is None:
            break
        if i == 1:
            requeue(memory, next(t for t in memory.trials if t.number == trial.number))
        elif i == 2:
            memory.tell(trial, state=TrialState.FAIL)  # without a reason
        else:
            done.append(trial.params)
            memory.tell(trial, 1.0)
    expected = list(SPACE.grid())
    assert len(done) == 6 and all(c in done for c in expected)
    assert len(standing_trials(memory)) == 6


def test_what_another_machine_queued_is_not_run_twice(memory):
    """Both queue the first combination before either begins it."""
    combinations = list(SPACE.grid())
    for _ in range(2):
        memory.add_trial(
            optuna.create_trial(
                state=TrialState.WAITING, params=combinations[0], user_attrs={"grid": True},
                distributions=SPACE.distributions(),
            )
        )  # fmt: skip
    worker = grid_worker(memory)
    assert [worker().params for _ in range(2)] == combinations[:2]


KILLED = """
import os, signal, sys
from pathlib import Path
from tests.sweeps.test_recovery import on_disk, SPACE
from heatkp.sweeps.recovery import mark_process
def objective(trial):
    mark_process(trial)
    SPACE.suggest(trial)
    os.kill(os.getpid(), signal.SIGKILL)
on_disk(Path(sys.argv[1])).optimize(objective, n_trials=1)
"""


def test_a_process_that_is_killed(tmp_path, root):
    subprocess.run([sys.executable, "-c", KILLED, tmp_path], cwd=root, check=False)
    study = on_disk(tmp_path)
    assert [t.state for t in study.trials] == [TrialState.RUNNING]
    assert requeue_lost(study) == 1
