"""A model over a data set: predictions beside their truth, and the printed table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import nn

from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.engine import Backend, TorchBackend, make_engine
from heatkp.evaluation.metrics import Errors, Metric, all_metrics, labelled_boxes
from heatkp.models import KeypointModel

if TYPE_CHECKING:
    from rich.table import Table


def predict_dataset(
    model: KeypointModel | Backend,
    dataset: KeypointDataset,
    batch_size: int = 16,
    flip_test: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    passes: int = 1,
    box_style: BoxStyle | None = None,
) -> Errors:
    """Predictions of all samples beside their truth.

    Args:
        model: a network, on the device that it is on, or whatever else runs one.
        batch_size: samples that the network sees at once.
        flip_test: average with what is found in the mirrored inputs.
        progress: is told how many samples are done.
        passes: 2 looks again at the box that belongs around the first points (two-stage
            refinement); input pixels are those of the first look all the same.
        box_style: how boxes lie around points, which two passes need.

    Raises:
        DataError: for an image that cannot be read.
        SettingsError: as `Engine.check` does.
    """
    backend = TorchBackend(model) if isinstance(model, nn.Module) else model
    engine = make_engine(backend, dataset.skeleton, dataset.framing, dataset.grey, box_style)
    found, matrices = [], []
    scores, covariances = [], []
    for estimate in engine.over(dataset, batch_size, passes, flip_test):
        found.append(estimate.points)
        matrices.append(estimate.first_matrices)
        scores.append(estimate.scores)
        if estimate.covariance is not None:
            covariances.append(estimate.covariance)
        progress(sum(map(len, found)))
    samples = dataset.samples
    return Errors(
        image_points=np.concatenate(found),
        image_truth=np.stack([s.points for s in samples]).astype(np.float64),
        to_input=np.concatenate(matrices),
        labelled=np.stack([s.visibility > 0 for s in samples]),
        boxes=labelled_boxes(samples),
        input_size=dataset.framing.size,
        scores=np.concatenate(scores),
        covariance=np.concatenate(covariances) if covariances else None,
        score_radius=backend.model.score_radius if isinstance(backend, TorchBackend) else None,
    )


def _figures(metric: Metric, value: Any) -> str:
    """A metric's number, or numbers, for people."""
    numbers = [(value or {}).get(part) for part in metric.parts] if metric.parts else [value]
    return ", ".join("-" if one is None else format(one, metric.form) for one in numbers)


def _called(metric: Metric, more: str = "") -> str:
    at = f" at {', '.join(metric.parts.values())}" if metric.parts else ""
    return f"{metric.label}{more}{at}"


def metrics_table(metrics: dict[str, Any], title: str) -> Table:
    """The overall figures as a rich table, each with what it means."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for metric in (*all_metrics("point"), *all_metrics("set")):
        figures = _figures(metric, metrics.get(metric.name))
        if metric.per == "point" or set(figures) - set("-, "):  # no scores, no score error
            table.add_row(_called(metric), figures, metric.meaning)
    for name, block in metrics["normalised"].items():
        note = f"of {block['images']} images"
        if block["images_without"]:
            note += f", {block['images_without']} without this length"
        for i, metric in enumerate(all_metrics("length")):
            called = f"  {_called(metric)}" if i else _called(metric, f", {name}")
            figures = _figures(metric, block.get(metric.name))
            table.add_row(called, figures, metric.meaning if i else note)
    if metrics["outside_input"]:
        share = metrics["outside_input"] / metrics["labelled_points"]
        table.add_row("outside the input", f"{share:.2%}", "labelled points the network can't see")
    return table


def worst_points(metrics: dict[str, Any], count: int = 5) -> str:
    """The names of the points with the largest mean distance, for a line under the table."""
    scored = [p for p in metrics["points"] if p["distance_photo"] is not None]
    scored.sort(key=lambda p: -p["distance_photo"])
    return ", ".join(f"{p['name']} {p['distance_photo']:.2f}" for p in scored[:count])
