"""Pictures of a run: curves, augmented training samples, best and worst predictions."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatterSciNotation, MaxNLocator

from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Visibility
from heatkp.errors import DataError
from heatkp.evaluation import metrics
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths
from heatkp.skeletons import Skeleton

TRUTH, PREDICTED = "#3ddc5a", "#ff2d78"
LEFT, RIGHT, MIDDLE = "#4aa8ff", "#ff5a4a", "#ffe14a"
History = dict[str, tuple[list[int], list[float]]]
"""Columns of metrics.csv: name -> epochs, counted from 1, and the values that are given."""


def _save(figure: Figure, path: Path) -> None:
    part = path.with_name("." + path.name)
    try:
        # Photos hardly shrink further, and the default takes three times as long.
        figure.savefig(part, dpi=110, format="png", pil_kwargs={"compress_level": 3})
        part.replace(path)
    except BaseException:  # an interrupt too leaves nothing half-written
        part.unlink(missing_ok=True)
        raise


def plain(text: str) -> str:
    """A name as matplotlib shows it unchanged: no formula between `$`, no hidden `_label`."""
    return (" " if text.startswith("_") else "") + text.replace("$", r"\$")


def _grid(rows: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure((columns * cell[0], rows * (cell[1] + 0.22) + 0.45), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for axis in flat:
        axis.set_axis_off()
        for ticks in (axis.xaxis, axis.yaxis):  # else they are laid out, though not drawn
            ticks.set_visible(False)
    return figure, flat


def _cell(size: tuple[int, int]) -> tuple[float, float]:
    scale = 2.3 / max(size)
    return size[0] * scale, size[1] * scale


def show_image(axis: Axes, image: npt.NDArray[Any], title: str = "") -> None:
    """A uint8 picture (C, H, W) with pixel centres on integers."""
    picture = image.transpose(1, 2, 0)
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    axis.imshow(picture, interpolation="bilinear")
    axis.set_xlim(-0.5, picture.shape[1] - 0.5)
    axis.set_ylim(picture.shape[0] - 0.5, -0.5)
    axis.set_title(plain(title), fontsize=7, pad=2)


def _marker(count: int) -> float:
    return 30.0 if count < 6 else 14.0 if count < 30 else 5.0


def _sides(skeleton: Skeleton) -> list[str]:
    colours = [MIDDLE] * len(skeleton)
    for left, right in skeleton.pairs:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def training_samples(dataset: KeypointDataset, path: Path, count: int = 18) -> None:
    """Augmented inputs with their points: the subject's left side blue, the right side red.

    A flip that forgot to change labels shows as colours on the wrong side.
    """
    count = min(count, len(dataset))
    figure, axes = _grid(-(-count // 6), min(count, 6), _cell(dataset.framing.size))
    colours = np.array(_sides(dataset.skeleton))
    size = _marker(len(dataset.skeleton))
    for axis, index in zip(axes, np.linspace(0, len(dataset) - 1, count).astype(int)):
        item = dataset[(0, int(index))]
        show_image(axis, item["image"].numpy(), dataset.samples[index].id)
        points, visibility = item["points"].numpy(), item["visibility"].numpy()
        for code, marker in ((Visibility.VISIBLE, "o"), (Visibility.OCCLUDED, "x")):
            chosen = visibility == code
            x, y = points[chosen].T
            axis.scatter(x, y, s=size, c=colours[chosen], marker=marker, linewidths=0.7)
    figure.suptitle(
        "Training samples as the network sees them; subject's left blue, right red, "
        "x labelled but hidden",
        fontsize=8,
    )
    _save(figure, path)


def mean_distance(errors: Errors) -> npt.NDArray[np.float64]:
    """Mean distance of each image's labelled points in input pixels, (N,); NaN without any."""
    distance = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    counted = errors.labelled.sum(1)
    sums = np.where(errors.labelled, distance, 0.0).sum(1)
    return np.where(counted > 0, sums / np.maximum(counted, 1), np.nan)


def predictions(errors: Errors, dataset: KeypointDataset, path: Path, count: int = 6) -> None:
    """The validation samples with the smallest and largest mean error, truth and prediction."""
    mean = mean_distance(errors)
    order = [int(i) for i in np.argsort(mean) if np.isfinite(mean[i])]
    count = min(count, len(order))
    chosen = order[:count] + order[-count:]
    figure, axes = _grid(2, count, _cell(dataset.framing.size))
    size = _marker(len(dataset.skeleton))
    for axis, index in zip(axes, chosen):
        item = dataset[index]
        title = f"{dataset.samples[index].id}: {mean[index]:.2f} px"
        show_image(axis, item["image"].numpy(), title)
        known = errors.labelled[index]
        truth, found = errors.input_truth[index], errors.input[index]
        pairs = np.stack([truth[known], found[known]], 1)
        axis.add_collection(LineCollection(list(pairs), colors="white", linewidths=0.6))
        (x, y), (u, v) = truth[known].T, found.T
        if len(found) < 6:  # room for marks that do not hide each other
            axis.scatter(x, y, s=60, facecolors="none", edgecolors=TRUTH, linewidths=1)
            axis.scatter(u, v, s=60, c=PREDICTED, marker="+", linewidths=1)
        else:
            axis.scatter(x, y, s=size, c=TRUTH, linewidths=0)
            axis.scatter(u, v, s=size, c=PREDICTED, linewidths=0)
    figure.suptitle(
        "Validation, best above and worst below; green truth, pink prediction; "
        "mean distance in input pixels",
        fontsize=8,
    )
    _save(figure, path)


def _error_axes(width: float) -> tuple[Figure, Axes]:
    figure = Figure((width, 3.6), layout="constrained")
    axis = figure.subplots()
    axis.set_xlabel("mean error of an image, % of the length", fontsize=8)
    axis.set_ylabel("images below, %", fontsize=8)
    axis.set_ylim(0, 101)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    return figure, axis


def _add_error_curve(axis: Axes, nme: npt.NDArray[np.float64], label: str) -> None:
    levels, shares = metrics.error_curve(nme)
    axis.plot(100 * levels, 100 * shares, label=plain(label))


def error_curve(errors: Errors, skeleton: Skeleton, path: Path) -> None:
    """Share of images whose mean error is below each level, for each normaliser there is."""
    distance = np.linalg.norm(errors.photo - errors.photo_truth, axis=2)
    figure, axis = _error_axes(5.2)
    for name, lengths in normaliser_lengths(skeleton, errors).items():
        nme = image_nme(distance, errors.labelled, lengths)
        _add_error_curve(axis, nme, f"{name}: median {np.nanmedian(nme):.2%}")
    if axis.lines:
        axis.legend(fontsize=8, loc="lower right")
    _save(figure, path)


def error_curves(found: Mapping[str, tuple[Errors, Skeleton]], normaliser: str, path: Path) -> None:
    """The cumulative error curves of several runs by one normaliser, as PNG.

    `found` gives each run's errors and skeleton by the name that the legend shows, with its
    area under the curve and failure rate. Raises `KeyError` where a run lacks the normaliser,
    `OSError` where the file cannot be written.
    """
    figure, axis = _error_axes(6.4)
    for name, (errors, skeleton) in found.items():
        distance = np.linalg.norm(errors.photo - errors.photo_truth, axis=2)
        lengths = normaliser_lengths(skeleton, errors)[normaliser]
        block = metrics.summarise(errors, skeleton)["normalised"][normaliser]
        figures = "no image has this length"
        if block["images"]:
            figures = f"AUC {block['auc']:.3f}, {block['failure_rate']:.1%} fail"
        nme = image_nme(distance, errors.labelled, lengths)
        _add_error_curve(axis, nme, f"{name}: {figures} ({block['images']} images)")
    axis.set_xlabel(f"mean error of an image, % of {plain(normaliser)}", fontsize=8)
    axis.set_title(
        f"The higher, the better; an image fails over {metrics.FAILURE:.0%}; AUC 1 is best",
        fontsize=8,
    )
    axis.legend(fontsize=7, loc="lower right")
    _save(figure, path)


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


def _finish_curves(axes: Mapping[Axes, str]) -> None:
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


def curves(history: Path, path: Path) -> None:
    """Losses, validation error and learning rate over the epochs of metrics.csv."""
    columns = read_history(history)
    figure = Figure((10.5, 3.2), layout="constrained")
    loss, error, rate = figure.subplots(1, 3)
    loss.plot(*columns["train_loss"], color="#555555", label="training")
    loss.plot(*columns["val_loss"], color=PREDICTED, label="validation")
    loss.legend(fontsize=8)
    error.plot(*columns["val_mae"], color=PREDICTED)
    rate.plot(*columns["lr"], color="#555555")
    titles = {
        loss: "loss",
        error: "validation MAE, input pixels",
        rate: "learning rate at the epoch's end",
    }
    _finish_curves(titles)
    _save(figure, path)


def compare_curves(histories: Mapping[str, History], path: Path) -> None:
    """Losses and validation error of several runs in one picture, as PNG.

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
    _finish_curves(
        {loss: "loss: dashed training, solid validation", error: "validation MAE, input pixels"}
    )
    names = [plain(name) for name in histories]
    figure.legend(lines, names, fontsize=8, loc="outside lower center", ncols=min(3, len(names)))
    _save(figure, path)
