"""Frames of `settling.gif`: what a model finds on a few validation faces while it is trained."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from heatkp.data.dataset import KeypointDataset
from heatkp.models import DenseModel
from heatkp.training.module import KeypointModule
from heatkp.viz.animation import Frame, Stage, frame_interval, take_frame, write_animation


class Animation(Callback):
    """Takes a frame every so many optimiser steps and writes the GIF when training ends.

    Frames are small numbers, not images, and lie in the run's checkpoint, so that a resumed
    run goes on with those of before. They show the weights of the step itself, not their moving
    average. Nothing here draws random numbers or changes the model.

    Args:
        path: of the GIF.
        every: steps between frames; larger where that makes too many.
        count: faces, spread evenly over the labelled samples.
        dataset: validation samples, not augmented.
    """

    def __init__(self, path: Path, every: int, count: int, dataset: KeypointDataset) -> None:
        self.path, self.every, self.count, self.dataset = path, every, count, dataset
        self.frames: list[Frame] = []
        self._images: Tensor | None = None
        self._stage: Stage | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"frames": [tuple(frame) for frame in self.frames]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.frames = [Frame(*values) for values in state_dict["frames"]]

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        samples = self.dataset.samples
        labelled = [i for i, s in enumerate(samples) if (s.visibility > 0).any()]
        places = np.linspace(0, len(labelled) - 1, min(self.count, len(labelled))).round()
        items = [self.dataset[labelled[int(i)]] for i in places]
        total = int(trainer.estimated_stepping_batches)
        self._interval = frame_interval(self.every, total)
        self._images = torch.stack([item["image"] for item in items]).to(pl_module.device)
        dense = isinstance(pl_module.model, DenseModel)
        self._stage = Stage(
            [item["image"].numpy() for item in items],
            np.stack([item["points"].numpy() for item in items]),
            dense,
            total,
        )
        # Of a run that goes on to more epochs, fewer: they are to be evenly apart.
        self.frames = [frame for frame in self.frames if frame.step % self._interval == 0]
        if not self.frames:
            self._take(trainer, pl_module)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._stage is None:  # stopped between its last epoch and this file
            self.on_train_start(trainer, pl_module)
            self.on_train_end(trainer, pl_module)

    def _take(self, trainer: pl.Trainer, module: KeypointModule) -> None:
        assert self._images is not None
        step = trainer.global_step
        if not self.frames or self.frames[-1].step < step:
            self.frames.append(take_frame(module.model, self._images, step))

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, *args: Any
    ) -> None:
        assert isinstance(pl_module, KeypointModule)
        if trainer.global_step % self._interval == 0:
            self._take(trainer, pl_module)

    def _write(self) -> None:
        if self._stage is not None and self.frames:
            write_animation(self._stage, self.frames, self.path)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert isinstance(pl_module, KeypointModule)
        self._take(trainer, pl_module)
        self._write()

    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        with suppress(OSError):  # what stopped the training is what is to be told
            self._write()
