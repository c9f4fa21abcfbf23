"""`heatkp data check` on drawn faces: findings, page, table; what is said of training samples."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

from heatkp.checking import check_labels
from heatkp.checking.check import judge, write_check
from heatkp.checking.drawing import SIDE, draw, region
from heatkp.checking.held_out import HeldOut, held_out, independent_groups
from heatkp.data.drawn import drawn_sample
from heatkp.data.images import ImageFile
from heatkp.data.samples import Sample
from heatkp.errors import CheckpointError
from heatkp.evaluation.out_of_fold import load_out_of_fold
from heatkp.skeletons import SKELETONS
from tests.conftest import TINY, heatkp

FACE = SKELETONS["face68"]
NAME = '<script>"&\u202e\n\udce9'


@pytest.fixture
def held():
    """Drawn faces, of which one has its sides exchanged; one has a hostile name."""
    samples = [drawn_sample(0, i, FACE, 64) for i in range(12)]
    samples[4] = replace(samples[4], points=samples[4].points[FACE.flip])
    samples[4] = replace(samples[4], id=NAME)
    rng = np.random.default_rng(0)
    found = np.stack([drawn_sample(0, i, FACE, 64).points for i in range(12)]).astype(float)
    found += rng.normal(0, 0.5, found.shape)
    return HeldOut(FACE, samples, found, np.zeros(found.shape[:2]), np.zeros(12, bool))


def test_page_and_tables(held, tmp_path):
    checked = judge(held)
    assert (checked.findings[0].sample, checked.findings[0].kind) == (4, "sides")
    page, table, figures = write_check(checked, tmp_path / "out" / "check", NAME, count=3)
    html = page.read_text(encoding="utf-8")
    assert "<script" not in html and "\u202e" not in html
    assert "&lt;script&gt;" in html
    assert html.count("data:image/webp") == min(3, len(checked.findings))
    rows = list(csv.DictReader(table.open(encoding="utf-8", newline="")))
    assert [int(row["rank"]) for row in rows] == list(range(1, len(checked.findings) + 1))
    assert rows[0]["kind"] == "sides"
    assert len(rows[0]["points"].split(";")) == len(rows[0]["labels"].split(";"))
    values = json.loads(figures.read_text())
    assert values["samples"] == 12 and not values["shift"]["found"]
    write_check(checked, tmp_path / "out" / "check", NAME)  # again, in its place


def test_an_image_that_cannot_be_read_is_left_out(held, tmp_path):
    held.samples[4] = replace(held.samples[4], image=ImageFile(tmp_path / "gone.png"))
    page, *_ = write_check(judge(held), tmp_path, "run", count=1)
    assert "data:image/webp" not in page.read_text(encoding="utf-8")


def test_drawn_images_show_what_is_wrong():
    labels = np.array([[10.0, 10], [90, 10], [50, 90]])
    found = labels.copy()
    found[0] += 4
    image = np.zeros((100, 100, 3), np.uint8)
    assert draw(image, labels, found, [0]).shape == (SIDE, SIDE, 3)
    near, whole = region(labels, found, [0]), region(labels, found, [0, 1, 2])
    assert near[2] - near[0] < (whole[2] - whole[0]) / 2
    assert near[0] < 10 and near[2] > 14
    nothing = np.full((3, 2), np.nan)
    draw(image, labels, nothing, [0])


def test_groups_of_errors():
    image = np.zeros((2, 2, 3), np.uint8)
    point = [[0, 0]]
    alone = [Sample(image, point, id=str(i)) for i in range(2)]
    pair = [Sample(image, point, id=f"p{i}", person="p") for i in range(2)]
    frames = [
        Sample(image, point, id=f"{t}{n}", source_image=f"f{n}", video="v", frame=n, track=t)
        for t in "ab"
        for n in (0, 49, 50)
    ]
    groups = independent_groups([*alone, *pair, *frames])
    assert len(set(groups)) == 2 + 1 + 4


def test_command(tiny_run, tmp_path):
    done = heatkp("data", "check", tiny_run, "--out", tmp_path / "check")
    assert done.exit_code == 0, done.output
    assert "constant shift" in done.output and "headings" in done.output
    assert (tmp_path / "check" / "check.html").is_file()
    assert json.loads((tmp_path / "check" / "check.json").read_text())["samples"] == 12


def test_training_samples_are_said_to_be_so(tiny_run):
    checked = check_labels([tiny_run], every=True)
    assert checked.held.trained.sum() == 24 and len(checked.held.samples) == 36
    assert any("24 of 36" in note for note in checked.notes)


@pytest.fixture(scope="module")
def folds(tmp_path_factory):
    place = tmp_path_factory.mktemp("folds")
    assert heatkp("data", "synth", place / "faces", "--n", 8, "--size", 64).exit_code == 0
    done = heatkp("train", *TINY, "--epochs", 1, "--data", place / "faces", "--folds", 2,
                  "--out", place / "run")  # fmt: skip
    assert done.exit_code == 0, done.output
    return place / "run"


def test_folds_tell_of_all_samples(folds):
    held = held_out([str(folds)])
    assert len(held.samples) == 8 and not held.trained.any() and held.flipped
    arrays = load_out_of_fold(folds / "out_of_fold.npz")
    where = dict(zip(arrays["ids"].tolist(), arrays["predictions"]))
    # By the same network; but these are means of what it finds in mirrored images, too.
    off = [np.abs(where[s.id] - f).max() for s, f in zip(held.samples, held.found)]
    assert 0 < max(off) < 64
    done = heatkp("data", "check", folds)
    assert done.exit_code == 0, done.output
    assert (folds / "check" / "check.html").is_file()


def test_folds_on_other_data_are_members(folds, tmp_path):
    assert heatkp("data", "synth", tmp_path / "more", "--n", 3, "--size", 64, "--seed", 9,
                  ).exit_code == 0  # fmt: skip
    held = held_out([str(folds)], str(tmp_path / "more"))
    assert len(held.samples) == 3 and held.spread.min() > 0 and not held.trained.any()


def test_folds_without_predictions(folds, tmp_path):
    shutil.copytree(folds, tmp_path / "run")
    (tmp_path / "run" / "out_of_fold.npz").unlink()
    with pytest.raises(CheckpointError):
        held_out([str(tmp_path / "run")])


def test_two_runs_tell_together(tiny_run):
    one, two = check_labels(tiny_run), check_labels([tiny_run, tiny_run])
    assert np.allclose(one.held.found, two.held.found)
    assert two.held.spread.max() < 1e-6
