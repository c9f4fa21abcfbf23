"""Kaggle's files, written and read, and their scores, against examples worked by hand."""

from __future__ import annotations

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.kaggle.forms import (
    read_lookup,
    read_submission,
    score,
    write_locations,
    write_submission,
)
from heatkp.skeletons import FACE68, Skeleton

EYES = Skeleton(
    "eyes", ("right", "left", "nose"), pairs=((1, 0),), normalisers={"inter-ocular": ((0,), (1,))}
)
TRUTH = np.array([[[10, 10], [50, 10], [30, 30]], [[20, 20], [100, 20], [60, 60]]], np.float64)


def samples_of(points, boxes=None, labelled=None, size=(80, 120), hidden=np.nan):
    n, k = np.shape(points)[:2]
    labelled = np.ones((n, k), bool) if labelled is None else np.asarray(labelled)
    return [
        Sample(
            id=str(i + 1),
            image=partial(np.zeros, (*size, 3), np.uint8),
            points=np.where(labelled[i][:, None], points[i], hidden).astype(np.float32),
            visibility=np.where(labelled[i], 2, 0).astype(np.uint8),
            box=None if boxes is None else np.asarray(boxes[i], np.float32),
        )
        for i in range(n)
    ]


def labels_of(points, **rest):
    return Labels(EYES, samples_of(points, **rest))


def lines_of(path):
    return path.read_text().splitlines()


def test_rows_are_in_kaggles_order(tmp_path):
    out = tmp_path / "a.csv"
    found = [[[1, 2], [3.456, -4]], [[5.125, 6], [7, -0.001]]]
    write_submission(out, found)
    assert out.read_text() == (
        "Id,Predicted\n0,1.00\n1,2.00\n2,3.46\n3,-4.00\n4,5.12\n5,6.00\n6,7.00\n7,0.00\n"
    )
    write_submission(out, found, decimals=0)
    assert lines_of(out)[3:5] == ["2,3", "3,-4"]


def test_ids_of_68_points(tmp_path):
    """Id = 136 entry + 2 point + (0 for x, 1 for y)."""
    entry, point, axis = np.meshgrid(range(3), range(68), range(2), indexing="ij")
    found = np.stack([1000 * entry + 10 * point + axis], -1)[..., 0]
    write_submission(tmp_path / "a.csv", found)
    rows = dict(line.split(",") for line in lines_of(tmp_path / "a.csv")[1:])
    assert len(rows) == 3 * 136
    assert rows["0"] == "0.00" and rows["135"] == "671.00" and rows["136"] == "1000.00"
    assert rows[str(136 * 2 + 2 * 30 + 1)] == "2301.00"


@given(
    st.integers(1, 3).flatmap(
        lambda k: st.lists(
            st.lists(st.floats(-1e5, 1e5), min_size=2 * k, max_size=2 * k), min_size=1, max_size=4
        )
    ),
    st.integers(0, 6),
    st.randoms(),
)
def test_what_was_written_is_read_back(tmp_path_factory, numbers, decimals, random):
    out = tmp_path_factory.mktemp("kaggle") / "a.csv"
    found = np.array(numbers).reshape(len(numbers), -1, 2)
    write_submission(out, found, decimals)
    header, *rows = lines_of(out)
    random.shuffle(rows)
    out.write_text("\n".join([header, *rows]))
    read = read_submission(out, *found.shape[:2])
    assert read.shape == found.shape
    assert np.abs(read - found).max() <= 0.5 * 10.0**-decimals * (1 + 1e-3) + 1e-9


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("Id,Predicted", "Id,Value"), "'Id,Value'.*'Id,Predicted'"),
        (lambda t: t.replace("5,30.00\n", ""), "1 of 12 .* 5$"),
        (lambda t: "Id,Predicted\n", "12 of 12 .* 0$"),
        (lambda t: t.replace("5,30.00", "4,30.00"), "Id 4"),
        (lambda t: t + "12,1.0\n", "Id 12.* 2 .* 3 .*0 to 11"),
        (lambda t: t.replace("5,30.00", "5,nan"), "row 6 .*'nan'"),
        (lambda t: t.replace("5,30.00", "5,-inf"), "'-inf'"),
        (lambda t: t.replace("5,30.00", "5,"), "row 6 .*''"),
        (lambda t: t.replace("5,30.00", "5,thirty"), "row 6 .*'thirty'"),
        (lambda t: t.replace("5,30.00", "five,30"), "Id 'five'"),
        (lambda t: t.replace("5,30.00", "-5,30"), "Id '-5'"),
        (lambda t: t.replace("5,30.00", "5,30,1"), "3 .* 2"),
        (lambda t: "", r"a\.csv"),
    ],
)
def test_wrong_submissions_are_refused(tmp_path, change, words):
    out = tmp_path / "a.csv"
    write_submission(out, TRUTH)
    read_submission(out, 2, 3)
    out.write_text(change(out.read_text()))
    with pytest.raises(DataError, match=words):
        read_submission(out, 2, 3)


def test_a_submission_that_is_no_file(tmp_path):
    with pytest.raises(DataError, match=r"none\.csv"):
        read_submission(tmp_path / "none.csv", 2, 3)
    (tmp_path / "b.csv").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(DataError, match=r"b\.csv"):
        read_submission(tmp_path / "b.csv", 2, 3)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_what_is_not_finite_is_not_written(tmp_path, bad):
    found = TRUTH.copy()
    found[1, 2, 1] = bad
    with pytest.raises(DataError, match="y of point 2 in entry 1"):
        write_submission(tmp_path / "a.csv", found)
    with pytest.raises(DataError, match=r"\(3, 2\)"):
        write_submission(tmp_path / "a.csv", TRUTH[0])
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    write_submission(out, TRUTH)
    before = out.read_bytes()

    def full(self, text, **rest):
        with self.open("w") as file:
            file.write(text[: len(text) // 2])
        raise OSError("no space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_submission(out, TRUTH + 1)
    assert out.read_bytes() == before
    monkeypatch.undo()
    write_submission(out, TRUTH + 1)
    assert out.read_bytes() != before


TABLE = """RowId,ImageId,FeatureName,Location
1,2,left_x,
2,2,nose_y,
4,1,right_y,
3,1,right_x,
"""


def test_locations_are_what_the_table_asks_for(tmp_path):
    (tmp_path / "t.csv").write_text(TABLE)
    lookup = read_lookup(tmp_path / "t.csv", EYES, samples_of(TRUTH))
    found = TRUTH.copy()
    found[0, 0] = (-3.0, 12.345)
    write_locations(tmp_path / "a.csv", lookup, found, decimals=1)
    # 100 is more than the competition allows, and -3 less
    assert lines_of(tmp_path / "a.csv") == ["RowId,Location", "1,96.0", "2,60.0", "4,12.3", "3,0.0"]
    found[1, 1] = np.nan
    with pytest.raises(DataError, match=r"2 .* x of point 1 in entry 1"):
        write_locations(tmp_path / "b.csv", lookup, found)
    assert not (tmp_path / "b.csv").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t.replace("Location", "Place"), "'Location'|Place"),
        (lambda t: t.replace("nose_y", "chin_y"), "'chin_y'.*right, left, nose"),
        (lambda t: t.replace("nose_y", "nose"), "'nose'"),
        (lambda t: t.replace("4,1,", "4,3,"), "3.* 2 "),
        (lambda t: t.replace("4,1,", "1,1,"), "RowId 1"),
        (lambda t: t.replace("4,1,", "4,,"), "ImageId ''"),
        (lambda t: t.splitlines()[0], r"t\.csv"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, change, words):
    (tmp_path / "t.csv").write_text(change(TABLE))
    with pytest.raises(DataError, match=words):
        read_lookup(tmp_path / "t.csv", EYES, samples_of(TRUTH))


def test_the_truth_scores_nothing():
    result = score(TRUTH, labels_of(TRUTH, boxes=[[0, 0, 10, 10]] * 2))
    for key in ("mae", "rmse", "distance", "normalised_sum"):
        assert result[key] == 0
    block = result["normalised"]["inter-ocular"]
    assert block["nme"] == block["failure_rate"] == 0 and block["auc"] == pytest.approx(1)


def test_a_shift_scores_its_length(tmp_path):
    """Through the file: 3 pixels in x and in y are a mean |error| of exactly 3."""
    write_submission(tmp_path / "a.csv", TRUTH + 3)
    result = score(read_submission(tmp_path / "a.csv", 2, 3), labels_of(TRUTH))
    assert result["mae"] == 3 and result["rmse"] == pytest.approx(3)
    assert result["distance"] == pytest.approx(3 * np.sqrt(2))


def test_worked_example():
    """Faces whose eyes are 40 and 80 pixels apart; one nose is off by (6, 8), one eye by (4, 0)."""
    found = TRUTH.copy()
    found[0, 2] += (6, 8)
    found[1, 0] += (-4, 0)
    boxes = [[0, 0, 60, 40], [0, 0, 100, 100]]
    result = score(found, labels_of(TRUTH, boxes=boxes), worst=1)
    assert result["mae"] == pytest.approx((6 + 8 + 4) / 12)
    assert result["rmse"] == pytest.approx(np.sqrt((36 + 64 + 16) / 12))
    assert result["distance"] == pytest.approx((10 + 4) / 6)
    block = result["normalised"]["inter-ocular"]
    assert block["nme"] == pytest.approx((10 / 40 + 4 / 80) / 6)
    assert block["failure_rate"] == 0
    assert result["normalised_sum"] == pytest.approx(((6 / 60 + 8 / 40) + 4 / 100) / 2)
    assert result["worst"] == [{"entry": 0, "file": "1", "mae": pytest.approx(14 / 6)}]
    found[0, 2] += (30, 40)  # NME of that face is (60 / 3) / 40
    assert score(found, labels_of(TRUTH))["normalised"]["inter-ocular"]["failure_rate"] == 0.5


def test_without_a_box_the_image_normalises():
    """Images are 120 wide and 80 high: a shift of (3, 4) costs 3 points 3 (3/120 + 4/80)."""
    result = score(TRUTH + np.array([3, 4]), labels_of(TRUTH, size=(80, 120)))
    assert result["normalised_sum"] == pytest.approx(3 * (3 / 120 + 4 / 80))


def test_136_numbers_are_summed():
    truth = np.random.default_rng(0).uniform(0, 200, (2, 68, 2))
    boxes = [[10, 10, 210, 210]] * 2
    labels = Labels(FACE68, samples_of(truth, boxes=boxes))
    assert score(truth + 1, labels)["normalised_sum"] == pytest.approx(136 / 200, rel=1e-4)


@pytest.mark.parametrize("hidden", [np.nan, 0.0])
def test_only_labelled_points_count(hidden):
    """A point without a label, and an image without any, may be anywhere."""
    labelled = [[True, True, False], [True, True, True], [False, False, False]]
    truth = np.concatenate([TRUTH, TRUTH[:1]])
    found = truth + 2.0
    found[0, 2] = found[2] = 1e5
    boxes = [[0, 0, 100, 100]] * 3
    result = score(found, labels_of(truth, boxes=boxes, labelled=labelled, hidden=hidden))
    assert (result["images"], result["labelled_points"]) == (2, 5)
    assert result["mae"] == pytest.approx(2) and result["rmse"] == pytest.approx(2)
    assert result["normalised_sum"] == pytest.approx((4 * 0.02 + 6 * 0.02) / 2)
    assert [w["entry"] for w in result["worst"]] == [0, 1]


def test_entries_keep_their_numbers_among_the_worst():
    labelled = [[False] * 3, [True] * 3, [True] * 3]
    truth = np.concatenate([TRUTH[:1], TRUTH])
    found = truth.copy()
    found[2] += 1
    worst = score(found, labels_of(truth, labelled=labelled))["worst"]
    assert [(w["entry"], w["mae"]) for w in worst] == [(2, 1.0), (1, 0.0)]


def test_scores_that_cannot_be():
    with pytest.raises(DataError, match=r"\(1, 3, 2\).* 2 .* 3 "):
        score(TRUTH[:1], labels_of(TRUTH))
    with pytest.raises(DataError, match="label"):
        score(TRUTH, labels_of(TRUTH, labelled=np.zeros((2, 3), bool)))
    with pytest.raises(DataError, match=r"1: .*\[5\.0, 5\.0, 5\.0, 9\.0\]"):
        score(TRUTH, labels_of(TRUTH, boxes=[[5, 5, 5, 9], [0, 0, 9, 9]]))


def test_scoring_needs_no_torch():
    script = "import sys, heatkp.kaggle.forms; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
