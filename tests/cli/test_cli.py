"""What a user types, right and wrong."""

from __future__ import annotations

import errno
import json
import os
import shutil
from dataclasses import replace

import numpy as np
import pytest

from heatkp.cli.common import chosen_settings
from tests.conftest import TINY, heatkp, write_imm


def refused(arguments, *words, out=None):
    """Exit code 2, one clear message, no traceback, nothing written."""
    result = heatkp(*arguments)
    text = " ".join(result.output.split())
    assert result.exit_code == 2, result.output
    assert "Traceback" not in text and "Error" in text
    for word in words:
        assert word in text, text
    if out is not None:
        assert not out.exists()


def spoil(folder, what):
    path = folder / "02-1m.asf"
    text = path.read_text()
    if what == "cut":
        path.write_text(text[: len(text) // 2])
    elif what == "nan":
        lines = text.split("\n")
        lines[9] = "0 4 nan 0.5 6 0 1"
        path.write_text("\n".join(lines))
    elif what == "image":
        (folder / "02-1m.jpg").write_bytes(b"not a picture")
    return folder


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("cut", ["02-1m.asf", "cut off"]),
        ("nan", ["02-1m.asf", "nan"]),
        ("image", ["02-1m.jpg is not an image"]),
    ],
)
def test_bad_files(tmp_path, what, words):
    folder = spoil(write_imm(tmp_path / "imm"), what)
    out = tmp_path / "run"
    refused(["train", *TINY, "--data", folder, "--out", out], *words, out=out)


def test_bad_data(tmp_path):
    out = tmp_path / "run"
    train = ["train", *TINY, "--out", out]
    refused([*train, "--data", tmp_path / "none"], "no file or folder", out=out)
    few = write_imm(tmp_path / "few", count=57)
    refused([*train, "--data", few], "57 points", out=out)
    imm = write_imm(tmp_path / "imm", people=2)
    refused([*train, "--data", imm, "--set", "data.validation=0.01"], "split is empty", out=out)


def test_bad_settings(tmp_path):
    out = tmp_path / "run"
    train = ["train", *TINY, "--out", out]
    refused([*train, "--head", "softmax"], "softmax", "softargmax", out=out)
    refused([*train, "--set", "model.strid=2"], "model.strid", "unknown key", "stride", out=out)
    refused([*train, "--set", "nonsense"], "section.key=value", out=out)
    refused([*train, "--set", "trainer.device=cuda"], "cuda is not available", out=out)
    config = tmp_path / "a.yaml"
    config.write_text("head:\n  nmae: kl\n")
    refused([*train, "--config", config], "a.yaml", "head.nmae", "name", out=out)
    config.write_text("head: [\n")
    refused([*train, "--config", config], "not valid YAML", out=out)
    refused([*train, "--config", tmp_path / "b.yaml"], "cannot read", out=out)
    refused(["train", "--epochs", "many"], "not a valid integer")


@pytest.mark.parametrize(
    ("flag", "assignment"),
    [
        (["--head", "kl"], "head.name=ce"),
        (["--epochs", 3], "trainer.epochs=7"),
        (["--batch-size", 4], "trainer={batch_size: 2}"),
        (["--lr", 0.1], "optimiser.lr=1e-2"),
        (["--data", "a"], "data.path=b"),
    ],
)
def test_a_flag_and_a_setting_that_contradict(tmp_path, flag, assignment):
    out = tmp_path / "run"
    command = ["train", *flag, "--set", assignment, "--out", out]
    refused(command, f"{flag[0]} {flag[1]} and --set", "contradict", "leave one out", out=out)


def test_a_flag_and_a_setting_that_agree():
    flags = {"epochs": 3, "head": "kl", "lr": 1e-2}
    same = ["trainer.epochs=3", "head={name: kl, sigma: 2}", "optimiser.lr=1e-2"]
    settings = chosen_settings({"trainer": {"epochs": 9}}, flags, same, "settings")
    assert (settings.trainer.epochs, settings.head.name, settings.head.sigma) == (3, "kl", 2)
    assert settings.optimiser.lr == 1e-2


def test_a_path_that_is_empty_is_not_the_current_folder(tiny_run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.chdir(write_imm(tmp_path / "imm"))
    monkeypatch.setenv("UNSET", "")
    refused(["train", *TINY, "--data", "", "--out", out], "--data", "is empty", "drawn", out=out)
    refused(["train", *TINY, "--data", "${UNSET}", "--out", out], "data.path", "is empty", out=out)
    refused(["eval", tiny_run, "--data", "", "--out", out], "--data", "is empty", out=out)
    refused(["eval", tiny_run, "--kaggle", "--data", "", "--out", out], "--data", "empty", out=out)


def test_settings_that_are_ignored_are_named(tmp_path):
    more = ["--set", "model.pooling=flatten", "--set", "model.hidden=[8]", "--set", "data.seed=1"]
    command = ["train", *TINY, "--data", tmp_path / "none", "--head", "kl"]
    refused([*command, *more], "data.seed", "unknown key")
    told = "model.hidden (head kl has no fc layers); model.pooling (head kl pools nothing)"
    refused([*command, *more[:-2]], "2 epochs ignored: data.train_count,", told)
    result = heatkp(*command)
    assert "model." not in result.output and "no file or folder" in result.output


def test_run_folder_that_exists(tiny_run):
    before = sorted(p.name for p in tiny_run.iterdir())
    refused(["train", *TINY, "--out", tiny_run], "exists already", "--resume")
    assert sorted(p.name for p in tiny_run.iterdir()) == before


def test_default_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "kl-1").mkdir(parents=True)
    assert heatkp("train", *TINY, "--epochs", 1, "--head", "kl").exit_code == 0
    assert sorted(p.name for p in (tmp_path / "runs").iterdir()) == ["kl-1", "kl-2"]


def test_eval(tiny_run, tmp_path):
    out = tmp_path / "a.json"
    result = heatkp("eval", tiny_run, "--out", out)
    assert result.exit_code == 0, result.output
    for word in ("MAE, image", "NME, inter-ocular", "PCK", "failures", "Largest errors"):
        assert word in result.output
    stored = json.loads((tiny_run / "metrics.json").read_text())
    found = json.loads(out.read_text())
    for key in ("mae_photo", "mse_normalised", "images"):
        assert found[key] == pytest.approx(stored[key], rel=1e-5)
    weights = heatkp("eval", tiny_run / "weights.safetensors", "--split", "all", "--out", out)
    assert weights.exit_code == 0, weights.output
    assert json.loads(out.read_text())["images"] == 36
    last = heatkp("eval", tiny_run / "checkpoints" / "last.ckpt", "--out", out)
    assert last.exit_code == 0, last.output


def test_without_a_run_the_newest_is_taken(tiny_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for command in (["eval"], ["report"], ["viz-heatmaps"], ["eval", "--kaggle", "--data", "a"]):
        refused(command, "name a RUN", "runs/")
    for i, name in enumerate(("b", "a", "c")):
        shutil.copytree(tiny_run, tmp_path / "runs" / name)
        os.utime(tmp_path / "runs" / name / "metrics.json", (1e9 + i, 1e9 + i))
    (tmp_path / "runs" / "c" / "metrics.json").unlink()  # not finished
    result = heatkp("eval")
    assert result.exit_code == 0, result.output
    assert "RUN is runs/a, the newest here" in result.output
    assert (tmp_path / "runs" / "a" / "eval-val.json").is_file()
    for command in (["report", "--out", "a.txt"], ["viz-heatmaps", "--points", "nosuch"]):
        refused(command, "RUN is runs/a")


def test_eval_writes_into_the_run(run_copy):
    assert heatkp("eval", run_copy, "--decoder", "argmax", "--flip-test").exit_code == 0
    written = json.loads((run_copy / "eval-val.json").read_text())
    assert written["decoder"] == "argmax" and written["flip_test"] is True
    (run_copy / "eval-val.json").unlink()
    for name in ("weights.safetensors", "checkpoints/last.ckpt"):
        assert heatkp("eval", run_copy / name).exit_code == 0
        (run_copy / "eval-val.json").unlink()  # in the run, also of its checkpoint


def test_eval_on_other_data(tiny_run, tmp_path):
    assert heatkp("data", "synth", tmp_path / "faces", "--n", 10, "--seed", 9).exit_code == 0
    out = tmp_path / "a.json"
    result = heatkp("eval", tiny_run, "--data", tmp_path / "faces", "--split", "all", "--out", out)
    assert result.exit_code == 0, result.output
    assert json.loads(out.read_text())["images"] == 10


def test_bad_eval(tiny_run, run_copy, tmp_path, monkeypatch):
    refused(["eval", tmp_path / "none"], "no run folder or checkpoint")
    refused(["eval", tmp_path / "none" / "run"], "no run folder or checkpoint")
    refused(["eval", tmp_path], "holds no weights")
    rubbish = tmp_path / "a.safetensors"
    rubbish.write_bytes(b"rubbish")
    refused(["eval", rubbish], "cannot be read")
    pickle = tmp_path / "a.ckpt"
    pickle.write_bytes(b"\x80\x04cos\nsystem\n.")
    refused(["eval", pickle], "a.ckpt")
    refused(["eval", tiny_run, "--decoder", "nosuch"], "head.decoder", "expectation")
    refused(["eval", tiny_run, "--data", write_imm(tmp_path / "imm")], "face68", "face58")
    with monkeypatch.context() as patch:  # before minutes of work
        patch.setattr("heatkp.evaluation.measure.load_split", lambda *_: 1 / 0)
        refused(["eval", tiny_run, "--out", tmp_path / "no" / "a.json"], "cannot write")
        for folder in (tmp_path, "."):
            refused(["eval", tiny_run, "--out", folder], "cannot write", "is a folder")
    assert not list(tmp_path.glob("*.part"))
    (run_copy / "settings.yaml").write_text("data: [1")
    refused(["eval", run_copy], "settings.yaml is not valid YAML")
    weights = run_copy / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    refused(["eval", run_copy], "cannot be read")


def test_a_picture_that_breaks_later_is_named(tmp_path, monkeypatch):
    """Found by a loader's worker, an error still reads like one."""
    assert heatkp("data", "synth", tmp_path / "faces", "--n", 30, "--size", 64).exit_code == 0
    broken = tmp_path / "faces" / "images" / "000003.png"
    broken.write_bytes(broken.read_bytes()[:200])
    out = tmp_path / "run"
    refused(["train", *TINY, "--data", tmp_path / "faces", "--out", out], "000003.png", out=out)
    flags = ["--set", "data.cache_mb=0", "--set", "data.workers=1"]
    result = heatkp("train", *TINY, "--data", tmp_path / "faces", "--out", out, *flags)
    assert result.exit_code == 2
    assert "000003.png" in result.output and "Traceback" not in result.output


def test_debug_shows_the_traceback(tmp_path, capfd):
    result = heatkp("--debug", "eval", tmp_path / "none")
    assert result.exit_code == 2 and "Traceback" in result.output + capfd.readouterr().err


def test_an_unforeseen_error_says_so(monkeypatch, tmp_path):
    from heatkp import runs

    monkeypatch.setattr(runs, "load_run", lambda *path: 1 / 0)
    result = heatkp("eval", tmp_path)
    assert result.exit_code == 1 and "ZeroDivisionError" in result.output
    assert "--debug" in result.output and "Traceback" not in result.output


def test_a_reader_that_has_gone_is_no_fault(monkeypatch, tmp_path):
    from heatkp import runs

    def gone(*path):
        raise BrokenPipeError(errno.EPIPE, "Broken pipe")

    monkeypatch.setattr(runs, "load_run", gone)
    result = heatkp("eval", tmp_path)
    assert result.exit_code == 1 and "fault" not in result.output


def test_names_with_brackets_are_shown_whole(tiny_run, tmp_path):
    run = shutil.copytree(tiny_run, tmp_path / "run[red]")
    result = heatkp("eval", run)
    assert result.exit_code == 0 and "run[red]/eval-val.json" in result.output.replace("\n", "")


def test_data_is_recognised_beside_a_file_that_names_a_format(tmp_path, root):
    folder = tmp_path / "faces"
    assert heatkp("data", "synth", folder, "--n", 12, "--size", 64).exit_code == 0
    config = root / "configs" / "part2_face.yaml"
    result = heatkp("viz", "augmentation", "--config", config, "--data", folder, "--samples", 1,
                    "--out", tmp_path / "a.png")  # fmt: skip
    assert result.exit_code == 0, result.output
    settings = tmp_path / "imm.yaml"
    settings.write_text("data: {format: imm, path: nowhere}")
    result = heatkp("train", *TINY, "--config", settings, "--data", folder, "--epochs", 1,
                    "--out", tmp_path / "run")  # fmt: skip
    assert result.exit_code == 0, result.output
    refused(["train", *TINY, "--config", settings, "--data", folder, "--set", "data.format=imm"],
            ".asf")  # fmt: skip


def test_training_on_imm_like_files(tmp_path):
    imm = write_imm(tmp_path / "imm", people=10)
    out = tmp_path / "run"
    result = heatkp("train", *TINY, "--data", imm, "--set", "data.points=nose", "--set",
                    "data.split=person", "--head", "kl", "--epochs", 1, "--out", out)  # fmt: skip
    assert result.exit_code == 0, result.output
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["images"] == 4 and np.isfinite(metrics["mse_normalised"])
    assert [p["name"] for p in metrics["points"]] == ["nose_tip"]


def test_eval_says_what_readers_left_out_or_mended(tiny_run, tmp_path, monkeypatch):
    from heatkp.data import loading

    real = loading.load_data

    def noted(*given, **more):
        return replace(real(*given, **more), notes=("faces without a box: 3",))

    monkeypatch.setattr(loading, "load_data", noted)
    result = heatkp("eval", tiny_run, "--out", tmp_path / "eval.json")
    assert result.exit_code == 0 and "faces without a box: 3" in result.output


@pytest.mark.parametrize(("split", "searched"), [("val", False), ("train", True), ("all", True)])
def test_eval_chooses_training_samples_only_where_it_measures_them(
    tiny_run, tmp_path, monkeypatch, split, searched
):
    from heatkp.data import loading

    real, asked = loading.load_data, []

    def noted(data, chosen=True):
        asked.append(chosen)
        return real(data, chosen)

    monkeypatch.setattr(loading, "load_data", noted)
    result = heatkp("eval", tiny_run, "--split", split, "--out", tmp_path / "eval.json")
    assert result.exit_code == 0 and asked == [searched]
