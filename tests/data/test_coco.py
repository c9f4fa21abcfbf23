"""COCO files by other tools: wrong types, crowds, ids in two ways, nested points, nothing."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.config import Data
from heatkp.data.loading import load_data
from heatkp.data.readers import read
from heatkp.errors import DataError
from tests.conftest import scratch, write_image

FILE = {
    "images": [{"id": i, "file_name": f"{i}.png", "width": 64, "height": 48} for i in range(1, 5)],
    "annotations": [
        {
            "id": 10 + i,
            "image_id": i,
            "category_id": 1,
            "keypoints": [1 + i, 2, 2, 30, 4 + i, 1],
            "num_keypoints": 2,
            "bbox": [1, 1, 40, 40],
            "iscrowd": 0,
            "person": None,
        }
        for i in range(1, 5)
    ],
    "categories": [
        {"id": 1, "name": "mouse", "keypoints": ["nose", "tail"], "skeleton": [[1, 2]]},
        {"id": 2, "name": "cage"},
    ],
}


def written(folder, change=lambda content: None):
    content = copy.deepcopy(FILE)
    change(content)
    for i in range(1, 5):
        write_image(folder / f"{i}.png", seed=i)
    path = folder / "a.json"
    path.write_text(json.dumps(content))
    return path


def test_what_is_declared(tmp_path):
    skeleton, samples, notes = read(written(tmp_path))
    assert skeleton.point_names == ("nose", "tail") and notes == ()
    assert [s.declared_size for s in samples] == [(64, 48)] * 4
    assert samples[0].points.tolist() == [[2, 2], [30, 5]] and samples[0].id == "1#11"


def test_sizes_need_not_be_declared(tmp_path):
    def change(content):
        content["images"][0].update(width=0, height=0)
        content["images"][1].update(width=None)
        del content["images"][2]["height"]

    samples = read(written(tmp_path, change)).samples
    assert [s.declared_size for s in samples] == [None, None, None, (64, 48)]


@pytest.mark.parametrize("key", ["images", "annotations", "categories"])
@pytest.mark.parametrize("empty", [[], None, "gone"])
def test_a_file_without_objects(tmp_path, key, empty):
    def change(content):
        content[key] = empty
        if empty == "gone":
            del content[key]

    with pytest.raises(DataError, match=f"holds no labelled object: '{key}' is"):
        load_data(Data(path=str(written(tmp_path, change))))


def test_no_object_of_the_category_with_keypoints(tmp_path):
    def change(content):
        for note in content["annotations"]:
            note["category_id"] = 2

    with pytest.raises(DataError, match=r"holds no labelled object.*'mouse'"):
        read(written(tmp_path, change))


@pytest.mark.parametrize("as_text", ["images", "annotations"])
@pytest.mark.parametrize("form", ["{}", "{:06d}"])
def test_ids_as_text_here_and_as_numbers_there(tmp_path, as_text, form):
    key = {"images": "id", "annotations": "image_id"}[as_text]

    def change(content):
        for part in content[as_text]:
            part[key] = form.format(part[key])

    _, samples, notes = read(written(tmp_path, change))
    assert [s.file.name for s in samples] == ["1.png", "2.png", "3.png", "4.png"]
    assert len(notes) == 1 and "image_id" in notes[0] and notes[0].endswith(": 4")


def test_categories_as_text(tmp_path):
    def change(content):
        for note in content["annotations"]:
            note["category_id"] = "1"

    _, samples, notes = read(written(tmp_path, change))
    assert len(samples) == 4 and len(notes) == 1 and "category_id" in notes[0]


def test_ids_that_fit_two_images(tmp_path):
    def change(content):
        content["images"][1]["id"] = "01"
        content["annotations"] = content["annotations"][:1]
        content["annotations"][0]["image_id"] = "1"  # 1 or "01"?

    with pytest.raises(DataError, match="of the image '1', which is not among"):
        read(written(tmp_path, change))


def test_crowds_and_annotations_without_points_have_their_box(tmp_path):
    def change(content):
        first, second, third, _ = content["annotations"]
        first["iscrowd"] = 1
        second.update(keypoints=[0] * 6, num_keypoints=0)
        del third["keypoints"]

    _, samples, notes = read(written(tmp_path, change))
    assert len(samples) == 4 and all(s.box is not None for s in samples)
    assert [int((s.visibility > 0).sum()) for s in samples] == [0, 0, 0, 2]
    assert len(notes) == 1 and "iscrowd" in notes[0] and notes[0].endswith(": 1")


def test_a_list_for_each_point(tmp_path):
    def change(content):
        for note in content["annotations"]:
            note["keypoints"] = np.reshape(note["keypoints"], (-1, 3)).tolist()

    plain, nested = read(written(tmp_path)), read(written(tmp_path, change))
    for a, b in zip(plain.samples, nested.samples):
        assert np.array_equal(a.points, b.points) and np.array_equal(a.visibility, b.visibility)


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([1, 2, 2], "has 3 numbers; 2 points need 6"),
        ([[1, 2, 2]] * 3, "has 3 lists of 3 numbers; 2 points need 2 lists"),
        ([[1, 2]] * 3, "has 3 lists of 2 numbers"),
        ([[1, 2, 2], [3, 4]], "no list of numbers"),
        (["1", "2", "2", "3", "4", "2"], "no list of numbers"),
        ({"nose": [1, 2]}, "no list of numbers"),
        ("1 2 2 3 4 2", "no list of numbers"),
        ([10**400, 2, 2, 3, 4, 2], "no list of numbers"),
    ],
)
def test_keypoints_that_are_none(tmp_path, value, words):
    change = lambda c: c["annotations"][1].update(keypoints=value)  # noqa: E731
    with pytest.raises(DataError, match=words) as caught:
        read(written(tmp_path, change))
    assert "annotation 12" in str(caught.value)


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("annotations", "image_id", [1]),
        ("annotations", "image_id", None),
        ("annotations", "image_id", {"id": 1}),
        ("annotations", "image_id", True),
        ("annotations", "category_id", [1]),
        ("annotations", "id", [3]),
        ("annotations", "bbox", "1234"),
        ("annotations", "bbox", [1, 2, 3, 1e300]),
        ("annotations", "iscrowd", "no"),
        ("annotations", "person", ["a"]),
        ("images", "id", [1]),
        ("images", "file_name", 5),
        ("images", "file_name", ""),
        ("images", "width", "wide"),
        ("categories", "keypoints", [["nose"], "tail"]),
    ],
)
def test_values_of_another_type(tmp_path, part, key, value):
    change = lambda c: c[part][0].update({key: value})  # noqa: E731
    with pytest.raises(DataError) as caught:
        read(written(tmp_path, change))
    named = {"images": "images[0]", "annotations": "annotation", "categories": "keypoint"}[part]
    assert named in str(caught.value)


SIMPLE = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([10**30, 1e300, 0.5]),
    st.floats(), st.text(max_size=5),
)  # fmt: skip
VALUES = st.recursive(
    SIMPLE, lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=3), v, max_size=2)
)
PLACES = [(part,) for part in FILE] + [
    place
    for part, items in FILE.items()
    for place in [(part, 0), *((part, 0, key) for key in items[0])]
]


@settings(max_examples=300)
@given(place=st.sampled_from([(), *PLACES]), value=VALUES)
def test_any_value_anywhere_is_read_or_refused(tmp_path_factory, place, value):
    content = {"": copy.deepcopy(FILE)}
    inner = content
    *outer, last = ("", *place)
    for key in outer:
        inner = inner[key]
    inner[last] = value
    path = scratch(tmp_path_factory) / "fuzzed.json"
    path.write_text(json.dumps(content[""]))
    try:
        labels = read(path, "coco", strict=False)
    except DataError as error:
        assert str(error)
    else:
        assert len(labels.samples) in (3, 4)


def test_nesting_without_end(tmp_path):
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="cannot be read as JSON"):
        read(path, "coco")
    with pytest.raises(DataError, match=r"deep\.json has no lists of images"):
        read(path)
