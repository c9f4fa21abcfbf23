"""The order of samples in tars: a permutation that is read nearly in order."""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import parse_settings
from heatkp.data.dataset import EpochSampler
from heatkp.data.images import STORED
from heatkp.data.module import KeypointDataModule
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.scenes import scenes_of
from heatkp.data.shard_order import places_in_shards, shard_order
from heatkp.data.tars import TarImage
from heatkp.skeletons import named
from heatkp.training.finder_module import FinderData

sets = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 10**12)), max_size=60, unique=True)


@given(sets, st.integers(1, 80), st.integers(0, 9), st.integers(0, 9))
def test_a_permutation_near_the_order_of_the_tars(places, buffer, seed, epoch):
    shards, offsets = [p[0] for p in places], [p[1] for p in places]
    order = shard_order(shards, offsets, buffer, seed, epoch)
    assert order.dtype == np.int64 and sorted(order) == list(range(len(places)))
    assert np.array_equal(order, shard_order(shards, offsets, buffer, seed, epoch))
    # The order of tars is that of a buffer of one sample.
    in_turn = shard_order(shards, offsets, 1, seed, epoch)
    turns = [shards[i] for i in in_turn]
    assert sum(a != b for a, b in pairwise(turns)) == max(len(set(shards)) - 1, 0)
    for shard in set(shards):
        own = [offsets[i] for i in in_turn if shards[i] == shard]
        assert own == sorted(own)
    if len(places):
        rank = np.argsort(order)
        assert abs(rank[in_turn] - np.arange(len(places))).max() < buffer


def test_it_depends_on_seed_and_epoch_and_mixes_tars():
    shards, offsets = np.arange(1000) // 100, np.arange(1000)
    orders = [tuple(shard_order(shards, offsets, 50, s, e)) for s in range(3) for e in range(3)]
    assert len(set(orders)) == 9
    order = shard_order(shards, offsets, 300, 0, 0)
    several = [len(set(shards[order[i : i + 32]])) for i in range(100, 900, 32)]
    assert min(several) > 1 and np.mean(several) > 3
    assert [len(set(shards[shard_order(shards, offsets, 1, 0, e)][:100])) for e in range(5)] == [
        1] * 5  # fmt: skip
    firsts = {int(shard_order(shards, offsets, 1, 0, e)[0]) // 100 for e in range(60)}
    assert firsts == set(range(10))


def in_tars(counts):
    """Samples in tars, so many in each, in no order."""
    found = [
        Sample(TarImage(Path(f"{t}.tar"), STORED, f"{i}.png", 512 + 1024 * i, 9), [[1, 2]],
               file=f"{t}.tar", id=f"{t}/{i}")
        for t, count in enumerate(counts) for i in range(count)
    ]  # fmt: skip
    return [found[i] for i in np.random.default_rng(0).permutation(len(found))]


def test_places_of_samples():
    samples = in_tars([3, 2])
    shards, offsets = places_in_shards(samples)
    assert len({(s, t.id[0]) for s, t in zip(shards, samples)}) == 2
    assert offsets.tolist() == [512 + 1024 * int(s.id[2:]) for s in samples]
    assert places_in_shards([*samples, Sample("a.png", [[1, 2]])]) is None
    assert places_in_shards([]) is None


def sampler_of(samples, **data):
    settings = parse_settings({"data": {"format": "memory", "workers": 0, **data}})
    module = KeypointDataModule(settings, KeypointData(named("p", ["nose"]), samples, []))
    return module.train_dataloader().sampler, module


@pytest.mark.parametrize("cache", ["none", "auto"])
def test_training_goes_through_tars(cache):
    """Whether crops are cached changes no order; what fits the buffer is shuffled as any set."""
    samples = in_tars([40, 40, 40])
    sampler, module = sampler_of(samples, shuffle_buffer=10, cache=cache)
    assert isinstance(sampler, EpochSampler) and len(sampler) == 120
    for epoch in (0, 3):
        sampler.set_epoch(epoch)
        keys = list(sampler)
        assert {e for e, _ in keys} == {epoch}
        order = [i for _, i in keys]
        shards, offsets = places_in_shards(samples)
        assert order == shard_order(shards, offsets, 10, 0, epoch).tolist()
        first = [samples[i].file for i in order[:30]]
        assert len(set(first)) == 1
    plain, _ = sampler_of(samples, shuffle_buffer=120, cache=cache)
    assert list(plain) == list(EpochSampler(120, module.settings.trainer.seed))


def test_processes_share_the_order():
    samples = in_tars([20, 20])
    places = places_in_shards(samples)
    order = partial(shard_order, *places, 5, 0)
    own = [[i for _, i in EpochSampler(40, 0, 8, rank, 2, order)] for rank in range(2)]
    batches = order(0).reshape(5, 8)
    for rank, taken in enumerate(own):
        assert taken == batches[:, 4 * rank : 4 * rank + 4].ravel().tolist()


def test_a_finder_goes_through_tars():
    scenes = scenes_of(in_tars([20, 20, 20]))
    settings = parse_settings({"data": {"workers": 0, "shuffle_buffer": 4}})
    module = FinderData(settings, (64, 64), scenes, [])
    order = [i for _, i in module.train_dataloader().sampler]
    places = places_in_shards([scene.image for scene in scenes])
    assert order == shard_order(*places, 4, settings.trainer.seed, 0).tolist()
