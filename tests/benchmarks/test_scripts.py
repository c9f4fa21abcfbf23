"""The benchmark scripts run, small; their figures are made elsewhere."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("script", "arguments", "words"),
    [
        ("losses.py", "--sizes 1x2x24x24 --repeats 1 --threads 1", ["kornia", "dsntnn"]),
        (
            "decoders.py",
            "--sigmas 1.5 --strides 4 --points 4 --repeats 1 --threads 1",
            ["quadratic", "matched"],
        ),
        ("memory.py", "--batches 2 --size 64 --points 3", ["| 2 |"]),
        ("part3.py", "--help", ["explore"]),
        ("heads.py", "--help", ["--budget"]),
        ("systems.py", "--help", ["--long"]),
        ("faces.py", "--help", ["--photos"]),
        ("own_images.py", "--help", ["OUT"]),
        ("near_duplicates.py", "--help", ["labelled anew"]),
        ("release.py", "--help", ["half-precision"]),
        ("check.py", "--help", ["--planted"]),
        ("shift.py", "--help", ["--only"]),
        ("readme_commands.py", "--help", ["--keep"]),
    ],
)
def test_script(root, script, arguments, words):
    done = subprocess.run(
        [sys.executable, str(root / "benchmarks" / script), *arguments.split()],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout
