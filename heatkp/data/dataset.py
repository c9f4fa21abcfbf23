"""Samples as network inputs: framing, augmentation, and shrunk photos kept in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from heatkp import coordinates as co
from heatkp.config import Augmentation
from heatkp.data.samples import Image, Sample, Visibility
from heatkp.data.transforms import Framing, Photometric, random_affine, shrink, shrink_factor, warp
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton


def as_rgb(image: Image) -> Image:
    """(H, W), (H, W, 1), (H, W, 3) or (H, W, 4) uint8 as (H, W, 3). Raises `DataError`."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or 0 in image.shape:
        raise DataError(f"an image is uint8 (H, W) or (H, W, C), not {image.dtype} {image.shape}")
    if image.ndim == 2:
        image = image[:, :, None]
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    if image.shape[2] not in (3, 4):
        raise DataError(f"an image has 1, 3 or 4 channels, not {image.shape[2]}")
    return image[:, :, :3]


def to_tensor(image: Image, grey: bool) -> torch.Tensor:
    """RGB (H, W, 3) as uint8 (C, H, W): the network's raw input, one channel when grey."""
    if grey:
        return torch.from_numpy(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[None])
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1)))


class KeypointDataset(Dataset[dict[str, Any]]):
    """Inputs of a list of samples.

    An item is asked for by `(epoch, index)`, or by `index` alone where nothing is augmented.
    All randomness of an item comes from (seed, epoch, index), so a run that was stopped and
    resumed sees what it would have seen. An item holds

    - `image`: uint8 (C, H, W);
    - `points`: float32 (K, 2), input pixels, NaN where not labelled;
    - `visibility`: uint8 (K,), codes of `Visibility`;
    - `matrix`: float64 (2, 3), photo pixels to input pixels;
    - `index`: the sample's place in the list.
    """

    def __init__(
        self,
        samples: Sequence[Sample],
        skeleton: Skeleton,
        framing: Framing,
        *,
        grey: bool = False,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        cache_mb: int = 0,
    ) -> None:
        self.samples = list(samples)
        self.skeleton = skeleton
        self.framing = framing
        self.grey = grey
        self.augmentation = augmentation
        self.seed = seed
        self._photometric = None if augmentation is None else Photometric(augmentation)
        self._room = cache_mb * 2**20
        self._cache: dict[int, tuple[Image, co.Matrix, co.Matrix]] = {}

    def __len__(self) -> int:
        return len(self.samples)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_cache": {}}  # a spawned worker fills its own

    def preload(self) -> None:
        """Read pictures into memory as far as there is room, before workers are forked."""
        for index in range(len(self)):
            if self._room <= 0:
                break
            self._photo(index)

    def _photo(self, index: int) -> tuple[Image, co.Matrix, co.Matrix]:
        """Shrunk picture, affine from photo to it, affine from photo to unaugmented input."""
        if index in self._cache:
            return self._cache[index]
        sample = self.samples[index]
        image = as_rgb(sample.image())
        try:
            frame = self.framing.matrix((image.shape[1], image.shape[0]), sample.box)
        except ValueError as error:
            raise DataError(f"{sample.id}: {error}") from None
        small, shrinking = shrink(image, shrink_factor(frame))
        entry = (small, shrinking, frame)
        if small.nbytes <= self._room:
            self._room -= small.nbytes
            self._cache[index] = entry
        return entry

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sample = self.samples[index]
        image, shrinking, matrix = self._photo(index)
        size = self.framing.size
        flipped = False
        rng = np.random.default_rng([self.seed, epoch, index])
        if self.augmentation is not None:
            change, flipped = random_affine(rng, self.augmentation, size)
            matrix = co.compose(matrix, change)
        picture = warp(image, co.compose(co.invert(shrinking), matrix), size)
        if self._photometric is not None:
            picture = self._photometric(picture, rng)
        points = co.apply(matrix, sample.points)
        visibility: npt.NDArray[np.uint8] = sample.visibility
        if flipped:
            points, visibility = points[self.skeleton.flip], visibility[self.skeleton.flip]
        points = np.where(visibility[:, None] > Visibility.NOT_LABELLED, points, np.nan)
        return {
            "image": to_tensor(picture, self.grey),
            "points": torch.from_numpy(points.astype(np.float32)),
            "visibility": torch.from_numpy(visibility.copy()),
            "matrix": torch.from_numpy(matrix),
            "index": index,
        }


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffles by (seed, epoch) alone and tells each item its epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[tuple[int, int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        return iter([(self.epoch, int(i)) for i in order])
