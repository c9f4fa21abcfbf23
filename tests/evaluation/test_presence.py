"""Scores of points that are labelled against those of points that are not."""

from __future__ import annotations

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp import load_model
from heatkp.errors import SettingsError
from heatkp.evaluation.metrics import Errors, summarise
from heatkp.evaluation.metrics.presence import presence
from heatkp.skeletons import skeleton_of
from tests.conftest import heatkp


def errors_of(scores, labelled):
    scores, labelled = np.array(scores, float), np.array(labelled, bool)
    points = np.zeros((*scores.shape, 2))
    truth = np.where(labelled[..., None], points, np.nan)
    count = len(points)
    return Errors(points, truth, np.tile(np.eye(2, 3), (count, 1, 1)), labelled,
                  np.full((count, 4), np.nan), (10, 10), scores)  # fmt: skip


def test_by_hand():
    errors = errors_of([[0.9, 0.2, 0.6], [0.6, 0.7, 0.1]], [[1, 0, 1], [1, 0, 1]])
    # 0.9 is above both, the two 0.6 above 0.2 alone, 0.1 above none: 4 of 8 pairs.
    assert presence(errors, None) == pytest.approx(4 / 8)
    assert summarise(errors, skeleton_of(None, 3))["presence"] == pytest.approx(4 / 8)
    assert presence(errors_of([[0.5, 0.5]], [[1, 0]]), None) == 0.5


@pytest.mark.parametrize("errors", [
    errors_of([[0.9, 0.2]], [[1, 1]]),  # all are labelled
    errors_of([[0.9, 0.2]], [[0, 0]]),  # an image without labels says nothing
    errors_of([[np.nan, np.nan]], [[1, 0]]),
    replace(errors_of([[0.9, 0.2]], [[1, 0]]), scores=None),
])  # fmt: skip
def test_where_there_is_none(errors):
    assert presence(errors, None) is None


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_it_is_the_fraction_of_pairs(points):
    scores, labelled = (np.array(part)[None] for part in zip(*points))
    found = presence(errors_of(scores / 5, labelled), None)
    there, others = scores[labelled], scores[~labelled]
    if not len(there) or not len(others):
        assert found is None
    else:
        pairs = there[:, None] - others[None]
        assert found == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())


def test_points_that_are_not_sure_are_left_out(tiny_run, tmp_path):
    model = load_model(tiny_run)
    image = tmp_path / "a.png"
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8))
    (whole,) = model.predict(image, "image", passes=1)
    least = float(np.median(whole.scores))
    (found,) = model.predict(image, "image", passes=1, min_point_score=least)
    unsure = whole.scores < least
    assert unsure.any() and not unsure.all()
    assert np.isnan(found.points[unsure]).all()
    assert np.array_equal(found.points[~unsure], whole.points[~unsure])
    assert np.array_equal(found.scores, whole.scores)
    if found.covariance is not None:
        assert np.isnan(found.covariance[unsure]).all()
    with pytest.raises(SettingsError):
        model.predict(image, "image", min_point_score=1.5)
    out = tmp_path / "out"
    done = heatkp("predict", image, "--model", tiny_run, "--boxes", "image", "--passes", 1,
                  "--min-point-score", least, "--out", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    table = json.loads((out / "points.json").read_text())
    assert table["options"]["min_point_score"] == least
    (one,) = table["images"][0]["objects"]
    assert [p["x"] is None for p in one["points"]] == unsure.tolist()
    assert all(p["score"] is not None for p in one["points"])
