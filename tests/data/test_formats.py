"""Readers by name: one door for heatkp's own and those of others."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from heatkp.config import Settings, parse_settings
from heatkp.data.readers import READERS, read, reader, recognise
from heatkp.data.readers.pts import write_pts
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError, ExtensionError, SettingsError, UnknownNameError
from heatkp.registry import LABEL_WRITERS
from heatkp.skeletons import Skeleton
from tests.conftest import heatkp, write_image, write_imm


def test_the_table_of_formats(root):
    """A row for each, with what the reader itself says, and whether it is written, too."""
    text = (root / "docs" / "labels.md").read_text(encoding="utf-8")
    table = re.search(r"^\| format \|.*\n\|---.*\n((?:\|.*\n)+)", text, re.MULTILINE)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table[1].splitlines()]
    told = {name.strip("`"): rest for name, *rest in rows}

    def said(name, reader):
        boxes, written = (
            "yes" if given else "no" for given in (reader.boxes, name in LABEL_WRITERS)
        )
        return [reader.what, boxes, reader.unlabelled, written]

    assert told == {name: said(name, reader) for name, reader in READERS.items()}


def test_the_order_in_which_folders_are_recognised(tmp_path):
    """What lies in a folder is taken away in this order, from the surest."""
    folder = write_imm(tmp_path / "imm", people=1)
    (folder / "below").mkdir()
    write_pts(folder / "below" / "a.pts", np.ones((3, 2)))
    (folder / "labels.json").write_text(COCO)
    (folder / "labels.xml").write_text("<dataset/>")
    (folder / "training.csv").write_text("left_eye_center_x,Image\n")
    order = []
    for pattern in ("*.asf", "*.json", "*.xml", "", "*.csv", "*/*.pts"):
        order.append(recognise(folder))
        if pattern:
            for file in folder.glob(pattern):
                file.unlink()
        else:
            (folder / "training.csv").write_text("image,x0,y0\n")
    assert order == ["imm", "coco", "imglab", "kaggle15", "csv", "pts"]
    for name in ("a.json", "b.json"):
        (folder / name).write_text(COCO)
    with pytest.raises(DataError, match=r"2 COCO files .*give the path of one") as caught:
        recognise(folder)
    assert all(f" {name}" in str(caught.value) for name in READERS)


COCO = json.dumps({"images": [], "annotations": [], "categories": []})


def _one_point(path, strict, options):
    points = np.full((1, 2), 5.0, np.float32)
    image = path.with_suffix(".png")
    sample = Sample(np.zeros((9, 9, 3), np.uint8), points, id="a")
    assert not strict or image.is_file()
    return Labels(Skeleton("tip", ("tip",)), [sample], ("stored" * (not options.orient),))


def test_a_reader_of_ones_own(tmp_path):
    reader("tip", "one tip", suffix=".json", priority=1.0, boxes=True)(_one_point)
    path = tmp_path / "a.json"
    path.write_text("{}")
    write_image(tmp_path / "a.png")
    assert recognise(path) == "tip"  # before coco, for it is surer
    labels = read(path)
    assert labels.skeleton.point_names == ("tip",) and "stored" in labels.notes
    assert parse_settings({"data": {"format": "tip", "path": str(path)}}).data.format == "tip"
    with pytest.raises(ExtensionError):
        reader("coco", "other", suffix=".x")(_one_point)
    with pytest.raises(TypeError):
        reader("nothing", "recognised by nothing")


def test_a_reader_that_fails_to_recognise_stops_no_other(tmp_path):
    def fail(path):
        raise RuntimeError("of their own")

    reader("bad", "one", recognise=fail, files="x", priority=9.0)(_one_point)
    (tmp_path / "a.json").write_text(COCO)
    assert recognise(tmp_path) == "coco"
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match="bad: RuntimeError: of their own"):
        recognise(tmp_path)


def test_a_broken_package_is_named_where_nothing_is_recognised(tmp_path, monkeypatch):
    reason = "the format 'theirs' of the package other cannot be loaded"
    monkeypatch.setattr(READERS, "load_all", lambda: (dict(READERS), [reason]))
    (tmp_path / "a.json").write_text(COCO)
    assert recognise(tmp_path) == "coco"
    (tmp_path / "a.json").unlink()
    with pytest.raises(DataError, match="package other cannot be loaded"):
        recognise(tmp_path)


def test_formats_that_are_none(tmp_path):
    with pytest.raises(SettingsError, match=r"data\.format.*'imgla'.*imglab"):
        parse_settings({"data": {"format": "imgla", "path": "x"}})
    with pytest.raises(UnknownNameError, match="imgla"):
        read(tmp_path, "imgla")
    result = heatkp("train", "--data", tmp_path, "--set", "data.format=imgla")
    assert result.exit_code == 2 and "did you mean imglab" in result.output
    for name in ("auto", "synthetic"):
        assert parse_settings({"data": {"format": name}}).data.format == name


def test_a_model_works_without_the_package_that_read_its_data():
    values = Settings().model_dump()
    values["data"].update(format="theirs", path="x")
    assert parse_settings(values, stored=True).data.format == "theirs"
    with pytest.raises(SettingsError):
        parse_settings(values)
