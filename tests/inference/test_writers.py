from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import heatkp
from heatkp.data.readers import read
from heatkp.data.readers.pts import parse_pts
from heatkp.errors import DataError
from heatkp.inference.drawing import DrawnImages
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.writers import WRITERS, About, BaseWriter, Names, register_writer
from heatkp.inference.writers.coco import CocoTable
from heatkp.inference.writers.csv import CsvTable
from heatkp.inference.writers.json import JsonTable
from heatkp.inference.writers.pts import PtsFiles
from heatkp.skeletons import FACE68, Skeleton
from tests.conftest import write_image

PAWS = Skeleton("mouse", ("left_paw", "right paw,hind", "nose"), lines=((0, 1, 2),))


def keypoints(skeleton=FACE68, seed=0, box=True, spread=True, size=(64, 48)):
    rng = np.random.default_rng(seed)
    k = len(skeleton)
    half = rng.normal(size=(k, 2, 2))
    return Keypoints(
        points=rng.uniform(-5, 60, (k, 2)),
        scores=rng.uniform(0, 1, k),
        covariance=half @ half.transpose(0, 2, 1) if spread else None,
        skeleton=skeleton,
        image_size=size,
        box=np.array([1.5, 2.25, 40.0, 41.0]) + seed if box else None,
        box_score=0.75 if box else None,
    )


def input_image(path, **more):
    write_image(path)
    image = np.ascontiguousarray(cv2.imread(str(path))[:, :, ::-1])
    return InputImage(more.pop("name", path.name), path, image, **more)


def frame(path, number, image):
    return InputImage(f"{path.name}/{number:06d}", path, image, 1, number, number / 10, 10.0)


def about(skeleton=FACE68):
    return About("face68", skeleton, {"boxes": "faces"})


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "out").mkdir()
    return tmp_path / "out"


def written(writer, entries, failures=(), complete=True):
    for entry in entries:
        writer.add(*entry)
    return writer.finish(list(failures), complete)


def test_paths_lead_out_of_a_folder_that_is_a_link(tmp_path):
    (tmp_path / "disk" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk" / "deep")
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((48, 64, 3), np.uint8))
    entries = [(input_image(tmp_path / "a.png"), [keypoints()])]
    table = CocoTable(tmp_path / "link", about())
    written(table, entries)
    assert read(tmp_path / "link" / "coco.json").samples[0].file.is_file()


def test_json(folder, tmp_path):
    objects = [keypoints(seed=s) for s in (0, 1)]
    entries = [(input_image(tmp_path / "a.png", orientation=6), objects),
               (input_image(tmp_path / "b.png", name="x/b.png"), [])]  # fmt: skip
    path = folder / "points.json"
    table = JsonTable(path.parent, about())
    assert written(table, entries, [Failure("c.jpg", 'is "no" image')], False) == [path]
    assert [p.name for p in folder.iterdir()] == ["points.json"]
    found = json.loads(path.read_text())
    assert found["heatkp"] == heatkp.__version__ and found["model"] == "face68"
    assert "upright" in found["coordinates"] and found["complete"] is False
    assert found["errors"] == [{"image": "c.jpg", "reason": 'is "no" image'}]
    first, second = found["images"]
    assert (first["width"], first["height"], first["turned_by_exif"]) == (64, 48, True)
    assert second["image"] == "x/b.png" and second["objects"] == []
    for found, expected in zip(first["objects"], objects, strict=True):
        assert [p["name"] for p in found["points"]] == list(FACE68.point_names)
        points = [[p["x"], p["y"]] for p in found["points"]]
        assert np.allclose(points, expected.points, atol=1e-3)
        assert np.allclose([p["score"] for p in found["points"]], expected.scores, atol=1e-4)
        spread = [p["covariance"] for p in found["points"]]
        assert np.allclose(spread, expected.covariance, atol=1e-4)
        assert found["box"] == expected.box.tolist() and found["box_score"] == 0.75


def test_json_of_what_is_not_known(folder, tmp_path):
    found = keypoints(PAWS, box=False, spread=False)
    found.points[1], found.scores[:] = np.nan, np.nan
    path = folder / "points.json"
    shot = frame(tmp_path / "a.mp4", 3, np.zeros((48, 64, 3), np.uint8))
    written(JsonTable(path.parent, about(PAWS)), [(shot, [found])])
    (entry,) = json.loads(path.read_text(), parse_constant=pytest.fail)["images"]
    assert entry["frame"] == 3 and entry["time"] == 0.3
    (found,) = entry["objects"]
    assert found["box"] is None and found["box_score"] is None and found["score"] is None
    assert found["points"][1] == {"name": "right paw,hind", "x": None, "y": None, "score": None}


def test_csv_is_read_back(folder, tmp_path):
    first = replace(keypoints(seed=0), object_score=0.25)
    second = keypoints(seed=1, box=False)
    second.points[5] = np.nan
    entries = [(input_image(tmp_path / "photos" / "a.png"), [first]),
               (input_image(tmp_path / "photos" / "b.png"), []),
               (input_image(tmp_path / "photos" / "c.png"), [second, first])]  # fmt: skip
    paths = written(CsvTable(folder, about()), entries)
    assert {p.name for p in paths} == {"objects.csv", "points.csv"}
    assert set(paths) == set(folder.iterdir())
    labels = read(folder / "points.csv", "csv")
    assert labels.skeleton is FACE68
    files = [s.file.resolve() for s in labels.samples]
    assert [f.name for f in files] == ["a.png", "c.png", "c.png"]
    for sample, found in zip(labels.samples, (first, second, first), strict=True):
        assert np.allclose(sample.points, found.points, atol=1e-3, equal_nan=True)
    rows = list(csv.DictReader((folder / "objects.csv").open(newline="")))
    assert [row["object"] for row in rows] == ["1", "1", "2"]
    assert float(rows[0]["box_x0"]) == 1.5 and rows[0]["box_score"] == "0.75"
    assert rows[0]["object_score"] == "0.25" and rows[1]["object_score"] == ""
    assert rows[1]["box_x0"] == "" == rows[1]["jaw_5_x"] == rows[1]["frame"]
    tip = FACE68.point_names.index("nose_tip")
    assert float(rows[2]["nose_tip_y"]) == pytest.approx(first.points[tip, 1], abs=1e-3)
    assert float(rows[2]["nose_tip_score"]) == pytest.approx(first.scores[tip], abs=1e-4)


@pytest.mark.parametrize("skeleton", [FACE68, PAWS], ids=["face68", "mouse"])
def test_coco_is_read_back(folder, tmp_path, skeleton):
    first, second = keypoints(skeleton), keypoints(skeleton, seed=1)
    second.points[1] = np.nan
    entries = [
        (input_image(tmp_path / "a.png"), [first, second]),
        (input_image(tmp_path / "b.png"), []),
    ]
    path = folder / "coco.json"
    written(CocoTable(path.parent, about(skeleton)), entries)
    labels = read(path, "coco")
    assert labels.skeleton.point_names == skeleton.point_names
    steps = {step for run in skeleton.lines for step in pairwise(run)}
    assert {step for run in labels.skeleton.lines for step in pairwise(run)} == steps
    assert len(json.loads(path.read_text())["images"]) == 2
    for sample, found in zip(labels.samples, (first, second), strict=True):
        assert np.allclose(sample.points, found.points, atol=1e-3, equal_nan=True)
        assert np.allclose(sample.box, found.box, atol=1e-3)
        assert sample.file.resolve() == (tmp_path / "a.png").resolve()


def test_pts_are_read_back_and_never_collide(folder, tmp_path):
    objects = [keypoints(seed=s) for s in range(4)]
    names = ["x/a.png", "x/a_1.png", "x/a.jpg"]  # the first has two faces
    shots = [input_image(tmp_path / name, name=name) for name in names]
    writer = PtsFiles(folder, about())
    written(writer, zip(shots, [objects[:2], objects[2:3], objects[3:]]))
    expected = {"a_1.pts": 0, "a_2.pts": 1, "a_1-2.pts": 2, "a.pts": 3}
    assert {p.name for p in (folder / "pts" / "x").iterdir()} == set(expected)
    for name, number in expected.items():
        points = parse_pts(folder / "pts" / "x" / name)
        assert np.allclose(points, objects[number].points, atol=1e-5)
    assert len(read(folder, "pts", strict=False).samples) == 4
    objects[0].points[0] = np.nan
    with pytest.raises(DataError, match="cannot hold points that are NaN"):
        writer.add(shots[0], objects[:1])


@given(st.lists(st.sampled_from(["a", "A", "a-2", "a-3", "b", "ß", "SS"]), max_size=12))
@settings(max_examples=60)
def test_names_are_given_once(stems):
    names = Names()
    given = [names.claim(stem, ".png").casefold() for stem in stems]
    assert len(set(given)) == len(given)


def test_nothing_is_there_before_it_is_whole(folder, tmp_path):
    shot = input_image(tmp_path / "a.png")
    video = frame(tmp_path / "v.mp4", 0, shot.image)
    writers = [JsonTable(folder, about()), CocoTable(folder, about()),
               CsvTable(folder, about()), DrawnImages(folder)]  # fmt: skip
    for writer in writers:
        writer.add(video, [keypoints()])
    files = [p for p in folder.rglob("*") if p.is_file()]
    assert len(files) == 5
    assert all(p.name.endswith(".part") or p.name.startswith(".") for p in files)
    for writer in writers:
        writer.discard()
    assert not [p for p in folder.rglob("*") if p.is_file()]


def test_drawn_pictures_keep_their_names(folder, tmp_path):
    names = ["a.jpg", "deep/a.jpg", "a.JPG", "b.png", "b.tif", "b.bmp", "empty.png"]
    writer = DrawnImages(folder)
    shots = [input_image(tmp_path / str(i) / n, name=n) for i, n in enumerate(names)]
    for shot in shots:
        writer.add(shot, [] if "empty" in shot.name else [keypoints()])
    assert writer.finish([], True) == [folder / "images"]
    found = {p.relative_to(folder / "images").as_posix() for p in folder.rglob("*.*")}
    assert found == {"a.jpg", "deep/a.jpg", "a-2.JPG", "b.png", "b.tif.png", "b.bmp.png"}
    plain = shots[3].image
    drawn = cv2.imread(str(folder / "images" / "b.png"))[:, :, ::-1]
    assert drawn.shape == plain.shape and (drawn != plain).any(axis=2).mean() > 0.1
    assert np.array_equal(plain, cv2.imread(str(shots[3].file))[:, :, ::-1])  # itself unchanged


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (5, 3)])
def test_drawn_videos(folder, tmp_path, size):
    rng = np.random.default_rng(0)
    writer = DrawnImages(folder)
    shade = [rng.integers(0, 255) for _ in range(9)]
    for name, numbers in (("x.mp4", range(5)), ("y.avi", range(4))):
        for i in numbers:
            image = np.full((size[1], size[0], 3), shade[i], np.uint8)
            writer.add(frame(tmp_path / name, i, image), [])
    writer.finish([], True)
    assert {p.name for p in (folder / "images").iterdir()} == {"x.mp4", "y.avi.mp4"}
    capture = cv2.VideoCapture(str(folder / "images" / "x.mp4"))
    assert capture.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    means = []
    while (got := capture.read())[0]:
        means.append(got[1].mean())
    assert means == pytest.approx(shade[:5], abs=6)


def test_a_video_that_cannot_be_made_is_said_once(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    monkeypatch.setattr(cv2.VideoWriter, "fourcc", lambda *letters: 0x30303030)
    writer = DrawnImages(folder)
    image = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(DataError, match="--no-images"):
        writer.add(frame(tmp_path / "a.mp4", 0, image), [])
    writer.add(frame(tmp_path / "a.mp4", 1, image), [])
    writer.add(input_image(tmp_path / "b.png"), [replace(keypoints(), box=None)])
    assert writer.finish([], True) == [folder / "images"]
    assert [p.name for p in Path(folder / "images").iterdir()] == ["b.png"]


def test_all_are_registered_and_read_back_where_they_say_so(folder, tmp_path):
    entries = [(input_image(tmp_path / "a.png"), [keypoints(PAWS, size=(64, 48))])]
    for name, kind in WRITERS.items():
        place = folder / name
        place.mkdir()
        paths = written(kind(place, about(PAWS)), entries)
        assert kind.name == name and all(path.exists() for path in paths)
        if kind.trains and name != "pts":  # whose files lie beside images
            table = next(p for p in paths if p.name != "objects.csv")
            assert read(table).skeleton.point_names == PAWS.point_names


def test_a_writer_of_ones_own(tmp_path):
    """It is what `--format` names, and gets all that is found."""
    from tests.conftest import heatkp as command

    @register_writer
    class Counts(BaseWriter):
        name = "counts"

        def __init__(self, folder, about):
            self.path, self.lines = folder / "counts.txt", [about.model]

        def add(self, input_image, objects):
            self.lines.append(f"{input_image.name} {len(objects)}")

        def finish(self, failures, complete):
            self.path.write_text("\n".join(self.lines))
            return [self.path]

        def discard(self):
            pass

    write_image(tmp_path / "a.png")
    done = command("predict", tmp_path / "a.png", "--format", "counts", "--boxes", "image",
                   "--out", tmp_path / "found", "--no-images")  # fmt: skip
    assert done.exit_code == 0, done.output
    assert (tmp_path / "found" / "counts.txt").read_text() == "face68\na.png 1"
    assert "counts" in command("predict", "--help").output
    wrong = command("predict", tmp_path / "a.png", "--format", "word")
    assert wrong.exit_code == 2 and "'word'" in wrong.output and "counts" in wrong.output
