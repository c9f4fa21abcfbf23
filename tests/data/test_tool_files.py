"""Files for labelling tools are as the tools' own documents say, also of predictions."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import numpy as np
import pytest
import yaml

from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample
from heatkp.data.writers import Scores, write_labels
from heatkp.skeletons import named
from tests.conftest import write_image

SKELETON = named("mouse", ["nose", "left_ear", "right_ear", "tail & <end>"], [(0, 3)])


@pytest.fixture
def labels(tmp_path):
    """An image with two objects, one with a box beyond the image, and an image with one."""
    files = [write_image(tmp_path / "in" / f"{name}.png") for name in "ab"]
    points = np.float32([[10, 12.25], [20, 30], [63.5, 47.5], [1, 1]])
    hidden = [2, 1, 2, 0]
    samples = [
        Sample(files[0], points, hidden, box=[-4.5, 3, 70, 40], split="train"),
        Sample(files[0], points[::-1], [2, 2, 0, 2], split="train"),
        Sample(files[1], points, [2, 2, 2, 2], split="val"),
    ]
    return Labels(SKELETON, samples)


SCORES = [Scores(np.array([0.9, 0.5, 0.25, np.nan]), 0.75), Scores(None, 0.5), Scores()]


def test_label_studio_predictions_are_corrected_and_read_back(labels, tmp_path):
    path = write_labels(labels, tmp_path / "out", "label_studio", scores=SCORES).path
    tasks = json.loads(path.read_text())
    for task in tasks:
        assert task["annotations"] == [] and task["data"]["image"].startswith("/data/local-files")
        (prediction,) = task["predictions"]
        assert prediction["model_version"]
        for region in prediction["result"]:
            assert {"id", "type", "from_name", "to_name", "value", "image_rotation"} <= {*region}
            assert region["original_width"] == 64 and region["original_height"] == 48
            assert all(0 <= region["value"][key] <= 100 for key in ("x", "y", "width"))
            assert region["value"][region["type"]]
    assert tasks[0]["predictions"][0]["score"] == 0.5 and "score" not in tasks[1]["predictions"][0]
    points = [r for r in tasks[0]["predictions"][0]["result"] if r["type"] == "keypointlabels"]
    assert [r.get("score") for r in points[:3]] == [0.9, 0.5, 0.25]
    interface = ElementTree.parse(path.with_name("config.xml")).getroot()
    assert {r["from_name"] for t in tasks for r in t["predictions"][0]["result"]} <= {
        tag.get("name") for tag in interface
    }
    assert [v.get("value") for v in interface.find("KeyPointLabels")] == list(SKELETON.point_names)
    for task in tasks:  # as an annotator who submits what was predicted, one point moved
        result = task["predictions"][0]["result"]
        task["annotations"] = [{"id": 1, "result": result, "was_cancelled": False}]
        result[-1]["value"]["x"] += 100 / 64
    path.write_text(json.dumps(tasks))
    found = read(path)
    moved = np.add(labels.samples[2].points, [[0, 0], [0, 0], [0, 0], [1, 0]])
    assert np.allclose(found.samples[2].points, moved, atol=1e-4)
    assert found.samples[0].visibility.tolist() == [2, 1, 2, 0]
    assert found.samples[0].box.tolist() == [-0.5, 3, 63.5, 40]


def test_labelme_files(labels, tmp_path):
    path = write_labels(labels, tmp_path / "out", "labelme", scores=SCORES).path
    content = json.loads((path / "a.json").read_text())
    assert set(content) == {
        "version", "flags", "shapes", "imagePath", "imageData", "imageHeight", "imageWidth",
    }  # fmt: skip
    for shape in content["shapes"]:
        assert set(shape) == {
            "label", "points", "group_id", "description", "shape_type", "flags", "mask",
        }  # fmt: skip
    assert (path / content["imagePath"]).is_file()
    said = {(s["group_id"], s["label"]): s["description"] for s in content["shapes"]}
    assert said[1, "nose"] == "score 0.9000" and said[1, "mouse"] == "score 0.7500"
    assert said[2, "nose"] == ""
    assert [len(read(path).samples), len(read(path / "b.json").samples)] == [3, 1]


def test_cvat_files(labels, tmp_path):
    written = write_labels(labels, tmp_path / "out", "cvat", scores=SCORES)
    assert any("scores" in note for note in written.notes)
    root = ElementTree.parse(written.path).getroot()
    assert root.findtext("version") == "1.1"
    told = root.findall("meta/task/labels/label")
    sublabels = [label.findtext("name") for label in told if label.findtext("parent") == "mouse"]
    assert sublabels == list(SKELETON.point_names)
    assert {label.findtext("type") for label in told} == {"skeleton", "points", "rectangle"}
    for skeleton in root.iter("skeleton"):
        parts = skeleton.findall("points")
        assert [p.get("label") for p in parts] == sublabels
        for part in parts:
            assert {"outside", "occluded", "points", "source"} <= {*part.attrib}
    names = {label.findtext("name") for label in told}
    assert {e.get("label") for tag in ("box", "skeleton") for e in root.iter(tag)} <= names
    subsets = [image.get("subset") for image in root.findall("image")]
    assert subsets == ["Train", "Validation"]
    raw = json.loads(written.path.with_name("labels.json").read_text())
    assert [part["name"] for part in raw[0]["sublabels"]] == sublabels
    assert read(written.path).skeleton.lines == ((0, 3),)


def test_yolo_files(labels, tmp_path):
    path = write_labels(labels, tmp_path / "out", "yolo").path
    config = yaml.safe_load(path.read_text())
    assert config["kpt_shape"] == [4, 3] and "path" not in config
    assert config["train"] == "images/train" and config["val"] == "images/val"
    lines = (path.parent / "labels/train/a.txt").read_text().splitlines()
    for line in lines:
        values = np.array(line.split(), float)
        assert len(values) == 5 + 4 * 3
        assert ((values[1:5] >= 0) & (values[1:5] <= 1)).all()
        points = values[5:].reshape(4, 3)
        assert ((points[:, :2] >= 0) & (points[:, :2] <= 1)).all()
        assert set(points[:, 2]) <= {0, 1, 2}


def test_a_yolo_set_without_a_split_has_both_parts(labels, tmp_path):
    labels = labels._replace(samples=[labels.samples[2].read_with(labels.samples[2].options)])
    for split, expected in ((None, "train"), ("test", "test"), ("val", "val")):
        object.__setattr__(labels.samples[0], "split", split)
        written = write_labels(labels, tmp_path / f"out {split}", "yolo")
        config = yaml.safe_load(written.path.read_text())
        assert all((written.path.parent / config[key]).is_dir() for key in ("train", "val"))
        assert [s.split for s in read(written.path).samples] == [expected]
