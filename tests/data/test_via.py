from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.readers import read, recognise
from heatkp.errors import DataError
from tests.conftest import damaged, reads_or_refuses, scratch, write_image
from tests.data.format_samples import require_expected
from tests.data.test_labelme import JSON, points_of


def region(x, y, **attributes):
    shape = {"name": "point", "cx": x, "cy": y}
    return {"shape_attributes": shape, "region_attributes": attributes}


def rect(x, y, width, height, **attributes):
    shape = {"name": "rect", "x": x, "y": y, "width": width, "height": height}
    return {"shape_attributes": shape, "region_attributes": attributes}


def entry(*regions, image="a.png", **more):
    return {"filename": image, "size": 9, "regions": list(regions), "file_attributes": {}, **more}


def write(folder, *entries, **project):
    content = {f"{e['filename']}9": e for e in entries}
    path = folder / "via.json"
    path.write_text(json.dumps({"_via_img_metadata": content, **project} if project else content))
    for e in entries:
        write_image(folder / e["filename"])
    return path


def table(folder, *entries, mark=""):
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow([f"{mark}filename", "file_size", "file_attributes", "region_count", "region_id",
                   "region_shape_attributes", "region_attributes"])  # fmt: skip
    for e in entries:
        for i, r in enumerate(e["regions"] or [{"shape_attributes": {}, "region_attributes": {}}]):
            attributes = [json.dumps(r[f"{kind}_attributes"]) for kind in ("shape", "region")]
            rows.writerow([e["filename"], 9, "{}", len(e["regions"]), i, *attributes])
        write_image(folder / e["filename"])
    path = folder / "via.csv"
    path.write_text(text.getvalue())
    return path


def test_the_sample(formats_folder):
    folder = formats_folder / "via_json"
    assert recognise(folder) == recognise(folder / "via_region_data.json") == "via"
    labels = read(folder)
    require_expected(labels, folder)
    assert len(labels.notes) == 2


def test_all_forms_hold_the_same(formats_folder, tmp_path):
    source = json.loads((formats_folder / "via_json" / "via_region_data.json").read_text())
    first = {
        key: {**e, "regions": {str(i): r for i, r in enumerate(e["regions"])}, "fileref": ""}
        for key, e in source.items()
    }
    wanted = read(formats_folder / "via_json")
    for e in source.values():
        write_image(tmp_path / e["filename"])
    for content in (first, {"_via_settings": {}, "_via_img_metadata": source}):
        path = tmp_path / "form.json"
        path.write_text(json.dumps(content))
        same(wanted, path)
    for mark in ("", "#"):
        same(wanted, table(tmp_path, *source.values(), mark=mark))


def same(wanted, path):
    assert recognise(path) == "via"
    labels = read(path)
    assert labels.skeleton == wanted.skeleton and len(labels.samples) == len(wanted.samples)
    for one, other in zip(labels.samples, wanted.samples):
        assert one.id == other.id and str(one.points.tolist()) == str(other.points.tolist())


def test_numbers_are_names_where_no_attribute_is_given(tmp_path):
    labels = read(write(tmp_path, entry(region(1, 2), region(3, 4))))
    assert labels.samples[0].points.tolist() == [[1, 2], [3, 4]]
    assert labels.skeleton.point_names == ("point_0", "point_1")


def test_the_attribute_that_names_points(tmp_path):
    """Neither a remark on some, nor a number that is another on each."""
    images = [
        entry(region(1, 2, id=f"{i}1", part="nose"), region(3, 4, id=f"{i}2", part="tail", x_=""),
              image=f"{i}.png")
        for i in range(4)
    ]  # fmt: skip
    assert read(write(tmp_path, *images)).skeleton.point_names == ("nose", "tail")


def test_objects_by_another_attribute(tmp_path):
    mice = [region(10 * m + k, 5, part=part, mouse=m) for m in (1, 2)
            for k, part in enumerate(("nose", "ear", "tail"))]  # fmt: skip
    labels = read(write(tmp_path, entry(*mice, rect(2, 3, 20, 30, mouse=2))))
    first, second = labels.samples
    assert points_of(first, labels) == {"nose": [10, 5], "ear": [11, 5], "tail": [12, 5]}
    assert first.box is None and second.box.tolist() == [2, 3, 22, 33]
    with pytest.raises(DataError, match="attribute"):
        read(write(tmp_path, entry(region(1, 2, part="nose"), region(3, 4, part="nose"))))


def test_names_in_the_order_of_a_project(tmp_path):
    told = {"region": {"part": {"type": "radio", "options": {"tail": "", "body": "", "nose": ""}}}}
    images = entry(region(1, 2, part="nose"), region(3, 4, part="tail"))
    path = write(tmp_path, images, _via_attributes=told)
    assert read(path).skeleton.point_names == ("tail", "nose")


def test_checkboxes(tmp_path):
    path = write(tmp_path, entry(region(1, 2, part={"nose": True}), region(3, 4, part={"a": True})))
    assert read(path).skeleton.point_names == ("nose", "a")


def test_other_files_of_the_tool_are_refused(tmp_path):
    polygon = {"name": "polygon", "all_points_x": [1], "all_points_y": [2]}
    shapes = {"shape_attributes": polygon, "region_attributes": {}}
    path = write(tmp_path, entry(shapes))
    assert recognise(path) == "via"
    with pytest.raises(DataError, match="1 polygon"):
        read(path)
    third = {"project": {"pid": "x", "data_format_version": "3.1.1"}, "config": {}, "metadata": {}}
    path.write_text(json.dumps(third))
    assert recognise(path) == "via"
    with pytest.raises(DataError, match="VIA 3"):
        read(path)


WHOLE = {"a.png9": entry(region(1, 2, part="nose", mouse=1), rect(1, 2, 3, 4, mouse=1))}
ROWS = (
    "filename,region_shape_attributes,region_attributes\n"
    'a.png,"{""name"":""point"",""cx"":1,""cy"":2}","{""part"":""nose""}"\n'
)


@given(st.data())
@pytest.mark.parametrize("name", ["via.json", "via.csv"])
def test_damaged_files(tmp_path_factory, name, data):
    text = json.dumps(WHOLE) if name.endswith("json") else ROWS
    reads_or_refuses(scratch(tmp_path_factory) / name, data.draw(damaged(text)), "via")


KEYS = ["filename", "regions", "shape_attributes", "region_attributes", "name", "cx", "part",
        "width", "mouse"]  # fmt: skip


@given(st.sampled_from(KEYS), JSON)
def test_values_of_any_type(tmp_path_factory, key, value):
    def spoiled(part):
        if isinstance(part, dict):
            done = {k: spoiled(v) for k, v in part.items()}
            return {**done, key: value} if key in part else done
        return [spoiled(v) for v in part] if isinstance(part, list) else part

    path = scratch(tmp_path_factory) / "via.json"
    reads_or_refuses(path, json.dumps(spoiled(WHOLE)).encode(), "via")
