"""Loaders of training and validation samples, and the caches behind them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import cv2
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from heatkp.config import Data, Settings, expand_path
from heatkp.data.crops import CropSource, default_folder
from heatkp.data.dataset import EpochSampler
from heatkp.data.samples import Sample
from heatkp.data.shard_order import order_in_tars, order_notes


def cache_folder(data: Data) -> Path | None:
    """The folder that `data.cache` names."""
    if data.cache == "none":
        return None
    return default_folder() if data.cache == "auto" else expand_path(data.cache, "data.cache")


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def _shifted(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


class CroppedDataset(Protocol):
    """A data set whose images come through a `CropSource`."""

    @property
    def crops(self) -> CropSource: ...

    def __len__(self) -> int: ...

    def __getitem__(self, key: int) -> dict[str, Any]: ...


D = TypeVar("D", bound=CroppedDataset)


class TrainingData(pl.LightningDataModule, ABC, Generic[D]):
    """What training on points and on objects share. Subclasses make the two data sets.

    Of processes that train together, `rank` of `world` gets its part of each training batch and
    its part of the validation samples, each of which one process gets. `collate` makes a batch of
    samples; None: as torch does.

    Attributes:
        train_set, val_set: the samples.
        notes: lines on what was found while images were read.
        first_epoch: the one that training begins with.
    """

    train_set: D
    val_set: D

    def __init__(
        self,
        settings: Settings,
        rank: int = 0,
        world: int = 1,
        collate: Callable[[list[dict[str, Any]]], dict[str, Any]] | None = None,
    ) -> None:
        super().__init__()
        self.settings, self.notes, self.first_epoch = settings, list[str](), 0
        self._rank, self._world, self._collate = rank, world, collate

    @abstractmethod
    def train_images(self) -> Sequence[Sample]:
        """The training set's samples, one for each image that is read."""

    def preload(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Open or make the caches of images.

        `progress` is told how many images are done, of how many. Raises `DataError` for the first
        image that is bad.
        """
        parts = (self.train_set, self.val_set)
        total, before = sum(map(len, parts)), 0
        for part in parts:
            note = part.crops.prepare(partial(_shifted, progress, before, total))
            if note and note not in self.notes:
                self.notes.append(note)
            before += len(part)
        self.notes += order_notes(self.train_images(), self.settings)

    def _loader(self, dataset: D, **options: Any) -> DataLoader[dict[str, Any]]:
        workers = self.settings.data.workers
        return DataLoader(
            dataset,  # type: ignore[arg-type]  # torch asks for its own class
            batch_size=self.settings.trainer.batch_size // self._world,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            collate_fn=self._collate,
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        count, trainer = len(self.train_set), self.settings.trainer
        order = order_in_tars(self.train_images(), self.settings)
        sampler = EpochSampler(
            count, trainer.seed, trainer.batch_size, self._rank, self._world, order
        )
        # Workers begin to read before Lightning tells the epoch that a resumed run goes on with.
        sampler.set_epoch(self.first_epoch)
        return self._loader(self.train_set, sampler=sampler, drop_last=count >= trainer.batch_size)

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        if self._world > 1 and len(self.val_set):
            own = range(self._rank, len(self.val_set), self._world)
            return self._loader(self.val_set, sampler=own)
        return self._loader(self.val_set)
