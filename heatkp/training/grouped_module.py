"""Head `grouped` in training: its Lightning module."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from heatkp.models.finder import Objects
from heatkp.models.grouped import Grouped, GroupedModel
from heatkp.training.finder_module import COLUMNS, FinderModule

GROUPED_COLUMNS = (*COLUMNS[:3], "val_mae", "val_distance", *COLUMNS[3:])
"""Of metrics.csv: with the mean error of a point's coordinate and the mean distance of points over
the root of their object's area, of labelled boxes."""


class GroupedModule(FinderModule):
    """Trains a `GroupedModel`; validation reads the points of labelled objects, too."""

    name = "grouped"
    model: GroupedModel
    parts = ("image", "boxes", "ignored", "points", "visibility", "index")

    def __init__(self, model: GroupedModel, settings: Any, description: dict[str, Any]) -> None:
        super().__init__(model, settings, description)
        self._sums = np.zeros(3)

    def describe(self) -> dict[str, Any]:
        """With the score from which on objects count as a setting of its own."""
        stored = dict(self.description)
        if self.settings.finder.min_score is None and self.found and self.found.objects:
            finder = {**stored["settings"]["finder"], "min_score": self.found.min_score}
            stored["settings"] = {**stored["settings"], "finder": finder}
        return stored

    def loss(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        objects = Objects(batch["boxes"], batch["ignored"])
        weights = (batch["visibility"] > 0).to(batch["boxes"].dtype)
        return self.model.scene_loss(maps, Grouped(objects, batch["points"], weights))

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", self.train_loss or 0.0)

    def on_validation_epoch_start(self) -> None:
        super().on_validation_epoch_start()
        self._sums = np.zeros(3)  # |error| of coordinates, distance over the side, points

    def validated(self, maps: Tensor, batch: dict[str, Tensor]) -> None:
        boxes = batch["boxes"]
        image, place = torch.isfinite(boxes).all(-1).nonzero(as_tuple=True)
        if not len(image):
            return
        own = boxes[image, place]
        edges = torch.cat([own[:, :2] - own[:, 2:] / 2, own[:, :2] + own[:, 2:] / 2], 1)
        error = self.model.points_of(maps, image, edges).points - batch["points"][image, place]
        known = batch["visibility"][image, place] > 0
        off = torch.where(known[..., None], error, 0.0).cpu().double().numpy()
        side = own[:, 2:].prod(1).sqrt().cpu().double().numpy()
        distance = np.linalg.norm(off, axis=-1) / side[:, None]
        self._sums += [
            np.abs(off).mean(-1).sum(), np.minimum(distance, 1.0).sum(), float(known.sum())
        ]  # fmt: skip

    @property
    def quality(self) -> float:
        """F1, less the mean distance of points in units of their object's side."""
        _, distance, count = self._sums
        return super().quality * (1.0 - float(distance / max(count, 1.0)))

    def shown(self) -> list[str]:
        _, distance, count = self._sums
        if not count:
            return super().shown()
        return [*super().shown(), f"points off by {distance / count:.3f} of the object's side"]

    def totals(self) -> dict[str, float]:
        mae, distance, count = (float(v) for v in self._sums)
        if not count:
            return super().totals()
        return {**super().totals(), "val_mae": mae / count, "val_distance": distance / count}
