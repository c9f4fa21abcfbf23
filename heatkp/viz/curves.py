"""Curves over the epochs of one run or several."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator

from heatkp.errors import DataError
from heatkp.viz.canvas import PREDICTED, plain, save

History = dict[str, tuple[list[int], list[float]]]
"""Columns of metrics.csv: name -> epochs, counted from 1, and the values that are given."""


def read_history(path: Path) -> History:
    """The columns of a run's metrics.csv.

    Raises `DataError` for a file that is missing, holds no epoch, or is no such table.
    """
    try:
        with path.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        columns: History = {}
        for name in ("train_loss", "val_loss", "val_mae", "lr"):
            given = [(int(r["epoch"]) + 1, float(r[name])) for r in rows if r[name]]
            columns[name] = [e for e, _ in given], [v for _, v in given]
    except OSError as error:
        raise DataError(
            f"cannot read {path} ({error.strerror}): name the folder of a run that has trained"
        ) from None
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise DataError(
            f"{path} is not the table that a training writes ({type(error).__name__}: {error}); "
            "it wants a line for each epoch with epoch, train_loss, val_loss, val_mae and lr"
        ) from None
    if not rows:
        raise DataError(f"{path} holds no epoch yet: wait until the first is over")
    return columns


class _PlainNumbers(LogFormatterSciNotation):
    """The same ticks as usual, written 0.2 rather than 2 x 10^-1."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        return f"{x:g}" if super().__call__(x, pos) else ""


def finish_curves(axes: Mapping[Axes, str]) -> None:
    """Titles, ticks at whole epochs, and logarithmic axes where all values are over 0."""
    for axis, title in axes.items():
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.tick_params(which="both", labelsize=8)
        axis.grid(alpha=0.25)
        if all((np.asarray(line.get_ydata(), np.float64) > 0).all() for line in axis.lines):
            axis.set_yscale("log")
            axis.yaxis.set_major_formatter(_PlainNumbers())
            axis.yaxis.set_minor_formatter(_PlainNumbers(minor_thresholds=(1.5, 0.5)))


def run_curves(history: Path, path: Path) -> None:
    """Losses, validation error and learning rate over the epochs of metrics.csv."""
    columns = read_history(history)
    validated = bool(columns["val_mae"][0])
    panels = 3 if validated else 2
    figure = Figure((3.5 * panels, 3.2), layout="constrained")
    loss, *error, rate = figure.subplots(1, panels)
    loss.plot(*columns["train_loss"], color="#555555", label="training")
    rate.plot(*columns["lr"], color="#555555")
    titles = {loss: "loss" if validated else "training loss"}
    if validated:
        loss.plot(*columns["val_loss"], color=PREDICTED, label="validation")
        loss.legend(fontsize=8)
        error[0].plot(*columns["val_mae"], color=PREDICTED)
        titles[error[0]] = "validation MAE, input pixels"
    finish_curves({**titles, rate: "learning rate at the epoch's end"})
    save(figure, path)


def compare_curves(histories: Mapping[str, History], path: Path) -> None:
    """Losses and validation error of several runs in one image, as PNG.

    `histories` gives each run's columns by the name that the legend shows. Raises `OSError`
    where the file cannot be written.
    """
    figure = Figure((10.5, 3.8 + 0.17 * len(histories)), layout="constrained")
    loss, error = figure.subplots(1, 2)
    lines = []
    for i, columns in enumerate(histories.values()):
        colour, marker = f"C{i % 10}", "." if len(columns["train_loss"][0]) < 2 else ""
        loss.plot(*columns["train_loss"], color=colour, ls="--", lw=1, marker=marker)
        loss.plot(*columns["val_loss"], color=colour, marker=marker)
        lines += error.plot(*columns["val_mae"], color=colour, marker=marker)
    finish_curves(
        {loss: "loss: dashed training, solid validation", error: "validation MAE, input pixels"}
    )
    names = [plain(name) for name in histories]
    figure.legend(lines, names, fontsize=8, loc="outside lower center", ncols=min(3, len(names)))
    save(figure, path)
