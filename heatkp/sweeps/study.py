"""The Optuna study of a sweep: storage, samplers, pruners."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.exceptions import DuplicatedStudyError, ExperimentalWarning
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, NopPruner
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.study import Study
from sqlalchemy.exc import DBAPIError, IntegrityError

from heatkp.config import Settings, parse_settings
from heatkp.errors import HeatkpError, SettingsError
from heatkp.sweeps.recovery import HeartbeatStorage
from heatkp.sweeps.space import Space

FILE = "sweep.db"
OPENINGS = 10
"""Times that a new database is tried again while others make its tables."""
MACHINE_KEYS = (
    "trainer.device", "trainer.threads", "data.workers", "data.cache", "data.cache_mb",
)  # fmt: skip
"""Settings that may differ between the machines of one sweep."""


@contextmanager
def quiet_optuna() -> Iterator[None]:
    """Optuna's own lines and its warnings about experimental parts held back."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """What Optuna and the database driver raise, as `SettingsError`."""
    try:
        with quiet_optuna():
            yield
    except HeatkpError:
        raise
    except ImportError as error:
        missing = error.__cause__ or error  # Optuna's own does not say which
        raise SettingsError(
            f"{where}: the database's driver is missing ({missing}); install it, or name another, "
            "as in postgresql+psycopg2://"
        ) from None
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
    with storage_errors(shown):
        address = url or f"sqlite:///{path}"
        # Several processes write in turns: wait for a locked file.
        options = {"connect_args": {"timeout": 60}} if address.startswith("sqlite") else None
        for _ in range(OPENINGS):
            try:
                return HeartbeatStorage(address, engine_kwargs=options)
            except DBAPIError as error:
                # Another machine began at the same moment and made the same table or row.
                if "already exists" not in str(error) and not isinstance(error, IntegrityError):
                    raise
                time.sleep(1.0)
        return HeartbeatStorage(address, engine_kwargs=options)


def make_sampler(name: str, seed: int, number: int) -> BaseSampler:
    """`tpe` or `random`, for the draws of one trial (of a grid, which is queued, they are none).

    They depend on the seed and the trial's number alone. With one generator for a process, a
    sweep that goes on, and each further machine, would draw the first trials again.
    """
    own = int(np.random.SeedSequence((seed, number)).generate_state(1)[0])
    if name != "tpe":
        return RandomSampler(own)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Trials that run elsewhere count as bad, so that machines do not all try the same.
        return TPESampler(seed=own, constant_liar=True)


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


def open_study(storage: BaseStorage, name: str, space: Space, pruner: BasePruner) -> Study:
    """The study of a sweep, new or as it was left.

    Raises `SettingsError` where it was begun with another space or other settings.
    """
    with storage_errors("the sweep's storage"):
        try:
            study = optuna.create_study(storage=storage, study_name=name, pruner=pruner)
        except DuplicatedStudyError:
            study = optuna.load_study(storage=storage, study_name=name, pruner=pruner)
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
    with storage_errors("the sweep's storage"):
        names = optuna.get_all_study_names(storage)
        if name not in names:
            raise SettingsError(
                f"there is no sweep {name!r} in that storage; there are: {', '.join(names) or '-'}"
            )
        study = optuna.load_study(storage=storage, study_name=name)
        if "base" not in study.user_attrs:
            raise SettingsError(f"the study {name!r} in that storage was not made by heatkp sweep")
        return study
