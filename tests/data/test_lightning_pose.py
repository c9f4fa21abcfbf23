"""Lightning Pose's label files."""

from __future__ import annotations

import pytest
from hypothesis import given

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.scorer_files import PARTS, project, table

SIX = [1, 2, 3, 4, 5.5, 6]
SEEN = ("x", "y", "visible")


def test_real_project(data_folder):
    folder = data_folder / "mirror_mouse"
    assert recognise(folder) == recognise(folder / "CollectedData.csv") == "lightning_pose"
    found = read(folder)
    assert (len(found.samples), len(found.skeleton), found.notes) == (90, 17, ())
    assert sum(int((s.visibility == 0).sum()) for s in found.samples) == 134
    assert found.samples[0].points[0].tolist() == [77.25, 36.25]
    assert found.samples[0].video is None and found.samples[0].file.is_file()


def labels(folder, name="CollectedData.csv", rows=None, **options):
    rows = rows or [("labeled-data/s1/img007.png", SIX)]
    for image, _ in rows:
        write_image(folder / image)
    (folder / name).write_text(table(rows, **options))
    return folder


def test_video_and_frame(tmp_path):
    (sample,) = read(labels(tmp_path)).samples
    assert (sample.video, sample.frame, sample.id) == ("s1", 7, "labeled-data/s1/img007")
    assert sample.file == tmp_path / "labeled-data/s1/img007.png"


def test_visibility(tmp_path):
    """Hidden without coordinates is not labelled, for there is no point; 0 is not labelled."""
    rows = [("a.png", [1, 2, 1, 3, 4, 0, 5, 6, 2]), ("b.png", ["", "", 1, 3, 4, 2, "", "", 0])]
    found = read(labels(tmp_path, rows=rows, axes=SEEN))
    assert [s.visibility.tolist() for s in found.samples] == [[1, 0, 2], [0, 2, 0]]
    assert found.samples[0].points[0].tolist() == [1, 2]
    assert any(note.endswith("count as not labelled: 1") for note in found.notes)
    (tmp_path / "CollectedData.csv").write_text(table([("a.png", [1, 2, 3] * 3)], axes=SEEN))
    with pytest.raises(DataError, match="visible is '3'"):
        read(tmp_path)


def test_several_label_files(tmp_path):
    labels(tmp_path)
    labels(tmp_path, "CollectedData_new.csv", [("labeled-data/s2/img1.png", SIX)])
    found = read(tmp_path)
    assert [s.video for s in found.samples] == ["s1"]
    assert any("left out: 1 (CollectedData_new.csv)" in note for note in found.notes)
    other = tmp_path / "CollectedData_new.csv"
    assert recognise(other) == "lightning_pose" and read(other).samples[0].video == "s2"
    (tmp_path / "CollectedData.csv").rename(tmp_path / "top.csv")
    with pytest.raises(DataError, match="2 of Lightning Pose's label files"):
        recognise(tmp_path)


def test_excel_and_a_single_table_elsewhere(tmp_path):
    text = table([("img1.png", SIX)])
    write_image(tmp_path / "img1.png")
    path = tmp_path / "mine.csv"
    path.write_text(text.replace(",", ";").replace("5.5", "5,5"), encoding="utf-8-sig")
    assert recognise(path) == recognise(tmp_path) == "lightning_pose"
    assert read(path).samples[0].points[2].tolist() == [5.5, 6]


def test_other_tables_stay_what_they_are(tmp_path):
    path = tmp_path / "labels.csv"
    path.write_text("image,nose_x,nose_y\na.png,1,2\n")
    assert recognise(path) == "csv"
    folder = project(tmp_path / "dlc", {"v1": [("img1.png", SIX)]})
    assert recognise(folder) == "deeplabcut"


def test_predictions_of_a_video_are_no_labels(tmp_path):
    text = table([("0", [1, 2, 0.9] * 3)], axes=("x", "y", "likelihood"))
    (tmp_path / "video.csv").write_text(text)
    with pytest.raises(DataError, match="predictions"):
        read(tmp_path / "video.csv")


def test_no_row_and_missing_images(tmp_path):
    (tmp_path / "a.csv").write_text(table([]))
    with pytest.raises(DataError, match="no labelled image"):
        read(tmp_path / "a.csv")
    (tmp_path / "a.csv").write_text(table([("gone.png", SIX)]))
    with pytest.raises(DataError, match=r"gone\.png does not exist"):
        read(tmp_path / "a.csv")
    assert len(read(tmp_path / "a.csv", strict=False).samples) == 1
    assert read(tmp_path / "a.csv", strict=False).skeleton.point_names == PARTS


@given(damaged(table([("a.png", [1, 2, 2] * 3), ("b.png", ["", "", 0] * 3)], axes=SEEN)))
def test_junk(tmp_path_factory, content):
    folder = scratch(tmp_path_factory) / "lightning"
    folder.mkdir(exist_ok=True)
    reads_or_refuses(folder / "CollectedData.csv", content, "lightning_pose")
