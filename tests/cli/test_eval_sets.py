"""`heatkp eval --data` and `--split`: which samples are measured."""

from __future__ import annotations

import json
import shutil

import pytest

from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp

FLAGS = [*TINY, "--epochs", 1]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Two sets of drawn faces."""
    folder = tmp_path_factory.mktemp("sets")
    for name, count, seed in (("first", 8, 0), ("second", 5, 1)):
        done = heatkp("data", "synth", folder / name, "--n", count, "--size", 64, "--seed", seed)
        assert done.exit_code == 0, done.output
    return folder


@pytest.fixture(scope="module")
def run(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sets") / "run"
    done = heatkp("train", *FLAGS, "--data", faces / "first", "--set",
                  f"data.test={faces / 'second'}", "--out", folder)  # fmt: skip
    assert done.exit_code == 0, done.output
    return folder


def measured(run, *flags, out):
    done = heatkp("eval", run, *flags, "--out", out)
    assert done.exit_code == 0, done.output
    return json.loads(out.read_text()), " ".join(done.output.split())


def test_all_of_other_data_is_measured(run, faces, tmp_path):
    out = tmp_path / "out.json"
    metrics, text = measured(run, "--data", faces / "second", out=out)
    assert (metrics["images"], metrics["split"]) == (5, "all") and "all of second" in text
    assert "was trained on" not in text
    one = tmp_path / "one"  # too little to be split
    shutil.copytree(faces / "second", one)
    content = json.loads((one / "annotations.json").read_text())
    keep = content["images"][0]
    content["images"] = [keep]
    content["annotations"] = [a for a in content["annotations"] if a["image_id"] == keep["id"]]
    (one / "annotations.json").write_text(json.dumps(content))
    assert measured(run, "--data", one, out=out)[0]["images"] == 1
    refused(["eval", run, "--data", one, "--split", "test", "--out", out], "no test samples")


def test_the_test_part_is_measured(run, faces, tmp_path):
    out = tmp_path / "out.json"
    metrics, _ = measured(run, "--split", "test", out=out)
    assert (metrics["images"], metrics["split"]) == (5, "test")
    whole, _ = measured(run, "--data", faces / "second", out=out)
    assert whole["distance_photo"] == pytest.approx(metrics["distance_photo"])
    assert measured(run, "--split", "all", out=out)[0]["images"] == 13


def test_a_runs_own_data_named_again_is_not_other_data(run, faces, tmp_path):
    """Its training samples are not measured unless they are asked for."""
    out = tmp_path / "out.json"
    own, _ = measured(run, out=out)
    again, _ = measured(run, "--data", faces / "first", out=out)
    assert (own["images"], own["split"]) == (again["images"], again["split"]) == (2, "val")
    assert own["distance_photo"] == pytest.approx(again["distance_photo"])
    moved = shutil.copytree(faces / "first", tmp_path / "moved")
    metrics, text = measured(run, "--data", moved, out=out)
    assert metrics["images"] == 8 and "was trained on 6 of these samples" in text
    held, _ = measured(run, "--data", moved, "--split", "val", out=out)
    assert held["distance_photo"] == pytest.approx(own["distance_photo"])


def test_a_run_without_a_test_part(tiny_run, tmp_path):
    out = tmp_path / "out.json"
    refused(["eval", tiny_run, "--split", "test", "--out", out], "no test samples", "data.test",
            out=out)  # fmt: skip


def test_published_splits_train_and_test(formats_folder, tmp_path):
    run = tmp_path / "run"
    done = heatkp("train", *FLAGS, "--data", formats_folder / "roboflow_coco", "--out", run)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "the labels' own (data.split=file): 4 samples train, 1 validate" in text
    out = tmp_path / "out.json"
    assert measured(run, "--split", "test", out=out)[0]["images"] == 1
    other = formats_folder / "yolo_pose"
    assert measured(run, "--data", other, out=out)[0]["images"] == 4
    assert measured(run, "--data", other, "--split", "val", out=out)[0]["images"] == 1
