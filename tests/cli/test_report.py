"""`heatkp report`."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from heatkp import runs
from tests.cli.test_cli import refused
from tests.cli.test_viz import names, untrained, words
from tests.conftest import heatkp


@pytest.fixture
def few(tiny_run, tmp_path):
    """The small run with the whole folder's files, which a test may spoil."""
    return shutil.copytree(tiny_run, tmp_path / "run")


def test_a_run(few):
    before = names(few)
    text = words(heatkp("report", few, "--samples", 3))
    made = few / "report.html"
    assert str(made) in text and "3 of 12 faces" in text and "no network" in text
    assert names(few) == sorted([*before, "report.html"])
    html = made.read_text(encoding="utf-8")
    assert re.search(r"\(\d\.\d MB", text) and len(html.encode()) < 10_000_000
    recorded = json.loads((few / runs.METRICS).read_text())
    nme = recorded["normalised"]["inter-ocular"]["nme"]
    assert f"{100 * nme:.2f} %" in html and "have changed since" not in html
    worst = max(recorded["points"], key=lambda p: p["distance_photo"])
    assert f"{worst['distance_photo']:.2f} px" in html


@pytest.mark.parametrize("file", [runs.WEIGHTS, runs.LAST])
def test_a_run_by_one_of_its_files(few, file):
    out = few / "a.html"
    words(heatkp("report", few / file, "--samples", 1, "--out", out))
    html = out.read_text(encoding="utf-8")
    assert "No environment.json" not in html and 'id="training"' in html


@pytest.mark.parametrize(
    ("inside", "name", "page"),
    [
        (".", "checkpoints/last.ckpt", "report.html"),
        ("checkpoints", "last.ckpt", "../report.html"),
        (".", runs.WEIGHTS, "report.html"),
        ("..", f"run/{runs.LAST}", "run/report.html"),
    ],
)
def test_a_file_is_of_its_run_wherever_one_stands(few, monkeypatch, inside, name, page):
    monkeypatch.chdir(few / inside)
    assert f"Written to {page} (" in words(heatkp("report", name, "--samples", 1))
    html = (few / "report.html").read_text(encoding="utf-8")
    assert "No environment.json" not in html and 'id="training"' in html


def test_runs_side_by_side(few, tiny_run, tmp_path):
    other = untrained(tiny_run, tmp_path / "plain", "regression", size=[48, 48], val_count=8)
    text = words(heatkp("report", few, other, "--samples", 2))
    html = (few / "compared.html").read_text(encoding="utf-8")
    assert "2 of 8 faces" in text and "2 runs compared" in html
    assert "run was validated on 12 faces" in text and "differ in size" in text
    out = tmp_path / "a <b>&.html"
    alone = shutil.copy(few / "weights.safetensors", tmp_path / "alone.safetensors")
    words(heatkp("report", alone, "--out", out, "--samples", 1))
    page = out.read_text(encoding="utf-8")
    assert "No environment.json" in page and 'id="training"' not in page


def test_bad_reports(few, tiny_run, tmp_path):
    out = tmp_path / "a.html"
    refused(["report"], "RUN")
    refused(["report", tmp_path / "none"], "no run folder or checkpoint")
    refused(["report", few, few, "--out", out], "twice", out=out)
    refused(["report", *[f"r{i}" for i in range(10)]], "at most 9")
    refused(["report", few, "--out", tmp_path / "a.png"], ".html")
    refused(["report", few, "--out", tmp_path / "no" / "a.html"], "no folder")
    (tmp_path / "d.html").mkdir()
    refused(["report", few, "--out", tmp_path / "d.html"], "is a folder")
    apart = untrained(tiny_run, tmp_path / "apart", "kl", drawn_seed=5)
    refused(["report", few, apart, "--out", out], "no validation sample in common", "12", out=out)
    nose = untrained(tiny_run, tmp_path / "nose", "kl", points=[30])
    refused(["report", few, nose, "--out", out], "jaw_0", "67 points", out=out)
    gone = untrained(tiny_run, tmp_path / "gone", "kl", path=str(tmp_path / "faces"))
    refused(["report", gone, "--out", out], "cannot be read", "data.path", out=out)
    (few / runs.ENVIRONMENT).write_text("{")
    refused(["report", few, "--out", out], "environment.json", "cannot be read", out=out)
    (few / runs.ENVIRONMENT).write_text("[]")
    refused(["report", few, "--out", out], "environment.json", "no JSON object", out=out)
    (few / runs.HISTORY).write_text("x")
    refused(["report", few, "--out", out], "metrics.csv", out=out)
