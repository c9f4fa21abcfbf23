"""The Lightning data module: data sets and loaders of a run."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from heatkp.config import Augmentation, Data, Settings, expand_path
from heatkp.data.crops import default_folder
from heatkp.data.dataset import EpochSampler, KeypointDataset
from heatkp.data.mirroring import mirroring_note
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.shard_order import order_in_tars, order_notes
from heatkp.data.transforms import Framing
from heatkp.errors import DataError, SettingsError


def _shifted(progress: Callable[[int, int], None], before: int, total: int, done: int) -> None:
    progress(before + done, total)


def cache_folder(data: Data) -> Path | None:
    """The folder that `data.cache` names."""
    if data.cache == "none":
        return None
    return default_folder() if data.cache == "auto" else expand_path(data.cache, "data.cache")


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class KeypointDataModule(pl.LightningDataModule):
    """Loaders of a run's training and validation samples.

    Attributes:
        first_epoch: the one that training begins with.

    Of processes that train together, `rank` of `world` gets its part of each training batch and
    its part of the validation samples, each of which one process gets.
    """

    def __init__(
        self, settings: Settings, data: KeypointData, rank: int = 0, world: int = 1
    ) -> None:
        super().__init__()
        self._rank, self._world, self.first_epoch = rank, world, 0
        self.settings, self.data = settings, data
        self.notes = list(data.notes)
        if settings.augmentation.flip and (note := mirroring_note(data.skeleton)):
            self.notes.append(note)
        homeless = settings.data.cache == "auto" and default_folder() is None
        if homeless and any(sample.file is not None for sample in data.train):
            self.notes.append(
                "no cache of images: the user has no home folder; name one with data.cache or "
                "$HEATKP_CACHE"
            )
        self.train_set = self._dataset(data.train, settings.augmentation)
        self.val_set = self._dataset(data.val, None)

    def _dataset(self, samples: list[Sample], augmentation: Augmentation | None) -> KeypointDataset:
        s = self.settings
        return KeypointDataset(
            samples,
            self.data.skeleton,
            Framing.of(s.data),
            grey=s.data.grey,
            augmentation=augmentation,
            seed=s.trainer.seed,
            cache=cache_folder(s.data),
            cache_limit=s.data.cache_mb * 2**20,
        )

    def shown(self) -> KeypointDataset:
        """The validation samples, or the training samples without augmentation where there are
        none: what images of a training show."""
        return self.val_set if len(self.val_set) else self._dataset(self.data.train, None)

    def preload(self, progress: Callable[[int, int], None] = lambda done, total: None) -> None:
        """Open or make the caches of images, and count which points the inputs can hold.

        `progress` is told how many images are done, of how many. `notes` has the counts
        afterwards. Raises `DataError` for the first image that is bad, or where
        `data.skip_outside` leaves nothing.
        """
        parts = (self.train_set, self.val_set)
        total, before = sum(map(len, parts)), 0
        for part in parts:
            note = part.crops.prepare(partial(_shifted, progress, before, total))
            if note and note not in self.notes:
                self.notes.append(note)
            before += len(part)
        data = self.settings.data
        if data.crop == "box" or data.skip_outside:
            self._count_outside()
        self.notes += order_notes(self.train_set.samples, self.settings)

    def _count_outside(self) -> None:
        whole, outside, labelled = [], 0, 0
        for index, sample in enumerate(self.train_set.samples):
            known = sample.visibility > 0
            lost = int((known & ~self.train_set.inside(index)).sum())
            outside, labelled = outside + lost, labelled + int(known.sum())
            if not lost:
                whole.append(sample)
        if not outside:
            return
        samples = len(self.train_set)
        text = (
            f"{outside} of {labelled} labelled training points, in {samples - len(whole)} of "
            f"{samples} samples, lie outside the network's region"
        )
        if not self.settings.data.skip_outside:
            self.notes.append(f"{text}: map losses leave them out")
            return
        if not whole:
            raise DataError(f"{text}, and data.skip_outside left nothing: enlarge data.box_scale")
        self.notes.append(f"{text}: data.skip_outside leaves these samples out")
        self.train_set = self._dataset(whole, self.settings.augmentation)
        self.train_set.crops.prepare()

    def require_shares(self) -> None:
        """Raises `SettingsError` where several processes cannot share the samples."""
        size = self.settings.trainer.batch_size
        if self._world == 1:
            return
        if len(self.train_set) < size:
            raise SettingsError(
                f"trainer.batch_size: {size} samples a step, but there are {len(self.train_set)} "
                "for training; several devices need a full batch: take a smaller one"
            )
        if 0 < len(self.val_set) < self._world:
            raise SettingsError(
                f"trainer.devices: {self._world} devices have only {len(self.val_set)} samples to "
                "validate on, which leaves some without one: take fewer devices"
            )

    def _loader(self, dataset: KeypointDataset, **options: Any) -> DataLoader[dict[str, Any]]:
        workers = self.settings.data.workers
        return DataLoader(
            dataset,
            batch_size=self.settings.trainer.batch_size // self._world,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        count, trainer = len(self.train_set), self.settings.trainer
        order = order_in_tars(self.train_set.samples, self.settings)
        sampler = EpochSampler(
            count, trainer.seed, trainer.batch_size, self._rank, self._world, order
        )
        # Workers begin to read before Lightning tells the epoch that a resumed run goes on with.
        sampler.set_epoch(self.first_epoch)
        return self._loader(
            self.train_set,
            sampler=sampler,
            drop_last=count >= trainer.batch_size,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        if self._world > 1 and len(self.val_set):
            own = range(self._rank, len(self.val_set), self._world)
            return self._loader(self.val_set, sampler=own)
        return self._loader(self.val_set)
