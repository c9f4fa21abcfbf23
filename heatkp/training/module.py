"""The Lightning module: one training step, one validation step, the optimiser."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from heatkp.config import Optimiser, Settings
from heatkp.models import KeypointModel
from heatkp.models.finder import FinderModel
from heatkp.training.processes import Place, total


def parameter_groups(
    model: nn.Module, weight_decay: float, lr: float = 1.0
) -> list[dict[str, Any]]:
    """Parameters that are trained, not frozen, with their weight decay and learning rate.

    Weights decay; biases and normalisation layers (fewer than two dimensions) do not. Weights
    that learn at a fraction of the rate (`KeypointModel.rates`) are groups of their own.
    """
    rates = model.rates() if isinstance(model, KeypointModel) else {}
    trained = {n: p for n, p in model.named_parameters() if p.requires_grad}
    common = [p for n, p in trained.items() if n not in rates]
    groups = [
        {"params": [p for p in common if p.ndim > 1], "weight_decay": weight_decay, "lr": lr},
        {"params": [p for p in common if p.ndim <= 1], "weight_decay": 0.0, "lr": lr},
    ]
    for name, share in rates.items():
        if name in trained:
            group = {"params": [trained[name]], "weight_decay": weight_decay, "lr": share * lr}
            groups.append(group)
    return groups


def make_optimiser(model: nn.Module, settings: Optimiser) -> Optimizer:
    """The optimiser that settings name."""
    groups = parameter_groups(model, settings.weight_decay, settings.lr)
    if settings.name == "sgd":
        return SGD(
            groups, lr=settings.lr, momentum=settings.momentum, nesterov=settings.momentum > 0
        )
    # The fused step is one pass over the weights instead of a dozen.
    return (AdamW if settings.name == "adamw" else Adam)(groups, lr=settings.lr, fused=True)


def make_schedule(
    optimiser: Optimizer, settings: Optimiser, steps: int, steps_per_epoch: int
) -> LRScheduler:
    """The learning rate over a run of `steps` optimiser steps."""
    if settings.schedule == "onecycle":
        largest = [group["lr"] for group in optimiser.param_groups]
        # SGD keeps the momentum that was asked for; Adam's first beta goes from 0.95 to 0.85.
        cycled = settings.name != "sgd"
        return OneCycleLR(
            optimiser, max_lr=largest, total_steps=max(steps, 2), cycle_momentum=cycled
        )
    warmup = settings.warmup_epochs * steps_per_epoch

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if settings.schedule == "constant":
            return 1.0
        done = (step - warmup) / max(steps - warmup, 1)
        return 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))

    return LambdaLR(optimiser, factor)


ALONE = Place()


class TrainingModule(pl.LightningModule):
    """What trainings of all networks share: seeds, losses, clipping, the optimiser."""

    model: KeypointModel | FinderModel

    def __init__(
        self,
        model: KeypointModel | FinderModel,
        settings: Settings,
        description: dict[str, Any],
        mine: Place = ALONE,
    ) -> None:
        super().__init__()
        self.model, self.settings, self.description = model, settings, description
        self._mine = mine
        self._loss_sum, self._loss_count = torch.zeros(()), 0

    @property
    def train_loss(self) -> float | None:
        """Mean loss of the batches of this epoch so far."""
        return float(self._loss_sum) / self._loss_count if self._loss_count else None

    def counted(self, loss: Tensor) -> Tensor:
        """A batch's loss, which `train_loss` then counts."""
        self._loss_sum += loss.detach()
        self._loss_count += 1
        return loss

    def describe(self) -> dict[str, Any]:
        """What is stored beside weights as they are now."""
        return dict(self.description)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        checkpoint["heatkp"] = self.describe()

    def on_train_epoch_start(self) -> None:
        self._loss_sum, self._loss_count = torch.zeros((), device=self.device), 0

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        # Dropout and the like are the same in a run that was stopped and resumed. Seeding once
        # per epoch would not do: loaders draw from the same generator when they start.
        place = [self.settings.trainer.seed, self.current_epoch, batch_idx]
        place += [self._mine.rank] * (self._mine.rank > 0)  # each drops other features
        torch.manual_seed(int(np.random.SeedSequence(place).generate_state(1, np.uint64)[0]) >> 1)

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        # Lightning's own clipping refuses fused optimisers under bf16, which needs no scaling.
        if self.settings.optimiser.clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.optimiser.clip)

    def configure_optimizers(self) -> Any:
        optimiser = make_optimiser(self.model, self.settings.optimiser)
        steps = int(self.trainer.estimated_stepping_batches)
        per_epoch = max(steps // self.settings.trainer.epochs, 1)
        schedule = make_schedule(optimiser, self.settings.optimiser, steps, per_epoch)
        return {
            "optimizer": optimiser,
            "lr_scheduler": {"scheduler": schedule, "interval": "step"},
        }


class KeypointModule(TrainingModule):
    """Trains a `KeypointModel`; validation errors are in input pixels, weighed by point."""

    model: KeypointModel

    def __init__(
        self,
        model: KeypointModel,
        settings: Settings,
        description: dict[str, Any],
        mine: Place = ALONE,
    ) -> None:
        super().__init__(model, settings, description, mine)
        self._sums = torch.zeros(4, dtype=torch.float64)

    def describe(self) -> dict[str, Any]:
        return {**self.description, "progress": self.model.progress}

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        epoch = self.current_epoch
        self.model.set_progress(epoch / max(self.settings.trainer.epochs - 1, 1))

    def on_before_batch_transfer(
        self, batch: dict[str, Any], dataloader_idx: int
    ) -> dict[str, Any]:
        # The rest, float64 among it, which Apple's GPUs lack, is for evaluation.
        kept = ("image", "points", "visibility", "mixture", "weights")
        return {k: batch[k] for k in kept if k in batch}

    def training_step(self, batch: dict[str, Any], _: int) -> Tensor:
        if "mixture" in batch:
            target, weights = batch["mixture"], batch["weights"]
        else:
            target, weights = batch["points"], (batch["visibility"] > 0).float()
        loss = self.model.training_loss(batch["image"], target, weights)
        if self._mine.world > 1:
            # Gradients are averaged: so each process counts by its points, as in one batch.
            own = self.model.counted(target, weights).sum()
            loss = loss * own * self._mine.world / total(own.clone()).clamp(min=1e-12)
        return self.counted(loss)

    def on_train_epoch_end(self) -> None:
        self.log("train_loss", self.train_loss or 0.0)

    def on_validation_epoch_start(self) -> None:
        # loss x points, |error|, normalised squared error, points: sums, for batches differ.
        self._sums = torch.zeros(4, dtype=torch.float64)

    def validation_step(self, batch: dict[str, Tensor], _: int) -> None:
        labelled = batch["visibility"] > 0
        output = self.model(batch["image"])
        count = labelled.sum()
        loss = self.model.loss(output, batch["points"], labelled.float())
        error = self.model.decode(output).points - batch["points"]
        error = torch.where(labelled[..., None], error, 0.0)
        relative = error / error.new_tensor(self.model.size)
        sums = [loss * count, error.abs().mean(-1).sum(), relative.square().mean(-1).sum(), count]
        self._sums += torch.stack([s.float() for s in sums]).cpu().double()

    def totals(self) -> dict[str, float]:
        """Means over the labelled points of the last validation."""
        loss, mae, mse, count = self._sums.tolist()
        count = max(count, 1.0)
        return {"val_loss": loss / count, "val_mae": mae / count, "val_mse": mse / count}

    def share_validation(self) -> None:
        """Add up the sums of all processes' samples; each calls it once, at the end."""
        self._sums = total(self._sums.to(self.device)).cpu()

    def share_loss(self) -> None:
        """Average the epoch's loss over all processes; each calls it once, at the end."""
        self._loss_sum = total(self._loss_sum.clone()) / self._mine.world

    def on_validation_epoch_end(self) -> None:
        self.log_dict(self.totals())
