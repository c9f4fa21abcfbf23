"""Which samples the images of a run show."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.data.dataset import KeypointDataset
from heatkp.data.drawn import drawn_sample
from heatkp.data.transforms import Framing
from heatkp.evaluation.metrics import Errors
from heatkp.skeletons import FACE68
from heatkp.viz import figures


def test_best_and_worst_by_hand():
    mean = [3.0, np.nan, 1.0, 9.0, 5.0, np.inf, 7.0]
    assert figures.best_and_worst(mean, 2) == ([2, 0], [6, 3])
    assert figures.best_and_worst(mean, 1) == ([2], [3])
    assert figures.best_and_worst(mean, 4) == ([2, 0, 4, 6], [0, 4, 6, 3])
    assert figures.best_and_worst(mean, 9) == ([2, 0, 4, 6, 3],) * 2
    assert figures.best_and_worst([2.0, 1.0, 1.0, 2.0], 2) == ([1, 2], [0, 3])


@given(st.lists(st.one_of(st.floats(0, 100), st.just(float("nan"))), max_size=20),
       st.integers(1, 8))  # fmt: skip
def test_no_sample_is_better_than_the_best(mean, count):
    best, worst = figures.best_and_worst(mean, count)
    known = sorted(m for m in mean if np.isfinite(m))
    assert [mean[i] for i in best] == known[:count]
    assert [mean[i] for i in worst] == known[-count:]


def test_mean_distance_by_hand():
    """In input pixels, of labelled points."""
    truth = np.zeros((3, 2, 2))
    labelled = np.array([[True, True], [True, False], [False, False]])
    image_points = np.array([[[3, 4], [0, 0]], [[6, 8], [90, 0]], [[1, 1], [1, 1]]], float)
    to_input = np.stack([co.scaling(2, 2)] * 3)
    errors = Errors(image_points, truth, to_input, labelled, np.full((3, 4), np.nan), (64, 64))
    np.testing.assert_allclose(figures.mean_distance(errors), [5, 20, np.nan])


def test_predictions_show_the_best_and_the_worst(monkeypatch, tmp_path):
    samples = [drawn_sample(0, i, FACE68) for i in range(5)]
    dataset = KeypointDataset(samples, FACE68, Framing((48, 48)))
    off = np.array([3.0, 1.0, 5.0, 2.0, 4.0])[:, None, None] * [1.0, 0.0]
    points = np.stack([s.points for s in samples]) + off
    matrices = np.stack([dataset[i]["matrix"].numpy() for i in range(5)])
    truth = np.stack([s.points for s in samples]).astype(np.float64)
    labelled = np.ones((5, 68), bool)
    errors = Errors(points, truth, matrices, labelled, np.full((5, 4), np.nan), (48, 48))
    shown = []
    monkeypatch.setattr(figures, "show_image", lambda axis, image, title="": shown.append(title))
    figures.predictions(errors, dataset, tmp_path / "a.png", count=2)
    assert [t.partition(":")[0] for t in shown] == [samples[i].id for i in (1, 3, 4, 2)]


@pytest.mark.parametrize("count", [1, 6])
def test_few_samples_are_all_shown(count):
    assert figures.best_and_worst([1.0], count) == ([0], [0])
    assert figures.best_and_worst([], count) == ([], [])
