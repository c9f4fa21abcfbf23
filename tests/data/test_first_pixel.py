"""Labels that count pixels from another number than their format (`data.first_pixel`)."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest

from heatkp.config import parse_settings
from heatkp.data.drawn import drawn_sample
from heatkp.data.readers import read
from heatkp.data.sets import read_labels
from heatkp.data.writers import write_labels
from heatkp.errors import SettingsError
from heatkp.evaluation.measure import in_own_format, measure_runs
from heatkp.kaggle.submit import submit
from heatkp.skeletons import FACE68
from tests.cli.test_kaggle import write_imglab
from tests.conftest import TINY, heatkp

TRAINED = [*TINY[4:], "--set", "data.crop=box", "--set", "data.cache=none", "--epochs", "1"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The same faces twice, whose points count from 0 and from 1."""
    drawn = [drawn_sample(5, i, FACE68, 64) for i in range(8)]
    drawn = [replace(s, points=np.round(s.points)) for s in drawn]
    moved = [replace(s, points=s.points + 1) for s in drawn]
    folder = tmp_path_factory.mktemp("faces")
    return write_imglab(folder / "zero", drawn), write_imglab(folder / "one", moved)


@pytest.fixture(scope="module")
def runs(faces, tmp_path_factory):
    """Runs on both, which are told what they count from."""
    folder = tmp_path_factory.mktemp("runs")
    for name, path, more in zip(("zero", "one"), faces, ([], ["--set", "data.first_pixel=1"])):
        result = heatkp("train", "--data", path, *TRAINED, *more, "--out", folder / name)
        assert result.exit_code == 0, result.output
    return folder / "zero", folder / "one"


def test_points_are_moved_and_boxes_stay(faces):
    zero, one = read(faces[0]), read(faces[1], first_pixel=1)
    assert "first_pixel" in " ".join(one.notes) and "first_pixel" not in " ".join(zero.notes)
    for a, b in zip(zero.samples, one.samples, strict=True):
        np.testing.assert_array_equal(a.points, b.points)
        np.testing.assert_array_equal(a.box, b.box)
    assert read(faces[0], first_pixel=0).notes == zero.notes  # what the format says


def test_what_the_format_counts_from_is_known(faces, tmp_path):
    write_labels(read_labels(faces[0]), tmp_path / "pts", "pts")  # which counts from 1
    zero, same = read(faces[0]).samples[0].points, read(tmp_path / "pts", first_pixel=1)
    np.testing.assert_allclose(same.samples[0].points, zero, atol=1e-3)
    from_zero = read(tmp_path / "pts", first_pixel=0).samples[0].points
    np.testing.assert_allclose(from_zero, zero + 1, atol=1e-3)


def test_formats_that_do_not_count_from_the_upper_left(faces, tmp_path):
    write_labels(read_labels(faces[0]), tmp_path / "yolo", "yolo")
    with pytest.raises(SettingsError, match=r"first_pixel=1.*yolo"):  # fractions
        read(tmp_path / "yolo", first_pixel=1)
    with pytest.raises(SettingsError, match=r"first_pixel=1.*upwards"):
        read(faces[0], first_pixel=1, y_up=True)


def test_a_run_is_that_of_labels_which_count_from_0(runs):
    zero, one = (json.loads((run / "metrics.json").read_text()) for run in runs)
    assert zero["mae_photo"] == one["mae_photo"] and zero["points"] == one["points"]


def test_a_submission_counts_as_the_labels_do(runs, faces, tmp_path):
    done = [submit(run, path, tmp_path / "of.csv") for run, path in zip(runs, faces)]
    assert done[0].score is not None and done[1].score is not None
    assert done[0].score["rmse"] == pytest.approx(done[1].score["rmse"], abs=1e-6)
    # What counts from 1 is a pixel further to the right and down.
    away = (
        submit(runs[1], faces[1], tmp_path / "one.csv"),
        submit(runs[0], faces[0], tmp_path / "0.csv"),
    )
    one, zero = (
        np.array([float(r["Predicted"]) for r in csv.DictReader(d.path.open())]) for d in away
    )
    np.testing.assert_allclose(one, zero + 1, atol=2e-3)


def test_other_data_of_the_same_format_counts_as_the_runs_own(runs, faces, tmp_path):
    zero, one = (measure_runs(run, data=path, split="all") for run, path in zip(runs, faces))
    assert zero["mae_photo"] == pytest.approx(one["mae_photo"], abs=1e-6)
    write_labels(read_labels(faces[0]), tmp_path / "coco", "coco")
    coco = measure_runs(runs[1], data=tmp_path / "coco", split="all")
    assert coco["mae_photo"] == pytest.approx(zero["mae_photo"], abs=2e-3)


def test_commands_take_it(faces, tmp_path):
    made = heatkp("data", "convert", faces[1], "--first-pixel", 1, "--to", "coco",
                  "--out", tmp_path / "coco")  # fmt: skip
    assert made.exit_code == 0, made.output
    np.testing.assert_allclose(
        read(tmp_path / "coco").samples[0].points, read(faces[0]).samples[0].points, atol=1e-3
    )
    assert heatkp("data", "convert", faces[1], "--first-pixel", 7, "--to", "coco",
                  "--out", tmp_path / "no").exit_code == 2  # fmt: skip


def test_data_that_is_given_as_training_files_counts_as_their_format(faces, tmp_path):
    settings = parse_settings({"data": {"train": [str(faces[1])], "val": [str(faces[1])],
                                        "first_pixel": 1}}).data  # fmt: skip
    assert in_own_format(settings, str(faces[0]))
    write_labels(read_labels(faces[0]), tmp_path / "coco", "coco")
    assert not in_own_format(settings, str(tmp_path / "coco"))


def test_validation_samples_in_another_format_count_as_that(runs, faces, tmp_path):
    """With the names of the run's own, so that its split is taken."""
    write_labels(read_labels(faces[0]), tmp_path / "table", "csv")
    (file,) = (tmp_path / "table").glob("*.csv")
    own = measure_runs(runs[1], data=faces[1], split="val")
    other = measure_runs(runs[1], data=file, split="all")
    again = measure_runs(runs[1], data=file, split="val")
    zero = measure_runs(runs[0], data=file, split="val")
    assert again["images"] == zero["images"] and own["images"] <= other["images"]
    assert again["mae_photo"] == pytest.approx(zero["mae_photo"], abs=2e-3)


def test_results_are_scored_against_labels_that_count_from_1(runs, faces, tmp_path):
    images = faces[1].parent
    for run, path, more in zip(runs, faces, ([], ["--first-pixel", 1])):
        done = heatkp("predict", images, "--model", run, "--boxes", path, "--format", "coco",
                      "--no-images", "--out", tmp_path / run.name)  # fmt: skip
        assert done.exit_code in (0, 1), done.output
        scored = heatkp("score", tmp_path / run.name / "coco.json", path, "--json", *more)
        assert scored.exit_code == 0, scored.output
        (tmp_path / f"{run.name}.json").write_text(scored.output)
    zero, one = (json.loads((tmp_path / f"{n}.json").read_text()) for n in ("zero", "one"))
    assert zero == one
    write_labels(read_labels(faces[0]), tmp_path / "coco", "coco")
    (file,) = (tmp_path / "coco").glob("*.json")
    wrong = heatkp("score", tmp_path / "zero" / "coco.json", file, "--first-pixel", 1)
    assert wrong.exit_code == 2 and "--first-pixel" in wrong.output
