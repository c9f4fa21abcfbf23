"""A model over a data set: predictions beside their truth, and the printed table."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.engine import Engine, TorchBackend
from heatkp.evaluation.metrics import Errors, labelled_boxes
from heatkp.models import KeypointModel

if TYPE_CHECKING:
    from rich.table import Table


def predict_dataset(
    model: KeypointModel,
    dataset: KeypointDataset,
    batch_size: int = 16,
    flip_test: bool = False,
    progress: Callable[[int], None] = lambda done: None,
    passes: int = 1,
    box_style: BoxStyle | None = None,
) -> Errors:
    """Predictions of all samples beside their truth.

    Args:
        model: runs on the device that it is on.
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
    engine = Engine.for_dataset(TorchBackend(model), dataset, box_style)
    found, matrices = [], []
    for estimate in engine.over(dataset, batch_size, passes, flip_test):
        found.append(estimate.points)
        matrices.append(estimate.first_matrices)
        progress(sum(map(len, found)))
    samples = dataset.samples
    return Errors(
        photo=np.concatenate(found),
        photo_truth=np.stack([s.points for s in samples]).astype(np.float64),
        to_input=np.concatenate(matrices),
        labelled=np.stack([s.visibility > 0 for s in samples]),
        boxes=labelled_boxes(samples),
        input_size=dataset.framing.size,
    )


def _figure(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def metrics_table(metrics: dict[str, Any], title: str) -> Table:
    """The overall figures as a rich table, each with what it means."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    rows = [
        ("MAE, photo", "mae_photo", ".3f", "pixels, mean over x and y"),
        ("MAE, input", "mae_input", ".3f", "pixels of the network's input"),
        ("distance, photo", "distance_photo", ".3f", "pixels, mean over points"),
        ("MAE, normalised", "mae_normalised", ".3e", "by the input's width and height"),
        ("MSE, normalised", "mse_normalised", ".3e", "by the input's width and height"),
    ]
    for label, key, form, meaning in rows:
        table.add_row(label, _figure(metrics[key], form), meaning)
    for name, block in metrics["normalised"].items():
        note = f"of {block['images']} images"
        if block["images_without"]:
            note += f", {block['images_without']} without this length"
        table.add_row(f"NME, {name}", _figure(block["nme"], ".2%"), note)
        pck = ", ".join(f"{_figure(v, '.1%')}" for v in block["pck"].values())
        table.add_row("  PCK at 5 %, 10 %", pck, "points within that share of the length")
        table.add_row("  failures", _figure(block["failure_rate"], ".1%"), "images over 10 %")
        table.add_row("  area under curve", _figure(block["auc"], ".3f"), "up to 10 %; 1 is best")
    if metrics["outside_input"]:
        share = metrics["outside_input"] / metrics["labelled_points"]
        table.add_row("outside the input", f"{share:.2%}", "labelled points the network can't see")
    return table


def worst_points(metrics: dict[str, Any], count: int = 5) -> str:
    """The names of the points with the largest mean distance, for a line under the table."""
    scored = [p for p in metrics["points"] if p["distance_photo"] is not None]
    scored.sort(key=lambda p: -p["distance_photo"])
    return ", ".join(f"{p['name']} {p['distance_photo']:.2f}" for p in scored[:count])
