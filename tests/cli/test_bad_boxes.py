"""`heatkp predict` with boxes that are of no use: told, and the others are done."""

from __future__ import annotations

import json

import pytest

from heatkp import runs
from heatkp.models import build_model
from tests.cli.test_predict import inputs, run
from tests.conftest import box_of, imglab_text, write_image
from tests.data.test_box_checks import GOOD, OUTSIDE, coco
from tests.inference.test_sources import video


@pytest.fixture(scope="module")
def boxed(tiny_run, tmp_path_factory):
    loaded = runs.load_run(tiny_run)
    settings = loaded.settings.model_copy(deep=True)
    settings.model.encoder_weights = "none"
    settings.data = settings.data.model_copy(update={"crop": "box"})
    path = tmp_path_factory.mktemp("weights") / "boxed.safetensors"
    model = build_model(settings, len(loaded.skeleton))
    runs.save_weights(path, model, runs.describe(settings, loaded.skeleton))
    return path


def failures(out):
    return {
        f["image"]: f["reason"] for f in json.loads((out / "summary.json").read_text())["errors"]
    }


def test_typed_boxes(boxed, tmp_path):
    image = write_image(tmp_path / "a.png")
    out = tmp_path / "out"
    text = run(image, "--model", boxed, "--out", out, "--box=100,10,130,40", "--box=5,5,40,40",
               code=1)  # fmt: skip
    assert len(inputs(out)["a.png"]["objects"]) == 1 and "1 of its 2 boxes" in text
    assert "outside the image, which is 64x48" in failures(out)["a.png"]


def test_typed_width_and_height(boxed, tmp_path):
    image = write_image(tmp_path / "a.png")
    text = run(image, "--model", boxed, "--out", tmp_path / "out", "--box=30,20,10,15", code=2)
    assert "30,20,40,35" in text and not (tmp_path / "out").exists()


def test_a_file_of_boxes(boxed, tmp_path):
    """One image has only a bad box, one a bad and a good one, one a box without area."""
    data = coco(tmp_path / "data", [GOOD, OUTSIDE, GOOD, [5, 5, 0, 9]])
    content = json.loads((data / "labels.json").read_text())
    content["annotations"].append({**content["annotations"][2], "id": 9, "bbox": OUTSIDE})
    (data / "labels.json").write_text(json.dumps(content))
    out = tmp_path / "out"
    text = run(data, "--model", boxed, "--out", out, "--boxes", data / "labels.json", code=1)
    assert {n: len(p["objects"]) for n, p in inputs(out).items()} == {"00.png": 1, "02.png": 1}
    assert set(failures(out)) == {"01.png", "02.png"}
    assert "1 entries of" in text and "03#3" in text


def test_imglab_boxes(boxed, tmp_path):
    for name in "ab":
        write_image(tmp_path / f"{name}.png")
    entries = [("a.png", [box_of(70, 10, 20, 20)]), ("b.png", [box_of(50, 10, 30, 20)])]
    (tmp_path / "labels.xml").write_text(imglab_text(entries))
    out = tmp_path / "out"
    run(tmp_path / "a.png", tmp_path / "b.png", "--model", boxed, "--out", out, "--boxes",
        tmp_path / "labels.xml", code=1)  # fmt: skip
    assert list(inputs(out)) == ["b.png"] and list(failures(out)) == ["a.png"]


@pytest.mark.parametrize("box", [[20, 15, 50, 40], [0.3, 0.3, 0.5, 0.5]])
def test_a_file_in_another_form(boxed, tmp_path, box):
    """Its images lie elsewhere, and it declares no sizes: they are those of the images given."""
    data = coco(tmp_path / "data", [box] * 6, declared=None)
    (tmp_path / "labels.json").write_text((data / "labels.json").read_text())
    text = run(data, "--model", boxed, "--out", tmp_path / "out", "--boxes",
               tmp_path / "labels.json", code=2)  # fmt: skip
    assert "labels.json" in text and "00#0" in text and not (tmp_path / "out").exists()


def test_a_video_is_told_once(boxed, tmp_path):
    clip = video(tmp_path / "clip.avi")
    out = tmp_path / "out"
    run(clip, "--model", boxed, "--out", out, "--box=900,10,930,40", code=1)
    assert list(failures(out)) == ["clip.avi"] and inputs(out) == {}
    assert len(json.loads((out / "summary.json").read_text())["errors"]) == 1
