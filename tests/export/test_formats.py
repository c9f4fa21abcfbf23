"""Every head and decoder exported; the files run where there is neither torch nor heatkp."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from heatkp.config import GROUPED, Finder
from heatkp.engine import TorchBackend
from heatkp.errors import ExportError, MissingPackageError, SettingsError
from heatkp.export import Inputs, export_network, open_export
from heatkp.export.objects import Objects, object_deviation, require_objects
from heatkp.export.parity import answers, mean_offset
from heatkp.export.programs import write_programs
from heatkp.export.quantisation import dependent
from heatkp.heatmaps.catalogue import decoders_of
from heatkp.inference.predictor import Predictor, load_model
from heatkp.models import create_model
from heatkp.registry import DECODERS, EXPORTERS, HEADS
from heatkp.runs import loaded_model
from heatkp.skeletons import named

SIZE = (48, 40)
NAMES = ("nose", "left_ear", "right_ear")
RUN = """
import json, runpy, sys
from pathlib import Path
import numpy as np
for name in json.loads(sys.argv[2]):
    folder = Path(sys.argv[1]) / name
    images = np.load(Path(sys.argv[1]) / "images.npy")
    about = json.loads((folder / "model.json").read_text())
    if about["format"] == "onnx":
        import onnxruntime
        session = onnxruntime.InferenceSession(str(folder / about["file"]))
        found = session.run(None, {"images": images})
    else:
        import openvino
        compiled = openvino.compile_model(
            str(folder / about["file"]), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = list(compiled(images).values())
    assert len(found) == len(about["outputs"])
    for part, told in zip(found, about["outputs"]):
        assert list(part.shape) == [len(images), *told["shape"][1:]], told
    np.savez(folder / "found.npz", *found)
    if about["objects"] is not None:
        from PIL import Image
        predict = runpy.run_path(str(folder / "predict.py"))["predict"]
        each = [predict(Image.fromarray(image.transpose(1, 2, 0))) for image in images[:4]]
        np.savez(folder / "program.npz", *[np.array([one[i] for one in found])
                                           for found in each for i in range(4)])
assert not {"torch", "heatkp"} & set(sys.modules)
"""


def needs(*modules):
    missing = [name for name in modules if find_spec(name) is None]
    return pytest.mark.skipif(bool(missing), reason=f"not installed: {missing}")


def network(head="kl", decoder=None, channels=3):
    """An untrained model whose maps have peaks."""
    torch.manual_seed(3)
    options = {} if decoder is None else {"decoder": decoder}
    kind = {"architecture": "plain_unet", "options": {"widths": [8, 12]}, "stride": 2}
    if HEADS[head].kind is None:
        kind = {"layers": ["conv 8 5", "relu", "pool 2", "conv 8 3", "relu"]}
    model = create_model(head, points=len(NAMES), size=SIZE, channels=channels,
                         head_options=options, **kind).eval()  # fmt: skip
    if HEADS[head].kind is not None:
        with torch.no_grad():
            model.map_layer.convolution.weight *= 300
    return model


def finds_objects():
    """An untrained model of head grouped with peaks in its maps."""
    model = network(GROUPED)
    model.settings.finder.min_score, model.settings.finder.max_objects = 0.05, 12
    model.start_sides((8.0, 8.0))
    with torch.no_grad():
        model.map_layer.convolution.weight[0] *= 30
        model.points_layer.convolution.weight *= 3000
    return model


def loaded(model):
    return loaded_model(model, skeleton=named("mouse", NAMES).with_pairs([(1, 2)]))


def images(count=19, channels=3):
    import cv2

    rng = np.random.default_rng(5)
    coarse = rng.integers(0, 256, (count, channels, 7, 8)).astype(np.float32)
    fine = [[cv2.resize(c, SIZE, interpolation=cv2.INTER_CUBIC) for c in image] for image in coarse]
    return np.array(fine).clip(0, 255).astype(np.uint8)


def readable(head):
    """Names of the decoders of a head's maps."""
    return () if HEADS[head].kind is None else decoders_of(HEADS[head].content)


def cases():
    """Each head with its own decoder, each decoder with a head: what makes graphs that differ."""
    # Of `grouped` see `test_objects`.
    every = [(head, None) for head in HEADS if head != GROUPED]
    every += [(next(h for h in ("ce", *HEADS) if d in readable(h)), d) for d in DECODERS]
    found = {}
    for head, decoder in every:
        kind = HEADS[head].kind
        found.setdefault((kind, decoder or getattr(HEADS[head], "default_decoder", head)),
                         (head, decoder))  # fmt: skip
    return {f"{kind}-{decoder}": case for (kind, decoder), case in found.items()}


CASES = cases()
OBJECTS = "objects"
"""The folder of an export of head grouped."""


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A folder with all cases as ONNX, and what one process without torch found with them."""
    folder = tmp_path_factory.mktemp("exports")
    inputs = Inputs(images(), "test images")
    np.save(folder / "images.npy", inputs.images)
    for name, (head, decoder) in CASES.items():
        export_network(loaded(network(head, decoder)), "onnx", folder / name, inputs)
    export_network(loaded(finds_objects()), "onnx", folder / OBJECTS, inputs)
    done = subprocess.run(
        [sys.executable, "-I", "-c", RUN, str(folder), json.dumps([*CASES, OBJECTS])],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@needs("onnx", "onnxscript", "onnxruntime")
@pytest.mark.parametrize("name", CASES)
def test_every_graph(exported, name):
    """Of any number of images at once, as exact as torch's own float32."""
    head, decoder = CASES[name]
    model = network(head, decoder)
    with np.load(exported / name / "found.npz") as found:
        parts = [found[key] for key in found.files]
    expected = TorchBackend(model).run(torch.from_numpy(images()))
    np.testing.assert_allclose(parts[0], expected.points, atol=0.02)
    np.testing.assert_allclose(parts[1], expected.scores, atol=1e-4)
    assert (expected.covariance is not None) == (len(parts) == 3)
    if expected.covariance is not None:
        np.testing.assert_allclose(parts[2], expected.covariance, rtol=0.02, atol=0.02)


@needs("onnx", "onnxscript", "onnxruntime")
def test_objects(exported):
    """All objects of an image: of the file, of the program beside it, and of the folder opened
    again those of the network."""
    source, opened = Predictor(loaded(finds_objects())), load_model(exported / OBJECTS)
    assert "onnx" in repr(opened) and opened.finds_objects
    pictures = [image.transpose(1, 2, 0) for image in images()]
    found, expected = opened.predict(pictures), source.predict(pictures)
    assert len(found) == len(expected) > 20
    for one, other in zip(found, expected):
        assert one.image == other.image
        assert one.box_score == pytest.approx(other.box_score, abs=1e-4)
        assert one.object_score == pytest.approx(other.object_score, abs=1e-4)
        np.testing.assert_allclose(one.box, other.box, atol=0.01)
        np.testing.assert_allclose(one.points, other.points, atol=0.02)
        np.testing.assert_allclose(one.covariance, other.covariance, rtol=0.02, atol=0.02)
    with np.load(exported / OBJECTS / "found.npz") as parts:
        counts = (parts["arr_3"] > 0).sum(1)
        assert counts.tolist() == [len(expected.of(i)) for i in range(len(pictures))]
        assert parts["arr_0"].shape == (len(pictures), 12, len(NAMES), 2)
    with np.load(exported / OBJECTS / "program.npz") as told:
        for i in range(4):
            sure, boxes, points, scores = (told[f"arr_{4 * i + j}"] for j in range(4))
            own = expected.of(i)
            np.testing.assert_allclose(sure, [one.box_score for one in own], atol=1e-4)
            np.testing.assert_allclose(boxes, [one.box for one in own], atol=0.01)
            np.testing.assert_allclose(points, [one.points for one in own], atol=0.02)
            np.testing.assert_allclose(scores, [one.scores for one in own], atol=1e-3)


NODE = """
const { load, predict } = await import(process.argv[1]);
const about = { framing: { size: [48, 40], box_scale: null, keep_aspect: true, box_inside: false },
                input: { values: "RGB", shape: ["batch", 3, 40, 48] }, names: ["a", "b"] };
const session = { run: async ({ images }) => ({
  points: { data: [0, 0, 1, 2, 3, 4, 47, 39, 0, 0, 0, 0] },
  scores: { data: [1, 0.5, 0.25, 0, 0, 0] },
  boxes: { data: [-0.5, -0.5, 47.5, 39.5, 1, 2, 3, 4, 0, 0, 0, 0] },
  box_scores: { data: [0.9, 0.5, 0] } }) };
const ort = { Tensor: class {}, InferenceSession: { create: async () => session } };
const pixels = { width: 96, height: 80, data: new Uint8Array(4 * 96 * 80) };
console.log(JSON.stringify(await predict(await load(ort, about, ""), pixels)));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_the_script_of_objects(tmp_path):
    write_programs(tmp_path, {"format": "onnx", "objects": {}})
    done = subprocess.run(
        ["node", "--input-type=module", "-e", NODE, str(tmp_path / "predict.mjs")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    assert first["box"] == [-0.5, -0.5, 95.5, 79.5] and first["score"] == 0.9
    assert first["points"][1] == {"name": "b", "x": 2.5, "y": 4.5, "score": 0.5}
    assert second["points"][1] == {"name": "b", "x": 94.5, "y": 78.5, "score": 0}


@needs("onnx", "onnxscript", "onnxruntime")
def test_what_an_export_of_objects_leaves_out(exported):
    opened = load_model(exported / OBJECTS)
    least = sorted(one.box_score for one in opened.predict(images(3).transpose(0, 2, 3, 1)))[2]
    opened.detector = opened.detector.with_options(min_score=least, most=2)
    found = opened.predict(images(3).transpose(0, 2, 3, 1))
    assert found and all(len(found.of(i)) <= 2 for i in range(3))
    assert all(one.box_score >= least for one in found)
    for options in ({"min_score": 0.01}, {"nms": 0.9}, {"most": 13}):
        with pytest.raises(SettingsError, match="was exported with"):
            opened.detector.with_options(**options)
    with pytest.raises(SettingsError, match="takes no boxes"):
        opened.predict(images(1).transpose(0, 2, 3, 1), [np.array([5.0, 5, 20, 20])])


def found_objects(boxes, sure=None):
    """Objects with points at their boxes' corners."""
    edges = np.array(boxes, float).reshape(-1, 4)
    scores = np.full(len(edges), 0.9) if sure is None else np.array(sure)
    points = edges[:, [[0, 1], [2, 1], [2, 3]]]
    return [Objects(points, np.full(points.shape[:2], 0.8), edges, scores)]


def test_deviation_of_objects():
    """Matched by boxes; one that is lost counts, but for one that rounding may lose."""
    settings, inputs = Finder(min_score=0.3, nms=0.6), Inputs(images(1), "test images")
    one, far, part = [10.0, 10, 30, 30], [50.0, 50, 70, 80], [15.0, 10, 35, 30]
    skeleton = named("mouse", NAMES)

    def told(found, expected, precision="f32"):
        return object_deviation(found, expected, settings, skeleton, inputs, precision)

    both = found_objects([one, far])
    moved = told(found_objects([far, [x + 0.5 for x in one]]), both)
    assert moved.largest == pytest.approx(0.5**0.5) and moved.mean == pytest.approx(0.125**0.5)
    assert (moved.objects, moved.inputs) == (2, 1) and moved.compared == "2 objects in 1 inputs"
    assert told(found_objects([one]), both).largest == np.inf
    assert told(both, found_objects([far])).largest == np.inf
    near = found_objects([one, far], [0.9, 0.303])
    assert told(found_objects([one]), near).largest == 0.0
    assert told(found_objects([one]), found_objects([one, far], [0.9, 0.34])).largest == np.inf
    assert told(found_objects([one]), found_objects([one, far], [0.9, 0.34]), "bf16").largest == 0
    assert told(found_objects([one]), found_objects([one, part])).largest == 0.0  # IoU 0.6
    with pytest.raises(SettingsError, match="no object"):
        require_objects(found_objects([]), inputs)


@needs("onnx", "onnxscript", "openvino")
@pytest.mark.parametrize("precision", ["f32", "bf16", "f16"])
def test_openvino(tmp_path, precision):
    source = loaded(network("softargmax"))
    inputs = Inputs(images(), "test images")
    done = export_network(source, "openvino", tmp_path / "out", inputs, precision, tolerance=0.05)
    assert precision != "f32" or done.deviation.largest < 1e-3
    again = open_export(tmp_path / "out")
    found = answers(again.runner, inputs.images)
    expected = answers(TorchBackend(source.model), inputs.images)
    off = np.linalg.norm(found[0] - expected[0], axis=2)
    assert off.mean() == pytest.approx(done.deviation.mean, rel=0.05, abs=1e-5)
    if precision == "f32":
        np.save(tmp_path / "images.npy", inputs.images)
        alone = subprocess.run(
            [sys.executable, "-I", "-c", RUN, str(tmp_path), json.dumps(["out"])],
            capture_output=True, text=True,
        )  # fmt: skip
        assert alone.returncode == 0, alone.stderr
        with np.load(tmp_path / "out" / "found.npz") as parts:
            np.testing.assert_allclose(parts["arr_0"], expected[0], atol=0.02)


@needs("onnx", "onnxscript", "onnxruntime")
def test_half_weights(tmp_path):
    inputs, source = Inputs(images(), "test images"), loaded(network())
    whole = export_network(source, "onnx", tmp_path / "f32", inputs)
    done = export_network(source, "onnx", tmp_path / "f16", inputs, "f16", tolerance=0.05)
    weights = sum(p.numel() for p in source.model.parameters())
    assert whole.size - done.size > 1.6 * weights
    assert 0 < done.deviation.mean < 2


@needs("onnx", "onnxscript", "onnxruntime", "openvino", "nncf")
def test_int8(tmp_path, root):
    """By a process of its own: NNCF stays in memory, and changes libraries that others use."""
    script = (
        "import sys\n"
        "from tests.export.test_formats import *\n"
        "for to, head in (('onnx', 'kl'), ('openvino', 'softargmax')):\n"
        "    export_network(loaded(network(head)), to, f'{sys.argv[1]}/{to}',\n"
        "                   Inputs(images(), 'test images'), 'int8', tolerance=0.05,\n"
        "                   calibration=images(40))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], cwd=root, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Statistics" not in done.stdout
    for to, head in (("onnx", "kl"), ("openvino", "softargmax")):
        told = json.loads((tmp_path / to / "model.json").read_text())["deviation"]
        assert told["largest"] > 1e-3 and told["relative"] < 0.05
        found = answers(open_export(tmp_path / to).runner, images())
        expected = answers(TorchBackend(network(head)), images())
        off = np.linalg.norm(found[0] - expected[0], axis=2)
        assert off.mean() == pytest.approx(told["mean"], rel=0.2)
        # What all calibration inputs have in common was taken off.
        found = answers(open_export(tmp_path / to).runner, images(40))[0]
        moved = found - answers(TorchBackend(network(head)), images(40))[0]
        error = moved.std(0, ddof=1) / np.sqrt(len(moved))
        assert (np.abs(moved.mean(0)) < 1.5 * error + 0.01).all()


@needs("onnx", "onnxscript", "onnxruntime", "openvino")
@pytest.mark.parametrize("to", ["onnx", "openvino"])
def test_points_are_shifted_and_nothing_else(tmp_path, to):
    import importlib

    source, inputs = loaded(network("kl")), Inputs(images(3), "test images")
    export_network(source, to, tmp_path / "out", inputs)
    before = open_export(tmp_path / "out").runner
    by = np.array([[1.5, -2], [0, 0.25], [-3, 4]], np.float32)
    shifted = importlib.import_module(f"heatkp.export.formats.{to}").shifted
    (tmp_path / "other").mkdir()
    file = tmp_path / "other" / before.file.name
    if to == "onnx":
        import onnx

        onnx.save(shifted(onnx.load(str(before.file)), by), str(file))
    else:
        import openvino

        made = shifted(openvino.Core().read_model(before.file), by)
        openvino.save_model(made, file, compress_to_fp16=False)
    after = type(before)(file)
    points, *others = before.infer(inputs.images)
    moved, *same = after.infer(inputs.images)
    assert np.allclose(moved, points + by, atol=1e-3) and len(others) == len(same) == 2
    for one, other in zip(others, same):
        assert np.allclose(one, other, atol=1e-3)


def test_the_mean_offset():
    rng = np.random.default_rng(0)
    expected = rng.normal(50, 20, (40, 3, 2))
    assert np.allclose(mean_offset(expected - [1.0, -2.0], expected), [1, -2])
    noisy = expected + rng.normal(0, 1, expected.shape) - [[0, 0], [3, 0], [0, -3]]
    found, plain = mean_offset(noisy, expected), (expected - noisy).mean(0)
    assert (np.abs(found) <= np.abs(plain) + 1e-6).all()  # never more than what was seen
    assert found[1, 0] == pytest.approx(3, abs=0.5) and found[2, 1] == pytest.approx(-3, abs=0.5)
    chance = [mean_offset(expected + rng.normal(0, 1, expected.shape), expected) for _ in range(20)]
    assert 0.5 < (np.array(chance) == 0).mean() < 0.85  # where it is below its standard error: 68 %


def test_the_mean_offset_of_points_that_are_not_found():
    expected = np.ones((4, 3, 2))
    found = expected - 1
    found[:, 0], found[1:, 1], found[0, 2] = np.nan, np.nan, np.nan
    assert (mean_offset(found, expected) == [[0, 0], [0, 0], [1, 1]]).all()
    assert (mean_offset(found[:0], expected[:0]) == 0).all()


def test_what_stays_in_float():
    nodes = [("a", ["images"], ["1"]), ("b", ["1"], ["2"]), ("c", ["1"], ["3"]),
             ("d", ["2", "3"], ["4"]), ("e", ["4"], ["5"]), ("f", ["3"], ["6"])]  # fmt: skip
    assert dependent(nodes, ["a", "b", "d"]) == ["a", "d", "e"]
    assert dependent(nodes, ["d"]) == ["d", "e"]
    assert dependent(nodes, []) == []


@pytest.mark.parametrize("precision", ["f32", "bf16"])
def test_torch_program(tmp_path, precision):
    """Of a process that has never heard of heatkp."""
    inputs, source = Inputs(images(), "test images"), loaded(network("ce"))
    export_network(source, "torch", tmp_path / "out", inputs, precision, tolerance=0.05)
    np.save(tmp_path / "images.npy", inputs.images)
    script = (
        "import sys, numpy, torch\n"
        "run = torch.export.load(sys.argv[1] + '/out/model.pt2').module()\n"
        "with torch.inference_mode():\n"
        "    found = run(torch.from_numpy(numpy.load(sys.argv[1] + '/images.npy')))\n"
        "numpy.save(sys.argv[1] + '/found.npy', found[0].numpy())\n"
        "assert 'heatkp' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", script, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    expected = answers(TorchBackend(source.model), inputs.images)[0]
    off = np.linalg.norm(np.load(tmp_path / "found.npy") - expected, axis=2)
    assert off.max() < 1e-3 if precision == "f32" else 1e-4 < off.mean() < 1


@needs("onnx", "onnxscript", "onnxruntime")
def test_grey_and_the_way_back(tmp_path):
    source = loaded(network(channels=1))
    export_network(source, "onnx", tmp_path / "out", Inputs(images(5, 1), "grey images"))
    model, plain = load_model(tmp_path / "out"), Predictor(source)
    assert "onnx" in repr(model)
    image = np.random.default_rng(0).integers(0, 256, (90, 70, 3), np.uint8)
    for flip in (False, True):
        a, b = (p.predict(image, flip_test=flip)[0] for p in (model, plain))
        np.testing.assert_allclose(a.points, b.points, atol=1e-3)
        np.testing.assert_allclose(a.covariance, b.covariance, rtol=1e-2, atol=1e-2)
    with pytest.raises(Exception, match="points only"):
        model.heatmaps(image)


def folders(path):
    return sorted(p.name for p in path.iterdir())


@needs("onnx", "onnxscript", "onnxruntime")
def test_what_deviates_is_not_written(tmp_path, monkeypatch):
    from heatkp.export.formats.onnx import OnnxExporter

    write = OnnxExporter.write

    def spoilt(self, model, folder, precision, calibration):
        with torch.no_grad():
            model.map_layer.convolution.bias[0] += 1.0
            model.map_layer.convolution.weight[0] *= 0.9
        return write(self, model, folder, precision, calibration)

    monkeypatch.setattr(OnnxExporter, "write", spoilt)
    source, inputs = loaded(network()), Inputs(images(), "test images")
    with pytest.raises(ExportError, match="deviate"):
        export_network(source, "onnx", tmp_path / "out", inputs)
    assert folders(tmp_path) == []
    export_network(source, "onnx", tmp_path / "out", inputs, tolerance=1000.0)


def test_what_cannot_be(tmp_path, monkeypatch):
    source, inputs = loaded(network()), Inputs(images(4), "test images")
    for to, precision, kind in (
        ("tflite", "f32", SettingsError), ("torch", "int8", SettingsError),
        ("onnx", "bf16", SettingsError), ("openvino", "int8", SettingsError),
        ("onnx", "f64", SettingsError),
    ):  # fmt: skip
        with pytest.raises(kind):
            export_network(source, to, tmp_path / "out", inputs, precision)
    monkeypatch.setattr("heatkp.engine.exported.find_spec", lambda name: None)
    for to in [name for name, e in EXPORTERS.items() if e.packages]:
        with pytest.raises(MissingPackageError, match="pip install"):
            export_network(source, to, tmp_path / "out", inputs)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "a").touch()
    with pytest.raises(SettingsError):
        export_network(source, "torch", tmp_path / "full", inputs)
    assert folders(tmp_path) == ["full"]


def test_each_head_and_decoder_is_in_a_graph():
    """What is registered later has a test of its export without more ado."""
    assert {kind for kind, _ in (name.split("-") for name in CASES)} == {
        str(HEADS[head].kind) for head in HEADS
    }
    assert set(DECODERS) <= {name.split("-")[1] for name in CASES}


@needs("executorch")
@pytest.mark.parametrize("decoder", ["expectation", "argmax", "dark", "matched"])
def test_executorch(tmp_path, decoder):
    source, inputs = loaded(network("kl", decoder)), Inputs(images(), "test images")
    done = export_network(source, "executorch", tmp_path / "out", inputs)
    assert done.deviation.largest < 0.02
    found = answers(open_export(tmp_path / "out").runner, inputs.images)
    np.testing.assert_allclose(found[0], answers(TorchBackend(source.model), inputs.images)[0],
                               atol=0.02)  # fmt: skip


def test_objects_that_are_all_marginal_are_not_compared():
    settings, inputs = Finder(min_score=0.3, nms=0.6), Inputs(images(1), "test images")
    one, none = found_objects([[10.0, 10, 30, 30]], sure=[0.301]), found_objects([])
    with pytest.raises(SettingsError, match="min_score"):
        object_deviation(none, one, settings, named("mouse", NAMES), inputs, "bf16")
