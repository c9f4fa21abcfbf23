"""Objects measured from image to points: what counts, what is only ranked, what is no object."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from heatkp.config import parse_settings
from heatkp.data.samples import KeypointData, Sample
from heatkp.errors import DataError
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.measuring import measure_objects, objects_of
from heatkp.skeletons import Skeleton

BUG = Skeleton("bug", ("head", "left", "right"))
BODY = np.array([[12, 0], [0, 7], [0, -7]], float)


def bug(x, y):
    return BODY + np.array([x, y])


class Given:
    """A predictor that answers what it was given, image by image."""

    def __init__(self, answers, min_score=0.5):
        self.answers, self.skeleton, self.usual_passes = answers, BUG, 1
        self.settings = parse_settings({"data": {"crop": "box"}}, "test")
        self.detector = self
        self.min_score = min_score

    def ready_for(self, boxes):
        assert boxes == "objects"

    def predict(self, images, boxes, batch_size, passes, flip_test, refused, nms_oks,
                min_point_score=None):  # fmt: skip
        count = sum(image.shape == (64, 96, 3) for image in images)
        assert count == len(self.answers) and boxes == "objects" and passes == 1
        refused(0, "outside")
        return [replace(one, image=i) for i, own in enumerate(self.answers) for one in own]


def found(x, y, score=0.9, off=0.0):
    box = np.array([x - 14.0, y - 9, x + 14, y + 9])
    return Keypoints(bug(x + off, y), np.full(3, score), None, BUG, (96, 64), box, score)


def image(i):
    return np.full((64, 96, 3), i, np.uint8)


def samples():
    """Two images of two bugs, one of which does not count; then an image of none."""
    pixels = [image(i) for i in range(3)]
    objects = [
        Sample(pixels[0], bug(20, 20), box=(5, 10, 33, 28), id="0#0"),
        Sample(pixels[0], bug(70, 40), box=(56, 31, 84, 49), id="0#1"),
        Sample(pixels[1], bug(30, 30), box=(16, 21, 44, 39), id="1#0"),
        Sample(pixels[1], np.full((3, 2), np.nan), box=(60, 10, 88, 28), id="1#1", ignored=True),
        Sample(pixels[2], np.full((3, 2), np.nan), id="2"),
    ]
    return objects


def test_all_right():
    measured = measure_objects(
        Given([[found(70, 40), found(20, 20, off=1)], [found(30, 30), found(74, 19)], []]),
        samples(),
    )
    figures = measured.figures
    objects, curve = figures["objects"], figures["average_precision"]
    assert figures["images"] == 3 and figures["swaps"] == 0 and figures["min_score"] == 0.5
    assert (objects["true"], objects["found"], objects["missed"], objects["false"]) == (3, 3, 0, 0)
    assert objects["precision"] == objects["recall"] == 1.0
    assert objects["mean_error"] == pytest.approx(1 / 3)
    assert curve["AP50"] == curve["AR50"] == 1.0
    assert [len(one.scores) for one in measured.images] == [2, 2, 0]
    assert measured.samples[2].rgb()[0, 0, 0] == 2


def test_what_is_not_sure_enough_is_ranked_and_does_not_count():
    """One bug is found with a low score, and an image of none has a false alarm of a high one."""
    answers = [
        [found(70, 40, 0.8), found(20, 20, 0.3)],
        [found(30, 30, 0.7)],
        [found(50, 30, 0.75)],
    ]
    figures = measure_objects(Given(answers), samples()).figures
    objects = figures["objects"]
    assert (objects["found"], objects["missed"], objects["false"]) == (2, 1, 1)
    assert objects["precision"] == objects["recall"] == pytest.approx(2 / 3)
    assert objects["images_with_wrong_count"] == 2
    assert figures["average_precision"]["AR50"] == 1.0  # also the one of score 0.3
    # Right, wrong, right, right: precision is 1 up to a recall of a third, then 3/4.
    assert figures["average_precision"]["AP50"] == pytest.approx((34 + 67 * 0.75) / 101, abs=1e-6)


def test_a_swap_is_counted():
    answers = [[found(70, 40), replace(found(20, 20), points=bug(70, 40))], [found(30, 30)], []]
    figures = measure_objects(Given(answers), samples()).figures
    assert figures["swaps"] == 1 and figures["objects"]["missed"] == 1


def test_nothing_is_labelled():
    with pytest.raises(DataError):
        measure_objects(Given([[]]), samples()[-1:])


def test_objects_that_do_not_train_points_are_on_their_images():
    every = samples()
    other = Sample(image(9), np.full((3, 2), np.nan), box=(0, 0, 5, 5), id="other")
    data = KeypointData(BUG, every[:2], every[2:3], left_out=[every[3], other])
    assert [s.id for s in objects_of(data, "val")] == ["1#0", "1#1"]
    assert [s.id for s in objects_of(data, "train")] == ["0#0", "0#1"]
