"""The finder in training: its Lightning module, loaders and callbacks."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from heatkp.config import Settings
from heatkp.data.loaders import TrainingData, cache_folder
from heatkp.data.samples import Sample
from heatkp.data.scenes import Scene, SceneDataset, together
from heatkp.errors import DivergedError
from heatkp.evaluation.found_boxes import Found, Matched, match, measure_found
from heatkp.inference.detectors import suppress
from heatkp.models.finder import FinderModel, Objects
from heatkp.models.grouped import GroupedModel
from heatkp.runs import save_weights
from heatkp.skeletons import Skeleton
from heatkp.training.callbacks import DataWait, ProgressLine, write_rows
from heatkp.training.module import TrainingModule

COLUMNS = (
    "epoch", "train_loss", "val_loss", "val_ap50", "val_f1", "val_precision", "val_recall",
    "min_score", "lr", "seconds", "data_wait",
)  # fmt: skip
LOWEST = 0.02
"""Scores below are no objects, whatever is asked for."""


class FinderData(TrainingData[SceneDataset]):
    """Loaders of a finder's training and validation images.

    Args:
        settings: of the run, as resolved for the finder.
        size: (W, H) of the inputs in pixels.
        train, val: the images.
        skeleton: of the points, where those of all objects are learnt, too.
    """

    def __init__(
        self,
        settings: Settings,
        size: tuple[int, int],
        train: list[Scene],
        val: list[Scene],
        skeleton: Skeleton | None = None,
    ) -> None:
        super().__init__(settings, collate=together)
        data, trainer = settings.data, settings.trainer

        def dataset(scenes: list[Scene], augmented: bool) -> SceneDataset:
            return SceneDataset(
                scenes,
                size,
                tile=settings.finder.tile,
                skeleton=skeleton,
                grey=data.grey,
                augmentation=settings.augmentation if augmented else None,
                seed=trainer.seed,
                cache=cache_folder(data),
                cache_limit=data.cache_mb * 2**20,
            )

        self.train_set, self.val_set = dataset(train, True), dataset(val, False)

    def train_images(self) -> list[Sample]:
        return [scene.image for scene in self.train_set.scenes]


class FinderModule(TrainingModule):
    """Trains a `FinderModel`; validation matches boxes at an intersection over union of 0.5.

    Attributes:
        name: what is trained, for people.
        parts: of a batch, what the network is trained with.
    """

    name = "finder"
    model: FinderModel | GroupedModel
    parts: tuple[str, ...] = ("image", "boxes", "ignored", "index")

    def __init__(
        self,
        model: FinderModel | GroupedModel,
        settings: Settings,
        description: dict[str, Any],
    ) -> None:
        super().__init__(model, settings, description)
        self._val_losses: list[float] = []
        self._matched: list[Matched] = []
        self._found: Found | None = None

    @property
    def found(self) -> Found | None:
        """What the last validation found; None before the first."""
        if self._found is None and self._matched:
            self._found = measure_found(self._matched)
        return self._found

    def describe(self) -> dict[str, Any]:
        """What is stored beside weights as they are now."""
        if self.found is None or not self.found.objects:
            return dict(self.description)
        return {**self.description, "min_score": self.found.min_score}

    def on_before_batch_transfer(
        self, batch: dict[str, Any], dataloader_idx: int
    ) -> dict[str, Any]:
        return {k: batch[k] for k in self.parts}

    def loss(self, maps: Tensor, batch: dict[str, Tensor]) -> Tensor:
        """The loss of a batch."""
        assert isinstance(self.model, FinderModel)
        return self.model.loss(maps, Objects(batch["boxes"], batch["ignored"]))

    def training_step(self, batch: dict[str, Tensor], _: int) -> Tensor:
        return self.counted(self.loss(self.model(batch["image"]), batch))

    def on_validation_epoch_start(self) -> None:
        self._val_losses, self._matched, self._found = [], [], None

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        maps = self.model(batch["image"])
        self._val_losses.append(float(self.loss(maps, batch)))
        self.validated(maps, batch)
        boxes, scores = self.model.find(maps, self.settings.finder.max_objects)
        labelled = batch["boxes"].cpu().double().numpy()
        ignored = batch["ignored"].cpu().double().numpy()
        for i in range(len(boxes)):
            found, sure = (v[i].detach().cpu().double().numpy() for v in (boxes, scores))
            self._matched.append(
                matched_in(found, sure, labelled[i], ignored[i], self.settings.finder.nms)
            )

    def validated(self, maps: Tensor, batch: dict[str, Tensor]) -> None:
        """Told of each batch of a validation."""

    def on_validation_epoch_end(self) -> None:
        assert self.found is not None
        # As an error, which early stopping watches.
        self.log_dict({"val_f1": self.found.f1, "val_mae": 1.0 - self.quality})

    @property
    def quality(self) -> float:
        """What the best epoch has most of, in [0, 1]: F1 of the last validation."""
        return 0.0 if self.found is None else self.found.f1

    def shown(self) -> list[str]:
        """Figures of the last validation for a line of progress."""
        if self.found is None:
            return []
        return [f"recall {self.found.recall:.3f}, precision {self.found.precision:.3f}"]

    def totals(self) -> dict[str, float]:
        """Figures of the last validation."""
        if self.found is None:
            return {}
        found = self.found
        return {
            "val_loss": sum(self._val_losses) / max(len(self._val_losses), 1),
            "val_ap50": found.average_precision,
            "val_f1": found.f1,
            "val_precision": found.precision,
            "val_recall": found.recall,
            "min_score": found.min_score,
        }


def matched_in(boxes: Any, scores: Any, labelled: Any, ignored: Any, nms: float) -> Matched:
    """What was found in an input beside its objects, as `SceneDataset` gives them.

    Where only an object's place is known, what is found about it does not count.
    """
    sure = scores >= LOWEST
    boxes, scores = boxes[sure], scores[sure]
    kept = suppress(boxes, scores, nms)
    boxes, scores = boxes[kept], scores[kept]
    known = np.isfinite(labelled).all(1)
    places = labelled[np.isfinite(labelled[:, :2]).all(1) & ~known, None, :2]
    about = ((boxes[:, :2] <= places) & (places <= boxes[:, 2:])).all(2).any(0)
    boxes, scores = boxes[~about], scores[~about]
    edges = np.concatenate([
        labelled[known, :2] - labelled[known, 2:] / 2, labelled[known, :2] + labelled[known, 2:] / 2
    ], axis=1)  # fmt: skip
    out = ignored[np.isfinite(ignored).all(1)]
    return match(boxes, scores, edges, out)


class FinderRecord(Callback):
    """Keeps the weights of the best epoch and a table of all; stops at a loss that is no number.

    Must come before the moving average in the list of callbacks, as `BestWeights` must.
    """

    def __init__(
        self, weights: Path, history: Path, wait: DataWait, columns: tuple[str, ...] = COLUMNS
    ) -> None:
        self.weights, self.history, self._wait = weights, history, wait
        self.columns = columns
        self.best = [-1.0, -1.0, -math.inf]  # quality, average precision, loss below zero
        self.rows: list[dict[str, Any]] = []
        self._started, self._validated = time.perf_counter(), False

    def state_dict(self) -> dict[str, Any]:
        return {"best": self.best, "rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.best = [float(value) for value in state_dict["best"]]
        self.rows = list(state_dict["rows"])

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self._started, self._validated = time.perf_counter(), False

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FinderModule) and pl_module.found is not None
        self._validated = True
        found = pl_module.found
        loss = pl_module.totals()["val_loss"]
        now = [pl_module.quality, float(np.nan_to_num(found.average_precision)), -loss]
        if now > self.best or not self.weights.exists():
            self.best = now
            save_weights(self.weights, pl_module.model, pl_module.describe())

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, FinderModule)
        loss = pl_module.train_loss or 0.0
        if not math.isfinite(loss):
            raise DivergedError(
                f"training of the {pl_module.name} diverged: the loss is {loss} in epoch "
                f"{trainer.current_epoch + 1}; take a smaller finder.lr, or limit its steps with "
                "optimiser.clip=1"
            )
        self.rows.append({
            "epoch": trainer.current_epoch,
            "train_loss": loss,
            **(pl_module.totals() if self._validated else {}),
            "lr": trainer.optimizers[0].param_groups[0]["lr"],
            "seconds": round(time.perf_counter() - self._started, 2),
            "data_wait": round(self._wait.share, 4),
        })  # fmt: skip
        write_rows(self.history, self.columns, self.rows)


class FinderProgress(ProgressLine):
    """A bar over all steps on a terminal; a line per epoch elsewhere."""

    def _text(self, trainer: pl.Trainer, module: pl.LightningModule) -> str:
        assert isinstance(module, FinderModule)
        parts = [f"{module.name}: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"]
        if module.train_loss is not None:
            parts.append(f"loss {module.train_loss:.4g}")
        return "  ".join([*parts, *module.shown()])
