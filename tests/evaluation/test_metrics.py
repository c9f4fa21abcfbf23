from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.data.dataset import KeypointDataset
from heatkp.data.drawn import drawn_sample
from heatkp.data.loading import with_boxes
from heatkp.data.transforms import Framing
from heatkp.evaluation.evaluate import (
    metrics_table,
    predict_dataset,
    worst_points,
)
from heatkp.evaluation.metrics import (
    Errors,
    error_curve,
    image_nme,
    labelled_boxes,
    mean_of,
    normaliser_lengths,
    summarise,
)
from heatkp.models import Prediction
from heatkp.skeletons import FACE68, SKELETONS, Skeleton

EYES = Skeleton(
    "eyes", ("right", "left", "nose"), pairs=((1, 0),), normalisers={"inter-ocular": ((0,), (1,))}
)


def errors_of(found, truth, labelled=None, scale=0.5, boxes=None):
    found, truth = np.asarray(found, float), np.asarray(truth, float)
    n, k = truth.shape[:2]
    return Errors(
        image_points=found, image_truth=truth, to_input=np.stack([co.scaling(scale, scale)] * n),
        labelled=np.ones((n, k), bool) if labelled is None else np.asarray(labelled),
        boxes=np.full((n, 4), np.nan) if boxes is None else np.asarray(boxes, float),
        input_size=(100, 50),
    )  # fmt: skip


TRUTH = np.array([[[10, 10], [50, 10], [30, 30]], [[20, 20], [100, 20], [60, 60]]], float)


def test_worked_example():
    found = TRUTH.copy()
    found[0, 2] += (3, 4)  # one point off by 5 pixels
    metrics = summarise(errors_of(found, TRUTH), EYES)
    assert metrics["mae_photo"] == pytest.approx(7 / 2 / 6)
    assert metrics["mae_input"] == pytest.approx(7 / 2 / 6 / 2)
    assert metrics["distance_photo"] == pytest.approx(5 / 6)
    assert metrics["mse_normalised"] == pytest.approx(((1.5 / 100) ** 2 + (2 / 50) ** 2) / 2 / 6)
    assert metrics["mae_normalised"] == pytest.approx((1.5 / 100 + 2 / 50) / 2 / 6)
    block = metrics["normalised"]["inter-ocular"]
    assert block["nme"] == pytest.approx(5 / 40 / 6)  # the first face's eyes are 40 px apart
    assert block["pck"]["0.1"] == pytest.approx(5 / 6)
    assert block["failure_rate"] == 0 and block["images"] == 2
    # faces at NME 5/40/3 and 0: half the curve is full, the other half starts at 4.17 %
    assert block["auc"] == pytest.approx((1 + (0.1 - 5 / 120) / 0.1) / 2, abs=2e-3)
    assert metrics["points"][2]["distance_photo"] == pytest.approx(2.5)
    assert "points-diagonal" in metrics["normalised"]
    assert worst_points(metrics, 1) == "nose 2.50"


def test_unlabelled_points_do_not_count():
    found = TRUTH.copy()
    found[0, 2] = 1e6
    truth = TRUTH.copy()
    truth[0, 2] = np.nan
    labelled = np.ones((2, 3), bool)
    labelled[0, 2] = False
    metrics = summarise(errors_of(found, truth, labelled), EYES)
    assert metrics["mae_photo"] == 0 and metrics["labelled_points"] == 5
    assert metrics["normalised"]["inter-ocular"]["nme"] == 0


def test_points_weigh_the_same_whatever_their_image():
    """One image with one labelled point, one with three: four equal parts."""
    found = TRUTH.copy()
    found[..., 0] += [[4, 0, 0], [8, 8, 8]]
    labelled = np.array([[True, False, False], [True, True, True]])
    metrics = summarise(errors_of(found, TRUTH, labelled), EYES)
    assert metrics["distance_photo"] == pytest.approx((4 + 24) / 4)


def test_faces_without_the_length_are_counted_not_infinite():
    truth = TRUTH.copy()
    truth[0, 1] = truth[0, 0]  # full profile: both eyes in one place
    metrics = summarise(errors_of(truth + 1, truth), EYES)
    block = metrics["normalised"]["inter-ocular"]
    assert (block["images"], block["images_without"]) == (1, 1)
    assert block["nme"] == pytest.approx(np.sqrt(2) / 80)


def test_nothing_labelled():
    metrics = summarise(errors_of(TRUTH, TRUTH * np.nan, np.zeros((2, 3), bool)), EYES)
    assert metrics["mae_photo"] is None and metrics["normalised"] == {}
    assert metrics_table(metrics, "x").row_count == 5


def test_what_is_no_number_is_a_failure():
    found = TRUTH.copy()
    found[0] = np.nan
    metrics = summarise(errors_of(found, TRUTH), EYES)
    ocular = metrics["normalised"]["inter-ocular"]
    assert (ocular["images"], ocular["images_without"], ocular["failure_rate"]) == (2, 0, 0.5)
    assert ocular["auc"] == pytest.approx(0.5) and ocular["pck"]["0.05"] == 0.5
    assert ocular["nme"] is None and metrics["mae_photo"] is None
    json.dumps(metrics, allow_nan=False)


def test_the_curve_counts_what_is_no_number():
    found = np.concatenate([TRUTH, TRUTH])
    found[0] = np.nan
    errors = errors_of(found, np.concatenate([TRUTH, TRUTH]))
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    each = image_nme(distance, errors.labelled, np.array([80.0, 80.0, np.nan, 80.0]))
    assert each[0] == np.inf and np.isnan(each[2]) and (each[[1, 3]] == 0).all()
    assert error_curve(each)[1][-1] == pytest.approx(2 / 3)


def test_images_without_labels_lack_no_length():
    labelled = np.array([[True] * 3, [False] * 3])
    boxes = [[0, 0, 30, 40]] * 2
    metrics = summarise(errors_of(TRUTH + 1, TRUTH, labelled, boxes=boxes), EYES)
    assert (metrics["images"], metrics["unlabelled_images"]) == (1, 1)
    assert metrics["normalised"]["box-diagonal"]["images_without"] == 0


def test_boxes_made_of_points_are_no_labels():
    """How a network is shown the samples does not change what errors are divided by."""
    own = drawn_sample(0, 0, SKELETONS["face68"])
    bare = replace(own, box=None)
    for sample, labelled in ((own, True), (bare, False)):
        for kind in ("given", "points"):
            boxed, _ = with_boxes([sample], kind)
            own_box = labelled_boxes(boxed)[0]
            assert np.isfinite(own_box).all() == labelled
            assert not labelled or (own_box == own.box).all()
            assert (boxed[0].box is own.box) == (labelled and kind == "given")


def test_box_diagonal():
    boxes = [[0, 0, 30, 40], [0, 0, 30, 40]]
    metrics = summarise(errors_of(TRUTH + np.array([3, 4]), TRUTH, boxes=boxes), EYES)
    assert metrics["normalised"]["box-diagonal"]["nme"] == pytest.approx(0.1)


def test_points_outside_the_input_are_counted():
    truth = TRUTH.copy()
    truth[0, 0] = (-10, 5)
    assert summarise(errors_of(truth, truth), EYES)["outside_input"] == 1


@given(st.lists(st.floats(0, 0.3), min_size=1, max_size=30))
def test_error_curve_is_a_distribution(nme):
    levels, shares = error_curve(np.array(nme))
    assert (np.diff(shares) >= 0).all() and shares[-1] == np.mean(np.array(nme) <= 0.1)
    assert levels[0] == 0 and levels[-1] == pytest.approx(0.1)


class Oracle(torch.nn.Module):
    """Knows the truth in input pixels and says it, off by a constant."""

    score_radius = None

    def __init__(self, dataset, offset):
        super().__init__()
        self.anchor = torch.nn.Parameter(torch.zeros(1))
        self.truth = [dataset[i]["points"] for i in range(len(dataset))]
        self.offset, self.asked = torch.tensor(offset), 0

    def forward(self, images):
        start, self.asked = self.asked, self.asked + len(images)
        return torch.stack(self.truth[start : self.asked]) + self.offset

    def predict(self, output):
        return Prediction(output, torch.ones(output.shape[:2]), None)


@pytest.mark.parametrize("batch_size", [1, 4, 7])
def test_predictions_come_back_to_the_photo(batch_size):
    samples = [drawn_sample(0, i, FACE68) for i in range(7)]
    dataset = KeypointDataset(samples, FACE68, Framing((96, 96), box_scale=1.3))
    told = []
    errors = predict_dataset(Oracle(dataset, [1.5, 0.0]), dataset, batch_size, progress=told.append)
    assert told[-1] == 7
    assert np.allclose(errors.input - errors.input_truth, [1.5, 0.0], atol=1e-4)
    for i in range(7):
        scale = np.linalg.det(Framing((96, 96), 1.3).matrix((128, 128), samples[i].box)[:, :2])
        moved = errors.image_points[i] - samples[i].points
        assert np.allclose(moved, [1.5 / np.sqrt(scale), 0], atol=1e-3)
    metrics = summarise(errors, FACE68)
    assert metrics["mae_input"] == pytest.approx(0.75, abs=1e-4)
    assert set(metrics["normalised"]) == {"inter-ocular", "inter-pupil", "box-diagonal"}


def test_lengths_by_hand():
    """Each kind of normaliser; a side of several points is their mean."""
    layout = Skeleton("six", tuple("abcdef"), normalisers={"gap": ((0, 1), (2, 3))})
    truth = np.array([[[10, 20], [12, 20], [40, 60], [42, 60], [10, 90], [50, 20]]], float)
    labelled = np.ones((1, 6), bool)
    lengths = normaliser_lengths(layout, errors_of(truth, truth, labelled))
    assert lengths["gap"] == pytest.approx([50])
    assert lengths["points-diagonal"] == pytest.approx([np.hypot(40, 70)])
    labelled[0, 4] = False  # its place is known, but it does not count
    lengths = normaliser_lengths(layout, errors_of(truth, truth, labelled))
    assert lengths["points-diagonal"] == pytest.approx([np.hypot(40, 40)])
    labelled[0, 0] = False
    assert "gap" not in normaliser_lengths(layout, errors_of(truth, truth, labelled))
    found = errors_of([truth[0]] * 2, [truth[0]] * 2, boxes=[[10, 20, 40, 60], [np.nan] * 4])
    lengths = normaliser_lengths(layout, found)
    assert set(lengths) == {"gap", "box-diagonal"}
    np.testing.assert_allclose(lengths["box-diagonal"], [50, np.nan])


def test_two_points_have_no_diagonal():
    two = Skeleton("two", ("a", "b"))
    assert normaliser_lengths(two, errors_of(TRUTH[:, :2], TRUTH[:, :2])) == {}


@pytest.mark.parametrize(("gap", "usable"), [(0.9, False), (1.0, False), (1.5, True), (2.0, True)])
def test_lengths_are_usable_over_one_pixel(gap, usable):
    """A face in profile has its eyes in nearly one place: its error would be without bounds."""
    truth = TRUTH.copy()
    truth[0, 1] = truth[0, 0] + (gap, 0)
    lengths = normaliser_lengths(EYES, errors_of(truth, truth))["inter-ocular"]
    np.testing.assert_allclose(lengths, [gap if usable else np.nan, 80])


def test_mean_error_of_an_image():
    distance = np.array([[1.0, 2, 90], [3, 90, 90], [90, 90, 90], [1, 2, 3]])
    labelled = np.array([[True, True, False], [True] + [False] * 2, [False] * 3, [True] * 3])
    with np.errstate(all="raise"):
        found = image_nme(distance, labelled, np.array([10.0, 10, 10, np.nan]))
    np.testing.assert_allclose(found, [0.15, 0.3, np.nan, np.nan])


def test_limits_count_as_within():
    """PCK and failures at exactly 5 % and 10 % of a length of 100."""
    truth = np.array([[[0, 0], [100, 0], [50, 50]]] * 2, float)
    found = truth.copy()
    found[0, :, 1] += 10
    found[1, :, 1] += 5
    block = summarise(errors_of(found, truth), EYES)["normalised"]["inter-ocular"]
    assert block["pck"] == {"0.05": 0.5, "0.1": 1.0} and block["failure_rate"] == 0


def test_images_with_some_points_count():
    labelled = np.array([[True, True, False], [True, True, True], [False] * 3])
    truth = np.concatenate([TRUTH, TRUTH[:1]])
    metrics = summarise(errors_of(truth + 1, truth, labelled), EYES)
    assert (metrics["images"], metrics["unlabelled_images"]) == (2, 1)
    block = metrics["normalised"]["inter-ocular"]
    assert (block["images"], block["images_without"]) == (2, 0)
    far = truth + 1
    far[0] += 20
    block = summarise(errors_of(far, truth, labelled), EYES)["normalised"]["inter-ocular"]
    assert block["failure_rate"] == 0.5 and 0 < block["auc"] < 0.5
    labelled[0, 1] = False  # an eye: no length, yet some points
    block = summarise(errors_of(truth + 1, truth, labelled), EYES)["normalised"]["inter-ocular"]
    assert (block["images"], block["images_without"]) == (1, 1)


def test_errors_of_each_point_over_the_lengths_that_are_known():
    found = TRUTH + np.array([3.0, 4.0])
    own = {"own": np.array([50.0, np.nan])}
    metrics = summarise(errors_of(found, TRUTH), EYES, own)
    assert [p["nme"]["own"] for p in metrics["points"]] == pytest.approx([0.1] * 3)
    assert metrics["normalised"]["own"]["nme"] == pytest.approx(0.1)


@pytest.mark.filterwarnings("error")
def test_figures_of_nothing_are_none():
    """Without a warning of means over nothing."""
    none = {"own": np.full(2, np.nan)}
    block = summarise(errors_of(TRUTH, TRUTH), EYES, none)["normalised"]["own"]
    assert block == {
        "nme": None, "pck": {"0.05": None, "0.1": None}, "failure_rate": None, "auc": None,
        "images": 0, "images_without": 2,
    }  # fmt: skip
    with np.errstate(all="raise"):
        assert not error_curve(np.full(2, np.nan))[1].any()


def test_the_curve_has_levels_of_a_hundredth_of_a_percent():
    levels, _ = error_curve(np.zeros(1))
    np.testing.assert_allclose(np.diff(levels), 1e-4)


@pytest.mark.parametrize(("x", "y", "outside"), [
    (-0.5, -0.5, 0), (-0.4, 10, 0), (-0.6, 10, 1), (10, -0.4, 0), (10, -0.6, 1),
    (99.5, 49.5, 0), (99.4, 10, 0), (99.6, 10, 1), (10, 49.4, 0), (10, 49.6, 1),
])  # fmt: skip
def test_the_input_ends_at_the_edges_of_its_pixels(x, y, outside):
    truth = np.array([[[x, y], [50, 10], [30, 30]]])
    assert summarise(errors_of(truth, truth, scale=1.0), EYES)["outside_input"] == outside


def test_some_of_the_images():
    boxes = [[0, 0, 30, 40], [0, 0, 60, 80]]
    errors = errors_of(TRUTH + 1, TRUTH, boxes=boxes)
    for chosen in ([1], np.array([False, True])):
        some = errors.take(chosen)
        for name in ("image_points", "image_truth", "to_input", "labelled", "boxes"):
            assert np.array_equal(getattr(some, name), getattr(errors, name)[1:])
        assert some.input_size == errors.input_size


def test_the_mean_of_several_models():
    first, second = errors_of(TRUTH + 1, TRUTH), errors_of(TRUTH + 4, TRUTH, scale=1.0)
    mean = mean_of([first, second])
    assert np.allclose(mean.image_points, TRUTH + 2.5) and np.allclose(
        mean.input, (TRUTH + 2.5) / 2
    )


def test_boxes_of_samples_with_and_without():
    own = drawn_sample(0, 0, SKELETONS["face68"])
    found = labelled_boxes([replace(own, box=None), own])
    assert np.isnan(found[0]).all() and np.array_equal(found[1], own.box)


def test_the_worst_points_of_a_table():
    points = [("a", 1.0), ("b", None), ("c", 3.0), ("d", 2.0)]
    metrics = {"points": [{"name": n, "distance_photo": d} for n, d in points]}
    assert worst_points(metrics, 2) == "c 3.00, d 2.00"
    assert worst_points(metrics) == "c 3.00, d 2.00, a 1.00"
    many = {"points": [{"name": str(k), "distance_photo": float(k)} for k in range(9)]}
    assert worst_points(many) == "8 8.00, 7 7.00, 6 6.00, 5 5.00, 4 4.00"
