"""Tracked predictions that are stopped or killed, and go on to what they would have been."""

from __future__ import annotations

import json
import multiprocessing
import os

import numpy as np
import pytest

from heatkp.errors import SettingsError
from heatkp.inference import batches
from heatkp.inference.keeping import KEPT
from heatkp.inference.keypoints import Keypoints, Results
from heatkp.inference.saving import save_predictions
from heatkp.tracking import SmoothOptions, TrackOptions
from tests.conftest import heatkp
from tests.inference.numbered_videos import number_in, write_h264
from tests.inference.sharding.cheap import Cheap

COUNT, BATCH = 30, 4
TWO = TrackOptions(objects=2)
BODY = np.array([[12.0, 0], [0, 7], [0, -7]])


class Walkers(Cheap):
    """Two objects that walk past each other, one of which is not always found; it is killed when
    it was asked so many times."""

    def __init__(self, calls=10**9, end=KeyboardInterrupt):
        super().__init__()
        self.calls, self.end = calls, end

    def predict(self, images, boxes=None, batch_size=16, **options):
        self.calls -= 1
        if self.calls < 0:
            raise self.end
        self.seen += len(images)
        found = []
        for i, image in enumerate(images):
            n = number_in(image)
            rng = np.random.default_rng(n)
            for x, sign in ((20 + 4 * n, 1), (140 - 4 * n, -1)):
                if sign < 0 and n in (9, 10):
                    continue
                points = sign * BODY + (x, 60 + 10 * sign) + rng.normal(0, 0.3, (3, 2))
                if n == 5:
                    points[1] = np.nan
                spread = np.broadcast_to(np.eye(2) / 3, (3, 2, 2))
                box = np.array([x - 14.0, 50, x + 14, 80]) + 0.1
                found.append(Keypoints(points, rng.random(3), spread, self.skeleton, (160, 120),
                                       box, float(rng.random()), i))  # fmt: skip
        return Results(found)


@pytest.fixture
def clip(tmp_path):
    return write_h264(tmp_path / "clip.mp4", COUNT)


def predict(model, clip, out, **options):
    given = {"tracking": TWO, "drawn": False, "batch_size": BATCH, **options}
    return save_predictions(model, clip, out, ("tracks", "json", "dlc"), **given)


def tables(folder):
    files = [p for p in folder.rglob("*") if p.is_file() and p.name != "summary.json"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


@pytest.mark.parametrize("smooth", [None, SmoothOptions()])
def test_a_killed_run_goes_on_to_the_same_tables(clip, tmp_path, smooth):
    whole = Walkers()
    predict(whole, clip, tmp_path / "whole", smoothing=smooth)
    expected = tables(tmp_path / "whole")
    assert set(expected) == {"tracks.csv", "points.json", "dlc/clipDLC_heatkp.csv"}
    assert whole.seen == COUNT
    out, seen = tmp_path / "out", 0
    for calls in (3, 2):
        model = Walkers(calls)
        with pytest.raises(KeyboardInterrupt):
            predict(model, clip, out, smoothing=smooth)
        seen += model.seen
        assert (out / KEPT).is_file() and not (out / "tracks.csv").exists()
        assert not json.loads((out / "summary.json").read_text())["complete"]
    assert seen == 5 * BATCH
    (out / ".0123456789ab.part").write_text("x")
    (out / ".mine").write_text("x")
    with (out / KEPT).open("ab") as file:  # killed while it wrote
        file.write(b'{"images": ["clip.mp4/0000')
    model = Walkers()
    done = predict(model, clip, out, smoothing=smooth)
    assert model.seen == COUNT - seen and done.complete and done.images == COUNT
    assert tables(out) == {**expected, ".mine": b"x"}
    with pytest.raises(SettingsError, match="exists already"):  # it is done
        predict(model, clip, out, smoothing=smooth)


def test_what_was_stopped_goes_on_too_and_with_other_tracks(clip, tmp_path):
    predict(Walkers(), clip, tmp_path / "whole", tracking=TrackOptions())
    out, model, done = tmp_path / "out", Walkers(), []
    summary = predict(model, clip, out, progress=done.append, stop=lambda: len(done) >= 10)
    assert not summary.complete and (out / "tracks.csv").is_file()
    assert COUNT > model.seen >= 10
    again = Walkers()
    summary = predict(again, clip, out, tracking=TrackOptions())
    assert summary.complete and again.seen < COUNT
    assert tables(out) == tables(tmp_path / "whole")


def test_faults_come_back(clip, tmp_path, monkeypatch):
    """A frame whose boxes cannot be told, and one without any."""
    from heatkp.errors import DataError

    def boxes(item):
        if item.frame == 2:
            raise DataError("no idea")
        return np.zeros((0, 4)) if item.frame == 3 else np.array([[0.0, 0, 9, 9]])

    expected = predict(Walkers(), clip, tmp_path / "whole", boxes=boxes)
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(Walkers(2), clip, out, boxes=boxes)
    done = predict(Walkers(), clip, out, boxes=boxes)
    assert [(f.name, f.reason) for f in done.failures] == [("clip.mp4/000002", "no idea")]
    assert done.failures == expected.failures and done.without_box == expected.without_box != []
    assert tables(out) == tables(tmp_path / "whole")


def test_something_else_is_refused(clip, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(KeyboardInterrupt):
        predict(Walkers(2), clip, out)
    before = tables(out)
    for other in (
        {"batch_size": 5},
        {"every": 2},
        {"nms_oks": 0.9},
        {"flip_test": True},
        {"min_point_score": 0.5},
    ):
        with pytest.raises(SettingsError):
            predict(Walkers(), clip, out, **other)
    os.utime(clip, (1, 1))
    with pytest.raises(SettingsError, match="files"):
        predict(Walkers(), clip, out)
    assert tables(out) == before
    with pytest.raises(SettingsError, match="exists already"):  # without tracks nothing goes on
        predict(Walkers(), clip, out, tracking=None)


def hold(path, ready, end):
    import fcntl

    with open(path, "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        ready.set()
        end.wait(60)


def test_two_processes_do_not_share_a_folder(clip, tmp_path):
    out, context = tmp_path / "out", multiprocessing.get_context("fork")
    with pytest.raises(KeyboardInterrupt):
        predict(Walkers(1), clip, out)
    ready, end = context.Event(), context.Event()
    other = context.Process(target=hold, args=(out / KEPT, ready, end))
    other.start()
    try:
        assert ready.wait(60)
        with pytest.raises(SettingsError, match="another process"):
            predict(Walkers(), clip, out)
    finally:
        end.set()
        other.join()
    assert predict(Walkers(), clip, out).complete


def test_from_the_command_line(clip, tiny_run, tmp_path, monkeypatch):
    def command(out):
        return heatkp("predict", clip, "--model", tiny_run, "--boxes", "image", "--track",
                      "--objects", 1, "--batch-size", BATCH, "--out", out)  # fmt: skip

    assert command(tmp_path / "whole").exit_code == 0
    own, calls = batches._predict, []

    def killed(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return own(*arguments)

    monkeypatch.setattr(batches, "_predict", killed)
    command(tmp_path / "out")
    assert (tmp_path / "out" / KEPT).is_file()
    monkeypatch.undo()
    done = command(tmp_path / "out")
    assert done.exit_code == 0, done.output
    for name in ("tracks.csv", "points.json"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not [p for p in (tmp_path / "out").rglob("*.part")]
    assert (tmp_path / "out" / "images" / "clip.mp4").is_file()
    assert command(tmp_path / "out").exit_code == 2
