from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heatkp import coordinates as co

finite = st.floats(-500, 500)
points = st.lists(st.tuples(finite, finite), min_size=1, max_size=8).map(np.array)
sizes = st.tuples(st.integers(8, 640), st.integers(8, 640))
strides = st.sampled_from([1, 2, 4])


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    x, y = draw(finite), draw(finite)
    w, h = draw(st.floats(5, 500)), draw(st.floats(5, 500))
    return np.array([x, y, x + w, y + h])


@given(points, boxes(), sizes, strides, st.floats(-180, 180), st.floats(0.5, 2))
def test_photo_to_map_and_back(p, box, size, stride, angle, zoom):
    matrix = co.compose(co.box_to_frame(box, *size), co.rotation(angle), co.scaling(zoom, zoom))
    on_map = co.input_to_map(co.apply(matrix, p), stride)
    back = co.apply(co.invert(matrix), co.map_to_input(on_map, stride))
    assert np.abs(back - p).max() < 1e-3


@given(points, st.floats(-180, 180), st.floats(0.1, 5), finite, finite)
def test_similarities_are_found_again(p, angle, scale, dx, dy):
    made = co.compose(co.rotation(angle), co.scaling(scale, scale), co.translation(dx, dy))
    if np.ptp(p, axis=0).max() < 1e-2:
        return
    found = co.similarity(p, co.apply(made, p))
    assert np.abs(co.apply(found, p) - co.apply(made, p)).max() < 1e-6 * (1 + np.abs(p).max())


def test_a_similarity_of_one_place():
    with pytest.raises(ValueError, match="similarity"):
        co.similarity(np.ones((4, 2)), np.zeros((4, 2)))


def test_an_affine_for_each_sample():
    rng = np.random.default_rng(0)
    matrices, p = rng.normal(size=(3, 2, 3)), rng.normal(size=(3, 5, 2))
    each = np.stack([co.apply(m, q) for m, q in zip(matrices, p)])
    np.testing.assert_allclose(co.apply(matrices, p), each)


@given(points, st.integers(1, 1000))
def test_flip_twice_is_identity(p, width):
    mirror = co.mirroring(width)
    assert np.allclose(co.apply(mirror, co.apply(mirror, p)), p)
    assert np.allclose(co.compose(mirror, mirror), np.eye(3)[:2])


def test_flip_exchanges_first_and_last_pixel():
    assert co.apply(co.mirroring(10), np.array([[0.0, 3.0]])).tolist() == [[9.0, 3.0]]


@given(points, sizes, strides)
def test_resizing_commutes_with_mapping(p, size, stride):
    """Shrinking an image by the stride is the same as looking at its map."""
    width, height = size[0] * stride, size[1] * stride
    resize = co.box_to_frame(co.image_box(width, height), *size)
    assert np.allclose(co.apply(resize, p), co.input_to_map(p, stride))


@given(points, sizes)
def test_normalise(p, size):
    assert np.allclose(co.denormalise(co.normalise(p, *size), *size), p)
    tensor = torch.from_numpy(p)
    assert np.allclose(co.normalise(tensor, *size).numpy(), co.normalise(p, *size))


def test_normalise_covers_the_image():
    corners = np.array([[-0.5, -0.5], [639.5, 479.5]])
    assert co.normalise(corners, 640, 480).tolist() == [[0, 0], [1, 1]]


@given(boxes(), sizes)
def test_box_fills_the_frame(box, size):
    matrix = co.box_to_frame(box, *size)
    corners = co.apply(matrix, box.reshape(2, 2))
    assert np.allclose(corners, co.image_box(*size).reshape(2, 2), atol=1e-6)


def test_stride_offset():
    """The middle of map pixel 0 lies at (s - 1) / 2."""
    for stride in (1, 2, 4):
        assert co.map_to_input(np.zeros(2), stride).tolist() == [(stride - 1) / 2] * 2


def test_bad_affines_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 3, 3, 8\)"):
        co.box_to_frame([3, 3, 3, 8], 10, 10)
    with pytest.raises(ValueError, match="determinant 0"):
        co.invert(co.scaling(0, 1))


def test_nan_stays_nan():
    assert np.isnan(co.apply(co.rotation(10), np.array([[np.nan, np.nan]]))).all()


def test_affines_by_hand():
    """x to the right, y down: a positive angle turns x to y."""
    p = np.array([[2.0, 1.0]])
    assert np.allclose(co.apply(co.rotation(90), p), [[-1, 2]])
    assert np.allclose(co.rotation(30)[:, 2], 0)
    assert co.apply(co.shearing(0.5, 0.0), p).tolist() == [[2.5, 1]]
    assert co.apply(co.shearing(0.0, 0.5), p).tolist() == [[2, 2]]
    assert co.apply(co.shearing(0.0, 0.0), p).tolist() == p.tolist()


def test_a_single_point_keeps_its_shape():
    assert co.apply(co.translation(1, 2), np.array([3.0, 4.0])).tolist() == [4, 6]
    assert co.apply(co.translation(1, 2), np.zeros((2, 3, 2))).shape == (2, 3, 2)


def test_the_smallest_affine_that_can_be_inverted():
    assert co.invert(co.scaling(1e-12, 1.0))[0, 0] == pytest.approx(1e12)
    for bad in (co.scaling(0.9e-12, 1.0), co.scaling(np.nan, 1.0), co.scaling(np.inf, 1.0)):
        with pytest.raises(ValueError, match="determinant"), np.errstate(invalid="ignore"):
            co.invert(bad)


def test_similarities_of_points_that_are_close_together():
    p = np.array([[5.0, 5.0], [5.1, 5.0]])
    found = co.similarity(p, co.apply(co.scaling(3, 3), p))
    assert np.allclose(found, co.scaling(3, 3))


@pytest.mark.parametrize("box", [[3, 3, 3, 8], [3, 3, 8, 3], [3, 3, 2, 8], [3, 3, 8, np.nan]])
def test_boxes_without_area_are_refused(box):
    with pytest.raises(ValueError, match="area"):
        co.box_to_frame(box, 10, 10)


@given(
    st.tuples(*[st.sampled_from([-0.75, -0.5, 0.0, 2.5, 2.75, 6.5, 6.75, np.nan])] * 2),
    st.sampled_from([(3, 7), (7, 3)]),
)
def test_what_lies_inside(point, size):
    """The frame of an image reaches half a pixel beyond the centres of its outermost pixels."""
    expected = all(-0.5 <= v <= n - 0.5 for v, n in zip(point, size))
    points = np.array([point, (0.0, 0.0)], np.float32)
    assert co.inside(points, *size).tolist() == [expected, True]
    assert co.inside(torch.from_numpy(points)[None], *size).tolist() == [[expected, True]]
