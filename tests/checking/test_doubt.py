"""Which images are chosen, on numbers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.checking.doubt import choose, features, jumps, together

COUNTS = st.integers(0, 40)


@given(st.integers(0, 2**32), COUNTS, st.integers(1, 50), st.integers(0, 9))
def test_choices_are_distinct_and_keep_their_gap(seed, total, count, gap):
    rng = np.random.default_rng(seed)
    frames = rng.permutation(total)
    videos = [["a", "b"][i] for i in rng.integers(0, 2, total)]
    chosen = choose(rng.random(total), rng.random((total, 3)), count, videos,
                    frames.tolist(), gap)  # fmt: skip
    places = [c.place for c in chosen]
    assert len(set(places)) == len(places) <= min(count, total)
    assert bool(places) == bool(total)
    for one in "ab":
        own = np.sort(frames[[i for i in places if videos[i] == one]])
        assert (np.diff(own) > gap).all()


@given(st.integers(0, 2**32), st.integers(1, 30))
def test_without_a_gap_all_are_chosen(seed, total):
    rng = np.random.default_rng(seed)
    doubt = rng.random(total)
    chosen = choose(doubt, rng.random((total, 2)), total)
    assert sorted(c.place for c in chosen) == list(range(total))
    assert chosen[0].place == doubt.argmax() and np.isnan(chosen[0].apart)


def test_fifty_alike_are_not_chosen():
    rng = np.random.default_rng(0)
    where = np.concatenate([rng.normal(0, 0.001, (50, 2)), rng.normal(0, 5, (10, 2))])
    doubt = np.concatenate([np.full(50, 1.0), np.full(10, 0.3)])
    chosen = [c.place for c in choose(doubt, where, 8)]
    assert chosen[0] < 50
    assert sum(i < 50 for i in chosen) <= 2


def test_doubt_is_by_ranks():
    doubt = together({"a": [0, 1, 1000], "b": [5, 5, 5], "c": [np.nan] * 3})
    assert doubt.tolist() == [0, 0.5, 1]
    assert together({"a": [1.0, np.nan, 3.0]}).tolist() == [0, 0.5, 1]
    assert together({"a": [2.0, 2.0]}).tolist() == [0.5, 0.5]
    assert together({}).tolist() == []


def test_a_jump_in_time():
    points = np.zeros((9, 2, 2)) + np.arange(9)[:, None, None]  # moves evenly
    points[4] += 3
    found = jumps(points, np.full(9, 2.0), range(9))
    assert np.nanargmax(found) == 4
    assert found[4] == pytest.approx(3 * np.sqrt(2) / 2)
    assert np.isnan(found[[0, 8]]).all()
    cut = jumps(points, np.full(9, 2.0), [0, 1, 2, 3, 50, 51, 52, 53, 54])
    assert np.isnan(cut[[3, 4]]).all()
    assert np.isnan(jumps(points[:2], np.ones(2), [0, 1])).all()


def test_features_count_the_same():
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 1, (200, 3)), rng.normal(0, 1000, (200, 3))
    where = features([a, b])
    assert where[:, :3].std() == pytest.approx(where[:, 3:].std(), rel=0.1)
    gap = np.linalg.norm(where[:100] - where[100:], axis=1)
    assert np.median(gap) == pytest.approx(1, abs=0.15)
    holes = a.copy()
    holes[0] = np.nan
    assert np.isfinite(features([holes])).all()
    assert features([np.zeros((4, 2))]).tolist() == np.zeros((4, 2)).tolist()
