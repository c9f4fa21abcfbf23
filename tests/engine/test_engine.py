"""One pass from images and boxes to points, scores, covariances and maps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Estimate, Region
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import Skeleton
from tests.engine.fakes import BOX, POINTS, STYLE, THREE, Brightest, Sided, engine, image_with


def sample(i=0, box=BOX, image=None):
    points = np.add(POINTS, (i, -i))
    image = image_with(points) if image is None else image
    edges = None if box is None else np.asarray(box, np.float32)
    return Sample(lambda: image, points, np.full(3, 2, np.uint8), edges, id=f"sample {i}")


numbers = st.floats(-3, 3)


@given(st.tuples(*[numbers] * 6), st.integers(0, 2**31))
def test_what_is_found_goes_back_to_the_image(values, seed):
    """By the inverse of each input's own affine; covariances by its linear part."""
    matrix = np.reshape(values, (2, 3))
    if abs(np.linalg.det(matrix[:, :2])) < 0.05:
        matrix[:, :2] = np.eye(2)
    matrices = np.stack([matrix, co.scaling(2, 4)])
    inputs = torch.from_numpy(
        np.random.default_rng(seed).integers(0, 255, (2, 3, 24, 32), np.uint8)
    )
    backend = Brightest()
    own, found = backend.run(inputs), engine(backend).estimate(inputs, matrices)
    np.testing.assert_allclose(co.apply(matrices, found.points), own.points, atol=1e-6)
    linear = matrices[:, None, :, :2]
    there = linear @ found.covariance @ linear.swapaxes(-1, -2)
    np.testing.assert_allclose(there, own.covariance, atol=1e-6)
    assert np.array_equal(found.scores, own.scores.double()) and len(found) == 2
    assert found.maps is None and np.array_equal(found.first_matrices, matrices)


def test_maps_mean_something_and_lie_where_the_points_do():
    inputs = torch.zeros(1, 3, 24, 32, dtype=torch.uint8)
    inputs[0, :, 10:12, 20:22] = 255  # one map pixel, whose centre is (20.5, 10.5)
    matrix = co.compose(co.scaling(0.5, 0.25), co.translation(3, 4))
    found = engine().estimate(inputs, matrix[None], maps=True)
    assert found.maps.shape == (1, 3, 12, 16) and found.maps.dtype == np.float32
    assert found.maps.min() == 0  # of Gaussians, what is negative means nothing
    y, x = divmod(int(found.maps[0, 0].argmax()), 16)
    there = co.apply(found.map_matrix(0), np.array([x, y]))
    np.testing.assert_allclose(there, co.apply(co.invert(matrix), np.array([20.5, 10.5])))


@given(st.integers(1, 16), st.tuples(*[st.floats(-50, 50)] * 2))
def test_pixels_of_maps_by_the_convention(stride, place):
    matrix = co.compose(co.rotation(30), co.scaling(2, 3), co.translation(5, -7))
    nothing = np.zeros((1, 1, 2))
    found = Estimate(nothing, nothing[..., 0], None, matrix[None], matrix[None], stride=stride)
    there = co.input_to_map(
        co.apply(matrix, co.apply(found.map_matrix(0), np.array(place))), stride
    )
    np.testing.assert_allclose(there, place, atol=1e-9)


def test_flip_test_changes_sides_and_cancels_a_bias():
    """Points of a mirror image come back with the labels of the other side."""
    inputs = torch.zeros(1, 3, 20, 30, dtype=torch.uint8)
    for channel, (x, y) in enumerate([(20, 5), (4, 7), (11, 12)]):
        inputs[0, channel, y, x] = 200
    plain, identity = Sided((1.5, 0.25)), np.eye(3)[None, :2]
    once = engine(plain).estimate(inputs, identity)
    np.testing.assert_allclose(once.points[0], [[21.5, 5.25], [5.5, 7.25], [12.5, 12.25]])
    both = engine(plain).estimate(inputs, identity, flip_test=True)
    np.testing.assert_allclose(both.points[0], [[20, 5.25], [4, 7.25], [11, 12.25]])


def test_what_a_network_cannot_do():
    sided = Skeleton("sided", ("left", "b", "c"), unpaired=(0,))
    region = Region(image_with(POINTS), BOX)
    dataset = KeypointDataset([sample()], sided, Framing((32, 24), 1.5))
    cases = [
        (engine(), {"passes": 3}, "passes"),
        (engine(), {"passes": 2}, "two passes"),
        (engine(skeleton=sided), {"flip_test": True}, "no flip test"),
    ]
    for refuses, options, words in cases:
        for call in (
            lambda r, o: r.check(**o),
            lambda r, o: r.look([region], **o),
            lambda r, o: list(r.over(dataset, **o)),
        ):
            with pytest.raises(SettingsError, match=words):
                call(refuses, options)
        assert not refuses.backend.batches  # before anything is looked at
    engine(style=STYLE).check(passes=2, flip_test=True)


def test_points_of_regions():
    boxes = [BOX, None, BOX + 3]
    image = image_with(POINTS)
    found = engine().look([Region(image, box) for box in boxes], maps=True)
    assert found.maps.shape == (3, 3, 12, 16)
    np.testing.assert_allclose(found.points, np.stack([POINTS] * 3), atol=3.5)
    framing = Framing((32, 24), 1.5)
    for matrix, box in zip(found.matrices, boxes):
        np.testing.assert_allclose(matrix, framing.matrix((96, 80), box))


@pytest.mark.parametrize("batch_size", [1, 2, 5])
@pytest.mark.parametrize("grey", [False, True])
def test_a_data_set_is_seen_as_its_regions_are(batch_size, grey):
    samples = [sample(i, None if i == 2 else BOX) for i in range(5)]
    dataset = KeypointDataset(samples, THREE, Framing((32, 24), 1.5), grey=grey)
    backend = Brightest()
    runs = Engine.for_dataset(backend, dataset)
    several = list(runs.over(dataset, batch_size, maps=True))
    assert backend.batches == [len(e) for e in several] and sum(backend.batches) == 5
    whole = runs.look([Region(s.image(), s.box) for s in samples], maps=True)
    for name in ("points", "scores", "matrices", "maps"):
        joined = np.concatenate([getattr(e, name) for e in several])
        np.testing.assert_allclose(joined, getattr(whole, name), atol=1e-4)
    assert whole.maps.shape[1] == (1 if grey else 3)


def test_two_passes_read_deep_images_as_one_does():
    """Of 12 bits, of which the brightest pixel is far from white: the scores tell."""
    deep = image_with([POINTS[0]] * 3)[:, :, 0].astype(np.uint16) * 8
    options = ImageOptions(intensity=12)
    samples = [replace(sample(image=deep), options=options)]
    dataset = KeypointDataset(samples, THREE, Framing((32, 24), 1.5))
    one, two = (
        next(Engine.for_dataset(Brightest(), dataset, STYLE).over(dataset, passes=n))
        for n in (1, 2)
    )
    np.testing.assert_allclose(one.scores, 250 * 8 / 4095, atol=0.01)
    np.testing.assert_allclose(two.scores, one.scores)
    np.testing.assert_allclose(two.points, one.points, atol=1e-9)  # in one place: no new box


def test_two_stage_refinement_looks_at_the_box_around_the_points():
    """Where it looked first is known still; maps and matrices are those of the points."""
    image, off = image_with(POINTS), np.add(BOX, (-10, 5, 25, 30))
    looks = engine(style=STYLE)
    one, two = (looks.look([Region(image, off)], passes=n, maps=True) for n in (1, 2))
    assert looks.backend.batches == [1, 1, 1]
    around = STYLE.around(one.points[0])
    np.testing.assert_allclose(two.matrices[0], looks.framing.matrix((96, 80), around))
    np.testing.assert_array_equal(two.first_matrices, one.matrices)
    closer = looks.look([Region(image, around)], maps=True)
    for name in ("points", "scores", "covariance", "maps"):
        np.testing.assert_array_equal(getattr(two, name), getattr(closer, name))
    errors = [np.abs(e.points[0] - POINTS).mean() for e in (one, two)]
    assert errors[1] < errors[0]


@pytest.mark.parametrize(
    "style",
    [
        BoxStyle((9.0, 0.0), (3.4, 3.4)),  # beside the region
        BoxStyle((0.0, 0.0), (0.1, 0.1)),  # a speck of it
        BoxStyle((0.0, 0.0), (9.0, 9.0)),  # far larger
    ],
)
def test_boxes_that_are_not_worth_a_second_look(style):
    looks = engine(style=style)
    one, two = (looks.look([Region(image_with(POINTS), BOX)], passes=n) for n in (1, 2))
    assert looks.backend.batches == [1, 1]
    np.testing.assert_array_equal(one.points, two.points)


def test_a_second_look_is_taken_where_it_lost_nothing():
    def estimate(values, scores):
        points = np.broadcast_to(np.reshape(values, (-1, 1, 1)), (len(values), 2, 2)).astype(float)
        matrices = np.stack([co.scaling(v, v) for v in np.nan_to_num(values, nan=9.0)])
        scores = np.tile(np.reshape(scores, (-1, 1)), (1, 2)).astype(float)
        maps = points[..., None].astype(np.float32)
        return Estimate(points, scores, None, matrices, matrices, maps)

    first = estimate([1, 2, 3, 4], [0.9, 0.9, 0.9, np.nan])
    second = estimate([np.nan, 30, 40], [0.9, 0.5, np.nan])  # lost; less sure; without scores
    found = first.with_second([0, 2, 3], second)
    assert found.points[:, 0, 0].tolist() == [1, 2, 3, 40]
    assert found.matrices[:, 0, 0].tolist() == [1, 2, 3, 40]
    assert found.maps[:, 0, 0, 0].tolist() == [1, 2, 3, 40]
    assert found.first_matrices[:, 0, 0].tolist() == [1, 2, 3, 4]
    assert first.points[3, 0, 0] == 4  # itself as before
    surer = replace(second, scores=np.full((3, 2), 0.75))  # a small loss says nothing
    assert first.with_second([0, 2, 3], surer).points[:, 0, 0].tolist() == [1, 2, 30, 40]
    assert first.with_second([0], estimate([np.nan], [1])) is first


def test_errors_name_the_image():
    bad = Region(image_with(POINTS), np.array([5.0, 5, 5, 9]), "me")
    with pytest.raises(DataError, match="me"):
        engine().look([bad])
    dataset = KeypointDataset([sample(7, BOX[[2, 3, 0, 1]])], THREE, Framing((32, 24), 1.5))
    with pytest.raises(DataError, match="sample 7"):
        list(engine(style=STYLE).over(dataset, passes=2))
