"""Videos from frames to tracks, tables and drawn copies."""

from __future__ import annotations

import csv
import json
import sys

import av
import cv2
import numpy as np
import pytest

from heatkp.data.readers._sleap_file import read_tables
from heatkp.errors import SettingsError
from heatkp.inference.batches import Prediction
from heatkp.inference.drawing import DrawnImages
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.saving import save_predictions
from heatkp.inference.sources import Failure, InputImage
from heatkp.inference.track_drawing import TrackPen, colour_of
from heatkp.inference.tracked import smoothed_objects, tracked
from heatkp.inference.writers import About, create_writer
from heatkp.skeletons import Skeleton
from heatkp.tracking import SmoothOptions, TrackOptions
from tests.conftest import heatkp
from tests.inference.numbered_videos import WIDTH, write_h264

BUG = Skeleton("bug", ("head", "left", "right", "tail"), ((1, 2),), ((0, 3), (1, 2)))
BODY = np.array([[12, 0], [0, 7], [0, -7], [-12, 0]], float)


def bug(x, y, score=0.9, turn=1):
    spread = np.broadcast_to(np.eye(2) * 0.25, (4, 2, 2))
    return Keypoints(BODY * turn + (x, y), np.full(4, score), spread, BUG, (320, 240),
                     np.array([x - 14, y - 9, x + 14, y + 9]), score)  # fmt: skip


def frame(tmp_path, t, name="clip.mp4"):
    image = np.full((240, 320, 3), 30, np.uint8)
    return InputImage(f"{name}/{t:06d}", tmp_path / name, image, 1, t, t / 25, 25.0)


def walk(tmp_path, count=40, name="clip.mp4", gap=()):
    """Two objects that walk past each other, in an order that changes."""
    for t in range(count):
        rng = np.random.default_rng(t)
        found = [bug(40 + 5 * t, 100 + rng.normal(0, 0.5)), bug(240 - 5 * t, 110, turn=-1)]
        if t in gap:
            found = found[1:]
        yield Prediction(frame(tmp_path, t, name), found[:: 1 if t % 3 else -1])


def test_tracks_of_each_video_and_faults_between(tmp_path):
    items = [*walk(tmp_path, 10, "a.mp4"), Failure("a.mp4", "cut off"), *walk(tmp_path, 6, "b.mp4")]
    told = list(tracked(iter(items), TrackOptions(objects=2)))
    assert [type(i) for i in told] == [type(i) for i in items]
    assert [i.input_image.name for i in told if not isinstance(i, Failure)] == [
        i.input_image.name for i in items if not isinstance(i, Failure)
    ]
    for item in told:
        if not isinstance(item, Failure):
            t = item.input_image.frame
            assert [o.track for o in item.objects] == [1, 2]
            first = item.objects[0].points.mean(0)[0]
            sides = {round(first - (40 + 5 * t)), round(first - (240 - 5 * t))}
            assert 0 in sides
    with_boxes = [Prediction(frame(tmp_path, t), None) for t in range(4)]
    assert [i.objects for i in tracked(iter(with_boxes), TrackOptions())] == [None] * 4


def test_false_alarms_are_left_out(tmp_path):
    items = [
        Prediction(i.input_image, [*i.objects, bug(300, 30 + 40 * (i.input_image.frame % 5))])
        for i in walk(tmp_path, 12)
    ]
    told = list(tracked(iter(items), TrackOptions(objects=2)))
    assert [len(i.objects) for i in told] == [2] * 12


def test_smoothed_tracks_bridge_gaps_and_keep_what_was_found(tmp_path):
    items = list(walk(tmp_path, 40, gap=range(18, 23)))
    read = []

    def again(files):
        read.append(files)
        return [frame(tmp_path, t) for t in range(40)]

    told = list(tracked(iter(items), TrackOptions(objects=2), SmoothOptions(), again))
    assert read == [{tmp_path / "clip.mp4"}] and len(told) == 40
    assert [len(i.objects) for i in told] == [2] * 40
    walker = {o.track for i in told[:5] for o in i.objects if abs(o.points.mean(0)[1] - 110) > 6}
    (track,) = walker
    for t, item in enumerate(told):
        (one,) = [o for o in item.objects if o.track == track]
        assert np.abs(one.points.mean(0) - (40 + 5 * t, 100)).max() < 2
        missing = t in range(18, 23)
        assert np.isnan(one.raw).all() == missing == np.isnan(one.scores).all()
        assert (one.box is None) == missing and np.isfinite(one.covariance).all()
    kept = smoothed_objects([i.objects for i in told[:3]], SmoothOptions())
    assert len(kept) == 3


def table(path):
    return list(csv.DictReader(path.open(encoding="utf-8")))


def written(tmp_path, *formats, items=None, smooth=None):
    folder = tmp_path / "out"
    folder.mkdir()
    about = About("m", BUG, {})
    items = list(walk(tmp_path)) if items is None else items
    told = list(
        tracked(iter(items), TrackOptions(objects=2), smooth,
                lambda files: [i.input_image for i in items])
    )  # fmt: skip
    writers = [create_writer(name, folder, about) for name in formats]
    for item in told:
        for writer in writers:
            writer.add(item.input_image, item.objects or [])
    for writer in writers:
        assert writer.finish([], True)
        writer.discard()
    return folder, [i.objects for i in told]


def test_the_long_table(tmp_path):
    items = list(walk(tmp_path, 20, gap=[9]))
    folder, frames = written(tmp_path, "tracks", items=items, smooth=SmoothOptions())
    rows = table(folder / "tracks.csv")
    assert len(rows) == 20 * 2 * 4
    row = next(r for r in rows if (r["frame"], r["track"], r["point"]) == ("7", "2", "left"))
    one = frames[7][1]
    assert row["image"] == "../clip.mp4/000007" and float(row["time"]) == 0.28
    assert [float(row["x"]), float(row["y"])] == pytest.approx(one.points[1], abs=1e-3)
    assert [float(row["raw_x"]), float(row["raw_y"])] == pytest.approx(one.raw[1], abs=1e-3)
    assert float(row["var_x"]) == pytest.approx(one.covariance[1, 0, 0], abs=1e-4)
    assert float(row["cov_xy"]) == pytest.approx(one.covariance[1, 0, 1], abs=1e-4)
    filled = [r for r in rows if r["frame"] == "9" and not r["raw_x"]]
    assert len(filled) == 4 and all(r["x"] and not r["score"] for r in filled)


def test_deeplabcut_s_layout(tmp_path):
    folder, frames = written(tmp_path, "dlc")
    (path,) = (folder / "dlc").glob("*.csv")
    assert path.name == "clipDLC_heatkp.csv"
    rows = list(csv.reader(path.open()))
    assert [r[0] for r in rows[:4]] == ["scorer", "individuals", "bodyparts", "coords"]
    assert rows[1][1::12] == ["track1", "track2"] and rows[2][1:4] == ["head"] * 3
    assert rows[3][1:4] == ["x", "y", "likelihood"] and len(rows) == 44
    values = np.array(rows[4 + 11][1:], float).reshape(2, 4, 3)
    for one, own in zip(frames[11], values):
        assert own == pytest.approx(np.column_stack([one.points, one.scores]), abs=1e-3)
    assert rows[4 + 11][0] == "11"


def test_one_object_without_tracks_has_no_individuals(tmp_path):
    writer = create_writer("dlc", tmp_path, About("m", BUG, {}))
    for t in range(3):
        writer.add(frame(tmp_path, t), [bug(50, 50)] if t else [])
    writer.finish([], True)
    rows = list(csv.reader((tmp_path / "dlc" / "clipDLC_heatkp.csv").open()))
    assert [r[0] for r in rows] == ["scorer", "bodyparts", "coords", "0", "1", "2"]
    assert rows[3][1:] == [""] * 12 and rows[4][1:4] == ["62.0", "50.0", "0.9"]


def test_sleap_s_file(tmp_path):
    """The tables, links and names as heatkp's own reader finds them."""
    import h5py

    folder, frames = written(tmp_path, "slp")
    told = read_tables(folder / "predictions.slp")
    assert told.tracks == ["track1", "track2"] and told.videos[0].files == ["../clip.mp4"]
    assert told.graphs[0].names == list(BUG.point_names)
    assert told.graphs[0].edges == [(0, 3), (1, 2)]
    assert {frozenset(p) for p in told.graphs[0].symmetries} == {frozenset((1, 2))}
    assert told.frames["frame_idx"].tolist() == [*range(40)]
    assert (told.instances["instance_type"] == 1).all()
    assert told.instances["track"][:4].tolist() == [0, 1, 0, 1]
    with h5py.File(folder / "predictions.slp") as file:
        points = file["pred_points"][:]
    start = int(told.instances[2 * 7 + 1]["point_id_start"])
    own = points[start : start + 4]
    assert np.stack([own["x"], own["y"]], 1) == pytest.approx(frames[7][1].points, abs=1e-3)
    assert own["score"] == pytest.approx(0.9)


def test_tracks_in_the_other_tables(tmp_path):
    folder, _ = written(tmp_path, "json", "coco")
    images = json.loads((folder / "points.json").read_text())["images"]
    assert [o["track"] for o in images[5]["objects"]] == [1, 2]
    notes = json.loads((folder / "coco.json").read_text())["annotations"]
    assert [n["track_id"] for n in notes[:4]] == [1, 2, 1, 2]
    assert "track_id" not in bug(50, 50).to_coco()


def test_the_drawn_video_plays_in_browsers(tmp_path):
    items = list(tracked(walk(tmp_path, 20), TrackOptions(objects=2)))
    drawn = DrawnImages(tmp_path / "out", tracks=True)
    for item in items:
        drawn.add(item.input_image, item.objects)
    drawn.finish([], True)
    path = tmp_path / "out" / "images" / "clip.mp4"
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        found = [(f.time, f.to_ndarray(format="rgb24")) for f in container.decode(stream)]
    assert [t for t, _ in found] == pytest.approx([t / 25 for t in range(20)], abs=1e-3)
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # plays before it is loaded
    image = found[10][1]
    assert image.shape == (480, 640, 3)  # small frames are enlarged
    head = items[10].objects[0].points[0] * 2 + 0.5
    patch = image[round(head[1]) - 2 : round(head[1]) + 3, round(head[0]) - 2 : round(head[0]) + 3]
    assert np.abs(patch.reshape(-1, 3) - np.array(colour_of(1), float)).sum(1).min() < 120


def test_without_pyav_it_is_mpeg_4(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "av", None)
    drawn = DrawnImages(tmp_path / "out")
    for item in walk(tmp_path, 6):
        drawn.add(item.input_image, item.objects)
    drawn.finish([], True)
    capture = cv2.VideoCapture(str(tmp_path / "out" / "images" / "clip.mp4"))
    assert capture.get(cv2.CAP_PROP_FRAME_COUNT) == 6


def test_trails_fade_and_show_the_past():
    pen, image = TrackPen(), np.zeros((700, 700, 3), np.uint8)
    from dataclasses import replace

    for t in range(30):
        one = replace(bug(50 + 10 * t, 300), track=1)
        shown = pen.draw(image, [one])
    assert shown.shape == image.shape and not image.any()
    past, near = shown[300, 200].astype(int), shown[300, 280].astype(int)
    assert 0 < past.sum() < near.sum() and not shown[280, 200].any()
    later = pen.draw(image, [])
    assert later[300, 280].any()


def test_smoothing_alone_is_refused(tmp_path):
    with pytest.raises(SettingsError):
        save_predictions(None, "x", tmp_path / "o", smoothing=SmoothOptions())


@pytest.mark.parametrize("smooth", [False, True])
def test_from_the_command_line(tmp_path, tiny_run, smooth):
    write_h264(tmp_path / "clip.mp4", 80)
    options = ["--smooth"] * smooth
    out = tmp_path / "out"
    done = heatkp("predict", tmp_path / "clip.mp4", "--model", tiny_run, "--boxes", "image",
                  "--frames", "20-59", "--every", "2", "--track", "--objects", "1", "--out", out,
                  "--format", "tracks", "--format", "dlc", *options)  # fmt: skip
    assert done.exit_code == 0, done.output
    assert "20 images" in done.output
    rows = table(out / "tracks.csv")
    assert {int(r["frame"]) for r in rows} <= {*range(20, 60, 2)}
    assert {r["track"] for r in rows} <= {"1"}
    assert all(bool(r["raw_x"]) <= smooth for r in rows)
    with av.open(str(out / "images" / "clip.mp4")) as container:
        frames = list(container.decode(video=0))
    assert len(frames) == 20 and frames[0].width == 2 * WIDTH
    assert json.loads((out / "summary.json").read_text())["options"]["track"] == {
        "objects": 1, "smooth": smooth,
    }  # fmt: skip


@pytest.mark.parametrize("options", [["--objects", "2"], ["--smooth"], ["--bridge", "3"]])
def test_options_of_tracks_without_tracks(tmp_path, tiny_run, options):
    write_h264(tmp_path / "clip.mp4", 3)
    done = heatkp("predict", tmp_path / "clip.mp4", "--model", tiny_run, *options)
    assert done.exit_code == 2 and "--track" in done.output
    assert not (tmp_path / "predictions").exists()


def test_frames_that_are_none(tmp_path, tiny_run):
    write_h264(tmp_path / "clip.mp4", 3)
    clip = tmp_path / "clip.mp4"
    done = heatkp("predict", clip, "--model", tiny_run, "--frames", "x", "--out", tmp_path / "o")
    assert done.exit_code == 2 and "800-1100" in done.output
    assert not (tmp_path / "o").exists()
