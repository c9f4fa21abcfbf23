"""Points matched by name."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.matching import difference, in_order_of, order_of, places, whole
from heatkp.data.samples import KeypointData, Sample
from heatkp.errors import CheckpointError
from heatkp.skeletons import Skeleton

NAMES = st.lists(st.text("abc_01", min_size=1, max_size=3), min_size=1, max_size=8, unique=True)


@given(NAMES, st.randoms())
def test_places_find_each_name(names, random):
    shuffled = random.sample(names, len(names))
    assert [shuffled[i] for i in places(names, shuffled)] == names
    assert places([*names, "?"], names) is None


@given(NAMES, NAMES)
def test_a_difference_names_what_only_one_has(first, second):
    text = difference("<", first, ">", second)
    for name in set(first) ^ set(second):
        assert repr(name) in text or "points)" in text
    if set(first) == set(second):
        assert "another order" in text


def test_long_differences_are_counted():
    text = difference("a", [f"p{i}" for i in range(30)], "b", ["p0"])
    assert "'p1', 'p2', 'p3', 'p4', ... (29 points)" in text and "p5" not in text


def data(names):
    """One sample; the x of a point is its name's place in the alphabet."""
    x = np.array([[ord(n), 0] for n in names], np.float32)
    sample = Sample(lambda: None, x, np.full(len(names), 2), id="s")
    return KeypointData(Skeleton("mine", tuple(names)), [sample], [sample])


def test_data_is_put_in_a_models_order():
    found = in_order_of(Skeleton("m", ("c", "a", "b")), "run", Data(), data("abc"))
    assert found.skeleton.point_names == ("c", "a", "b")
    assert found.val[0].points[:, 0].tolist() == [ord("c"), ord("a"), ord("b")]
    assert "another order than run" in found.notes[-1]
    same = data("abc")
    assert in_order_of(same.skeleton, "run", Data(), same) is same


def test_other_points_are_left_out_only_where_the_run_chose():
    model = Skeleton("m", ("c", "a"))
    chosen = Data(points=[2, 0])
    assert whole(chosen).points == "all" and whole(Data(points="nose")).points == "nose"
    found = in_order_of(model, "run", chosen, data("abc"))
    assert found.val[0].points[:, 0].tolist() == [ord("c"), ord("a")]
    with pytest.raises(CheckpointError, match="only the data has 'b'"):
        in_order_of(model, "run", Data(), data("abc"))
    with pytest.raises(CheckpointError, match="only run has 'c'"):
        in_order_of(model, "run", chosen, data("ab"))


def test_an_error_never_calls_both_sides_the_same():
    with pytest.raises(CheckpointError, match="only one has 'a', only other has 'd'"):
        order_of(Skeleton("points3", tuple("abc")), "one", Skeleton("points3", tuple("bcd")),
                 "other", "stop")  # fmt: skip
