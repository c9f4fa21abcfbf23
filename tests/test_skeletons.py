from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.skeletons import FACE58, FACE68, NOSE_OF, SKELETONS, Skeleton, select, sides_by_name


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
    paired = {i for pair in FACE68.pairs for i in pair}
    kept = {indices[i] for pair in part.pairs for i in pair}
    assert {indices[i] for i in part.unpaired} == (paired & set(indices)) - kept
    assert set(part.subset(range(len(part))[::-1]).unpaired) == {
        len(part) - 1 - i for i in part.unpaired
    }


def test_subset_keeps_normalisers_that_are_whole():
    assert set(FACE68.subset([36, 45]).normalisers) == {"inter-ocular"}


def test_points_without_a_counterpart():
    eye = FACE68.subset([36, 30, 45, 37])
    assert eye.unpaired == (3,) and eye.pairs == ((2, 0),)
    assert "1 of 4 points" in eye.unmirrored and "right_eye_1" in eye.unmirrored
    assert FACE68.unmirrored is None and FACE68.subset([30, 33]).unmirrored is None
    told = eye.with_pairs([(2, 0), (1, 3)])
    assert told.unmirrored is None and told.flip.tolist() == [2, 3, 0, 1]
    with pytest.raises(ValueError, match="no point 9"):
        eye.with_pairs([(0, 9)])


SIDES = ("left", "right")


@pytest.mark.parametrize(
    "names, pairs, unpaired",
    [
        (["lefteye", "righteye"], [(0, 1)], []),
        (["Right Eye", "Left Eye", "nose"], [(1, 0)], []),
        (["l_hip", "r_hip", "eye.R", "eye.L", "earL"], [(0, 1), (3, 2)], [4]),
        (["upper_lip", "bright", "auge_links", "kp_0"], [], [1, 2, 3]),
        (["leye", "reye", "Lhip", "Rhip", "PAW1LH", "PAW1RH"], [(0, 1), (2, 3), (4, 5)], []),
        (["right_lip_corner", "left_lip_corner", "bright_l", "bright_r"], [(1, 0), (2, 3)], []),
        ([f"{a}_eye_{b}_corner" for a in SIDES for b in SIDES], [(0, 3), (1, 2)], []),
        ([*(f"left_eye_{b}_corner" for b in SIDES), "l_ear", "r_ear"], [(2, 3)], [0, 1]),
        (["left_eye", "right_eye", "tail1", "tail2"], [(0, 1)], []),
        (["left_eye", "right_eye", "hip1", "hip2"], [(0, 1)], [2, 3]),
        (["left_eye", "mouth"], [], [0]),
        (["nose"], [], []),
    ],
)
def test_sides_by_name(names, pairs, unpaired):
    found = sides_by_name(names)
    assert sorted(found.pairs) == sorted(pairs) and list(found.unpaired) == unpaired


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


def test_stored_normalisers_that_are_no_dictionary():
    """Found by benchmarks/fuzz.py: what reads a run or an export tells these as damage."""
    from heatkp.skeletons.making import restored

    with pytest.raises((TypeError, ValueError)):
        restored({"name": "a", "point_names": ["a"], "pairs": [], "lines": [], "normalisers": 3})
