"""Boxes that were found beside labelled ones: matching, average precision, the best score."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.boxes import overlaps
from heatkp.evaluation.found_boxes import match, measure_found

SQUARE = np.array([0.0, 0, 10, 10])


def at(*places):
    return np.array([SQUARE + np.tile(place, 2) for place in places], np.float64).reshape(-1, 4)


@given(st.integers(0, 2**31))
def test_overlaps_are_those_of_counted_cells(seed):
    """Boxes on whole numbers: areas are counts of unit squares."""
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 6, (5, 2))
    boxes = np.concatenate([low, low + rng.integers(0, 6, (5, 2))], axis=1)
    cells = np.zeros((5, 12, 12), bool)
    for i, (x0, y0, x1, y1) in enumerate(boxes):
        cells[i, y0:y1, x0:x1] = True
    for of_first in (False, True):
        found = overlaps(boxes[:2].astype(float), boxes[2:].astype(float), of_first)
        for i in range(2):
            for j in range(3):
                both = (cells[i] & cells[2 + j]).sum()
                whole = cells[i].sum() if of_first else (cells[i] | cells[2 + j]).sum()
                assert found[i, j] == pytest.approx(both / whole if whole else 0.0)


def test_each_object_is_found_once_by_the_surest():
    boxes = at((1, 0), (0, 1), (30, 0), (60, 60))
    found = match(boxes, np.array([0.5, 0.9, 0.7, 0.8]), at((0, 0), (31, 0), (99, 0)))
    assert found.scores.tolist() == [0.9, 0.8, 0.7, 0.5]
    assert found.which.tolist() == [0, -1, 1, -1] and found.right.tolist() == [1, 0, 1, 0]
    assert found.objects == 3


def test_touching_objects_get_the_box_that_is_theirs():
    """The surer box overlaps both; it takes the one that it shares most with."""
    truth = at((0, 0), (4, 0))
    found = match(at((3, 0), (1, 0)), np.array([0.9, 0.8]), truth)
    assert found.which.tolist() == [1, 0]


def test_what_lies_in_an_ignored_region_does_not_count():
    crowd = np.array([[50.0, 0, 90, 40]])
    found = match(at((0, 0), (60, 5), (44, 0)), np.ones(3), at((0, 0)), crowd)
    assert found.right.tolist() == [True, False] and len(found.scores) == 2
    inside = match(at((60, 5)), np.ones(1), at((60, 5)), crowd)
    assert inside.right.tolist() == [True]  # a labelled object there counts


def test_average_precision_and_the_best_score():
    """Two images: right, wrong, right, of four objects in all."""
    first = match(at((0, 0), (50, 50)), np.array([0.9, 0.8]), at((0, 0), (20, 0)))
    second = match(at((0, 0)), np.array([0.6]), at((0, 0), (20, 0)))
    found = measure_found([first, second])
    # Recalls to 0.25 have precision 1, to 0.5 two thirds, beyond none: 26 and 25 of 101 places.
    assert found.average_precision == pytest.approx((26 + 25 * 2 / 3) / 101)
    assert found.f1 == pytest.approx(4 / 7)
    assert (found.precision, found.recall) == (pytest.approx(2 / 3), 0.5)
    assert (found.wrong, found.missed, found.objects) == (1, 2, 4)
    assert found.min_score == pytest.approx(0.3)  # between the last and nothing


def test_equal_scores_are_taken_together():
    found = measure_found([match(at((0, 0), (50, 50)), np.array([0.5, 0.5]), at((0, 0)))])
    assert (found.precision, found.recall, found.wrong) == (0.5, 1.0, 1)


def test_nothing_found_and_nothing_there():
    none = measure_found([match(at(), np.zeros(0), at((0, 0)))])
    assert (none.average_precision, none.f1, none.missed) == (0.0, 0.0, 1)
    empty = measure_found([match(at((0, 0)), np.ones(1), at())])
    assert math.isnan(empty.average_precision) and empty.objects == 0
    assert measure_found([]).objects == 0
