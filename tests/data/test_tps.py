"""TPS files: y from the lower edge, missing landmarks, keys in any order, damaged files."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError, HeatkpError
from tests.conftest import scratch, write_image

TEXT = """LM=3
1.5 2.5
10 47.5
63.5 0.5
IMAGE=a.png
ID=0
SCALE=0.1

lm=3
-1 -1
NA NA
20,5 10
CURVES=1
POINTS=2
1 2
3 4
id=1
Image=sub\\\\b.png
"""


def written(folder, text=TEXT, images=("a.png", "sub/b.png")):
    for i, name in enumerate(images):
        write_image(folder / name, 64, 48, seed=i)
    path = folder / "marks.tps"
    path.write_bytes(text.replace("\\\\", "\\").replace("\n", "\r\n").encode())
    return path


def test_y_counts_up_from_the_lower_edge(tmp_path):
    path = written(tmp_path)
    assert recognise(path) == recognise(tmp_path) == "tps"
    labels = read(path)
    first, second = labels.samples
    assert first.points.tolist() == [[1, 45], [9.5, 0], [63, 47]]
    assert labels.skeleton.point_names == ("point_1", "point_2", "point_3")
    assert second.visibility.tolist() == [0, 0, 2] and second.points[2].tolist() == [20, 37.5]
    assert second.file == tmp_path / "sub" / "b.png"
    notes = " ".join(labels.notes)
    assert "curves and outlines, left out: 2" in notes and "not labelled: 2" in notes


def test_y_may_be_said_to_count_down(tmp_path):
    down = read(written(tmp_path), y_up=False).samples[0]
    assert down.points.tolist() == [[1, 2], [9.5, 47], [63, 0]]  # from the corner all the same
    assert read(tmp_path, y_up=True).samples[0].points[0].tolist() == [1, 45]


def test_a_missing_image(tmp_path):
    path = written(tmp_path, images=["a.png"])
    with pytest.raises(DataError, match="does not exist"):
        read(path)
    labels = read(path, strict=False)
    assert labels.samples[1].visibility.tolist() == [0, 0, 0]
    assert any("cannot be turned over" in note and note.endswith(": 1") for note in labels.notes)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "holds no landmarks"),
        ("LM=0\nIMAGE=a.png\n", "holds no landmarks"),
        ("LM=2\n1 2\n", "cut off"),
        ("LM=2\n1 2\nIMAGE=a.png\n", "2 landmarks are announced"),
        ("LM=1\n1 2\n3 4\nIMAGE=a.png\n", "follows 1 landmarks"),
        ("LM=1\n1 2 3\nIMAGE=a.png\n", "expected 'x y'"),
        ("LM=1\n1 two\nIMAGE=a.png\n", "expected 'x y'"),
        ("LM=x\n", "no number of landmarks"),
        ("1 2\nLM=1\n", "before any LM="),
        ("LM3=1\n1 2 3\nIMAGE=a.png\n", "three dimensions"),
        ("LM=1\n1 2\nID=5\n", "names no image"),
        ("LM=1\n1 2\nIMAGE=a.png\nLM=2\n1 2\n3 4\nIMAGE=a.png\n", "2 landmarks, but 1 before"),
    ],
)
def test_damaged(tmp_path, text, words):
    with pytest.raises(DataError, match=words):
        read(written(tmp_path, text))


def test_an_id_that_is_the_image(tmp_path):
    samples = read(written(tmp_path, "LM=1\n1 2\nID=a.png\n")).samples
    assert samples[0].file == tmp_path / "a.png" and samples[0].id == "a"


LINES = st.sampled_from(["LM=2", "LM=1", "1 2", "-1 5", "NA NA", "IMAGE=a.png", "ID=a.png",
                         "CURVES=1", "POINTS=1", "SCALE=1", "= =", "LM=", "x", ""])  # fmt: skip


@given(st.lists(LINES | st.text(max_size=8), max_size=12))
def test_any_lines_are_read_or_refused(tmp_path_factory, lines):
    folder = scratch(tmp_path_factory) / "tps"
    if not (folder / "a.png").exists():
        write_image(folder / "a.png", 64, 48)
    path = folder / "fuzzed.tps"
    path.write_text("\n".join(lines), encoding="utf-8")
    try:
        labels = read(path, "tps", strict=False)
    except HeatkpError:
        return
    for sample in labels.samples:
        assert np.isfinite(sample.points[sample.visibility > 0]).all()
