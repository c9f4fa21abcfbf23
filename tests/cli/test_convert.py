"""`heatkp data convert`, `split`, `merge`, `subset`, and predictions as label sets."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatkp.data.readers import read
from heatkp.data.writers import LABEL_WRITERS, Holds
from heatkp.errors import DataError
from heatkp.registry import PREDICTION_FORMATS, WRITERS
from tests.conftest import heatkp, write_image


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set") / "faces"
    assert heatkp("data", "synth", "--n", "6", "--size", "64", folder).exit_code == 0
    return folder


def succeeds(*arguments):
    done = heatkp(*arguments)
    assert done.exit_code == 0, done.output
    return done.output


def fails(*arguments):
    done = heatkp(*arguments)
    assert done.exit_code == 2 and "Traceback" not in done.output
    return " ".join(done.output.split())


@pytest.mark.parametrize("name", list(LABEL_WRITERS))
def test_convert_and_back(faces, tmp_path, name):
    """From COCO to each format and back, as `data info` sees it."""
    out, back = tmp_path / "out", tmp_path / "back"
    told = succeeds("data", "convert", faces, "--to", name, "--out", out)
    assert "6 objects in 6 images" in told
    writer = LABEL_WRITERS[name]
    assert ("cannot hold boxes: 6" in told) == (Holds.BOXES not in writer.holds)
    source = out / writer.read_from
    succeeds("data", "convert", source, "--from", name, "--to", "coco", "--out", back)
    before, after = read(faces), read(back)
    by_image = {s.file.name: s for s in before.samples}
    order = [after.skeleton.point_names.index(n) for n in before.skeleton.point_names] if (
        Holds.NAMES in writer.holds) else list(range(68))  # fmt: skip
    for sample in after.samples:
        own = next(s for n, s in by_image.items() if sample.image_name.endswith(n))
        near = 0.5 * 10.0**-writer.digits + 1e-4
        inside = np.ones(68, bool)
        if Holds.OUTSIDE not in writer.holds:
            inside = ((own.points >= -0.5) & (own.points <= 63.5)).all(1)
        found = sample.points[order][inside]
        np.testing.assert_allclose(found, own.points[inside], atol=near, rtol=0)
    told = json.loads(succeeds("data", "info", source, "--format", name, "--json"))
    assert (told["images"], told["samples"]) == (6, 6)
    assert told["missing"] == [] and told["points"] == 68


def test_the_format_of_what_is_read_is_kept(faces, tmp_path):
    succeeds("data", "convert", faces, "--to", "csv", "--out", tmp_path / "a", "--images", "link")
    told = succeeds("data", "subset", tmp_path / "a", "--names", "*3*", "--out", tmp_path / "b")
    assert "1 objects in 1 images, csv" in told
    assert (tmp_path / "a" / "images" / "000000.png").is_symlink()
    succeeds("data", "convert", faces, "--images", "refer", "--out", tmp_path / "c")
    assert [p.name for p in (tmp_path / "c").iterdir()] == ["annotations.json"]
    assert read(tmp_path / "c").samples[0].file.is_file()


@pytest.mark.parametrize("name", ["coco", "csv"])
def test_split_and_merge(faces, tmp_path, name):
    """Into one set, where the format holds splits, and into a folder a part."""
    out = tmp_path / "parts"
    told = succeeds("data", "split", faces, "--val", "0.34", "--test", "0.17", "--to", name,
                    "--out", out)  # fmt: skip
    assert "samples: 3 train, 2 val, 1 test" in told
    if name == "coco":
        labels = read(out)
        assert sorted(s.split for s in labels.samples) == [*["test"], *["train"] * 3, *["val"] * 2]
        parts = sorted((out / "annotations").iterdir())
        succeeds("data", "split", out, "--own", "--to", "csv", "--out", tmp_path / "own")
        counts = {p.name: len(read(p).samples) for p in (tmp_path / "own").iterdir()}
        assert counts == {"train": 3, "val": 2, "test": 1}
    else:
        parts = sorted(out.iterdir())
        assert [p.name for p in parts] == ["test", "train", "val"]
    succeeds("data", "merge", *parts, "--to", "csv", "--out", tmp_path / "all")
    merged = read(tmp_path / "all" / "labels.csv")
    files = [s.file.read_bytes() for s in merged.samples]
    assert sorted(files) == sorted(p.read_bytes() for p in (faces / "images").iterdir())


def test_how_labels_are_meant(tmp_path):
    """`--y-up` and `--layout` as `data info` takes them."""
    write_image(tmp_path / "a.png", 40, 30)
    (tmp_path / "points.csv").write_text("image,p_x,p_y\na.png,5,4\n")
    for flags, x, y in (([], 5, 4), (["--y-up"], 4.5, 25.5)):
        out = tmp_path / f"out{y}"
        succeeds("data", "convert", tmp_path / "points.csv", *flags, "--to", "csv", "--out", out)
        assert read(out).samples[0].points[0].tolist() == [x, y]
    assert "layout" in fails("data", "convert", tmp_path / "points.csv", "--layout", "face68",
                             "--out", tmp_path / "x")  # fmt: skip


def test_subset(faces, tmp_path):
    succeeds("data", "subset", faces, "--points", "nose_tip, 0", "--fraction", "0.5",
             "--out", tmp_path / "some")  # fmt: skip
    some = read(tmp_path / "some")
    assert some.skeleton.point_names == ("nose_tip", "jaw_0") and len(some.samples) == 3
    assert "give fractions" in fails("data", "split", faces, "--own", "--out", tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_refusals(faces, tmp_path):
    out = ("--out", tmp_path / "out")
    assert "coco, csv" in fails("data", "convert", faces, "--to", "word", *out)
    assert "there is no file" in fails("data", "convert", tmp_path / "gone", *out)
    assert "copy or link" in fails("data", "convert", faces, "--to", "pts", "--images", "refer",
                                   *out)  # fmt: skip
    assert "make 1 together" in fails("data", "split", faces, "--val", "0.8", "--test", "0.5",
                                      *out)  # fmt: skip
    assert "no point 'tail'" in fails("data", "subset", faces, "--points", "tail", *out)
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "x").touch()
    assert "exists already" in fails("data", "convert", faces, "--out", tmp_path / "there")
    assert not (tmp_path / "out").exists()


def accept_in_label_studio(path):
    """Accept each task's prediction, as its button does: a copy of it becomes the annotation."""
    tasks = json.loads(path.read_text())
    for task in tasks:
        assert task["annotations"] == [] and 0 < task["predictions"][0]["score"] <= 1
        task["annotations"] = [{"result": task["predictions"][0]["result"]}]
    path.write_text(json.dumps(tasks))


ACCEPT = {"label_studio": accept_in_label_studio}


def test_predictions_are_label_sets(faces, tmp_path):
    """What the model finds opens as labels, in every format that is not also a table."""
    formats = [name for name in LABEL_WRITERS if name not in WRITERS]
    assert set(formats) < set(PREDICTION_FORMATS) and "imglab" in formats
    flags = [flag for name in formats for flag in ("--format", name)]
    succeeds("predict", faces / "images", "--boxes", faces / "annotations.json", "--no-images",
             "--format", "coco", *flags, "--out", tmp_path / "found")  # fmt: skip
    expected = {s.file.name: s for s in read(tmp_path / "found" / "coco.json").samples}
    for name in formats:
        writer = LABEL_WRITERS[name]
        if not writer.predictions_read:
            with pytest.raises(DataError):
                read(tmp_path / "found" / name / writer.read_from, name)
            ACCEPT[name](tmp_path / "found" / name / writer.read_from)
        labels = read(tmp_path / "found" / name / writer.read_from, name)
        assert len(labels.samples) == 6
        order = [labels.skeleton.point_names.index(n) for n in
                 read(faces).skeleton.point_names]  # fmt: skip
        for sample in labels.samples:
            own = next(s for n, s in expected.items() if sample.image_name.endswith(n))
            near = 0.5 * 10.0**-writer.digits + 2e-3  # the table is rounded, too
            labelled = sample.visibility[order] > 0
            found = sample.points[order][labelled]
            np.testing.assert_allclose(found, own.points[labelled], atol=near, rtol=0)
            with sample.open() as file:
                assert file.read() == own.file.read_bytes()
            if Holds.BOXES in writer.holds:
                np.testing.assert_allclose(sample.box, own.box, atol=near, rtol=0)


def test_predictions_of_frames(tmp_path):
    import cv2

    video = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for i in range(3):
        video.write(np.full((48, 64, 3), 60 * i, np.uint8))
    video.release()
    succeeds("predict", tmp_path / "v.mp4", "--box", "5,5,40,40", "--format", "imglab",
             "--no-images", "--out", tmp_path / "found")  # fmt: skip
    labels = read(tmp_path / "found" / "imglab")
    names = [s.file.name for s in labels.samples]
    assert names == ["000000.png", "000001.png", "000002.png"]
    assert labels.samples[0].rgb().shape == (48, 64, 3)
    summary = json.loads((tmp_path / "found" / "summary.json").read_text())
    assert any("written as PNG files: 3" in note for note in summary["notes"])
    told = fails("predict", tmp_path / "v.mp4", "--format", "imglab", "--out", "-")
    assert "prints a single table" in told
