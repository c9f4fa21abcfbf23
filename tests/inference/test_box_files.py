from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from heatkp.errors import DataError, SettingsError
from heatkp.inference.box_files import BoxFile
from heatkp.inference.sources import InputImage, find_sources, read_images
from tests.conftest import box_of, heatkp, imglab_text
from tests.data import test_label_studio as studio
from tests.inference.test_sources import turned


def seen(path):
    """An image that is upright as stored."""
    return InputImage(path.name, path, np.zeros((4, 4, 3), np.uint8))


def imglab(folder, *entries):
    path = folder / "labels.xml"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(imglab_text([(name, [box_of(*b) for b in boxes]) for name, boxes in entries]))
    return path


def test_boxes_by_path_then_by_name(tmp_path):
    path = imglab(
        tmp_path / "labels",
        ("x/1.jpg", [(0, 0, 10, 10)]),
        ("y/1.jpg", [(10, 0, 20, 10), (0, 5, 5, 5)]),
        ("2.jpg", [(1, 2, 3, 4)]),
    )
    own, moved = tmp_path / "labels", tmp_path / "moved"
    given = [own / "x" / "1.jpg", moved / "2.jpg", moved / "y" / "1.jpg", moved / "3.jpg"]
    file = BoxFile(path, given)
    assert file.find(seen(given[0])).tolist() == [[-0.5, -0.5, 9.5, 9.5]]
    assert file.find(seen(given[1])).tolist() == [[0.5, 1.5, 3.5, 5.5]]
    assert len(file.find(seen(given[2]))) == 2 and file.find(seen(given[3])).shape == (0, 4)


def test_boxes_marked_as_to_be_ignored_are_predicted(tmp_path):
    path = tmp_path / "labels.xml"
    path.write_text(imglab_text([("1.jpg", [box_of(0, 0, 9, 9), box_of(1, 1, 5, 5, ignore=1)])]))
    input_image = tmp_path / "1.jpg"
    assert BoxFile(path, [input_image]).find(seen(input_image))[:, 2].tolist() == [8.5, 5.5]


def test_boxes_are_never_another_pictures(tmp_path):
    path = imglab(tmp_path, ("x/1.jpg", [(0, 0, 9, 9)]), ("y/1.jpg", [(0, 0, 5, 5)]))
    own, far, near = (tmp_path / f / "1.jpg" for f in ("x", "far", "z/y"))
    with pytest.raises(DataError, match=r"the boxes of .*x/1.jpg or .*y/1.jpg"):
        BoxFile(path, [far]).find(seen(far))
    file = BoxFile(path, [own, far])  # the first entry is taken
    assert len(file.find(seen(own))) == 1 and file.find(seen(far))[0, 2] == 4.5
    file = BoxFile(path, [own, far, near])  # and the other one fits better elsewhere
    assert len(file.find(seen(near))) == 1 and len(file.find(seen(far))) == 0
    with pytest.raises(DataError, match=r"a box for .*far/1.jpg or .*off/1.jpg"):
        BoxFile(path, [own, far, tmp_path / "off" / "1.jpg"]).find(seen(far))


def test_files_without_boxes(tmp_path):
    with pytest.raises(SettingsError, match="formats with boxes"):
        table = tmp_path / "a.csv"
        table.write_text("image,x0,y0\na.png,1,2\n")
        BoxFile(table, [])
    with pytest.raises(DataError, match="not well-formed"):
        broken = tmp_path / "a.xml"
        broken.write_text("<dataset>")
        BoxFile(broken, [])


def test_boxes_of_drawn_faces_in_coco(tmp_path):
    assert heatkp("data", "synth", tmp_path / "f", "--n", 2, "--size", 64).exit_code == 0
    moved = Path(shutil.copy(tmp_path / "f" / "images" / "000001.png", tmp_path))
    found = BoxFile(tmp_path / "f" / "annotations.json", [moved]).find(seen(moved))
    assert found.shape == (1, 4) and (found[:, 2:] > found[:, :2]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_turn_with_their_picture(tmp_path, orientation):
    """They are of the pixels as stored, where the left half is white, as labels are in training;
    those of heatkp's own table are of the upright image already."""
    file = turned(tmp_path / "a.jpg", orientation)
    (input_image,) = read_images(find_sources([str(file)]).sources)
    # imglab counts from the first pixel's centre: the white half is 20 wide and 20 high.
    boxes = BoxFile(imglab(tmp_path, ("a.jpg", [(0, 0, 20, 20)])), [file]).find(input_image)
    x0, y0, x1, y1 = (boxes[0] + 0.5).astype(int)
    white = input_image.image.mean(2) > 128
    assert white[y0:y1, x0:x1].mean() > 0.95 and white.sum() == pytest.approx(400, rel=0.1)


def test_boxes_of_own_tables_are_upright(tiny_run, tmp_path):
    file = turned(tmp_path / "a.jpg")
    out = tmp_path / "out"
    done = heatkp("predict", file, "--model", tiny_run, "--boxes", "image", "--format", "coco",
                  "--out", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    (input_image,) = read_images(find_sources([str(file)]).sources)
    assert input_image.image.shape == (40, 20, 3)
    (x, y, width, height) = json.loads((out / "coco.json").read_text())["annotations"][0]["bbox"]
    boxes = BoxFile(out / "coco.json", [file]).find(input_image)
    edges = [x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5]
    np.testing.assert_allclose(boxes, [edges], atol=1e-3)


def test_a_json_file_that_is_a_list(tmp_path):
    """Label Studio's exports are; and files may begin with a mark of their order of bytes."""
    labelled = studio.annotation(
        studio.frame("1", 2, 3, 10, 8), studio.point("nose", 5, 5, "2", parentID="1")
    )
    path = studio.write(tmp_path, studio.task(labelled))
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    image = tmp_path / "a.png"
    assert len(BoxFile(path, [image]).find(seen(image))) == 1


def test_a_name_that_is_longer_than_any_file_s(tmp_path):
    """Found by benchmarks/fuzz.py."""
    path = imglab(tmp_path, (f"{'1' * 5000}.png", [(1, 1, 9, 9)]))
    BoxFile(path, [])
