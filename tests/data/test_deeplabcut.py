"""DeepLabCut's projects and label files."""

from __future__ import annotations

import importlib
import json
import pickle
import sys

import numpy as np
import pytest
from hypothesis import given

from heatkp.data.readers import read, recognise
from heatkp.data.readers._pandas_hdf5 import read_frame
from heatkp.errors import DataError
from tests.conftest import damaged, heatkp, reads_or_refuses, scratch, write_image
from tests.data.scorer_files import CONFIG, PARTS, project, table

SIX = [1, 2, 3, 4, 5.5, 6]


def test_projects_are_read_alike_from_every_place(formats_folder):
    """From the folder, the config, and each label file alone."""
    for name, few in (("deeplabcut_single", 2), ("deeplabcut_multi", 3)):
        folder = formats_folder / name
        video = folder / "labeled-data" / "video1"
        whole = read(folder)
        for path in (folder / "config.yaml", folder / "labeled-data"):
            assert recognise(path) == "deeplabcut"
            assert [s.id for s in read(path).samples] == [s.id for s in whole.samples]
        assert {s.video for s in whole.samples} == {"video1", "video2"}
        for file in (video, video / "CollectedData_tester.csv", video / "CollectedData_tester.h5"):
            assert recognise(file) == "deeplabcut"
            found = read(file)
            assert found.skeleton == whole.skeleton
            assert len(found.samples) == few
            for one, other in zip(found.samples, whole.samples):
                assert (one.id, one.file, one.track) == (other.id, other.file, other.track)
                np.testing.assert_array_equal(one.points, other.points)


def test_what_a_project_says_beside_points(formats_folder):
    found = read(formats_folder / "deeplabcut_multi")
    assert [s.track for s in found.samples] == ["mouse1", "mouse1", "mouse2", "mouse2"]
    assert found.samples[1].source_image == found.samples[2].source_image
    assert [s.frame for s in found.samples] == [1, 2, 2, 1]
    assert found.notes == ("labels of unique body parts (food), left out: 2",)
    single = read(formats_folder / "deeplabcut_single")
    assert single.skeleton.lines == ((0, 3),) and single.skeleton.name == "sample"
    assert single.skeleton.pairs == ((1, 2),)


def test_real_project(data_folder):
    folder = data_folder / "reaching"
    found = read(folder)
    assert (len(found.samples), len(found.skeleton), found.notes) == (55, 5, ())
    assert sum(int((s.visibility > 0).sum()) for s in found.samples) == 233
    stored = read(next(folder.rglob("*.h5")))
    for one, other in zip(found.samples, stored.samples, strict=True):
        assert one.file == other.file and one.frame == other.frame
        np.testing.assert_array_equal(one.points, other.points)


@pytest.mark.parametrize("slash", ["/", "\\"])
def test_index_of_one_path_and_lines_of_the_config(tmp_path, slash):
    folder = project(tmp_path / "p", {"v1": [("img03.png", SIX)]})
    file = folder / "labeled-data" / "v1" / "CollectedData_me.csv"
    text = file.read_text().replace("labeled-data/v1/", f"labeled-data{slash}v1{slash}")
    file.write_text(text)
    (sample,) = read(folder).samples
    assert sample.file == file.parent / "img03.png" and (sample.video, sample.frame) == ("v1", 3)
    assert read(folder).skeleton.lines == ((0, 1),)  # to the tail there is no point
    with_three = table([("labeled-data/v1/img03.png", SIX)], index=3)
    file.write_text(with_three)
    assert read(folder).samples[0].id == sample.id


def test_videos_with_other_points_and_order(tmp_path):
    """Points of the config come first and in its order; what a video lacks is not labelled."""
    folder = project(tmp_path / "p", {"v1": [("a1.png", SIX)]})
    other = folder / "labeled-data" / "v2"
    write_image(other / "a1.png")
    rows = [("labeled-data/v2/a1.png", [7, 8, 9, 10])]
    (other / "CollectedData_me.csv").write_text(table(rows, parts=("tail", "nose")))
    found = read(folder)
    assert found.skeleton.point_names == (*PARTS, "tail")
    assert found.samples[0].visibility.tolist() == [2, 2, 2, 0]
    assert found.samples[1].points[[0, 3]].tolist() == [[9, 10], [7, 8]]
    assert found.samples[1].visibility.tolist() == [2, 0, 0, 2]


def test_scorers(tmp_path):
    folder = project(tmp_path / "p", {"v1": [("a1.png", SIX)]})
    own = folder / "labeled-data" / "v1" / "CollectedData_me.csv"
    theirs = own.with_name("CollectedData_you.csv")
    theirs.write_text(own.read_text().replace(",1,2,", ",11,12,"))
    found = read(folder)
    assert found.samples[0].points[0].tolist() == [1, 2]
    assert "v1: label files of other scorers, left out: 1" in found.notes
    (folder / "config.yaml").write_text(CONFIG.replace("scorer: me", "scorer: nobody"))
    with pytest.raises(DataError, match="2 scorers"):
        read(folder)
    own.unlink()
    assert read(folder).samples[0].points[0].tolist() == [11, 12]


def test_images_are_found_where_the_project_was_moved(tmp_path):
    folder = project(tmp_path / "p", {"v1": [("img1.png", SIX)]})
    alone = tmp_path / "alone"
    (folder / "labeled-data" / "v1").rename(alone)
    found = read(alone / "CollectedData_me.csv", "deeplabcut")
    assert found.samples[0].file == alone / "img1.png"
    assert any("not where" in note for note in found.notes)


def test_what_is_left_out_is_counted(tmp_path):
    folder = project(tmp_path / "p", {
        "v1": [("img1.png", [1, 2, 3, 4, 5, 6, *[""] * 6]), ("img2.png", [""] * 12)],
    }, individuals=("m1", "m2"))  # fmt: skip
    write_image(folder / "labeled-data" / "v1" / "img9.png")
    found = read(folder)
    assert [s.track for s in found.samples] == ["m1"]
    told = " ".join(found.notes)
    assert "no individual is labelled: 1" in told and "have no labels, left out: 1" in told


def test_only_unique_parts(tmp_path):
    folder = project(
        tmp_path / "p", {"v1": [("img1.png", [1, 2])]}, parts=("food",), individuals=("single",)
    )
    found = read(folder)
    assert found.skeleton.point_names == ("food",) and len(found.samples) == 1


def test_likelihoods(tmp_path):
    rows = [("img1.png", [1, 2, 0.9, 3, 4, 0, 5, 6, ""])]
    folder = project(tmp_path / "p", {"v1": rows}, axes=("x", "y", "likelihood"))
    found = read(folder)
    assert found.samples[0].visibility.tolist() == [2, 0, 0]
    assert any("likelihoods" in note for note in found.notes)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("coords,x", "coords,z", "columns z, y; expected x and y"),
        ("coords", "cords", "rows begin with"),
        (",1,2,", ",one,2,", "x of point nose is 'one'"),
        (",1,2,", ",,2,", "both empty"),
        ("nose,nose,left_ear,left_ear", "nose,nose,nose,nose", "there twice"),
        ("me,me,me", "me,you,me", "2 scorers"),
        ("labeled-data/v1/img1.png,", ",", "no image is named"),
        ("labeled-data/v1/img1.png,", "17,", "expected: these are"),
    ],
)
def test_bad_tables(tmp_path, old, new, words):
    folder = project(tmp_path / "p", {"v1": [("img1.png", SIX)]})
    file = folder / "labeled-data" / "v1" / "CollectedData_me.csv"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    with pytest.raises(DataError, match=words):
        read(file, "deeplabcut")


def test_bad_projects(tmp_path):
    folder = project(tmp_path / "p", {})
    assert recognise(folder) == "deeplabcut"
    with pytest.raises(DataError, match="holds no labels"):
        read(folder)
    folder = project(tmp_path / "q", {"v1": [("img1.png", SIX)]}, CONFIG + "\n\tbad: [")
    found = read(folder)
    assert len(found.samples) == 1 and any("cannot be read" in note for note in found.notes)
    (folder / "labeled-data" / "v1" / "img1.png").unlink()
    with pytest.raises(DataError, match="does not exist"):
        read(folder)
    assert len(read(folder, strict=False).samples) == 1
    (tmp_path / "config.yaml").write_text("scorer: me\n")
    with pytest.raises(DataError, match="no known format"):
        recognise(tmp_path / "config.yaml")


def test_command_line(tmp_path):
    folder = project(tmp_path / "p", {"v1": [("img1.png", SIX)]})
    done = heatkp("data", "info", folder, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.output)
    assert (told["format"], told["samples"], told["visible"]) == ("deeplabcut", 1, 3)


@given(damaged(table([("labeled-data/v/img1.png", SIX), ("labeled-data/v/img2.png", SIX)])))
def test_junk(tmp_path_factory, content):
    folder = scratch(tmp_path_factory) / "dlc" / "labeled-data" / "v"
    folder.mkdir(exist_ok=True, parents=True)
    reads_or_refuses(folder / "CollectedData_me.csv", content, "deeplabcut")


@given(damaged(CONFIG))
def test_junk_in_the_config(tmp_path_factory, content):
    folder = scratch(tmp_path_factory) / "dlc-config"
    if not folder.is_dir():
        project(folder, {"v1": [("img1.png", SIX)]})
    reads_or_refuses(folder / "config.yaml", content, "deeplabcut")


@pytest.mark.parametrize("form", ["fixed", "table"])
@pytest.mark.parametrize("levels", [1, 3])
@pytest.mark.parametrize("whole", [False, True])
def test_every_form_of_pandas(tmp_path, form, levels, whole):
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("tables")
    if form == "table" and levels == 3:
        pytest.skip("pandas cannot write it")
    names = [("me", p, a) for p in PARTS[:2] for a in "xy"]
    columns = pandas.MultiIndex.from_tuples(names, names=["scorer", "bodyparts", "coords"])
    rows = [("labeled-data", "v", f"i{i}.png") for i in range(4)]  # as many as columns
    index = ["/".join(row) for row in rows]
    values = np.arange(16.0).reshape(4, 4)
    values[1, :2] = np.nan
    frame = pandas.DataFrame(
        values, columns=columns, index=pandas.MultiIndex.from_tuples(rows) if levels == 3 else index
    )
    if whole:  # a block of another type
        frame[names[2]] = [1, 2, 3, 4]
    file = tmp_path / "CollectedData_me.h5"
    frame.to_hdf(file, key="df_with_missing", format=form, mode="w")
    found = read_frame(file)
    back = pandas.read_hdf(file)
    assert found.columns == [tuple(c) for c in back.columns]
    np.testing.assert_array_equal(found.values, back.to_numpy(float))
    samples = read(file, strict=False).samples
    assert [s.id for s in samples] == [i.removesuffix(".png") for i in index]


class Harm:
    def __reduce__(self):
        return print, ("harm",)


def write_table_form(path, names, fields):
    """pandas' "table" form, whose names are pickled."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "w") as file:
        node = file.create_group("df_with_missing")
        node.attrs["pandas_type"] = "frame_table"
        node.attrs["non_index_axes"] = np.void(pickle.dumps(names, 0))
        data = np.array([(b"labeled-data/v/i1.png", [1.0, 2.0])],
                        [("index", "S30"), ("values_block_0", "f8", 2)])  # fmt: skip
        table = node.create_dataset("table", data=data)
        table.attrs["values_block_0_kind"] = np.void(pickle.dumps(fields, 0))


def test_pickled_names_cannot_run_anything(tmp_path, capsys):
    names = [("me", "nose", "x"), ("me", "nose", "y")]
    write_table_form(tmp_path / "a.h5", [(1, names)], names)
    assert read(tmp_path / "a.h5", strict=False).samples[0].points.tolist() == [[1, 2]]
    write_table_form(tmp_path / "b.h5", [(1, names)], Harm())
    with pytest.raises(DataError, match="not expected"):
        read(tmp_path / "b.h5", strict=False)
    assert "harm" not in capsys.readouterr().out


def test_both_forms_are_compared(formats_folder, tmp_path):
    h5py = pytest.importorskip("h5py")
    from shutil import copytree

    folder = copytree(formats_folder / "deeplabcut_single", tmp_path / "p")
    assert read(folder).notes == ()
    file = folder / "labeled-data" / "video1" / "CollectedData_tester.h5"
    file.chmod(0o644)
    with h5py.File(file, "r+") as opened:
        opened["df_with_missing/block0_values"][0, 0] = 21
    (note,) = read(folder).notes
    assert "hold different labels" in note
    file.write_bytes(file.read_bytes()[:2000])
    (note,) = read(folder).notes
    assert "was not compared" in note


@pytest.mark.parametrize("end", [0, 8, 100, 2048, 5000])
def test_hdf5_cut_off(formats_folder, tmp_path, end):
    folder = formats_folder / "deeplabcut_single" / "labeled-data" / "video1"
    whole = (folder / "CollectedData_tester.h5").read_bytes()
    path = tmp_path / "CollectedData_tester.h5"
    reads_or_refuses(path, whole[:end], "deeplabcut")


def test_hdf5_with_bytes_changed(formats_folder, tmp_path):
    folder = formats_folder / "deeplabcut_single" / "labeled-data" / "video1"
    whole = bytearray((folder / "CollectedData_tester.h5").read_bytes())
    rng = np.random.default_rng(0)
    for _ in range(150):
        changed = whole.copy()
        for place in rng.integers(0, len(whole), 8):
            changed[place] = rng.integers(256)
        reads_or_refuses(tmp_path / "CollectedData_tester.h5", bytes(changed), "deeplabcut")


def test_without_h5py(formats_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    folder = formats_folder / "deeplabcut_single"
    assert len(read(folder).samples) == 3
    with pytest.raises(DataError, match=r"pip install 'heatkp\[sleap\]'"):
        read(folder / "labeled-data" / "video1" / "CollectedData_tester.h5")
