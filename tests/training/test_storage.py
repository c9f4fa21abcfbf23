"""Trainings that cannot write: what is said, what is kept, and how they go on."""

from __future__ import annotations

import csv
import errno
import os
import shutil

import pytest
import torch

from heatkp import runs
from heatkp.errors import HeatkpError, StorageError
from heatkp.training.storage import epochs_done, resumable
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp, largest_file

SMALL = [
    *TINY, "--set", "data.points=nose", "--set", "data.train_count=8", "--set", "data.val_count=4",
    "--set", "trainer.animation_every=1",
]  # fmt: skip
CAUSES = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "quota",
    errno.EFBIG: "larger than is allowed",
    errno.EACCES: "no permission",
    errno.EROFS: "read-only",
    errno.EIO: os.strerror(errno.EIO),
}


def rows(run):
    with (run / runs.HISTORY).open(newline="") as file:
        return [(r["train_loss"], r["val_mae"], r["lr"]) for r in csv.DictReader(file)]


def failed(*arguments):
    done = heatkp(*arguments)
    text = " ".join(done.output.split())
    assert done.exit_code == 2, done.output
    assert "Traceback" not in text and "error in heatkp" not in text
    return text


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing stopped."""
    run = tmp_path_factory.mktemp("whole") / "run"
    assert heatkp("train", *SMALL, "--out", run).exit_code == 0
    return run


def refuse(monkeypatch, name, number, times=1):
    """The system refuses to write a file of that name, but for the first times."""
    replace, left = os.replace, [times - 1]

    def refusing(source, target, **options):
        if os.path.basename(target) == name:
            left[0] -= 1
            if left[0] < 0:
                raise OSError(number, os.strerror(number))
        return replace(source, target, **options)

    monkeypatch.setattr(os, "replace", refusing)


@pytest.mark.parametrize(
    ("name", "number", "times", "kept"),
    [
        ("environment.json", errno.EDQUOT, 1, "no epoch is kept yet"),
        (runs.WEIGHTS, errno.EACCES, 1, "no epoch is kept yet"),
        (runs.HISTORY, errno.ENOSPC, 2, "after epoch 1"),
        ("last.ckpt", errno.EROFS, 2, "after epoch 1"),
        ("predictions.png", errno.EFBIG, 1, "after epoch 2"),
        (runs.METRICS, errno.EIO, 1, "after epoch 2"),
    ],
)
def test_what_cannot_be_written_is_named_and_the_run_goes_on(
    whole, tmp_path, monkeypatch, request, name, number, times, kept
):
    run = tmp_path / "run"
    if name.endswith(".png"):
        request.getfixturevalue("figures")
    refuse(monkeypatch, name, number, times)
    text = failed("train", *SMALL, "--out", run)
    assert CAUSES[number] in text and name in text and kept in text
    assert text.endswith(f"heatkp train --resume {run}")
    assert not list(run.rglob("*.part")) and not (run / runs.METRICS).exists()
    monkeypatch.undo()
    done = heatkp("train", "--resume", run)
    assert done.exit_code == 0, done.output
    assert rows(run) == rows(whole)
    here, there = (
        {p.name for p in folder.iterdir() if p.suffix != ".png"} for folder in (run, whole)
    )
    assert here == there and list(run.rglob(name))
    assert (run / "settling.gif").read_bytes() == (whole / "settling.gif").read_bytes()


@pytest.mark.parametrize("name", [runs.WEIGHTS, runs.LAST])
def test_writes_that_fail_in_the_middle(whole, tmp_path, name):
    run, size = tmp_path / "run", (whole / name).stat().st_size
    with largest_file(size - 5000):
        text = failed("train", *SMALL, "--out", run)
    assert "larger than is allowed" in text and str(run / name) in text
    assert not (run / name).exists() and not list(run.rglob("*.part"))


def test_a_run_of_which_nothing_was_written_leaves_no_folder(tmp_path, monkeypatch):
    refuse(monkeypatch, runs.SETTINGS, errno.ENOSPC)
    assert "nothing was begun" in failed("train", *SMALL, "--out", tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_nothing_is_computed_for_a_place_that_cannot_be_written(whole, tmp_path, monkeypatch):
    def worked(*_):
        raise AssertionError("began to work")

    monkeypatch.setattr("heatkp.training.fit.prepare", worked)
    monkeypatch.setattr("heatkp.data.loading.load_data", worked)
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 and access(path, mode))
    refused(["train", *SMALL], "cannot make the run folder runs", "no permission", "--out")
    refused(["train", *SMALL, "--out", tmp_path / "a" / "b"], "no permission", "--out")
    assert list(tmp_path.iterdir()) == []
    before = {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()}
    text = failed("train", "--resume", whole, "--epochs", 4)
    assert "no permission" in text and "the same command" in text
    for command in (["eval", whole], ["report", whole], ["viz-heatmaps", whole]):
        refused(command, "no permission", "--out")
    assert {p: p.read_bytes() for p in whole.rglob("*") if p.is_file()} == before


def test_other_errors_pass(tmp_path):
    for error in (
        FileNotFoundError(errno.ENOENT, "gone", str(tmp_path / "photo.png")),
        OSError("of no number"),
        RuntimeError("DataLoader worker (pid 1) exited unexpectedly"),
    ):
        with pytest.raises(type(error)) as caught, resumable(tmp_path / "run"):
            raise error
        assert caught.value is error
    with pytest.raises(StorageError) as caught, resumable(tmp_path):
        raise FileNotFoundError(errno.ENOENT, "gone", os.fsencode(tmp_path / "a.png"))
    assert caught.value.problem in str(caught.value) and "a.png" in caught.value.problem


def test_processes_that_are_killed(whole, tmp_path):
    run = shutil.copytree(whole, tmp_path / "run")
    (run / runs.METRICS).unlink()
    words = r"memory.*after epoch 2.*--resume .* data\.workers=0"
    with pytest.raises(HeatkpError, match=words), resumable(run):
        raise RuntimeError("DataLoader worker (pid(s) 7) is killed by signal: Bus error.")


def test_epochs_done(whole, tmp_path):
    assert epochs_done(whole) == 2 and epochs_done(tmp_path) is None
    (tmp_path / "checkpoints").mkdir()
    for content in (b"rubbish", b""):
        (tmp_path / runs.LAST).write_bytes(content)
        assert epochs_done(tmp_path) is None
    torch.save([1], tmp_path / runs.LAST)
    assert epochs_done(tmp_path) is None
