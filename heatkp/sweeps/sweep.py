"""Run a sweep, or read one: what `heatkp sweep` does, from Python."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

from optuna.exceptions import StorageInternalError
from optuna.trial import TrialState
from rich.console import Console

from heatkp.config import Settings, assign, put, read_yaml
from heatkp.errors import SettingsError
from heatkp.files import reason
from heatkp.models.devices import choose_device
from heatkp.sweeps import PRUNERS, SAMPLERS, default_folder
from heatkp.sweeps.objective import Objective, TimeUp, require_validation
from heatkp.sweeps.recovery import queue_next_combination, requeue_lost, standing_trials
from heatkp.sweeps.results import CSV, SweepResult, read_results
from heatkp.sweeps.space import Space, parse_space
from heatkp.sweeps.space_file import read_space_file
from heatkp.sweeps.study import make_pruner, open_storage, open_study, stored_study

TIME_UP = "the time is up; the same command goes on"


def run_sweep(
    space: str | Path | Mapping[str, Any],
    settings: str | Path | Settings | Mapping[str, Any] | None = None,
    *,
    overrides: Iterable[str] = (),
    trials: int | None = None,
    out: str | Path | None = None,
    sampler: str = "tpe",
    pruner: str | None = None,
    storage: str | None = None,
    seed: int = 0,
    timeout: float | None = None,
    console: Console | None = None,
) -> SweepResult:
    """Train many times over a search space of settings; the same call goes on where it stopped.

    Each trial is a run folder in `out/runs`. Several processes, on one machine or more, share a
    sweep by calling this with the same folder name and `storage`.

    Args:
        space: what varies: a YAML file, or its values, such as
            `{"optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True}}`.
        settings: what does not: a YAML file, or its values, nested or as `section.key`.
        overrides: the same as `section.key=value`, used last; a parameter of the space is refused.
        trials: trainings altogether, earlier ones included; None: all of a grid.
        out: the sweep's folder; None: `sweeps/` and the space file's name.
        sampler: `tpe`, `random`, or `grid` for all combinations in order.
        pruner: `median`, `hyperband` or `none`; None: median, and none for a grid or where
            trials differ in how large an input pixel is.
        storage: the database's URL; None: `sweep.db` in the folder.
        seed: of the sampler; that of the trainings is the setting `trainer.seed`.
        timeout: minutes after which it stops at the end of an epoch.
        console: where progress is printed; None: nowhere.

    Raises:
        SettingsError: for what cannot be, before anything is trained.
        DataError: for data that no trial can use.
        KeyboardInterrupt: with the interrupted trial queued to continue, the table up to date.
    """
    _check_options(trials, sampler, pruner, seed, timeout)
    console = console or Console(quiet=True)
    found = _read_space(space, settings, overrides)
    base, folder = found.settings({}), Path(out) if out else default_folder(space)
    # Before the first trial: each would fail, and a grid be gone through for nothing.
    choose_device(base.trainer.device, "trainer.device")
    require_validation(base)
    grid = sampler == "grid"
    count = sum(1 for _ in found.grid()) if grid else None
    total = min(trials or count, count) if count is not None else trials
    pruning = _pruning(pruner, grid, found)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot make the folder {folder}: {reason(error)}") from None
    study = open_study(
        open_storage(storage, folder, new=True),
        folder.resolve().name,
        found,
        make_pruner(pruning, base.trainer.epochs),
    )
    deadline = None if timeout is None else time.monotonic() + 60 * timeout
    objective = Objective(
        study, found, folder, total, sampler, seed, pruning != "none", deadline, console
    )
    names = ", ".join(found.short_names().values())
    shown = f"{count} combinations" if grid else sampler
    aim = "MAE in image pixels" if found.varies_framing else "validation MAE in input pixels"
    objective.say(
        f"sweep {folder}: {names}; {shown}, {total} trials, pruner {pruning}; smallest {aim}"
    )
    try:
        ended = optimise(objective)
    except StorageInternalError as error:
        raise SettingsError(
            f"the sweep's storage failed ({error}); the same command goes on"
        ) from None
    result = read_results(study, found, folder, ended)
    result.save()
    return result


def load_sweep(folder: str | Path, storage: str | None = None) -> SweepResult:
    """The results of a sweep so far; trains and writes nothing.

    Args:
        folder: the sweep's folder, or where another machine's should be written.
        storage: the database's URL; None: `sweep.db` in the folder.

    Raises:
        SettingsError: where there is no such sweep.
    """
    folder = Path(folder)
    study = stored_study(open_storage(storage, folder, new=False), folder.resolve().name)
    stored: dict[str, Any] = study.user_attrs
    return read_results(study, parse_space(stored["space"], stored["base"], str(folder)), folder)


def optimise(objective: Objective) -> str:
    """Run trials until there are enough; says why it ended.

    Raises `KeyboardInterrupt`, and the `DataError` of data that no trial could use, after the
    trial was queued again.
    """
    lost = requeue_lost(objective.study)
    if lost:
        objective.say(f"{lost} trials were cut off and go on")
    while objective.deadline is None or time.monotonic() <= objective.deadline:
        if not _queued_or_drawn(objective):
            states = [t.state for t in standing_trials(objective.study)]
            running = states.count(TrialState.RUNNING)
            return f"{running} trials still run elsewhere" if running else "all trials are done"
        try:
            objective.run_one()
        except TimeUp:
            break
        finally:
            _update_table(objective)
        requeue_lost(objective.study)
    return TIME_UP


def _queued_or_drawn(objective: Objective) -> bool:
    """Whether another trial is to be run; the next one of a grid is queued."""
    standing = standing_trials(objective.study)
    if any(t.state == TrialState.WAITING for t in standing):
        return True
    if objective.total is not None and len(standing) >= objective.total:
        return False
    return objective.sampler != "grid" or queue_next_combination(objective.study, objective.space)


def _update_table(objective: Objective) -> None:
    """Bring `sweep.csv` up to date, or say why that cannot be."""
    try:
        read_results(objective.study, objective.space, objective.folder).write_csv()
    except OSError as error:  # no result is lost: the study has them
        objective.say(
            f"{objective.folder / CSV} cannot be written: {error.strerror or error}; "
            "the sweep goes on"
        )


def _check_options(
    trials: int | None, sampler: str, pruner: str | None, seed: int, timeout: float | None
) -> None:
    for name, value, allowed in (("sampler", sampler, SAMPLERS), ("pruner", pruner, PRUNERS)):
        if value is not None and value not in allowed:
            raise SettingsError(f"{name} {value!r}: expected {', '.join(allowed)}")
    if trials is None and sampler != "grid":
        raise SettingsError(f"sampler {sampler} goes on for ever: say how long with --trials")
    if (trials is not None and trials < 1) or seed < 0 or (timeout is not None and timeout <= 0):
        raise SettingsError("expected trials of at least 1, a seed from 0 on, a timeout over 0")


def _read_space(
    space: str | Path | Mapping[str, Any],
    settings: str | Path | Settings | Mapping[str, Any] | None,
    overrides: Iterable[str],
) -> Space:
    """Search space and settings, checked. Raises `SettingsError`."""
    given = read_yaml(settings) if isinstance(settings, (str, Path)) else settings or {}
    base: dict[str, Any] = {}
    for key, value in (given.model_dump() if isinstance(given, Settings) else given).items():
        put(base, key, deepcopy(value))
    overrides = list(overrides)
    for override in overrides:
        assign(base, override)
    if isinstance(space, Mapping):
        found = parse_space(space, base)
    else:
        found = parse_space(read_space_file(space), base, str(space))
    varied = {key for parameter in found.parameters for key in parameter.keys}
    for override in overrides:
        key = override.partition("=")[0].strip()
        if key in varied:
            raise SettingsError(f"{key}: {found.source} varies it; leave out one of the two")
    return found


def _pruning(pruner: str | None, grid: bool, space: Space) -> str:
    if pruner not in (None, "none") and space.varies_framing:
        raise SettingsError(
            f"pruner {pruner}: {space.source} varies how large an input pixel is, so the errors of "
            "epochs do not compare between trials; leave it out"
        )
    return pruner or ("none" if grid or space.varies_framing else "median")
