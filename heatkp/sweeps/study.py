"""The Optuna study of a sweep: storage, samplers, pruners, trials that were cut off."""

from __future__ import annotations

import os
import platform
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning, OptunaError
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DBAPIError, IntegrityError

from heatkp.config import Settings, parse_settings
from heatkp.errors import HeatkpError, SettingsError
from heatkp.sweeps.space import Choice, Parameter, Space

FILE = "sweep.db"
BEAT = 60.0
"""Seconds between the signs of life of a running trial."""
STALE = 600.0
"""Seconds without one after which another process takes a trial up."""
OPENINGS = 10
"""Times that a new database is tried again while others make its tables."""
MACHINE_KEYS = (
    "trainer.device", "trainer.threads", "data.workers", "data.cache", "data.cache_mb",
)  # fmt: skip
"""Settings that may differ between the machines of one sweep."""

optuna.logging.set_verbosity(optuna.logging.WARNING)


@contextmanager
def _storage_errors(where: str) -> Iterator[None]:
    """What Optuna and the database driver raise, as `SettingsError`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    except HeatkpError:
        raise
    except ImportError as error:
        raise SettingsError(f"{where}: the database's driver is missing: {error}") from None
    except Exception as error:  # each driver has errors of its own
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise SettingsError(
            f"{where} cannot be used: {reason}; give a URL such as sqlite:///sweep.db or "
            "postgresql://user@host/name"
        ) from None


def open_storage(url: str | None, folder: Path, new: bool) -> BaseStorage:
    """The database that a URL names, or the SQLite file of the sweep's folder.

    Raises `SettingsError` for one that cannot be used, or where `new` is false and the folder
    has none.
    """
    path = folder / FILE
    if url is None and not new and not path.is_file():
        raise SettingsError(f"{folder} is no sweep: it has no {FILE} (or name its --storage)")
    shown = str(path) if url is None else f"--storage {url.partition('://')[0]}://..."
    with _storage_errors(shown):
        address = url or f"sqlite:///{path}"
        # Several processes write in turns: wait for a locked file.
        options = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else None
        for _ in range(OPENINGS):
            try:
                return RDBStorage(address, engine_kwargs=options)
            except DBAPIError as error:
                # Another machine began at the same moment and made the same table or row.
                if "already exists" not in str(error) and not isinstance(error, IntegrityError):
                    raise
                time.sleep(1.0)
        return RDBStorage(address, engine_kwargs=options)


def distributions(parameters: Sequence[Parameter]) -> dict[str, BaseDistribution]:
    """Optuna's form of a space; options of a choice go by their labels."""
    found: dict[str, BaseDistribution] = {}
    for p in parameters:
        if isinstance(p, Choice):
            found[p.name] = CategoricalDistribution(tuple(p.options))
        elif p.whole:
            found[p.name] = IntDistribution(
                int(p.low), int(p.high), log=p.log, step=int(p.step or 1)
            )
        else:
            found[p.name] = FloatDistribution(p.low, p.high, log=p.log, step=p.step)
    return found


class SeededByTrial(BaseSampler):
    """A sampler whose draws depend on the seed and the trial's number alone.

    With one generator for a process, a sweep that goes on, and each further machine, would
    draw the first trials again.
    """

    def __init__(self, make: Callable[[int], BaseSampler], seed: int) -> None:
        self._make, self._seed = make, seed
        self._inner = make(seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        state = np.random.SeedSequence((self._seed, trial.number)).generate_state(1)
        self._inner = self._make(int(state[0]))
        self._inner.before_trial(study, trial)

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        return self._inner.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        return self._inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        return self._inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self,
        study: Study,
        trial: FrozenTrial,
        state: TrialState,
        values: Sequence[float] | None,
    ) -> None:
        self._inner.after_trial(study, trial, state, values)


def make_sampler(name: str, seed: int) -> BaseSampler:
    """`tpe` or `random`; a grid is queued, and needs no sampler."""

    def make(seed: int) -> BaseSampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            # Trials that run elsewhere count as bad, so that machines do not all try the same.
            return TPESampler(seed=seed, constant_liar=True)

    return SeededByTrial(make if name == "tpe" else RandomSampler, seed)


def make_pruner(name: str, epochs: int) -> BasePruner:
    """`median` (from the fifth trial and a quarter of the epochs on), `hyperband` or `none`."""
    if name == "median":
        return MedianPruner(n_startup_trials=5, n_warmup_steps=epochs // 4)
    if name == "hyperband":
        return HyperbandPruner(min_resource=max(1, epochs // 9), max_resource=epochs)
    return NopPruner()


def _flat(values: Mapping[str, Any], before: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            found |= _flat(value, f"{before}{key}.")
        else:
            found[f"{before}{key}"] = value
    return found


def _differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    one, two = _flat(there), _flat(here)
    keys = [k for k in dict.fromkeys([*one, *two]) if one.get(k) != two.get(k)]
    return [
        f"{k}: {one.get(k, 'not there')!r} there, {two.get(k, 'not there')!r} now" for k in keys
    ]


def _own(settings: Settings) -> dict[str, Any]:
    flat = _flat(settings.model_dump())
    return {k: v for k, v in flat.items() if k not in MACHINE_KEYS}


def machine_settings(settings: Settings) -> dict[str, Any]:
    """Those of `MACHINE_KEYS`, by `section.key`."""
    flat = _flat(settings.model_dump())
    return {k: flat[k] for k in MACHINE_KEYS}


def open_study(
    storage: BaseStorage, name: str, space: Space, sampler: BaseSampler, pruner: BasePruner
) -> Study:
    """The study of a sweep, new or as it was left.

    Raises `SettingsError` where it was begun with another space or other settings.
    """
    with _storage_errors("the sweep's storage"):
        try:
            study = optuna.create_study(
                storage=storage, study_name=name, sampler=sampler, pruner=pruner
            )
        except DuplicatedStudyError:
            study = optuna.load_study(
                storage=storage, study_name=name, sampler=sampler, pruner=pruner
            )
        stored = study.user_attrs
        if "base" not in stored:
            study.set_user_attr("space", space.content)
            study.set_user_attr("base", space.base)
            return study
    differing = _differences(stored["space"], space.content)
    # Through the settings of this version, so that defaults which it adds are no difference.
    differing += _differences(_own(parse_settings(stored["base"])), _own(space.settings({})))
    if differing:
        lines = "\n  ".join(differing[:8])
        raise SettingsError(
            f"the sweep {name!r} was begun with another space or other settings:\n  {lines}\n"
            "choose another --out, or go on with the same"
        )
    return study


def stored_study(storage: BaseStorage, name: str) -> Study:
    """A sweep that is there. Raises `SettingsError` where it is not."""
    with _storage_errors("the sweep's storage"):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            raise SettingsError(
                f"there is no sweep {name!r} in that storage; there are: {', '.join(names) or '-'}"
            )
        study = optuna.load_study(storage=storage, study_name=name)
        if "base" not in study.user_attrs:
            raise SettingsError(f"the study {name!r} in that storage was not made by heatkp sweep")
        return study


def trials(study: Study) -> list[FrozenTrial]:
    """The trials that stand: all but those that were dropped or are continued by another."""
    every = study.get_trials(deepcopy=False)
    continued = {t.user_attrs.get("continues") for t in every}
    return [t for t in every if t.number not in continued and not _dropped(t)]


def _dropped(trial: FrozenTrial) -> bool:
    """Failed without a reason: a twin, or its process died before it could put it back."""
    return trial.state == TrialState.FAIL and "reason" not in trial.user_attrs


def _queue(
    study: Study,
    params: dict[str, Any],
    ways: dict[str, BaseDistribution],
    attrs: dict[str, Any],
    intermediate: dict[int, float] | None = None,
) -> None:
    study.add_trial(
        optuna.create_trial(
            state=TrialState.WAITING,
            params=params,
            distributions=ways,
            user_attrs=attrs,
            intermediate_values=intermediate,
        )
    )


def next_trial(study: Study, space: Space, grid: bool) -> Trial | None:
    """A trial to run: one that was put back, else the next of the grid (None after its last)
    or a new one of the sampler."""
    ways = distributions(space.parameters)
    while True:
        standing = trials(study)
        if grid and not any(t.state == TrialState.WAITING for t in standing):
            used = [t.params for t in standing]
            left = next((c for c in space.grid() if c not in used), None)
            if left is None:
                return None
            _queue(study, left, ways, {"grid": True})
        trial = study.ask(ways)
        if not grid or trial.user_attrs.get("grid"):
            twins = [t for t in trials(study) if grid and t.params == trial.params]
            if all(t.number >= trial.number for t in twins):
                return trial
        # Another machine took what was in the queue, or queued the same.
        study.tell(trial, state=TrialState.FAIL)


def put_back(study: Study, trial: FrozenTrial) -> bool:
    """Give a trial that was cut off to whoever asks next, with its run folder and its errors so
    far; False where another process was faster."""
    try:
        study.tell(trial.number, state=TrialState.FAIL)
    except (ValueError, OptunaError):  # finished, or taken up
        return False
    attrs = {k: v for k, v in trial.user_attrs.items() if k not in ("alive", "process")}
    attrs["continues"] = trial.number
    _queue(study, trial.params, trial.distributions, attrs, dict(trial.intermediate_values))
    return True


def take_up_lost(study: Study) -> int:
    """Put back the running trials whose process is dead; gives their number."""
    running = study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
    return sum(put_back(study, t) for t in running if _is_lost(t))


def _is_lost(trial: FrozenTrial) -> bool:
    """Asked between the trials of this process, so one that bears its number is an old one."""
    machine, pid = trial.user_attrs.get("process", [None, 0])
    if machine == platform.node() and os.name == "posix":
        try:
            if pid == os.getpid():
                return True
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
    begun = trial.datetime_start.timestamp() if trial.datetime_start else 0.0
    return time.time() - trial.user_attrs.get("alive", begun) > STALE


class SignsOfLife:
    """Marks a trial as running in this process, and as alive every minute while it does."""

    def __init__(self, trial: Trial) -> None:
        self._trial = trial
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def _beat(self) -> None:
        while not self._over.wait(BEAT):
            try:
                self._trial.set_user_attr("alive", time.time())
            except Exception:  # the database may be away for a while
                continue

    def __enter__(self) -> SignsOfLife:
        self._trial.set_user_attr("process", [platform.node(), os.getpid()])
        self._trial.set_user_attr("alive", time.time())
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
