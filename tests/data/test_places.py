"""Images of label files that lie elsewhere than the files say."""

from __future__ import annotations

import json

import pytest

from heatkp.data.readers import read
from heatkp.errors import DataError
from tests.conftest import heatkp, write_image


def table(folder, *names):
    rows = [f"{name},{3 * i},4" for i, name in enumerate(names)]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "points.csv").write_text("\n".join(["image,x0,y0", *rows]) + "\n")
    return folder / "points.csv"


def test_a_missing_picture_is_not_replaced_by_that_of_another_name(tmp_path):
    write_image(tmp_path / "bob" / "001.png")
    with pytest.raises(DataError, match=r"ann/001.png does not exist \(1 of 2"):
        read(table(tmp_path, "ann/001.png", "bob/001.png"))
    with pytest.raises(DataError, match=r"ann/001.png does not exist \(2 of 2"):
        read(table(tmp_path, "ann/001.png", "carl/001.png"))


def test_pictures_from_another_machine(tmp_path):
    names = [f"{i}.png" for i in range(3)]
    for name in names:
        write_image(tmp_path / "photos" / name)
    here = [tmp_path / "photos" / name for name in names]
    for far in ("/content/drive/{}", "C:\\Users\\me\\{}", "images/{}"):
        labels = read(table(tmp_path, *(far.format(name) for name in names)))
        assert [s.file for s in labels.samples] == here
        assert labels.notes[0].startswith("3 images are not where points.csv says they are")
        assert str(here[0]) in labels.notes[0]
    for near in ("photos/{}", "photos\\{}", "{}"):
        labels = read(table(tmp_path, *(near.format(name) for name in names)))
        assert [s.file for s in labels.samples] == here
        assert labels.notes == ()


def test_all_of_a_name_goes_before_its_last_part(tmp_path):
    for folder in ("a/ann", "a/bob", "bob"):
        write_image(tmp_path / "all" / folder / "1.png")
    assert read(table(tmp_path, "a/bob/1.png")).samples[0].file == tmp_path / "all/a/bob/1.png"
    for name in ("bob/1.png", "carl/1.png"):
        with pytest.raises(DataError, match=r"could be .* or .*: write its folder, too"):
            read(table(tmp_path, name))
        assert read(table(tmp_path, name), strict=False).samples[0].file == tmp_path / name


def coco(folder, change=lambda content: None, labels="annotations.json"):
    """Drawn faces, their labels changed and at `labels`."""
    assert heatkp("data", "synth", folder, "--n", 3, "--size", 64).exit_code == 0
    content = json.loads((folder / "annotations.json").read_text())
    (folder / "annotations.json").unlink()
    change(content)
    (folder / labels).parent.mkdir(exist_ok=True)
    (folder / labels).write_text(json.dumps(content))
    return folder / labels


def test_labels_in_a_folder_beside_the_pictures(tmp_path):
    """As COCO's own files: annotations/person_keypoints.json, train2017/0.jpg."""

    def bare(content):
        for image in content["images"]:
            image["file_name"] = image["file_name"].split("/")[-1]

    path = coco(tmp_path / "faces", bare, "annotations/faces.json")
    labels = read(path)
    assert [s.file.parent for s in labels.samples] == [tmp_path / "faces" / "images"] * 3
    assert labels.notes == ()


def test_coco_categories_without_keypoints_are_left_out(tmp_path):
    def more(content):
        content["categories"].insert(0, {"id": 0, "name": "things", "supercategory": "none"})
        content["annotations"].append({"id": 99, "image_id": 0, "category_id": 0, "bbox": []})

    labels = read(coco(tmp_path / "faces", more))
    assert len(labels.samples) == 3 and len(labels.skeleton) == 68
    assert labels.notes == ("annotations of other categories, left out: 1",)


def test_two_coco_categories_with_keypoints(tmp_path):
    def twice(content):
        other = {**content["categories"][0], "id": 7, "name": "cat", "keypoints": ["a", "b"]}
        content["categories"].append(other)
        content["annotations"][0].update(category_id=7, keypoints=[1, 2, 2, 3, 4, 2])

    with pytest.raises(DataError, match=r"2 categories \(face68, cat\).*a file for each"):
        read(coco(tmp_path / "faces", twice))


def test_what_other_tools_write_in_coco(tmp_path):
    """A mark of the encoding, boxes without points, lines that are no pairs."""

    def other(content):
        content["categories"][0]["skeleton"] = [[0, 1], ["nose", 2]]
        del content["annotations"][0]["keypoints"]
        content["annotations"][1]["keypoints"] = []

    path = coco(tmp_path / "faces", other)
    path.write_text("\ufeff" + path.read_text(), encoding="utf-8")
    labels = read(path)
    assert [int((s.visibility > 0).sum()) for s in labels.samples] == [0, 0, 68]


def test_joined_coco_files_whose_ids_are_the_same(tmp_path):
    def joined(content):
        content["images"].append({**content["images"][0], "file_name": "images/000001.png"})

    with pytest.raises(DataError, match="1 ids of images are there twice"):
        read(coco(tmp_path / "faces", joined))


def test_drawn_copies_are_no_photos(tmp_path):
    """Of an earlier `heatkp predict` in the same folder."""
    write_image(tmp_path / "photos" / "1.png")
    write_image(tmp_path / "found" / "pictures" / "1.png")
    (tmp_path / "found" / "summary.json").write_text('{"made_by": "heatkp predict"}')
    (sample,) = read(table(tmp_path, "1.png")).samples
    assert sample.file == tmp_path / "photos" / "1.png"
    (tmp_path / "photos" / "1.png").unlink()
    with pytest.raises(DataError, match="does not exist"):
        read(table(tmp_path, "1.png"))
