"""The cumulative error curve."""

from __future__ import annotations

from pathlib import Path

from heatkp.viz import figures
from heatkp.viz.run_figures._base import RunData, figure


@figure("error_curve", validation=True)
def error_curve(data: RunData, path: Path) -> None:
    """The fraction of images whose mean error is below each level."""
    if data.errors is not None:
        figures.error_curve(data.errors, data.skeleton, path)
