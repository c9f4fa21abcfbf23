"""`heatkp train --head grouped` and what is done with such a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

import heatkp as package
from heatkp import Sample
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.errors import SettingsError
from heatkp.inference import alike
from heatkp.inference.finder import Finder
from heatkp.runs import load_run
from heatkp.training.storage import held
from tests.cli.test_cli import refused
from tests.conftest import figures_drawn, heatkp

TINY = [
    "--head", "grouped", "--set", "data.workers=0", "--set", "data.cache=none",
    "--set", "model.encoder=tu-mobilenetv3_small_050", "--set", "finder.size=64",
    "--set", "data.points=[30,36,45,48,54]", "--set", "finder.max_objects=3",
    "--set", "trainer.loggers=none", "--batch-size", 4,
]  # fmt: skip


@pytest.fixture(scope="module")
def crowds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "crowds"
    made = heatkp("data", "synth", "--n", 8, "--size", 128, "--objects", "1-3", folder)
    assert made.exit_code == 0, made.output
    return folder


@pytest.fixture(scope="module")
def run(crowds, tmp_path_factory):
    """Hardly trained; it takes what is not sure."""
    folder = tmp_path_factory.mktemp("runs") / "grouped"
    with figures_drawn():
        done = heatkp("train", *TINY, "--data", crowds, "--epochs", 2,
                      "--set", "finder.min_score=0.0", "--out", folder)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "head grouped, whole images of 64 pixels, 2 epochs" in done.output
    assert "grouped: found" in done.output and "found.png" in done.output
    return folder


def image_files(crowds):
    return sorted((crowds / "images").glob("*.png"))


def test_three_scenes_are_learnt_with_the_points_of_all_their_faces(tmp_path):
    """Overfitted on purpose: every face, no other box, and each its own points, also where faces
    overlap."""
    drawn = [draw_scene(5, i, (128, 96), (2, 4), (24, 48)) for i in range(3)]
    chosen = [30, 36, 45, 48, 54]
    samples = [
        Sample(scene.image, face.points[chosen], face.visibility[chosen], face.box, id=f"{i}#{k}",
               source_image=str(i))
        for i, scene in enumerate(drawn)
        for k, face in enumerate(scene.faces)
    ]  # fmt: skip
    still = ("flip", "rotation", "scale", "shift", "photometric", "grey", "occlusion")
    learnt = package.train(
        samples, "data.workers=0", "data.cache=none", "trainer.batch_size=3", val=samples,
        skeleton=["nose", "a", "b", "c", "d"], head="grouped", progress=False, out=tmp_path / "r",
        model={"encoder": "tu-mobilenetv3_small_050"}, augmentation=dict.fromkeys(still, 0.0),
        finder={"size": 128, "epochs": 80, "lr": 6e-3},
        trainer={"validate_every": 80, "ema": 0.0, "loggers": "none"},
    )  # fmt: skip
    found = learnt.metrics["finder"]
    assert found["recall"] == found["precision"] == 1.0 and found["counts_wrong"] == 0
    assert found["points"] == 5 * len(samples) and found["distance_relative"] < 0.05, found
    for scene in drawn:
        objects = learnt.model.predict(scene.image)
        assert len(objects) == len(scene.faces)
        near = [
            min(np.linalg.norm(one.points - f.points[chosen], axis=1).max() for f in scene.faces)
            for one in objects
        ]
        assert max(near) < 6, near


def test_the_run_holds_figures_of_objects_and_of_points(run):
    metrics = json.loads((run / "metrics.json").read_text())
    assert metrics["split"] == "val" and metrics["distance_photo"] > 0
    found = metrics["finder"]
    assert {"recall", "precision", "ap50", "points", "distance_relative"} <= found.keys()
    for name in ("weights.safetensors", "found.png", "predictions.png", "curves.png"):
        assert (run / name).stat().st_size > 1000, name
    rows = (run / "metrics.csv").read_text().splitlines()
    assert len(rows) == 3 and "val_distance" in rows[0]
    assert not list(run.glob("finder*"))


def test_predict_finds_all_objects_with_their_points(run, crowds, tmp_path):
    out = tmp_path / "out"
    done = heatkp("predict", crowds / "images", "--model", run, "--out", out, "--no-images")
    assert done.exit_code == 0, done.output
    model = package.load_model(run)
    assert isinstance(model.detector, Finder) and model.finds_objects and model.usual_passes == 1
    entries = json.loads((out / "points.json").read_text())["images"]
    for entry, path in zip(entries, image_files(crowds)):
        found = model.predict(path)
        assert 1 <= len(entry["objects"]) == len(found) <= 3
        for one, keypoints in zip(entry["objects"], found):
            assert np.allclose(one["box"], keypoints.box, atol=0.01)
            assert one["box_score"] == pytest.approx(keypoints.box_score, abs=1e-4)
            points = np.array([[point["x"], point["y"]] for point in one["points"]])
            assert np.allclose(points, keypoints.points, atol=0.01) and len(points) == 5
            assert keypoints.covariance.shape == (5, 2, 2)
            product = keypoints.box_score * keypoints.score
            assert keypoints.object_score == pytest.approx(product)
            assert one["object_score"] == pytest.approx(product, abs=1e-4)


def test_found_boxes_given_back_give_the_same_points(run, crowds):
    """Points that were found in the same look are those of the box."""
    model, path = package.load_model(run), image_files(crowds)[0]
    found = model.predict(path)
    again = model.predict(path, np.stack([one.box for one in found]))
    assert np.allclose([f.points for f in found], [f.points for f in again], atol=1e-3)
    assert all(one.box_score is None for one in again)
    maps = model.heatmaps(path)
    assert len(maps) == len(found) and maps[0].maps.shape[0] == 5
    assert np.allclose([m.maps.sum((1, 2)) for m in maps], 1.0, atol=1e-3)


def test_saved_with_the_options_of_finding(run, crowds, tmp_path):
    model = package.load_model(run)
    model.detector = model.detector.with_options(min_score=0.01, most=2)
    model.save(tmp_path / "saved")
    again = package.load_model(tmp_path / "saved")
    assert (again.detector.min_score, again.detector.most) == (0.01, 2)
    assert [p.name for p in (tmp_path / "saved").iterdir()] == ["weights.safetensors"]
    image = image_files(crowds)[0]
    assert np.allclose(*([one.points for one in m.predict(image)] for m in (model, again)))


@pytest.mark.parametrize(
    ("flags", "most"),
    [(["--max-objects", 1], 1), (["--min-score", 0.9999], 0), (["--nms", 0.9, "--tile", 80], 3)],
)  # fmt: skip
def test_options_of_finding(run, crowds, tmp_path, flags, most):
    out = tmp_path / "o"
    done = heatkp("predict", image_files(crowds)[0], "--model", run, "--out", out, "--no-images",
                  *flags)  # fmt: skip
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((out / "points.json").read_text())["images"]
    assert len(entry["objects"]) <= most and bool(entry["objects"]) == bool(most)


def test_eval_is_of_labelled_boxes_and_of_objects(run, crowds, monkeypatch):
    done = heatkp("eval", run, "--out", run / "again.json")
    assert done.exit_code == 0, done.output
    again, before = (json.loads((run / n).read_text()) for n in ("again.json", "metrics.json"))
    assert again["distance_photo"] == pytest.approx(before["distance_photo"], rel=1e-3)
    assert again["objects"]["images"] > 0 and "average_precision" in again["objects"]
    asked = []
    monkeypatch.setattr(alike, "suppress_by_oks", lambda *a: asked.append(a[-1]) or [0])
    other = heatkp("eval", run, "--data", crowds, "--split", "all", "--out", run / "all.json",
                   "--nms-oks", 0.8)  # fmt: skip
    assert other.exit_code == 0 and set(asked) == {0.8}, other.output
    drawn = heatkp("viz-heatmaps", run, "--samples", 1, "--out", run / "maps")
    assert drawn.exit_code == 0, drawn.output
    assert any((run / "maps").glob("*-maps.png"))


def test_a_run_is_a_detector_of_boxes_for_another_model(run, crowds, tmp_path):
    """Whose points are its own."""
    finder = Finder(run, "cpu")
    made = package.create_model("ce", points=5, size=(32, 32), encoder="tu-mobilenetv3_small_050")
    made.settings.data.crop = "box"
    from heatkp.inference.predictor import Predictor

    model = Predictor(made, detector=finder)
    image = Sample(image_files(crowds)[0], np.zeros((0, 2))).rgb()
    ours = model.predict(image)
    theirs = package.load_model(run).predict(image)
    assert len(ours) == len(theirs)
    assert np.allclose([a.box for a in ours], [b.box for b in theirs], atol=1e-4)
    assert not np.allclose([a.points for a in ours], [b.points for b in theirs], atol=0.1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["export", "RUN", "--to", "executorch", "--out", "no"], "cannot hold head grouped"),
        (["export", "RUN", "--precision", "int8", "--out", "no"], "no int8 for head grouped"),
        (["predict", "IMAGE", "--model", "RUN", "--runtime", "onnx"], "heatkp export RUN"),
        (["predict", "IMAGE", "--model", "RUN", "--boxes", "image"], "finds the objects in whole"),
        (["predict", "IMAGE", "--model", "RUN", "--flip-test"], "head grouped has no flip test"),
        (["predict", "IMAGE", "--model", "RUN", "--passes", "2"], "head grouped has no second"),
        (["predict", "IMAGE", "--model", "RUN", "--precision", "bf16"], "grouped computes in f32"),
        (["eval", "RUN", "--flip-test"], "left out|no flip test|flip test"),
    ],
)
def test_what_it_does_not_have_is_said(run, crowds, tmp_path, arguments, words):
    given = [{"RUN": run, "IMAGE": image_files(crowds)[0], "no": tmp_path / "no"}.get(a, a)
             for a in arguments]  # fmt: skip
    done = heatkp(*given)
    assert done.exit_code != 0 and "Traceback" not in done.output
    assert any(word in " ".join(done.output.split()) for word in words.split("|")), done.output


def test_what_cannot_be_trained_is_said_before_anything_is_written(crowds, tmp_path):
    out = tmp_path / "out"
    for more, words in (
        (["--task", "finder+points"], "finds its objects itself"),
        (["--folds", 2], "--folds has no head grouped"),
        (["--set", "trainer.devices=2"], "head grouped trains on one device"),
        (["--set", "data.crop=box"], "sees whole images with all of their objects"),
        (["--head", "ce", "--set", "data.crop=objects"], "is of head grouped"),
    ):
        refused(["train", *TINY, "--data", crowds, "--out", out, *more], words, out=out)


def test_a_stopped_run_goes_on_to_the_same_weights(crowds, tmp_path, monkeypatch):
    """Interrupted after its first epoch, compared with one that was not; and trained further."""
    from heatkp.training import finder as training

    flags = [*TINY, "--data", crowds, "--epochs", 2]
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert heatkp("train", *flags, "--out", whole).exit_code == 0

    class Stop(training.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise KeyboardInterrupt

    run_trainer = training.run_trainer
    monkeypatch.setattr(training, "run_trainer", lambda module, data, run, callbacks, **k:
                        run_trainer(module, data, run, [*callbacks, Stop()], **k))  # fmt: skip
    heatkp("train", *flags, "--out", stopped)
    assert (stopped / "checkpoints" / "last.ckpt").is_file()
    assert not (stopped / "metrics.json").exists()
    monkeypatch.undo()
    done = heatkp("train", "--resume", stopped)
    assert done.exit_code == 0, done.output
    there = load_run(stopped).model.state_dict()
    for name, value in load_run(whole).model.state_dict().items():
        assert torch.equal(value, there[name]), name
    refused(["train", "--resume", stopped], "is finished")
    further = heatkp("train", "--resume", stopped, "--epochs", 3)
    assert further.exit_code == 0, further.output
    assert len((stopped / "metrics.csv").read_text().splitlines()) == 4


def test_without_validation_and_from_python(tmp_path):
    rng = np.random.default_rng(0)
    samples = [
        Sample(rng.integers(0, 256, (64, 64, 3), np.uint8), points, id=str(i))
        for i, points in enumerate(rng.uniform(10, 50, (4, 3, 2)).astype(np.float32))
    ]
    given = {"model": {"encoder": "tu-mobilenetv3_small_050"}, "progress": False}
    run = package.train(
        samples, "data.workers=0", "data.validation=0", "trainer.batch_size=2", head="grouped",
        skeleton=["a", "b", "c"], finder={"size": 64, "epochs": 1}, out=tmp_path / "all",
        trainer={"loggers": "none"}, **given,
    )  # fmt: skip
    assert run.metrics["split"] is None and "not measured" in repr(run)
    assert run.model.detector.min_score == 0.3
    with pytest.raises(SettingsError, match="finds the objects in whole images"):
        run.model.predict(samples[0].rgb(), "image")
    box = np.array([5.0, 5, 55, 55])
    assert run.model.predict(samples[0].rgb(), box)[0].points.shape == (3, 2)


def test_a_run_that_trains_is_not_resumed(run):
    before = sorted(p.relative_to(run) for p in run.rglob("*"))
    with held(run):
        done = heatkp("train", "--resume", run, "--epochs", 9)
    assert done.exit_code == 2 and "another process works on the run" in done.output
    assert sorted(p.relative_to(run) for p in run.rglob("*")) == before
