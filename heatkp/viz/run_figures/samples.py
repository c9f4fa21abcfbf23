"""Augmented training samples."""

from __future__ import annotations

from pathlib import Path

from heatkp.viz import figures
from heatkp.viz.run_figures._base import RunData, figure


@figure("samples", when="begin")
def samples(data: RunData, path: Path) -> None:
    """Training samples as the network sees them."""
    figures.training_samples(data.samples, path)
