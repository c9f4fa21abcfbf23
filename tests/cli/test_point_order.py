"""Runs and data that have the same points in another order."""

from __future__ import annotations

import csv
import json
import re

import cv2
import numpy as np
import pytest
import torch

from heatkp import runs
from heatkp.kaggle.forms import read_submission
from heatkp.skeletons import FACE68
from heatkp.training.module import KeypointModule
from tests.cli.test_cli import refused
from tests.cli.test_kaggle import write_imglab
from tests.cli.test_several_runs import variant
from tests.conftest import TINY, heatkp

POINTS = ("nose", "ear", "tail", "paw")
SETTINGS = [*TINY, "--head", "nll", "--batch-size", 4, "--set", "augmentation.flip=0"]


def write_table(folder, names, count=12):
    """Dots with names in a CSV file, its columns in the order of the names."""
    folder.mkdir(exist_ok=True)
    rng = np.random.default_rng(0)
    rows = []
    for i in range(count):
        places = dict(zip(POINTS, rng.uniform(8, 56, (len(POINTS), 2))))
        image = np.full((64, 64, 3), 30, np.uint8)
        for k, (x, y) in enumerate(places.values()):
            cv2.circle(image, (round(x), round(y)), 4, (60 * k, 255 - 60 * k, 128), -1)
        assert cv2.imwrite(str(folder / f"{i:02d}.png"), image)
        rows.append([f"{i:02d}.png", *(v for name in names for v in places[name])])
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image", *(f"{name}_{axis}" for name in names for axis in "xy")])
        writer.writerows(rows)
    return folder


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Two runs on the same images, with their points in different orders."""
    folder = tmp_path_factory.mktemp("order")
    for name, points in (("a", POINTS[:3]), ("b", POINTS[2::-1])):
        data = write_table(folder / name, points)
        done = heatkp("train", *SETTINGS, "--data", data, "--out", folder / f"run-{name}")
        assert done.exit_code == 0, done.output
    return folder


def measured(*arguments, out):
    done = heatkp("eval", *arguments, "--split", "all", "--out", out)
    assert done.exit_code == 0, done.output
    found = json.loads(out.read_text())
    return found["mae_photo"], {p["name"]: p["mae_photo"] for p in found["points"]}


def test_other_data_is_matched_by_name(trained, tmp_path):
    run, out = trained / "run-a", tmp_path / "out.json"
    own = measured(run, "--data", trained / "a", out=out)
    assert measured(run, "--data", trained / "b", out=out) == own
    assert [p["name"] for p in json.loads(out.read_text())["points"]] == list(POINTS[:3])
    said = heatkp("eval", run, "--data", trained / "b", "--split", "all", "--out", out).output
    assert "matched by name" in said


def test_points_that_differ_are_named(trained, tmp_path):
    four = write_table(tmp_path / "four", POINTS)
    two = write_table(tmp_path / "two", ("tail", "paw"))
    refused(["eval", trained / "run-a", "--data", four], "only the data has 'paw'")
    refused(["eval", trained / "run-a", "--data", two], "only the data has 'paw'", "'nose', 'ear'")


def test_a_run_of_some_points_finds_them_by_name(trained, tmp_path):
    """Its settings choose them by their numbers in the data that it was trained on."""
    run, out = tmp_path / "some", tmp_path / "out.json"
    some = [
        "--set",
        "data.points=[0,2,3]",
        "--data",
        write_table(tmp_path / "own", POINTS),
        "--epochs",
        1,
    ]
    assert heatkp("train", *SETTINGS, *some, "--out", run).exit_code == 0
    own = measured(run, "--data", tmp_path / "own", out=out)
    four = write_table(tmp_path / "four", ("ear", "tail", "nose", "paw"))
    assert measured(run, "--data", four, out=out) == own
    assert heatkp("viz", "points", run, "--out", tmp_path / "p.png").exit_code == 0


def test_several_runs_are_put_in_the_first_ones_order(trained, tmp_path):
    out = tmp_path / "out.json"
    both = [trained / "run-a", trained / "run-b"]
    one, two = (measured(*pair, out=out) for pair in (both, both[::-1]))
    assert one[0] == pytest.approx(two[0], abs=1e-4)
    assert one[1] == pytest.approx(two[1], abs=1e-4)
    own = measured(both[1], "--data", trained / "b", out=out)
    same = runs.load_run(both[1]).in_order_of(runs.load_run(both[0]).skeleton, "a", "b")
    runs.save_weights(tmp_path / "b.safetensors", same.model,
                      runs.describe(same.settings, same.skeleton))  # fmt: skip
    again = measured(tmp_path / "b.safetensors", "--data", trained / "a", out=out)
    assert again[1] == pytest.approx(own[1], abs=1e-4)


def test_a_report_compares_the_same_points(trained, tmp_path):
    page = tmp_path / "page.html"
    done = heatkp("report", trained / "run-a", trained / "run-b", "--out", page)
    assert done.exit_code == 0, done.output
    assert re.search(r'"points": ?\["nose", ?"ear", ?"tail"\]', page.read_text())


def test_a_training_goes_on_from_another_order(trained, tmp_path):
    flags = ["--data", trained / "b", "--epochs", 1, "--lr", 1e-12, "--set", "trainer.ema=0"]
    start = ["--set", f"model.init={trained / 'run-a'}"]
    done = heatkp("train", *SETTINGS, *flags, *start, "--out", tmp_path / "run")
    assert done.exit_code == 0, done.output
    a, b = (runs.load_run(r).model for r in (trained / "run-a", tmp_path / "run"))
    for name in ("map_layer.convolution.weight", "map_layer.convolution.bias", "head.log_sigma"):
        assert torch.allclose(b.get_parameter(name), a.get_parameter(name).flip(0)), name


def test_labels_in_another_order_do_not_change_a_resumed_run(trained, tmp_path, monkeypatch):
    data, run = write_table(tmp_path / "data", POINTS[:3]), tmp_path / "run"
    step = KeypointModule.training_step

    def interrupted(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(KeypointModule, "training_step", interrupted)
    assert heatkp("train", *SETTINGS, "--data", data, "--out", run).exit_code == 130
    monkeypatch.undo()
    write_table(data, POINTS[1:])
    refused(["train", "--resume", run], "only", "'nose'", "'paw'")
    write_table(data, POINTS[2::-1])
    done = heatkp("train", "--resume", run)
    assert done.exit_code == 0, done.output
    a, b = (runs.load_run(r).model.state_dict() for r in (trained / "run-a", run))
    assert all((a[k] == b[k]).all() for k in a)


def test_a_submission_has_the_order_of_the_file(tiny_run, tmp_path):
    from heatkp.data.drawn import drawn_sample

    faces = write_imglab(tmp_path, [drawn_sample(5, i, FACE68, 96) for i in range(2)])
    order = [*range(67, -1, -1)]
    turned = variant(tiny_run, tmp_path / "turned.safetensors", skeleton=FACE68.subset(order))
    plain = variant(tiny_run, tmp_path / "plain.safetensors")
    found = []
    for run in (plain, turned):
        done = heatkp("eval", run, "--kaggle", "--data", faces, "--out", tmp_path / "s.csv")
        assert done.exit_code == 0, done.output
        found.append(read_submission(tmp_path / "s.csv", 2, 68))
    # The same maps, called by the names of the others.
    np.testing.assert_allclose(found[1], found[0][:, order], atol=0.011)
