"""Smoothed paths against known ones: nearer to them, and as unsure as they are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.errors import DataError, SettingsError
from heatkp.tracking.smoothing import SmoothOptions, smooth


def paths(count=300, width=12, strength=0.02, noise=2.0, seed=0):
    """True points (T, K, 2) that random accelerations move, measurements, and their covariances,
    which differ between frames and are longer in one direction."""
    rng = np.random.default_rng(seed)
    # As the continuous model has it: velocity and position get correlated parts.
    root = np.linalg.cholesky(np.array([[1 / 3, 1 / 2], [1 / 2, 1]]) * strength)
    kick = rng.normal(0, 1, (count, width, 2, 2)) @ root.T
    velocity, place = np.zeros((width, 2)), rng.uniform(0, 300, (width, 2))
    true = np.empty((count, width, 2))
    for t in range(count):
        true[t] = place
        place = place + velocity + kick[t, ..., 0]
        velocity = velocity + kick[t, ..., 1]
    angle = rng.uniform(0, np.pi, (count, width))
    turn = np.stack([np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle)], -1)
    turn = turn.reshape(count, width, 2, 2)
    sizes = noise * rng.uniform(0.5, 1.5, (count, width, 1)) * np.array([1.5, 0.5])
    half = turn * sizes[..., None, :]
    covariance = half @ np.swapaxes(half, 2, 3)
    measured = true + np.einsum("...ij,...j->...i", half, rng.normal(0, 1, true.shape))
    return true, measured, covariance


def error(found, true, where=None):
    off = np.linalg.norm(found - true, axis=2)
    return float(np.sqrt(np.nanmean(np.square(off if where is None else off[where]))))


def nees(found, covariance, true):
    """Squared error over its covariance; 2 on average where the covariance is right."""
    off = (found - true)[..., None]
    return float((np.swapaxes(off, 2, 3) @ np.linalg.solve(covariance, off)).mean())


@pytest.mark.parametrize("strength", [0.001, 0.02, 0.5])
@pytest.mark.parametrize("calibrate", [True, False])
def test_nearer_to_the_truth_and_as_unsure_as_wrong(strength, calibrate):
    true, measured, covariance = paths(strength=strength)
    told = smooth(measured, covariance, options=SmoothOptions(calibrate=calibrate))
    assert told.used.mean() > 0.995
    assert error(told.points, true) < (0.85 if strength > 0.1 else 0.6) * error(measured, true)
    assert nees(told.points, told.covariance, true) == pytest.approx(2.0, rel=0.15)
    assert np.median(told.acceleration) == pytest.approx(strength, rel=0.9)
    assert np.median(told.factor) == pytest.approx(1.0, rel=0.25)


def test_the_covariance_counts():
    """Frames that are known to be unsure pull less."""
    true, measured, covariance = paths(seed=3)
    rng = np.random.default_rng(1)
    unsure = rng.random(true.shape[:2]) < 0.3
    measured[unsure] += rng.normal(0, 12, (unsure.sum(), 2))
    covariance[unsure] += 144 * np.eye(2)
    known = smooth(measured, covariance)
    equal = smooth(measured)
    assert error(known.points, true) < 0.7 * error(equal.points, true)
    assert nees(known.points, known.covariance, true) == pytest.approx(2.0, rel=0.15)


@pytest.mark.parametrize("factor", [0.05, 30.0])
def test_covariances_of_another_scale_are_put_right(factor):
    true, measured, covariance = paths(seed=1)
    told = smooth(measured, factor * covariance)
    assert np.median(told.factor) == pytest.approx(1 / factor, rel=0.3)
    assert nees(told.points, told.covariance, true) == pytest.approx(2.0, rel=0.2)
    plain = smooth(measured, factor * covariance, options=SmoothOptions(calibrate=False))
    assert not 1.5 < nees(plain.points, plain.covariance, true) < 2.5


def test_without_covariances():
    true, measured, _ = paths(seed=2)
    told = smooth(measured)
    assert error(told.points, true) < 0.7 * error(measured, true)
    assert 1.4 < nees(told.points, told.covariance, true) < 2.6


def test_gaps_are_bridged_and_grow_unsure():
    true, measured, covariance = paths(seed=4, strength=0.005)
    measured[100:111] = np.nan
    measured[200:231] = np.nan
    measured[:5, 0] = measured[-7:, 0] = np.nan
    told = smooth(measured, covariance, options=SmoothOptions(bridge=12))
    assert np.isfinite(told.points[100:111]).all() and np.isnan(told.points[200:231]).all()
    assert np.isnan(told.points[:5, 0]).all() and np.isnan(told.points[-7:, 0]).all()
    assert np.isfinite(told.points[:200, 1]).all()
    size = np.sqrt(np.trace(told.covariance, axis1=2, axis2=3)).mean(1)
    assert size[105] > 1.3 * size[90] and (np.diff(size[100:105]) > 0).all()
    inside = np.zeros(true.shape[:2], bool)
    inside[100:111] = True
    off = (told.points - true)[100:111][..., None]
    own = np.swapaxes(off, 2, 3) @ np.linalg.solve(told.covariance[100:111], off)
    assert 0.8 < own.mean() < 4.0  # one gap of twelve points: few independent values
    assert not told.used[100:111].any()


def test_outliers_do_not_count():
    true, measured, covariance = paths(seed=5)
    rng = np.random.default_rng(0)
    bad = rng.random(true.shape[:2]) < 0.05
    measured[bad] += 60 * rng.choice([-1, 1], (bad.sum(), 2))
    told = smooth(measured, covariance)
    assert told.used[bad].mean() < 0.02 and told.used[~bad].mean() > 0.97
    assert error(told.points, true) < 0.7 * error(measured, true, ~bad)


def test_low_scores_do_not_count():
    true, measured, covariance = paths(seed=6)
    scores = np.full(true.shape[:2], 0.9)
    bad = np.random.default_rng(0).random(true.shape[:2]) < 0.1
    measured[bad] += 4.0  # too little for an outlier
    scores[bad] = 0.1
    told = smooth(measured, covariance, scores)
    assert not told.used[bad].any() and told.used[~bad].mean() > 0.99
    kept = smooth(measured, covariance, scores, SmoothOptions(least_score=0.05))
    assert kept.used[bad].mean() > 0.5
    assert error(told.points, true) < error(kept.points, true)
    assert smooth(measured, covariance, np.full_like(scores, np.nan)).used[bad].any()


def test_a_jump_is_followed():
    """What stays elsewhere was no outlier."""
    true = np.zeros((100, 1, 2))
    true[50:] = 80.0
    measured = true + np.random.default_rng(0).normal(0, 1, true.shape)
    told = smooth(measured, np.broadcast_to(np.eye(2), (100, 1, 2, 2)))
    assert np.abs(told.points[60:] - 80).max() < 6 and np.abs(told.points[:40]).max() < 6
    assert told.used[56:].all()


def test_nothing_and_little():
    none = smooth(np.full((4, 2, 2), np.nan))
    assert np.isnan(none.points).all() and not none.used.any()
    one = smooth(np.full((1, 1, 2), 7.0))
    assert one.points.tolist() == [[[7.0, 7.0]]]
    few = np.full((9, 2, 2), np.nan)
    few[[2, 5], 0] = [[1, 1], [4, 4]]
    told = smooth(few)
    assert told.points[2:6, 0, 0] == pytest.approx([1, 2, 3, 4], abs=0.01)
    assert np.isnan(told.points[:, 1]).all() and len(smooth(np.zeros((0, 3, 2))).points) == 0


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.floats(0, 0.9), st.integers(1, 40), st.integers(1, 3))
def test_whatever_is_missing(seed, share, count, width):
    """Finite between a point's first and last frame, NaN elsewhere, symmetric and positive."""
    _, measured, covariance = paths(count, width, seed=seed)
    gone = np.random.default_rng(seed).random((count, width)) < share
    measured[gone] = np.nan
    told = smooth(measured, covariance, options=SmoothOptions(bridge=count, doubt=1e-12))
    for k in range(width):
        places = np.flatnonzero(told.used[:, k])
        inside = np.zeros(count, bool)
        if len(places):
            inside[places[0] : places[-1] + 1] = True
        assert (np.isfinite(told.points[:, k, 0]) == inside).all()
        own = told.covariance[inside, k]
        assert np.allclose(own, np.swapaxes(own, 1, 2)) and (np.linalg.eigvalsh(own) > 0).all()


def test_shapes_and_options_that_cannot_be():
    points = np.zeros((5, 2, 2))
    for bad in (np.zeros((5, 2)), np.zeros((5, 2, 3))):
        with pytest.raises(DataError):
            smooth(bad)
    with pytest.raises(DataError):
        smooth(points, np.zeros((5, 2, 2)))
    with pytest.raises(DataError):
        smooth(points, scores=np.zeros(5))
    with pytest.raises(SettingsError):
        SmoothOptions(bridge=-1)
    with pytest.raises(SettingsError):
        SmoothOptions(doubt=0)
