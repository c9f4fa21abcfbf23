"""Errors of predicted points: of runs on data (`measure_runs`), of arrays (`heatkp.evaluate`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heatkp.evaluation.measure import measure_runs

__all__ = ["measure_runs"]


def __getattr__(name: str) -> Any:
    if name == "measure_runs":  # on first use: the metrics alone need no torch
        from heatkp.evaluation.measure import measure_runs

        return measure_runs
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
