"""`heatkp eval RUN RUN`: the mean of the points that several runs find."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from heatkp import coordinates as co
from heatkp import runs
from heatkp.data.drawn import drawn_sample
from heatkp.evaluation.metrics import Errors, mean_of, summarise
from heatkp.kaggle.forms import read_submission
from heatkp.skeletons import FACE68
from tests.cli.test_cli import refused
from tests.cli.test_kaggle import write_imglab
from tests.conftest import heatkp


def variant(run, path, skeleton=None, **data):
    """A weights file of another model: other weights, and settings of the data as given."""
    loaded = runs.load_run(run)
    for key, value in data.items():
        setattr(loaded.settings.data, key, value)
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in loaded.model.parameters():
            parameter.add_(0.05 * parameter.std(correction=0) * torch.randn_like(parameter))
    description = runs.describe(loaded.settings, skeleton or loaded.skeleton, loaded.box_style)
    runs.save_weights(path, loaded.model, description)
    return path


@pytest.fixture(scope="module")
def other(tiny_run, tmp_path_factory):
    """A model that looks at the same faces in fewer pixels."""
    return variant(tiny_run, tmp_path_factory.mktemp("other") / "o.safetensors", size=[48, 64])


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    drawn = [drawn_sample(5, i, FACE68, size) for i, size in enumerate((96, 128, 72))]
    return write_imglab(tmp_path_factory.mktemp("faces"), drawn)


def test_the_mean_of_errors():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 90, (4, 68, 2))
    labelled = np.ones((4, 68), bool)

    def errors(scale):
        to_input = np.stack([co.scaling(scale, scale)] * 4)
        found = truth + rng.normal(0, 3, truth.shape)
        boxes = np.full((4, 4), np.nan)
        return Errors(found, truth, to_input, labelled, boxes, (64, 64))

    a, b = errors(0.5), errors(2.0)
    both = mean_of([a, b])
    np.testing.assert_allclose(both.image_points, (a.image_points + b.image_points) / 2)
    # In the first one's input pixels.
    np.testing.assert_allclose(both.input, both.image_points / 2)
    np.testing.assert_array_equal(both.input_truth, a.input_truth)
    assert mean_of([a]).image_points == pytest.approx(a.image_points)
    # Independent errors average out.
    found = [summarise(e, FACE68)["mse_normalised"] for e in (a, both)]
    assert found[1] < 0.7 * found[0]


def test_several_runs_are_measured_as_one(tiny_run, other, tmp_path):
    out = tmp_path / "both.json"
    result = heatkp("eval", tiny_run, other, "--out", out)
    assert result.exit_code == 0, result.output
    assert "the mean of 2 runs: 12 images" in result.output
    both = json.loads(out.read_text())
    assert both["runs"] == [str(tiny_run), str(other)]
    alone = []
    for run in (tiny_run, other):
        assert heatkp("eval", run, "--out", out).exit_code == 0
        alone.append(json.loads(out.read_text()))
    # The mean is no worse than both are on average (|a + b| <= |a| + |b|), and it is neither.
    assert both["mae_photo"] <= (alone[0]["mae_photo"] + alone[1]["mae_photo"]) / 2
    assert both["mae_photo"] not in [a["mae_photo"] for a in alone]
    # Input pixels are those of the first run.
    assert both["mae_input"] / both["mae_photo"] == pytest.approx(
        alone[0]["mae_input"] / alone[0]["mae_photo"]
    )


@pytest.mark.parametrize("more", [[], ["--flip-test"], ["--decoder", "argmax"]])
def test_a_submission_of_several_runs(tiny_run, other, faces, tmp_path, more):
    def submitted(*names):
        out = tmp_path / "a.csv"
        result = heatkp("eval", *names, "--kaggle", "--data", faces, "--out", out, *more)
        assert result.exit_code == 0, result.output
        return read_submission(out, 3, 68)

    mean = (submitted(tiny_run) + submitted(other)) / 2
    np.testing.assert_allclose(submitted(tiny_run, other), mean, atol=0.011)


def test_runs_that_do_not_go_together(tiny_run, other, faces, tmp_path):
    out = ["--out", tmp_path / "out"]
    refused(["eval", tiny_run, other], "2 runs together", "--out")
    refused(["eval", tiny_run, other, "--kaggle", "--data", faces], "--out")
    renamed = replace(FACE68, name="mine", point_names=tuple(f"my_{n}" for n in FACE68.point_names))
    names = variant(tiny_run, tmp_path / "names.safetensors", skeleton=renamed)
    refused(["eval", tiny_run, names, *out], "face68", "mine", "my_jaw_0")
    # Others validate on what this one may have been trained on.
    seed = variant(tiny_run, tmp_path / "seed.safetensors", drawn_seed=3)
    fewer = variant(tiny_run, tmp_path / "fewer.safetensors", val_count=5)
    for run in (seed, fewer):
        refused(["eval", tiny_run, run, *out], "val samples", "--data")
    # Other data that they split differently is no remedy where it is there already.
    split = variant(tiny_run, tmp_path / "split.safetensors", split_seed=1)
    val = ["--data", faces, "--split", "val"]
    refused(["eval", tiny_run, split, *val, *out], "differently", "(--split all)")
    refused(["eval", tiny_run, tmp_path / "none", *out], "no run folder or checkpoint")
    refused(["eval", tiny_run, other, "--passes", 2, *out], "two passes need")
    assert not (tmp_path / "out").exists()
    # On other data their splits don't matter, as long as all of it is measured; nor does what
    # they left out of training.
    less = variant(tiny_run, tmp_path / "less.safetensors", drawn_seed=3, train_limit=1)
    for runs_ in ([tiny_run, less], [less]):
        measured = heatkp("eval", *runs_, "--data", faces, "--split", "all", *out)
        assert measured.exit_code == 0, measured.output
        assert json.loads((tmp_path / "out").read_text())["images"] == 3


def test_one_run_on_samples_of_equal_names(tiny_run, faces, tmp_path):
    text = faces.read_text()
    body = text[text.index("<images>") + 8 : text.index("</images>")]
    twice = faces.with_name("twice.xml")
    twice.write_text(text.replace(body, body + body))
    result = heatkp("eval", tiny_run, "--data", twice, "--split", "all", "--out", tmp_path / "a")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "a").read_text())["images"] == 6
