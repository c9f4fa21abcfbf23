"""The order in which samples of tar shards are trained on: shuffled, and read nearly in order."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.config import Settings
from heatkp.data.samples import Sample
from heatkp.data.tars import TarImage


def shard_order(
    shards: npt.ArrayLike, offsets: npt.ArrayLike, buffer: int, seed: int, epoch: int
) -> npt.NDArray[np.int64]:
    """A permutation of N samples in which those of a tar follow each other, about.

    The tars are put in a random order, which gives each sample a place s from 0, those of a tar
    in the order in which they lie there. Sample s then moves to s + u, u uniform in [0, buffer):
    as with a buffer that is filled in order and gives out one at random, but a sample is never
    `buffer` places or more from s. With a buffer of 1 only tars are shuffled.

    Args:
        shards: (N,) the number of each sample's tar.
        offsets: (N,) where each begins in its tar.
        buffer: in samples, 1 or more.
        seed, epoch: what the order is a function of, together with the others.

    Returns:
        (N,) places of samples.

    >>> shard_order([0, 0, 0, 1, 1, 1], [512, 2048, 4096] * 2, 1, seed=0, epoch=5).tolist()
    [3, 4, 5, 0, 1, 2]
    """
    numbers = np.asarray(shards, np.int64)
    rng = np.random.default_rng([seed, epoch])
    _, number = np.unique(numbers, return_inverse=True)
    turn = rng.permutation(int(number.max(initial=-1)) + 1)
    in_turn = np.lexsort((np.asarray(offsets, np.int64), turn[number]))
    moved = np.arange(len(in_turn)) + buffer * rng.random(len(in_turn))
    return np.asarray(in_turn[np.argsort(moved, kind="stable")], np.int64)


class Places(NamedTuple):
    """The number of each sample's tar, and where it begins there, (N,) each."""

    shards: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]


def places_in_shards(samples: Sequence[Sample]) -> Places | None:
    """Where samples lie; None unless all of them are in tars."""
    numbers: dict[Path, int] = {}
    found = []
    for sample in samples:
        if not isinstance(sample.image, TarImage):
            return None
        image = sample.image
        found.append((numbers.setdefault(image.path, len(numbers)), image.offset))
    return Places(*np.array(found, np.int64).T) if found else None


Order = Callable[[int], npt.NDArray[np.int64]]
"""The permutation of an epoch."""


def order_in_tars(samples: Sequence[Sample], settings: Settings) -> Order | None:
    """How training samples in tars are shuffled, where they are more than `data.shuffle_buffer`;
    None where any order is as likely as another.

    Whether crops are cached does not count: a run may go on, or be repeated, with another cache.
    """
    buffer = settings.data.shuffle_buffer
    places = places_in_shards(samples) if len(samples) > buffer else None
    if places is None:
        return None
    return partial(shard_order, *places, buffer, settings.trainer.seed)


def order_notes(samples: Sequence[Sample], settings: Settings) -> list[str]:
    """A line where `order_in_tars` gives an order."""
    if order_in_tars(samples, settings) is None:
        return []
    return [
        "tars are read one after the other, in a random order, and training samples are shuffled "
        f"within {settings.data.shuffle_buffer} (data.shuffle_buffer)"
    ]
