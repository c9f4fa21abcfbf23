"""The shell snippets of docs/many_images.md, as a shell runs them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from heatkp.inference.predictor import load_model
from heatkp.inference.sharding import Shard
from heatkp.inference.sharding.parts import ShardFolder
from tests.conftest import heatkp, write_image


def snippets(root):
    text = (root / "docs" / "many_images.md").read_text()
    return re.findall(r"^```sh\n(.*?)```", text, re.DOTALL | re.MULTILINE)


def run(snippet, folder, command, **variables):
    """A snippet in a folder where `heatkp` is a command."""
    (folder / "bin").mkdir()
    (folder / "bin" / "heatkp").write_text(f"#!/bin/sh\n{command}\n")
    (folder / "bin" / "heatkp").chmod(0o755)
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-e", "-c", snippet], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PATH": path, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture
def photos(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(8):
        write_image(tmp_path / "photos" / f"{i}.png", 32, 32, seed=i)
    return tmp_path


def test_slurm(root, photos):
    (snippet,) = [s for s in snippets(root) if "SLURM_ARRAY_TASK_ID" in s]
    command = f'PYTHONPATH="{root}" exec "{sys.executable}" -m heatkp "$@"'
    run(snippet, photos, command, SLURM_ARRAY_TASK_ID="7")
    out = photos / "found-slurm"
    assert ShardFolder(out, Shard(7, 100)).is_done
    assert len(list((out / "shards").iterdir())) == 1
    assert "of 100 shards 99 are not done: 1, 2, " in heatkp("predict", "--merge", out).output


def test_xargs(root, photos):
    (snippet,) = [s for s in snippets(root) if "xargs" in s]
    run(snippet, photos, 'echo "$@" >> told')
    told = (photos / "told").read_text().splitlines()
    assert len(told) == 4
    for line in told:
        result = heatkp(*line.split())
        assert result.exit_code == 0, result.output
    assert heatkp("predict", "--merge", "found-xargs").exit_code == 0


def test_spark(root, tmp_path):
    """The function that Spark would call, on what it would give."""
    text = (root / "docs" / "many_images.md").read_text()
    (snippet,) = re.findall(r"^```python\n(.*?)```", text, re.DOTALL | re.MULTILINE)
    names: dict[str, Any] = {}
    exec(compile(snippet, "many_images.md", "exec"), names)
    write_image(tmp_path / "a.png", 40, 30, seed=1)
    content = (tmp_path / "a.png").read_bytes()
    rows = list(names["found_in"](iter([("a", content), ("b", content[:50]), ("c", b"")])))
    assert [row["path"] for row in rows] == ["a", "b", "c"]
    direct = load_model("face68").predict(tmp_path / "a.png", boxes="image")[0].points
    np.testing.assert_allclose(rows[0]["points"], direct[None], atol=1e-3)
    assert rows[0]["error"] is None
    assert all(row["points"] == [] and row["error"] for row in rows[1:])
