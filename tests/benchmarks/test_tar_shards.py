"""The benchmark of tar shards, small."""

from __future__ import annotations

import runpy
import sys

import numpy as np
import pytest

from heatkp.data.samples import Labels, Sample
from heatkp.data.writers import write_labels
from heatkp.skeletons import named
from tests.conftest import write_image


def test_every_way_is_measured(root, tmp_path, monkeypatch, capsys):
    points = np.float32([[20, 20], [30, 25]])
    samples = [
        Sample(write_image(tmp_path / f"{i}.png", seed=i), points + i, box=[4, 4, 60, 44])
        for i in range(6)
    ]
    labels = write_labels(Labels(named("two", ["a", "b"]), samples), tmp_path / "coco").path
    arguments = ["--data", labels, "--out", tmp_path / "out", "--per-shard", 2, "--buffer", 3]
    more = ["--repeats", 1, "--size", 32, "--batch", 2]
    monkeypatch.setattr(sys, "argv", ["tar_shards.py", *map(str, arguments + more)])
    monkeypatch.syspath_prepend(root / "benchmarks")
    runpy.run_path(str(root / "benchmarks" / "tar_shards.py"), run_name="__main__")
    rows = [
        line.split(" | ") for line in capsys.readouterr().out.splitlines() if "| warm |" in line
    ]
    names = [row[0].strip("| ") for row in rows]
    assert names[:4] == ["plain files, at random", "cached crops, at random", "tars, at random",
                         "tars in order, buffer 3"]  # fmt: skip
    assert names[4:] == [names[0], *names[2:4]] and all(float(row[3]) > 0 for row in rows)
    with pytest.raises(SystemExit):
        monkeypatch.setattr(sys, "argv", ["tar_shards.py"])
        runpy.run_path(str(root / "benchmarks" / "tar_shards.py"), run_name="__main__")
