from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from heatkp.errors import DataError, SettingsError
from heatkp.inference import batches
from heatkp.inference.batches import PickyDetector, Prediction, predictions
from heatkp.inference.detectors import Detection
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.skeletons import Skeleton
from tests.inference.fakes import input_image, predictor

DOT = Skeleton("dot", ("dot",))


class FakePredictor:
    """Finds as many faces as an image's first pixel says, at places that tell which it was."""

    def __init__(self, refuses=()):
        self.refuses, self.calls = set(refuses), []

    def predict(self, images, boxes=None, batch_size=16, refused=None, **options):
        self.calls.append((len(images), boxes, options))
        values = [int(image[0, 0, 0]) for image in images]
        if self.refuses & set(values):
            raise DataError(f"cannot look at {values}")
        found = []
        for i, image in enumerate(images):
            count = int(image[0, 0, 1]) if not isinstance(boxes, list) else len(boxes[i])
            point, score = np.full((1, 2), values[i], float), np.ones(1)
            found += [Keypoints(point, score, None, DOT, (2, 2), image=i)] * count
        return found


def shot(value, objects=1, size=2):
    image = np.zeros((size, size, 3), np.uint8)
    image[0, 0] = value, objects, 0
    return InputImage(f"{value}.png", Path(f"{value}.png"), image)


def test_each_picture_gets_its_own_faces_in_order():
    items = [shot(0, 2), Failure("bad.png", "bad"), shot(1, 0), *(shot(i) for i in range(2, 9))]
    predictor = FakePredictor()
    found = list(predictions(predictor, items, "faces", 3, flip_test=True))
    assert [f if isinstance(f, Failure) else f.input_image for f in found] == items
    counts = [len(f.objects) for f in found if isinstance(f, Prediction)]
    assert counts == [2, 0] + [1] * 7
    for f in found:
        if isinstance(f, Prediction):
            assert all(found.points[0, 0] == f.input_image.image[0, 0, 0] for found in f.objects)
    assert max(n for n, _, _ in predictor.calls) == 3
    assert all(boxes == "faces" and o == {"flip_test": True} for _, boxes, o in predictor.calls)


def test_boxes_of_no_use_are_faults_of_their_image():
    """The image's other boxes are done; a refused image in the batch changes nothing of that."""
    image, points, boxes = input_image([(60, 70, 50)])
    outside = np.array([[300.0, 10, 340, 50]])
    of = {
        "both.png": np.vstack([outside, boxes]),
        "none.png": outside,
        "good.png": boxes,
        "bad.png": np.zeros((1, 3)),
        "clip.mp4": outside,
    }
    items = [InputImage(name, Path(name), image) for name in list(of)[:4]]
    items += [InputImage(f"clip.mp4/{i:06d}", Path("clip.mp4"), image, frame=i) for i in range(3)]
    for count in (4, 7):
        found = list(predictions(predictor(), items[:count], lambda p: of[p.file.name]))
        failures = [f for f in found if isinstance(f, Failure)]
        names = ["both.png", "none.png", "bad.png", *["clip.mp4"] * (count - 4)]
        assert [f.name for f in failures] == names
        assert (
            "outside the image" in failures[0].reason and "1 of its 2 boxes" in failures[0].reason
        )
        assert len(set(failures[3:])) == min(1, count - 4)
        done = [f for f in found if isinstance(f, Prediction)]
        assert [(f.input_image.name, len(f.objects)) for f in done] == [
            ("both.png", 1),
            ("good.png", 1),
        ]
        assert all(np.allclose(f.objects[0].points, points[0], atol=0.5) for f in done)


def test_options_that_fit_no_picture_are_no_fault_of_one():
    class Refusing(FakePredictor):
        def predict(self, *args, **options):
            raise SettingsError("two passes need another model")

    with pytest.raises(SettingsError, match="another model"):
        list(predictions(Refusing(), [shot(0), shot(1)]))


def test_few_pictures_are_in_memory_at_once(monkeypatch):
    taken = []

    def endless():
        for i in range(200):
            taken.append(i)
            yield shot(i, size=100)

    results = predictions(FakePredictor(), endless(), None, 8)
    for i in range(100):
        next(results)
        assert len(taken) <= i + 9
    monkeypatch.setattr(batches, "MOST_BYTES", 2 * 100 * 100 * 3)
    taken.clear()
    results = predictions(FakePredictor(), endless(), None, 8)
    next(results)
    assert len(taken) == 3  # two fit, and the third is waiting for its turn


def test_pictures_without_a_box_do_not_pile_up():
    taken = []

    def endless():
        for i in range(200):
            taken.append(i)
            yield shot(i)

    predictor = FakePredictor()
    results = predictions(predictor, endless(), lambda input_image: np.empty((0, 4)), 4)
    assert next(results).objects is None and len(taken) == 5 and not predictor.calls


def test_one_picture_that_is_refused():
    found = list(predictions(FakePredictor(refuses=[2]), [shot(i) for i in range(5)], "image", 5))
    assert [isinstance(f, Failure) for f in found] == [False, False, True, False, False]
    assert found[2] == Failure("2.png", "cannot look at [2]")
    assert [len(f.objects) for f in found if isinstance(f, Prediction)] == [1] * 4


def test_boxes_by_picture():
    def boxes(input_image):
        number = int(input_image.image[0, 0, 0])
        if number == 3:
            raise DataError("two entries")
        return np.tile([0.0, 0, 1, 1], (number, 1))

    found = list(predictions(FakePredictor(), [shot(i) for i in range(5)], boxes, 16))
    assert found[0].objects is None and found[3] == Failure("3.png", "two entries")
    assert [len(found[i].objects) for i in (1, 2, 4)] == [1, 2, 4]


def test_picky_detector():
    objects = [
        Detection(np.array([0.0, 0, i, i]), score) for i, score in ((5, 0.9), (4, 0.8), (3, 0.2))
    ]

    class Detector:
        name, box_style = "fake", "style"

        def __call__(self, image):
            return objects

    image = np.zeros((2, 2, 3), np.uint8)
    assert PickyDetector(Detector())(image) == objects
    assert PickyDetector(Detector(), min_score=0.8)(image) == objects[:2]
    assert PickyDetector(Detector(), most=1)(image) == objects[:1]
    picky = PickyDetector(Detector(), 0.95, 2)
    assert picky(image) == [] and picky.name == "fake" and picky.box_style == "style"


def test_an_unforeseen_error_is_not_hidden():
    class Broken(FakePredictor):
        def predict(self, *arguments, **options):
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(predictions(Broken(), [shot(1)]))
