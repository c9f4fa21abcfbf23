"""Exports and runtimes as users meet them: commands, load_model, the programs beside a file."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Region
from heatkp.errors import CheckpointError, ExportError, HeatkpError, SettingsError
from heatkp.inference.predictor import Predictor, load_model
from heatkp.runs import load_run
from tests.conftest import heatkp
from tests.export.test_formats import needs

pytestmark = needs("onnx", "onnxscript", "onnxruntime")


@pytest.fixture(scope="module")
def exported(tiny_run, tmp_path_factory):
    """The small run as ONNX, by the command."""
    out = tmp_path_factory.mktemp("exported") / "tiny"
    done = heatkp("export", tiny_run, "--to", "onnx", "--out", out)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "before" in text and "after" in text and str(out) in text
    return out


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    from heatkp.data.drawn import drawn_sample
    from heatkp.skeletons import SKELETONS

    path = tmp_path_factory.mktemp("image") / "a.png"
    sample = drawn_sample(4, 2, SKELETONS["face68"], 128)
    cv2.imwrite(str(path), sample.rgb()[:, :, ::-1])
    return path, [float(v) for v in sample.box]


def test_what_is_said_of_it(exported, tiny_run):
    about = json.loads((exported / "model.json").read_text())
    assert (about["format"], about["runtime"], about["precision"]) == ("onnx", "onnx", "f32")
    assert about["input"]["shape"] == ["batch", 3, 64, 64] and about["names"][30] == "nose_tip"
    assert about["metrics"]["mae_photo"] == pytest.approx(
        json.loads((tiny_run / "metrics.json").read_text())["mae_photo"]
    )
    assert about["deviation"]["largest"] < 0.02 and about["decoder"] == "expectation"
    assert {p.name for p in exported.iterdir()} == {
        "model.json", "model.onnx", "predict.py", "predict.mjs",
    }  # fmt: skip


def test_evaluated_like_the_run(exported, tiny_run, tmp_path):
    for run, name in ((tiny_run, "run"), (exported, "exported")):
        done = heatkp("eval", run, "--flip-test", "--out", tmp_path / f"{name}.json")
        assert done.exit_code == 0, done.output
    a, b = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("run", "exported"))
    assert a["images"] == b["images"] and a["mae_photo"] == pytest.approx(b["mae_photo"], abs=1e-3)
    assert heatkp("eval", exported, "--decoder", "argmax").exit_code == 2


def test_predicts_like_the_run(exported, tiny_run, image, tmp_path):
    path, _ = image
    found = []
    for i, model in enumerate((tiny_run, exported)):
        out = tmp_path / str(i)
        done = heatkp("predict", path, "--model", model, "--boxes", "image", "--out", out)
        assert done.exit_code == 0, done.output
        written = json.loads((out / "points.json").read_text())
        found.append(written["images"][0]["objects"][0]["points"])
    a, b = ([[p["x"], p["y"]] for p in points] if isinstance(points[0], dict) else points
            for points in found)  # fmt: skip
    np.testing.assert_allclose(np.array(a)[:, :2], np.array(b)[:, :2], atol=0.05)


def test_the_program_beside_it(exported, tiny_run, image):
    """It knows neither heatkp nor torch, and finds what heatkp finds."""
    path, box = image
    script = (
        "import runpy, sys; sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "assert not {'torch', 'heatkp', 'cv2'} & set(sys.modules)"
    )
    for edges in ([], box):
        done = subprocess.run(
            [sys.executable, "-I", "-c", script, exported / "predict.py", path, *map(str, edges)],
            capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        rows = [line.split() for line in done.stdout.splitlines()]
        model = load_model(tiny_run)
        expected = model.predict(path, np.array(edges) if edges else "image", passes=1)[0]
        assert [row[0] for row in rows] == list(model.skeleton.point_names)
        points = np.array([[float(v) for v in row[1:3]] for row in rows])
        off = np.linalg.norm(points - expected.points, axis=1)
        assert off.mean() < 0.3, off  # the picture is resampled by another library


NODE = """
import { readFileSync } from "node:fs";
const { load, look, predict, region } = await import(process.argv[2]);
const { about, width, height, data, box } = JSON.parse(readFileSync(process.argv[3], "utf8"));
const pixels = { width, height, data: Uint8Array.from(data) };
const edges = region(about, width, height, box);
const seen = [];
const ort = {
  Tensor: class {
    constructor(type, values, shape) { Object.assign(this, { type, values, shape }); }
  },
  InferenceSession: { create: async (file) => ({ run: async ({ images }) => {
    seen.push(images.type, ...images.shape);
    return { points: { data: about.names.flatMap((_, k) => [k, 2 * k]) },
             scores: { data: about.names.map(() => 0.5) } }; } }) },
};
const found = await predict(await load(ort, about, "model.onnx"), pixels, box);
console.log(JSON.stringify({ edges, input: [...look(about, pixels, edges)], seen, found }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.parametrize("big", [False, True])
def test_the_script_beside_it(exported, tiny_run, tmp_path, big):
    """The same region, the same pixels, points put back where they belong."""
    rng = np.random.default_rng(1)
    size = (200, 170) if big else (70, 90)
    coarse = rng.integers(0, 256, (6, 6, 3)).astype(np.uint8)
    image = cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC)
    box = [10.5, 12.0, 60.0, 81.0] if not big else None
    about = json.loads((exported / "model.json").read_text())
    loaded = load_run(tiny_run)
    framing = Framing.of(loaded.settings.data)
    engine = Engine(loaded.runner, loaded.skeleton, framing)
    edges = None if box is None else np.array(box)
    seen, matrix = engine.input_of(Region(image, edges))
    rgba = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    (tmp_path / "run.mjs").write_text(NODE)
    (tmp_path / "in.json").write_text(json.dumps({
        "about": about, "width": size[0], "height": size[1], "data": rgba.ravel().tolist(),
        "box": box,
    }))  # fmt: skip
    done = subprocess.run(
        ["node", tmp_path / "run.mjs", (exported / "predict.mjs").as_uri(), tmp_path / "in.json"],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = json.loads(done.stdout)
    np.testing.assert_allclose(out["edges"], framing.region(size, edges), atol=1e-9)
    assert out["seen"] == ["uint8", 1, 3, 64, 64]
    off = np.abs(np.array(out["input"]).reshape(3, 64, 64) - seen.numpy().astype(float))
    assert off.mean() < 2 and np.quantile(off, 0.99) < 8
    back = [[p["x"], p["y"]] for p in out["found"]]
    k = np.arange(len(back))
    inverse = np.linalg.inv(matrix[:, :2])
    expected = (np.stack([k, 2 * k], 1) - matrix[:, 2]) @ inverse.T
    np.testing.assert_allclose(back, expected, atol=1e-6)


@needs("openvino")
def test_runs_are_exported_once(tiny_run, image, tmp_path, monkeypatch):
    from heatkp.export import opening

    monkeypatch.setenv("HEATKP_CACHE", str(tmp_path / "cache"))
    path, _ = image
    plain = load_model(tiny_run).predict(path)[0].points
    auto = load_model(tiny_run, runtime="auto")
    assert "openvino" in repr(auto)
    np.testing.assert_allclose(auto.predict(path)[0].points, plain, atol=0.05)
    assert auto.heatmaps(path)[0].maps.shape[0] == 68  # by torch

    def again(*_, **__):
        raise AssertionError("was exported a second time")

    monkeypatch.setattr(opening, "export_network", again)
    load_model(tiny_run, runtime="openvino")
    done = heatkp("eval", tiny_run, "--runtime", "openvino", "--out", tmp_path / "a.json")
    assert done.exit_code == 0, done.output
    with pytest.raises(AssertionError):
        load_model(tiny_run, runtime="openvino", precision="bf16")


def refused(*arguments):
    done = heatkp(*arguments)
    assert done.exit_code == 2 and "Traceback" not in done.output, done.output
    return " ".join(done.output.split())


def test_bad_requests(exported, tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HEATKP_CACHE", str(tmp_path / "cache"))
    assert "bf16" in refused("export", tiny_run, "--precision", "bf16", "--out", tmp_path / "a")
    assert "tflite" in refused("export", tiny_run, "--to", "tflite")
    assert str(exported) in refused("export", tiny_run, "--out", exported)
    assert "no run folder" in refused("export", tmp_path / "none")
    assert "run that it was made of" in refused("export", exported, "--out", tmp_path / "b")
    assert "deviate" in refused("export", tiny_run, "--tolerance", "1e-12", "--out", tmp_path / "c")
    with pytest.raises(SettingsError):
        load_model(exported, runtime="torch")
    with pytest.raises(SettingsError):
        load_model(tiny_run, precision="f16")
    with pytest.raises(SettingsError):
        load_model(exported, precision="bf16")
    with pytest.raises(SettingsError):
        load_model(tiny_run, runtime="openvino", precision="int8")
    with pytest.raises(CheckpointError):
        load_model(exported).model  # noqa: B018
    assert not (tmp_path / "a").exists() and not (tmp_path / "c").exists()
    assert issubclass(ExportError, HeatkpError)


@pytest.mark.parametrize("what", ["cut", "version", "network", "missing", "points"])
def test_damaged_exports(exported, tmp_path, what):
    folder = shutil.copytree(exported, tmp_path / "copy")
    about = json.loads((folder / "model.json").read_text())
    if what == "cut":
        (folder / "model.json").write_text((folder / "model.json").read_text()[:200])
    elif what == "version":
        (folder / "model.json").write_text(json.dumps({**about, "heatkp_export": 99}))
    elif what == "points":
        (folder / "model.json").write_text(json.dumps({**about, "model": {"settings": 3}}))
    elif what == "network":
        (folder / "model.onnx").write_bytes(b"nothing")
    else:
        (folder / "model.onnx").unlink()
    with pytest.raises(CheckpointError):
        load_model(folder)


def test_bfloat16_by_torch(tiny_run, image, monkeypatch):
    """Quicker, and refused where points move too far."""
    from heatkp.export import parity

    monkeypatch.setitem(parity.TOLERANCES, "bf16", 0.05)
    path, _ = image
    plain, half = (load_model(tiny_run, precision=p).predict(path)[0].points
                   for p in ("f32", "bf16"))  # fmt: skip
    off = np.linalg.norm(plain - half, axis=1)
    assert 1e-6 < off.mean() < 3
    monkeypatch.setitem(parity.TOLERANCES, "bf16", 1e-9)
    with pytest.raises(ExportError):
        load_model(tiny_run, precision="bf16")


def test_what_is_said_of_face68_is_asked_for():
    """The packaged form is taken unless something else is asked for."""
    quick, f32, torch = (load_model("face68", **how) for how in (
        {}, {"precision": "f32"}, {"runtime": "torch"}))  # fmt: skip
    assert torch.engine.backend.name == f32.engine.backend.name == "torch"
    if quick.engine.backend.name == "openvino":
        assert quick.engine.backend.precision == "int8"


@needs("openvino")
def test_threads_are_bound_to_no_core(tiny_run):
    """Bound, the shards of a prediction would all compute on the same one."""
    backend = load_model(tiny_run, runtime="openvino").engine.backend
    compiled = backend._request.get_compiled_model()
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


@needs("onnx", "onnxscript", "openvino")
def test_a_file_that_is_moved_after_it_was_opened(tiny_run, tmp_path):
    """As an export's is, from the folder where it was written: more inputs come later."""
    lines = []
    done = load_model(tiny_run).export("openvino", tmp_path / "a", note=lines.append)
    assert done.exported.deviation.largest < 0.02 and done.error.samples > 0
    assert set(done.exported.files) == {p.name for p in (tmp_path / "a").iterdir()}
    about = json.loads((tmp_path / "a" / "model.json").read_text())
    assert about["metrics"]["images"] > 0  # the run's, as the command has them
    exported = load_model(tmp_path / "a")
    with pytest.raises(CheckpointError):
        exported.export("onnx", tmp_path / "c")
    backend = exported.engine.backend
    size = load_model(tiny_run).framing.size
    images = torch.randint(0, 255, (3, 3, size[1], size[0]), dtype=torch.uint8)
    alone = backend.run(images[:1])
    (tmp_path / "a").rename(tmp_path / "b")
    together = backend.run(images)
    torch.testing.assert_close(together.points[:1], alone.points, atol=1e-3, rtol=0)


@needs("onnx", "onnxscript", "openvino")
def test_maps_of_an_exported_network_are_of_what_its_detector_finds(tiny_run, tmp_path):
    asked = []

    def detector(image):
        asked.append(image.shape)
        return []

    model = load_model(tiny_run, runtime="openvino", detector=detector)
    loaded = replace(model.loaded, settings=model.loaded.settings.model_copy(deep=True))
    loaded.settings.data.crop = "box"
    assert Predictor(loaded, detector=detector).heatmaps(np.zeros((40, 50, 3), np.uint8)) == []
    assert asked == [(40, 50, 3)]
