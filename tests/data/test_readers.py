from __future__ import annotations

import errno
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from heatkp.config import Data
from heatkp.coordinates import normalise
from heatkp.data.drawn import drawn_sample
from heatkp.data.loading import load_data, split
from heatkp.data.readers import read, recognise
from heatkp.data.readers.imm import parse_asf
from heatkp.data.samples import Labels
from heatkp.data.writers import write_labels
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import FACE58, FACE68
from tests.conftest import heatkp, write_imm


def test_imm_reads_what_was_written(tmp_path):
    folder = write_imm(tmp_path / "imm")
    assert recognise(folder) == "imm"
    skeleton, samples, _ = read(folder)
    assert skeleton is FACE58 and len(samples) == 10
    sample = samples[0]
    assert sample.id == "01-1m" and sample.person == "01"
    fractions, host = parse_asf(folder / "01-1m.asf")
    assert host == "01-1m.jpg"
    assert np.allclose(normalise(sample.points, 64, 48), fractions, atol=1e-6)
    assert sample.image().shape == (48, 64, 3)


def _spoil(folder, change):
    path = folder / "03-1m.asf"
    path.write_text(change(path.read_text()))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda t: t[: len(t) // 2], "cut off"),
        (lambda t: "", "empty"),
        (lambda t: t.replace("58\n", "57\n", 1), "57 points"),
        (lambda t: t.replace("\n58\n", "\nfifty\n", 1), "number of points"),
        (lambda t: "\n".join([*t.split("\n")[:9], "0 4 nan 0.5 6 0 1", *t.split("\n")[10:]]),
         "coordinate nan"),
        (lambda t: "\n".join([*t.split("\n")[:9], "0 4 0.5", *t.split("\n")[10:]]), "line 10"),
        (lambda t: "\n".join([*t.split("\n")[:9], "0 4 0.5 0.5 3 0 1", *t.split("\n")[10:]]),
         "twice"),
        (lambda t: t.replace("03-1m.jpg", "gone.jpg"), None),
    ],
)  # fmt: skip
def test_bad_asf(tmp_path, change, words):
    folder = write_imm(tmp_path / "imm")
    _spoil(folder, change)
    if words is None:  # the image beside it serves, whatever name the file gives
        assert len(read(folder)[1]) == 10
        return
    with pytest.raises(DataError, match=words) as caught:
        read(folder)
    assert "03-1m.asf" in str(caught.value)


def test_57_points(tmp_path):
    with pytest.raises(DataError, match="57 points; IMM faces have 58"):
        read(write_imm(tmp_path / "imm", count=57))


def test_imm_files_by_other_systems(tmp_path):
    folder = write_imm(tmp_path / "imm")
    (folder / "01-1m.asf").rename(folder / "01-1m.ASF")
    (folder / "02-1m.jpg").rename(folder / "02-1m.JPG")
    (folder / "._01-2m.asf").write_bytes(b"\0\5\x16\7 of a Mac")
    assert len(read(folder).samples) == 10


def test_photo_that_is_none(tmp_path):
    folder = write_imm(tmp_path / "imm")
    (folder / "02-1m.jpg").write_text("not an image")
    with pytest.raises(DataError, match=r"02-1m\.jpg is not an image"):
        read(folder)
    (folder / "02-1m.jpg").unlink()
    with pytest.raises(DataError, match="not beside it"):
        read(folder)


def test_unknown_places(tmp_path):
    with pytest.raises(DataError, match="no file or folder"):
        read(tmp_path / "nowhere")
    with pytest.raises(DataError, match="no known format"):
        read(tmp_path)
    with pytest.raises(DataError, match=r"no \.asf files"):
        read(tmp_path, "imm")


def test_splits(tmp_path):
    samples = read(write_imm(tmp_path / "imm", people=10))[1]
    train, val = split(samples, Data(split="person"))
    assert {s.person for s in val} == {"09", "10"}
    assert not {s.person for s in train} & {s.person for s in val}
    train, val = split(samples, Data(split="random", split_seed=1))
    assert (len(train), len(val)) == (16, 4)
    assert [s.id for s in split(samples, Data(split="random", split_seed=1))[1]] == [
        s.id for s in val
    ]
    assert {s.id for s in split(samples, Data(split="random", split_seed=2))[1]} != {
        s.id for s in val
    }
    for share, part in ((0.01, "validation"), (0.99, "training")):
        with pytest.raises(DataError, match=f"{part} split is empty"):
            split(samples, Data(split="person", validation=share))


@pytest.mark.parametrize("by", ["person", "random"])
def test_a_photo_is_never_on_both_sides(by):
    """Nor are persons who share one, nor samples of one person."""
    plain = drawn_sample(0, 0, FACE68)
    samples = [
        replace(plain, id=f"{i}#{k}", source_image=f"image {i}", person=person)
        for i, people in enumerate([*[(None, None)] * 8, ("a", "b"), ("b", "c"), ("d", None)])
        for k, person in enumerate(people)
    ]
    for seed in range(5):
        train, val = split(samples, Data(split=by, validation=0.3, split_seed=seed))
        assert not {s.source_image for s in train} & {s.source_image for s in val}
        if by == "person":
            assert len(val) and not {s.person for s in train} & {s.person for s in val} - {None}


def test_coco_pictures_of_one_photo(tmp_path):
    def renamed(content):
        for i, image in enumerate(content["images"]):
            old = tmp_path / "faces" / image["file_name"]
            image["file_name"] = f"images/p{i // 2}{'_mirror' * (i % 2)}.png"
            old.rename(tmp_path / "faces" / image["file_name"])

    path = _coco(tmp_path, renamed, 4)
    samples = read(path)[1]
    assert [s.source_image for s in samples] == ["images/p0"] * 2 + ["images/p1"] * 2
    notes = load_data(Data(path=str(path), validation=0.5)).notes
    assert "4 images are of 2 source images" in notes[0]


def test_pictures_that_share_no_photo_are_not_said_to(tmp_path):
    assert load_data(Data(path=str(write_imm(tmp_path / "imm")))).notes == ()


def test_real_imm(data_folder):
    data = load_data(Data(path=str(data_folder / "imm"), split="person"))
    assert (len(data.train), len(data.val)) == (192, 48)
    assert {int(s.person) for s in data.val} == set(range(33, 41))
    nose = load_data(Data(path=str(data_folder / "imm"), split="random", points="nose"))
    assert (len(nose.train), len(nose.val)) == (192, 48)
    assert nose.skeleton.point_names == ("nose_tip",)
    image = data.train[0].image()
    assert image.shape == (480, 640, 3)
    # 01-1m: a man in a green room; point 52 under his nose
    assert np.allclose(data.train[0].points[52], [313.55, 302.56], atol=0.01)


def test_real_imm_sides_are_right(data_folder):
    """On every image the subject's left points lie right of the right ones, brow to brow."""
    skeleton, samples, _ = read(data_folder / "imm")
    for sample in samples:
        left = np.mean([sample.points[a] for a, _ in skeleton.pairs], axis=0)
        right = np.mean([sample.points[b] for _, b in skeleton.pairs], axis=0)
        assert left[0] > right[0], sample.id


def test_coco_round_trip(tmp_path):
    result = heatkp("data", "synth", tmp_path / "faces", "--n", 3, "--size", 96)
    assert result.exit_code == 0, result.output
    skeleton, samples, _ = read(tmp_path / "faces")
    assert skeleton is FACE68 and len(samples) == 3
    for index, sample in enumerate(samples):
        drawn = drawn_sample(0, index, FACE68, 96)
        assert np.allclose(sample.points, drawn.points, atol=2e-3)
        assert np.array_equal(sample.visibility, drawn.visibility)
        assert np.allclose(sample.box, drawn.box, atol=2e-3)
        assert np.array_equal(sample.image(), drawn.image())
        assert sample.person == drawn.person


def test_synth_refuses_an_existing_folder(tmp_path):
    (tmp_path / "faces").mkdir()
    (tmp_path / "faces" / "a.txt").touch()
    for out in (tmp_path / "faces", ".", "/"):
        result = heatkp("data", "synth", out, "--n", 1)
        assert result.exit_code == 2 and "exists already" in result.output
    assert [p.name for p in (tmp_path / "faces").iterdir()] == ["a.txt"]


def test_synth_notices_images_that_were_not_written(tmp_path, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(Path, "write_bytes", full)
    result = heatkp("data", "synth", tmp_path / "faces", "--n", 1, "--size", 64)
    assert result.exit_code == 2 and "disk is full" in result.output
    assert not list(tmp_path.iterdir())


def _coco(tmp_path, change, count=2):
    heatkp("data", "synth", tmp_path / "faces", "--n", count, "--size", 64)
    path = tmp_path / "faces" / "annotations.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return tmp_path / "faces"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("images"), "images, annotations, categories"),
        (lambda c: c["images"][0].update(file_name="gone.png"), "does not exist"),
        (lambda c: c["annotations"][1]["keypoints"].pop(), "203 numbers; 68 points need 204"),
        (lambda c: c["annotations"][1]["keypoints"].__setitem__(2, 7), "none of 0, 1, 2"),
        (lambda c: c["annotations"][1]["keypoints"].__setitem__(0, float("nan")), "not finite"),
        (lambda c: c["annotations"][1].update(image_id=99), "of the image 99, which is not"),
        (lambda c: c["annotations"][1].update(bbox=[]), "x, y, width, height are expected"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, "x", 4]), "width, height are expected"),
        (lambda c: c["annotations"][1].update(bbox=[1, 2, -3, 4]), "of negative size"),
        (lambda c: c["categories"][0].update(keypoints={"a": 1}), "no keypoint names"),
    ],
)
def test_bad_coco(tmp_path, change, words):
    with pytest.raises(DataError, match=words):
        read(_coco(tmp_path, change))


def test_a_coco_box_without_area_is_none(tmp_path):
    change = lambda c: c["annotations"][1].update(bbox=[5, 6, 0, 0])  # noqa: E731
    samples = read(_coco(tmp_path, change))[1]
    assert samples[0].box is not None and samples[1].box is None


def test_coco_knows_other_skeletons(tmp_path):
    def mouse(content):
        content["categories"][0] = {
            "id": 1, "name": "mouse", "keypoints": ["left_paw", "right_paw", "nose"],
            "skeleton": [[1, 3], [2, 3]],
        }  # fmt: skip
        for note in content["annotations"]:
            note["keypoints"] = [1, 2, 2, 3, 4, 1, 0, 0, 0]

    skeleton, samples, _ = read(_coco(tmp_path, mouse))
    assert skeleton.pairs == ((0, 1),) and skeleton.lines == ((0, 2), (1, 2))
    assert samples[0].visibility.tolist() == [2, 1, 0]
    assert np.isnan(samples[0].points[2]).all()


def test_coco_writes_unlabelled_points_as_zero(tmp_path):
    sample = drawn_sample(0, 0, FACE68).take([0, 1])
    sample.visibility[1] = 0
    write_labels(Labels(FACE68.subset([0, 1]), [sample]), tmp_path / "out", "coco")
    content = json.loads((tmp_path / "out" / "annotations.json").read_text())
    assert content["annotations"][0]["keypoints"][3:] == [0, 0, 0]


def test_points_of_a_skeleton_that_has_none():
    with pytest.raises(SettingsError, match=r"data\.points"):
        load_data(Data(points=[99], train_count=1, val_count=1))
