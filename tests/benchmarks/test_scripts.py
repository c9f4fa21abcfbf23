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
    ],
)
def test_script(run_script, script, arguments, words):
    done = run_script(f"benchmarks/{script}", *arguments.split())
    assert done.returncode == 0, done.stderr
    for word in words:
        assert word in done.stdout


@pytest.mark.parametrize(
    ("script", "word"),
    [
        ("part3.py", "explore"),
        ("heads.py", "--budget"),
        ("systems.py", "--long"),
        ("faces.py", "--photos"),
        ("own_images.py", "OUT"),
        ("near_duplicates.py", "labelled anew"),
        ("release.py", "half-precision"),
        ("animals.py", "--seeds"),
        ("finder.py", "--quick"),
        ("videos.py", "--objects"),
        ("check.py", "--planted"),
        ("shift.py", "--only"),
        ("readme_commands.py", "--keep"),
        ("tar_shards.py", "--per-shard"),
        ("faults.py", "--kills"),
        ("fuzz.py", "--engine"),
        ("robustness.py", "models"),
    ],
)
def test_script_starts(run_script, script, word):
    done = run_script(f"benchmarks/{script}", "--help")
    assert done.returncode == 0 and word in done.stdout


def test_sharding_loses_nothing(root, tmp_path):
    """Also writes nothing but the table that it is told."""
    table = tmp_path / "table.md"
    table.write_text("# x\n\n## parts\n\nkept\n")
    words = ["killed", "--inputs", "60", "--shards", "2", "--kills", "0", "--table", table]
    done = subprocess.run(
        [sys.executable, root / "benchmarks" / "sharding.py", *words],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    text = table.read_text()
    assert "| results in them | 60 |" in text and "| lost | 0 |" in text
    assert text.index("## killed") < text.index("## parts") and text.rstrip().endswith("kept")


def test_mutations_change_files_and_keep_bounds(root, monkeypatch):
    import random

    monkeypatch.syspath_prepend(root / "benchmarks")
    import fuzz

    rng, content = random.Random(0), b'{"a": [1, 2.5], "b": {"c": "x"}}'
    found = {fuzz.mutated(content, rng, b"other") for _ in range(200)}
    assert len(found) > 150 and all(len(one) <= 2**20 for one in found)
    assert fuzz.mutated(content, random.Random(5)) == fuzz.mutated(content, random.Random(5))


def test_a_campaign_finds_and_shrinks(root, tmp_path, monkeypatch):
    """A reader that fails on one byte: the smallest input that does is kept."""
    monkeypatch.syspath_prepend(root / "benchmarks")
    import fuzz

    class Target:
        name = "bad"
        seeds = ((tmp_path, "a.txt"),)

        @staticmethod
        def run(folder, file):
            if b"!" in file.read_bytes():
                raise RuntimeError

    (tmp_path / "a.txt").write_bytes(b"abcdefgh")
    campaign = fuzz.Campaign(Target, 0, 1, tmp_path)
    campaign.one(0, b"abcd")
    assert not campaign.findings
    campaign.one(0, b"ab!cd" * 20)
    ((what, one),) = campaign.findings.items()
    assert what.split()[0] == "RuntimeError" and (tmp_path / one["input"]).read_bytes() == b"!"
    assert (tmp_path / "a.txt").read_bytes() == b"abcdefgh"
