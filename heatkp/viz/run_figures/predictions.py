"""The best and the worst predictions."""

from __future__ import annotations

from pathlib import Path

from heatkp.viz import figures
from heatkp.viz.run_figures._base import RunData, figure


@figure("predictions")
def predictions(data: RunData, path: Path) -> None:
    """Truth and prediction of the samples with the smallest and the largest errors."""
    what = "Validation" if data.validated else "Training samples"
    if data.errors is not None:
        figures.predictions(data.errors, data.samples, path, what=what)
