"""`heatkp.evaluate`: points in arrays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import heatkp
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import FACE68


def pair(count=4, points=68, seed=0):
    rng = np.random.default_rng(seed)
    true = rng.uniform(0, 200, (count, points, 2))
    return true + rng.normal(0, 2, true.shape), true


def test_figures_by_hand():
    predicted, true = pair()
    metrics = heatkp.evaluate(predicted, true, skeleton="face68")
    distance = np.linalg.norm(predicted - true, axis=2)
    gap = np.linalg.norm(true[:, 36] - true[:, 45], axis=1)
    assert metrics["mae_photo"] == pytest.approx(np.abs(predicted - true).mean())
    assert metrics["distance_photo"] == pytest.approx(distance.mean())
    nme = metrics["normalised"]["inter-ocular"]["nme"]
    assert nme == pytest.approx((distance / gap[:, None]).mean())
    assert metrics["points"][30]["name"] == "nose_tip"
    assert metrics["mse_normalised"] is None and metrics["outside_input"] == 0


def test_only_visible_points_count():
    predicted, true = pair(points=3)
    visible = np.array([[2, 1, 0]] * 4)
    predicted[:, 2] += 50
    metrics = heatkp.evaluate(predicted, true, visible)
    assert metrics["labelled_points"] == 8
    assert metrics["mae_photo"] == pytest.approx(np.abs(predicted - true)[:, :2].mean())
    true[0, 0] = np.nan
    assert heatkp.evaluate(predicted, true)["labelled_points"] == 11
    with pytest.raises(DataError, match=r"visible.*0"):
        heatkp.evaluate(predicted, true, visible)


@given(st.integers(0, 1000), st.floats(0.5, 20))
def test_errors_scale_with_the_image(seed, factor):
    predicted, true = pair(3, 4, seed)
    plain = heatkp.evaluate(predicted, true, normaliser=[10.0, 20.0, 30.0])
    large = heatkp.evaluate(
        factor * predicted, factor * true, normaliser=factor * np.array([10.0, 20.0, 30.0])
    )
    assert large["mae_photo"] == pytest.approx(factor * plain["mae_photo"])
    one, two = (m["normalised"]["given"]["nme"] for m in (plain, large))
    assert one == pytest.approx(two) and list(plain["normalised"]) == ["given"]


def test_boxes_and_a_chosen_normaliser():
    predicted, true = pair(2, 4)
    boxes = np.array([[0, 0, 30, 40], [0, 0, 60, 80]])
    found = heatkp.evaluate(predicted, true, boxes=boxes, normaliser="box-diagonal")["normalised"]
    distance = np.linalg.norm(predicted - true, axis=2)
    assert found["box-diagonal"]["nme"] == pytest.approx((distance / [[50], [100]]).mean())


def test_no_answer_is_a_failure():
    predicted, true = pair(2)
    predicted[0, 5] = np.nan
    block = heatkp.evaluate(predicted, true, skeleton=FACE68)["normalised"]["inter-ocular"]
    assert block["failure_rate"] >= 0.5 and block["nme"] is None


@pytest.mark.parametrize(
    ("change", "kind", "words"),
    [
        ({"true": np.zeros((4, 3, 2))}, DataError, r"\(4, 68, 2\).*\(4, 3, 2\)"),
        ({"predicted": "nowhere"}, DataError, r"predicted.*\(N, K, 2\)"),
        ({"predicted": np.zeros((4, 68, 3))}, DataError, r"\(4, 68, 3\)"),
        ({"skeleton": "face58"}, SettingsError, "68.*58"),
        ({"skeleton": "cat"}, SettingsError, "cat.*face68"),
        ({"normaliser": "arm"}, SettingsError, "arm.*points-diagonal"),
        ({"normaliser": [1.0]}, DataError, r"\(4,\)"),
        ({"boxes": np.zeros((3, 4))}, DataError, r"\(3, 4\)"),
        ({"visible": np.zeros((4, 5))}, DataError, r"\(4, 68\)"),
    ],
)
def test_what_does_not_fit_is_refused(change, kind, words):
    predicted, true = pair()
    with pytest.raises(kind, match=words):
        heatkp.evaluate(**{"predicted": predicted, "true": true, **change})


def test_heatmaps_come_with_the_package():
    assert heatkp.heatmaps.kl_divergence is not None
    assert {"heatmaps", "evaluate"} <= set(dir(heatkp))
