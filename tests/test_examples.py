"""The scripts in examples/, each in small form."""

from __future__ import annotations

import pytest

import heatkp
from heatkp.data.drawn import drawn_sample
from heatkp.skeletons import FACE68


@pytest.fixture
def script(run_script):
    """Runs an example and gives what it prints."""

    def run(name, *arguments):
        done = run_script(f"examples/{name}", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_own_loop(script, tmp_path):
    text = script("own_loop.py", "--steps", 3, "--out", tmp_path / "spots")
    assert "MAE" in text
    model = heatkp.load_model(tmp_path / "spots")
    assert model.skeleton.point_names == ("red", "green")


def test_fine_tune(script, tmp_path, root, monkeypatch):
    from click.testing import CliRunner

    from heatkp.cli import main

    faces = tmp_path / "faces"
    made = CliRunner().invoke(main, ["data", "synth", "--n", "6", "--size", "64", str(faces)])
    assert made.exit_code == 0, made.output
    monkeypatch.chdir(root)
    text = script("fine_tune.py", faces, "--epochs", 1, "--out", tmp_path / "run")
    assert "right_eye_0, left_eye_3" in text and "MAE" in text


def test_look_at_heatmaps(script, tmp_path):
    pillow = pytest.importorskip("PIL.Image")
    photo, target = tmp_path / "face.png", tmp_path / "maps.png"
    pillow.fromarray(drawn_sample(0, 1, FACE68, 128).rgb()).save(photo)
    text = script("look_at_heatmaps.py", photo, target)
    assert "68 points" in text and "highest at" in text
    assert target.read_bytes()[:4] == b"\x89PNG"


def test_evaluate_another_tool(script, tmp_path):
    one, two = tmp_path / "predicted.csv", tmp_path / "true.csv"
    one.write_text("name,x0,y0,x1,y1,x2,y2\na,3,4,10,10,0,30\nb,0,0,10,10,0,30\n")
    two.write_text("name,x0,y0,x1,y1,x2,y2\na,0,0,10,10,0,30\nc,0,0,,,0,30\n")
    text = script("evaluate_another_tool.py", one, two)
    assert "1 of 2 images" in text and "MAE 1.167" in text and "worst point: point_0, 5.00" in text
