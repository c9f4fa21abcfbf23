"""Labels with boxes of no use, or in another form, in training and in `heatkp data info`."""

from __future__ import annotations

import json

import pytest

from heatkp.config import Data
from heatkp.data.inspection import inspect
from heatkp.data.loading import load_data
from heatkp.data.readers import read
from heatkp.errors import DataError
from tests.conftest import heatkp, write_image

GOOD = [20, 15, 30, 25]
OUTSIDE = [90, 5, 20, 20]


def coco(folder, boxes, declared=(64, 48), points=(25, 20, 2, 40, 30, 2)):
    """Images of 64 x 48, each with a box x, y, width, height."""
    images, notes = [], []
    for i, box in enumerate(boxes):
        write_image(folder / f"{i:02d}.png", seed=i)
        size = {} if declared is None else {"width": declared[0], "height": declared[1]}
        images.append({"id": i, "file_name": f"{i:02d}.png", **size})
        notes.append(
            {"id": i, "image_id": i, "category_id": 1, "bbox": box, "keypoints": [*points]}
        )
    category = {"id": 1, "name": "thing", "keypoints": ["nose", "tail"]}
    content = {"images": images, "annotations": notes, "categories": [category]}
    (folder / "labels.json").write_text(json.dumps(content))
    return folder


def load(folder, **settings):
    settings = {"crop": "box", "validation": 0.5, "pairs": [], **settings}
    return load_data(Data(path=str(folder), **settings))


def told(notes):
    return [note for note in notes if "of no use" in note]


@pytest.mark.parametrize("declared", [(64, 48), None])
@pytest.mark.parametrize("bad", [OUTSIDE, [-2e4, -2e4, 4e4, 4e4], [30, 30, 0.2, 0.2]])
def test_samples_with_boxes_of_no_use_are_left_out(tmp_path, declared, bad):
    folder = coco(tmp_path, [GOOD] * 7 + [bad], declared)
    loaded = load(folder)
    assert len(loaded.train) + len(loaded.val) == 7
    assert "07#7" not in {s.id for s in loaded.part("all")}
    (note,) = told(loaded.notes)
    assert note.startswith("1 of 8 boxes") and "07#7" in note
    whole = load(folder, crop="image")  # looks at no box
    assert len(whole.part("all")) == 8 and told(whole.notes) == []
    of_points = load(folder, box="points")
    assert len(of_points.part("all")) == 8 and told(of_points.notes) == []


def test_the_split_of_the_others_stays(tmp_path):
    """What is on which side must not depend on a box that is mended."""
    before = load(coco(tmp_path / "a", [GOOD] * 8))
    after = load(coco(tmp_path / "b", [GOOD] * 5 + [OUTSIDE] + [GOOD] * 2))
    for name in ("train", "val"):
        left = {s.id for s in before.part(name)} - {s.id for s in after.part(name)}
        assert left <= {"05#5"}


def test_nothing_is_left(tmp_path):
    with pytest.raises(DataError, match="4 of 4 boxes are of no use, such as of 00#0"):
        load(coco(tmp_path / "all", [OUTSIDE] * 4))
    split = load(coco(tmp_path / "good", [GOOD] * 4))
    bad = {s.id for s in split.val}
    boxes = [OUTSIDE if f"{i:02d}#{i}" in bad else GOOD for i in range(4)]
    with pytest.raises(DataError, match="all 2 validation samples have a box of no use"):
        load(coco(tmp_path / "val", boxes))


def test_what_labels_declare_is_not_believed_blindly(tmp_path):
    """A box outside the declared size and inside the file is not left out."""
    folder = coco(tmp_path, [GOOD] * 4)
    content = json.loads((folder / "labels.json").read_text())
    content["images"][1].update(width=15, height=10)
    (folder / "labels.json").write_text(json.dumps(content))
    notes = inspect(read(folder)).notes
    assert told(notes) == [] and any("15x10" in note for note in notes)


@pytest.mark.parametrize(
    ("box", "words"),
    [([20, 15, 50, 40], "x1 - x0"), ([0.3, 0.3, 0.5, 0.5], "fractions")],
)
def test_boxes_in_another_form(tmp_path, box, words):
    folder = coco(tmp_path, [box] * 6)
    with pytest.raises(DataError, match=words):
        load(folder)
    assert len(load(folder, crop="image").part("all")) == 6
    assert len(load(folder, box="points").part("all")) == 6
    (note,) = [n for n in inspect(read(folder)).notes if words in n]
    assert "refuses" in note


def test_few_boxes_in_another_form_are_noted(tmp_path):
    folder = coco(tmp_path, [[20, 15, 52, 44]] * 4)
    assert any("x1 - x0" in note for note in load(folder).notes)


def test_info_tells_and_draws_them(tmp_path):
    folder = coco(tmp_path / "data", [GOOD, OUTSIDE, [30, 30, 0, 0]])
    done = heatkp("data", "info", folder, "--out", tmp_path / "sheet.png")
    text = " ".join(done.output.split())
    assert done.exit_code == 0 and (tmp_path / "sheet.png").is_file()
    assert "1 of 2 boxes are of no use, such as of 01#1" in text and "leaves these out" in text
