"""The estimate of a constant shift, against numbers of which the truth is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.checking.shapes import align, headings, out_of_shape, sizes
from heatkp.checking.shift import estimate_shift, learnable, looks_same_mirrored
from heatkp.checking.words import shift_words


def objects(seed, count=120, points=6, spread=np.pi, noise=0.5):
    """Truth and predictions: turned shapes, with a bias of each point that turns with them."""
    rng = np.random.default_rng(seed)
    shape = 20 * (rng.normal(size=points) + 1j * rng.normal(size=points))
    angle = rng.uniform(-spread, spread, count)
    turn = np.exp(1j * angle)[:, None]
    place = 100 * (rng.normal(size=(count, 1)) + 1j * rng.normal(size=(count, 1)))
    truth = place + turn * shape
    bias = 2 * (rng.normal(size=points) + 1j * rng.normal(size=points))
    error = noise * (rng.normal(size=truth.shape) + 1j * rng.normal(size=truth.shape))
    return plane(truth), plane(truth + turn * bias + error), angle


def plane(z):
    return np.stack([z.real, z.imag], -1)


@given(st.integers(0, 2**32), st.floats(-3, 3), st.floats(-3, 3))
def test_the_shift_is_found_within_its_error(seed, x, y):
    truth, found, _ = objects(seed)
    shift = estimate_shift(found, truth + np.array([x, y]))
    # 6 standard errors: one in 10^8 or so of such estimates is beyond.
    assert abs(shift.x - x) < 6 * shift.errors[0] + 1e-9
    assert abs(shift.y - y) < 6 * shift.errors[1] + 1e-9
    assert max(shift.errors) < 0.2 and shift.tells


@given(st.integers(0, 2**32))
def test_without_noise_it_is_exact(seed):
    truth, found, _ = objects(seed, 40, noise=0.0)
    shift = estimate_shift(found, truth + np.array([0.5, -0.25]))
    assert (shift.x, shift.y) == pytest.approx((0.5, -0.25), abs=1e-6)


def test_standard_errors_are_those_of_repetitions():
    every = [estimate_shift(*objects(seed, 80)[1::-1]) for seed in range(300)]
    real = np.std([[s.x, s.y] for s in every], axis=0)
    told = np.mean([s.errors for s in every], axis=0)
    assert np.allclose(real, told, rtol=0.2)
    assert 0.005 < np.mean([s.p < 0.05 for s in every]) < 0.1


def test_groups_that_err_together_count_once():
    rng = np.random.default_rng(0)
    truth, found, _ = objects(0, 400)
    groups = np.arange(400) // 20
    found = found + rng.normal(0, 1, (20, 2))[groups][:, None]
    alone, grouped = estimate_shift(found, truth), estimate_shift(found, truth, groups.tolist())
    assert grouped.groups == 20
    assert min(grouped.errors) > 2 * max(alone.errors)


def test_wild_predictions_count_little():
    truth, found, _ = objects(1, 300)
    found[:30] += (200, 0)
    shift = estimate_shift(found, truth + np.array([0.5, 0]))
    assert abs(shift.x - 0.5) < 0.15


def test_equal_headings_tell_nothing():
    truth, found, _ = objects(2, 100, spread=0.1)
    shift = estimate_shift(found, truth + np.array([2, 0]))
    assert not shift.tells and not shift.found
    assert max(shift.spreads) < 0.01
    still = estimate_shift(*objects(2, 100, spread=0.0)[1::-1])
    assert not still.tells


def test_spread_is_of_headings():
    truth, found, angle = objects(3, 500, spread=1.0)
    expected = 1 - abs(np.exp(1j * angle).mean()) ** 2
    assert estimate_shift(found, truth).spreads == pytest.approx((expected, expected), abs=0.02)


FLIP = [1, 0, 3, 2, 4]


def faces(seed, count=150, spread=0.05, noise=0.5):
    """Objects that are the same in a mirror, hardly turned; what networks that saw mirrored images
    find in them, biased the same on both sides."""
    rng = np.random.default_rng(seed)
    shape = np.array([-10 - 8j, 10 - 8j, -6 + 9j, 6 + 9j, 0])
    bias = np.array([1 + 0.5j, -1 + 0.5j, 0.3 - 1j, -0.3 - 1j, 0.7j])
    turn = np.exp(1j * rng.normal(0, spread, count))[:, None]
    error = noise * (rng.normal(size=(count, 5)) + 1j * rng.normal(size=(count, 5)))
    return plane(turn * shape), plane(turn * (shape + bias) + error)


@given(st.integers(0, 2**32), st.floats(-2, 2), st.floats(-2, 2))
def test_mirrored_images_tell_a_shift_across(seed, x, y):
    truth, found = faces(seed)
    # The network learns what of the shift mirrored images leave: up and down.
    found = found + np.array([0, y])
    shift = estimate_shift(found, truth + np.array([x, y]), flip=FLIP)
    assert shift.mirrored and shift.told == (True, False)
    assert abs(shift.x - x) < 6 * shift.errors[0] and shift.errors[0] < 0.1
    assert shift.found == (abs(shift.x) >= 0.25)
    assert not estimate_shift(found, truth, None).tells


def test_mirrored_images_beside_headings():
    truth, found = faces(0, 400, spread=3.0)
    shift = estimate_shift(found, truth + np.array([0.5, -0.5]), flip=FLIP)
    assert shift.told == (True, True)
    assert (shift.x, shift.y) == pytest.approx((0.5, -0.5), abs=0.1)
    assert shift.objects == shift.groups == 400


def test_a_shape_that_differs_in_a_mirror():
    truth, found, _ = objects(0, 100, 5)
    assert not looks_same_mirrored(truth, FLIP)
    assert looks_same_mirrored(faces(0)[0], FLIP)
    assert not looks_same_mirrored(truth[:, :2], [1, 0])
    assert not estimate_shift(found, truth, flip=FLIP).mirrored


def test_missing_points_and_samples_are_left_out():
    truth, found, _ = objects(4, 200)
    truth = truth + np.array([1.0, 0.0])
    truth[::3, :2] = np.nan
    truth[5] = np.nan
    shift = estimate_shift(found, truth)
    assert shift.objects == 199 and abs(shift.x - 1) < 0.3


@pytest.mark.parametrize("shape", [(0, 3, 2), (5, 1, 2), (1, 3, 2)])
def test_too_little_tells_nothing(shape):
    shift = estimate_shift(np.zeros(shape), np.zeros(shape))
    assert not shift.tells and shift.as_dict()["found"] is False


def test_shapes_must_fit():
    with pytest.raises(ValueError):
        estimate_shift(np.zeros((3, 2, 2)), np.zeros((2, 2, 2)))
    with pytest.raises(ValueError):
        estimate_shift(np.zeros((3, 2, 2)), np.zeros((3, 2, 2)), [1])


def test_what_rotations_leave_to_be_learned():
    assert learnable({"rotation": 180.0}) == pytest.approx(0, abs=1e-9)
    assert learnable({"rotation": 0.0}) == 1
    assert learnable({"rotation": 90.0}) == pytest.approx(2 / np.pi)
    assert learnable({"rotation": 10, "angles": [0, 90, 180, 270]}) == pytest.approx(0, abs=1e-9)
    normal = learnable({"rotation": 90, "distribution": "normal"})
    assert normal == pytest.approx(np.exp(-((np.pi / 2) ** 2) / 2))


@given(st.integers(0, 2**32), st.floats(-np.pi, np.pi))
def test_headings_turn_with_objects(seed, angle):
    truth, _, own = objects(seed, 30)
    z = truth[..., 0] + 1j * truth[..., 1]
    turned = headings(plane(z * np.exp(1j * angle)))
    gap = np.exp(1j * (turned - own))
    assert np.abs(gap - gap[0]).max() < 1e-6


def test_mean_shape_with_missing_points():
    truth, _, _ = objects(5, 60)
    holes = truth.copy()
    holes[np.random.default_rng(0).random(holes.shape[:2]) < 0.3] = np.nan
    whole, _, _ = align(truth)
    shape, laid, turn = align(holes)
    ratio = shape / whole
    assert np.abs(ratio - ratio[0]).max() < 1e-6  # the same but for how the first one is turned
    assert np.nanmax(np.abs(laid - shape)) < 1e-6
    assert np.isfinite(turn).sum() >= 55


def test_sizes():
    assert sizes([[[0, 0], [2, 0]], [[5, 5], [5, 5]], [[1, 1], [np.nan, 0]]]).tolist() == [1, 1, 1]


def test_a_point_out_of_shape_stands_out():
    rng = np.random.default_rng(6)
    truth, _, _ = objects(6, 150, 8)
    truth = truth + rng.normal(0, 0.5, truth.shape)
    truth[17, 3] += (12, -9)
    off = out_of_shape(truth)
    assert np.unravel_index(np.nanargmax(off), off.shape) == (17, 3)
    assert off[17, 3] > 6
    assert np.isnan(out_of_shape(truth[:, :1])).all()


@pytest.mark.parametrize("first", [0.5, 1.0])
def test_labels_that_count_from_another_number_are_told_so(first):
    truth, found, _ = objects(3)
    lines = shift_words(estimate_shift(found, truth + first))
    assert any(f"data.first_pixel={first:g}" in line for line in lines)
    other = shift_words(estimate_shift(found, truth + np.array([first, -first])))
    assert not any("first_pixel" in line for line in other)
