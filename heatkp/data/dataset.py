"""Samples as network inputs: framing, augmentation, tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, Sampler

from heatkp import coordinates as co
from heatkp.config import Augmentation
from heatkp.data.crops import CropSource
from heatkp.data.samples import Image, Sample, Visibility
from heatkp.data.shard_order import Order
from heatkp.data.soft_labels import SoftLabels
from heatkp.data.transforms import Framing, Photometric, jittered, random_affine, reach, warp
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton


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
    - `matrix`: float64 (2, 3), image pixels to input pixels;
    - `index`: the sample's place in the list;
    - with soft labels, `mixture` and `weights` (K,): what is known of the points, in input pixels,
      and what each counts.
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
        cache: Path | None = None,
        cache_limit: int = 2**62,
        soft: SoftLabels | None = None,
    ) -> None:
        self.samples = list(samples)
        self.soft = soft
        self.skeleton = skeleton
        self.framing = framing
        self.grey = grey
        if augmentation is not None and skeleton.unpaired:  # no labels for mirrored images
            augmentation = augmentation.model_copy(update={"flip": 0.0})
        self.augmentation = augmentation
        self.seed = seed
        self._photometric = None if augmentation is None else Photometric(augmentation)
        margin = 1.0 if augmentation is None else reach(augmentation, framing)
        self.crops = CropSource(self.samples, framing, margin, cache, cache_limit)

    def __len__(self) -> int:
        return len(self.samples)

    def take(self, indices: Sequence[int]) -> KeypointDataset:
        """Some of the samples, without augmentation."""
        samples = [self.samples[i] for i in indices]
        return KeypointDataset(samples, self.skeleton, self.framing, grey=self.grey)

    def inside(self, index: int) -> npt.NDArray[np.bool_]:
        """Which points (K,) of a sample lie in the input when nothing is augmented."""
        seen = co.apply(self.plain_matrix(index), self.samples[index].points)
        return np.asarray(co.inside(seen, *self.framing.size))

    def plain_matrix(self, index: int) -> co.Matrix:
        """From a sample's image to its input where nothing is augmented, (2, 3)."""
        sample = self.samples[index]
        # A box gives the region by itself, without a look at the image, unless that cuts it.
        framing = self.framing
        boxed = sample.box is not None and framing.box_scale is not None and not framing.inside
        try:
            return framing.matrix((1, 1) if boxed else self.crops[index].size, sample.box)
        except ValueError as error:
            raise DataError(f"{sample.id}: {error}") from None

    def box_seen(self, index: int, matrix: co.Matrix) -> npt.NDArray[np.float64]:
        """The edges (4,) around a sample's box in an input that `matrix` (2, 3) leads to; NaN
        without a box."""
        box = self.samples[index].box
        if box is None:
            return np.full(4, np.nan)
        corners = np.asarray(box, np.float64)[[[0, 1], [2, 1], [0, 3], [2, 3]]]
        moved = co.apply(matrix, corners)
        return np.concatenate([moved.min(0), moved.max(0)])

    def _augmented(
        self, rng: np.random.Generator, sample: Sample, size: tuple[int, int]
    ) -> tuple[co.Matrix, bool]:
        """A random affine from image to input, and whether it mirrors."""
        settings = self.augmentation
        plain = self.framing.matrix(size, sample.box)
        if settings is None:
            return plain, False
        for _ in range(settings.retries + 1):
            matrix = plain
            if settings.box_jitter and sample.box is not None:
                box = jittered(rng, sample.box, settings.box_jitter)
                matrix = self.framing.matrix(size, box)
            change, flipped = random_affine(rng, settings, self.framing.size)
            matrix = co.compose(matrix, change)
            if not settings.retries:
                return matrix, flipped
            labelled = sample.visibility > Visibility.NOT_LABELLED
            if co.inside(co.apply(matrix, sample.points[labelled]), *self.framing.size).all():
                return matrix, flipped
        return plain, False

    def __getitem__(self, key: int | tuple[int, int]) -> dict[str, Any]:
        epoch, index = key if isinstance(key, tuple) else (0, key)
        sample = self.samples[index]
        crop = self.crops[index]
        size = self.framing.size
        rng = np.random.default_rng([self.seed, epoch, index])
        matrix, flipped = self._augmented(rng, sample, crop.size)
        pixels = warp(crop.image, co.compose(co.invert(crop.matrix), matrix), size)
        if self._photometric is not None:
            pixels = self._photometric(pixels, rng)
        points = co.apply(matrix, sample.points)
        visibility: npt.NDArray[np.uint8] = sample.visibility
        if flipped:
            points, visibility = points[self.skeleton.flip], visibility[self.skeleton.flip]
        points = np.where(visibility[:, None] > Visibility.NOT_LABELLED, points, np.nan)
        item = {
            "image": to_tensor(pixels, self.grey),
            "points": torch.from_numpy(points.astype(np.float32)),
            "visibility": torch.from_numpy(visibility.copy()),
            "matrix": torch.from_numpy(matrix),
            "index": index,
        }
        if self.soft is not None:
            plain = self.framing.matrix(crop.size, sample.box)
            order = self.skeleton.flip if flipped else None
            item["mixture"], item["weights"] = self.soft.target(sample, matrix, plain, order)
        return item


class EpochSampler(Sampler[tuple[int, int]]):
    """Shuffles by (seed, epoch) alone and tells each item its epoch.

    Processes that train together share one order: of each batch of `batch` samples the process
    `rank` of `world` takes its part, and what fills no batch is left out.

    Args:
        order: gives the permutation of an epoch; None: any order is as likely as another.
    """

    def __init__(
        self,
        count: int,
        seed: int,
        batch: int = 1,
        rank: int = 0,
        world: int = 1,
        order: Order | None = None,
    ) -> None:
        self.count, self.seed, self.epoch = count, seed, 0
        self.batch, self.rank, self.world = batch, rank, world
        self._order = order

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning before each epoch, also after a resume."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count if self.world == 1 else self.count // self.batch * self._share

    @property
    def _share(self) -> int:
        return self.batch // self.world

    def __iter__(self) -> Iterator[tuple[int, int]]:
        if self._order is not None:
            order = self._order(self.epoch)
        else:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(self.count)
        if self.world > 1:
            batches = order[: self.count // self.batch * self.batch].reshape(-1, self.batch)
            own = self.rank * self._share
            order = batches[:, own : own + self._share].ravel()
        return iter([(self.epoch, int(i)) for i in order])
