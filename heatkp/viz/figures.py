"""Images of a run: augmented training samples, best and worst predictions, error curves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Visibility
from heatkp.evaluation import metrics
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import (
    PREDICTED,
    TRUTH,
    cell_size,
    grid,
    marker_size,
    plain,
    save,
    show_image,
    side_colours,
)


def training_samples(dataset: KeypointDataset, path: Path, count: int = 18) -> None:
    """Augmented inputs with their points: the subject's left side blue, the right side red.

    A flip that forgot to change labels shows as colours on the wrong side. Points that only
    teachers know are where these say on average.
    """
    count = min(count, len(dataset))
    figure, axes = grid(-(-count // 6), min(count, 6), cell_size(dataset.framing.size))
    colours = np.array(side_colours(dataset.skeleton))
    size = marker_size(len(dataset.skeleton))
    for axis, index in zip(axes, np.linspace(0, len(dataset) - 1, count).astype(int)):
        item = dataset[(0, int(index))]
        show_image(axis, item["image"].numpy(), dataset.samples[index].id)
        points, visibility = item["points"].numpy(), item["visibility"].numpy()
        kinds = [(visibility == Visibility.VISIBLE, "o"), (visibility == Visibility.OCCLUDED, "x")]
        if dataset.soft is not None:
            taught = (visibility == Visibility.NOT_LABELLED) & (item["weights"].numpy() > 0)
            points = np.where(taught[:, None], item["mixture"].mean.numpy(), points)
            kinds.append((taught, "+"))
        for chosen, marker in kinds:
            x, y = points[chosen].T
            axis.scatter(x, y, s=size, c=colours[chosen], marker=marker, linewidths=0.7)
    taught_too = ", + of teachers alone" if dataset.soft is not None else ""
    figure.suptitle(
        "Training samples as the network sees them; subject's left blue, right red, "
        f"x labelled but hidden{taught_too}",
        fontsize=8,
    )
    save(figure, path)


def mean_distance(errors: Errors) -> npt.NDArray[np.float64]:
    """Mean distance of each image's labelled points in input pixels, (N,); NaN without any."""
    distance = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    counted = errors.labelled.sum(1)
    sums = np.where(errors.labelled, distance, 0.0).sum(1)
    return np.where(counted > 0, sums / np.maximum(counted, 1), np.nan)


def best_and_worst(mean: npt.ArrayLike, count: int) -> tuple[list[int], list[int]]:
    """Places of the `count` smallest and of the `count` largest of mean errors (N,), both upwards.

    NaN is left out. Of fewer than 2 `count` some are among both.
    """
    errors = np.asarray(mean, np.float64)
    order = [int(i) for i in np.argsort(errors, kind="stable") if np.isfinite(errors[i])]
    return order[:count], order[max(0, len(order) - count) :]


def predictions(
    errors: Errors, dataset: KeypointDataset, path: Path, count: int = 6, what: str = "Validation"
) -> None:
    """The samples with the smallest and largest mean error, truth and prediction; `what` they
    are, for the title."""
    mean = mean_distance(errors)
    best, worst = best_and_worst(mean, count)
    figure, axes = grid(2, len(best), cell_size(dataset.framing.size))
    size = marker_size(len(dataset.skeleton))
    for axis, index in zip(axes, best + worst):
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
        f"{what}, best above and worst below; green truth, pink prediction; "
        "mean distance in input pixels",
        fontsize=8,
    )
    save(figure, path)


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
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    figure, axis = _error_axes(5.2)
    for name, lengths in normaliser_lengths(skeleton, errors).items():
        nme = image_nme(distance, errors.labelled, lengths)
        _add_error_curve(axis, nme, f"{name}: median {np.nanmedian(nme):.2%}")
    if axis.lines:
        axis.legend(fontsize=8, loc="lower right")
    save(figure, path)


def error_curves(found: Mapping[str, tuple[Errors, Skeleton]], normaliser: str, path: Path) -> None:
    """The cumulative error curves of several runs by one normaliser, as PNG.

    `found` gives each run's errors and skeleton by the name that the legend shows, with its
    area under the curve and failure rate. Raises `KeyError` where a run lacks the normaliser,
    `OSError` where the file cannot be written.
    """
    figure, axis = _error_axes(6.4)
    for name, (errors, skeleton) in found.items():
        distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
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
    save(figure, path)
