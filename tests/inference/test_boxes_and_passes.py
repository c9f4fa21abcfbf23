"""Which regions are looked at, once or twice, and that coordinates come back to the image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.data.boxes import BoxStyle
from heatkp.data.samples import Sample
from heatkp.errors import DataError, SettingsError
from heatkp.inference import predictor as module
from heatkp.inference.detectors import Detection
from tests.inference.fakes import STYLE, input_image, predictor


def detector_of(boxes):
    """A detector that finds the same in every image."""
    return lambda image: [
        Detection(np.asarray(b, float), 0.9 - i / 10) for i, b in enumerate(boxes)
    ]


def test_points_come_back_to_the_picture():
    image, points, boxes = input_image([(60, 70, 50), (150, 80, 30)])
    found = predictor().predict(image, boxes, passes=1)
    assert [f.image for f in found] == [0, 0] and found[0].image_size == (200, 160)
    for f, p, b in zip(found, points, boxes):
        assert np.allclose(f.points, p, atol=0.3) and np.allclose(f.box, b)
        assert f.box_score is None
        scale = 1.5 * (b[2] - b[0]) / 64
        assert np.allclose(f.covariance, np.eye(2) * scale**2)
    one = predictor().predict(image, boxes[1])
    assert len(one) == 1 and np.allclose(one[0].points, points[1], atol=0.3)


def test_lists_of_pictures_with_boxes_of_each():
    """Several boxes, none, and the whole image; in the images' order over all batches."""
    image, points, boxes = input_image([(60, 70, 50), (150, 80, 30)])
    alone, alone_points, _ = input_image([(100, 80, 110)])
    model = predictor()
    found = model.predict(
        [image, alone, image, image], [boxes, None, np.zeros((0, 4)), boxes[1]],
        batch_size=3, passes=1,
    )  # fmt: skip
    assert [f.image for f in found] == [0, 0, 1, 3]
    assert model.model.batches == [3, 1]
    assert found[2].box is None and np.allclose(found[2].points, alone_points[0], atol=0.6)
    assert np.allclose(found[3].points, points[1], atol=0.3)
    assert model.predict([]) == [] and model.predict(image, np.zeros((0, 4))) == []
    whole = model.predict(alone, "image", passes=1)[0]
    assert np.allclose(whole.points, found[2].points)


def test_faces_are_looked_for_where_the_model_needs_boxes():
    image, points, boxes = input_image([(60, 70, 50), (150, 80, 30)])
    blank = np.zeros_like(image)
    model = predictor()
    model.detector = lambda image: detector_of(boxes)(image) if image.any() else []
    found = model.predict([blank, image, blank])
    assert [f.image for f in found] == [1, 1] and [f.box_score for f in found] == [0.9, 0.8]
    assert np.allclose([f.points for f in found], points, atol=0.3)
    assert np.allclose([f.box for f in found], boxes)
    mouse, whole = predictor(name="mouse"), predictor(crop="image", style=None)
    assert len(mouse.predict(image)) == 1 and not mouse.finds_objects
    with pytest.raises(SettingsError, match="does not know how to find its objects"):
        mouse.predict(image, "objects")
    mouse.detector = whole.detector = detector_of([])
    assert mouse.finds_objects and not whole.finds_objects
    assert len(whole.predict(image)) == 1
    assert mouse.predict(image) == mouse.predict(image, "faces") == []
    with pytest.raises(SettingsError, match="trained on whole images"):
        whole.predict(image, "faces")


@pytest.mark.parametrize("off", [(0.2, 0.2, 1.2), (-0.2, 0.1, 0.8), (0.0, 0.0, 1.2)])
def test_a_second_look_mends_a_box_that_is_off(off):
    """A network that errs the more the further its crop is off; the box given is kept."""
    image, points, boxes = input_image([(100, 80, 60)])
    x0, y0, x1, y1 = boxes[0]
    size = off[2] * 60
    middle = np.array([(x0 + x1) / 2 + off[0] * 60, (y0 + y1) / 2 + off[1] * 60])
    box = np.concatenate([middle - size / 2, middle + size / 2])
    model = predictor(pull=0.2)
    best = np.abs(model.predict(image, boxes[0], passes=1)[0].points - points[0]).mean()
    one, two = (np.abs(model.predict(image, box, passes=n)[0].points - points[0]).mean()
                for n in (1, 2))  # fmt: skip
    assert two - best < 0.35 * (one - best) + 0.15
    assert np.allclose(model.predict(image, box)[0].box, box)
    assert np.allclose(
        model.predict(image, box)[0].points, model.predict(image, box, passes=2)[0].points
    )


def test_the_first_points_stay_where_the_second_look_is_no_good():
    image, _, boxes = input_image([(100, 80, 60)])
    first = predictor(style=None).predict(image, boxes)[0]
    far = BoxStyle((9.0, 0.0), STYLE.extent)  # off the region
    tiny, huge = BoxStyle((0, 0), (0.05, 0.05)), BoxStyle((0, 0), (30.0, 30.0))
    dark = BoxStyle((0.0, -1.6), (0.6, 0.6))  # a part of the region without light
    for style in (far, tiny, huge, dark):
        model = predictor(style=style)
        found = model.predict(image, boxes)[0]
        assert np.array_equal(found.points, first.points)
        assert len(model.model.batches) == (2 if style is dark else 1)
    model = predictor(style=STYLE, keep_aspect=False, box_inside=True)
    assert len(model.predict(image, boxes)) == 1


def test_flip_test_averages_both_ways():
    """A network that always errs to the right errs by nothing on average."""
    image, points, boxes = input_image([(100, 80, 60)])
    model = predictor(style=None)
    predict = model.model.predict
    model.model.predict = lambda images: (d := predict(images))._replace(points=d.points + 3.0)
    off = model.predict(image, boxes)[0].points - points[0]
    assert np.allclose(off, 3.0 * 90 / 64, atol=0.3)
    off = model.predict(image, boxes, flip_test=True)[0].points - points[0]
    assert np.allclose(off[:, 0], 0, atol=0.3) and np.allclose(off[:, 1], 3 * 90 / 64, atol=0.3)


def test_large_pictures_do_not_wait_for_a_full_batch(monkeypatch):
    image, _, boxes = input_image([(100, 80, 60)])
    model = predictor(style=None)
    monkeypatch.setattr(module, "HELD", 2 * image.nbytes)
    found = model.predict([image] * 7, [boxes[0]] * 7)
    assert len(found) == 7 and model.model.batches == [3, 3, 1]
    assert len(model.predict(image, np.repeat(boxes, 20, 0))) == 20  # of one image: held once
    assert model.model.batches[3:] == [16, 4]


@pytest.mark.parametrize(
    ("images", "arguments", "message"),
    [
        (2, {"boxes": [[0, 0, 5, 5]]}, "boxes for 1 images were given with 2"),
        (1, {"boxes": [0, 0, 5]}, "image 0: boxes have shape"),
        (1, {"boxes": [0, 0, np.nan, 5]}, "image 0: .*nan.* not finite"),
        (2, {"boxes": [None, [[0, 0, 5, 5], [5, 5, 5, 9]]]}, "image 1: the box 5, 5, 5, 9 has"),
        (1, {"boxes": [300, 10, 340, 50]}, "image 0: .* outside the image"),
        (1, {"boxes": "face"}, "boxes 'face' is none of: objects, faces, image"),
        (1, {"boxes": [["a", 0, 1, 1]]}, "image 0: boxes are no numbers"),
        (1, {"passes": 3}, "passes is 1 or 2"),
        (1, {"batch_size": 0}, "batch_size is 1 or more"),
    ],
)
def test_what_is_refused(images, arguments, message):
    image = input_image([(100, 80, 60)])[0]
    arguments = {"boxes": "image", **arguments}
    with pytest.raises((DataError, SettingsError), match=message):
        predictor().predict(image if images == 1 else [image] * images, **arguments)


OF_NO_USE = [[300, 10, 340, 50], [10, -50, 40, -1], [30, 20, 10, 90], [np.nan, 0, 9, 9]]


def test_boxes_of_no_use_get_no_points_and_are_told():
    """The others of the image, and the other images, do."""
    image, points, boxes = input_image([(60, 70, 50), (150, 80, 30)])
    told = []
    found = predictor().predict(
        [image, image, image],
        [np.vstack([boxes[:1], OF_NO_USE]), boxes[1], OF_NO_USE[:1]],
        refused=lambda place, why: told.append(place),
    )
    assert [f.image for f in found] == [0, 1] and told == [0, 0, 0, 0, 2]
    assert np.allclose(found[0].points, points[0], atol=0.5)
    assert np.allclose(found[1].points, points[1], atol=0.5)


def test_boxes_of_a_detector_are_judged():
    image, points, boxes = input_image([(60, 70, 50)])
    model, told = predictor(), []
    model.detector = detector_of([*OF_NO_USE, boxes[0]])
    (only,) = model.predict(image, "faces", refused=lambda place, why: told.append(why))
    assert np.allclose(only.points, points[0], atol=0.5) and len(told) == 4
    assert all("detector" in why for why in told)
    with pytest.raises(DataError, match="image 0: found by the detector"):
        model.predict(image, "faces")


def test_a_second_look_is_never_outside_the_image():
    """Points at the edge whose box would lie beyond it."""
    image, _, boxes = input_image([(100, 80, 60)])
    beyond = BoxStyle((0.0, 3.0), (0.5, 0.5))
    model = predictor(style=beyond)
    near_edge = boxes[0] + [0, 50, 0, 50]
    assert len(model.predict(image, near_edge)) == 1


def test_two_passes_need_to_know_the_boxes():
    image, _, boxes = input_image([(100, 80, 60)])
    with pytest.raises(SettingsError, match="how boxes lie around points"):
        predictor(style=None).predict(image, boxes, passes=2)


def sample_of(points, box):
    points = np.asarray(points, np.float32)
    sample = Sample(lambda: None, points, np.full(len(points), 2), box, id="a")
    # In full: samples hold float32, which is coarse for a tiny object far out.
    object.__setattr__(sample, "points", np.asarray(points))
    object.__setattr__(sample, "box", np.asarray(box))
    return sample


@settings(max_examples=30)
@given(
    st.tuples(*[st.floats(-2, 2)] * 2), st.tuples(*[st.floats(0.5, 5)] * 2),
    st.integers(0, 2**31), st.floats(1e-2, 1e3),
)  # fmt: skip
def test_box_styles_are_measured_and_applied_alike(shift, extent, seed, scale):
    """What `around` draws, `of` measures; any place and size; and `converted` goes between."""
    rng = np.random.default_rng(seed)
    style, other = BoxStyle(shift, extent), BoxStyle((0.1, -0.2), (3.0, 2.0))
    shapes = [rng.uniform(-100, 100, 2) + scale * rng.normal(size=(7, 2)) for _ in range(12)]
    shapes = [np.float32(points).astype(float) for points in shapes]
    measured = BoxStyle.of(sample_of(points, style.around(points)) for points in shapes)
    assert np.allclose(measured, style, atol=1e-6)
    points = shapes[0]
    box = style.converted(style.around(points), other)
    assert np.allclose(box, other.around(points), atol=1e-6 * (100 + scale))
    assert np.allclose(style.around(np.vstack([points, [[np.nan, 0]]])), style.around(points))
    assert BoxStyle.read({"shift": list(shift), "extent": list(extent)}) == style


def test_styles_that_cannot_be_known():
    points = np.random.default_rng(0).normal(size=(5, 2))
    box = [0.0, 0.0, 1.0, 1.0]
    assert BoxStyle.of([sample_of(points, box)] * 9) is None
    assert BoxStyle.of([sample_of(points, box)] * 10) is not None
    assert BoxStyle.of([sample_of(points[:1], box)] * 20) is None
    assert STYLE.around(points[:1]) is None and STYLE.around(points * np.nan) is None
    assert BoxStyle.read(None) is None
    with pytest.raises(ValueError, match="not positive"):
        BoxStyle.read({"shift": [0, 0], "extent": [1, 0]})
