"""The bench runs, small; its figures are made elsewhere."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest

from heatkp.bench import bench_runtimes
from heatkp.bench.machine import emulates_bf16
from heatkp.bench.runtimes import Candidate
from heatkp.errors import HeatkpError
from tests.conftest import heatkp
from tests.export.test_formats import needs


@needs("onnx", "onnxscript", "onnxruntime")
def test_the_command(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setenv("HEATKP_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("heatkp.bench.runtimes.CANDIDATES", (Candidate("torch"), Candidate("onnx")))
    monkeypatch.setattr("heatkp.bench.runtimes.installed", lambda: [])
    monkeypatch.setattr("heatkp.bench.runtimes.REPEATS", 2)
    monkeypatch.setattr("heatkp.bench.parts.ROUNDS", 1)
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8)
    cv2.imwrite(str(tmp_path / "a.jpg"), image)
    done = heatkp("bench", tiny_run, "--batches", "1,3", "--threads", 1, "--images",
                  tmp_path / "a.jpg", "--out", tmp_path / "bench.json")  # fmt: skip
    assert done.exit_code == 0, done.output
    values = json.loads((tmp_path / "bench.json").read_text())
    torch, onnx = values["runtimes"]
    assert (torch["runtime"], onnx["runtime"]) == ("torch", "onnx")
    for row in (torch, onnx):
        assert set(row["times"]) == {"1", "3"} and row["cold"] > 0 and row["size"] > 1e4
        assert all(0 < median <= worst for median, worst in row["times"].values())
        assert 20e6 < row["memory"] < 4e9
    assert torch["deviation"] == 0 and onnx["deviation"] < 1e-4
    assert {"read", "crop", "network and decoder", "all"} <= set(values["parts"])


def test_what_cannot_be(tiny_run, tmp_path):
    said = []
    with pytest.raises(HeatkpError, match="none"):
        bench_runtimes(tiny_run, [Candidate("torch", "f16")], note=said.append)
    assert len(said) == 1 and "f16" in said[0]
    for arguments in (["--batches", "0"], ["--batches", "a"], ["--out", tmp_path]):
        done = heatkp("bench", tiny_run, *arguments)
        assert done.exit_code == 2 and "Traceback" not in done.output


@pytest.mark.parametrize(
    ("flags", "left_out"),
    [("fpu avx2", True), ("avx2 avx512_bf16", False), ("amx_bf16 avx512f", False), ("", False)],
)
def test_what_the_processor_emulates_is_left_out(monkeypatch, flags, left_out):
    text = f"model name\t: one\nflags\t\t: {flags}\n"
    monkeypatch.setattr("heatkp.bench.machine.Path.read_text", lambda self: text)
    assert emulates_bf16() is left_out
