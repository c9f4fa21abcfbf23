"""`heatkp data suggest` on drawn faces and a video."""

from __future__ import annotations

import csv
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest

import heatkp as heatkp_package
from heatkp.checking.looking import REASONS, Looked, in_time
from heatkp.checking.suggesting import rank, suggest
from heatkp.data.sets import read_labels
from heatkp.data.synthetic import draw_face
from heatkp.errors import DataError, SettingsError, UnknownNameError
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import load_model
from heatkp.registry import LABEL_WRITERS
from heatkp.skeletons import SKELETONS, Skeleton
from tests.conftest import TINY, heatkp

ENCODER = "tu-mobilenetv3_small_050"
TWO = Skeleton("two", ("a", "b"))


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """Six faces, of which two are one image, in a folder, and a video of three more."""
    folder = tmp_path_factory.mktemp("images")
    for i in range(6):
        face = draw_face(5, min(i, 4), 64).image
        cv2.imwrite(str(folder / f"face{i}.png"), face[:, :, ::-1])
    video = cv2.VideoWriter(str(folder / "clip.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 64))
    for i in range(12):
        video.write(np.ascontiguousarray(draw_face(5, 10 + i // 4, 64).image[:, :, ::-1]))
    video.release()
    return folder


def rows(folder):
    with (folder / "suggestions.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("form", ["coco", "labelme", "cvat"])
def test_command(tiny_run, images, tmp_path, form):
    out = tmp_path / "next"
    done = heatkp("data", "suggest", tiny_run, images, "-n", 5, "--gap", 3, "--to", form,
                  "--with", tiny_run, "--out", out)  # fmt: skip
    assert done.exit_code == 0, done.output
    found = rows(out)
    assert [row["rank"] for row in found] == ["1", "2", "3", "4", "5"]
    assert len({row["image"] for row in found}) == 5
    frames = sorted(int(row["frame"]) for row in found if row["frame"])
    assert all(b - a > 3 for a, b in pairwise(frames))
    for row in found:
        assert 0 <= float(row["doubt"]) <= 1 and row["reason"] in REASONS
        assert float(row["score"]) > 0 and float(row["flip"]) > 0
        assert float(row["members"]) == 0
    labels = read_labels(out / form / LABEL_WRITERS[form].read_from)
    assert len(labels.samples) == 5
    assert set(labels.skeleton.point_names) == set(SKELETONS["face68"].point_names)


def test_of_two_equal_images_one_is_taken_first(tiny_run, images, tmp_path):
    files = [images / f"face{i}.png" for i in (3, 4, 5)]
    done = suggest(load_model(tiny_run), files, tmp_path / "out", count=2)
    names = {s.looked.name for s in done.suggestions}
    assert "face3.png" in names and len(names) == 2


def test_what_is_refused(tiny_run, images, tmp_path):
    model = load_model(tiny_run)
    with pytest.raises(SettingsError):
        suggest(model, images, images)
    with pytest.raises(SettingsError):
        suggest([], images, tmp_path / "out")
    with pytest.raises(DataError):
        suggest(model, tmp_path / "nothing", tmp_path / "out")
    with pytest.raises(UnknownNameError):
        suggest(model, images, tmp_path / "out", ["no_format"])
    assert not (tmp_path / "out").exists()


def test_a_regression_head_tells_by_mirrored_images_alone(images, tmp_path):
    network = heatkp_package.create_model("regression", points=68, encoder=ENCODER)
    model = heatkp_package.Predictor(network, skeleton="face68")
    files = [images / "face0.png", images / "face1.png"]
    done = suggest(model, files, tmp_path / "out", count=2)
    assert [set(s.looked.reasons) for s in done.suggestions] == [{"flip"}] * 2
    network = heatkp_package.create_model("regression", points=3, encoder=ENCODER)
    alone = heatkp_package.Predictor(network, names=["a", "b", "c"])
    with pytest.raises(SettingsError):
        suggest(alone, files, tmp_path / "other")


def looked(number, points, score=0.5, video="v.avi"):
    found = Keypoints(np.array(points, float), np.full(2, score), None, TWO, (100, 100))
    thumbnail = np.random.default_rng(number).normal(size=(16, 16))
    name = f"{video}/{number}"
    return Looked(name, Path(video), number, None, [found], {"score": 1 - score}, thumbnail,
                  (100, 100))  # fmt: skip


def test_a_jump_between_frames_is_a_reason():
    still = [[10, 10], [30, 10]]
    every = [looked(i, still) for i in range(7)]
    every[3] = looked(3, [[10, 40], [30, 40]])
    with_time = in_time(every)
    figures = [one.reasons.get("neighbours") for one in with_time]
    assert figures[0] is None and figures[6] is None
    assert np.argmax(figures[1:6]) == 2 and figures[3] == pytest.approx(3)
    best = rank(with_time, 1)[0]
    assert (best.looked.frame, best.reason) == (3, "neighbours")


def test_low_scores_come_first():
    every = [looked(i, [[10, 10], [30, 10 + i]], score=0.9 - 0.1 * i) for i in range(5)]
    assert [s.looked.frame for s in rank(every, 1)] == [4]
    assert len(rank(every, 9, gap=1)) == 3


def test_labelled_images_are_left_out(tiny_run, tmp_path):
    """A run whose own images are given has nothing to suggest."""
    faces = tmp_path / "faces"
    assert heatkp("data", "synth", "--n", 12, "--size", 64, faces).exit_code == 0
    run = tmp_path / "run"
    done = heatkp("train", *TINY, "--epochs", 1, "--data", faces, "--out", run)
    assert done.exit_code == 0, done.output
    with pytest.raises(DataError):
        suggest(load_model(run), faces, tmp_path / "out")
