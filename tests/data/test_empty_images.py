"""Images that labels list without an object: read, split, and given to a finder alone."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest

from heatkp.config import parse_settings
from heatkp.data.empty_images import empty_in_parts
from heatkp.data.loading import load_data
from heatkp.data.readers import read
from heatkp.data.samples import KeypointData, Labels, Sample
from heatkp.data.scenes import image_key, split_scenes
from heatkp.data.sets import merge_labels
from heatkp.inference.measuring import objects_of
from heatkp.skeletons import Skeleton
from tests.conftest import box_of, imglab_text, write_image

PAIR = Skeleton("pair", ("a", "b"))


def coco(folder, objects=8, bare=4, crowd=True, **more):
    """A COCO file: images with an object each, then images without."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"{kind}_{i}.png" for kind, n in (("one", objects), ("none", bare)) for i in range(n)]
    for i, name in enumerate(names):
        write_image(folder / name, 64, 48, seed=i)
    notes = [
        {"id": i, "image_id": i, "category_id": 1, "bbox": [10, 10, 20, 16], "iscrowd": 0,
         "keypoints": [12, 12, 2, 25, 20, 2]}
        for i in range(objects)
    ]  # fmt: skip
    if crowd:  # an image of a crowd alone, which is not without an object
        write_image(folder / "crowd.png", 64, 48, seed=99)
        names.append("crowd.png")
        notes.append({"id": 99, "image_id": len(names) - 1, "category_id": 1, "iscrowd": 1,
                      "bbox": [0, 0, 30, 30], "keypoints": [0] * 6})  # fmt: skip
    content = {
        "images": [{"id": i, "file_name": name} for i, name in enumerate(names)],
        "annotations": notes,
        "categories": [{"id": 1, "name": "pair", "keypoints": ["a", "b"]}],
    }
    (folder / "labels.json").write_text(json.dumps({**content, **more}))
    return folder / "labels.json"


def loaded(path, **data):
    values = {"path": str(path), "format": "auto", "crop": "box", **data}
    settings = parse_settings({"data": values, "trainer": {"task": "finder"}}, "test")
    return load_data(settings.data, boxes=True)


def names(samples):
    return sorted(s.file.name for s in samples)


def test_images_without_an_annotation(tmp_path):
    labels = read(coco(tmp_path / "set"), "coco")
    assert names(labels.empty) == [f"none_{i}.png" for i in range(4)]
    assert len(labels.samples) == 9 and all(s.points.shape == (0, 2) for s in labels.empty)
    assert labels.empty[0].rgb().shape == (48, 64, 3)
    assert len(merge_labels([labels, labels]).empty) == 8
    skeleton, samples, notes = labels  # a tuple of three, as ever
    assert Labels(skeleton, samples, notes).empty == ()
    assert names(pickle.loads(pickle.dumps(labels)).empty) == names(labels.empty)


def test_they_train_a_finder_and_no_points(tmp_path):
    path = coco(tmp_path / "set")
    data, without = loaded(path), loaded(path, empty_images=False)
    for part in ("train", "val"):  # the objects' split does not depend on them
        assert [s.id for s in data.part(part)] == [s.id for s in without.part(part)]
    assert not without.empty and len(data.empty) == 4
    train, val = split_scenes(data)
    bare = [[s for s in part if not len(s.boxes) and not len(s.ignored)] for part in (train, val)]
    assert [len(part) for part in bare] == [3, 1]  # a fifth validates, as of the others
    assert all(s.id.startswith("none_") for part in bare for s in part)
    keys = [{image_key(s.image) for s in part} for part in (train, val)]
    assert not keys[0] & keys[1]
    again, _ = split_scenes(loaded(path))
    assert [s.id for s in again] == [s.id for s in train]
    assert sum(not len(s.boxes) and not len(s.ignored) for s in split_scenes(data, True)[0]) == 0
    measured = names(objects_of(data, "val"))
    assert sum(name.startswith("none_") for name in measured) == 1
    assert sum(name.startswith("none_") for name in names(objects_of(data, "all"))) == 4


def test_the_part_of_a_file_of_its_own(tmp_path):
    train = coco(tmp_path / "train", bare=3, crowd=False)
    val = coco(tmp_path / "other", objects=3, bare=2, crowd=False)
    data = loaded(train, val=[str(val)])
    told = sorted((s.split, s.file.parent.name) for s in data.empty)
    assert told == [("train", "train")] * 3 + [("val", "other")] * 2


def sample(i, **more):
    return Sample(np.zeros((4, 4, 3), np.uint8), [[1, 1], [2, 2]], id=f"s{i}", **more)


def bare(i, **more):
    return Sample(np.zeros((4, 4, 3), np.uint8), np.zeros((0, 2)), id=f"e{i}", **more)


@pytest.mark.parametrize(("split", "expected"), [("auto", "own"), ("random", "drawn")])
def test_the_labels_own_split(split, expected):
    """Where objects of a named part are in one part, images of that name are, too."""
    settings = parse_settings({"data": {"path": "x", "format": "coco", "split": split}}, "test")
    own = [sample(i, split="train") for i in range(4)], [sample(9, split="val")]
    if expected == "drawn":  # both names are on both sides
        own = [*own[0][:2], sample(7, split="val")], [own[0][2], *own[1]]
    data = KeypointData(PAIR, *own)
    empty = [bare(0, split="val"), bare(1, split="train"), bare(2, split="val"), bare(3)]
    parts = {s.id: s.split for s in empty_in_parts(empty, data, settings.data)}
    if expected == "own":
        assert parts == {"e0": "val", "e1": "train", "e2": "val", "e3": "train"}
    else:
        assert sorted(parts.values()).count("val") == 2 and len(parts) == 4


def test_what_is_of_one_video_or_source_stays_together():
    settings = parse_settings({"data": {"path": "x", "format": "coco"}}, "test")
    data = KeypointData(PAIR, [sample(0, video="v")], [sample(1, source_image="s")])
    empty = [bare(0, video="v"), bare(1, source_image="s")]
    assert [s.split for s in empty_in_parts(empty, data, settings.data)] == ["train", "val"]
    whole = KeypointData(PAIR, [], [], test=[sample(0)])
    assert [s.split for s in empty_in_parts(empty, whole, settings.data)] == ["test"] * 2


def test_yolo_and_imglab(tmp_path):
    folder = tmp_path / "yolo"
    for kind in ("images", "labels"):
        (folder / kind).mkdir(parents=True)
    for i in range(3):
        write_image(folder / "images" / f"{i}.png", seed=i)
    (folder / "labels" / "0.txt").write_text("0 0.5 0.5 0.4 0.4 0.4 0.4 2 0.6 0.6 2\n")
    (folder / "labels" / "1.txt").write_text("")
    (folder / "data.yaml").write_text(
        f"path: {folder}\ntrain: images\nkpt_shape: [2, 3]\nnames: {{0: pair}}\n"
    )
    labels = read(folder, "yolo")
    assert names(labels.empty) == ["1.png", "2.png"] and len(labels.samples) == 1
    assert {s.split for s in labels.empty} == {"train"}
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.png", seed=1)
    square = box_of(10, 10, 20, 20, parts={"p": (12, 12), "q": (20, 20)})
    file = tmp_path / "faces.xml"
    file.write_text(imglab_text([("a.png", [square]), ("b.png", []), ("gone.png", [])]))
    assert names(read(file, "imglab").empty) == ["b.png"]
