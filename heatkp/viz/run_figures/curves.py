"""Curves over the epochs."""

from __future__ import annotations

from pathlib import Path

from heatkp.runs import HISTORY
from heatkp.viz.curves import run_curves
from heatkp.viz.run_figures._base import RunData, figure


@figure("curves")
def curves(data: RunData, path: Path) -> None:
    """Losses, validation error and learning rate."""
    run_curves(data.folder / HISTORY, path)
