"""Runs whose data was changed since."""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict

import pytest

from heatkp import runs
from heatkp.data.drawn import drawn_sample
from heatkp.data.samples import fingerprint
from heatkp.skeletons import FACE68, restored
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run, and the folder of faces that it was trained on."""
    folder = tmp_path_factory.mktemp("kept")
    faces, run = folder / "faces", folder / "run"
    assert heatkp("data", "synth", faces, "--n", 20, "--size", 64).exit_code == 0
    done = heatkp("train", *TINY, "--epochs", 1, "--data", faces, "--out", run)
    assert done.exit_code == 0, done.output
    return run, faces


def test_samples_that_may_have_trained_a_run_are_not_validation(trained, tmp_path):
    run, faces = trained
    labels = faces / "annotations.json"
    whole = labels.read_text()
    assert heatkp("eval", run).exit_code == 0
    content = json.loads(whole)
    content["annotations"] = content["annotations"][:-3]
    try:
        labels.write_text(json.dumps(content))
        for command in ("eval", "report", "viz-heatmaps"):
            refused([command, run], "held back other samples", "--data")
        assert heatkp("eval", run, "--data", faces, "--split", "all").exit_code == 0
        cut = shutil.copytree(run, tmp_path / "cut")
        (cut / runs.METRICS).unlink()
        refused(["train", "--resume", cut], "held back other samples")
    finally:
        labels.write_text(whole)


def test_runs_of_before_are_measured_as_ever(trained, tmp_path):
    run, _ = trained
    loaded = runs.load_run(run)
    path = tmp_path / "old.safetensors"
    runs.save_weights(path, loaded.model, runs.describe(loaded.settings, loaded.skeleton))
    assert runs.load_run(path).validation is None
    assert heatkp("eval", path, "--out", tmp_path / "a.json").exit_code == 0


def test_layouts_stored_without_sides(tiny_run):
    loaded = runs.load_run(tiny_run)
    description = runs.describe(loaded.settings, FACE68)
    for indices, unpaired in ((range(68), []), ([36, 39, 33], [0, 1]), ([36, 45], [])):
        description["skeleton"] = asdict(FACE68.subset(list(indices)))
        del description["skeleton"]["unpaired"]
        assert list(restored(description["skeleton"]).unpaired) == unpaired
    description["skeleton"] |= {"name": "points3", "point_names": ["a", "left_b", "right_b"]}
    assert list(restored(description["skeleton"]).unpaired) == []
    description["skeleton"]["pairs"] = []
    description["skeleton"]["point_names"] = ["1", "2", "3"]
    assert list(restored(description["skeleton"]).unpaired) == [0, 1, 2]


def test_fingerprint():
    a, b, c = (drawn_sample(0, i, FACE68, 64) for i in range(3))
    assert fingerprint([a, b]) == fingerprint([b, a]) != fingerprint([a, c])
