"""docs/image_kinds.md: for each row of its table a file is made and read."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import heatkp
from heatkp.data.images import read_image
from heatkp.data.inputs import as_image
from heatkp.errors import DataError
from tests.data.image_files import HEIGHT, KINDS, RGB, WIDTH, expected, tiff
from tests.readme.documents import ROOT

FILES = {
    "JPEG, PNG, BMP, WebP, JPEG 2000: RGB of 8 bits":
        ["jpeg-rgb", "png-rgb", "bmp", "webp-rgb", "jp2"],
    "JPEG, PNG, TIFF: grey of 8 bits": ["jpeg-l", "png-l", "tiff-l"],
    "JPEG or TIFF in CMYK": ["jpeg-cmyk", "tiff-cmyk"],
    "palette (PNG, GIF)": ["gif"],
    "1 bit (PNG, TIFF)": ["png-1-bit", "tiff-1-bit"],
    "TIFF where 0 is white": ["tiff-white-is-0"],
    "TIFF of 8 bits with a plane for each colour": ["tiff-planes"],
    "alpha channel (PNG, WebP, TIFF, AVIF)":
        ["png-rgba", "png-la", "webp-rgba", "tiff-rgba", "avif-rgba"],
    "palette or colour that is marked transparent (PNG)":
        ["png-palette", "png-clear-l", "png-clear-rgb"],
    "16 bits (PNG, TIFF, PGM, JPEG 2000)": ["png16-l", "png16-rgb", "tiff16-l", "pgm16", "jp2-16"],
    "16 bits with alpha (PNG, TIFF)": ["png16-la", "png16-rgba", "tiff16-rgba"],
    "12 bits, packed (TIFF)": ["tiff12-packed"],
    "signed, or 32 bits (TIFF)":
        ["tiff16-signed", "tiff8-signed", "tiff32-signed", "tiff32-unsigned"],
    "floating point (TIFF)": ["tiff-float-l", "tiff-float-rgb", "tiff-double-l"],
    "floating point with alpha (TIFF)": ["tiff-float-rgba"],
    "several images: animated GIF, PNG or WebP, TIFF of many pages":
        ["gif-several", "png-several", "webp-several", "tiff-several"],
}  # fmt: skip
"""The table's rows of files that are read, and their makers."""


def _turned(folder: Path) -> Path:
    """An image that is to be turned by a quarter, and a label of it."""
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.zeros((HEIGHT, WIDTH, 3), np.uint8)).save(folder / "a.jpg", exif=exif)
    (folder / "labels.csv").write_text("image,p_x,p_y\na.jpg,3,4\n")
    return folder / "a.jpg"


def predicting(folder: Path) -> str:
    assert as_image(_turned(folder)).shape[:2] == (WIDTH, HEIGHT)
    return "turned upright"


def training(folder: Path) -> str:
    _turned(folder)
    for orient, size in ((False, (HEIGHT, WIDTH)), (True, (WIDTH, HEIGHT))):
        labels = heatkp.read_labels(folder / "labels.csv", orient=orient)
        assert labels.samples[0].rgb().shape[:2] == size
    return "as stored; turned upright with `data.orient=true`"


def deep_planes(folder: Path) -> str:
    tiff(folder / "a.tif", np.rint(65535 * RGB).astype("u2"), planes=2)
    with pytest.raises(DataError, match="a plane for each"):
        read_image(folder / "a.tif")
    return "refused"


def damaged(folder: Path) -> str:
    Image.fromarray(np.rint(255 * RGB).astype(np.uint8)).save(folder / "a.png")
    for content in (b"", b"text", (folder / "a.png").read_bytes()[:-40]):
        (folder / "b.png").write_bytes(content)
        with pytest.raises(DataError, match="not an image"):
            read_image(folder / "b.png")
    return "refused"


OTHERS: dict[str, Callable[[Path], str]] = {
    "EXIF orientation, when predicting": predicting,
    "EXIF orientation, when training": training,
    "16 bits with a plane for each colour (TIFF)": deep_planes,
    "cut off, damaged, empty, or no image": damaged,
}
"""Rows of the rest, and what is to be read in them."""


def rows():
    """The first table of the page: file, and what is seen."""
    text = (ROOT / "docs/image_kinds.md").read_text(encoding="utf-8")
    table = text.split("| file | what is seen |")[1].split("\n\n")[0]
    return re.findall(r"^\| (.+?) \| (.+?) \|$", table, re.MULTILINE)


def words(kind):
    """What is to be said of a file, by what is in it."""
    said = []
    if kind.inverted:
        said.append("inverted")
    if kind.values.dtype != np.uint8:
        said.append("scaled")
    if kind.alpha is not None:
        said.append("on white")
    with Image.open(kind.path) if not said else Image.new("L", (1, 1)) as image:
        mode = image.mode if not said else ""
        if getattr(image, "n_frames", 1) > 1:
            said.append("the first image")
        elif mode == "CMYK":
            said.append("converted to RGB, without its colour profile")
        elif mode == "1":
            said.append("black and white")
        elif mode == "P":
            said.append("its colours")
        elif mode == "L":
            said.append("as stored, grey in three channels")
    return ", ".join(said) or "as stored"


def test_every_row_has_a_file_and_every_file_a_row():
    assert [name for name, _ in rows()] == [*FILES, *OTHERS]


@pytest.mark.parametrize(("name", "seen"), rows())
def test_row(name, seen, tmp_path):
    if name in OTHERS:
        assert OTHERS[name](tmp_path) == seen
        return
    made = [KINDS[file](tmp_path) for file in FILES[name] if file in KINDS]
    assert made
    for kind in made:
        found = read_image(kind.path)
        assert found.shape == (HEIGHT, WIDTH, 3)
        assert np.abs(found - expected(kind)).max() <= kind.off + 0.5, kind.path
        assert words(kind) == seen, kind.path
