"""What is not merged: shards that are missing, unfinished or damaged; and locks."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys

import pytest

from heatkp import locks
from heatkp.data.readers import read
from heatkp.errors import DataError, SettingsError
from heatkp.inference.sharding import Shard, merge_shards, predict_shard
from heatkp.inference.sharding.parts import ERRORS, INPUTS, ShardFolder, stream_lines
from heatkp.locks import Lock
from tests.conftest import write_image
from tests.inference.sharding.cheap import Cheap
from tests.inference.test_sources import turned, video

COMMAND = ["heatkp", "predict", "my photos", "--shard", "{shard}", "--out", "o"]


@pytest.fixture
def done(tmp_path):
    """Thirty images in three shards, done; and the folder of the second."""
    for i in range(30):
        write_image(tmp_path / "in" / f"{i:02d}.png", 8, 8, seed=i)
    for i in (1, 2, 3):
        predict_shard(
            Cheap(), tmp_path / "in", f"{i}/3", tmp_path / "out", part_size=2, command=COMMAND
        )
    return tmp_path / "out", ShardFolder(tmp_path / "out", Shard(2, 3))


def refused(out, words, error=DataError):
    with pytest.raises(error, match=words) as caught:
        merge_shards(out, out / "merged", ["json", "csv"])
    assert not (out / "merged").exists()
    return str(caught.value)


def test_a_whole_one(done):
    out, _ = done
    told = []
    joined = merge_shards(out, out / "merged", progress=lambda *what: told.append(what))
    assert joined.images == joined.objects == 30 and joined.complete
    assert told == [(i, 30) for i in range(1, 31)]
    images = json.loads((out / "merged" / "points.json").read_text())["images"]
    assert [image["image"] for image in images] == [f"{i:02d}.png" for i in range(30)]


def test_shards_that_are_not_done(done):
    out, second = done
    (second.path / ERRORS).unlink()
    text = refused(out, "of 3 shards 1 are not done: 2;")
    assert "heatkp predict 'my photos' --shard 2/3 --out o" in text
    for path in second.path.iterdir():
        path.unlink()
    second.path.rmdir()
    refused(out, "not done: 2;")


def test_results_that_are_missing(done):
    out, second = done
    second.parts()[1].unlink()
    text = refused(out, "shard 2/3: .* has no result")
    assert "--shard 2/3" in text and str(second.path) in text


def test_the_last_results_are_missing(done):
    out, second = done
    second.parts()[-1].unlink()
    refused(out, "shard 2/3: .* has no result")


def test_results_that_are_there_twice(done):
    out, second = done
    second.add_part(line.decode().strip() for line in stream_lines(second.parts()[-1]))
    refused(out, "shard 2/3: .* is there twice")


def test_results_of_another_shard(done):
    out, second = done
    third = ShardFolder(out, Shard(3, 3))
    second.add_part(line.decode().strip() for line in stream_lines(third.parts()[0]))
    refused(out, "shard 2/3: .* is there twice, or is none of its inputs")


def test_a_part_that_is_cut_off(done):
    out, second = done
    second.parts()[0].write_bytes(second.parts()[0].read_bytes()[:-9])
    assert "part-000000.jsonl, line 2" in refused(out, "shard 2/3")


@pytest.mark.parametrize("change", [lambda n: n[:-1], lambda n: [*n, "zz.png"], lambda n: n[::-1],
                                    lambda n: [*n, n[-1]]])  # fmt: skip
def test_lists_of_inputs_that_were_changed(done, change):
    out, second = done
    names = change(list(second.inputs()))
    (second.path / INPUTS).write_text("".join(json.dumps(name) + "\n" for name in names))
    refused(out, "list")  # of a shard, or of all together


@pytest.mark.parametrize("text", ["{", "3\n", '"a\n', "\xff"])
def test_lists_of_inputs_that_are_damaged(done, text):
    out, second = done
    (second.path / INPUTS).write_bytes(text.encode("latin-1"))
    refused(out, "shard 2/3: inputs.jsonl cannot be read")


def test_a_value_that_is_damaged(done):
    out, second = done
    part = second.parts()[0]
    part.write_text(part.read_text().replace('"width": 8', '"width": "x"', 1))
    refused(out, "result of .* is damaged")


def test_a_video_of_which_frames_are_missing(tmp_path):
    (tmp_path / "in").mkdir()
    video(tmp_path / "in" / "v.mp4")
    out = tmp_path / "out"
    predict_shard(Cheap(), tmp_path / "in", "1/1", out, part_size=2)
    own = ShardFolder(out, Shard(1, 1))
    assert merge_shards(out, tmp_path / "whole").images == 6
    contents = {path: path.read_bytes() for path in own.parts()}
    for path, content in contents.items():
        path.unlink()
        refused(out, "v.mp4 has")
        path.write_bytes(content)
    own.add_part(line.decode().strip() for line in stream_lines(own.parts()[0]))
    refused(out, "v.mp4 has results twice")


def test_folders_that_are_none(done, tmp_path):
    out, _ = done
    for folder in (tmp_path, tmp_path / "none", tmp_path / "in"):
        with pytest.raises(SettingsError, match=r"holds no manifest\.json"):
            merge_shards(folder, tmp_path / "x")
    with pytest.raises(SettingsError, match="exists already"):
        merge_shards(out, tmp_path / "in")
    with pytest.raises(SettingsError, match="format"):
        merge_shards(out, tmp_path / "x", ["nose"])
    with pytest.raises(SettingsError, match="single table"):
        merge_shards(out, None, ["json", "csv"])
    assert not (tmp_path / "x").exists()


def test_label_sets_have_the_images(tmp_path):
    write_image(tmp_path / "in" / "a.png", 20, 10)
    turned(tmp_path / "in" / "t.jpg")
    predict_shard(Cheap(), tmp_path / "in", "1/1", tmp_path / "out")
    merge_shards(tmp_path / "out", tmp_path / "merged", ["imglab"])
    labels = read(next((tmp_path / "merged" / "imglab").glob("*.xml")))
    sizes = sorted(sample.rgb().shape for sample in labels.samples)
    assert sizes == [(10, 20, 3), (40, 20, 3)]  # the second upright
    assert max(sample.rgb().max() for sample in labels.samples) > 200


def test_label_sets_of_frames_are_refused(tmp_path):
    (tmp_path / "in").mkdir()
    video(tmp_path / "in" / "v.mp4")
    predict_shard(Cheap(), tmp_path / "in", "1/1", tmp_path / "out")
    with pytest.raises(SettingsError, match="choose tables"):
        merge_shards(tmp_path / "out", tmp_path / "merged", ["imglab"])
    assert not (tmp_path / "merged").exists()


def holder(path):
    return json.loads(path.read_text())


def write_holder(path, **values):
    path.write_text(json.dumps({"pid": 1, "host": socket.gethostname(), "token": "x", **values}))


def test_a_shard_that_another_process_works_on(tmp_path):
    path = tmp_path / "lock"
    script = (
        "import sys, pathlib\nfrom heatkp.locks import Lock\n"
        "with Lock(pathlib.Path(sys.argv[1]), 'it'):\n print('held', flush=True)\n input()"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(path)], text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert child.stdout.readline() == "held\n"
    with pytest.raises(SettingsError, match=f"process {child.pid} on"), Lock(path, "it"):
        pass
    child.kill()
    child.wait()
    assert holder(path)["pid"] == child.pid  # it could not clear it
    with Lock(path, "it"):
        assert holder(path)["pid"] == os.getpid()
    assert path.read_bytes() == b""


def test_two_at_once(tmp_path):
    for i in range(4):
        write_image(tmp_path / "in" / f"{i}.png", 8, 8)
    inner = []

    def progress(done):
        if not inner:
            with pytest.raises(SettingsError, match="another process works on shard 1/1") as caught:
                predict_shard(Cheap(), tmp_path / "in", "1/1", tmp_path / "out")
            inner.append(caught)

    done = predict_shard(Cheap(), tmp_path / "in", "1/1", tmp_path / "out", progress=progress)
    assert inner and done.complete and done.images == 4


@pytest.fixture
def no_flock(monkeypatch):
    """A file system on which the system holds no locks."""
    monkeypatch.setattr(Lock, "_flock", lambda self: None)


def test_without_locks_of_the_system(tmp_path, no_flock):
    path = tmp_path / "lock"
    write_holder(path, pid=os.getppid())
    with pytest.raises(SettingsError, match="remove"), Lock(path, "it"):
        pass
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    write_holder(path, pid=gone.pid)
    with Lock(path, "it"):
        assert holder(path)["pid"] == os.getpid()
        with pytest.raises(SettingsError), Lock(path, "it"):
            pass


@pytest.mark.parametrize("flock", [True, False])
def test_a_holder_on_another_machine_is_stale_after_a_while(tmp_path, flock, request):
    if not flock:
        request.getfixturevalue("no_flock")
    path = tmp_path / "lock"
    write_holder(path, host="elsewhere")
    with pytest.raises(SettingsError, match="on elsewhere"), Lock(path, "it"):
        pass
    old = path.stat().st_mtime - locks.STALE - 1
    os.utime(path, (old, old))
    with Lock(path, "it"):
        assert holder(path)["host"] == socket.gethostname()
    assert list(tmp_path.iterdir()) == [path]


def test_a_holder_touches_its_file(tmp_path, monkeypatch):
    monkeypatch.setattr(locks, "BEAT", 0.01)
    path = tmp_path / "lock"
    with Lock(path, "it") as lock:
        os.utime(path, (0, 0))
        while path.stat().st_mtime < 1000:  # until the next touch
            pass
        lock.check()
        write_holder(path)  # another machine takes it over
        with pytest.raises(SettingsError, match="another process"):
            lock.check()
    assert holder(path)["token"] == "x"


def test_a_shard_that_was_taken_over_writes_no_more(tmp_path):
    for i in range(6):
        write_image(tmp_path / "in" / f"{i}.png", 8, 8)
    out = tmp_path / "out"

    def progress(done):
        if done == 3:
            write_holder(next(out.rglob("lock")), host="elsewhere")

    with pytest.raises(SettingsError, match="on elsewhere"):
        predict_shard(
            Cheap(), tmp_path / "in", "1/1", out, progress=progress, part_size=2, batch_size=1
        )
    assert len(ShardFolder(out, Shard(1, 1)).parts()) == 1
