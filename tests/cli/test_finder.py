"""`heatkp train --task finder+points` and `heatkp predict`, from images of many faces to points."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
import torch

import heatkp as package
from heatkp import Sample
from heatkp.data.synthetic.scenes import draw_scene
from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.evaluation.found_boxes import match
from heatkp.inference.finder import Finder, open_detector
from heatkp.runs import load_finder
from tests.cli.test_cli import refused
from tests.conftest import FINDER as TINY
from tests.conftest import heatkp

STILL = {
    "flip": 0.0, "rotation": 0.0, "scale": 0.0, "shift": 0.0, "photometric": 0.0, "grey": 0.0,
    "occlusion": 0.0,
}  # fmt: skip


def scenes(count=3):
    """Samples of small drawn scenes, those of one scene with one image."""
    return [
        Sample(scene.image, face.points, face.visibility, face.box, id=f"{i}#{k}",
               source_image=str(i))
        for i, scene in enumerate(draw_scene(5, i, (128, 96), (2, 4), (24, 48))
                                  for i in range(count))
        for k, face in enumerate(scene.faces)
    ]  # fmt: skip


def train(samples, *assignments, **more):
    given = {
        "model": {"encoder": "tu-mobilenetv3_small_050"}, "augmentation": STILL,
        "task": "finder", "progress": False,
    }  # fmt: skip
    flags = ["data.workers=0", "data.cache=none", "trainer.batch_size=3", *assignments]
    return package.train(samples, *flags, **{**given, **more})


def test_three_scenes_are_learnt_and_all_of_their_faces_found():
    """Overfitted on purpose: every face, no other box, each in its place."""
    samples = scenes()
    run = train(
        samples, val=samples, skeleton="face68",
        finder={"size": 128, "epochs": 60, "lr": 6e-3},
        trainer={"validate_every": 20, "ema": 0.0},
    )  # fmt: skip
    assert run.metrics["recall"] == run.metrics["precision"] == 1.0
    assert run.metrics["counts_wrong"] == run.metrics["missed"] == run.metrics["wrong"] == 0
    finder = Finder(run.folder)
    for i in range(3):
        boxes = np.array([s.box for s in samples if s.id.startswith(f"{i}#")], float)
        found = finder(samples[[s.id for s in samples].index(f"{i}#0")].rgb())
        edges = np.array([one.box for one in found])
        assert len(found) == len(boxes)
        assert match(edges, np.ones(len(edges)), boxes, enough=0.7).right.all()
    assert (run.folder / "finder.png").stat().st_size > 1000
    with (run.folder / "finder.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 60 and float(rows[-1]["train_loss"]) < 0.2 * float(rows[0]["train_loss"])
    assert sum(bool(row["val_f1"]) for row in rows) == 3


def test_a_run_of_both_goes_from_image_to_points(both, crowds, tmp_path):
    for name in ("finder.safetensors", "finder.json", "finder.csv", "finder.png",
                 "weights.safetensors", "metrics.json", "predictions.png"):  # fmt: skip
        assert (both / name).is_file(), name
    images, out = sorted((crowds / "images").glob("*.png")), tmp_path / "out"
    done = heatkp("predict", crowds / "images", "--model", both, "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads((out / "points.json").read_text())["images"]
    model = package.load_model(both)
    assert isinstance(model.detector, Finder) and model.finds_objects and model.usual_passes == 1
    for entry, path in zip(found, images):
        objects = model.detector(package.Sample(path, np.zeros((0, 2))).rgb())
        assert 1 <= len(entry["objects"]) == len(objects) <= 3
        for keypoints, detection in zip(entry["objects"], objects):
            assert np.allclose(keypoints["box"], detection.box, atol=0.01)
            assert keypoints["box_score"] == pytest.approx(detection.score, abs=1e-4)
            assert len(keypoints["points"]) == 68
            product = keypoints["box_score"] * keypoints["score"]
            assert keypoints["object_score"] == pytest.approx(product, abs=2e-4)
    options = json.loads((out / "summary.json").read_text())["options"]
    assert options["boxes"] == "objects" and options["detector"] == "finder"
    assert options["passes"] == 1


@pytest.mark.parametrize(
    ("flags", "most"),
    [(["--max-objects", 1], 1), (["--max-faces", 2], 2), (["--min-score", 0.999], 0),
     (["--boxes", "faces", "--nms", 0.9, "--tile", 100], 3),
     (["--boxes", "objects", "--tile", 0], 3)],
)  # fmt: skip
def test_options_of_the_finder(both, crowds, tmp_path, flags, most):
    image = sorted((crowds / "images").glob("*.png"))[0]
    done = heatkp("predict", image, "--model", both, "--out", tmp_path / "o", "--no-images", *flags)
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((tmp_path / "o" / "points.json").read_text())["images"]
    assert len(entry["objects"]) <= most and bool(entry["objects"]) == bool(most)


def test_whole_poses_that_are_alike_are_one(both, crowds, tmp_path):
    """Every second box is the one before, moved by a pixel: its points are the same again."""
    image = sorted((crowds / "images").glob("*.png"))[0]
    model = package.load_model(both)
    boxes = np.array([[20, 20, 70, 70], [21, 20, 71, 70], [90, 80, 150, 150]], float)
    (each,) = {len(model.predict(image, boxes)), 3}
    kept = model.predict(image, boxes, nms_oks=0.3)
    assert each == 3 and len(kept) == 2
    out = tmp_path / "o"
    done = heatkp("predict", image, "--model", both, "--nms-oks", 0.9, "--out", out, "--no-images")
    assert done.exit_code == 0, done.output
    assert json.loads((out / "summary.json").read_text())["options"]["nms_oks"] == 0.9
    refused(["predict", image, "--model", both, "--nms-oks", 1.5, "--out", tmp_path / "no"],
            "--nms-oks", out=tmp_path / "no")  # fmt: skip
    refused(["predict", image, "--model", both, "--nms-oks", 0, "--out", tmp_path / "no"],
            "--nms-oks", out=tmp_path / "no")  # fmt: skip


def test_a_finder_on_the_hub(both, monkeypatch):
    monkeypatch.setattr("heatkp.runs.finder.fetch",
                        lambda path, file="weights.safetensors": both / file)  # fmt: skip
    opened = open_detector("hf://ann/flies", "cpu")
    assert isinstance(opened, Finder) and opened.most == 3


def test_a_finder_of_another_run_finds_for_a_model_without(both, tiny_run, crowds, tmp_path):
    points = tmp_path / "points"
    shutil.copytree(both, points)
    (points / "finder.safetensors").unlink()
    image, out = sorted((crowds / "images").glob("*.png"))[0], tmp_path / "out"
    tail = ["--out", out, "--no-images"]
    done = heatkp("predict", image, "--model", points, "--detector", both, *tail)
    assert done.exit_code == 0, done.output
    (entry,) = json.loads((out / "points.json").read_text())["images"]
    assert entry["objects"]
    for model, words in ((tiny_run, "none is used here"), (points, "neither")):
        detector = both if model is tiny_run else tmp_path
        if words == "neither":
            words = "holds no finder"
        refused(["predict", image, "--model", model, "--detector", detector, "--out",
                 tmp_path / "no"], words, out=tmp_path / "no")  # fmt: skip


def test_a_run_of_a_finder_alone(crowds, tmp_path):
    run = tmp_path / "finder"
    done = heatkp("train", *TINY, "--data", crowds, "--task", "finder", "--set", "finder.epochs=1",
                  "--out", run)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert not (run / "metrics.json").exists() and not (run / "weights.safetensors").exists()
    image = sorted((crowds / "images").glob("*.png"))[0]
    refused(["predict", image, "--model", run, "--out", tmp_path / "no"],
            "holds a finder and no model of points", "--task finder+points",
            out=tmp_path / "no")  # fmt: skip
    refused(["predict", image, "--model", run / "finder.safetensors", "--out", tmp_path / "no"],
            "finds objects and no points", out=tmp_path / "no")  # fmt: skip
    refused(["train", "--resume", run], "is finished")


def weights(run):
    return load_finder(run).model.state_dict()


def test_a_stopped_finder_goes_on_to_the_same_weights(crowds, tmp_path, monkeypatch):
    """Interrupted after its first epoch, compared with one that was not; then the points are
    trained, too."""
    from heatkp.training import finder as training

    flags = [*TINY, "--data", crowds, "--set", "finder.epochs=2", "--epochs", 1]
    flags += ["--set", "data.workers=1"]  # which reads ahead, of the right epoch, too
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    assert heatkp("train", *flags, "--task", "finder", "--out", whole).exit_code == 0

    class Stop(training.Callback):
        def on_train_epoch_end(self, trainer, pl_module):
            raise KeyboardInterrupt

    fit = training.fit
    monkeypatch.setattr(training, "fit", lambda *a, callbacks=(), **k: fit(
        *a, callbacks=[*callbacks, Stop()], **k))  # fmt: skip
    heatkp("train", *flags, "--task", "finder+points", "--out", stopped)
    assert (stopped / "checkpoints" / "finder.ckpt").is_file()
    assert not (stopped / "finder.json").exists()
    monkeypatch.undo()
    done = heatkp("train", "--resume", stopped)
    assert done.exit_code == 0, done.output
    assert (stopped / "metrics.json").is_file() and (stopped / "finder.json").is_file()
    there = weights(stopped)
    for name, value in weights(whole).items():
        assert torch.equal(value, there[name]), name
    again = heatkp("train", "--resume", stopped)
    assert again.exit_code == 2 and "is finished" in again.output


def test_what_cannot_be_trained_is_said_before_anything_is_written(crowds, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bare = [Sample(np.zeros((32, 32, 3), np.uint8), [[4, 5]], id=str(i)) for i in range(6)]
    with pytest.raises(DataError, match="a finder learns boxes"):
        train(bare)
    with pytest.raises(SettingsError, match=r"set data\.crop: box"):
        train(scenes(), "data.crop=image", task="finder+points", skeleton="face68")
    out = tmp_path / "out"
    refused(["train", *TINY, "--data", crowds, "--task", "finder", "--folds", 2, "--out", out],
            "--folds trains points", out=out)  # fmt: skip
    refused(["train", *TINY, "--data", crowds, "--task", "finder", "--out", out,
             "--set", "finder.encoder=nothing"], "there is no encoder", out=out)  # fmt: skip
    refused(["train", *TINY, "--data", crowds, "--task", "finder", "--out", out,
             "--set", "trainer.devices=2"], "trains on one device", out=out)  # fmt: skip
    assert not (tmp_path / "runs").exists()
    for text in ("0-3", "5-2", "many", "3-"):
        refused(["data", "synth", "--objects", text, out], "--objects", out=out)
    refused(["data", "synth", "--size", 600, out], "at most 512", out=out)
    refused(["data", "synth", "--objects", "2", "--skeleton", "face58", out], "face68", out=out)


def test_without_validation_the_last_weights_are_kept(tmp_path):
    run = train(scenes(2), "data.validation=0", skeleton="face68", out=tmp_path / "all",
                finder={"size": 64, "epochs": 1})  # fmt: skip
    assert run.metrics["split"] is None and "not measured" in repr(run)
    assert Finder(run.folder).min_score == 0.3
    spoilt = (run.folder / "finder.safetensors").read_bytes()
    (run.folder / "finder.safetensors").write_bytes(spoilt[:1000])
    with pytest.raises(CheckpointError, match="cannot be read"):
        Finder(run.folder)
