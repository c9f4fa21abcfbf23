"""Notes on labels that can be read and are probably not what was meant."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PIL import Image

from heatkp.config import Data
from heatkp.data.checks import crowded_notes, label_notes
from heatkp.data.loading import drawn_sample, load_data
from heatkp.skeletons import FACE68
from tests.conftest import heatkp, write_picture

GOOD = drawn_sample(0, 0, FACE68, 64)


def notes(tmp_path, rows, header="image,a_x,a_y,b_x,b_y", **settings):
    for row in rows:
        write_picture(tmp_path / row.split(",")[0])
    (tmp_path / "points.csv").write_text("\n".join([header, *rows]) + "\n")
    settings = {"validation": 0.5, "pairs": [], **settings}
    return load_data(Data(path=str(tmp_path), **settings)).notes


def test_nothing_to_say_of_good_labels(tmp_path):
    assert label_notes([GOOD], FACE68) == () and crowded_notes([GOOD, GOOD]) == ()
    assert notes(tmp_path, ["x.png,1,2,3,4", "y.png,5,6,7,8"]) == ()


def test_shares_instead_of_pixels(tmp_path):
    (note,) = notes(tmp_path, ["x.png,0.1,0.2,0.3,0.4", "y.png,0.5,0.6,0.7,1"])
    assert "pixels are wanted" in note


def test_samples_and_points_without_labels(tmp_path):
    rows = ["x.png,1,2,,", "y.png,3,4,NA,NA", "z.png,,,-,-", "v.png,5,6,,"]
    never, bare = notes(tmp_path, rows)
    assert bare.startswith("1 of 4 samples have no labelled point, such as z: ")
    assert never.startswith("1 points are labelled in none of the samples (b)")


def test_several_objects_in_a_picture(tmp_path):
    rows = ["x.png,1,2,3,4", "x.png,9,9,12,14", "y.png,1,2,3,4"]
    (note,) = notes(tmp_path, rows)
    assert note.startswith("1 of 2 pictures hold several samples") and "data.crop=box" in note
    boxed = notes(tmp_path, rows, crop="box")
    assert not any("several samples" in note for note in boxed)


def test_photos_that_are_stored_turned(tmp_path):
    photo = Image.fromarray(np.zeros((40, 60, 3), np.uint8))
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.save(tmp_path / "turned.jpg", exif=exif)
    turned = replace(GOOD, file=tmp_path / "turned.jpg")
    write_picture(tmp_path / "plain.png")
    (note,) = label_notes([turned, replace(GOOD, file=tmp_path / "plain.png")], FACE68)
    assert note.startswith("1 of 2 pictures have an EXIF entry") and "turned.jpg" in note


def test_info_says_them_too(tmp_path):
    notes(tmp_path, ["x.png,0.1,0.2,0.3,0.4", "y.png,0.5,0.6,0.7,1"])
    told = heatkp("data", "info", tmp_path, "--out", tmp_path / "c.png")
    assert "pixels are wanted" in " ".join(told.output.split()), told.output
