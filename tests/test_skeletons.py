from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.skeletons import FACE58, FACE68, NOSE_OF, SKELETONS, Skeleton, select


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=lambda s: s.name)
def test_flip_is_an_involution_that_changes_sides(skeleton: Skeleton):
    flip = skeleton.flip
    assert np.array_equal(flip[flip], np.arange(len(skeleton)))
    for a, b in enumerate(flip):
        name, other = skeleton.point_names[a], skeleton.point_names[b]
        if name.startswith(("left", "right")):
            assert name.split("_")[0] != other.split("_")[0]
            assert name.split("_")[1] == other.split("_")[1]
        else:
            assert name.split("_")[0] == other.split("_")[0]


def test_sizes():
    assert len(FACE68) == 68 and len(FACE58) == 58
    assert FACE68.flip[[0, 8, 36, 39, 48, 33]].tolist() == [16, 8, 45, 42, 54, 33]
    assert FACE58.flip[[0, 6, 13, 17, 29, 39, 45, 52]].tolist() == [12, 6, 21, 25, 34, 43, 45, 52]


def test_flip_table_of_68_points_is_the_published_one():
    published = [
        *range(16, -1, -1), *range(26, 16, -1), 27, 28, 29, 30, 35, 34, 33, 32, 31,
        45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
        54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55, 64, 63, 62, 61, 60, 67, 66, 65,
    ]  # fmt: skip
    assert FACE68.flip.tolist() == published


@given(st.lists(st.integers(0, 67), min_size=1, max_size=20, unique=True))
def test_subset(indices):
    part = FACE68.subset(indices)
    assert [FACE68.point_names[i] for i in indices] == list(part.point_names)
    for left, right in part.pairs:
        assert (indices[left], indices[right]) in FACE68.pairs
    for line in part.lines:
        assert len(line) > 1


def test_subset_keeps_normalisers_that_are_whole():
    assert set(FACE68.subset([36, 45]).normalisers) == {"inter-ocular"}


def test_select():
    assert select(FACE58, "nose") == [NOSE_OF["face58"]]
    assert FACE58.point_names[NOSE_OF["face58"]] == "nose_tip"
    assert select(FACE68, "all") == list(range(68))
    assert select(FACE68, [3, 1]) == [3, 1]
    with pytest.raises(ValueError, match="0 to 57"):
        select(FACE58, [58])
    with pytest.raises(ValueError, match="all, nose"):
        select(FACE58, "mouth")


def test_inconsistent_skeletons_are_refused():
    with pytest.raises(ValueError, match="twice"):
        Skeleton("x", ("a", "a"))
    with pytest.raises(ValueError, match="two left-right"):
        Skeleton("x", ("a", "b", "c"), pairs=((0, 1), (1, 2)))
    with pytest.raises(ValueError, match="no point 5"):
        Skeleton("x", ("a", "b"), lines=((0, 5),))
