"""`heatkp eval` and `heatkp report` of a run that finds its objects: from image to points."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from tests.cli.test_cli import refused
from tests.conftest import heatkp


def figures(path):
    return json.loads(path.read_text())


def test_eval_says_what_predict_and_score_say(both, crowds, tmp_path):
    """The figures of found objects are those of `heatkp predict` and `heatkp score`."""
    out = tmp_path / "all.json"
    done = heatkp("eval", both, "--split", "all", "--out", out)
    assert done.exit_code == 0, done.output
    assert "From image to points: 8 images" in done.output and "swaps" in done.output
    objects = figures(out)["objects"]
    assert objects["images"] == 8 and objects["min_score"] == 0.0
    done = heatkp("predict", crowds / "images", "--model", both, "--format", "coco", "--no-images",
                  "--out", tmp_path / "found")  # fmt: skip
    assert done.exit_code == 0, done.output
    (labels,) = crowds.glob("*.json")
    scored = heatkp("score", tmp_path / "found" / "coco.json", "--data", labels, "--json")
    assert scored.exit_code == 0, scored.output
    scored = json.loads(scored.output)
    for block in ("objects", "average_precision"):
        assert objects[block] == pytest.approx(scored[block], abs=0.01), block
    assert objects["objects"]["true"] >= 8


def test_metrics_json_has_the_objects(both):
    objects = figures(both / "metrics.json")["objects"]
    assert objects["images"] >= 1 and 0 <= objects["objects"]["recall"] <= 1
    assert set(objects["average_precision"]) >= {"AP", "AP50", "AP75", "AR"}


def test_options(both, tiny_run, tmp_path):
    out = tmp_path / "eval.json"
    done = heatkp("eval", both, "--boxes", "labels", "--out", out)
    assert done.exit_code == 0 and "objects" not in figures(out), done.output
    done = heatkp("eval", both, "--min-score", 0.9999, "--out", out)
    assert done.exit_code == 0, done.output
    found = figures(out)["objects"]
    assert found["min_score"] == 0.9999 and found["objects"]["found"] == 0
    points = tmp_path / "points"
    shutil.copytree(both, points)
    (points / "finder.safetensors").unlink()
    assert heatkp("eval", points, "--out", out).exit_code == 0 and "objects" not in figures(out)
    done = heatkp("eval", points, "--detector", both, "--out", out)
    assert done.exit_code == 0 and figures(out)["objects"]["images"] >= 1, done.output
    no = tmp_path / "no.json"
    for flags, words in (
        ([both, both, "--boxes", "objects"], "one run at a time"),
        ([both, "--boxes", "labels", "--min-score", 0.5], "leave out --boxes labels"),
        ([both, "--kaggle", "--data", "x.xml", "--min-score", 0.5], "--kaggle"),
        ([tiny_run, "--boxes", "objects"], "whole images"),
        ([both, "--detector", "nobody"], "nobody"),
    ):
        refused(["eval", *flags, "--out", no], words, out=no)


def test_the_page_shows_objects(both, tiny_run, tmp_path):
    out = tmp_path / "report.html"
    done = heatkp("report", both, "--samples", 2, "--out", out)
    assert done.exit_code == 0, done.output
    html = out.read_text()
    (section,) = re.findall(r'<section id="objects".*?</section>', html, re.DOTALL)
    count = figures(both / "metrics.json")["objects"]["images"]
    assert section.count("data:image/webp") == count and f"{count} of {count}" in section
    for words in ("AP at OKS 0.5", "Swaps", "False alarms", "images with another number"):
        assert words.lower() in section.lower()
    assert heatkp("report", tiny_run, "--samples", 2, "--out", out).exit_code == 0
    assert 'id="objects"' not in out.read_text()
