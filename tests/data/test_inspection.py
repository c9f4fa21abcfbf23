from __future__ import annotations

import json
from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest

from heatkp.data.inspection import SCALES, Outside, Spread, inspect
from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample
from heatkp.data.transforms import Framing
from heatkp.skeletons import FACE68, UNLABELLED, Skeleton
from tests.conftest import faulty_faces, write_imm


def names(files):
    return [Path(file).name for file in files]


def test_all_numbers(tmp_path):
    done = []
    labels = read(faulty_faces(tmp_path), strict=False)
    found = inspect(labels, "imglab", "x.xml", lambda *counts: done.append(counts))
    assert done == [(i, 4) for i in range(1, 5)] + [(i, 7) for i in range(1, 8)]
    assert (found.path, found.format) == ("x.xml", "imglab")
    assert (found.images, found.samples, found.sources, found.persons) == (6, 7, 4, 0)
    assert (found.layout, found.points) == ("points3", 3)
    assert (found.visible, found.occluded, found.not_labelled) == (15, 0, 6)
    assert found.unlabelled_samples == 1
    assert found.image_width == Spread(20, 60, 60) and found.image_height == Spread(20, 40, 40)
    assert (found.boxes, found.flat_boxes) == (7, 0)
    assert found.box_width == Spread(10, 20, 20) and found.box_height == Spread(10, 20, 20)
    assert found.box_aspect == Spread(1, 1, 2)
    assert found.size_of == "points-diagonal"
    middle = (7.4 + np.hypot(19.5, 19.5)) / 2
    assert astuple(found.size) == pytest.approx((2, middle, np.hypot(30, 10)))
    assert found.outside_box == Outside(points=4, samples=3)
    assert found.outside_image == Outside(points=1, samples=1)
    assert names(found.missing) == ["gone_1.png", "gone_2.png"]
    ((file, reason),) = found.unreadable
    assert names([file]) == ["broken.png"] and "is not an image" in reason
    assert [names(group) for group in found.same_image] == [["a_1.png", "a_2.png"]]
    assert found.same_id == ()
    assert found.notes == ("boxes without parts, none of their points is labelled: 1",)
    as_json = json.loads(json.dumps(found.as_dict()))
    assert as_json["outside_box"] == {"points": 4, "samples": 3}
    assert as_json["enlarged"][0]["square_points"] == pytest.approx(3 / 15)


def test_what_enlarged_boxes_lose(tmp_path):
    """Of 15 points of 6 faces."""
    found = inspect(read(faulty_faces(tmp_path), strict=False)).enlarged
    assert [loss.scale for loss in found] == list(SCALES)
    points = [4, 4, 3, 3, 2, 2, 2, 2]
    samples = [3, 3, 3, 3, 2, 2, 2, 2]
    square_points = [3, 3, 2, 2, 2, 2, 2, 2]  # the wide box's point is in from the start
    square_samples = [2] * 8
    for loss, *counts in zip(found, points, samples, square_points, square_samples):
        shares = (counts[0] / 15, counts[1] / 6, counts[2] / 15, counts[3] / 6)
        assert astuple(loss)[1:] == pytest.approx(shares), loss.scale


def stored(image):
    return lambda: image


def made(identity, seed, points, visibility, box=None, person=None):
    image = np.random.default_rng(seed).integers(0, 255, (10, 30), np.uint8)
    return Sample(
        id=identity,
        image=stored(image),
        points=np.array(points, np.float32).reshape(-1, 2),
        visibility=np.array(visibility, np.uint8),
        box=None if box is None else np.array(box, np.float32),
        person=person,
    )


def test_pictures_in_memory():
    eyes = Skeleton("eyes", ("r", "l"), normalisers={"inter-eye": ((0,), (1,))})
    nan = float("nan")
    samples = [
        made("a", 0, [[0, 0], [3, 4]], [2, 1], box=[0, 0, 0, 5], person="x"),
        made("b", 1, [[0, 0], [nan, nan]], [1, 0], person="x"),
        made("a", 0, [[-0.5, 9.5], [29.6, 0]], [2, 2], person="y"),
    ]
    found = inspect(Labels(eyes, samples, ("a note",)))
    assert (found.images, found.samples, found.sources, found.persons) == (2, 3, 2, 2)
    assert (found.visible, found.occluded, found.not_labelled) == (3, 2, 1)
    assert found.image_width == Spread(30, 30, 30) and found.image_height == Spread(10, 10, 10)
    assert (found.boxes, found.flat_boxes) == (1, 1)
    assert found.box_width is None and found.outside_box is None and found.enlarged == ()
    assert found.size_of == "inter-eye"
    assert astuple(found.size) == pytest.approx((5, 18.28, 31.56), abs=0.005)
    assert found.outside_image == Outside(1, 1)  # a point on the very edge is inside
    assert found.same_id == ("a",) and found.missing == ()
    told, of_box = found.notes
    assert told == "a note" and of_box.startswith("1 of 1 boxes are of no use, such as of a: ")


def test_equal_pictures_in_memory():
    samples = [made(name, seed, [], []) for name, seed in (("a", 0), ("b", 1), ("c", 0))]
    found = inspect(Labels(UNLABELLED, samples))
    assert found.same_image == (("a", "c"),)
    assert (found.points, found.visible, found.unlabelled_samples) == (0, 0, 3)
    assert found.size is None and found.outside_image is None


def test_every_reader_can_leave_pictures_out(tmp_path):
    folder = write_imm(tmp_path / "imm")
    (folder / "02-1m.jpg").unlink()
    (folder / "03-1m.jpg").write_text("not an image")
    found = inspect(read(folder, strict=False))
    assert names(found.missing) == ["02-1m.jpg"] and len(found.unreadable) == 1
    assert (found.images, found.persons, found.visible) == (10, 5, 8 * 58)
    assert found.unlabelled_samples == 2


def test_real_faces(data_folder):
    """Every fifth, to be quick."""
    labels = read(data_folder / "ibug" / "labels_ibug_300W_train.xml", strict=False)
    samples = labels.samples[::5]
    found = inspect(Labels(labels.skeleton, samples))
    assert (found.images, found.samples, found.sources) == (346, 346, 342)
    assert labels.skeleton is FACE68 and found.visible == 346 * 68
    assert found.image_width == Spread(170, 439.5, 607)
    assert found.box_width == Spread(90, 224, 298)
    assert found.size_of == "inter-ocular"
    assert astuple(found.size) == pytest.approx((43.08, 122.10, 158.72), abs=0.005)
    assert found.outside_box == Outside(2084, 326)
    assert found.outside_image == Outside(0, 0)
    assert found.missing == found.unreadable == found.same_image == found.same_id == ()
    assert found.enlarged[0].points == pytest.approx(2084 / 23528)
    assert found.enlarged[2].samples == pytest.approx(51 / 346)
    assert found.enlarged[-1].samples == 0
    # The same, counted as training would see the crops.
    framing, lost = Framing((64, 64), SCALES[2]), 0
    for s in samples:
        x0, y0, x1, y1 = framing.region((1, 1), s.box)
        x, y = s.points.T.astype(np.float64)
        lost += ((x < x0) | (x > x1) | (y < y0) | (y > y1)).any()
    assert found.enlarged[2].square_samples == pytest.approx(lost / 346) == 47 / 346
