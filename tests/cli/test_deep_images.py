"""Transparent images of 12 bits through the commands, which all see the same."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from heatkp import runs
from heatkp.evaluation.measure import InferenceOptions, load_split, predict_samples
from tests.conftest import heatkp
from tests.data.image_files import png, tiff


def write(folder, count=6):
    """Blobs of 12 bits in 16, transparent around them, and turned by EXIF."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    rows = ["image,p_x,p_y"]
    for i in range(count):
        x, y = rng.uniform(10, [54, 38])
        distance = np.hypot(*(np.mgrid[:48, :64] - np.array([y, x])[:, None, None]))
        image = np.dstack([4000 / (1 + distance), 50 * distance, 9 * distance, distance < 30])
        image[:, :, 3] *= 65535
        png(folder / f"{i}.png", np.rint(image).astype("u2"), (b"eXIf", exif))
        rows.append(f"{i}.png,{y:.2f},{x:.2f}")
    (folder / "points.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("intensity", ["range", "12"])
def test_evaluation_and_prediction_find_the_same(tmp_path, intensity):
    """With data.orient the labels are of what prediction shows."""
    folder, run = write(tmp_path / "images"), tmp_path / "run"
    result = heatkp(
        "train", "--data", folder, "--out", run, "--epochs", 1, "--batch-size", 2,
        "--set", "data.size=[48,64]", "--set", "data.workers=0", "--set", "data.pairs=[]",
        "--set", "data.orient=true", "--set", f"data.intensity={intensity}",
        "--set", "model.encoder=tu-mobilenetv3_small_050",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "6 of 6 images hold more than 8 bits" in " ".join(result.output.split())
    loaded = runs.load_run(run)
    samples = load_split(str(run), loaded, None, "all").part("all")
    errors = predict_samples(loaded, samples, InferenceOptions(batch_size=4))
    result = heatkp("predict", folder, "--model", run, "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    pictures = json.loads((tmp_path / "out" / "points.json").read_text())["images"]
    found = {p["image"]: p["objects"][0]["points"][0] for p in pictures}
    assert len(found) == 6
    for sample, points in zip(samples, errors.image_points):
        point = found[sample.file.name]
        assert np.allclose([point["x"], point["y"]], points[0], atol=0.02)
    shown = np.asarray(Image.open(tmp_path / "out" / "images" / "0.png"))
    assert shown.shape == (64, 48, 3) and (shown[[0, -1], 0] == 255).any()


def test_boxes_of_upright_labels_are_not_turned(tmp_path, tiny_run):
    """--boxes are in the pixels of the labels that the model was trained on."""
    from heatkp.models import build_model
    from tests.conftest import box_of, imglab_text

    folder = write(tmp_path / "images", 1)
    (folder / "b.xml").write_text(imglab_text([("0.png", [box_of(4, 30, 12, 20)])]))
    for orient in (False, True):
        loaded = runs.load_run(tiny_run)
        settings = loaded.settings.model_copy(deep=True)
        settings.data = settings.data.model_copy(update={"crop": "box", "orient": orient})
        settings.model.encoder_weights = "none"
        path, out = tmp_path / f"{orient}.safetensors", tmp_path / f"out{orient}"
        model = build_model(settings, 68)
        runs.save_weights(path, model, runs.describe(settings, loaded.skeleton))
        result = heatkp("predict", folder / "0.png", "--model", path, "--boxes", folder / "b.xml",
                        "--out", out, "--no-images")  # fmt: skip
        assert result.exit_code == 0, result.output
        (picture,) = json.loads((out / "points.json").read_text())["images"]
        (face,) = picture["objects"]
        stored, turned = [3.5, 29.5, 15.5, 49.5], [-2.5, 3.5, 17.5, 15.5]
        assert np.allclose(face["box"], stored if orient else turned)


def test_libraries_keep_quiet_about_bad_files(tmp_path, root):
    """In whatever way this version of OpenCV is told; each file is named by heatkp, once."""
    folder = write(tmp_path / "images", 2)
    whole = (folder / "0.png").read_bytes()
    (folder / "0.png").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(folder / "a.jpg")
    (folder / "a.jpg").write_bytes((folder / "a.jpg").read_bytes()[:300])
    tiff(folder / "b.tif", np.zeros((9, 9), "f2"))
    (folder / "c.tif").write_bytes(tiff(folder / "c.tif", np.zeros((9, 9), "u2")).read_bytes()[:90])
    (folder / "d.mp4").write_bytes(b"no video")
    names = sorted(p.name for p in folder.iterdir() if p.suffix != ".csv")
    done = subprocess.run(
        [sys.executable, "-m", "heatkp", "predict", *names, "--boxes", "image", "--out", "out"],
        cwd=folder, capture_output=True, text=True,
        env={k: v for k, v in os.environ.items() if not k.startswith("OPENCV_")}
        | {"PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])},
    )  # fmt: skip
    assert done.returncode == 1 and "1 image, 1 object" in done.stdout
    failures = json.loads((folder / "out" / "summary.json").read_text())["errors"]
    assert [f["image"] for f in failures] == ["0.png", "a.jpg", "b.tif", "c.tif", "d.mp4"]
    assert [line for line in done.stderr.splitlines() if not line.startswith("face68: ")] == []
