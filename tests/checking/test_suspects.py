"""Wrong labels are found among right ones, and said to be what they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.checking.hypotheses import parts_of, reorderings
from heatkp.checking.suspects import find_suspects
from heatkp.data.synthetic import draw_face
from heatkp.skeletons import SKELETONS, Skeleton

FACE = SKELETONS["face58"]
EYE = list(range(21, 29))


@pytest.fixture(scope="module")
def faces():
    """Labels with errors of 1 px, and predictions with others: (60, 58, 2) each."""
    rng = np.random.default_rng(0)
    shapes = np.stack([draw_face(0, i, 48).points58 for i in range(60)]).astype(float) * 6
    return shapes + rng.normal(0, 1, shapes.shape), shapes + rng.normal(0, 1.5, shapes.shape)


def first(found, labels, skeleton=FACE, **options):
    return find_suspects(found, labels, skeleton, **options)[0]


def test_right_labels_are_hardly_suspected(faces):
    labels, found = faces
    every = find_suspects(found, labels, FACE)
    assert [f for f in every if f.kind not in ("off", "object")] == []
    assert sum(f.strength > 3 for f in every) <= 2


def test_an_eye_in_reversed_order(faces):
    labels, found = faces
    labels = labels.copy()
    for i in (7, 33):
        labels[i, EYE] = labels[i, [EYE[(4 - k) % 8] for k in range(8)]]
    every = find_suspects(found, labels, FACE)
    assert {f.sample for f in every[:2]} == {7, 33}
    for f in every[:2]:
        assert (f.kind, f.part) == ("reversed", "right_eye")
        assert f.after < 2 < f.before


def test_one_pair_and_all_sides(faces):
    labels, found = faces
    labels = labels.copy()
    labels[3] = labels[3, FACE.flip]
    labels[11, [14, 22]] = labels[11, [22, 14]]
    every = find_suspects(found, labels, FACE)
    whole, pair = every[0], every[1]
    assert (whole.sample, whole.kind) == (3, "sides")
    assert len(whole.points) >= 50
    assert (pair.sample, pair.kind) == (11, "sides")
    assert set(pair.points) == {14, 22}


def test_two_points_exchanged_and_one_off(faces):
    labels, found = faces
    labels = labels.copy()
    labels[5, [0, 30]] = labels[5, [30, 0]]
    labels[40, 52] += (60, -40)
    every = find_suspects(found, labels, FACE)
    assert (every[0].sample, every[0].kind, set(every[0].points)) == (5, "exchanged", {0, 30})
    assert (every[1].sample, every[1].kind, every[1].points) == (40, "off", (52,))
    assert every[1].shape > 5


def test_another_object(faces):
    labels, found = faces
    labels = labels.copy()
    labels[20] += (150, 90)
    top = first(found, labels)
    assert (top.sample, top.kind) == (20, "object")


def test_networks_that_disagree_tell_little(faces):
    labels, found = faces
    labels = labels.copy()
    labels[40, 52] += (25, 0)
    spread = np.zeros(labels.shape[:2])
    assert first(found, labels, spread=spread).sample == 40
    spread[40, 52] = 30
    assert all(f.sample != 40 for f in find_suspects(found, labels, FACE, spread))


def test_a_label_under_the_name_of_a_point_without_one(faces):
    labels, found = faces
    labels = labels.copy()
    labels[9, 29] = labels[9, 34]
    labels[9, 34] = np.nan
    top = first(found, labels)
    assert (top.sample, top.kind, set(top.points)) == (9, "sides", {29, 34})


@given(seed=st.integers(0, 1000), sample=st.integers(0, 59), kind=st.integers(0, 40))
@settings(max_examples=30)
def test_any_order_of_a_part_is_found(faces, seed, sample, kind):
    labels, found = faces
    orders = reorderings(FACE)
    made = orders[(seed * 41 + kind) % len(orders)]
    labels = labels.copy()
    labels[sample, list(made.others)] = labels[sample, list(made.points)]
    top = first(found, labels)
    assert top.sample == sample
    assert set(top.points) <= set(made.points)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_samples_and_points(count):
    skeleton = Skeleton("one", ("a",))
    assert find_suspects(np.zeros((count, 1, 2)), np.zeros((count, 1, 2)), skeleton) == []
    nothing = np.full((count, 58, 2), np.nan)
    assert find_suspects(nothing, nothing, FACE) == []


def test_shapes_must_fit():
    with pytest.raises(ValueError):
        find_suspects(np.zeros((2, 58, 2)), np.zeros((2, 57, 2)), FACE)


def test_parts_of_skeletons():
    parts = parts_of(FACE)
    assert parts["right_eye"] == (tuple(EYE), True)
    assert parts["jaw"] == (tuple(range(13)), False)
    assert len(parts) == 7
    numbered = Skeleton("numbers", tuple(f"point_{i}" for i in range(9)))
    assert parts_of(numbered) == {}
    stems = Skeleton("spine", ("spine_0", "spine_1", "spine_2", "nose"))
    assert parts_of(stems) == {"spine": ((0, 1, 2), True)}
