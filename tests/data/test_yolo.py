from __future__ import annotations

import shutil

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage

from heatkp.data.images import ImageOptions
from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.format_samples import require_expected

BOX = "0 0.5 0.5 0.25 0.5"
TWO = {"train": "images/train", "val": "images/val", "kpt_shape": [2, 3], "names": {0: "mouse"}}


def write(folder, labels, **config):
    """A set whose label files hold the given texts, by the images' names."""
    folder.mkdir(exist_ok=True)
    (folder / "data.yaml").write_text(yaml.safe_dump({**TWO, **config}))
    for split in ("train", "val"):
        (folder / "images" / split).mkdir(parents=True, exist_ok=True)
    for name, text in labels.items():
        write_image(folder / "images" / f"{name}.png")
        path = folder / "labels" / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_the_sample(formats_folder):
    folder = formats_folder / "yolo_pose"
    assert recognise(folder) == recognise(folder / "data.yaml") == "yolo"
    labels = read(folder)
    require_expected(labels, folder)
    assert labels.skeleton.point_names == ("nose", "left_ear", "right_ear", "tail_base")
    assert labels.skeleton.name == "mouse" and labels.skeleton.sides_from == "flip_idx"
    assert labels.notes and labels.notes[0].endswith(": 1")


def test_two_numbers_a_point(tmp_path):
    lines = f"{BOX} 0.25 0.5 0.5 0.75\n{BOX} -1 0.5 0 0\n"
    labels = read(write(tmp_path, {"train/a": lines}, kpt_shape=[2, 2]))
    first, second = labels.samples
    assert first.points.tolist() == [[15.5, 23.5], [31.5, 35.5]]
    assert first.box.tolist() == [23.5, 11.5, 39.5, 35.5]
    assert second.visibility.tolist() == [0, 0] and np.isnan(second.points).all()


def test_lines_of_boxes_alone(tmp_path):
    labels = read(write(tmp_path, {"train/a": f"{BOX}\n\n{BOX} 0.5 0.5 1 0.1 0.1 2\n"}))
    assert [s.visibility.tolist() for s in labels.samples] == [[0, 0], [1, 2]]


@pytest.mark.parametrize(
    "line",
    [
        f"{BOX} 0.5 0.5 1", f"{BOX} 0.5 0.5 0.93 0.5 0.5 0.4", "7 0.5 0.5 1 1",
        "0.5 0.5 0.5 1 1", f"{BOX} 320 200 2 0.5 0.5 2", f"{BOX} 0.5 x 2 0.5 0.5 2",
        f"{BOX} nan 0.5 2 0.5 0.5 2", "0 320 240 50 60", "word",
    ],
)  # fmt: skip
def test_bad_lines(tmp_path, line):
    with pytest.raises(DataError, match=r"a\.txt, line 2"):
        read(write(tmp_path, {"train/a": f"{BOX}\n{line}\n"}))


@pytest.mark.parametrize(
    "config",
    [
        {"kpt_shape": [4]}, {"kpt_shape": [2, 4]}, {"kpt_shape": "2x3"}, {"kpt_shape": [0, 3]},
        {"flip_idx": [0, 0]}, {"flip_idx": [2, 1]}, {"flip_idx": "x"}, {"kpt_names": ["a"]},
        {"kpt_names": {0: ["a", "b"], 1: ["c", "d"]}}, {"kpt_names": ["a", "a"]},
        {"train": [1]}, {"names": 7}, {"train": "gone"}, {"val": "gone"},
    ],
)  # fmt: skip
def test_bad_configurations(tmp_path, config):
    with pytest.raises(DataError):
        read(write(tmp_path, {"train/a": BOX}, **config))


def test_files_that_are_something_else_say_so(tmp_path):
    write(tmp_path, {"train/a": BOX})
    (tmp_path / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a]\n")
    with pytest.raises(DataError, match="no kpt_shape"):
        recognise(tmp_path)
    with pytest.raises(DataError, match="no kpt_shape"):
        read(tmp_path, "yolo")
    (tmp_path / "data.yaml").unlink()
    with pytest.raises(DataError, match=r"write a data\.yaml"):
        recognise(tmp_path)


@pytest.mark.parametrize(
    ("path", "train"),
    [
        (None, "../train/images"), ("/content/set", "train/images"),
        (None, "/home/me/set/train/images"), ("..\\set", "train\\images"),
        (None, ["train/images"]), (None, "train.txt"), (None, "train"),
    ],
)  # fmt: skip
def test_folders_as_on_another_machine(tmp_path, path, train):
    """Roboflow's layout, lists of files, and absolute paths."""
    folder = tmp_path / "set"
    write_image(folder / "train" / "images" / "a.png")
    (folder / "train" / "labels").mkdir()
    (folder / "train" / "labels" / "a.txt").write_text(f"{BOX} 0.5 0.5 2 0.5 0.5 2")
    (folder / "train.txt").write_text("./train/images/a.png\n\n/elsewhere/train/images/a.png\n")
    config = {"kpt_shape": [2, 3], "names": ["mouse"], "train": train, "test": "../test/images"}
    (folder / "data.yaml").write_text(yaml.safe_dump(config | ({"path": path} if path else {})))
    labels = read(folder)
    assert [(s.split, s.file) for s in labels.samples] == [
        ("train", folder / "train" / "images" / "a.png")
    ]
    assert any("test: 1" in note for note in labels.notes)


def test_what_is_left_out_is_counted(tmp_path):
    lines = {"train/a": BOX, "train/b": "", "val/c": f"1{BOX[1:]}"}
    folder = write(tmp_path, lines, names=["mouse", "rat"], test="images/val")
    (folder / "labels" / "train" / "gone.txt").write_text(BOX)
    (folder / "labels" / "train" / "classes.txt").write_text("mouse\n")
    labels = read(folder)
    assert [s.split for s in labels.samples] == ["train", "val"]
    notes = "; ".join(labels.notes)
    for said in ("object (no .txt, or an empty one): 1", "1 mouse, 1 rat", "for the first: 1",
                 "no image of their name: 1"):  # fmt: skip
        assert said in notes


def test_sizes_are_those_of_the_image_as_it_is_read(tmp_path):
    folder = write(tmp_path, {"train/a": f"{BOX} 0.25 0.5 2 0.5 0.5 2"})
    path = folder / "images" / "train" / "a.png"
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.new("RGB", (64, 48)).save(path, exif=exif)
    assert read(folder).samples[0].points[0].tolist() == [15.5, 23.5]
    turned = read(folder, options=ImageOptions(orient=True)).samples[0]
    assert turned.points[0].tolist() == [11.5, 31.5] and turned.rgb().shape == (64, 48, 3)


def test_damaged_images(tmp_path):
    folder = write(tmp_path, {"train/a": f"{BOX} 0.25 0.5 2 0.5 0.5 2", "train/b": BOX})
    (folder / "images" / "train" / "a.png").write_bytes(b"none")
    with pytest.raises(DataError, match=r"a\.png"):
        read(folder)
    labels = read(folder, strict=False)
    assert not labels.samples[0].visibility.any() and labels.samples[0].box is None
    assert any("missing or damaged" in note for note in labels.notes)


def test_names_that_are_a_known_layout(tmp_path):
    assert read(write(tmp_path, {"train/a": BOX})).skeleton.point_names == ("point_0", "point_1")
    names = ["left_ear", "right_ear"]
    labels = read(write(tmp_path, {"train/a": BOX}, kpt_names=names, flip_idx=[1, 0]))
    assert labels.skeleton.point_names == ("left_ear", "right_ear")
    assert labels.skeleton.pairs == ((0, 1),)


@given(st.data())
def test_damaged_labels(tmp_path_factory, data):
    folder = scratch(tmp_path_factory) / "yolo"
    write(folder, {"train/a": ""})
    text = f"{BOX} 0.25 0.5 2 0 0 0\n{BOX} 0.5 0.5 1 0.1 0.2 2\n"
    (folder / "labels" / "train" / "a.txt").write_bytes(data.draw(damaged(text)))
    try:
        read(folder)
    except DataError as error:
        assert str(error)


@given(st.data())
def test_damaged_configurations(tmp_path_factory, data):
    folder = scratch(tmp_path_factory) / "yolo2"
    write(folder, {"train/a": BOX})
    config = {**TWO, "kpt_names": {0: ["nose", "tail"]}, "flip_idx": [0, 1], "path": "."}
    text = yaml.safe_dump(config)
    reads_or_refuses(folder / "data.yaml", data.draw(damaged(text)), "yolo")
    shutil.rmtree(folder)
