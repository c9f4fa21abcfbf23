"""`heatkp train --folds`: a run for each fold, and what they find out of fold."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest

import heatkp as package
from heatkp import runs
from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.evaluation.intervals import bootstrap_mean
from heatkp.evaluation.metrics import Errors
from heatkp.evaluation.out_of_fold import (
    OutOfFold,
    joined_folds,
    load_out_of_fold,
    rows_of,
    save_out_of_fold,
    summarise_folds,
)
from heatkp.skeletons import Skeleton
from heatkp.training import fit
from heatkp.training.folds import resume_folds
from tests.conftest import TINY, heatkp
from tests.test_api import SIZE, SMALL, spots

FLAGS = [*TINY, "--epochs", 1, "--head", "softargmax"]


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "faces"
    assert heatkp("data", "synth", folder, "--n", 9, "--size", 64).exit_code == 0
    return folder


@pytest.fixture(scope="module")
def trained(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds") / "run"
    done = heatkp("train", *FLAGS, "--data", faces, "--folds", 3, "--out", folder)
    assert done.exit_code == 0, done.output
    text = " ".join(done.output.split())
    assert "fold 3 of 3" in text and "9 samples of 9 groups" in text
    assert "fold 1: 3 samples" in text and "95 % interval" in text and "disagrees" in text
    return folder


def results_of(folder):
    return json.loads((folder / "folds.json").read_text())


def test_each_sample_is_predicted_by_a_network_that_has_not_seen_it(trained):
    arrays = load_out_of_fold(trained / "out_of_fold.npz")
    assert len(set(arrays["ids"])) == 9 and sorted(arrays["folds"]) == [1] * 3 + [2] * 3 + [3] * 3
    assert arrays["predictions"].shape == arrays["labels"].shape == (9, 68, 2)
    assert arrays["scores"].shape == (9, 68) and len(arrays["point_names"]) == 68
    for fold, run in enumerate(runs.fold_runs(trained), 1):
        data = runs.load_run(run).settings.data
        assert (data.folds, data.fold) == (3, fold)
        held = {s.id for s in package.load_data(data).val}
        assert held == set(arrays["ids"][arrays["folds"] == fold])


def test_what_folds_say_together(trained):
    results = results_of(trained)
    arrays = load_out_of_fold(trained / "out_of_fold.npz")
    assert results["finished"] and results["folds"] == 3 and results["groups"] == 9
    figure = results["figures"]["distance_photo"]
    distance = np.linalg.norm(arrays["predictions"] - arrays["labels"], axis=2)
    assert figure["value"] == pytest.approx(distance[arrays["labelled"]].mean())
    low, high = figure["interval"]
    assert low < figure["value"] < high and figure["std"] > 0
    own = [each["figures"]["distance_photo"] for each in results["each"]]
    assert figure["mean"] == pytest.approx(np.mean(own))
    assert figure["std"] == pytest.approx(np.std(own, ddof=1))
    assert results["metrics"]["images"] == 9
    nme = results["metrics"]["normalised"][results["normaliser"]]["nme"]
    assert results["figures"]["nme"]["value"] == pytest.approx(nme)


def test_the_table_ranks_all_samples(trained):
    with (trained / "folds.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["rank"]) for row in rows] == list(range(1, 10))
    errors = [float(row["error"]) for row in rows]
    assert errors == sorted(errors, reverse=True)
    worst = {each["fold"]: each["disagrees"][0]["id"] for each in results_of(trained)["each"]}
    assert worst[int(rows[0]["fold"])] == rows[0]["id"]
    assert rows[0]["image"].endswith(".png")


def test_a_fold_is_a_run_as_others(trained, tmp_path):
    out = tmp_path / "out.json"
    done = heatkp("eval", trained / "fold-2", "--out", out)
    assert done.exit_code == 0 and json.loads(out.read_text())["images"] == 3
    refused = heatkp("eval", trained, "--out", out)
    assert refused.exit_code == 2 and "fold-1" in refused.output


def test_stopped_folds_go_on(trained, faces, tmp_path, monkeypatch):
    """With the same result as if they had not been stopped."""
    folder, calls, whole = tmp_path / "run", [], fit.fit

    def stopping(prepared, run, *arguments, **more):
        calls.append(run.name)
        if len(calls) == 2:
            raise KeyboardInterrupt(str(run))
        whole(prepared, run, *arguments, **more)

    monkeypatch.setattr(fit, "fit", stopping)
    done = heatkp("train", *FLAGS, "--data", faces, "--folds", 3, "--out", folder)
    assert done.exit_code == 130 and f"--resume {folder}" in done.output
    assert f"--resume {folder}/" not in done.output
    assert results_of(folder) == {"folds": 3, "finished": False}
    done = heatkp("train", "--resume", folder)
    assert done.exit_code == 0, done.output
    assert calls == ["fold-1", "fold-2", "fold-2", "fold-3"]
    first, second = (load_out_of_fold(f / "out_of_fold.npz") for f in (trained, folder))
    assert (first["ids"] == second["ids"]).all()
    np.testing.assert_allclose(first["predictions"], second["predictions"], atol=1e-3)
    done = heatkp("train", "--resume", folder)  # nothing is left to train
    assert done.exit_code == 0 and len(calls) == 4
    done = heatkp("train", "--resume", folder, "--epochs", 2)
    assert done.exit_code == 0 and len(calls) == 7, done.output
    for run in runs.fold_runs(folder):
        assert len((run / runs.HISTORY).read_text().splitlines()) == 3
    done = heatkp("train", "--resume", folder, "--set", "data.fold=2")
    assert done.exit_code == 2 and "data.fold" in done.output


def test_what_cannot_be_cut_into_folds(faces, tmp_path):
    out = tmp_path / "out"
    for flags, word in (
        (["--data", faces, "--folds", 10], "too few for 10 folds"),
        (["--data", faces, "--folds", 1], "--folds"),
        (["--data", faces, "--folds", 3, "--set", f"data.val={faces}"], "leave out val"),
        (["--data", faces, "--folds", 3, "--set", "model.encoder=none"], "none"),
        (["--data", faces, "--folds", 3, "--resume", "x"], "--folds"),
    ):
        done = heatkp("train", *FLAGS, *flags, "--out", out)
        assert done.exit_code == 2 and word in done.output, done.output
        assert not out.exists()


def test_a_damaged_folder_of_folds(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "run")
    for text in ("{", "{}", '{"folds": "3"}', '{"folds": 1}', "[]"):
        (folder / "folds.json").write_text(text)
        with pytest.raises(CheckpointError, match="damaged"):
            resume_folds(folder, None)
    for content in (b"", b"PK", b"\x93NUMPY"):
        (folder / "out_of_fold.npz").write_bytes(content)
        with pytest.raises(DataError):
            load_out_of_fold(folder / "out_of_fold.npz")
    np.savez(folder / "out_of_fold.npz", ids=np.arange(3))
    with pytest.raises(DataError, match="it lacks"):
        load_out_of_fold(folder / "out_of_fold.npz")


def test_from_python_with_samples_in_memory(tmp_path):
    samples = [
        package.Sample(image, points, person=f"p{i // 2}")
        for i, (image, points) in enumerate(spots(8))
    ]
    out = tmp_path / "mine"
    made = package.cross_validate(samples, SIZE, folds=2, skeleton=["tip", "root"], out=out,
                                  head="ce", **SMALL)  # fmt: skip
    assert made.folder == out and len(made.found) == 8 and len(set(made.found.groups)) == 4
    assert [len(run.model.predict(samples[0].image())) for run in made.runs] == [1, 1]
    assert made.results == results_of(out) and made.found.errors.image_points.shape == (8, 2, 2)
    again = package.cross_validate(samples, resume=out, progress=False)
    assert again.results["figures"] == made.results["figures"]
    with pytest.raises(SettingsError, match="given by a program"):
        package.cross_validate(resume=out, progress=False)
    with pytest.raises(SettingsError, match="leave out"):
        package.cross_validate(samples, resume=out, out=out, progress=False)


# What is computed -----------------------------------------------------------------------------

PAIR = Skeleton("pair", ("a", "b"))


def found(offsets, folds, labelled=None, scores=None):
    truth = np.zeros((len(offsets), 2, 2))
    truth[:, 1] = 10
    points = truth.copy()
    points[..., 0] += np.asarray(offsets, np.float64)[:, None]
    labelled = np.ones((len(offsets), 2), bool) if labelled is None else np.array(labelled, bool)
    names = tuple(f"s{i}" for i in range(len(offsets)))
    errors = Errors(
        points, truth, np.broadcast_to(np.eye(2, 3), (len(offsets), 2, 3)), labelled,
        np.tile([0.0, 0.0, 30.0, 40.0], (len(offsets), 1)), (64, 64),
    )  # fmt: skip
    folds = np.asarray(folds)
    return OutOfFold(PAIR, names, names, folds, np.arange(len(offsets)), errors, scores)


def test_errors_and_ranks_by_hand():
    made = found([5.0, np.nan, 1.0, 0.0], [1, 1, 2, 2], [[1, 1], [1, 1], [1, 0], [0, 0]])
    name, lengths = made.normaliser()
    assert name == "box-diagonal" and (lengths == 50).all()
    np.testing.assert_allclose(made.relative, [0.1, np.inf, 0.02, np.nan])
    assert made.ranks.tolist() == [2, 1, 3, 4]
    rows = rows_of(made)
    assert [row["error"] for row in rows] == [pytest.approx(0.1), None, pytest.approx(0.02), None]
    assert rows[1]["point"] == "a" and rows[3]["point"] is None and rows[3]["pixels"] is None
    results = summarise_folds(made)
    assert [each["samples"] for each in results["each"]] == [2, 2]
    assert [row["id"] for each in results["each"] for row in each["disagrees"]] == [
        "s1",
        "s0",
        "s2",
    ]
    assert not results["figures"] and results["each"][0]["figures"]["nme"] is None
    assert results["each"][1]["figures"]["distance_photo"] == pytest.approx(1.0)
    json.dumps(results, allow_nan=False)
    figures = summarise_folds(found([5.0, 3.0, 1.0], [1, 1, 2]))["figures"]
    assert figures["distance_photo"]["value"] == pytest.approx(3.0)
    assert figures["distance_photo"]["mean"] == pytest.approx(2.5)
    assert figures["nme"]["std"] == pytest.approx(np.std([0.08, 0.02], ddof=1))


def test_folds_joined_and_saved(tmp_path):
    scores = np.full((2, 2), 0.5)
    parts = [found([1.0, 2.0], [1, 1], scores=scores), found([3.0, 4.0], [2, 2], scores=scores)]
    whole = joined_folds(parts)
    assert whole.folds.tolist() == [1, 1, 2, 2] and whole.scores.shape == (4, 2)
    assert whole.covariance is None
    save_out_of_fold(tmp_path / "a.npz", whole)
    arrays = load_out_of_fold(tmp_path / "a.npz")
    assert "covariance" not in arrays and str(arrays["normaliser"]) == "box-diagonal"
    np.testing.assert_array_equal(arrays["predictions"], whole.errors.image_points)


def test_intervals_grow_where_groups_are_alike():
    rng = np.random.default_rng(0)
    person = rng.normal(0, 1, 20)
    values = np.repeat(person, 10) + rng.normal(0, 0.1, 200)
    alone = bootstrap_mean(values, np.arange(200))
    grouped = bootstrap_mean(values, np.repeat(np.arange(20), 10))
    assert alone.mean == pytest.approx(values.mean()) == grouped.mean
    assert (grouped.high - grouped.low) > 2 * (alone.high - alone.low)
    # As wide as the normal approximation says, within the bootstrap's own noise.
    expected = 2 * 1.96 * person.std(ddof=1) / np.sqrt(20)
    assert grouped.high - grouped.low == pytest.approx(expected, rel=0.2)


def test_intervals_of_little():
    assert bootstrap_mean([np.nan, 1.0], [0, 1]) == (1.0, None, None)
    assert bootstrap_mean([np.nan], [0]) is None
    assert bootstrap_mean([[1.0, 5.0]], [0], [[True, False]]).mean == 1.0
