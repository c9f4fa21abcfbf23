"""What weights and checkpoints remember of their training, and what `--resume` needs."""

from __future__ import annotations

import csv
import shutil

import pytest

from heatkp import runs
from heatkp.data.readers import read
from heatkp.data.samples import fingerprint
from heatkp.models.heads import Head
from heatkp.training.module import KeypointModule
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp, write_imm

SHORT = [*TINY, "--head", "kl"]


def test_weights_are_read_by_the_width_that_chose_them(tmp_path, monkeypatch):
    """Which narrows while training: the kept epoch need not be the last."""
    seen = []
    decode = Head.decode
    monkeypatch.setattr(Head, "decode", lambda s, m: seen.append(s.sigma) or decode(s, m))
    sigmas = ["--set", "head.sigma=3", "--set", "head.sigma_final=1", "--epochs", 3]
    errors, totals = {0: 3.0, 1: 1.0, 2: 2.0}, KeypointModule.totals  # the second is the best
    monkeypatch.setattr(
        KeypointModule,
        "totals",
        lambda self: {**totals(self), "val_mae": errors[self.current_epoch]},
    )
    run = tmp_path / "run"
    done = heatkp("train", *SHORT, *sigmas, "--out", run)
    assert done.exit_code == 0, done.output
    assert list(dict.fromkeys(seen)) == [3.0, 2.0, 1.0]
    assert seen[-1] == 2.0  # when all was over, the kept weights were measured
    assert runs.load_run(run).model.head.sigma == 2.0
    assert runs.load_run(run / runs.LAST).model.head.sigma == 1.0


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A run on images of persons, cut off in its second epoch, and the images."""
    faces = write_imm(tmp_path / "imm", people=10)
    monkeypatch.setattr(KeypointModule, "training_step", _cut_off(KeypointModule.training_step))
    options = ["--data", faces, "--set", "data.split=person", "--out", tmp_path / "run"]
    assert heatkp("train", *SHORT, *options).exit_code == 130
    monkeypatch.undo()
    return tmp_path / "run", faces


def _cut_off(step):
    def interrupted(self, batch, index):
        if self.current_epoch == 1:
            raise KeyboardInterrupt
        return step(self, batch, index)

    return interrupted


def test_a_run_goes_on_with_the_photos_it_began_with(stopped, tmp_path):
    run, faces = stopped
    write_imm(tmp_path / "more", people=1)
    for file in (tmp_path / "more").iterdir():  # a person who sorts first: validation is the same
        shutil.copy(file, faces / file.name.replace("01-", "00-"))
    text = next(faces.glob("00-*.asf"))
    text.write_text(text.read_text().replace("01-", "00-"))
    refused(["train", "--resume", run], "model.init")
    for file in faces.glob("00-*"):
        file.unlink()
    done = heatkp("train", "--resume", run)
    assert done.exit_code == 0, done.output
    with (run / runs.HISTORY).open() as file:
        assert [row["epoch"] for row in csv.DictReader(file)] == ["0", "1"]


def test_fingerprint_of_an_order(tmp_path):
    samples = read(write_imm(tmp_path / "imm")).samples
    assert fingerprint(samples, ordered=True) != fingerprint(samples[::-1], ordered=True)
    assert fingerprint(samples) == fingerprint(samples[::-1])


def test_resume_needs_no_weights_that_a_checkpoint_replaces(tiny_run, tmp_path, monkeypatch):
    begun = shutil.copytree(tiny_run, tmp_path / "begun")
    monkeypatch.setattr(KeypointModule, "training_step", _cut_off(KeypointModule.training_step))
    start = ["--set", f"model.init={begun}", "--head", "softargmax"]
    assert heatkp("train", *TINY, *start, "--out", tmp_path / "run").exit_code == 130
    monkeypatch.undo()
    shutil.rmtree(begun)
    done = heatkp("train", "--resume", tmp_path / "run")
    assert done.exit_code == 0, done.output


def test_model_init_demands_the_same_points(tmp_path):
    first, second = tmp_path / "first", tmp_path / "second"
    points = ["--epochs", 1, "--set", "augmentation.flip=0", "--set"]
    done = heatkp("train", *SHORT, *points, "data.points=[0,1,2]", "--out", first)
    assert done.exit_code == 0, done.output
    start = ["--set", f"model.init={first}", "--out", second]
    refused(
        ["train", *SHORT, *points, "data.points=[3,4,5]", *start],
        "'jaw_3'",
        "'jaw_0'",
        "model.transfer",
    )
    assert not second.exists()
