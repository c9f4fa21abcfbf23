from __future__ import annotations

import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.data.readers.pts import parse_pts, write_pts
from heatkp.errors import DataError
from heatkp.skeletons import FACE68
from tests.conftest import damaged, reads_or_refuses, scratch, write_image

GOOD = "version: 1\nn_points: 2\n{\n1 2\n3.5 4.25\n}\n"


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        GOOD.replace("\n", "\r\n"),
        "\n" + GOOD.replace("\n", " \t\n\n"),
        GOOD.replace("n_points: 2", "n_points:  2").replace("version: 1", "VERSION:1"),
        "n_points: 2\nversion: 1\n{\n1 2\n3.5 4.25\n}",
        "{\n1 2\n3.5 4.25\n}",
        "1 2\n3.5 4.25",
        "\ufeff  1\t2 \n\n 3.50  4.25e0\n",
    ],
)
def test_forms(tmp_path, text):
    path = tmp_path / "a.pts"
    path.write_bytes(text.encode())
    points = parse_pts(path)
    assert points.dtype == np.float64
    assert points.tolist() == [[0, 1], [2.5, 3.25]]  # the file counts pixels from 1


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("n_points: 2", "n_points: 3", "line 2: n_points is 3, but 2 lines follow"),
        ("3.5 4.25\n", "", "line 2: n_points is 2, but 1 lines follow"),
        ("version: 1", "version: 2", "line 1: version 2 is not known"),
        ("1 2\n", "1,2\n", "line 4: expected 'x y'.* found '1,2'"),
        ("1 2\n", "1 2 3\n", "line 4: expected 'x y'"),
        ("1 2\n", "1\n", "line 4: expected 'x y'"),
        ("4.25", "nan", "line 5: expected 'x y'"),
        ("4.25", "inf", "line 5"),
        ("}\n", "", "line 5: the closing brace is missing"),
        ("}\n", "}\n5 6\n", "line 7: '5 6' follows the closing brace"),
        ("{\n", "", "line 5: expected 'x y'.* found '}'"),
        ("1 2\n", "n_points: 2\n", "line 4: expected 'x y'"),
        ("version: 1\n", "n_points: 2\n", "line 2: expected 'x y'"),
        (GOOD, "", "holds no points"),
        (GOOD, "version: 1\nn_points: 0\n{\n}", "holds no points"),
    ],
)
def test_bad_files(tmp_path, old, new, words):
    path = tmp_path / "a.pts"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(DataError, match=words) as caught:
        parse_pts(path)
    assert "a.pts" in str(caught.value)


def test_not_text(tmp_path):
    (tmp_path / "a.pts").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "a.pts", tmp_path / "none.pts", tmp_path):
        with pytest.raises(DataError, match="cannot read"):
            parse_pts(path)


@given(st.lists(st.tuples(*[st.floats(-1e5, 1e5)] * 2), min_size=1, max_size=80))
def test_round_trip(tmp_path_factory, points):
    path = scratch(tmp_path_factory) / "round.pts"
    write_pts(path, points)
    assert np.abs(parse_pts(path) - points).max() <= 5.1e-7
    header = path.read_text().splitlines()[:3]
    assert header == ["version: 1", f"n_points: {len(points)}", "{"]


def test_what_is_written(tmp_path):
    write_pts(tmp_path / "a.pts", [[0, 1], [2.5, 3.25], [-1, 1 / 3]])
    assert (tmp_path / "a.pts").read_text() == (
        "version: 1\nn_points: 3\n{\n1 2\n3.5 4.25\n0 1.333333\n}\n"
    )
    for bad in ([[1, np.nan]], [1, 2], [[1, 2, 3]]):
        with pytest.raises(ValueError, match="finite points"):
            write_pts(tmp_path / "b.pts", bad)
    assert not (tmp_path / "b.pts").exists()


@given(damaged(GOOD))
def test_junk(tmp_path_factory, content):
    reads_or_refuses(scratch(tmp_path_factory) / "junk.pts", content, "pts")


def faces(folder, names, count=3):
    for seed, name in enumerate(names):
        picture = write_image(folder / name, seed=seed)
        write_pts(picture.with_suffix(".pts"), np.arange(2.0 * count).reshape(count, 2) + seed)
    return folder


def test_folders(tmp_path):
    folder = faces(tmp_path, ["b/x_1.PNG", "b/x_2_mirror.jpeg", "a_3.bmp", "c/d/image_0735.jpg"])
    (folder / "b" / "x_1.pts").rename(folder / "b" / "x_1.PTS")
    write_image(folder / "b" / "alone.jpg")
    write_image(folder / "a_3.png", seed=9)
    write_image(folder / "no_labels_here" / "b.png")
    assert recognise(folder) == "pts"
    skeleton, samples, notes = read(folder)
    assert [s.id for s in samples] == ["a_3", "b/x_1", "b/x_2_mirror", "c/d/image_0735"]
    assert [s.source_image for s in samples] == ["a", "b/x", "b/x", "c/d/image_0735"]
    assert [s.file.name for s in samples] == ["a_3.png", "x_1.PNG", "x_2_mirror.jpeg",
                                              "image_0735.jpg"]  # fmt: skip
    assert skeleton.point_names == ("point_0", "point_1", "point_2") and skeleton.pairs == ()
    assert samples[1].points.tolist() == [[0, 1], [2, 3], [4, 5]]
    assert samples[1].points.dtype == np.float32
    assert all(s.box is None and s.visibility.tolist() == [2, 2, 2] for s in samples)
    assert samples[2].image().shape == (48, 64, 3)
    assert notes == (
        "images left out, for they have no .pts file of their name: 1",
        "faces with more than one image of that name, one is used: 1",
    )
    one = read(folder / "b" / "x_1.PTS")
    assert recognise(folder / "b" / "x_1.PTS") == "pts" and one.notes == ()
    assert [(s.id, s.source_image) for s in one.samples] == [("x_1", "x")]


def test_links_in_a_circle(tmp_path):
    folder = faces(tmp_path / "faces", ["a/b.png"])
    (folder / "a" / "up").symlink_to(folder, target_is_directory=True)
    faces(tmp_path / "elsewhere", ["c.png"])
    (folder / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert [s.id for s in read(folder).samples] == ["a/b", "linked/c"]


def test_files_that_disagree(tmp_path):
    faces(tmp_path, ["a.png", "b.png"])
    faces(tmp_path, ["c.png"], 4)
    with pytest.raises(DataError, match=r"c\.pts has 4 points, .*a\.pts has 3"):
        read(tmp_path)


def test_missing_photos(tmp_path):
    faces(tmp_path, ["a.png", "b.png", "c.png"])
    (tmp_path / "a.png").unlink()
    (tmp_path / "c.png").unlink()
    with pytest.raises(DataError, match=r"the image .*a\.jpg does not exist \(2 of 3"):
        read(tmp_path)
    assert [s.file.name for s in read(tmp_path, strict=False).samples] == [
        "a.jpg", "b.png", "c.jpg",
    ]  # fmt: skip


def test_places_without_pts(tmp_path):
    with pytest.raises(DataError, match=r"holds no \.pts files"):
        read(tmp_path, "pts")
    with pytest.raises(DataError, match="neither a folder"):
        read(write_image(tmp_path / "a.png"), "pts")


def test_real_faces_are_the_same_as_in_xml(data_folder, tmp_path):
    _, samples, _ = read(data_folder / "ibug" / "labels_ibug_300W_train.xml")
    for sample in samples:
        place = tmp_path / sample.id
        place.parent.mkdir(parents=True, exist_ok=True)
        os.symlink(sample.file, place.with_suffix(sample.file.suffix))
        write_pts(place.with_suffix(".pts"), sample.points)
    skeleton, found, notes = read(tmp_path)
    assert skeleton is FACE68 and len(found) == 1730 and len(notes) == 1
    by_id = {s.id: s for s in found}
    for sample in samples:
        other = by_id[sample.id]
        assert np.abs(other.points - sample.points).max() < 1e-4
        assert other.source_image == sample.source_image
        assert other.file.resolve() == sample.file.resolve()
    for sample in samples[::200]:
        assert np.array_equal(by_id[sample.id].image(), sample.image())
