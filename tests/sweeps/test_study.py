"""The study behind a sweep: what is taken up again, shared, refused. Nothing is trained."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time

import optuna
import pytest
import yaml
from optuna.trial import TrialState
from sqlalchemy.exc import OperationalError

from heatkp.errors import SettingsError
from heatkp.sweeps import study as studies
from heatkp.sweeps.results import importances
from heatkp.sweeps.space import parse_space

BASE = {"trainer": {"epochs": 3}}
CONTENT = """
optimiser.lr: {choices: [1e-2, 1e-3, 1e-4]}
trainer.batch_size: {low: 2, high: 4, step: 2}
"""


def space(content=CONTENT, base=BASE):
    return parse_space(yaml.safe_load(content), base, "space.yaml")


SHARED: dict = {}
"""A storage in memory for each folder: SQLite writes its files with care, and so slowly."""


def opened(folder, found=None, sampler="random", seed=0, sqlite=False, url=None):
    if sqlite or url:
        storage = studies.open_storage(url, folder, new=True)
    else:
        storage = SHARED.setdefault(folder, optuna.storages.InMemoryStorage())
    return studies.open_study(
        storage,
        "sweep",
        found or space(),
        studies.make_sampler(sampler, seed),
        studies.make_pruner("none", 3),
    )


DEAD = 2**22 + 12345
"""Above Linux's largest process number."""


def begin(study, found, process=None, alive=None):
    trial = studies.next_trial(study, found, False)
    trial.set_user_attr("run", "a")
    trial.set_user_attr("process", list(process or (platform.node(), DEAD)))
    trial.set_user_attr("alive", time.time() if alive is None else alive)
    return trial


def test_a_dead_trial_is_taken_up_with_its_run_and_errors(tmp_path):
    found = space()
    first = opened(tmp_path, sqlite=True)
    trial = begin(first, found)
    trial.report(5.0, 0)
    again = opened(tmp_path, sqlite=True)
    assert studies.take_up_lost(again) == 1 and studies.take_up_lost(again) == 0
    (standing,) = studies.trials(again)
    assert standing.state == TrialState.WAITING and standing.params == trial.params
    taken = studies.next_trial(again, found, False)
    assert taken.params == trial.params and taken.user_attrs["run"] == "a"
    assert again.trials[taken.number].intermediate_values == {0: 5.0}
    again.tell(taken, 3.0)
    assert [t.value for t in studies.trials(again)] == [3.0]


@pytest.mark.parametrize(
    ("process", "age", "lost"),
    [
        ((platform.node(), os.getppid()), 0, False),
        ((platform.node(), os.getpid()), 0, True),  # our number, but not ours: none runs here
        ((platform.node(), DEAD), 0, True),
        (("elsewhere", DEAD), 0, False),
        (("elsewhere", DEAD), studies.STALE + 5, True),
        ((platform.node(), os.getppid()), studies.STALE + 5, True),  # a number used again
    ],
)
def test_which_trials_are_lost(tmp_path, process, age, lost):
    study = opened(tmp_path)
    begin(study, space(), process=process, alive=time.time() - age)
    assert studies.take_up_lost(study) == lost


def test_only_one_process_takes_a_trial_up(tmp_path):
    study = opened(tmp_path)
    begin(study, space())
    (trial,) = study.trials
    assert studies.put_back(study, trial) and not studies.put_back(opened(tmp_path), trial)
    assert len(studies.trials(study)) == 1


def test_a_grid_is_gone_through_once(tmp_path):
    """By two processes in turns, one trial dropped on the way, one cut off."""
    found = space()
    workers = [opened(tmp_path), opened(tmp_path)]
    done = []
    for i in range(20):
        trial = studies.next_trial(workers[i % 2], found, True)
        if trial is None:
            break
        if i == 1:
            frozen = next(t for t in workers[1].trials if t.number == trial.number)
            studies.put_back(workers[1], frozen)
        elif i == 2:
            workers[0].tell(trial, state=TrialState.FAIL)  # without a reason
        else:
            done.append(trial.params)
            workers[i % 2].tell(trial, 1.0)
    expected = list(found.grid())
    assert len(done) == 6 and all(c in done for c in expected)
    assert len(studies.trials(workers[0])) == 6


def test_what_another_machine_queued_is_not_run_twice(tmp_path, monkeypatch):
    """Both queue the first combination before either begins it."""
    found, study = space(), opened(tmp_path)
    first = next(found.grid())
    for _ in range(2):
        studies._queue(study, first, studies.distributions(found.parameters), {"grid": True})
    one, two = (studies.next_trial(study, found, True) for _ in range(2))
    assert one.params == first and two.params == list(found.grid())[1]


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_depend_on_seed_and_number_alone(tmp_path, sampler):
    """A sweep that goes on does not draw the first trials again."""
    found = space("optimiser.lr: {low: 1e-4, high: 1e-2, log: true}")

    def draw(folder, seed, reopen):
        folder.mkdir()
        study = opened(folder, found, sampler, seed)
        rates = []
        for i in range(4):
            if reopen and i == 2:
                study = opened(folder, found, sampler, seed)
            trial = studies.next_trial(study, found, False)
            rates.append(trial.params["optimiser.lr"])
            study.tell(trial, rates[-1])
        return rates

    whole = draw(tmp_path / "a", 0, False)
    assert len(set(whole)) == 4
    assert draw(tmp_path / "b", 0, True) == whole
    assert draw(tmp_path / "c", 1, False) != whole


def test_another_space_or_other_settings_are_refused(tmp_path):
    opened(tmp_path)
    opened(tmp_path, space(base={"trainer": {"epochs": 3, "threads": 1}}))  # the machine's own
    with pytest.raises(SettingsError) as error:
        opened(tmp_path, space(base={"trainer": {"epochs": 4}}))
    assert "trainer.epochs: 3 there, 4 now" in str(error.value)
    with pytest.raises(SettingsError) as error:
        opened(tmp_path, space(CONTENT.replace("1e-4", "1e-5")))
    assert "optimiser.lr.choices: [0.01, 0.001, 0.0001] there" in str(error.value)
    assert "--out" in str(error.value)


def test_names_that_json_has_otherwise(tmp_path):
    """A key that YAML read as a boolean is text in the database; so is a number."""
    content = "switch:\n  variants: {on: {data.grey: true}, 3: {data.grey: false}}"
    first = opened(tmp_path, space(content), sqlite=True)
    trial = studies.next_trial(first, space(content), True)
    first.tell(trial, 1.0)
    again = opened(tmp_path, space(content), sqlite=True)
    assert studies.next_trial(again, space(content), True).params != trial.params


def test_storages_that_cannot_be_used(tmp_path):
    for url, words in [
        ("nonsense", "cannot be used"),
        ("mssql+pymssql://me:secret@nowhere/x", "driver is missing"),
        (f"sqlite:///{tmp_path}/no/such/folder.db", "cannot be used"),
    ]:
        with pytest.raises(SettingsError) as error:
            opened(tmp_path, url=url)
        assert words in str(error.value) and "secret" not in str(error.value)
    (tmp_path / "sweep.db").write_bytes(b"not a database" * 100)
    with pytest.raises(SettingsError, match="cannot be used"):
        opened(tmp_path, sqlite=True)
    with pytest.raises(SettingsError, match="is no sweep"):
        studies.open_storage(None, tmp_path / "none", new=False)


def test_machines_that_begin_at_the_same_moment(tmp_path):
    """Each finds no tables and makes them: all but one find that they are there by now."""
    code = (
        "import sys\nfrom pathlib import Path\nfrom heatkp.sweeps import study\n"
        "print('ready', flush=True)\nsys.stdin.readline()\n"
        "study.open_storage(sys.argv[1], Path('.'), new=True)"
    )
    url = f"sqlite:///{tmp_path}/shared.db"
    machines = [
        subprocess.Popen(
            [sys.executable, "-c", code, url], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True,
        )
        for _ in range(3)
    ]  # fmt: skip
    for machine in machines:
        assert machine.stdout.readline() == "ready\n"
    for machine in machines:
        machine.stdin.write("\n")
        machine.stdin.flush()
    for machine in machines:
        _, told = machine.communicate(timeout=120)
        assert machine.returncode == 0, told


def test_tables_that_another_machine_has_just_made(tmp_path, monkeypatch):
    real, tries = studies.RDBStorage, []

    def storage(address, **options):
        tries.append(address)
        if len(tries) < 3:
            raise OperationalError("CREATE TABLE trials", {}, Exception("table already exists"))
        return real(address, **options)

    monkeypatch.setattr(studies, "RDBStorage", storage)
    monkeypatch.setattr(studies.time, "sleep", lambda seconds: None)
    studies.open_storage(None, tmp_path, new=True)
    assert len(tries) == 3


def test_importances(tmp_path):
    """The error depends on one parameter and not on the other, or too few trials are there."""
    found = space(CONTENT + "model.dropout: {low: 0, high: 0.9}")
    study = opened(tmp_path, found, "random")
    study.set_user_attr("x", 1)
    ways = studies.distributions(found.parameters)
    for i in range(40):
        if i == 6:
            values, note = importances(study)
            assert values == {} and "6 trials are finished" in note
        trial = study.ask(ways)
        study.tell(trial, 100 * float(trial.params["optimiser.lr"]) + 0.01)
    values, note = importances(study)
    assert next(iter(values)) == "optimiser.lr" and values["optimiser.lr"] > 0.9
    assert sum(values.values()) == pytest.approx(1) and "40 finished" in note


def test_repeats_do_not_count_in_importances(tmp_path):
    study = opened(tmp_path)
    ways = studies.distributions(space().parameters)

    def add(params, **attrs):
        value = 1.0 + float(params["optimiser.lr"]) * params["trainer.batch_size"]
        study.add_trial(
            optuna.create_trial(params=params, distributions=ways, value=value, user_attrs=attrs)
        )

    combinations = list(space().grid())
    for params in [*combinations, *combinations]:
        add(params)
    before = importances(study)
    assert before[0]
    for _ in range(40):
        add(combinations[0], same_as=0)
    assert importances(study) == before


def test_pruners():
    assert isinstance(studies.make_pruner("hyperband", 27), optuna.pruners.HyperbandPruner)
    study = optuna.create_study(pruner=studies.make_pruner("median", 8))
    for value in [1.0] * 5 + [2.0]:
        trial = study.ask()
        for epoch in range(4):
            trial.report(value, epoch)
        assert trial.should_prune() == (value == 2.0)
        if value == 1.0:
            study.tell(trial, value)
