"""`--device` of the commands that run a network."""

from __future__ import annotations

import pytest
import torch

from tests.cli.test_cli import refused
from tests.conftest import heatkp, write_image

COMMANDS = [
    ["predict", "a.png", "--model", "RUN", "--out", "out"],
    ["eval", "RUN", "--out", "out"],
    ["eval", "RUN", "--kaggle", "--data", "a.png", "--out", "out"],
    ["viz-heatmaps", "RUN", "--out", "out"],
    ["viz-heatmaps", "RUN", "a.png", "--out", "out"],
    ["report", "RUN", "--out", "out.html"],
    ["viz", "error-curve", "RUN", "--out", "out.png"],
    ["viz", "points", "RUN", "--out", "out.png"],
    ["viz", "head-turn", "RUN", "--out", "out.png"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_a_device_that_is_none(tiny_run, tmp_path, monkeypatch, command):
    """Is refused before anything is written; so what is named is where the network would run."""
    monkeypatch.chdir(tmp_path)
    write_image(tmp_path / "a.png")
    command = [tiny_run if word == "RUN" else word for word in command]
    refused([*command, "--device", "none"], "'none'", "auto, cpu, cuda, mps")
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]


def test_auto_is_the_cpu_without_a_gpu(tiny_run, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    photo = write_image(tmp_path / "a.png")
    texts = []
    for device in ("cpu", "auto"):
        out = tmp_path / device
        result = heatkp("predict", photo, "--model", tiny_run, "--device", device, "--out", out)
        assert result.exit_code == 0, result.output
        texts.append((out / "points.json").read_text())
    assert texts[0] == texts[1]
