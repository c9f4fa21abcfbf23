"""The Lightning data module: data sets and loaders of a run."""

from __future__ import annotations

from typing import Any

import cv2
import lightning.pytorch as pl
import torch
from torch.utils.data import DataLoader

from heatkp.config import Augmentation, Settings
from heatkp.data.dataset import EpochSampler, KeypointDataset
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.transforms import Framing


def _one_thread(_: int) -> None:
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


class KeypointDataModule(pl.LightningDataModule):
    """Loaders of a run's training and validation samples."""

    def __init__(self, settings: Settings, data: KeypointData) -> None:
        super().__init__()
        self.settings, self.data = settings, data
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
            cache_mb=s.data.cache_mb,
        )

    def preload(self) -> None:
        """Read what fits into memory; raises `DataError` for the first picture that is bad."""
        self.train_set.preload()
        self.val_set.preload()

    def _loader(self, dataset: KeypointDataset, **options: Any) -> DataLoader[dict[str, Any]]:
        workers = self.settings.data.workers
        return DataLoader(
            dataset,
            batch_size=self.settings.trainer.batch_size,
            num_workers=workers,
            persistent_workers=workers > 0,
            worker_init_fn=_one_thread,
            pin_memory=torch.cuda.is_available(),
            **options,
        )

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        count = len(self.train_set)
        return self._loader(
            self.train_set,
            sampler=EpochSampler(count, self.settings.trainer.seed),
            drop_last=count >= self.settings.trainer.batch_size,
        )

    def val_dataloader(self) -> DataLoader[dict[str, Any]]:
        return self._loader(self.val_set)
