"""Suppression by OKS: what stays is the surest of those that are alike, whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.errors import SettingsError
from heatkp.evaluation.objects import oks
from heatkp.evaluation.objects.suppression import suppress_by_oks

SIGMAS = np.array([0.05, 0.1, 0.07])


@st.composite
def objects(draw):
    """Objects about some places, so that many are alike; equal scores, equal ones, points that
    were not found."""
    count = draw(st.integers(0, 12))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    centres = rng.uniform(0, 60, (3, 1, 2))
    points = centres[rng.integers(0, 3, count)] + np.array([[0, 0], [8, 0], [0, 8]])
    points = points + rng.choice([0.0, 0.5, 3.0], count)[:, None, None] * rng.normal(
        0, 1, points.shape
    )
    points[rng.random((count, 3)) < 0.15] = np.nan
    scores = rng.choice([0.2, 0.5, 0.9], count)
    return points, scores, rng.choice([64.0, 100.0], count)


def alike(points, areas, i, j):
    """OKS of two found objects, the definition pair by pair."""
    total, count = 0.0, 0
    for k, sigma in enumerate(SIGMAS):
        one, other = points[i, k], points[j, k]
        known = np.isfinite(one).all(), np.isfinite(other).all()
        if any(known):
            count += 1
        if all(known):
            variance = (2 * sigma) ** 2 * (areas[i] + areas[j]) / 2
            total += np.exp(-((one - other) ** 2).sum() / (2 * variance))
    return total / count if count else 0.0


@given(objects(), st.sampled_from([0.3, 0.7, 0.9, 1.0]), st.randoms())
def test_what_stays(made, threshold, random):
    points, scores, areas = made
    kept = suppress_by_oks(points, scores, areas, SIGMAS, threshold)
    assert len(set(kept.tolist())) == len(kept) and (len(kept) > 0) == (len(points) > 0)
    assert (np.diff(scores[kept]) <= 0).all()  # the surest first
    for a, i in enumerate(kept):
        for j in kept[:a]:
            assert alike(points, areas, i, j) <= threshold + 1e-9
    for i in set(range(len(points))) - set(kept.tolist()):  # for each that goes one that is surer
        surer = [j for j in kept if scores[j] >= scores[i]]
        assert any(alike(points, areas, i, j) > threshold - 1e-9 for j in surer)
    # Once more changes nothing, and neither does another order.
    again = suppress_by_oks(points[kept], scores[kept], areas[kept], SIGMAS, threshold)
    assert sorted(again.tolist()) == list(range(len(kept)))
    order = list(range(len(points)))
    random.shuffle(order)
    mixed = suppress_by_oks(points[order], scores[order], areas[order], SIGMAS, threshold)
    chosen = np.array(order, int)[mixed]
    np.testing.assert_array_equal(points[chosen], points[kept])
    np.testing.assert_array_equal(scores[chosen], scores[kept])


@given(objects())
def test_the_surest_stays(made):
    points, scores, areas = made
    if len(points):
        kept = suppress_by_oks(points, scores, areas, SIGMAS, 0.5)
        assert scores[kept[0]] == scores.max()


def test_it_is_the_same_oks_for_equal_areas():
    points = np.array([[[0.0, 0], [8, 0], [0, 8]], [[1.0, 0], [8, 2], [0, 8]]])
    value = float(oks(points[0], points[1], np.ones(3, bool), 81.0, SIGMAS))
    kept = [
        len(suppress_by_oks(points, [0.4, 0.6], [81.0, 81.0], SIGMAS, value + off))
        for off in (-1e-6, 1e-6)
    ]
    assert kept == [1, 2]


@pytest.mark.parametrize("threshold", [0.0, -1.0, 1.5, float("nan")])
def test_thresholds_that_cannot_be(threshold):
    with pytest.raises(SettingsError):
        suppress_by_oks(np.zeros((1, 3, 2)), [1.0], [1.0], SIGMAS, threshold)
