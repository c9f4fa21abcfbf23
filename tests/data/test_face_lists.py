"""CelebA, WFLW, ISBI, BioID and .pts files: lists and small text files of faces."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.loading import load_data
from heatkp.data.readers import read, recognise
from heatkp.data.readers.pts import write_pts
from heatkp.data.readers.wflw import WFLW98
from heatkp.errors import DataError, HeatkpError
from tests.conftest import scratch, write_image

COLUMNS = " ".join(f"{n}_{a}" for n in ("lefteye", "righteye", "nose", "leftmouth", "rightmouth")
                   for a in "xy")  # fmt: skip
ROW = "20 10 40 11 30 20 22 30 38 31"


def celeba(folder, rows=3, aligned=True):
    name = "list_landmarks_align_celeba.txt" if aligned else "list_landmarks_celeba.txt"
    images = "img_align_celeba" if aligned else "img_celeba"
    lines = [str(rows), COLUMNS, *(f"{i:06d}.jpg  {ROW}" for i in range(1, rows + 1))]
    for i in range(1, rows + 1):
        write_image(folder / "Img" / images / f"{i:06d}.jpg", seed=i)
    (folder / "Anno").mkdir(parents=True, exist_ok=True)
    (folder / "Anno" / name).write_text("\n".join(lines) + "\n")
    return folder / "Anno" / name


def test_celeba_persons_boxes_and_splits(tmp_path):
    path = celeba(tmp_path, aligned=False)
    (tmp_path / "Anno" / "identity_CelebA.txt").write_text(
        "000001.jpg 7\n000002.jpg 7\n000003.jpg 8\n"
    )
    (tmp_path / "Anno" / "list_bbox_celeba.txt").write_text(
        "3\nimage_id x_1 y_1 width height\n000001.jpg 5 4 20 30\n000002.jpg 0 0 0 0\n"
        "000003.jpg 1 1 9 9\n"
    )
    (tmp_path / "Eval").mkdir()
    (tmp_path / "Eval" / "list_eval_partition.txt").write_text("000001.jpg 0\n000002.jpg 2\n")
    labels = read(path)
    assert [s.person for s in labels.samples] == ["7", "7", "8"]
    assert [s.split for s in labels.samples] == ["train", "test", None]
    assert labels.samples[0].box.tolist() == [4.5, 3.5, 24.5, 33.5]
    assert labels.samples[1].box is None
    assert any(note.endswith("no part: 1") for note in labels.notes)
    left, right = labels.skeleton.pairs[0]
    # The subject's left eye is on the right of the image, and called righteye.
    assert labels.skeleton.point_names[left] == "righteye"
    assert labels.samples[0].points[left, 0] > labels.samples[0].points[right, 0]


def test_celeba_aligned_goes_before_wild(tmp_path):
    celeba(tmp_path, aligned=False)
    path = celeba(tmp_path)
    assert recognise(tmp_path) == "celeba"
    assert read(tmp_path).samples[0].file.parent.name == "img_align_celeba"
    assert load_data(Data(path=str(path), validation=0.4)).skeleton.name == "celeba5"


@pytest.mark.parametrize(
    ("row", "words"),
    [("000001.jpg 1 2 3", "parts"), (f"000001.jpg {ROW[:-2]}xx", "no number of pixels")],
)
def test_damaged_celeba(tmp_path, row, words):
    path = celeba(tmp_path)
    path.write_text(f"1\n{COLUMNS}\n{row}\n")
    with pytest.raises(DataError, match=words):
        read(path)


def wflw(folder, name="list_98pt_rect_attr_train.txt", faces=2, box="1 2 50 40", image="a/b.jpg"):
    write_image(folder / "WFLW_images" / image)
    points = " ".join(f"{k / 2:.6f}" for k in range(196))
    rest = f"{box} 0 0 1 0 0 1 " if box else ""
    path = folder / "WFLW_annotations" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{points} {rest}{image}\n" for _ in range(faces)))
    return path


def test_wflw(tmp_path):
    path = wflw(tmp_path)
    assert recognise(path) == recognise(tmp_path) == "wflw"
    labels = read(path)
    assert labels.skeleton is WFLW98 and [s.id for s in labels.samples] == ["a/b", "a/b#2"]
    assert labels.samples[0].box.tolist() == [0.5, 1.5, 50.5, 40.5]
    assert [s.split for s in labels.samples] == [None, None]
    wflw(tmp_path, "list_98pt_rect_attr_test.txt", 1)
    wflw(tmp_path, "list_98pt_test_blur.txt", 1, box="")  # a subset of the test list
    assert [s.split for s in read(tmp_path).samples] == ["train", "train", "test"]
    bare = read(wflw(tmp_path / "bare", box="")).samples[0]
    assert bare.box is None and bare.points[97].tolist() == [97, 97.5]


def test_wflw_pairs_are_those_of_mirrored_faces():
    """Each point is in one pair or on the midline, and its own counterpart's."""
    moved = {k for pair in WFLW98.pairs for k in pair}
    assert len(moved) == 2 * len(WFLW98.pairs) == 98 - len(WFLW98.midline)
    assert set(WFLW98.midline) == {16, 51, 52, 53, 54, 57, 79, 85, 90, 94}
    assert (97, 96) in WFLW98.pairs and (72, 60) in WFLW98.pairs


@pytest.mark.parametrize("text", ["1 2 3\n", "", "x " * 206 + "a.jpg\n", "\0\1\2"])
def test_damaged_wflw(tmp_path, text):
    path = wflw(tmp_path)
    path.write_text(text)
    with pytest.raises(DataError):
        read(path, "wflw")
    with pytest.raises(DataError):
        read(path)


def isbi(folder, doctors=("400_junior", "400_senior"), shift=2, stems=("001", "002")):
    for number, doctor in enumerate(doctors):
        for stem in stems:
            path = folder / "AnnotationsByMD" / doctor / f"{stem}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            points = [f"{k + shift * number},{2 * k}" for k in range(19)]
            path.write_text("\n".join([*points, *"12312312"]) + "\n")
    for stem, place in zip(stems, ("TrainingData", "Test1Data")):
        write_image(folder / "RawImage" / place / f"{stem}.bmp")
    return folder


def test_isbi_takes_the_mean_of_both_doctors(tmp_path):
    labels = read(isbi(tmp_path))
    assert recognise(tmp_path) == "isbi" and len(labels.samples) == 2
    assert labels.samples[0].points[3].tolist() == [4, 6]
    assert [s.split for s in labels.samples] == ["train", "test"]
    assert "2 of 2" in labels.notes[-1] and "2 pixels apart" in labels.notes[-1]
    one = read(tmp_path / "AnnotationsByMD" / "400_senior" / "002.txt")
    assert len(one.samples) == 1 and one.samples[0].points[0].tolist() == [1, 0]
    alone = read(isbi(tmp_path / "alone", ["400_senior"]))
    assert alone.samples[0].points[0].tolist() == [0, 0] or not alone.samples[0].visibility[0]
    assert alone.samples[0].points[3].tolist() == [3, 6]


def test_damaged_isbi(tmp_path):
    folder = isbi(tmp_path)
    path = folder / "AnnotationsByMD" / "400_senior" / "001.txt"
    path.write_text("1,2\n" * 5)
    with pytest.raises(DataError, match="5 lines"):
        read(path, "isbi")
    path.write_text("1 2\n" * 19)
    with pytest.raises(DataError, match="expected 'x,y'"):
        read(path, "isbi")


def test_bioid_eyes(tmp_path):
    for i in range(2):
        image = write_image(tmp_path / f"BioID_000{i}.png", seed=i)
        image.with_suffix(".eye").write_text(f"#LX\tLY\tRX\tRY\n{40 + i}\t20\t20\t21\n")
    labels = read(tmp_path)
    assert recognise(tmp_path) == "bioid" and labels.skeleton.pairs == ((0, 1),)
    assert labels.samples[1].points.tolist() == [[41, 20], [20, 21]]
    one = read(tmp_path / "BioID_0001.eye").samples
    assert [s.file.name for s in one] == ["BioID_0001.png"]
    (tmp_path / "BioID_0000.eye").write_text("#LX\n1 2 3\n")
    with pytest.raises(DataError, match="four numbers"):
        read(tmp_path)


def test_pts_in_a_folder_beside_that_of_the_images(tmp_path):
    for clip in ("001", "002"):
        for frame in ("a", "b"):
            write_image(tmp_path / clip / "imgs" / f"{frame}.JPG")
            (tmp_path / clip / "annot").mkdir(exist_ok=True)
            write_pts(tmp_path / clip / "annot" / f"{frame}.pts", [[1, 2], [3, 4]])
    (tmp_path / "001" / "annot" / "b.pts").unlink()
    labels = read(tmp_path)
    files = [s.file.relative_to(tmp_path).as_posix() for s in labels.samples]
    assert files == ["001/imgs/a.JPG", "002/imgs/a.JPG", "002/imgs/b.JPG"]
    assert labels.notes == ("images left out, for they have no .pts file of their name: 1",)
    one = read(tmp_path / "002" / "annot" / "b.pts").samples[0]
    assert one.file == tmp_path / "002" / "imgs" / "b.JPG"
    write_image(tmp_path / "002" / "masks" / "b.png")
    with pytest.raises(DataError, match="does not exist"):
        read(tmp_path / "002" / "annot" / "b.pts")


@pytest.mark.parametrize("version", ["1", "1.0", "1."])
def test_versions_of_pts(tmp_path, version):
    path = write_image(tmp_path / "a.png").with_suffix(".pts")
    path.write_text(f"version: {version}\nn_points:  2\n{{\n1 2\n3 4\n}}\n")
    assert read(path).samples[0].points.tolist() == [[0, 1], [2, 3]]


@given(st.text(max_size=60) | st.binary(max_size=60), st.sampled_from([
    ("wflw", ".txt"), ("celeba", ".txt"), ("isbi", ".txt"), ("bioid", ".eye"), ("pts", ".pts"),
]))  # fmt: skip
def test_any_content_is_read_or_refused(tmp_path_factory, content, kind):
    name, suffix = kind
    folder = scratch(tmp_path_factory) / "lists" / "inner"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"fuzzed{suffix}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "replace"))
    try:
        labels = read(path, name, strict=False)
    except HeatkpError:
        return
    assert all(np.isfinite(s.points[s.visibility > 0]).all() for s in labels.samples)
