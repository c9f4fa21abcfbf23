"""Figures of a sweep: the curves of all runs, and which settings mattered."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from heatkp.viz.canvas import PREDICTED, plain, save
from heatkp.viz.curves import History, finish_curves

MOST_NAMED = 32
"""Runs that the legend names."""
LONGEST = 46
"""Characters of a name in the legend."""


class Label(NamedTuple):
    """A run in the legend: its smallest validation error, and whether it trained to its end."""

    error: float | None
    finished: bool


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 12]}…{name[-11:]}"


def sweep_curves(histories: Mapping[str, History], labels: Mapping[str, Label], path: Path) -> None:
    """Losses and validation error of all runs of a sweep, as PNG.

    Colours go from dark (the best) to light (the worst), the best run is thick and pink, runs
    that were ended early are dotted. The legend lists and numbers them in this order, and the
    numbers stand at the ends of the curves of the error, as far as there is room.

    Args:
        histories: columns of each run's `metrics.csv`, the best first.
        labels: what the legend says of each.
    """
    count = len(histories)
    height = max(3.6, 0.9 + 0.165 * min(count, MOST_NAMED + 1))
    figure = Figure((14.5, height), layout="constrained")
    train, validation, error, legend = figure.subplots(1, 4, width_ratios=[1, 1, 1, 0.95])
    legend.set_axis_off()
    shades = colormaps["viridis"]
    handles = []
    for place, (name, columns) in enumerate(histories.items()):
        label = labels[name]
        best = place == 0
        colour = PREDICTED if best else shades(0.92 * place / max(count - 1, 1))
        style = "-" if label.finished else ":"
        marker = "." if len(columns["train_loss"][0]) < 2 else ""
        for axis, column in ((train, "train_loss"), (validation, "val_loss"), (error, "val_mae")):
            axis.plot(
                *columns[column], color=colour, ls=style, lw=2.2 if best else 1.0, marker=marker,
                zorder=3 if best else 2 - place / count,
            )  # fmt: skip
        if place < MOST_NAMED:
            given = "-" if label.error is None else f"{label.error:.3f}"
            text = f"{place + 1}:  {given}  {plain(_short(name))}"
            handles.append(
                Line2D([], [], color=colour, ls=style, lw=2.2 if best else 1.2, label=text)
            )
    if count > MOST_NAMED:
        more = f"and {count - MOST_NAMED} more, lighter"
        handles.append(Line2D([], [], ls="", label=more))
    finish_curves(
        {train: "training loss", validation: "validation loss",
         error: "validation MAE, input pixels"}
    )  # fmt: skip
    _number_ends(error)
    legend.legend(
        handles=handles, loc="center left", bbox_to_anchor=(-0.12, 0.5), fontsize=7, frameon=False,
        title="smallest validation MAE; dotted: ended early", title_fontsize=7.5,
        alignment="left", labelspacing=0.25,
    )  # fmt: skip
    save(figure, path)


def _number_ends(axis: Axes) -> None:
    """Write each line's place at its end, where no better line's number is."""
    taken: list[tuple[float, float]] = []
    for place, line in enumerate(axis.lines):
        x, y = np.asarray(line.get_xdata(), float), np.asarray(line.get_ydata(), float)
        if not len(x):
            continue
        at = axis.transData.transform((x[-1], y[-1]))
        if all(abs(at[0] - u) > 14 or abs(at[1] - v) > 9 for u, v in taken):
            taken.append((at[0], at[1]))
            axis.annotate(
                str(place + 1), (x[-1], y[-1]), (3, 0), textcoords="offset points", fontsize=6.5,
                va="center", color=line.get_color(), annotation_clip=False,
            )  # fmt: skip


def importance(fractions: Mapping[str, float], note: str, path: Path) -> None:
    """How much of the variance of the errors each parameter explains, largest first, as PNG."""
    names = [_short(name) for name in fractions][::-1]
    values = list(fractions.values())[::-1]
    figure = Figure((6.4, 1.3 + 0.3 * len(names)), layout="constrained")
    axis = figure.subplots()
    bars = axis.barh(range(len(names)), values, color="#4aa8ff")
    axis.bar_label(bars, [f"{v:.0%}" for v in values], padding=3, fontsize=8)
    axis.set_yticks(range(len(names)), [plain(n) for n in names], fontsize=8)
    axis.set_xlim(0, 1.12 * max(values))
    axis.tick_params(axis="x", labelsize=8)
    axis.xaxis.set_major_formatter(lambda v, _: f"{v:.0%}")
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("fraction of the variance of the logarithm of the validation error", fontsize=8)
    axis.set_title(f"Which settings mattered ({note})", fontsize=9)
    save(figure, path)
