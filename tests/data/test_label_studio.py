from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.data.readers._label_studio import image_name, uploaded_as
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.format_samples import require_expected
from tests.data.test_labelme import JSON, points_of


def region(value, kind, own="", **more):
    return {
        "original_width": 64, "original_height": 48, "image_rotation": 0, "value": value,
        "id": own, "from_name": "kp", "to_name": "img", "type": kind, **more,
    }  # fmt: skip


def point(name, x, y, own="", **more):
    value = {"x": x / 64 * 100, "y": y / 48 * 100, "width": 0.5, "keypointlabels": [name]}
    return region(value, "keypointlabels", own, **more)


def frame(own, x, y, width, height, rotation=0, **more):
    value = {
        "x": x / 64 * 100, "y": y / 48 * 100, "width": width / 64 * 100,
        "height": height / 48 * 100, "rotation": rotation, "rectanglelabels": ["mouse"],
    }  # fmt: skip
    return region(value, "rectanglelabels", own, **more)


def annotation(*regions, **more):
    return {"result": list(regions), "was_cancelled": False, **more}


def task(*annotations, image="a.png", **more):
    return {"id": 1, "data": {"image": image}, "annotations": list(annotations), **more}


def write(folder, *tasks, there=("a.png",)):
    path = folder / "export.json"
    path.write_text(json.dumps(list(tasks)))
    for name in there:
        write_image(folder / name)
    return path


@pytest.mark.parametrize("name", ["label_studio", "label_studio_min"])
def test_the_samples(formats_folder, name):
    folder = formats_folder / name
    file = next(folder.glob("project-*.json"))
    assert recognise(folder) == recognise(file) == "label_studio"
    require_expected(read(folder), folder)
    assert (
        list(read(file).skeleton.point_names)
        == json.loads((folder / "expected.json").read_text())["names"]
    )  # in the order of their first appearance


def test_what_is_no_label_is_counted(formats_folder):
    notes = "; ".join(read(formats_folder / "label_studio").notes)
    for said in ("1 not annotated", "predictions", "cancelled annotations"):
        assert said in notes


def test_objects_by_the_rectangle_above_them(tmp_path):
    path = write(
        tmp_path,
        task(
            annotation(
                frame("r1", 10, 8, 20, 30), frame("r2", 0, 0, 64, 48),
                point("nose", 12, 9, "a", parentID="r1"), point("nose", 40, 20, parentID="r2"),
                point("tail", 20, 30, "b", parentID="r1", meta={"text": ["occluded"]}),
            )
        ),
    )  # fmt: skip
    labels = read(path)
    assert points_of(labels.samples[0], labels) == {"nose": [11.5, 8.5], "tail": [19.5, 29.5]}
    assert labels.samples[0].visibility.tolist() == [2, 1]
    assert np.allclose(labels.samples[0].box, [9.5, 7.5, 29.5, 37.5], atol=1e-4)
    assert np.allclose(labels.samples[1].box, [-0.5, -0.5, 63.5, 47.5], atol=1e-4)


def relation(one, other):
    return {"from_id": one, "to_id": other, "type": "relation", "direction": "right"}


@pytest.mark.parametrize("ends", [("a", "r"), ("r", "a")])
def test_objects_by_relations_and_points_of_the_cage(tmp_path, ends):
    """As sleap-io's sample of a multi-animal project has them."""
    labels = read(
        write(
            tmp_path,
            task(
                annotation(
                    point("door", 5, 5, "d"), frame("r", 0, 0, 30, 30), point("nose", 9, 9, "a"),
                    relation(*ends),
                )
            ),
        )
    )  # fmt: skip
    assert labels.skeleton.point_names == ("nose",) and labels.samples[0].box is not None
    assert any("door" in note for note in labels.notes)


def test_objects_by_meta_and_by_where_they_lie(tmp_path):
    by_meta = [point("nose", x, 9, meta={"text": [f"mouse {x}"]}) for x in (5, 50)]
    assert len(read(write(tmp_path, task(annotation(*by_meta)))).samples) == 2
    inside = [frame("r", 0, 0, 20, 20), frame("q", 40, 0, 20, 20)]
    inside += [point("nose", 9, 9), point("nose", 50, 9)]
    samples = read(write(tmp_path, task(annotation(*inside)))).samples
    assert [s.box is not None for s in samples] == [True, True]
    with pytest.raises(DataError, match="rectangle"):
        read(write(tmp_path, task(annotation(*inside[2:]))))


def test_a_turned_rectangle(tmp_path):
    path = write(
        tmp_path,
        task(annotation(frame("r", 30, 10, 20, 10, 90), point("n", 25, 15, parentID="r"))),
    )
    assert np.allclose(read(path).samples[0].box, [19.5, 9.5, 29.5, 29.5], atol=1e-4)


def test_images_turned_in_the_tool_are_left_out(tmp_path):
    tasks = [
        task(annotation(point("n", 5, 5, image_rotation=turn)), image=f"{turn}.png")
        for turn in (0, 90)
    ]
    labels = read(write(tmp_path, *tasks, there=("0.png",)))
    assert len(labels.samples) == 1 and any("image_rotation" in n for n in labels.notes)


def test_which_annotation_counts(tmp_path):
    def said(x, **more):
        return annotation(point("n", x + 0.5, 5), **more)

    def read_x(*annotations):
        labels = read(write(tmp_path, task(*annotations)))
        return labels.samples[0].points[0, 0], labels.notes

    assert read_x(said(1), said(2))[0] == 1
    x, notes = read_x(said(1, was_cancelled=True), said(2), said(3, ground_truth=True))
    assert x == 3 and len(notes) == 2


def test_labels_apart_from_their_shapes(tmp_path):
    """As <Labels> with <KeyPoint> are exported: two results of one id."""
    value = {"x": 50, "y": 50, "width": 1}
    both = [region(value, "keypoint", "a"), region({**value, "labels": ["nose"]}, "labels", "a")]
    states = region({**value, "choices": ["Occluded"]}, "choices", "a")
    labels = read(write(tmp_path, task(annotation(*both, states))))
    assert points_of(labels.samples[0], labels) == {"nose": [31.5, 23.5]}
    assert labels.samples[0].visibility.tolist() == [1]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("/data/upload/3/1a2b3c4d-a%20b.png", "1a2b3c4d-a b.png"),
        ("http://host:8080/data/upload/3/1a2b3c4d-a.png?x=1", "1a2b3c4d-a.png"),
        ("/data/local-files/?d=set%5Ca.png", "set/a.png"),
        ("https://host/images/a.png?token=d", "images/a.png"),
        ("s3://bucket/x/a.png", "x/a.png"),
        ("gs://bucket/x/a.png", "x/a.png"),
        ("x/a%20b.png", "x/a%20b.png"),
        ("http://[a.png", "http://[a.png"),
        (
            "/tasks/1/resolve/?fileuri=" + base64.b64encode(b"s3://bucket/x/a.png").decode(),
            "x/a.png",
        ),
    ],
)
def test_names_of_images(url, name):
    assert image_name(url) == name


def test_uploaded_images_under_both_names(tmp_path):
    assert uploaded_as("1a2b3c4d-a.png") == "a.png" and uploaded_as("door-a.png") == "door-a.png"
    path = write(
        tmp_path, task(annotation(point("n", 5, 5)), image="/data/upload/1/1a2b3c4d-a.png")
    )
    assert read(path).samples[0].file == tmp_path / "a.png"
    write_image(tmp_path / "media" / "1a2b3c4d-a.png")
    assert read(path).samples[0].file == tmp_path / "media" / "1a2b3c4d-a.png"


def test_an_image_within_the_task(tmp_path):
    data = base64.b64encode(write_image(tmp_path / "x.png").read_bytes()).decode()
    url = f"data:image/png;base64,{data}"
    path = write(tmp_path, task(annotation(point("n", 5, 5)), image=url), there=())
    assert read(path).samples[0].rgb().shape == (48, 64, 3)


def test_only_predictions_and_tables_are_refused(tmp_path):
    path = write(tmp_path, task(predictions=[annotation(point("n", 5, 5))]))
    assert recognise(path) == "label_studio"
    with pytest.raises(DataError, match="predictions"):
        read(path)
    table = tmp_path / "table.csv"
    table.write_text("annotation_id,annotator,id,img,kp,lead_time\n1,1,1,a.png,[],2\n")
    assert recognise(table) == "label_studio"
    with pytest.raises(DataError, match="export JSON"):
        read(table)


def test_several_objects_in_the_short_form(tmp_path):
    values = [{**point("n", x, 5)["value"], "original_width": 64, "original_height": 48}
              for x in (5, 9)]  # fmt: skip
    row = {"img": "a.png", "id": 1, "kp": values, "annotation_id": 3}
    with pytest.raises(DataError, match="export JSON"):
        read(write(tmp_path, row))


def test_without_sizes_percent_are_refused(tmp_path):
    with pytest.raises(DataError, match="original_width"):
        read(write(tmp_path, task(annotation(point("n", 5, 5, original_width=0)))))


WHOLE = [
    task(
        annotation(frame("r", 1, 1, 9, 9), point("n", 5, 5, "a", parentID="r"), relation("a", "r")),
        predictions=[annotation(point("n", 6, 6))],
    )
]


@given(st.data())
def test_damaged_files(tmp_path_factory, data):
    path = scratch(tmp_path_factory) / "studio.json"
    reads_or_refuses(path, data.draw(damaged(json.dumps(WHOLE))), "label_studio")


KEYS = [*WHOLE[0], *WHOLE[0]["annotations"][0], *point("n", 1, 1), "x", "y", "keypointlabels",
        "width", "rotation", "meta", "parentID", "from_id", "img"]  # fmt: skip


@given(st.sampled_from(KEYS), JSON)
def test_values_of_any_type(tmp_path_factory, key, value):
    def spoiled(part):
        if isinstance(part, dict):
            done = {k: spoiled(v) for k, v in part.items()}
            return {**done, key: value} if key in part else done
        return [spoiled(v) for v in part] if isinstance(part, list) else part

    path = scratch(tmp_path_factory) / "studio.json"
    reads_or_refuses(path, json.dumps(spoiled(WHOLE)).encode(), "label_studio")
