"""Predictions on Ray Data: values, errors as rows, and a worker that is killed on the way."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import cv2
import numpy as np
import pytest

import heatkp as library
from heatkp.errors import CheckpointError, MissingPackageError, SettingsError
from heatkp.inference.detectors import Detection
from tests.conftest import write_image

pa = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")


class Killing:
    """Finds the whole image; the first process that sees a certain image is killed."""

    name = "killing"

    def __init__(self, folder, width):
        self.folder, self.width = Path(folder), width

    def __call__(self, image):
        if image.shape[1] == self.width:
            try:
                (self.folder / "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        (self.folder / f"alive-{os.getpid()}").touch()
        height, width = image.shape[:2]
        return [Detection(np.array([-0.5, -0.5, width - 0.5, height - 0.5]), 0.75)]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """Ray on this machine, with two workers."""
    ray = pytest.importorskip("ray", reason="needs Ray: pip install 'heatkp[ray]'")
    ray.init(
        num_cpus=2, include_dashboard=False, object_store_memory=150_000_000,
        log_to_driver=False, logging_level="ERROR",
    )  # fmt: skip
    ray.data.DataContext.get_current().enable_progress_bars = False
    yield ray
    ray.shutdown()


def test_a_killed_worker_loses_and_doubles_nothing(cluster, tmp_path):
    """Kill -9 of one of two workers, an image that cannot be read, one that is not there."""
    count, doomed = 24, 77
    files = [write_image(tmp_path / f"{i:02d}.png", 64 + i, 60, seed=i) for i in range(count)]
    assert files[doomed - 64].is_file()
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not a picture")
    paths = [*map(str, files), str(broken), str(tmp_path / "gone.png")]
    rows = [{"path": path, "id": i} for i, path in enumerate(paths)]

    data = cluster.data.from_items(rows, override_num_blocks=13)
    found = library.ray.predict(
        data, "face68", workers=(2, 2), batch_size=2, runtime="torch",
        detector=Killing(tmp_path, doomed),
    ).take_all()  # fmt: skip

    assert (tmp_path / "killed").exists()
    assert len(list(tmp_path.glob("alive-*"))) == 3  # both workers, and the one in its place
    assert sorted(row["id"] for row in found) == list(range(count + 2))
    model = library.load_model("face68", "cpu", Killing(tmp_path, doomed), runtime="torch")
    # In the same batches: on noise, rounding in another order moves points by a hundredth.
    expected = model.predict(files, batch_size=2)
    for row in found:
        assert row["path"] == paths[row["id"]]
        if row["id"] >= count:
            assert row["objects"] is None
            why = "does not exist" if row["id"] > count else "not an image"
            assert why in row["error"]
            continue
        (one,), own = row["objects"], expected.of(row["id"])[0]
        assert row["error"] is None and one["box_score"] == 0.75
        np.testing.assert_allclose(one["points"], own.points, atol=1e-4)
        np.testing.assert_allclose(one["scores"], own.scores, atol=1e-5)
        np.testing.assert_allclose(one["box"], own.box)


def test_the_document_s_snippet(cluster, root, tmp_path):
    text = (root / "docs" / "ray.md").read_text()
    (snippet,) = re.findall(r"```python\n(.*?)```", text, re.S)
    for i in range(5):
        write_image(tmp_path / "faces" / "images" / f"{i}.png", seed=i)
    # Its paths made absolute: Ray's workers stay in the folder in which Ray was started.
    for name in ("faces/images", "found"):
        assert f'"{name}"' in snippet
        snippet = snippet.replace(f'"{name}"', repr(str(tmp_path / name)))
    exec(compile(snippet, "docs/ray.md", "exec"), {})
    table = pa.parquet.read_table(tmp_path / "found")
    assert set(table.column_names) == {"path", "objects", "error"}
    assert {Path(path).name for path in table["path"].to_pylist()} == {f"{i}.png" for i in range(5)}
    assert all(len(one["points"]) == 68 for (one,) in table["objects"].to_pylist())


def finder(model, **options):
    """What a worker runs, here."""
    from heatkp.ray import Finder

    values = {
        "column": None, "boxes": None, "batch_size": 4, "keep_pixels": False, "threads": 1,
        "device": "cpu", "runtime": None, "precision": None, "detector": "auto", "passes": None,
        "flip_test": False,
    }  # fmt: skip
    return Finder(str(model), **{**values, **options})


def test_paths_bytes_and_pixels_are_the_same(tiny_run, tmp_path):
    file = write_image(tmp_path / "a.png")
    content = file.read_bytes()
    pixels = cv2.imread(str(file))[:, :, ::-1]
    expected = library.load_model(tiny_run, "cpu").predict(file)[0].points
    find = finder(tiny_run)
    for column, value, kept in (
        ("path", str(file), ["id", "path"]),
        ("bytes", content, ["id"]),
        ("image", pixels.tolist(), ["id"]),
    ):
        table = pa.table({"id": [7]}).append_column(
            column, pa.array([value], pa.list_(pa.list_(pa.list_(pa.uint8()))))
            if column == "image" else pa.array([value])
        )  # fmt: skip
        found = find(table)
        assert found.column_names == [*kept, "objects", "error"]
        (row,) = found.to_pylist()
        assert row["id"] == 7 and row["error"] is None and row["objects"][0]["box"] is None
        np.testing.assert_allclose(row["objects"][0]["points"], expected, atol=1e-4)
    kept = finder(tiny_run, keep_pixels=True)(pa.table({"bytes": [content]}))
    assert kept.column("bytes").to_pylist() == [content]


def test_a_phone_s_jpeg_is_turned_upright(tiny_run, tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[274] = 6
    noise = np.random.default_rng(0).integers(0, 255, (40, 64, 3), np.uint8)
    Image.fromarray(noise).save(tmp_path / "a.jpg", exif=exif)
    expected = library.load_model(tiny_run, "cpu").predict(tmp_path / "a.jpg")[0].points
    table = pa.table({"bytes": [(tmp_path / "a.jpg").read_bytes()]})
    (row,) = finder(tiny_run)(table).to_pylist()
    np.testing.assert_allclose(row["objects"][0]["points"], expected, atol=1e-4)


def test_tables_have_the_same_types_whatever_they_hold(tiny_run, tmp_path):
    find = finder(tiny_run)
    good = find(pa.table({"path": [str(write_image(tmp_path / "a.png"))]}))
    bad = find(pa.table({"path": ["gone.png"]}))
    missing = find(pa.table({"path": pa.array([None], pa.string())}))
    assert good.schema == bad.schema == missing.schema
    assert bad.to_pylist()[0]["objects"] is None and bad.to_pylist()[0]["error"]


def test_an_empty_batch(tiny_run):
    found = finder(tiny_run)(pa.table({"path": pa.array([], pa.string())}))
    assert found.num_rows == 0 and found.column_names == ["path", "objects", "error"]


def test_boxes_of_a_column(tmp_path):
    file = str(write_image(tmp_path / "a.png", 80, 80))
    boxes = [[[10.0, 10, 60, 60], [200, 200, 220, 220]], [[5.0, 5, 70, 70]], None, [[1.0, 2]]]
    table = pa.table({"path": [file] * 4, "where": boxes})
    rows = finder("face68", boxes="where", runtime="torch")(table).to_pylist()
    model = library.load_model("face68", "cpu", runtime="torch")
    for row, box in ((rows[0], boxes[0][0]), (rows[1], boxes[1][0])):
        (one,) = row["objects"]
        assert one["box"] == box and one["box_score"] is None
        own = model.predict(file, boxes=box)[0].points
        np.testing.assert_allclose(one["points"], own, atol=1e-3)
    assert "1 of its 2 boxes" in rows[0]["error"] and rows[1]["error"] is None
    assert rows[2]["objects"] == [] and rows[2]["error"] is None
    assert rows[3]["objects"] is None and "boxes" in rows[3]["error"]


def test_a_model_of_whole_images_takes_no_boxes(tiny_run):
    with pytest.raises(SettingsError, match="trained on whole images"):
        finder(tiny_run, boxes="faces")


class Rows:
    """A data set whose columns are known, or not."""

    def __init__(self, *columns):
        self._columns = list(columns) or None

    def columns(self, fetch_if_missing):
        return self._columns

    def map_batches(self, *arguments, **options):
        return options


@pytest.mark.parametrize(
    ("columns", "options"),
    [
        (["file"], {}),
        (["path"], {"column": "file"}),
        (["path"], {"boxes": "where"}),
        (["path", "error"], {}),
        (["path", "objects"], {}),
    ],
)
def test_wrong_columns_are_refused_before_anything_starts(columns, options, monkeypatch):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: object())
    with pytest.raises(SettingsError, match="column"):
        library.ray.predict(Rows(*columns), **options)


def test_a_missing_model_is_refused_before_anything_starts(monkeypatch):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: object())
    with pytest.raises(CheckpointError, match="nowhere"):
        library.ray.predict(Rows("path"), "nowhere")


def test_without_ray(monkeypatch):
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: None)
    with pytest.raises(MissingPackageError, match=r"heatkp\[ray\]"):
        library.ray.predict(Rows("path"))
