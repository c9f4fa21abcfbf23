"""The arithmetic behind what the IMM labels are worth."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest


@pytest.fixture(scope="module")
def labels(script):
    return script("labels")


def test_along_and_across(labels):
    """Errors on a slanted line, one along it and one across, of either sign."""
    direction = np.array([0.6, 0.8])
    line = (np.arange(5)[:, None] * 7 * direction)[None]
    normal = np.array([0.8, -0.6])
    along, across = labels.along_and_across(3 * direction - 2 * normal + 0 * line, line)
    assert along == pytest.approx(np.full((1, 5), 3.0))
    assert across == pytest.approx(np.full((1, 5), -2.0))
    assert labels.rms(across) == pytest.approx(2.0)


def test_pairs_are_photos_1_and_5_that_are_labelled_right(labels):
    rng = np.random.default_rng(0)
    names = tuple(
        f"{part}_{i}" for part in ("left_eye", "right_eye", "nose", "jaw") for i in (0, 1, 2)
    )
    groups = labels.parts(names)
    assert groups["nose"] == [6, 7, 8]
    face = rng.normal(size=(12, 2))
    moved = face + np.array([5.0, 1.0])
    moved[10] += 2.0  # one jaw point, which does not take part in the fit
    ids = {
        "01-1m": face,
        "01-5m": moved,
        "02-1f": face,
        "36-1m": face,
        "36-5m": moved,
        "03-2m": face,
    }
    samples = [SimpleNamespace(id=name, points=points) for name, points in ids.items()]
    gaps, points = labels.repeated(samples, groups)
    assert gaps.shape == (1, 12, 2)  # 02 has no image 5; the labels of 36-5m are reversed
    expected = np.zeros((12, 2))
    expected[10] = -2.0
    assert gaps[0] == pytest.approx(expected, abs=1e-9)
    table = labels.rows(gaps, points, groups, 0.5)
    mse = 0.5 * (4 / 640**2 + 4 / 480**2) / 24
    assert table[0] == f"| all | {mse:.2e} | 100% | - | - |"
