"""Objects whose points are another's, and images of more objects than COCO's rules look at."""

from __future__ import annotations

import numpy as np
import pytest

from heatkp.evaluation.objects import ImageObjects, TrueObjects, match, matched_errors
from heatkp.evaluation.objects.swaps import Swap, swaps

SHAPE = np.array([[-10.0, -10], [10, -10], [0, 10]])


def truth_of(centres, ignored=()):
    points = SHAPE + np.array(centres, float)[:, None]
    boxes = np.concatenate([points.min(1), points.max(1)], 1)
    count = len(points)
    none = np.isin(np.arange(count), ignored)
    return TrueObjects(
        points, np.ones((count, 3), bool), np.full(count, 400.0), boxes, np.zeros(count, bool), none
    )


def image_of(truth, points, boxes, scores=None):
    scores = np.linspace(0.9, 0.1, len(points)) if scores is None else scores
    return ImageObjects.of(points, scores, truth, np.full(3, 0.05), found_boxes=boxes)


def test_points_of_the_neighbour_are_a_swap():
    truth = truth_of([(20, 20), (45, 20), (90, 90)])
    points = truth.points[[1, 1, 2]] + 0.5
    image = image_of(truth, points, truth.boxes[[0, 1, 2]], [0.2, 0.9, 0.5])
    assert swaps(image) == [Swap(0, 0, 1)]
    assert swaps(image_of(truth, truth.points, truth.boxes)) == []
    pairs, _, false, missed = match(image)
    assert false.tolist() == [0] and missed.tolist() == [0] and len(pairs) == 2
    # Which object it was found as is not known without boxes.
    assert swaps(ImageObjects.of(points, [1, 1, 1], truth, np.full(3, 0.05))) == []


def test_what_is_no_swap():
    truth = truth_of([(20, 20), (45, 20)], ignored=[1])
    # What does not count is nobody's other object.
    assert swaps(image_of(truth, truth.points[[1]], truth.boxes[[0]])) == []
    truth = truth_of([(20, 20), (45, 20)])
    # Points that fit nothing are bad ones, and a box beside all objects is a false alarm.
    assert swaps(image_of(truth, truth.points[[1]] + 30, truth.boxes[[0]])) == []
    assert swaps(image_of(truth, truth.points[[1]], np.array([[200.0, 200, 220, 220]]))) == []
    assert swaps(image_of(truth, np.zeros((0, 3, 2)), np.zeros((0, 4)))) == []


def test_more_than_20_objects_are_all_matched():
    """COCO's rules look at 20 of an image; whether an object was found does not depend on them."""
    truth = truth_of([(30 + 40 * i, 30 + 40 * j) for i in range(6) for j in range(5)])
    image = image_of(truth, truth.points + 1.0, truth.boxes)
    figures = matched_errors([image])
    assert (figures["found"], figures["missed"], figures["false"]) == (30, 0, 0)
    assert figures["images_with_wrong_count"] == 0 and figures["recall"] == 1.0
    assert figures["mean_error"] == pytest.approx(2**0.5)
    assert figures["normalised_error"] == pytest.approx(2**0.5 / 20)
    assert len(image.order) == 20 and len(image.whole.order) == 30
    some = image.kept(np.arange(30) < 25)
    assert matched_errors([some])["missed"] == 5 and len(some.boxes) == 25
