"""Which points are hardest."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp import coordinates as co
from heatkp.evaluation.metrics import Errors
from heatkp.viz import point_errors


def test_largest_first():
    values = [2.0, np.nan, 5.0, 1.0, 5.0]
    assert point_errors.largest(values) == [2, 4, 0, 3]
    assert point_errors.largest(values, 1) == [2]
    assert point_errors.largest([np.nan], 3) == []


def summary(*points):
    return {
        "points": [
            {"name": name, "distance_photo": pixels, "nme": {"own": nme}}
            for name, pixels, nme in points
        ]
    }


def test_points_are_ranked_by_the_length():
    """Those without it come last, those that are not labelled not at all."""
    given = summary(("a", 1.0, 0.03), ("b", 9.0, None), ("c", 2.0, 0.05), ("d", None, None))
    rows = point_errors.ranked(given, "own")
    assert [r[0] for r in rows] == ["2 c", "0 a", "1 b"]
    assert [r[1] for r in rows] == [2.0, 1.0, 9.0]
    np.testing.assert_allclose([r[2] for r in rows], [5, 3, np.nan])


def test_points_are_ranked_by_pixels_without_a_length():
    given = summary(("a", 1.0, None), ("b", 9.0, None), ("c", 2.0, None))
    rows = point_errors.ranked(given, None)
    assert [r[:2] for r in rows] == [("1 b", 9.0), ("2 c", 2.0), ("0 a", 1.0)]
    assert all(np.isnan(r[2]) for r in rows)
    equal = point_errors.ranked(summary(("a", 1.0, 0.0), ("b", 2.0, None)), "own")
    assert [r[0] for r in equal] == ["0 a", "1 b"]


def test_the_mean_object_by_hand():
    """In input pixels: image pixels by two."""
    truth = np.array([[[10, 10], [30, 10], [0, 0]], [[20, 30], [70, 90], [0, 0]]], float)
    off = np.array([3.0, 4.0])
    image_points = truth + off
    image_points[1, 0] += off
    labelled = np.array([[True, True, False], [True, False, False]])
    matrices = np.stack([co.scaling(2, 2)] * 2)
    errors = Errors(image_points, truth, matrices, labelled, np.full((2, 4), np.nan), (200, 200))
    points, radii = point_errors.mean_face(errors)
    np.testing.assert_allclose(points, [[30, 40], [60, 20], [np.nan] * 2])
    np.testing.assert_allclose(radii, [15, 10, np.nan])


@pytest.mark.parametrize(
    ("radius", "factor"),
    [
        (0.1, 10),
        (0.2, 10),
        (0.21, 5),
        (0.4, 5),
        (0.41, 2),
        (1.0, 2),
        (1.1, 1),
        (50.0, 1),
        (0.0, 10),
    ],
)
def test_circles_are_enlarged_to_a_fiftieth_of_the_object(radius, factor):
    assert point_errors.enlargement(np.array([0.0, radius, np.nan, 99.0]), 100.0) == factor
