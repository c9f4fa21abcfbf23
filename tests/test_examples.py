"""The notebooks in examples/: their cells in order, with parameters that make them small."""

from __future__ import annotations

import re

import matplotlib
import pytest
from PIL import Image

import heatkp
from heatkp.data.drawn import drawn_sample
from heatkp.skeletons import FACE68
from tests.conftest import heatkp as command


@pytest.fixture
def notebook(root, capsys):
    """Runs an example, with other values for its cell of parameters, and gives what it prints."""

    def run(name, **parameters):
        path = root / "examples" / f"{name}.py"
        names = {"__name__": "__main__"}
        for head, cell in re.findall(
            r"^# %%(.*)\n((?:(?!# %%).*\n)*)", path.read_text(), re.MULTILINE
        ):
            exec(compile(cell, str(path), "exec", dont_inherit=True), names)
            if 'tags=["parameters"]' in head:
                assert set(parameters) <= set(names)
                names.update(parameters)
                parameters = {}
        assert not parameters, "no cell of parameters"
        return capsys.readouterr().out

    return run


def test_own_loop(notebook):
    assert "MAE" in notebook("own_loop", steps=3)
    assert heatkp.load_model("spots").skeleton.point_names == ("red", "green")


def test_fine_tune(notebook):
    made = command("data", "synth", "--n", "6", "--size", "64", "faces")
    assert made.exit_code == 0, made.output
    text = notebook("fine_tune", epochs=1)
    assert "right_eye_0, left_eye_3" in text and "MAE" in text


def test_look_at_heatmaps(notebook, tmp_path):
    matplotlib.use("agg")
    Image.fromarray(drawn_sample(0, 1, FACE68, 128).rgb()).save("face.png")
    text = notebook("look_at_heatmaps", photo="face.png")
    assert "68 points" in text and "highest at" in text
    assert (tmp_path / "heatmaps.png").read_bytes()[:4] == b"\x89PNG"


def test_evaluate_another_tool(notebook, tmp_path):
    (tmp_path / "predicted.csv").write_text(
        "name,x0,y0,x1,y1,x2,y2\na,3,4,10,10,0,30\nb,0,0,10,10,0,30\n"
    )
    (tmp_path / "true.csv").write_text("name,x0,y0,x1,y1,x2,y2\na,0,0,10,10,0,30\nc,0,0,,,0,30\n")
    text = notebook("evaluate_another_tool")
    assert "1 of 2 images" in text and "MAE 1.167" in text and "worst point: point_0, 5.00" in text
