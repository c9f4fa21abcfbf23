"""Sweeps: many trainings over a search space of settings, shared and resumed through an Optuna
study.

>>> import heatkp.sweeps
>>> found = heatkp.sweeps.run_sweep(  # doctest: +SKIP
...     {"optimiser.lr": {"low": 1e-4, "high": 1e-2, "log": True}},
...     {"head.name": "kl", "trainer.epochs": 5},
...     trials=20,
... )
>>> found.best.parameters, found.best.value  # doctest: +SKIP
"""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heatkp.errors import SettingsError

if TYPE_CHECKING:
    from heatkp.sweeps.results import SweepResult, TrialResult
    from heatkp.sweeps.sweep import load_sweep, run_sweep

SAMPLERS = ("tpe", "random", "grid")
PRUNERS = ("median", "hyperband", "none")

# Resolved on first use: the command line reads the names above and starts without torch.
_HOMES = {
    "SweepResult": "heatkp.sweeps.results",
    "TrialResult": "heatkp.sweeps.results",
    "load_sweep": "heatkp.sweeps.sweep",
    "run_sweep": "heatkp.sweeps.sweep",
}

__all__ = [
    "PRUNERS",
    "SAMPLERS",
    "SweepResult",
    "TrialResult",
    "default_folder",
    "load_sweep",
    "run_sweep",
]


def default_folder(space: str | Path | Mapping[str, Any]) -> Path:
    """`sweeps/` and the space file's name."""
    return Path("sweeps") / ("sweep" if isinstance(space, Mapping) else Path(space).stem)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        if importlib.util.find_spec("optuna") is None:
            raise SettingsError("sweeps need Optuna: pip install 'heatkp[sweep]'")
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'heatkp.sweeps' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
