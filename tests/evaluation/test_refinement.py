"""`heatkp eval --passes 2`: a data set seen as `Predictor` sees single images."""

from __future__ import annotations

import json

import numpy as np

from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Sample
from heatkp.evaluation.evaluate import predict_dataset
from tests.conftest import TINY, heatkp
from tests.inference.fakes import input_image, predictor


def samples_off(count):
    """Samples whose boxes are shifted and scaled by a fifth."""
    made = []
    for i in range(count):
        image, points, boxes = input_image([(70 + 9 * i, 80, 60)])
        box = boxes[0] + 60 * np.array([0.2, -0.2, 0.4, 0.0]) * (1 if i % 2 else -1)
        visibility = np.array([2, 2, 0 if i == 1 else 2], np.uint8)
        made.append(
            Sample(lambda im=image: im, points[0], visibility, box, id=str(i))
        )  # fmt: skip
    return made


def test_two_passes_over_samples():
    model, samples, done = predictor(pull=0.2), samples_off(5), []
    dataset = KeypointDataset(samples, model.skeleton, model.framing)
    errors = predict_dataset(
        model.model, dataset, 2, progress=done.append, passes=2, box_style=model.box_style
    )
    assert done == [2, 4, 5] and errors.input_size == (64, 64)
    for i, sample in enumerate(samples):
        alone = model.predict(sample.image(), sample.box, passes=2)[0]
        assert np.allclose(errors.image_points[i], alone.points, atol=1e-3)
        assert np.allclose(errors.boxes[i], sample.box)
    scale = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    inputs = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    widths = errors.boxes[:, 2] - errors.boxes[:, 0]
    assert np.allclose(inputs / scale, 64 / (1.5 * widths[:, None]), rtol=1e-3)
    assert errors.labelled.sum() == 14
    once = np.concatenate([model.predict(s.image(), s.box, passes=1) for s in samples])
    first = np.abs(np.stack([np.asarray(k) for k in once]) - errors.image_truth).mean()
    assert np.abs(errors.image_points - errors.image_truth).mean() < first


def test_the_command(tmp_path):
    made = heatkp("data", "synth", "--n", 24, tmp_path / "faces")
    assert made.exit_code == 0, made.output
    run = tmp_path / "run"
    flags = ["--epochs", 1, "--set", "data.crop=box", "--out", run]
    made = heatkp("train", *TINY, "--data", tmp_path / "faces", *flags)
    assert made.exit_code == 0, made.output
    found = {}
    for passes in (1, 2):
        out = tmp_path / f"{passes}.json"
        result = heatkp("eval", run, "--passes", passes, "--out", out)
        assert result.exit_code == 0, result.output
        found[passes] = json.loads(out.read_text())
        assert found[passes]["passes"] == passes
    assert found[1]["labelled_points"] == found[2]["labelled_points"] > 0


def test_runs_on_whole_pictures_have_no_second_look(tiny_run):
    result = heatkp("eval", tiny_run, "--passes", 2)
    assert result.exit_code == 2 and "two passes need a model" in " ".join(result.output.split())
