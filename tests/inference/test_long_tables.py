"""JSON lines and Parquet."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from heatkp.errors import MissingPackageError
from heatkp.inference.sources import InputImage
from heatkp.inference.writers import image_entry, read_entry
from heatkp.inference.writers.json import JsonTable
from heatkp.inference.writers.jsonl import JsonLines
from heatkp.inference.writers.parquet import ParquetTable
from heatkp.skeletons import FACE68
from tests.inference.test_writers import (
    PAWS,
    about,
    folder,
    frame,
    input_image,
    keypoints,
    written,
)

__all__ = ["folder"]


def some(tmp_path):
    """Images with two objects, none, of a video and of a tar."""
    first = input_image(tmp_path / "a.png")
    bare = replace(keypoints(PAWS, 3, box=False, spread=False), scores=np.full(3, np.nan))
    bare.points[1] = np.nan
    member = InputImage("t.tar/x/1.png", tmp_path / "t.tar", first.image, member="x/1.png")
    return [
        (first, [replace(keypoints(PAWS, 1), object_score=0.5), bare]),
        (input_image(tmp_path / "b.png"), []),
        (frame(tmp_path / "v.mp4", 12, first.image), [keypoints(PAWS, 2)]),
        (member, [keypoints(PAWS, 4)]),
    ]


def test_lines_are_the_images_of_the_document(tmp_path, folder):
    entries = some(tmp_path)
    (lines,) = written(JsonLines(folder, about(PAWS)), entries)
    (document,) = written(JsonTable(folder, about(PAWS)), entries)
    assert lines.name == "points.jsonl"
    rows = [json.loads(line) for line in lines.read_text().splitlines()]
    assert rows == json.loads(document.read_text())["images"] and len(rows) == 4
    assert (rows[3]["image"], rows[3]["member"]) == ("t.tar/x/1.png", "x/1.png")


def test_an_entry_is_read_back(tmp_path):
    for image, objects in some(tmp_path):
        entry = json.loads(json.dumps(image_entry(image, objects)))
        again, found = read_entry(entry, PAWS)
        assert image_entry(again, found) == entry
        assert [one.to_coco() for one in found] == [one.to_coco() for one in objects]
        assert again.image.shape == image.image.shape and again.image.strides == (0, 0, 0)
        assert (again.name, again.file, again.frame, again.member) == (
            image.name, image.file, image.frame, image.member,
        )  # fmt: skip
    with pytest.raises(ValueError):
        read_entry(entry, FACE68)


def test_parquet_has_a_row_a_point(tmp_path, folder):
    parquet = pytest.importorskip("pyarrow.parquet")
    entries = some(tmp_path)
    (path,) = written(ParquetTable(folder, about(PAWS)), entries)
    assert path == folder / "points.parquet" and list(folder.iterdir()) == [path]
    table = parquet.read_table(path)
    rows = table.to_pylist()
    assert len(rows) == 2 * 3 + 1 + 3 + 3
    for (image, objects), first in zip(entries, (0, 6, 7, 10)):
        for j, one in enumerate(objects):
            for k in range(3):
                row = rows[first + 3 * j + k]
                assert (row["image"], row["object"], row["point"]) == (
                    image.name, j + 1, PAWS.point_names[k],
                )  # fmt: skip
                if np.isfinite(one.points[k]).all():
                    assert (row["x"], row["y"]) == tuple(one.points[k].round(3))
                else:
                    assert row["x"] is None and row["y"] is None
                if one.covariance is None:
                    assert row["covariance_xx"] is None and row["score"] is None
                else:
                    spread = [row[f"covariance_{c}"] for c in ("xx", "xy", "yy")]
                    (xx, xy), (_, yy) = one.covariance[k]
                    assert spread == pytest.approx([xx, xy, yy], abs=1e-4)
                    assert row["score"] == pytest.approx(one.scores[k], abs=1e-4)
                box = [row[f"box_{e}"] for e in ("x0", "y0", "x1", "y1")]
                assert box == ([None] * 4 if one.box is None else list(one.box))
                assert row["object_score"] == one.object_score
    empty = rows[6]
    assert empty["image"] == "b.png" and empty["width"] == 64 and empty["object"] is None
    assert (rows[7]["frame"], rows[7]["time"]) == (12, 1.2) and rows[10]["member"] == "x/1.png"
    head = json.loads(table.schema.metadata[b"heatkp"])
    assert head["points"] == list(PAWS.point_names) and head["options"] == {"boxes": "faces"}


def test_parquet_in_several_groups(tmp_path, folder, monkeypatch):
    parquet = pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("heatkp.inference.writers.parquet.ROWS", 4)
    (path,) = written(ParquetTable(folder, about(PAWS)), some(tmp_path))
    file = parquet.ParquetFile(path)
    assert file.num_row_groups == 3 and file.metadata.num_rows == 13


def test_parquet_that_is_not_finished_leaves_nothing(tmp_path, folder):
    pytest.importorskip("pyarrow")
    table = ParquetTable(folder, about(PAWS))
    table.add(*some(tmp_path)[0])
    table.discard()
    assert list(folder.iterdir()) == []


def test_parquet_without_its_package(folder, monkeypatch):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"heatkp\[parquet\]"):
        ParquetTable(folder, about(PAWS))
    assert list(folder.iterdir()) == []
