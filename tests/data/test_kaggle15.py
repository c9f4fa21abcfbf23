from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings

from heatkp.config import Data
from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from heatkp.skeletons import FACE15, NOSE_OF, SKELETONS, UNLABELLED
from tests.conftest import damaged, reads_or_refuses, scratch

COLUMNS = [f"{name}_{axis}" for name in FACE15.point_names for axis in "xy"]
TOP = np.zeros((96, 96), np.uint8)
TOP[0, :3] = 7, 8, 255


def grey(image):
    return " ".join(map(str, image.ravel()))


def training_text(rows, columns=COLUMNS):
    lines = [",".join([*columns, "Image"])]
    lines += [",".join([*map(str, values), grey(image)]) for values, image in rows]
    return "\n".join(lines) + "\n"


TWO = training_text(
    [
        ([i / 4 for i in range(30)], TOP),
        (["" if i in (8, 9) else i for i in range(30)], 255 - TOP),
    ]
)


def write(folder, text, name="training.csv"):
    (folder / name).write_text(text)
    return folder / name


def test_training_table(tmp_path):
    path = write(tmp_path, TWO)
    assert recognise(path) == recognise(tmp_path) == "kaggle15"
    skeleton, samples, notes = read(path)
    assert skeleton is FACE15 and notes == ()
    assert [s.id for s in samples] == ["row-1", "row-2"]
    first, second = samples
    assert first.points.ravel().tolist() == [i / 4 for i in range(30)]
    assert first.visibility.tolist() == [2] * 15
    assert second.visibility.tolist() == [2] * 4 + [0] + [2] * 10
    assert np.isnan(second.points[4]).all() and second.points[5].tolist() == [10, 11]
    assert first.file is None and first.box is None and first.source_image is None
    for sample, image in ((first, TOP), (second, 255 - TOP)):
        assert sample.image().dtype == np.uint8 and np.array_equal(sample.image(), image)
    # What a sample holds is its image, one byte a pixel; and it can go to a worker.
    held = pickle.dumps(first)
    assert len(held) < 96 * 96 + 2000
    assert np.array_equal(pickle.loads(held).image(), TOP)


def test_test_table(tmp_path):
    rows = [f"{n},{grey(TOP)}" for n in (7, 3, 3)]
    path = write(tmp_path, "\n".join(["ImageId,Image", *rows]), "test.csv")
    assert recognise(path) == "kaggle15"
    skeleton, samples, _ = read(path)
    assert skeleton == UNLABELLED
    assert [s.id for s in samples] == ["7", "3", "3#2"]
    assert all(s.points.shape == (0, 2) and s.image().shape == (96, 96) for s in samples)


def test_other_order_of_columns(tmp_path):
    path = write(tmp_path, training_text([(range(30), TOP)], COLUMNS[::-1]))
    assert read(path).samples[0].points.ravel().tolist() == list(range(30))[::-1]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("nose_tip_x", "nose_x", "columns 'nose_x' .*expected each once"),
        ("nose_tip_x", "nose_tip_y", "expected each once"),
        ("Image\n", "Scan\n", "columns 'Scan'"),
        ("0.25,", "high,", r"row 1 \(line 2\): y of point left_eye_center is 'high'"),
        ("0.25,", ",", "row 1 .*: y of point left_eye_center is ''"),
        ("0.25,", "", "row 1 .* has 30 cells"),
        (" 8 255", " 8", "row 1 .*: Image has 9215 numbers up to 8; expected 9216 from 0 to 255"),
        (" 8 255", " 8 256", "row 1 .*: Image has 9216 numbers up to 256"),
        (" 8 255", f" 8 {10**30}", "row 1 .*: Image has 9216 numbers up to"),
        (" 8 255", " 8 -1", "row 1 .*: Image holds more than whole numbers"),
        (" 8 255", " 8 2.5", "row 1 .*: Image holds more than whole numbers"),
        (grey(TOP), "", "row 1 .*: Image has 0 numbers"),
        (TWO[TWO.index("\n") :], "", "a header but no rows"),
    ],
)
def test_bad_tables(tmp_path, old, new, words):
    assert old in TWO
    with pytest.raises(DataError, match=words) as caught:
        read(write(tmp_path, TWO.replace(old, new, 1)), "kaggle15")
    assert "training.csv" in str(caught.value)


def test_columns_that_are_missing(tmp_path):
    path = write(tmp_path, training_text([(range(29), TOP)], COLUMNS[:-1]))
    with pytest.raises(DataError, match="column mouth_center_bottom_lip_y is missing"):
        read(path)
    (tmp_path / "test.csv").write_text("ImageId,Image\n")
    with pytest.raises(DataError, match="not, and does not hold just one"):
        read(tmp_path, "kaggle15")


@settings(max_examples=50)
@given(damaged(TWO))
def test_junk(tmp_path_factory, content):
    reads_or_refuses(scratch(tmp_path_factory) / "kaggle.csv", content, "kaggle15")


def test_face15():
    assert SKELETONS["face15"] is FACE15 and len(FACE15) == 15
    names = FACE15.point_names
    assert names[NOSE_OF["face15"]] == "nose_tip"
    assert FACE15.flip.tolist() == [1, 0, 4, 5, 2, 3, 8, 9, 6, 7, 10, 12, 11, 13, 14]
    for left, right in FACE15.pairs:
        assert names[left].replace("left", "right") == names[right]
    (right,), (left,) = FACE15.normalisers["inter-pupil"]
    assert (names[right], names[left]) == ("right_eye_center", "left_eye_center")
    assert Data.model_fields["skeleton"].annotation.__args__ == ("face68", "face58")
