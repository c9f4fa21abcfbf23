"""`Predictor.heatmaps`: maps of objects, and where they lie on their images."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import heatkp
from heatkp.config import Data, Head, Model, Settings
from heatkp.data.boxes import BoxStyle
from heatkp.errors import DataError, SettingsError
from heatkp.inference.predictor import Predictor
from heatkp.models import build_model
from heatkp.runs import Loaded
from heatkp.skeletons import Skeleton

SKELETON = Skeleton("three", ("left", "right", "nose"), pairs=((0, 1),))
STYLE = BoxStyle((0.1, -0.2), (3.0, 3.0))


def predictor(head="kl", stride=4, size=(36, 30), style=None, crop="box", **data):
    """A model that has not trained, with maps that are far from flat."""
    settings = Settings(
        data=Data(size=list(size), crop=crop, **data),
        model=Model(encoder="tu-mobilenetv3_small_050", encoder_weights="none", stride=stride),
        head=Head(name=head),
    )
    torch.manual_seed(0)
    model = build_model(settings, 3).eval()
    if head != "regression":
        model.map_layer.convolution.weight.data *= 100
    return Predictor(Loaded(model, settings, SKELETON, style))


def images_of(*sizes):
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (h // 8, w // 8, 3), np.uint8).repeat(8, 0).repeat(8, 1)
            for w, h in sizes]  # fmt: skip


def expectation(found):
    """The mean place (K, 2) of each map in pixels of the map."""
    y, x = np.mgrid[: found.maps.shape[1], : found.maps.shape[2]]
    weights = found.maps.astype(np.float64)
    return np.stack([(weights * v).sum((1, 2)) / weights.sum((1, 2)) for v in (x, y)], 1)


@pytest.mark.parametrize(
    ("stride", "size", "options"),
    [
        (1, (32, 32), {}),
        (4, (36, 30), {}),  # the last row of the maps reaches beyond the input
        (2, (40, 32), {"keep_aspect": False}),
        (2, (32, 32), {"grey": True}),
        (4, (36, 30), {"style": STYLE}),  # two passes
        (4, (36, 30), {"crop": "image"}),
    ],
)
def test_the_maps_expectation_is_where_the_points_are(stride, size, options):
    model = predictor(stride=stride, size=size, **options)
    images = images_of((96, 80), (120, 64))
    boxes = [[[5, 8, 60, 70], [20, 10, 90, 60]], None]
    found, points = model.heatmaps(images, boxes, batch_size=2), model.predict(images, boxes)
    assert [h.image for h in found] == [0, 0, 1] and found[2].box is None
    for own, keypoints in zip(found, points):
        assert own.maps.shape == (3, -(-size[1] // stride), -(-size[0] // stride))
        assert own.maps.dtype == np.float32 and own.kind == "logits"
        np.testing.assert_allclose(own.maps.sum((1, 2)), 1, atol=1e-4)
        there = own.to_image(expectation(own))
        np.testing.assert_allclose(there, keypoints.points, atol=0.02)
        assert own.image_size == keypoints.image_size and own.skeleton is SKELETON
        assert own.box is None or np.array_equal(own.box, keypoints.box)
    spread = np.ptp([expectation(h) for h in found], axis=0)
    assert spread.max() > 0.1  # maps of different places: no chance agreement


def test_two_passes_show_the_maps_of_the_second():
    model = predictor(style=STYLE)
    (image,) = images_of((96, 80))
    one, two = (model.heatmaps(image, [5, 8, 60, 70], passes=n)[0] for n in (1, 2))
    assert not np.allclose(one.matrix, two.matrix) and not np.allclose(one.maps, two.maps)


@pytest.mark.parametrize(("head", "kind"), [("bce", "sigmoid_logits"), ("argmax", "gaussian")])
def test_what_maps_of_other_heads_hold(head, kind):
    (found,) = predictor(head).heatmaps(images_of((96, 80))[0])
    assert found.kind == kind and found.maps.min() >= 0
    assert kind == "gaussian" or found.maps.max() <= 1


def test_one_by_name_all_together_and_in_words():
    (found,) = predictor().heatmaps(images_of((96, 80))[0], "image")
    assert np.array_equal(found["nose"], found.maps[2]) and np.array_equal(found[0], found["left"])
    np.testing.assert_allclose(found.total(), found.maps.sum(0))
    assert len(found) == 3 and isinstance(found, heatkp.Heatmaps)
    for words in ("3 ", "9x8", "three", "image 0"):
        assert words in repr(found)
    assert len(repr(found)) < 100
    with pytest.raises(KeyError, match="ear"):
        found["ear"]
    with pytest.raises(IndexError):
        found[3]


def test_what_is_refused():
    image = images_of((96, 80))[0]
    with pytest.raises(SettingsError, match="regression"):
        predictor("regression").heatmaps(image)
    with pytest.raises(SettingsError, match="two passes"):
        predictor().heatmaps(image, passes=2)
    with pytest.raises(SettingsError, match="batch_size"):
        predictor().heatmaps(image, batch_size=0)
    with pytest.raises(DataError, match="no area"):
        predictor().heatmaps(image, [5, 5, 5, 9])
    assert predictor().heatmaps([]) == [] == predictor().heatmaps(image, np.zeros((0, 4)))
