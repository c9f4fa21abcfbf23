"""The study behind a sweep: what is shared, drawn, refused. Nothing is trained."""

from __future__ import annotations

import subprocess
import sys

import optuna
import pytest
import yaml
from sqlalchemy.exc import OperationalError

from heatkp.errors import SettingsError
from heatkp.sweeps import study as studies
from heatkp.sweeps.recovery import queue_next_combination
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


def opened(folder, found=None, sqlite=False, url=None):
    if sqlite or url:
        storage = studies.open_storage(url, folder, new=True)
    else:
        storage = SHARED.setdefault(folder, optuna.storages.InMemoryStorage())
    return studies.open_study(storage, "sweep", found or space(), studies.make_pruner("none", 3))


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_draws_depend_on_seed_and_number_alone(tmp_path, sampler):
    """A sweep that goes on does not draw the first trials again; TPE's first ten are random."""
    found = space(
        "optimiser.lr: {low: 1e-4, high: 1e-2, log: true}\nmodel.dropout: {low: 0, high: 0.5}"
    )

    def draw(folder, seed, reopen):
        folder.mkdir()
        study = opened(folder, found)
        drawn = []

        def objective(trial):
            study.sampler = studies.make_sampler(sampler, seed, trial.number)
            drawn.append(found.suggest(trial))
            return drawn[-1]["optimiser.lr"]

        for i in range(14):
            if reopen and i in (2, 12):
                study = opened(folder, found)
            study.optimize(objective, n_trials=1)
        return drawn

    whole = draw(tmp_path / "a", 0, False)
    assert len({params["optimiser.lr"] for params in whole}) == 14
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
    used = []
    for _ in range(2):
        found = space(content)
        study = opened(tmp_path, found, sqlite=True)
        assert queue_next_combination(study, found)
        study.optimize(lambda trial, found=found: used.append(found.suggest(trial)) or 1.0, 1)
    assert used[0] != used[1] and not queue_next_combination(study, found)


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
    real, tries = studies.HeartbeatStorage, []

    def storage(address, **options):
        tries.append(address)
        if len(tries) < 3:
            raise OperationalError("CREATE TABLE trials", {}, Exception("table already exists"))
        return real(address, **options)

    monkeypatch.setattr(studies, "HeartbeatStorage", storage)
    monkeypatch.setattr(studies.time, "sleep", lambda seconds: None)
    studies.open_storage(None, tmp_path, new=True)
    assert len(tries) == 3


def test_importances(tmp_path):
    """The error depends on one parameter and not on the other, or too few trials are there."""
    found = space(CONTENT + "model.dropout: {low: 0, high: 0.9}")
    study = opened(tmp_path, found)
    study.set_user_attr("x", 1)
    ways = found.distributions()
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
    ways = space().distributions()

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
