"""Scores against how often points were right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from matplotlib.figure import Figure

from heatkp.evaluation.metrics import Reliability
from heatkp.viz.canvas import plain, save


def reliability_plot(
    several: Mapping[str, Reliability], path: Path, radius: float | None = None
) -> None:
    """Groups of points by their score, the fraction of each that was right over its mean score.

    Args:
        several: what the legend calls them, such as before and after calibration.
        path: a PNG file.
        radius: input pixels within which a point was right, for the axis.
    """
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axis = figure.subplots()
    axis.plot([0, 1], [0, 1], color="0.7", linewidth=1, linestyle="--")
    lowest = 1.0
    for name, one in several.items():
        axis.plot(one.scores, one.right, marker="o", markersize=4, linewidth=1.2,
                  label=f"{plain(name)}: {one.error:.3f} apart on average")  # fmt: skip
        lowest = min(lowest, float(one.scores.min()), float(one.right.min()))
    start = max(0.0, lowest - 0.03)
    axis.set(xlim=(start, 1.005), ylim=(start, 1.005), aspect="equal")
    within = "" if radius is None else f" within {radius:g} px of the input"
    axis.set_xlabel("mean score", fontsize=9)
    axis.set_ylabel(f"fraction of points{within}", fontsize=9)
    axis.tick_params(labelsize=8)
    axis.legend(fontsize=8, loc="upper left", frameon=False)
    save(figure, path)
