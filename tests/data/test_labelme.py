from __future__ import annotations

import base64
import json
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.format_samples import require_expected


def shape(label, *points, kind="point", group=None, **more):
    return {
        "label": label, "points": [list(p) for p in points], "group_id": group,
        "shape_type": kind, "flags": {}, **more,
    }  # fmt: skip


def content(*shapes, image="a.png", **more):
    return {
        "version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": image,
        "imageData": None, "imageHeight": 48, "imageWidth": 64, **more,
    }  # fmt: skip


def write(folder, *shapes, name="a", image="a.png", there=True, **more):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(content(*shapes, image=image, **more)))
    if there:
        write_image(folder / image)
    return path


def points_of(sample, labels):
    return dict(zip(labels.skeleton.point_names, sample.points.tolist()))


def test_the_sample(formats_folder):
    folder = formats_folder / "labelme"
    assert recognise(folder) == recognise(folder / "img001.json") == "labelme"
    require_expected(read(folder), folder)
    labels = read(folder / "img002.json")
    assert [s.id for s in labels.samples] == ["img002"] and len(labels.skeleton) == 3


def test_groups_and_their_rectangles(tmp_path):
    path = write(
        tmp_path,
        shape("nose", (10.5, 11.5), group=1),
        shape("body", (30, 40), (5, 8), kind="rectangle", group=1),  # any two corners
        shape("nose", (50.5, 20.5), group=2, flags={"occluded": True}),
        shape("tail", (20, 30), group=2),
        shape("outline", (0, 0), (5, 5), (9, 0), kind="polygon", group=2),
    )
    labels = read(path)
    first, second = labels.samples
    assert points_of(first, labels)["nose"] == [10, 11]
    assert first.box.tolist() == [4.5, 7.5, 29.5, 39.5] and second.box is None
    assert first.visibility.tolist() == [2, 0] and second.visibility.tolist() == [1, 2]
    assert any("1 polygon" in note for note in labels.notes)
    assert first.source_image == second.source_image and first.declared_size == (64, 48)


def test_objects_by_the_rectangles_that_they_lie_in(tmp_path):
    def mouse(x):
        frame = shape("mouse", (x, 0), (x + 20, 40), kind="rectangle")
        return [shape("nose", (x + 3, 9)), shape("tail", (x + 9, 9)), frame]

    labels = read(write(tmp_path, *mouse(0), *mouse(30)))
    assert [s.box.tolist() for s in labels.samples] == [
        [-0.5, -0.5, 19.5, 39.5], [29.5, -0.5, 49.5, 39.5],
    ]  # fmt: skip
    with pytest.raises(DataError, match="'nose' twice"):  # in both: nothing tells them apart
        read(write(tmp_path, *mouse(0), *mouse(5)))
    lone = read(write(tmp_path, *mouse(0)))
    assert lone.samples[0].box.tolist() == [-0.5, -0.5, 19.5, 39.5]


def test_points_twice_are_refused_with_advice(tmp_path):
    with pytest.raises(DataError, match="group"):
        read(write(tmp_path, shape("nose", (1, 2)), shape("nose", (3, 4))))


def test_the_image_that_a_file_holds_itself(tmp_path):
    image = write_image(tmp_path / "made.png")
    data = base64.b64encode(image.read_bytes()).decode()
    path = write(tmp_path / "set", shape("nose", (1, 2)), there=False, imageData=data)
    sample = read(path).samples[0]
    assert pickle.loads(pickle.dumps(sample)).rgb().shape == (48, 64, 3)
    write_image(tmp_path / "set" / "a.png", 30, 20)  # a file goes before it
    assert read(path).samples[0].rgb().shape == (20, 30, 3)


@pytest.mark.parametrize("data", ["", "!", "aGVsbG8=", 7, ["x"]])
def test_a_damaged_image_in_a_file(tmp_path, data):
    path = write(tmp_path, shape("nose", (1, 2)), there=False, imageData=data)
    with pytest.raises(DataError):
        read(path).samples[0].rgb()


@pytest.mark.parametrize(
    "image", ["..\\images\\b.png", "C:\\data\\b.png", "/home/me/b.png", "../images/b.png"]
)
def test_images_are_found_where_they_are(tmp_path, image):
    path = write(tmp_path / "labels", shape("nose", (1, 2)), image=image, there=False)
    with pytest.raises(DataError, match="does not exist"):
        read(path)
    write_image(tmp_path / "images" / "b.png")
    assert read(path).samples[0].file == tmp_path / "images" / "b.png"
    assert read(tmp_path).samples[0].id == "labels/a"


def test_an_image_that_was_renamed_with_its_file(tmp_path):
    path = write(tmp_path, shape("nose", (1, 2)), name="new", image="old.png", there=False)
    write_image(tmp_path / "new.png")
    assert read(path).samples[0].file == tmp_path / "new.png"


def test_files_of_others_are_counted(tmp_path):
    write(tmp_path, shape("nose", (1, 2)))
    (tmp_path / "notes.json").write_text("{}")
    assert recognise(tmp_path) == "labelme"
    assert any("not LabelMe's: 1" in note for note in read(tmp_path).notes)


def test_without_points(tmp_path):
    path = write(tmp_path, shape("body", (0, 0), (5, 5), (9, 0), kind="polygon"))
    assert recognise(path) == "labelme"
    with pytest.raises(DataError, match="1 polygon"):
        read(path)


def test_numbers_are_put_in_order(tmp_path):
    names = ["10", "2", "1"]
    labels = read(write(tmp_path, *(shape(n, (int(n), 5)) for n in names)))
    assert labels.samples[0].points[:, 0].tolist() == [0.5, 1.5, 9.5]


@pytest.mark.parametrize(
    "spoiled",
    [
        {"points": [[1, 2, 3]]}, {"points": "x"}, {"points": [[1, None]]}, {"label": ""},
        {"label": 3}, {"points": [[1, 2], [3, 4]]}, {"points": [[1e300, 2]]}, {"group_id": [1]},
        {"points": [[True, 2]]}, {"points": []},
    ],
)  # fmt: skip
def test_bad_shapes(tmp_path, spoiled):
    with pytest.raises(DataError):
        read(write(tmp_path, {**shape("nose", (1, 2)), **spoiled}))


@given(st.data())
def test_damaged_files(tmp_path_factory, data):
    folder = scratch(tmp_path_factory) / "labelme"
    folder.mkdir(exist_ok=True)
    shapes = [shape("nose", (1, 2)), shape("b", (1, 2), (5, 6), kind="rectangle", group=3)]
    text = json.dumps(content(*shapes))
    reads_or_refuses(folder / "a.json", data.draw(damaged(text)), "labelme")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.sampled_from([*content(), *shape("a")]), JSON)
def test_values_of_any_type(tmp_path_factory, key, value):
    folder = scratch(tmp_path_factory) / "labelme"
    folder.mkdir(exist_ok=True)
    one = shape("nose", (1, 2))
    spoiled = content({**one, key: value}) if key in one else {**content(one), key: value}
    reads_or_refuses(folder / "b.json", json.dumps(spoiled).encode(), "labelme")


def test_coordinates_are_of_the_corner(tmp_path):
    sample = read(write(tmp_path, shape("nose", (0.5, 48)))).samples[0]
    assert np.array_equal(sample.points, [[0, 47.5]])
