"""Trainings on what teachers say, and on images without labels."""

from __future__ import annotations

import csv
import json
import shutil
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

import heatkp.heatmaps as hm
from heatkp import coordinates as co
from heatkp import runs
from heatkp.config import Augmentation, parse_settings, with_keywords
from heatkp.data.boxes import BoxStyle
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.samples import KeypointData, Sample
from heatkp.data.soft_labels import SoftLabels, unlabelled_sample
from heatkp.data.transforms import Framing
from heatkp.engine import Estimate
from heatkp.errors import CheckpointError, SettingsError
from heatkp.inference.batches import Prediction
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import InputImage
from heatkp.skeletons import Skeleton
from heatkp.training import fit, teaching
from heatkp.training.module import KeypointModule
from heatkp.training.processes import Place
from heatkp.training.teachers import Said, Teacher
from tests.conftest import TINY, heatkp, write_image

EYES = Skeleton("eyes", ("left", "right", "nose"), pairs=((0, 1),))
POINTS = np.array([[20.0, 20], [40, 22], [30, 35]], np.float32)


def eyes(count=1, visible=(True, True, True), move=0.0):
    """Labelled samples of a black image."""
    image = np.zeros((60, 80, 3), np.uint8)
    return [Sample(image, POINTS + move * i, visible, id=f"s{i}") for i in range(count)]


def labels_of(samples, points, covariance, **more):
    """Soft labels of one teacher that is as sure of everything."""
    n, k = points.shape[:2]
    values = {
        "ids": tuple(s.id for s in samples),
        "points": points[:, None].astype(np.float32),
        "covariance": covariance[:, None].astype(np.float32),
        "weights": np.ones((n, 1, k), np.float32),
        "trust": np.zeros((n, k), np.float32),
        "label_covariance": np.zeros((k, 2, 2), np.float32),
        "share": 0.25,
    }
    return SoftLabels(**{**values, **more})


def test_targets_go_where_the_points_of_the_image_go():
    (sample,) = eyes()
    spread = np.array([[9.0, 3.0], [3.0, 4.0]])
    soft = labels_of(
        [sample],
        POINTS[None] + 2.0,
        np.broadcast_to(spread, (1, 3, 2, 2)),
        label_covariance=np.broadcast_to(np.diag([4.0, 0.0]), (3, 2, 2)),
    )
    strong = Augmentation(rotation=90, scale=0.3, shear=0.3, flip=0.5)
    framing = Framing((40, 40))
    data = KeypointDataset([sample], EYES, framing, augmentation=strong, soft=soft)
    sides = set()
    for epoch in range(12):
        item = data[(epoch, 0)]
        mixture, matrix = item["mixture"], item["matrix"].numpy()
        assert torch.equal(mixture.points[:, 0], item["points"])
        assert mixture.weights.tolist() == [[0.75, 0.25]] * 3
        flipped = np.linalg.det(matrix[:, :2]) < 0
        sides.add(bool(flipped))
        order = EYES.flip if flipped else slice(None)
        assert np.allclose(mixture.points[:, 1], co.apply(matrix, POINTS + 2)[order], atol=1e-4)
        # A covariance is the mean square of steps, and steps move as points do.
        steps = np.linalg.cholesky(spread).T
        moved = co.apply(matrix, np.vstack([steps, [[0, 0]]]))
        moved = moved[:2] - moved[2]
        assert np.allclose(mixture.covariance[:, 1], moved.T @ moved, rtol=1e-4)
        plain = framing.matrix((80, 60))
        along = co.apply(co.compose(co.invert(plain), matrix), np.array([[2.0, 0], [0, 0]]))
        step = along[0] - along[1]
        assert np.allclose(mixture.covariance[:, 0], np.outer(step, step), atol=1e-4)
    assert sides == {True, False}


def test_labels_and_teachers_share_what_they_know():
    (sample,) = eyes(visible=[True, False, True])
    unlabelled = Sample(np.zeros((60, 80, 3), np.uint8), np.full((3, 2), np.nan), id="u")
    points = np.stack([POINTS, POINTS])
    points[:, 2] = np.nan  # a point that the teacher does not know
    soft = labels_of([sample, unlabelled], points, np.zeros((2, 3, 2, 2)), share=1.0)
    weights, trust = np.array(soft.weights), np.array(soft.trust)
    weights[:, :, 2], trust[1] = 0, [0.5, 0.0, 0.0]
    soft = labels_of(
        [sample, unlabelled], points, np.zeros((2, 3, 2, 2)), share=1.0, weights=weights,
        trust=trust,
    )  # fmt: skip
    data = KeypointDataset([sample, unlabelled], EYES, Framing((40, 40)), soft=soft)
    # Only the teacher; nobody, for a point that is not labelled may be absent; only the label.
    assert data[0]["mixture"].weights.tolist() == [[0, 1], [0, 0], [1, 0]]
    assert data[0]["weights"].tolist() == [1, 0, 1]
    assert data[1]["mixture"].weights.tolist() == [[0, 1], [0, 1], [0, 0]]
    assert data[1]["weights"].tolist() == [0.5, 0, 0]


def test_written_and_read_again(tmp_path):
    file = write_image(tmp_path / "a.png")
    other = unlabelled_sample(file, "u", 3, [1, 2, 30, 40], ImageOptions(orient=True))
    soft = labels_of(
        [*eyes(), other], np.stack([POINTS, POINTS]), np.ones((2, 3, 2, 2)), unlabelled=[other],
        record={"teachers": [{"model": "a"}]},
    )  # fmt: skip
    soft.save(tmp_path / "teacher.npz")
    found = SoftLabels.load(tmp_path / "teacher.npz")
    assert found.ids == soft.ids and found.record == soft.record and found.share == 0.25
    assert np.array_equal(found.points, soft.points)
    (again,) = found.unlabelled
    assert again.rgb().shape == (48, 64, 3) and again.box.tolist() == [1, 2, 30, 40]
    assert again.options.orient and not again.visibility.any()
    content = (tmp_path / "teacher.npz").read_bytes()
    for damaged in (b"", content[: len(content) // 2], content[:300] + b"\0" * 900):
        (tmp_path / "teacher.npz").write_bytes(damaged)
        with pytest.raises(CheckpointError, match="damaged"):
            SoftLabels.load(tmp_path / "teacher.npz")


def test_a_teachers_spread_is_what_its_maps_are_wider_than_certain_ones(tiny_run):
    teacher = Teacher.open(str(tiny_run), Skeleton("nose", ("nose_tip",)), "cpu")
    assert teacher.places.tolist() == [30]
    places = torch.tensor([[[7.3, 8.0], [7.3, 8.0]]])
    sigma = torch.tensor([[[1.0, 1.0], [1.5, 1.0]]])  # of softargmax 1
    maps = hm.render_gaussians(places, (16, 16), sigma).numpy()
    matrix = np.array([[2.0, 0, 1], [0, 2.0, 3]])
    empty = np.zeros((1, 2, 2))
    estimate = Estimate(empty, empty[..., 0], None, matrix[None], matrix[None], maps, 4)
    estimate.points[0] = co.apply(estimate.map_matrix(0), places[0].numpy())
    spread = teacher._spread(estimate, 0)
    # 4 input pixels to a map pixel, half an image pixel to an input pixel.
    assert np.allclose(spread[0], 0, atol=2e-2)
    assert np.allclose(spread[1], np.diag([4 * 1.25, 0]), atol=0.4)  # of a window
    estimate.points[0, 0, 0] += 3  # read at another place than where the map is highest
    assert np.allclose(teacher._spread(estimate, 0)[0], np.diag([9.0, 0]), atol=0.1)


def test_teachers_need_the_same_points_by_name(tiny_run):
    with pytest.raises(CheckpointError, match=r"only the data has 'tail'"):
        Teacher.open(str(tiny_run), Skeleton("mouse", ("nose_tip", "tail")), "cpu")


def judged(said, samples, unlabelled, *assignments):
    """What is made of teachers' words, with a settings' section `teacher`."""
    values = {"models": ["a"], "unlabelled": "folder", **dict(assignments)}
    settings = parse_settings({"data": {"size": [80, 60]}, "teacher": values})
    teachers = [SimpleNamespace(record={"model": "a"}) for _ in said]
    found = teaching.Found(unlabelled, len(unlabelled))
    return teaching._judged(settings, KeypointData(EYES, samples, []), found, teachers, said)


def test_unlabelled_points_are_kept_by_confidence():
    labelled, *rest = eyes(3)
    blank = [Sample(s.image, np.full((3, 2), np.nan), id=s.id) for s in rest]
    points = np.stack([POINTS] * 3).astype(float)
    other = points.copy()
    other[1, 1] += 40  # another place
    scores = np.ones((3, 3))
    low = np.where(np.arange(3) == 2, 0.2, 0.8) * scores
    nothing = np.zeros((3, 3, 2, 2))
    said = [Said(points, nothing, scores), Said(other, nothing, low)]
    soft = judged(said, [labelled], blank, ("min_confidence", 0.7))
    assert np.allclose(soft.trust, [[0, 0, 0], [0.9, 0, 0], [0.9, 0.9, 0]])
    assert np.allclose(soft.weights[1], [[1, 1, 1], [0.8, 0.8, 0.2]])
    counts = soft.record["unlabelled"]
    assert counts["kept_points"] == 3 and counts["points"] == 6 and counts["kept_objects"] == 2
    none = judged(said, [labelled], blank, ("min_confidence", 1.0))
    assert none.unlabelled == [] and none.ids == ("s0",)


def test_label_noise_is_how_labels_differ_from_teachers():
    rng = np.random.default_rng(0)
    samples = [
        Sample(np.zeros((60, 80, 3), np.uint8), POINTS + rng.normal(0, [3, 0.1], (3, 2)), id=f"{i}")
        for i in range(300)
    ]
    said = Said(np.stack([POINTS] * 300).astype(float), np.zeros((300, 3, 2, 2)), np.ones((300, 3)))
    soft = judged([said], samples, [], ("unlabelled", None), ("label_noise", True))
    for covariance in soft.label_covariance:
        assert covariance[0, 0] == pytest.approx(9 * 0.75, rel=0.25)  # without the furthest
        assert abs(covariance[0, 1]) < 0.1 and covariance[1, 1] < 0.02


def test_keywords_of_python():
    values = with_keywords({}, {"teacher": ["runs/a", "face68"], "unlabelled": "images"})
    section = parse_settings(values).teacher
    assert section.models == ["runs/a", "face68"] and section.unlabelled == ["images"]


def test_images_with_labels_are_not_unlabelled(tmp_path):
    files = [write_image(tmp_path / "images" / f"{n}.png", seed=n) for n in range(2)]
    settings = parse_settings({"teacher": {"models": "a", "unlabelled": str(tmp_path / "images")}})
    samples = [Sample(f, POINTS, id=f.stem) for f in files]
    with pytest.raises(SettingsError, match="all 2 have labels, or validate"):
        teaching.find_unlabelled(settings, KeypointData(EYES, samples[:1], samples[1:]), [], None)
    # Nor those that were left out of training, for they show validation images, say.
    data = KeypointData(EYES, samples[:1], [], left_out=samples[1:])
    with pytest.raises(SettingsError, match="all 2 have labels, or validate"):
        teaching.find_unlabelled(settings, data, [], None)


@pytest.mark.parametrize("places", [(2, 0), (2, -1)])
def test_boxes_lie_around_the_students_points(tmp_path, monkeypatch, places):
    """The teacher knows others, too; where it lacks one, its own box is taken."""
    file = write_image(tmp_path / "images" / "a.png")
    settings = parse_settings({
        "teacher": {"models": "a", "unlabelled": str(tmp_path / "images")}, "data": {"crop": "box"},
    })  # fmt: skip
    points, box = POINTS.astype(float), np.array([1.0, 2, 50, 40])
    found = Keypoints(points, np.ones(3), None, EYES, (80, 60), box=box)
    shown = InputImage("a.png", file, np.zeros((60, 80, 3), np.uint8))
    monkeypatch.setattr(teaching, "predictions", lambda *_, **__: [Prediction(shown, [found])])
    predictor = SimpleNamespace(finds_objects=True, ready_for=lambda boxes: boxes)
    teacher = SimpleNamespace(predictor=predictor, places=np.array(places))
    style = BoxStyle((0.0, 0.0), (2.0, 3.0))
    student = Skeleton("two", ("nose", "left"))
    done = teaching.find_unlabelled(settings, KeypointData(student, [], []), [teacher], style)
    expected = box if min(places) < 0 else style.around(points[[2, 0]])
    np.testing.assert_allclose(done.samples[0].box, expected, atol=1e-3)


def test_a_damaged_file_of_what_teachers_said(tmp_path):
    soft = labels_of(eyes(2), np.zeros((2, 3, 2)), np.zeros((2, 3, 2, 2)))
    replace(soft, points=np.zeros((2, 3), np.float32)).save(tmp_path / "teacher.npz")
    with pytest.raises(CheckpointError, match="damaged"):
        SoftLabels.load(tmp_path / "teacher.npz")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--unlabelled", "images"], "--teacher RUN"),
        (["--teacher", "a", "--head", "grouped"], "head grouped"),
        (["--teacher", "a", "--task", "finder"], "choose another head"),
        (["--teacher", "a", "--teacher", "a"], "named once"),
        (["--teacher", "nowhere"], "no run folder or checkpoint nowhere"),
        (["--teacher", "a", "--set", "teacher.weight=0"], "teacher.weight"),
    ],
)
def test_what_cannot_be_is_said(arguments, words):
    done = heatkp("train", *TINY, *arguments)
    assert done.exit_code == 2 and words in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_one_of_several_processes_asks_the_teachers(monkeypatch):
    asked, shared = [], object()
    settings = parse_settings({"teacher": {"models": "a"}, "data": {"train_count": 2}})
    monkeypatch.setattr(fit, "soft_labels", lambda *_: asked.append("teachers") or shared)
    monkeypatch.setattr(fit, "prepare", lambda *arguments: arguments[-1])
    for rank in (0, 1):
        meeting = SimpleNamespace(
            mine=Place(rank, 2, rank, 2), in_turns=nullcontext, share=lambda _: shared
        )
        assert fit.prepare_together(settings, Console(quiet=True), meeting) is shared
        assert asked == ["teachers"]


def rows(run):
    timed = ("seconds", "data_wait")
    with (run / runs.HISTORY).open(newline="") as file:
        return [{k: v for k, v in r.items() if k not in timed} for r in csv.DictReader(file)]


def test_a_killed_training_goes_on_without_its_teachers(tiny_run, crowds, tmp_path, monkeypatch):
    teacher, images = tmp_path / "teacher", tmp_path / "images"
    shutil.copytree(tiny_run, teacher)
    images.mkdir()
    for file in sorted(crowds.glob("**/*.png"))[:3]:
        shutil.copy(file, images)
    shutil.copy(__file__, images / "broken.jpg")
    flags = [
        "train", *TINY, "--set", "data.points=nose", "--set", "data.train_count=5", "--set",
        "data.val_count=4", "--set", "trainer.loggers=none", "--head", "kl",
        "--teacher", teacher, "--unlabelled", images,
        "--set", "teacher.min_confidence=0", "--set", "teacher.max_spread=1",
    ]  # fmt: skip
    done = heatkp(*flags, "--out", tmp_path / "whole")
    said = " ".join(done.output.split())
    assert done.exit_code == 0, done.output
    assert "3 images without labels: 3 objects; 3 of 3 points are kept" in said
    assert "1 images without labels could not be used, such as broken.jpg" in said
    assert "1 of 1 points" in said and "8 training and 4 validation samples" in said
    step = KeypointModule.training_step

    def stopped(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    monkeypatch.setattr(KeypointModule, "training_step", stopped)
    assert heatkp(*flags, "--out", tmp_path / "run").exit_code == 130
    monkeypatch.undo()
    shutil.rmtree(teacher)
    write_image(images / "later.png")
    assert heatkp("train", "--resume", tmp_path / "run").exit_code == 0
    whole, run = tmp_path / "whole", tmp_path / "run"
    assert rows(whole) == rows(run)
    a, b = (runs.load_run(r).model.state_dict() for r in (whole, run))
    assert all(torch.equal(a[k], b[k]) for k in a)
    taught = json.loads((run / runs.METRICS).read_text())["taught"]
    assert taught["teachers"][0]["model"] == str(teacher)
    assert taught["unlabelled"] == {
        "images": 3, "objects": 3, "points": 3, "kept_objects": 3, "kept_points": 3
    }  # fmt: skip
