"""From a trained run to a leaderboard: `heatkp eval --kaggle` and `heatkp score`."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from heatkp import load_model, runs
from heatkp.data.drawn import drawn_sample
from heatkp.data.readers import read
from heatkp.data.transforms import Framing
from heatkp.kaggle.forms import read_submission, write_submission
from heatkp.skeletons import FACE15, FACE68
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp, write_imm

SIZES = (96, 128, 72)


def write_imglab(folder, faces, labelled=True, name="labels.xml", parts=68):
    """An imglab file of drawn faces with PNG images, in a folder of its own."""
    (folder / "photos").mkdir(parents=True, exist_ok=True)
    images = []
    for i, face in enumerate(faces):
        cv2.imwrite(str(folder / "photos" / f"{i}.png"), face.image()[:, :, ::-1])
        x0, y0, x1, y1 = (int(v) for v in np.round(face.box))
        points = enumerate(face.points[:parts]) if labelled else ()
        inner = "".join(f"<part name='{k:02d}' x='{x:.2f}' y='{y:.2f}'/>" for k, (x, y) in points)
        box = f"<box left='{x0}' top='{y0}' width='{x1 - x0}' height='{y1 - y0}'>{inner}</box>"
        images.append(f"<image file='images/{i}.png'>{box}</image>")
    path = folder / name
    path.write_text(f"<dataset><images>{''.join(images)}</images></dataset>")
    return path


@pytest.fixture(scope="module")
def faces():
    return [drawn_sample(5, i, FACE68, size) for i, size in enumerate(SIZES)]


@pytest.fixture
def xml(tmp_path, faces):
    return write_imglab(tmp_path / "faces", faces)


@pytest.fixture
def bare(tmp_path, faces):
    return write_imglab(tmp_path / "faces", faces, labelled=False, name="bare.xml")


def eval_kaggle(run, data, *more):
    result = heatkp("eval", run, "--kaggle", "--data", data, *more)
    assert result.exit_code == 0, result.output
    return result


def rows_of(path):
    with path.open(newline="") as file:
        return list(csv.reader(file))


def test_a_submission_has_a_row_for_ignored_boxes(run_copy, xml):
    """The competition counts the boxes of its file; what is to be ignored is not scored."""
    plain = eval_kaggle(run_copy, xml)
    rows = rows_of(run_copy / "submission.csv")
    xml.write_text(xml.read_text().replace("<box ", "<box ignore='1' ", 1))
    marked = eval_kaggle(run_copy, xml)
    assert rows_of(run_copy / "submission.csv") == rows
    assert "3 images" in plain.output and "2 images" in marked.output
    assert "ignore='1'" in marked.output and "ignore='1'" not in plain.output
    assert "2 images" in heatkp("score", run_copy / "submission.csv", xml).output


def test_submission_of_labels_without_points(run_copy, bare):
    """What the library finds in the images, in Kaggle's order, in the run's folder."""
    result = eval_kaggle(run_copy, bare)
    out = run_copy / "submission.csv"
    assert "3 samples of 68 points written to" in result.output and "MAE" not in result.output
    header, *rows = rows_of(out)
    assert header == ["Id", "Predicted"] and [r[0] for r in rows] == [str(i) for i in range(408)]
    assert not (run_copy / "submission-score.json").exists()
    photos = [bare.parent / "photos" / f"{i}.png" for i in range(3)]
    expected = np.stack([k.points for k in load_model(run_copy).predict(photos)])
    assert np.allclose(
        np.array([r[1] for r in rows], float).reshape(3, 68, 2), expected, atol=0.006
    )


def test_labels_are_scored_but_not_looked_at(tiny_run, xml, bare, tmp_path):
    """The same predictions with and without parts; the score is that of the file."""
    out, other = tmp_path / "a.csv", tmp_path / "b.csv"
    result = eval_kaggle(tiny_run, xml, "--out", out)
    eval_kaggle(tiny_run, bare, "--out", other)
    assert out.read_bytes() == other.read_bytes()
    stored = json.loads((tmp_path / "a-score.json").read_text())
    truth = np.stack([s.points for s in read(xml).samples])
    assert stored["mae"] == pytest.approx(np.abs(read_submission(out, 3, 68) - truth).mean())
    assert stored["images"] == 3 and stored["data"] == str(xml)
    for word in ("MAE", "NME, inter-ocular", "failures", "normalised sum", "photos/"):
        assert word in result.output
    scored = json.loads(heatkp("score", out, xml, "--json").output)
    assert scored.items() <= stored.items()


def test_options_of_eval_work(tiny_run, bare, tmp_path):
    texts = []
    for i, flags in enumerate([[], ["--flip-test"], ["--decoder", "argmax"], ["--batch-size", 2]]):
        out = tmp_path / f"{i}.csv"
        eval_kaggle(tiny_run, bare, "--out", out, *flags)
        texts.append(read_submission(out, 3, 68))
    assert len({t.tobytes() for t in texts[:3]}) == 3
    assert np.allclose(texts[0], texts[3], atol=0.011)


@pytest.mark.parametrize("kind", ["given", "points"])
def test_boxes_are_cropped_by_as_in_training(tiny_run, xml, tmp_path, monkeypatch, kind):
    """The file's boxes, never those of the points: they are what is to be found."""
    load = runs.load_run

    def boxed(path, device="cpu", encoder=None):
        loaded = load(path, device, encoder)
        loaded.settings.data.crop, loaded.settings.data.box = "box", kind
        return loaded

    monkeypatch.setattr(runs, "load_run", boxed)
    result = eval_kaggle(tiny_run, xml, "--out", tmp_path / "a.csv")
    assert ("trained on boxes around" in result.output) is (kind == "points")
    model = load_model(tiny_run)
    model.engine.framing = Framing.of(boxed(tiny_run).settings.data)
    assert model.framing.box_scale is not None
    samples = read(xml).samples
    keypoints = model.predict([s.file for s in samples], [s.box for s in samples])
    expected = np.stack([k.points for k in keypoints])
    assert np.allclose(read_submission(tmp_path / "a.csv", 3, 68), expected, atol=0.006)


def test_an_old_submission_is_replaced_whole_or_not_at_all(tiny_run, bare, tmp_path, monkeypatch):
    out = tmp_path / "a.csv"
    out.write_text("old")
    replace = os.replace

    def broken(source, target):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", broken)
    refused(["eval", tiny_run, "--kaggle", "--data", bare, "--out", out], "cannot write", "a.csv")
    new = tmp_path / "b.csv"
    with monkeypatch.context() as patch:  # before minutes of work
        patch.setattr("heatkp.evaluation.measure.predict_samples", lambda *_: 1 / 0)
        patch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
        refused(["eval", tiny_run, "--kaggle", "--data", bare, "--out", new], "cannot write")
    assert out.read_text() == "old"
    monkeypatch.setattr(os, "replace", replace)
    eval_kaggle(tiny_run, bare, "--out", out)
    assert read_submission(out, 3, 68).shape == (3, 68, 2)


def test_predictions_that_are_not_finite_are_not_written(tiny_run, bare, tmp_path, monkeypatch):
    load = runs.load_run

    def spoilt(path, device, encoder=None):
        loaded = load(path, device, encoder)
        for parameter in loaded.model.parameters():
            parameter.data.fill_(float("nan"))
        return loaded

    monkeypatch.setattr(runs, "load_run", spoilt)
    out = tmp_path / "a.csv"
    command = ["eval", tiny_run, "--kaggle", "--data", bare, "--out", out]
    refused(command, "not finite", "nothing is written", out=out)


def test_bad_submissions(tiny_run, xml, bare, faces, tmp_path):
    out = tmp_path / "a.csv"
    command = ["eval", tiny_run, "--kaggle", "--out", out]
    refused(command, "--data", out=out)
    refused([*command, "--data", tmp_path / "none.xml"], "no file or folder", out=out)
    refused([*command, "--data", bare, "--split", "val"], "leave out --split", out=out)
    refused([*command, "--data", bare, "--lookup", out], "15-point", "imglab", out=out)
    refused(["eval", tiny_run, "--lookup", out], "--kaggle")
    few = write_imglab(tmp_path / "few", faces, parts=5)
    refused([*command, "--data", few], "68 points)", "5 points)", "'point_0'", "'jaw_0'", out=out)
    folder = ["eval", tiny_run, "--kaggle", "--data", bare, "--out"]
    refused([*folder, tmp_path], "it is a folder")
    refused([*folder, tmp_path / "no" / "a.csv"], "no folder")
    (bare.parent / "photos" / "1.png").unlink()
    refused([*command, "--data", bare], "1.png", out=out)
    broken = tmp_path / "broken.xml"
    broken.write_text("<dataset><images>")
    refused([*command, "--data", broken], "broken.xml", out=out)


def test_score(xml, faces, tmp_path):
    """Points of the file have two decimals, and so has the submission: the truth scores 0."""
    truth = np.stack([s.points for s in read(xml).samples]).astype(float)
    write_submission(tmp_path / "truth.csv", truth)
    assert json.loads(heatkp("score", tmp_path / "truth.csv", xml, "--json").output)["mae"] < 1e-4
    truth[1] += 3
    write_submission(tmp_path / "a.csv", truth)
    result = json.loads(heatkp("score", tmp_path / "a.csv", xml, "--json").output)
    assert result["mae"] == pytest.approx(1, abs=1e-4)
    table = heatkp("score", tmp_path / "a.csv", xml)
    assert table.exit_code == 0, table.output
    worst = table.output.partition("Largest errors")[2].splitlines()[1]
    assert worst.split() == ["3.00", "photos/1.png", "(entry", "1)"]
    assert "1.0000" in table.output and "box-diagonal" in table.output


def test_score_needs_no_torch(xml, tmp_path):
    write_submission(tmp_path / "a.csv", np.zeros((3, 68, 2)))
    script = (
        "import sys; from heatkp.cli import main\n"
        "try: main()\n"
        "finally: assert 'torch' not in sys.modules"
    )
    command = [sys.executable, "-c", script, "score", str(tmp_path / "a.csv"), str(xml)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0 and "MAE" in done.stdout, done.stderr


def test_imm_is_not_scored_without_all_photos(tmp_path):
    """Its labels are fractions of the images' sizes."""
    folder = write_imm(tmp_path / "imm", people=1)
    submission = tmp_path / "s.csv"
    rows = [f"{i},1.0" for i in range(2 * 58 * 2)]
    submission.write_text("\n".join(["Id,Predicted", *rows]))
    done = heatkp("score", submission, folder)
    assert done.exit_code == 0, done.output
    (folder / "01-2m.jpg").unlink()
    refused(["score", submission, folder], "01-2m")


def test_score_without_the_photos(xml, tmp_path):
    samples = read(xml).samples
    write_submission(tmp_path / "a.csv", np.stack([s.points for s in samples]))
    for sample in samples:
        sample.file.unlink()
    assert heatkp("score", tmp_path / "a.csv", xml).exit_code == 0


def test_bad_scores(xml, bare, tmp_path):
    out = tmp_path / "a.csv"
    refused(["score", out, xml], "a.csv", "cannot be read")
    refused(["score", out, tmp_path / "none.xml"], "no file or folder")
    write_submission(out, np.zeros((3, 68, 2)))
    refused(["score", out, bare], "no labelled point")
    write_submission(out, np.zeros((2, 68, 2)))
    refused(["score", out, xml], "136 of 408 Ids are missing", "first is 272")
    write_submission(out, np.zeros((4, 68, 2)))
    refused(["score", out, xml], "Id 408 is too large")
    out.write_text(out.read_text().replace("\n7,0.00", "\n7,nan"))
    refused(["score", out, xml], "not finite")
    refused(["score", xml, xml], "labels.xml", "expected 'Id,Predicted'")


def write_kaggle15(path, count, labelled):
    """Kaggle's training.csv or test.csv: spots on noise where the points are."""
    rng = np.random.default_rng(0)
    names = [f"{name}_{axis}" for name in FACE15.point_names for axis in "xy"]
    header = [*names, "Image"] if labelled else ["ImageId", "Image"]
    lines = [",".join(header)]
    for i in range(count):
        points = rng.uniform(10, 85, (15, 2)).round(3)
        picture = rng.integers(0, 60, (96, 96))
        for x, y in points.astype(int):
            picture[y - 2 : y + 3, x - 2 : x + 3] = 255
        cells = [f"{v:g}" for v in points.ravel()] if labelled else [str(i + 1)]
        lines.append(",".join([*cells, " ".join(map(str, picture.ravel()))]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def run15(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fifteen")
    data = write_kaggle15(folder / "training.csv", 10, labelled=True)
    done = heatkp("train", *TINY, "--epochs", 1, "--data", data, "--out", folder / "run")
    assert done.exit_code == 0, done.output
    return folder / "run"


ASKED = "RowId,ImageId,FeatureName,Location\n1,2,nose_tip_y,\n2,1,left_eye_center_x,\n"


def test_fifteen_points(run15, tiny_run, bare, tmp_path):
    test = write_kaggle15(tmp_path / "test.csv", 3, labelled=False)
    out = tmp_path / "out.csv"
    command = ["eval", run15, "--kaggle", "--data", test, "--out", out]
    refused(command, "IdLookupTable.csv", "--lookup", out=out)
    table = tmp_path / "asked.csv"
    table.write_text(ASKED.replace("1,2,", "1,4,"))
    refused([*command, "--lookup", table], "image 4", out=out)
    refused([*command, "--lookup", test], "test.csv", "header", out=out)
    table.write_text(ASKED)
    eval_kaggle(run15, test, "--out", out, "--lookup", table)
    rows = rows_of(out)
    found = load_model(run15).predict([s.image() for s in read(test).samples])
    assert [r[0] for r in rows] == ["RowId", "1", "2"] and rows[0][1] == "Location"
    assert float(rows[1][1]) == pytest.approx(np.clip(found[1].points[10, 1], 0, 96), abs=0.006)
    assert float(rows[2][1]) == pytest.approx(np.clip(found[0].points[0, 0], 0, 96), abs=0.006)
    refused(["eval", tiny_run, "--kaggle", "--data", test, "--out", out, "--lookup", table],
            "face68", "face15")  # fmt: skip
    refused(["eval", run15, "--kaggle", "--data", bare, "--out", out], "wants 68")


def test_the_table_beside_the_data_is_found(run15, tmp_path):
    test = write_kaggle15(tmp_path / "test.csv", 3, labelled=False)
    (tmp_path / "IdLookupTable.csv").write_text(ASKED)
    eval_kaggle(run15, test, "--out", tmp_path / "out.csv")
    assert len(rows_of(tmp_path / "out.csv")) == 3


def test_competition_files(data_folder, tiny_run, tmp_path):
    """The real test file: all 716 entries, in its order."""
    source = data_folder / "ibug" / "labels_ibug_300W_test_parsed.xml"
    if not source.is_file():
        pytest.skip("HEATKP_DATA has no ibug folder")
    eval_kaggle(tiny_run, source, "--out", tmp_path / "a.csv")
    assert len(rows_of(tmp_path / "a.csv")) == 716 * 136 + 1
