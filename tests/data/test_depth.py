"""What is said of deep images and of files with several."""

from __future__ import annotations

import json

import numpy as np
import pytest

from heatkp.config import Data
from heatkp.data.depth import depth_notes
from heatkp.data.loading import load_data
from tests.conftest import heatkp, write_image
from tests.data.image_files import GREY, KINDS, png, tiff


def labelled(folder, *names):
    rows = "".join(f"{name},3,4\n" for name in names)
    (folder / "p.csv").write_text("image,p_x,p_y\n" + rows)
    return str(folder)


def notes(folder, *names, **settings):
    path = labelled(folder, *names)
    return load_data(Data(path=path, pairs=[], validation=0.5, **settings)).notes


def test_nothing_is_said_of_eight_bits(tmp_path):
    write_image(tmp_path / "a.png")
    write_image(tmp_path / "b.jpg")
    assert notes(tmp_path, "a.png", "b.jpg") == ()


def test_deep_images_are_counted_with_their_values(tmp_path):
    write_image(tmp_path / "a.png")
    png(tmp_path / "b.png", np.rint(4095 * GREY).astype("u2"))
    tiff(tmp_path / "c.tif", GREY.astype("f4"))
    (note,) = notes(tmp_path, "a.png", "b.png", "c.tif")
    assert note.startswith("2 of 3 images") and "b.png (uint16; from 0 to 4095 in 2" in note
    assert "data.intensity: range" in note and "least to its greatest" in note
    (note,) = notes(tmp_path, "a.png", "b.png", "c.tif", intensity="percentile")
    assert "99.5th percentile" in note
    (note,) = notes(tmp_path, "a.png", "b.png", "c.tif", intensity=10)
    assert "0 to 1023 become 256 levels" in note and "1 of 2 have greater ones" in note
    (note,) = notes(tmp_path, "a.png", "b.png", "c.tif", intensity=12)
    assert "greater ones" not in note


@pytest.mark.parametrize("name", [n for n in KINDS if "several" in n])
def test_files_of_several_images(tmp_path, name):
    file = KINDS[name](tmp_path).path.name
    write_image(tmp_path / "a.png")
    (note,) = notes(tmp_path, "a.png", file)
    assert note.startswith("1 of 2 files hold several images") and file in note


def test_bad_files_and_none_are_passed_over(tmp_path):
    assert depth_notes([]) == ()
    png(tmp_path / "a.png", np.full((4, 4), 700, "u2"))
    png(tmp_path / "b.png", np.full((4, 4), 700, "u2"))
    (tmp_path / "c.png").write_bytes((tmp_path / "a.png").read_bytes()[:-30])
    (tmp_path / "d.png").write_bytes(b"no image")
    (note,) = notes(tmp_path, "a.png", "b.png", "c.png", "d.png")
    assert note.startswith("3 of 4") and "700" in note and "in 2 of them" in note


def test_the_command_says_so(tmp_path):
    for name in "abc":
        png(tmp_path / f"{name}.png", np.rint(4095 * GREY).astype("u2"))
    path = labelled(tmp_path, "a.png", "b.png", "c.png")
    result = heatkp("data", "info", path, "--json")
    assert result.exit_code == 0, result.output
    (note,) = json.loads(result.stdout)["notes"]
    assert note.startswith("3 of 3") and "data.intensity" in note
