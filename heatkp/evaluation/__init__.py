"""Errors of predicted points: of runs on data (`measure_runs`, `compare_runs`), of arrays
(`heatkp.evaluate`)."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heatkp.evaluation.compare import compare_runs
    from heatkp.evaluation.measure import measure_runs

# Resolved on first use, for the metrics alone need no torch.
_HOMES = {"compare_runs": "compare", "measure_runs": "measure"}

__all__ = ["compare_runs", "measure_runs"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
