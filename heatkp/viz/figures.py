"""Pictures of a run: curves, augmented training samples, best and worst predictions."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Visibility
from heatkp.evaluation import metrics
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths
from heatkp.skeletons import Skeleton

TRUTH, PREDICTED = "#3ddc5a", "#ff2d78"
LEFT, RIGHT, MIDDLE = "#4aa8ff", "#ff5a4a", "#ffe14a"


def _save(figure: Figure, path: Path) -> None:
    part = path.with_name("." + path.name)
    figure.savefig(part, dpi=110, format="png")
    part.replace(path)


def _grid(rows: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    figure = Figure((columns * cell[0], rows * (cell[1] + 0.22) + 0.45), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for axis in flat:
        axis.set_axis_off()
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
    axis.set_title(title, fontsize=7, pad=2)


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


def predictions(errors: Errors, dataset: KeypointDataset, path: Path, count: int = 6) -> None:
    """The validation samples with the smallest and largest mean error, truth and prediction."""
    distance = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    counted = errors.labelled.sum(1)
    mean = np.where(errors.labelled, distance, 0.0).sum(1) / np.maximum(counted, 1)
    order = [int(i) for i in np.argsort(mean) if counted[i]]
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
        for k in np.flatnonzero(known):
            axis.plot(*np.stack([truth[k], found[k]]).T, color="white", lw=0.6)
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


def error_curve(errors: Errors, skeleton: Skeleton, path: Path) -> None:
    """Share of images whose mean error is below each level, for each normaliser there is."""
    distance = np.linalg.norm(errors.photo - errors.photo_truth, axis=2)
    figure = Figure((5.2, 3.6), layout="constrained")
    axis = figure.subplots()
    for name, lengths in normaliser_lengths(skeleton, errors).items():
        nme = image_nme(distance, errors.labelled, lengths)
        levels, shares = metrics.error_curve(nme)
        axis.plot(100 * levels, 100 * shares, label=f"{name}: median {np.nanmedian(nme):.2%}")
    axis.set_xlabel("mean error of an image, % of the length", fontsize=8)
    axis.set_ylabel("images below, %", fontsize=8)
    axis.set_ylim(0, 101)
    axis.tick_params(labelsize=8)
    axis.grid(alpha=0.25)
    if axis.lines:
        axis.legend(fontsize=8, loc="lower right")
    _save(figure, path)


def curves(history: Path, path: Path) -> None:
    """Losses, validation error and learning rate over the epochs of metrics.csv."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def column(name: str) -> tuple[list[int], list[float]]:
        given = [(int(r["epoch"]) + 1, float(r[name])) for r in rows if r[name]]
        return [e for e, _ in given], [v for _, v in given]

    figure = Figure((10.5, 3.2), layout="constrained")
    loss, error, rate = figure.subplots(1, 3)
    loss.plot(*column("train_loss"), color="#555555", label="training")
    loss.plot(*column("val_loss"), color=PREDICTED, label="validation")
    loss.legend(fontsize=8)
    error.plot(*column("val_mae"), color=PREDICTED)
    rate.plot(*column("lr"), color="#555555")
    for axis, title in (
        (loss, "loss"),
        (error, "validation MAE, input pixels"),
        (rate, "learning rate at the epoch's end"),
    ):
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("epoch", fontsize=8)
        axis.tick_params(labelsize=8)
        axis.grid(alpha=0.25)
        if all(v > 0 for line in axis.lines for v in line.get_ydata()):  # type: ignore[union-attr]
            axis.set_yscale("log")
    _save(figure, path)
