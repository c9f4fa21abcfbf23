"""Label sets as wholes: split, merged, reduced."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import heatkp
from heatkp.data.grouping import joined
from heatkp.data.samples import Labels, Sample
from heatkp.data.sets import merge_labels, parts_of, split_labels, subset_labels
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import named

NAMES = ("nose", "left_ear", "right_ear")
PIXELS = np.zeros((8, 8, 3), np.uint8)


def sample(identity, names=NAMES, **more):
    """Point k of a sample lies at (place of its name in `NAMES`, k)."""
    points = [[NAMES.index(n) if n in NAMES else 9, 1] for n in names]
    return Sample(PIXELS, np.float32(points), id=identity, **more)


def set_of(*samples, names=NAMES):
    return Labels(named("mouse", names), list(samples), ("a note",))


keys = st.lists(
    st.tuples(*[st.sampled_from([None, "a", "b", "c", "d", "e"])] * 3), min_size=1, max_size=20
)


@given(keys)
def test_joined_is_the_transitive_closure(rows):
    groups = joined(*zip(*rows))
    assert len(groups) == len(rows)
    reached = np.array([[i == j or any(a == b and a is not None for a, b in zip(p, q))
                         for j, q in enumerate(rows)] for i, p in enumerate(rows)])  # fmt: skip
    for _ in rows:
        reached = (reached.astype(int) @ reached.astype(int)) > 0
    same = np.equal.outer(groups, groups)
    assert (same == reached).all()


@given(keys, st.sampled_from([(0.8, 0.2, 0.0), (0.6, 0.2, 0.2), (0.5, 0.0, 0.5)]),
       st.integers(0, 5))  # fmt: skip
def test_parts_keep_groups_together(rows, fractions, seed):
    labels = set_of(*(sample(str(i), source_image=a, person=b, video=c)
                      for i, (a, b, c) in enumerate(rows)))  # fmt: skip
    given_fractions = dict(zip(("train", "val", "test"), fractions))
    wanted = [name for name, fraction in given_fractions.items() if fraction]
    groups = joined([a or str(i) for i, (a, _, _) in enumerate(rows)],
                    [b for _, b, _ in rows], [c for _, _, c in rows])  # fmt: skip
    if max(groups) + 1 < len(wanted):
        with pytest.raises(DataError, match="too few"):
            split_labels(labels, given_fractions, seed)
        return
    done = split_labels(labels, given_fractions, seed)
    assert len({(g, s.split) for g, s in zip(groups, done.samples)}) == max(groups) + 1
    parts = parts_of(done)
    assert list(parts) == wanted and all(part.samples for part in parts.values())
    again = split_labels(labels, given_fractions, seed)
    assert [s.split for s in again.samples] == [s.split for s in done.samples]


def test_fractions_are_met():
    labels = set_of(*(sample(str(i)) for i in range(100)))
    done = split_labels(labels, {"train": 0.7, "val": 0.2, "test": 0.1})
    assert Counter(s.split for s in done.samples) == {"train": 70, "val": 20, "test": 10}
    other = split_labels(labels, {"train": 0.7, "val": 0.2, "test": 0.1}, seed=1)
    assert [s.split for s in other.samples] != [s.split for s in done.samples]


@pytest.mark.parametrize(
    "fractions",
    [{"train": 0.5}, {"train": 1.5, "val": -0.5}, {"learn": 1}, {}, {"train": float("nan")}],
)
def test_fractions_that_are_none(fractions):
    with pytest.raises(SettingsError):
        split_labels(set_of(sample("a")), fractions)


def test_what_is_not_parted():
    labels = set_of(*(sample(str(i), video="v", person=str(i % 2)) for i in range(6)))
    halves = {"train": 0.5, "val": 0.5}
    for by in ("all", "video"):
        with pytest.raises(DataError, match=r"6 samples are in 1 groups by .*--by"):
            split_labels(labels, halves, by=by)
    done = split_labels(labels, halves, by="person")
    assert len({(s.person, s.split) for s in done.samples}) == 2
    done = split_labels(labels, halves, by="image")
    assert Counter(s.split for s in done.samples) == {"train": 3, "val": 3}


def test_own_parts():
    labels = set_of(sample("a", split="test"), sample("b"), sample("c", split="train"))
    parts = parts_of(labels)
    assert list(parts) == ["train", "test"]
    assert parts["train"].notes[-1].endswith("left out: 1")
    with pytest.raises(DataError, match="give fractions"):
        parts_of(set_of(sample("a")))


def test_merged_by_name():
    other = NAMES[::-1]
    first = set_of(sample("a"), sample("b"))
    second = set_of(sample("a", other), sample("c", other), names=other)
    merged = merge_labels([first, second, first])
    assert merged.skeleton.point_names == NAMES
    assert [s.id for s in merged.samples] == ["a", "b", "a#2", "c", "a#3", "b#2"]
    for s in merged.samples:
        assert s.points[:, 0].tolist() == [0, 1, 2]
    assert merged.skeleton.pairs == ((1, 2),)
    assert "sets whose points were put into the first one's order: 1" in merged.notes
    assert "samples that got another id, for several sets have it: 3" in merged.notes
    with pytest.raises(DataError, match="it lacks nose; it also has tail"):
        names = ("tail", *NAMES[1:])
        merge_labels([first, set_of(sample("a", names), names=names)])
    with pytest.raises(SettingsError):
        merge_labels([])


def test_subsets(tmp_path):
    labels = set_of(*(sample(f"v{i}/x", person=str(i // 2)) for i in range(20)))
    assert len(subset_labels(labels, names=["v1*"]).samples) == 11
    assert [s.id for s in subset_labels(labels, names=["v3/x", "v5/?"]).samples] == ["v3/x", "v5/x"]
    some = subset_labels(labels, points=["right_ear", "0"])
    assert some.skeleton.point_names == ("right_ear", "nose")
    assert some.samples[0].points[:, 0].tolist() == [2, 0]
    part = subset_labels(labels, fraction=0.3, seed=4)
    assert len(part.samples) == 6 and set(Counter(s.person for s in part.samples).values()) == {2}
    assert part.notes == ("a note", "samples that were left out: 14")
    with pytest.raises(DataError, match="none of 20"):
        subset_labels(labels, names=["w*"])
    for wrong in (["tail"], [3], [0, "nose"], [], ["-1"]):
        with pytest.raises(SettingsError):
            subset_labels(labels, points=wrong)
    with pytest.raises(SettingsError):
        subset_labels(labels, fraction=0)


def test_from_python(tmp_path):
    labels = set_of(sample("a"), sample("b"))
    done = heatkp.write_labels(labels, tmp_path / "out", format="csv")
    found = heatkp.read_labels(tmp_path / "out")
    assert found.samples[0].points.tolist() == labels.samples[0].points.tolist()
    assert done.path == tmp_path / "out" / "labels.csv"
