"""The estimate of a head's turn, and the means of errors over it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.data.readers import read
from heatkp.data.synthetic import draw_face
from heatkp.errors import SettingsError
from heatkp.skeletons import FACE15, FACE58, FACE68
from heatkp.viz import head_turn

CORNERS = {"face68": (36, 45, 33), "face58": (21, 13, 52)}


def posed(skeleton, yaw, roll=0.0, scale=40.0, shift=(0.0, 0.0), height=0.4):
    """Points (K, 2) of the docstring's head: NaN but for the three that are needed."""
    a, b = np.radians(yaw), np.radians(roll)
    flat = np.array([[-np.cos(a), 0], [np.cos(a), 0], [head_turn.DEPTH * np.sin(a), height]])
    turned = flat @ np.array([[np.cos(b), np.sin(b)], [-np.sin(b), np.cos(b)]])
    points = np.full((len(skeleton), 2), np.nan)
    points[list(CORNERS[skeleton.name])] = scale * turned + shift
    return points


@given(
    st.sampled_from([FACE68, FACE58]), st.floats(-70, 70), st.floats(-89, 89),
    st.floats(1, 500), st.tuples(st.floats(-500, 500), st.floats(-500, 500)), st.floats(-1, 1),
)  # fmt: skip
def test_the_stated_model_is_inverted(skeleton, yaw, roll, scale, shift, height):
    points = posed(skeleton, yaw, roll, scale, shift, height)
    found = head_turn.head_turn(points[None], skeleton)
    np.testing.assert_allclose(np.ravel(found), [yaw, roll], atol=1e-6)


def test_points_that_are_missing():
    points = np.stack([posed(FACE68, 20), posed(FACE68, 20), posed(FACE68, 20)])
    points[0, 33] = np.nan
    points[1, 45] = points[1, 36]  # a full profile
    yaw, roll = head_turn.head_turn(points, FACE68)
    assert np.isnan(yaw).tolist() == [True, True, False]
    assert np.isnan(roll).tolist() == [False, True, False]


def test_skeletons():
    assert head_turn.turn_points(FACE68) == (36, 45, 33)
    assert head_turn.turn_points(FACE68.subset([45, 33, 0, 36])) == (3, 0, 1)
    assert head_turn.turn_points(FACE58) == (21, 13, 52)
    for other in (FACE15, FACE68.subset([30, 36, 45]), FACE58.subset([52], "nose")):
        with pytest.raises(SettingsError, match="outer eye corners"):
            head_turn.turn_points(other)


def test_drawn_faces_turn_as_estimated():
    faces = [draw_face(5, i, 64) for i in range(10)]
    true = np.array([face.yaw for face in faces])
    for skeleton, name in ((FACE68, "points"), (FACE58, "points58")):
        points = np.stack([getattr(face, name) for face in faces])
        yaw, _ = head_turn.head_turn(points, skeleton)
        assert np.corrcoef(yaw, true)[0, 1] > 0.9
        assert np.abs(yaw - true).mean() < 8


def test_turned_views_of_imm(data_folder):
    """Views 1 and 2 are frontal, 3 and 4 about 30 degrees to the image's left and right."""
    _, samples, _ = read(data_folder / "imm", "imm")
    yaw, roll = head_turn.head_turn(np.stack([s.points for s in samples]), FACE58)
    view = np.array([int(s.id[3]) for s in samples])
    means = [yaw[view == v].mean() for v in (1, 2, 3, 4)]
    np.testing.assert_allclose(means, [0, 0, -30, 30], atol=2)
    assert np.abs(roll).max() < 30


@settings(max_examples=25)
@given(st.lists(st.tuples(st.floats(-60, 60), st.floats(0, 9)), max_size=25))
def test_bins(rows):
    angle, values = np.array(rows, np.float64).reshape(-1, 2).T
    bins = head_turn.binned_means(angle, values)
    assert sum(b.images for b in bins) <= len(rows)
    for b in bins:
        inside = values[np.round(angle / head_turn.BIN) == b.centre / head_turn.BIN]
        assert b.images == len(inside) >= head_turn.FEWEST
        assert b.mean == pytest.approx(inside.mean())
        assert inside.min() - 1e-9 <= b.low <= b.high <= inside.max() + 1e-9


def test_intervals_are_those_of_a_mean():
    """Of 400 normal values: 1.96 sd / sqrt(400) on each side."""
    values = np.random.default_rng(3).normal(10, 2, 400)
    (only,) = head_turn.binned_means(np.zeros(400), np.where(np.arange(400) < 400, values, np.nan))
    half = 1.96 * values.std() / 20
    assert only.high - only.mean == pytest.approx(half, rel=0.1)
    assert only.mean - only.low == pytest.approx(half, rel=0.1)
    assert head_turn.binned_means(np.array([0.0, np.nan, 2, 3]), np.array([1, 1, np.nan, 1])) == []


def test_words():
    yaw = np.array([0.0, 5, -30, 40, np.nan])
    words = head_turn.turn_words(yaw, np.array([0.01, 0.03, 0.04, 0.06, 0.5]))
    assert "2.00% up to 15 degrees (2 images), 5.00% beyond (2 images)" in words
    assert "error 1.00" in words and "1 images without" in words
    alone = head_turn.turn_words(np.zeros(2), np.ones(2))
    assert "- beyond (0 images)" in alone and "correlation" not in alone


def test_a_picture(tmp_path):
    rng = np.random.default_rng(0)
    angles = rng.normal(0, 20, (2, 30))
    found = {name: (*angles, rng.random(30)) for name in ("a_$", "_b")}
    head_turn.compare_turns(found, "box-diagonal", tmp_path / "a.png")
    assert cv2.imread(str(tmp_path / "a.png")).shape[1] == pytest.approx(11.5 * 110, abs=2)
