"""`heatkp data info`: what it prints, writes and refuses."""

from __future__ import annotations

import json
import os

import cv2
import numpy as np
import pytest

from heatkp.data.readers import READERS
from tests.cli.test_cli import refused
from tests.conftest import box_of, faulty_faces, heatkp, imglab_text, write_image, write_imm


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Work in an empty folder, for the sheet goes to the current one."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


def words(text):
    return " ".join(text.replace("│", " ").split())


def test_help_names_the_formats():
    text = words(heatkp("data", "info", "--help").output)
    assert ", ".join(READERS) in text


def test_tables_and_faults(tmp_path):
    result = heatkp("data", "info", faulty_faces(tmp_path / "data"))
    assert result.exit_code == 0, result.output
    text = words(result.output)
    for expected in (
        "faces.xml (imglab)",
        "images 6 different image files",
        "samples 7 labelled objects",
        "images 4 groups that a split keeps together",
        "points 3 of each, in the layout points3",
        "visible 15", "occluded 0", "not labelled 6 samples without labels, not trained on: 1",
        "image width 20 / 60 / 60", "image height 20 / 40 / 40",
        "boxes 7 of the labels", "width / height 1.00 / 1.00 / 2.00",
        "points-diagonal 2.0 / 17.5 / 31.6",
        "outside the box 4 in 3", "outside the image 1 in 1",
        "1.0 26.67% 50.00% 20.00% 33.33%",
        "2.0 13.33% 33.33% 13.33% 33.33%",
        "2 missing files:", "gone_1.png", "gone_2.png",
        "1 unreadable images:", "broken.png is not an image",
        "1 groups of equal images:",
        "1 notes on the labels: boxes without parts",
        "4 samples are drawn in contact-faces.png",
    ):  # fmt: skip
        assert expected in text.replace("┃", " "), (expected, result.output)
    height, width = cv2.imread("contact-faces.png").shape[:2]
    assert width > height > 100


def test_json(tmp_path, monkeypatch):
    path = faulty_faces(tmp_path / "data")
    with monkeypatch.context() as patch:  # where nothing is written, nothing need be writable
        patch.setattr("os.access", lambda _, mode, **__: not mode & os.W_OK)
        result = heatkp("data", "info", path, "--json", "--format", "imglab")
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["format"], found["images"], found["samples"]) == ("imglab", 6, 7)
    assert len(found["missing"]) == 2 and found["contact_sheet"] is None
    assert not list((tmp_path / "here").iterdir())
    sheet = tmp_path / "sheet.png"
    result = heatkp("data", "info", path, "--json", "--out", sheet)
    assert json.loads(result.stdout)["contact_sheet"] == str(sheet) and sheet.is_file()


def test_at_most_24_are_drawn_and_many_faults_are_cut_short(tmp_path):
    images = [(f"{n}_of.png", [box_of(1, 1, 5, 5)]) for n in range(30)]
    for name, _ in images:
        write_image(tmp_path / "data" / name, seed=int(name.split("_")[0]) // 2)
    (tmp_path / "data" / "a.xml").write_text(imglab_text(images))
    result = heatkp("data", "info", tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert "24 samples are drawn in contact-data.png" in result.output
    assert "15 groups of equal images:" in result.output
    assert "... and 5 more; --json lists all" in result.output

    for name, _ in images[:8]:
        write_image(tmp_path / "data" / name)
    result = heatkp("data", "info", tmp_path / "data")
    assert "12 groups of equal images:" in result.output
    assert "4_of.png and 3 more\n" in result.output


def test_sides_have_their_colours(tmp_path):
    """The subject's left point is blue and right of the red one, in the middle of a green box."""
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((40, 40, 3), np.uint8))
    parts = {"left_eye": (25, 15), "right_eye": (15, 15)}
    (tmp_path / "a.xml").write_text(imglab_text([("a.png", [box_of(10, 10, 20, 20, parts=parts)])]))
    result = heatkp("data", "info", tmp_path / "a.xml", "--out", "a.png")
    assert result.exit_code == 0, result.output
    blue, green, red = np.moveaxis(cv2.imread("a.png").astype(int), 2, 0)
    black = np.maximum(np.maximum(blue, green), red) < 40  # the image, and some of the text
    rows, columns = (np.flatnonzero(black.mean(axis) > 0.3) for axis in (1, 0))
    low, high = (rows.min(), columns.min()), (rows.max(), columns.max())

    def centre(mask):
        """As fractions of the image's height and width."""
        assert mask.any()
        place = np.argwhere(mask).mean(0)
        return (place - low) / (np.array(high) - low)

    # The image shows the box, edges 9.5 and 29.5, enlarged 1.6 times: 3.5 to 35.5.
    assert centre((blue > 200) & (red < 100)) == pytest.approx([11.5 / 32, 21.5 / 32], abs=0.02)
    assert centre((red > 200) & (green < 120)) == pytest.approx([11.5 / 32, 11.5 / 32], abs=0.02)
    box = (green > 150) & (red < 100) & (blue < 120)
    assert centre(box) == pytest.approx([0.5, 0.5], abs=0.02)
    width = np.ptp(np.nonzero(box)[1]) / (high[1] - low[1])
    assert width == pytest.approx(20 / 32, abs=0.03)


def test_nothing_to_draw(tmp_path):
    (tmp_path / "a.xml").write_text(imglab_text([("gone.png", [box_of(1, 1, 5, 5)])]))
    result = heatkp("data", "info", tmp_path / "a.xml")
    assert result.exit_code == 0, result.output
    assert "1 missing files:" in result.output and "No image can be drawn" in result.output
    assert not list((tmp_path / "here").iterdir())


def test_other_formats(tmp_path):
    result = heatkp("data", "info", write_imm(tmp_path / "imm"))
    assert result.exit_code == 0, result.output
    assert "persons 5 named in the labels" in words(result.output)
    assert heatkp("data", "synth", tmp_path / "faces", "--n", 2, "--size", 64).exit_code == 0
    found = json.loads(heatkp("data", "info", tmp_path / "faces", "--json").stdout)
    assert (found["format"], found["layout"], found["samples"]) == ("coco", "face68", 2)


def test_refusals(tmp_path):
    info = ["data", "info"]
    here = tmp_path / "here"
    good = faulty_faces(tmp_path / "data")
    refused([*info, tmp_path / "none"], "no file or folder")
    refused([*info, here], "no known format", "imglab")
    refused([*info, good, "--format", "word"], "no format 'word'")
    refused([*info, good, "--format", "pts"], "neither a folder nor a .pts file")
    refused([*info, good, "--out", tmp_path / "no" / "a.png"], "cannot write")
    refused([*info, good, "--out", here], "end its name in .png")
    refused([*info, good, "--out", "a.jpg"], "end its name in .png")
    good.write_text(good.read_text().replace("39.5", "nan"))
    refused([*info, good], "box 2 of image 1 (a_1.png), part 'p': x is 'nan'")
    assert not list(here.iterdir())
