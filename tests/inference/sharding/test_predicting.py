"""Prediction of shards that are stopped, killed, begun again and merged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from heatkp.data.readers.pts import parse_pts
from heatkp.errors import DataError, SettingsError
from heatkp.inference.detectors import Detection
from heatkp.inference.saving import save_predictions
from heatkp.inference.sharding import Shard, list_inputs, merge_shards, predict_shard
from heatkp.inference.sharding.parts import ERRORS, INPUTS, ShardFolder
from heatkp.inference.sources import find_sources
from heatkp.registry import WRITERS
from tests.conftest import write_image
from tests.inference.fakes import predictor as discs
from tests.inference.sharding.cheap import Cheap
from tests.inference.test_sources import turned, video
from tests.inference.test_tars import ENTRIES, png, tar_bytes


@pytest.fixture
def mixed(tmp_path):
    """Stills, some broken, videos and tars."""
    folder = tmp_path / "inputs"
    for i in range(20):
        write_image(folder / f"{i % 3}" / f"{i}.png", 20 + i, 16, seed=i)
    (folder / "0" / "broken.png").write_bytes(b"no image")
    turned(folder / "1" / "turned.jpg")
    video(folder / "2" / "clip.mp4", frames=9)
    (folder / "bad.mp4").write_bytes(b"\0" * 50)
    broken = ("0002b.png", png()[:-30])
    (folder / "t.tar").write_bytes(tar_bytes([*ENTRIES[:9], broken, *ENTRIES[9:]]))
    (folder / "cut.tar").write_bytes(tar_bytes(ENTRIES)[:-12000])
    (folder / "empty.tar").write_bytes(tar_bytes([]))
    return folder


IMAGES, FAILURES = 21 + 9 + 4 + 3, 5


def shards(inputs, out, count, predictor=None, **options):
    for i in range(1, count + 1):
        predict_shard(predictor or Cheap(), inputs, f"{i}/{count}", out, **options)


def files(folder):
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


def parts(out):
    """Names of images and of errors in all parts, as they are there."""
    lines = [json.loads(line) for path in sorted(out.rglob("part-*.jsonl"))
             for line in path.read_text().splitlines()]  # fmt: skip
    return [line["image"] for line in lines if "image" in line]


def merged(out, target=None):
    document = json.loads(
        next(p for p in merge_shards(out, target or out / "merged").written
             if p.name == "points.json").read_text()
    )  # fmt: skip
    return document


@pytest.mark.parametrize("count", [1, 4])
@pytest.mark.parametrize("part_size", [1, 3, 1000])
def test_merged_is_what_one_process_writes(mixed, tmp_path, count, part_size):
    formats = [
        name
        for name in WRITERS
        if name != "point" and WRITERS[name].__module__.startswith("heatkp.")
    ]
    one, all_of_them = tmp_path / "one", tmp_path / "merged"
    found = find_sources([str(mixed)])
    found.sources.sort(key=lambda source: source.name)
    direct = save_predictions(Cheap(), found, one, formats, drawn=False, every=2)
    shards(mixed, tmp_path / "out", count, every=2, part_size=part_size, batch_size=4)
    joined = merge_shards(tmp_path / "out", all_of_them, formats)
    mine, theirs = files(all_of_them), files(one)
    summaries = [json.loads(written.pop("summary.json")) for written in (mine, theirs)]
    assert mine.pop("points.parquet")[:4] == theirs.pop("points.parquet")[:4] == b"PAR1"
    for summary in summaries:
        del summary["seconds"]
    summaries[1]["passed_over"] = {}
    for name in [name for name in mine if name.startswith("pts/")]:
        exact, ours = (parse_pts(place / name) for place in (one, all_of_them))
        del mine[name], theirs[name]
        assert ours == pytest.approx(exact, abs=5.1e-4)  # parts hold three digits
    # A box around points differs in the last of the digits that parts hold.
    ours, exact = (json.loads(written.pop("coco.json")) for written in (mine, theirs))
    for a, b in zip(ours["annotations"], exact["annotations"], strict=True):
        assert a.pop("bbox") == pytest.approx(b.pop("bbox"), abs=2e-3)
        assert a.pop("area") == pytest.approx(b.pop("area"), abs=0.3)
    assert ours == exact
    assert mine == theirs and summaries[0] == summaries[1]
    assert joined.images == direct.images == IMAGES - 4 and joined.complete
    assert len(joined.failures) == FAILURES


def test_what_a_shard_leaves(mixed, tmp_path):
    done = predict_shard(Cheap(), mixed, "2/3", tmp_path / "out", part_size=4, model="m")
    folder = ShardFolder(tmp_path / "out", Shard(2, 3))
    assert done.complete and done.before == 0
    names = list(folder.inputs())
    assert names == list_inputs([str(mixed)], Shard(2, 3)).names and len(names) == done.inputs
    sizes = [sum("image" in json.loads(line) for line in p.read_text().splitlines())
             for p in folder.parts()]  # fmt: skip
    assert all(size <= 4 for size in sizes) and sum(sizes) == done.images + done.failed
    failed = [json.loads(line)["image"] for line in (folder.path / ERRORS).read_text().splitlines()]
    assert failed == [failure.name for failure in done.failures]
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (manifest["model"], manifest["shards"], manifest["inputs"]) == ("m", 3, 27)


@pytest.mark.parametrize("part_size", [1, 4, 1000])
def test_a_stop_after_each_image_loses_and_doubles_nothing(mixed, tmp_path, part_size):
    out, seen = tmp_path / "out", 0
    for _ in range(200):
        predictor, asked = Cheap(), []

        def stop(asked=asked):
            asked.append(1)
            return len(asked) > 4

        done = predict_shard(
            predictor, mixed, "1/1", out, stop=stop, batch_size=2, part_size=part_size
        )
        seen += predictor.seen
        if done.complete:
            break
    assert done.complete and seen == IMAGES
    found = parts(out)
    assert len(found) == len(set(found)) == IMAGES + FAILURES
    document = merged(out)
    assert len(document["images"]) == IMAGES and len(document["errors"]) == FAILURES


def test_what_is_done_is_not_opened_again(mixed, tmp_path, monkeypatch):
    out = tmp_path / "out"
    first = predict_shard(Cheap(), mixed, "1/1", out)
    before = files(out)
    opened = []
    monkeypatch.setattr(
        "heatkp.inference.sharding.predicting.images_of",
        lambda source, *_: opened.append(source.name) or iter(()),
    )
    again = predict_shard(Cheap(), mixed, "1/1", out)
    assert again.complete and again.before == first.inputs and again.images == 0
    assert opened == [] and files(out) == before


def test_killed_at_any_time(tmp_path):
    for i in range(40):
        write_image(tmp_path / "in" / f"{i:02d}.png", 8, 8, seed=i)
    (tmp_path / "in" / "t.tar").write_bytes(tar_bytes([(f"{i}.png", png(i)) for i in range(20)]))
    out = tmp_path / "out"
    words = [sys.executable, "-m", "tests.inference.sharding.cheap", tmp_path / "in", "1/1", out]
    kept = []
    for least in (7, 30):
        child = subprocess.Popen(list(map(str, words)), stdout=subprocess.PIPE, text=True)
        for line in child.stdout:
            if int(line) >= least:
                break
        child.send_signal(signal.SIGKILL)
        child.wait()
        kept.append(len(parts(out)))
    assert 5 <= kept[0] < kept[1] < 60
    predictor = Cheap()
    done = predict_shard(predictor, [tmp_path / "in"], "1/1", out, batch_size=2, part_size=5)
    assert done.complete and done.before > 0 and predictor.seen == 60 - kept[-1]
    found = parts(out)
    assert len(found) == len(set(found)) == 60
    assert [one["image"] for one in merged(out)["images"]] == sorted(
        [f"{i:02d}.png" for i in range(40)]
    ) + [f"t.tar/{i}.png" for i in range(20)]
    assert not list(out.rglob("*.part"))


def test_boxes_of_a_function(tmp_path):
    for i in range(6):
        write_image(tmp_path / "in" / f"{i}.png", 30, 30, seed=i)
    video(tmp_path / "in" / "v.mp4", frames=5)

    def boxes(image):
        if image.name == "3.png":
            return np.zeros((0, 4))
        if image.name == "4.png" or image.frame is not None:
            raise DataError("no box can be told")
        return np.array([[1.0, 2, 20, 20]])

    shards(tmp_path / "in", tmp_path / "out", 2, boxes=boxes, boxes_from="mine", part_size=2)
    joined = merge_shards(tmp_path / "out", tmp_path / "merged")
    assert joined.images == 4 and joined.without_box == ["3.png"]
    # Faults of a frame are of the frame where a function gives boxes of it.
    assert {f.name for f in joined.failures} == {"4.png", *(f"v.mp4/{i:06d}" for i in range(5))}


def test_another_prediction_is_refused(mixed, tmp_path, monkeypatch):
    out = tmp_path / "out"
    predict_shard(Cheap(), mixed, "1/3", out, passes=1)
    before = files(out)

    def refused(words, shard="2/3", predictor=None, inputs=mixed, **options):
        with pytest.raises(SettingsError, match=words):
            predict_shard(predictor or Cheap(), inputs, shard, out, **{"passes": 1, **options})
        assert files(out) == before

    refused("number of shards 3 there, 2 here", "2/2")
    refused("other weights", predictor=Cheap(0.5))
    refused("every 1 there, 2 here", every=2)
    refused("boxes_digest null there, .x. here", boxes_digest="x")
    refused('boxes "image" there, "mine" here', boxes=lambda image: [], boxes_from="mine")
    refused("number of inputs 27 there, 1 here", inputs=mixed / "0" / "0.png")
    with monkeypatch.context() as patch:
        patch.setattr("heatkp.__version__", "9.9")
        refused("heatkp .* there, 9.9 here")
    (mixed / "0" / "0.png").rename(mixed / "0" / "renamed.png")
    refused("27 inputs here as there, but of other names")
    write_image(mixed / "new.png")
    refused("number of inputs 27 there, 28 here")


def test_the_same_files_from_elsewhere(mixed, tmp_path, monkeypatch):
    """Names count, not how the folder was named; nor where the model lies."""
    shards(mixed, tmp_path / "out", 1, model="a")
    monkeypatch.chdir(tmp_path)
    again = predict_shard(Cheap(), "inputs", "1/1", tmp_path / "out", model="b")
    assert again.before == again.inputs


def test_folders_that_are_something_else(mixed, tmp_path):
    for inputs, out in [(mixed, mixed), (mixed, mixed / "0" / "0.png"), (mixed, mixed / "0")]:
        with pytest.raises(SettingsError):
            predict_shard(Cheap(), inputs, "1/2", out)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "manifest.json").write_text('{"made_by": "me"}')
    with pytest.raises(SettingsError, match="damaged"):
        predict_shard(Cheap(), mixed, "1/2", tmp_path / "out")


def test_options_that_cannot_be(mixed, tmp_path):
    with pytest.raises(SettingsError, match="part_size"):
        predict_shard(Cheap(), mixed, "1/2", tmp_path / "out", part_size=0)
    with pytest.raises(SettingsError, match="inputs of shard 1/2, not of 2/2"):
        predict_shard(Cheap(), list_inputs([str(mixed)], Shard(1, 2)), "2/2", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_shards_than_inputs(tmp_path):
    write_image(tmp_path / "in" / "a.png")
    shards(tmp_path / "in", tmp_path / "out", 5)
    assert len(merged(tmp_path / "out")["images"]) == 1


def test_parts_that_were_lost_are_made_again(mixed, tmp_path):
    out = tmp_path / "out"
    shards(mixed, out, 1, part_size=5)
    before = merged(out)
    lost = sorted(out.rglob("part-*.jsonl"))[-1]
    lost.unlink()
    (next(out.rglob(ERRORS))).write_text("")
    with pytest.raises(DataError, match="shard 1/1"):
        merge_shards(out, tmp_path / "x")
    shards(mixed, out, 1, part_size=5)
    assert merged(out, tmp_path / "again") == before
    assert len(next(out.rglob(ERRORS)).read_text().splitlines()) == FAILURES


def test_a_damaged_part_is_named(mixed, tmp_path):
    out = tmp_path / "out"
    shards(mixed, out, 1)
    part = next(out.rglob("part-*.jsonl"))
    part.write_bytes(part.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"part-000000\.jsonl, line"):
        predict_shard(Cheap(), mixed, "1/1", out)
    assert os.listdir(part.parent).count(INPUTS) == 1


class Told:
    """A detector with a network: the middle of each image."""

    name, box_style = "told", None

    def __init__(self, bias):
        self.model = torch.nn.Linear(1, 1)
        torch.nn.init.constant_(self.model.weight, 1)
        torch.nn.init.constant_(self.model.bias, bias)

    def __call__(self, image):
        return [Detection(np.array([2.0, 2, 12, 12]), 0.5)]


def test_another_finder_is_refused(tmp_path):
    for i in range(4):
        write_image(tmp_path / "in" / f"{i}.png", 16, 16, seed=i)

    def with_detector(bias):
        model = discs()
        model.detector = Told(bias)
        return model

    inputs, out = tmp_path / "in", tmp_path / "out"
    predict_shard(with_detector(0), inputs, "1/2", out, boxes="objects")
    with pytest.raises(SettingsError, match="detector_weights"):
        predict_shard(with_detector(1), inputs, "2/2", out, boxes="objects")
    predict_shard(with_detector(0), inputs, "2/2", out, boxes="objects")
    assert merge_shards(out, tmp_path / "merged").objects == 4
