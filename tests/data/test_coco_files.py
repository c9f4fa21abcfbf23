"""COCO as people have it: categories, names, splits, folders; Roboflow's copies; large files."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.data.readers._json_lists import load_lists
from heatkp.data.readers._splits import split_of
from heatkp.errors import DataError
from tests.conftest import scratch, write_image
from tests.data.test_coco import FILE

NAMES = ["nose", "tail"]


def content(count=2, v=2, category=1, names=("nose", "tail"), file="{}.png", first=0):
    """A file of `count` images with an object each."""
    numbers = range(first, first + count)
    return {
        "images": [{"id": i, "file_name": file.format(i), "width": 64, "height": 48}
                   for i in numbers],
        "annotations": [{"id": i, "image_id": i, "category_id": category, "bbox": [1, 1, 40, 40],
                         "keypoints": [3 + i, 2, v, 30, 4 + i, v]} for i in numbers],
        "categories": [{"id": category, "name": "mouse", "keypoints": list(names)}],
    }  # fmt: skip


def put(path, what):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(what))
    return path


def images(folder, what):
    for i, image in enumerate(what["images"]):
        write_image(folder / image["file_name"], seed=i)


def test_categories_with_one_list_of_names(tmp_path):
    both = content()
    both["categories"] += [{**both["categories"][0], "id": 2, "name": "rat"}, {"id": 3}]
    both["annotations"][1]["category_id"] = 2
    images(tmp_path, both)
    labels = read(put(tmp_path / "a.json", both))
    assert (
        len(labels.samples) == 2 and len(labels.notes) == 1 and "2 (mouse, rat)" in labels.notes[0]
    )


def test_a_list_of_names_that_no_annotation_uses(tmp_path):
    other = content()
    other["categories"].append({"id": 2, "name": "cage", "keypoints": ["a", "b", "c"]})
    images(tmp_path, other)
    assert read(put(tmp_path / "a.json", other)).skeleton.point_names == ("nose", "tail")


@pytest.mark.parametrize("names", [[], None])
def test_without_names(tmp_path, names):
    bare = content()
    bare["categories"][0].update(keypoints=names, skeleton=[[1, 2]])
    images(tmp_path, bare)
    skeleton = read(put(tmp_path / "a.json", bare)).skeleton
    assert skeleton.point_names == ("point_0", "point_1") and skeleton.lines == ((0, 1),)
    assert skeleton.unpaired == (0, 1)
    bare["annotations"][1]["keypoints"] = [1, 2, 2]
    with pytest.raises(DataError, match="has 3 numbers; 2 points need 6"):
        read(put(tmp_path / "a.json", bare))
    for note in bare["annotations"]:
        del note["keypoints"]
    with pytest.raises(DataError, match="no keypoint names"):
        read(put(tmp_path / "a.json", bare))


def test_v_of_0_and_1_alone(tmp_path):
    one = content(v=1)
    one["annotations"][0]["keypoints"][2] = 0
    images(tmp_path, one)
    labels = read(put(tmp_path / "a.json", one))
    assert [s.visibility.tolist() for s in labels.samples] == [[0, 2], [2, 2]]
    assert any("1 is read as visible" in note for note in labels.notes)
    one["annotations"][1]["keypoints"][2] = 2
    labels = read(put(tmp_path / "a.json", one))
    assert [s.visibility.tolist() for s in labels.samples] == [[0, 1], [2, 1]]


def test_crowds_are_ignored(tmp_path):
    crowd = content()
    crowd["annotations"][1]["iscrowd"] = 1
    images(tmp_path, crowd)
    samples = read(put(tmp_path / "a.json", crowd)).samples
    assert [s.ignored for s in samples] == [False, True] and samples[1].box is not None


@pytest.mark.parametrize(
    "form", ["person_keypoints_{}2017.json", "{}.json", "ap10k-{}-split1.json"]
)
def test_files_as_splits(tmp_path, form):
    for i, split in enumerate(("train", "val", "test")):
        what = content(first=10 * i)
        put(tmp_path / "annotations" / form.format(split), what)
        images(tmp_path / f"{split}2017", what)
    captions = content()
    captions["categories"][0].pop("keypoints")
    for note in captions["annotations"]:
        note.pop("keypoints")
    put(tmp_path / "annotations" / "captions_train2017.json", captions)
    assert recognise(tmp_path) == recognise(tmp_path / "annotations") == "coco"
    labels = read(tmp_path)
    assert [s.split for s in labels.samples] == ["train"] * 2 + ["val"] * 2 + ["test"] * 2
    assert labels.samples[2].id == "val/10#10"
    assert labels.samples[4].file == tmp_path / "test2017" / "20.png"
    assert read(tmp_path / "annotations" / form.format("val")).samples[0].split is None


def test_the_same_name_in_two_splits_is_two_images(tmp_path):
    """As in CVAT's images/train/1.png and images/val/1.png."""
    for split in ("train", "val"):
        put(tmp_path / "annotations" / f"person_keypoints_{split}.json", content())
        images(tmp_path / "images" / split, content())
    samples = read(tmp_path).samples
    assert [s.file.parent.name for s in samples] == ["train", "train", "val", "val"]
    assert len({s.id for s in samples}) == len({s.source_image for s in samples}) == 4


def test_files_that_are_no_splits(tmp_path):
    for name in ("a.json", "b.json"):
        put(tmp_path / name, content())
    with pytest.raises(DataError, match="2 COCO files"):
        recognise(tmp_path)
    (tmp_path / "b.json").rename(tmp_path / "train.json")
    put(tmp_path / "a.json", {"shapes": []})  # of another tool
    images(tmp_path, content())
    assert len(read(tmp_path).samples) == 2


def test_a_split_without_annotations_is_left_out(tmp_path):
    put(tmp_path / "train.json", content())
    put(tmp_path / "test.json", {**content(), "annotations": []})
    images(tmp_path, content())
    labels = read(tmp_path)
    assert len(labels.samples) == 2 and any("test.json (test)" in note for note in labels.notes)
    put(tmp_path / "train.json", {**content(), "annotations": []})
    with pytest.raises(DataError, match="no labelled object"):
        read(tmp_path)


def test_splits_with_other_points(tmp_path):
    put(tmp_path / "train.json", content())
    put(tmp_path / "val.json", content(names=("a", "b")))
    images(tmp_path, content())
    with pytest.raises(DataError, match="different keypoints"):
        read(tmp_path)


def test_roboflow_copies_are_of_one_image(tmp_path):
    """Of whatever split, of all copies."""
    for split, letters in (("train", "ab"), ("valid", "c"), ("test", "d")):
        what = content(len(letters), category=1)
        what["categories"].insert(0, {"id": 0, "name": "mice", "supercategory": "none"})
        for image, letter in zip(what["images"], letters):
            image["file_name"] = f"mouse_1_jpg.rf.{letter * 32}.jpg"
        put(tmp_path / split / "_annotations.coco.json", what)
        images(tmp_path / split, what)
    labels = read(tmp_path)
    assert {s.source_image for s in labels.samples} == {"mouse_1"}
    assert [s.split for s in labels.samples] == ["train", "train", "val", "test"]
    assert [s.split for s in read(tmp_path / "train").samples] == [None, None]


@pytest.mark.parametrize("folder", ["data", "images", "val2017", "images/val2017", "JPEGImages"])
def test_where_images_are(tmp_path, folder):
    path = put(tmp_path / "annotations" / "person_keypoints_val2017.json", content())
    images(tmp_path / folder, content())
    labels = read(path)
    assert [s.file.parent for s in labels.samples] == [tmp_path / folder] * 2
    assert labels.notes == ()


@pytest.mark.parametrize(("name", "split"), [
    ("person_keypoints_train2017", "train"), ("valid", "val"), ("Test", "test"),
    ("list_98pt_rect_attr_test", "test"), ("contest", None), ("trained", None),
    ("train_val", None), ("trainval", "train"), ("", None),
])  # fmt: skip
def test_split_of(name, split):
    assert split_of(name) == split


def test_not_finite(tmp_path):
    bad = content()
    bad["annotations"][1]["keypoints"][3] = float("inf")
    images(tmp_path, bad)
    with pytest.raises(
        DataError, match=r"annotation 1 .*point tail is labelled but its coordinate"
    ):
        read(put(tmp_path / "a.json", bad))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=4), v, max_size=4),
    max_leaves=12,
)
SPACES = st.sampled_from([None, 0, 2])


@settings(max_examples=200)
@given(JSON | st.dictionaries(st.sampled_from(["images", "a", ""]), JSON), SPACES)
def test_lists_are_read_as_json_reads_them(tmp_path_factory, value, indent):
    path = scratch(tmp_path_factory) / "lists.json"
    path.write_text(json.dumps(value, indent=indent), encoding="utf-8")
    seen = []
    found = load_lists(path, {"images": lambda item, i: seen.append(i) or item})
    assert found == value
    if isinstance(value, dict) and isinstance(value.get("images"), list):
        assert seen == list(range(len(value["images"])))


@given(st.data())
def test_damaged_json_is_refused_as_json_does(tmp_path_factory, data):
    text = json.dumps(FILE)
    place = data.draw(st.integers(0, len(text)))
    kind = data.draw(st.sampled_from(["cut", "left out", "exchanged"]))
    rest = {"cut": "", "left out": text[place + 1 :], "exchanged": "]" + text[place + 1 :]}[kind]
    path = scratch(tmp_path_factory) / "damaged.json"
    path.write_text(text[:place] + rest)
    try:
        expected = json.loads(path.read_text())
    except ValueError:
        with pytest.raises(ValueError):
            load_lists(path, {"annotations": lambda item, i: item})
    else:
        assert load_lists(path, {"annotations": lambda item, i: item}) == expected


def test_many_annotations_in_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr("heatkp.data.readers.coco.BLOCK", 3)
    many = content(10)
    many["annotations"][4]["keypoints"] = [[1, 2, 2], [3, 4, 1]]
    many["annotations"][7].pop("keypoints")
    many["annotations"][8]["bbox"] = None
    images(tmp_path, many)
    samples = read(put(tmp_path / "a.json", many)).samples
    assert samples[4].points.tolist() == [[1, 2], [3, 4]] and samples[4].visibility[1] == 1
    assert samples[7].visibility.tolist() == [0, 0] and samples[8].box is None
    assert [s.points[0, 0] for s in samples[:4]] == [3, 4, 5, 6]
    assert samples[9].box.tolist() == [0.5, 0.5, 40.5, 40.5]


def animalpose(folder):
    for name in ("a.jpg", "b.jpg"):
        write_image(folder / "images" / name)
    what = {
        "images": {"1": "a.jpg", "22": "b.jpg"},
        "annotations": [
            {"image_id": 1, "bbox": [1, 2, 30, 40], "keypoints": [[1, 2, 1], [0, 0, 0]]},
            {"image_id": 22, "bbox": [5, 5, 5, 5], "keypoints": [[3, 4, 1], [5, 6, 1]]},
        ],
        "categories": [{"id": 1, "name": "dog", "keypoints": NAMES, "skeleton": [[0, 1]]}],
    }
    return put(folder / "keypoints.json", what), what


def test_animalpose(tmp_path):
    path, _ = animalpose(tmp_path)
    assert recognise(path) == recognise(tmp_path) == "animalpose"
    skeleton, samples, _ = read(path)
    assert skeleton.lines == ((0, 1),) and samples[0].box.tolist() == [0.5, 1.5, 29.5, 39.5]
    assert samples[1].box is None and samples[0].visibility.tolist() == [2, 0]
    assert [s.file.name for s in samples] == ["a.jpg", "b.jpg"]


@given(st.data())
def test_any_value_in_animalpose_is_read_or_refused(tmp_path_factory, data):
    folder = scratch(tmp_path_factory) / "animalpose"
    _, what = animalpose(folder)
    changed = copy.deepcopy(what)
    places = [("images",), ("annotations",), ("categories",), ("images", "1"),
              *(("annotations", 0, k) for k in what["annotations"][0]),
              *(("categories", 0, k) for k in what["categories"][0])]  # fmt: skip
    *outer, last = data.draw(st.sampled_from(places))
    inner = changed
    for key in outer:
        inner = inner[key]
    inner[last] = data.draw(JSON)
    path = put(folder / "fuzzed.json", changed)
    try:
        samples = read(path, "animalpose", strict=False).samples
    except DataError as error:
        assert str(error)
    else:
        assert all(np.isfinite(s.points[s.visibility > 0]).all() for s in samples)
