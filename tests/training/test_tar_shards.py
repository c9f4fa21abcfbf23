"""Training from tar shards, by the command line: as from plain files, and resumed exactly."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from safetensors.torch import load_file

from heatkp import runs
from heatkp.data.dataset import KeypointDataset
from heatkp.data.shard_order import shard_order
from tests.conftest import heatkp

SMALL = [
    "--set", "data.size=[48,48]", "--set", "data.workers=0", "--batch-size", "4",
    "--set", "model.encoder=tu-mobilenetv3_small_050", "--set", "model.stride=4",
    "--set", "data.points=nose",
]  # fmt: skip


def done(*arguments):
    result = heatkp(*arguments)
    assert result.exit_code == 0, result.output
    return " ".join(result.output.split())


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """Drawn faces, split, as COCO files and as tars of 4."""
    folder = tmp_path_factory.mktemp("faces")
    done("data", "synth", "--n", 20, folder / "faces")
    for to, more in (("coco", []), ("webdataset", ["--per-shard", 4])):
        done("data", "split", folder / "faces", "--to", to, "--out", folder / to, *more)
    return folder


def rows(run):
    with (run / runs.HISTORY).open(newline="") as file:
        return [{k: v for k, v in r.items() if k not in ("seconds", "data_wait")}
                for r in csv.DictReader(file)]  # fmt: skip


def weights(run):
    (path,) = run.glob("*.safetensors")
    return {name: tensor.tolist() for name, tensor in load_file(path).items()}


def test_as_from_plain_files(faces, tmp_path):
    for name in ("coco", "webdataset"):
        said = done("train", "--data", faces / name, *SMALL, "--epochs", 1, "--set",
                    "data.cache=none", "--out", tmp_path / name)  # fmt: skip
        assert "tars are read" not in said
    assert rows(tmp_path / "coco") == rows(tmp_path / "webdataset")
    assert weights(tmp_path / "coco") == weights(tmp_path / "webdataset")


def test_in_order_and_resumed_with_another_cache(faces, tmp_path, monkeypatch):
    tars = faces / "webdataset"
    options = [*SMALL, "--set", "data.shuffle_buffer=3", "--epochs", 2, "--data", tars]
    said = done("train", *options, "--set", "data.cache=none", "--out", tmp_path / "whole")
    assert "shuffled within 3 (data.shuffle_buffer)" in said
    seen = []
    item = KeypointDataset.__getitem__

    def stopping(self, key):
        if isinstance(key, tuple):
            seen.append(key)
            if sum(epoch == 1 for epoch, _ in seen) == 6:
                raise KeyboardInterrupt
        return item(self, key)

    monkeypatch.setattr(KeypointDataset, "__getitem__", stopping)
    cached = ["--set", f"data.cache={tmp_path / 'cache'}"]
    stopped = heatkp("train", *options, *cached, "--out", tmp_path / "run")
    assert stopped.exit_code == 130, stopped.output
    monkeypatch.undo()
    first = [i for epoch, i in seen if epoch == 0][-16:]  # some are drawn before
    assert first == shard_order(np.arange(16) // 4, np.arange(16), 3, 0, 0).tolist()
    done("train", "--resume", tmp_path / "run", "--set", "data.cache=none")
    assert rows(tmp_path / "run") == rows(tmp_path / "whole")
    assert weights(tmp_path / "run") == weights(tmp_path / "whole")
