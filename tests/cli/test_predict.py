"""`heatkp predict` on drawn faces, with a small untrained model and a detector that is told."""

from __future__ import annotations

import errno
import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from heatkp import runs
from heatkp.data.readers import read
from heatkp.inference import detectors
from heatkp.inference.detectors import Detection
from heatkp.inference.writers.json import JsonTable
from heatkp.models import build_model
from tests.cli.test_cli import refused
from tests.conftest import box_of, heatkp, imglab_text, write_image
from tests.inference.test_sources import turned, video


@pytest.fixture(scope="module")
def boxed(tiny_run, tmp_path_factory):
    """A model of faces in boxes, and of 68 points, as if it had been trained."""
    loaded = runs.load_run(tiny_run)
    settings = loaded.settings.model_copy(deep=True)
    settings.model.encoder_weights = "none"
    settings.data = settings.data.model_copy(update={"crop": "box"})
    path = tmp_path_factory.mktemp("weights") / "boxed.safetensors"
    model = build_model(settings, len(loaded.skeleton))
    runs.save_weights(path, model, runs.describe(settings, loaded.skeleton))
    return path


@pytest.fixture(scope="module")
def drawn_faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn") / "faces"
    assert heatkp("data", "synth", folder, "--n", 3, "--size", 64).exit_code == 0
    return folder


@pytest.fixture
def photos(drawn_faces, tmp_path):
    """Two images of one name in two folders, and one more."""
    for name, number in (("a/1.png", 0), ("b/1.png", 1), ("b/2.jpg", 2)):
        image = cv2.imread(str(drawn_faces / "images" / f"{number:06d}.png"))
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image)
    return tmp_path / "photos"


@pytest.fixture
def detector(monkeypatch):
    """Finds a face in the upper half and a less sure one below, but none in bright images."""
    asked = []

    class Detector:
        name = "told"

        def __call__(self, image):
            height, width = image.shape[:2]
            boxes = [(0.0, 0.0, width - 1.0, height / 2), (1.0, height / 2, width / 2, height - 1)]
            found = [Detection(np.array(b), s) for b, s in zip(boxes, (0.9, 0.4))]
            return [] if image.mean() > 250 else found

    def create(name="auto"):
        asked.append(name)
        return Detector()

    monkeypatch.setattr(detectors, "create_detector", create)
    return asked


def run(*arguments, code=0):
    result = heatkp("predict", *arguments)
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return " ".join(result.output.split())


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def inputs(out):
    found = json.loads((out / "points.json").read_text(), parse_constant=pytest.fail)
    return {p["image"]: p for p in found["images"]}


def test_a_folder(tiny_run, photos, tmp_path):
    out = tmp_path / "out"
    formats = [f"--format={f}" for f in ("json", "csv", "coco", "pts")]
    text = run(photos, "--model", tiny_run, "--out", out, *formats)
    tables = ["coco.json", "objects.csv", "points.csv", "points.json", "summary.json"]
    shots = ["a/1.png", "b/1.png", "b/2.jpg"]
    pts = [f"pts/{s[:3]}.pts" for s in shots]
    assert names(out) == sorted([*tables, *pts, *(f"images/{s}" for s in shots)])
    assert "3 images, 3 objects" in text and "ms an image" in text and str(out) in text
    assert "without a face" not in text and "research" not in text
    summary = json.loads((out / "summary.json").read_text())
    assert summary["complete"] and summary["images"] == 3 and summary["errors"] == []
    assert summary["options"] == {"boxes": "image", "passes": 1, "flip_test": False}
    found = inputs(out)
    assert list(found) == shots
    by_json = [[(p["x"], p["y"]) for p in found[s]["objects"][0]["points"]] for s in shots]
    coco, table = read(out / "coco.json"), read(out / "points.csv")
    for labels in (coco, table):
        files = [s.file.resolve() for s in labels.samples]
        assert files == [(photos / s).resolve() for s in shots]
        assert np.allclose([s.points for s in labels.samples], by_json, atol=2e-3)
    assert np.allclose([s.points for s in read(out, "pts", strict=False).samples], by_json,
                       atol=2e-3)  # fmt: skip


def test_it_agrees_with_the_library(tiny_run, photos, tmp_path):
    import heatkp as library

    files = [photos / n for n in ("b/2.jpg", "a/1.png")]
    run(*files, "--model", tiny_run, "--out", tmp_path / "out", "--flip-test", "--batch-size", 1)
    expected = library.load_model(tiny_run).predict(files, flip_test=True)
    for entry, keypoints in zip(inputs(tmp_path / "out").values(), expected, strict=True):
        points = [(p["x"], p["y"]) for p in entry["objects"][0]["points"]]
        assert np.allclose(points, keypoints.points, atol=2e-3)
        assert (entry["width"], entry["height"]) == keypoints.image_size == (64, 64)


def test_folders_are_numbered_and_nothing_is_overwritten(tiny_run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("predictions", "predictions-2"):
        assert f"Written to {folder}:" in run("photos/a", "--model", tiny_run)
        assert names(Path(folder)) == ["images/1.png", "points.json", "summary.json"]
    before = {p: p.read_bytes() for p in Path("predictions").rglob("*.*")}
    refused(["predict", "photos", "--model", tiny_run, "--out", "predictions"], "exists already")
    refused(["predict", "photos", "--model", tiny_run, "--out", "photos/a/1.png"], "not a folder")
    assert {p: p.read_bytes() for p in Path("predictions").rglob("*.*")} == before
    # what was predicted is not looked at as an image
    text = run(".", "--model", tiny_run, "--no-images", "--out", "third")
    assert "3 images" in text and "left out, for it holds earlier predictions" in text
    Path("empty").mkdir()
    run("photos/a", "--model", tiny_run, "--out", "empty", "--no-images", "--format", "csv")
    assert names(Path("empty")) == ["objects.csv", "points.csv", "summary.json"]


def test_faces_are_found(boxed, photos, detector, tmp_path):
    bright = photos / "a" / "white.png"
    cv2.imwrite(str(bright), np.full((30, 40, 3), 255, np.uint8))
    out = tmp_path / "out"
    text = run(photos, "--model", boxed, "--out", out, "--detector", "told")
    assert detector == ["told"]
    assert "4 images, 6 objects" in text and "1 without an object: a/white.png" in text
    found = inputs(out)
    assert found["a/white.png"]["objects"] == []
    assert [f["box_score"] for f in found["b/2.jpg"]["objects"]] == [0.9, 0.4]
    assert found["b/2.jpg"]["objects"][0]["box"] == [0.0, 0.0, 63.0, 32.0]
    assert "images/a/white.png" not in names(out)
    options = json.loads((out / "summary.json").read_text())["options"]
    assert options["detector"] == "told" and options["boxes"] == "objects"
    for i, choice in enumerate((["--min-score", 0.5], ["--max-faces", 1], ["--max-objects", 1])):
        run(photos, "--model", boxed, "--out", tmp_path / str(i), "--no-images", *choice)
        objects = inputs(tmp_path / str(i))["b/2.jpg"]["objects"]
        assert [f["box_score"] for f in objects] == [0.9]


def test_boxes_that_are_typed(boxed, photos, tmp_path):
    one, out = photos / "a" / "1.png", tmp_path / "out"
    boxes = [(-3.5, 2, 30, 40), (20, 5, 60, 44)]
    typed = [f"--box={','.join(map(str, box))}" for box in boxes]
    run(one, *typed, "--model", boxed, "--out", out)
    first, second = inputs(out)["1.png"]["objects"]
    assert first["box"] == list(boxes[0]) and second["box"] == list(boxes[1])
    assert first["points"][0]["x"] < second["points"][0]["x"]
    run(photos / "b" / "1.png", photos / "b" / "2.jpg", *typed, "--model", boxed, "--out",
        tmp_path / "two")  # fmt: skip
    found = inputs(tmp_path / "two")
    assert [found[n]["objects"][0]["box"] for n in ("1.png", "2.jpg")] == [list(b) for b in boxes]


def test_boxes_of_a_file(boxed, photos, tmp_path):
    labels = tmp_path / "labels.xml"
    two = [box_of(0, 0, 9, 9), box_of(10, 10, 20, 20)]
    entries = [("photos/a/1.png", [box_of(1, 2, 30, 40)]), ("elsewhere/2.jpg", two)]
    labels.write_text(imglab_text(entries))
    out = tmp_path / "out"
    text = run(photos, "--boxes", labels, "--model", boxed, "--out", out)
    assert "2 images, 3 objects" in text and "1 without a box, left out: b/1.png" in text
    found = inputs(out)
    assert list(found) == ["a/1.png", "b/2.jpg"]
    assert found["a/1.png"]["objects"][0]["box"] == [0.5, 1.5, 30.5, 41.5]
    # and of an earlier prediction: the same boxes give the same points
    run(photos, "--boxes", labels, "--model", boxed, "--out", tmp_path / "coco", "--format", "coco")
    run(photos, "--boxes", tmp_path / "coco" / "coco.json", "--model", boxed, "--out",
        tmp_path / "again")  # fmt: skip
    again = inputs(tmp_path / "again")
    assert [len(p["objects"]) for p in again.values()] == [1, 2]
    xs = [[p["x"] for p in f["b/2.jpg"]["objects"][1]["points"]] for f in (found, again)]
    assert np.allclose(*xs, atol=0.01)


def test_a_model_of_boxes_says_where_it_has_none(boxed, photos, tmp_path):
    words = "the model was trained on boxes and there are none"
    loaded = runs.load_run(boxed)
    few = tmp_path / "few.safetensors"
    layout = replace(loaded.skeleton, name="beetle")
    runs.save_weights(few, loaded.model, runs.describe(loaded.settings, layout))
    assert words in run(photos / "a", "--model", few, "--out", tmp_path / "out")
    asked = run(photos / "a", "--model", few, "--boxes", "image", "--out", tmp_path / "asked")
    assert words not in asked


def test_what_is_no_run_is_said(tmp_path):
    write_image(tmp_path / "photo.png")
    told = run(tmp_path / "photo.png", "--model", tmp_path / "photo.png", code=2)
    assert "photo.png is no run" in told and "weights_only" not in told


def test_videos(tiny_run, photos, tmp_path):
    video(photos / "a" / "clip.avi", frames=7, rate=10, codec="MJPG")
    out = tmp_path / "out"
    formats = ["--format", "json", "--format", "csv", "--format", "pts"]
    text = run(photos / "a", "--model", tiny_run, "--out", out, "--every", 3, *formats)
    assert "4 images, 4 objects" in text
    found = inputs(out)
    assert [p.get("frame") for p in found.values()] == [None, 0, 3, 6]
    assert [p.get("time") for p in found.values()] == [None, 0.0, 0.3, 0.6]
    assert {"pts/clip.avi/000003.pts", "pts/1.pts", "images/1.png"} < set(names(out))
    capture = cv2.VideoCapture(str(out / "images" / "clip.avi.mp4"))
    count = sum(1 for _ in iter(lambda: capture.read()[0], False))
    assert count == 3 and capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10 / 3, rel=0.01)


def test_bad_files_are_named_and_the_others_done(tiny_run, photos, tmp_path):
    (photos / "a" / "text.jpg").write_text("a text")
    whole = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (90, 90, 3)))[1]
    (photos / "a" / "half.jpg").write_bytes(whole.tobytes()[: len(whole) // 2])
    (photos / "b" / "clip.mp4").write_bytes(b"")
    out = tmp_path / "out"
    gone = photos / "gone.jpg"
    text = run(photos, gone, "--model", tiny_run, "--out", out, code=1)
    assert "3 images, 3 objects" in text and "4 could not be used" in text
    for words in ("a/text.jpg: ", "a/half.jpg: ", "is not an image", "b/clip.mp4: ",
                  f"{gone}: there is no such file"):  # fmt: skip
        assert words in text, text
    found = json.loads((out / "points.json").read_text())
    assert len(found["images"]) == 3 and len(found["errors"]) == 4


def test_unusual_pictures(tiny_run, tmp_path):
    rng = np.random.default_rng(0)
    folder = tmp_path / "odd"
    folder.mkdir()
    shapes = {"grey.png": (40, 30), "alpha.png": (40, 30, 4), "dot.png": (1, 1, 3),
              "row.png": (1, 90, 3), "tiny.jpg": (3, 2, 3), "grey.jpg": (30, 30)}  # fmt: skip
    for name, shape in shapes.items():
        assert cv2.imwrite(str(folder / name), rng.integers(0, 255, shape, np.uint8))
    deep = rng.integers(0, 65535, (40, 30, 3), np.uint16)
    assert cv2.imwrite(str(folder / "deep.png"), deep)
    turned(folder / "turned.jpg")
    out = tmp_path / "out"
    text = run(folder, "--model", tiny_run, "--out", out, "--format", "json", "--format", "csv")
    assert "8 images, 8 objects" in text and "stored turned (EXIF): 1;" in text
    found = inputs(out)
    assert found["turned.jpg"]["turned_by_exif"] and found["turned.jpg"]["width"] == 20
    assert (found["dot.png"]["width"], found["row.png"]["width"]) == (1, 90)
    drawn = cv2.imread(str(out / "images" / "turned.jpg"))
    assert drawn.shape == (40, 20, 3)


def test_standard_output(tiny_run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = names(tmp_path)
    for format in ("json", "coco"):
        result = heatkp("predict", photos, "--model", tiny_run, "--format", format, "--out", "-")
        assert result.exit_code == 0
        key = {"json": "images", "coco": "images"}[format]
        assert len(json.loads(result.stdout)[key]) == 3
        assert "3 images, 3 objects" in result.stderr
    result = heatkp("predict", photos, "--model", tiny_run, "--format", "csv", "--out", "-")
    assert result.stdout.splitlines()[1].startswith("photos/a/1.png,,,64,64,1,")
    assert names(tmp_path) == before
    for formats in (["pts"], ["json", "csv"]):
        flags = [f"--format={f}" for f in formats]
        refused(["predict", photos, "--out", "-", *flags], "single table")


def test_stopped_by_ctrl_c(tiny_run, photos, tmp_path, monkeypatch):
    add = JsonTable.add

    def interrupted(self, input_image, found):
        add(self, input_image, found)
        if input_image.name == "b/1.png":
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(JsonTable, "add", interrupted)
    out = tmp_path / "out"
    before = signal.getsignal(signal.SIGINT)
    text = run(photos, "--model", tiny_run, "--out", out, "--format", "json", "--format", "csv",
               code=130)  # fmt: skip
    assert "Interrupted after 2 images" in text
    assert len(inputs(out)) == 2 and len(read(out / "points.csv").samples) == 2
    assert json.loads((out / "summary.json").read_text())["complete"] is False
    assert not [n for n in names(out) if "part" in n]
    assert signal.getsignal(signal.SIGINT) is before


def test_a_full_disk(tiny_run, photos, tmp_path, monkeypatch):
    def full(self, input_image, found):
        raise OSError(errno.ENOSPC, "No space left on device")

    out = tmp_path / "out"
    monkeypatch.setattr(JsonTable, "add", full)
    refused(["predict", photos, "--model", tiny_run, "--out", out], "cannot write", "disk is full")
    assert names(out) == ["summary.json"]
    assert json.loads((out / "summary.json").read_text())["complete"] is False


def test_what_is_refused(tiny_run, boxed, photos, tmp_path):
    out = tmp_path / "out"
    photo = photos / "a" / "1.png"
    tail = ["--model", boxed, "--out", out]
    nothing = ["predict", tmp_path / "no.jpg", tmp_path / "*.gif", *tail]
    reasons = ["no.jpg: there is no such file", "*.gif: no image and no video matches"]
    refused(nothing, "no image found", *reasons, out=out)
    refused(["predict", *tail], "IMAGES", out=out)
    refused(["predict", photo, "--model", tmp_path / "no", "--out", out], "no run folder", out=out)
    refused(["predict", photo, "--boxes", tmp_path / "no.xml", *tail], "no such file", out=out)
    refused(["predict", photo, "--boxes", photo, *tail], "no known format", out=out)
    refused(["predict", photos, "--box", "1,2,3,4", *tail], "1 boxes for 3 images", out=out)
    for text in ("1,2,3", "1,2,x,4", "9,2,3,4", "nan,2,3,4", "1,2,inf,4"):
        refused(["predict", photo, "--box", text, *tail], "four numbers", text, out=out)
    box = ["--box", "1,2,30,40"]
    refused(["predict", photo, *box, "--boxes", "faces", *tail], "leave out --boxes", out=out)
    refused(["predict", photo, *box, "--max-faces", 1, *tail], "--max-objects is about", out=out)
    whole = ["--model", tiny_run, "--out", out]
    refused(["predict", photo, *box, *whole], "whole images", out=out)
    refused(["predict", photo, "--boxes", "faces", *whole], "whole images", out=out)
    refused(["predict", photo, "--passes", 2, *whole], "two passes need", out=out)
    gone = [tmp_path / "gone.jpg", photo]  # whose boxes must not be taken for the other's
    refused(["predict", *gone, *box, *box, *tail], "gone.jpg: there is no such file", out=out)
    refused(["predict", photo, "--detector", "mtcnn", *whole], "--detector is about", out=out)
    refused(["predict", photo, "--detector", "nose", *tail], "'nose'", out=out)
    refused(["predict", photo, "--passes", 3, *tail], "1<=x<=2", out=out)


def test_the_packaged_model_states_its_terms_once(photos, tmp_path):
    photo = photos / "a" / "1.png"
    result = heatkp("predict", photo, photo, "--boxes", "image", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert result.stderr.count("research only") == 1 and "face68.md" in result.stderr
    assert "research" not in result.stdout


def test_a_picture_in_an_unusual_place(tiny_run, tmp_path):
    photo = write_image(tmp_path / "ä ö" / "a$[b].png")
    text = run(photo, "--model", tiny_run, "--out", tmp_path / "out")
    assert "images/a$[b].png" in names(tmp_path / "out")
    assert "1 image, 1 object, " in text
