"""`heatkp predict --shard`, `--merge`, `--list` and tars, as they are typed."""

from __future__ import annotations

import json
import os
import shlex
import signal

import pytest
from click.testing import CliRunner

from heatkp.cli import main
from tests.cli.test_cli import refused
from tests.conftest import box_of, heatkp, imglab_text, write_image
from tests.inference.test_tars import png, tar_bytes


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "my photos"
    for i in range(10):
        write_image(folder / "ab"[i % 2] / f"{i}.png", 40, 30, seed=i)
    (folder / "t.tar").write_bytes(tar_bytes([(f"{i}.png", png(i, (40, 30))) for i in range(4)]))
    return folder


def run(*arguments, code=0):
    result = heatkp("predict", *arguments)
    assert result.exit_code == code, result.output
    return " ".join(result.output.split())


def images(path):
    return [image["image"] for image in json.loads(path.read_text())["images"]]


NAMES = sorted([f"{'ab'[i % 2]}/{i}.png" for i in range(10)] + [f"t.tar/{i}.png" for i in range(4)])


def test_shards_and_merge(tiny_run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tail = ["--model", tiny_run, "--out", "found", "--part-size", 3]
    text = run(photos, "--shard", "1/2", *tail)
    assert "inputs of 11" in text and "heatkp predict --merge found" in text
    text = run("--merge", "found", code=2)
    assert "of 2 shards 1 are not done: 2" in text
    command = text.rpartition(" by: ")[2]
    assert run(*shlex.split(command)[2:]).startswith("shard 2/2: ")
    assert "14 images, 14 objects" in run("--merge", "found")
    assert images(tmp_path / "found" / "merged" / "points.json") == NAMES
    text = run("--merge", "found", "--format", "jsonl", "--format", "csv", "--out", "tables")
    assert "points.jsonl" in text and "objects.csv" in text
    lines = (tmp_path / "tables" / "points.jsonl").read_text().splitlines()
    assert [json.loads(line)["image"] for line in lines] == NAMES
    rows = (tmp_path / "tables" / "points.csv").read_text().splitlines()[1:]
    assert [row.partition(",")[0] for row in rows] == [f"../my photos/{name}" for name in NAMES]
    printed = heatkp("predict", "--merge", "found", "--format", "jsonl", "--out", "-")
    assert printed.stdout.splitlines() == lines
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "found").rglob("*.jsonl")}
    assert "now 0 images, 0 objects" in run(photos, "--shard", "1/2", *tail)
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "found").rglob("*.jsonl")}


def test_it_is_what_one_process_finds(tiny_run, photos, tmp_path):
    out = tmp_path / "found"
    for i in (1, 2, 3):
        run(photos, "--shard", f"{i}/3", "--model", tiny_run, "--out", out, "--batch-size", 1)
    run("--merge", out)
    run(photos, "--model", tiny_run, "--out", tmp_path / "one", "--no-images", "--batch-size", 1)
    one, joined = (json.loads((p / "points.json").read_text())
                   for p in (tmp_path / "one", out / "merged"))  # fmt: skip
    one["images"].sort(key=lambda image: image["image"])  # t.tar is before folders there
    assert one == joined and one["complete"] is True


def test_failures_are_named(tiny_run, photos, tmp_path):
    (photos / "b" / "broken.png").write_bytes(b"x")
    out = tmp_path / "found"
    text = run(photos, "--shard", "1/1", "--model", tiny_run, "--out", out, code=1)
    assert "1 could not be used: b/broken.png: is not an image" in text
    assert "b/broken.png" in run("--merge", out, code=1)
    (error,) = out.rglob("errors.jsonl")
    assert json.loads(error.read_text())["image"] == "b/broken.png"


def test_ctrl_c(tiny_run, photos, tmp_path, monkeypatch):
    """The first one ends the shard in good order, and the same command goes on."""
    from heatkp.inference.predictor import Predictor

    plain, calls = Predictor.predict, []

    def predict(self, given, *arguments, **options):
        calls.append(len(given))
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return plain(self, given, *arguments, **options)

    monkeypatch.setattr(Predictor, "predict", predict)
    command = [photos, "--shard", "1/1", "--model", tiny_run, "--out", tmp_path / "found",
               "--batch-size", 2]  # fmt: skip
    text = run(*command, code=130)
    assert "Interrupted; the same command goes on from here" in text
    done = sum(calls)
    assert 6 <= done < 14
    assert f"{min(done, 10)} done before" in run(*command)
    assert sum(calls) == 14
    run("--merge", tmp_path / "found")
    assert images(tmp_path / "found" / "merged" / "points.json") == NAMES


def test_a_list(tiny_run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = [f"my photos/{'ab'[i % 2]}/{i}.png" for i in range(6)]
    (tmp_path / "list.txt").write_text("\n".join(names))
    run("--list", "list.txt", "--model", tiny_run, "--out", "one", "--no-images")
    expected = sorted(name.removeprefix("my photos/") for name in names)
    assert sorted(images(tmp_path / "one" / "points.json")) == expected
    for i in (1, 2):
        result = CliRunner().invoke(
            main,
            ["predict", "--list", "-", "--shard", f"{i}/2", "--model", str(tiny_run), "--out", "o"],
            input="\n".join(names),
        )
        assert result.exit_code == 0, result.output
    run("--merge", "o")
    assert images(tmp_path / "o" / "merged" / "points.json") == expected


def test_boxes_of_a_file_do_not_depend_on_the_shard(boxed_run, tmp_path):
    """An entry for b/1.png is not taken for a/1.png because that is alone in its shard."""
    for name in ("a/1.png", "b/1.png", "c/2.png"):
        write_image(tmp_path / "in" / name, 40, 40)
    xml = tmp_path / "boxes.xml"
    xml.write_text(imglab_text([("b/1.png", [box_of(1, 2, 30, 30)])]))
    tail = [tmp_path / "in", "--boxes", xml, "--model", boxed_run, "--passes", 1]
    run(*tail, "--out", tmp_path / "one", "--no-images")
    out = tmp_path / "found"
    for i in range(1, 6):
        run(*tail, "--shard", f"{i}/5", "--out", out)
    text = run("--merge", out)
    assert "2 without a box, left out: a/1.png c/2.png" in text
    assert images(out / "merged" / "points.json") == images(tmp_path / "one" / "points.json")
    xml.write_text(imglab_text([("b/1.png", [box_of(1, 2, 30, 31)])]))
    refused(["predict", *tail, "--shard", "1/5", "--out", out], "boxes_digest")


@pytest.fixture(scope="module")
def boxed_run(tiny_run, tmp_path_factory):
    from heatkp import runs
    from heatkp.models import build_model

    loaded = runs.load_run(tiny_run)
    settings = loaded.settings.model_copy(deep=True)
    settings.model.encoder_weights = "none"
    settings.data = settings.data.model_copy(update={"crop": "box"})
    path = tmp_path_factory.mktemp("weights") / "boxed.safetensors"
    model = build_model(settings, len(loaded.skeleton))
    runs.save_weights(path, model, runs.describe(settings, loaded.skeleton))
    return path


def test_what_cannot_be(tiny_run, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out, model = ["--out", "o"], ["--model", tiny_run]
    for text in ("0/3", "4/3", "a/b"):
        refused(["predict", photos, "--shard", text, *out, *model], "such as 3/10")
    shard = ["--shard", "1/2", *model]
    refused(["predict", photos, *shard], "--out")
    refused(["predict", photos, *shard, "--out", "-"], "--out")
    refused(["predict", photos, *shard, *out, "--format", "csv"], "--merge")
    refused(["predict", photos, *shard, *out, "--box", "1,2,3,4"], "--boxes")
    refused(["predict", tmp_path / "none", *shard, *out], "no such file")
    refused(["predict", "--list", "none", *shard, *out], "cannot be read")
    refused(["predict", "--list", photos / "a" / "0.png", *shard, *out], "one a line")
    refused(["predict", photos, "--part-size", 3, *out, *model], "--shard")
    refused(["predict", *out], "IMAGES")
    refused(["predict", "--merge", "none"], "holds no manifest.json")
    refused(["predict", photos, "--merge", "o"], "leave out inputs")
    refused(["predict", "--merge", "o", *shard], "leave out --model, --shard")
    assert not (tmp_path / "o").exists()
