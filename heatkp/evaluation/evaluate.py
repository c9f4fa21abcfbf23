"""A model over a data set: predictions in photo and input pixels, metrics, the printed table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from heatkp import coordinates as co
from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Sample
from heatkp.errors import SettingsError
from heatkp.evaluation.metrics import Array, Errors, Metric, all_metrics, labelled_boxes
from heatkp.models import KeypointModel
from heatkp.skeletons import Skeleton

if TYPE_CHECKING:
    from rich.table import Table


def demand_mirrored(skeleton: Skeleton) -> None:
    """Raises `SettingsError` where points found in a mirrored picture have no known meaning."""
    if skeleton.unmirrored:
        raise SettingsError(
            f"no flip test: {skeleton.unmirrored}; leave it out, or train on both sides, with "
            "data.pairs where neither names nor positions tell which change places"
        )


def mirrored_points(model: KeypointModel, images: torch.Tensor, skeleton: Skeleton) -> torch.Tensor:
    """Points (B, K, 2), input pixels, found in the mirror images of `images` (B, C, H, W).

    They are mirrored back and exchange left and right labels. Raises `SettingsError` where it
    is not known which (`Skeleton.unpaired`).
    """
    demand_mirrored(skeleton)
    mirrored = model.decode(model(images.flip(-1))).points
    back = torch.stack([images.shape[-1] - 1 - mirrored[..., 0], mirrored[..., 1]], -1)
    return back[:, torch.from_numpy(skeleton.flip)]


def predict_both_ways(
    model: KeypointModel, images: torch.Tensor, skeleton: Skeleton
) -> torch.Tensor:
    """Points (B, K, 2), the mean of what is found in the images and in their mirror images."""
    straight = model.decode(model(images)).points
    return (straight + mirrored_points(model, images, skeleton)) / 2


def errors_of(
    photo: Array, samples: Sequence[Sample], to_input: Array, input_size: tuple[int, int]
) -> Errors:
    """Predictions (N, K, 2) in photo pixels beside N samples' truth; the rest as in `Errors`."""
    return Errors(
        photo=photo,
        photo_truth=np.stack([s.points for s in samples]).astype(np.float64),
        to_input=to_input,
        labelled=np.stack([s.visibility > 0 for s in samples]),
        boxes=labelled_boxes(samples),
        input_size=input_size,
    )


@torch.inference_mode()
def predict_dataset(
    model: KeypointModel,
    dataset: KeypointDataset,
    batch_size: int = 16,
    flip_test: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Errors:
    """Predictions of all samples beside their truth.

    `flip_test` averages with the mirrored image; `progress` is told how many samples are done.
    """
    device = next(model.parameters()).device
    training = model.training
    model.eval()
    found, matrices = [], []
    for batch in DataLoader(dataset, batch_size=batch_size):
        images = batch["image"].to(device)
        points = (
            predict_both_ways(model, images, dataset.skeleton)
            if flip_test
            else model.decode(model(images)).points
        )
        found.append(points.cpu().double().numpy())
        matrices.append(batch["matrix"].numpy())
        progress(sum(map(len, found)))
    model.train(training)
    to_input = np.concatenate(matrices)
    to_photo = np.stack([co.invert(matrix) for matrix in to_input])
    photo = co.apply(to_photo, np.concatenate(found))
    return errors_of(photo, dataset.samples, to_input, dataset.framing.size)


def _figures(metric: Metric, value: Any) -> str:
    """A metric's number, or numbers, for people."""
    numbers = [(value or {}).get(part) for part in metric.parts] if metric.parts else [value]
    return ", ".join("-" if one is None else format(one, metric.form) for one in numbers)


def metrics_table(metrics: dict[str, Any], title: str) -> Table:
    """The overall figures as a rich table, each with what it means."""
    from rich.table import Table

    table = Table(title=title, title_justify="left", show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")
    for metric in (*all_metrics("point"), *all_metrics("set")):
        table.add_row(metric.label, _figures(metric, metrics.get(metric.name)), metric.meaning)
    for name, block in metrics["normalised"].items():
        note = f"of {block['images']} images"
        if block["images_without"]:
            note += f", {block['images_without']} without this length"
        for i, metric in enumerate(all_metrics("length")):
            called = f"  {metric.label}" if i else f"{metric.label}, {name}"
            if metric.parts:
                called += f" at {', '.join(metric.parts.values())}"
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
