"""Images that are stored turned."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as PillowImage
from PIL import ImageOps

from heatkp.data.exif import orientation, upright, upright_boxes, upright_points
from heatkp.data.samples import read_image

codes = st.integers(1, 8)
pixels = st.integers(0, 9)


@given(codes, st.tuples(st.integers(1, 10), st.integers(1, 10)), pixels, pixels)
def test_points_go_where_their_pixel_goes(code, size, x, y):
    width, height = size
    x, y = x % width, y % height
    stored = np.zeros((height, width, 3), np.uint8)
    stored[y, x] = 255
    seen = upright(stored, code)
    (u, v) = upright_points([x, y], code, size)
    assert seen.shape[:2] == ((width, height) if code > 4 else (height, width))
    assert seen[int(v), int(u)].all() and seen.sum() == 3 * 255
    box = np.array([[x - 0.5, y - 0.5, x + 0.5, y + 0.5]])
    assert upright_boxes(box, code, size).tolist() == [[u - 0.5, v - 0.5, u + 0.5, v + 0.5]]


def corner(width=40, height=24):
    image = np.zeros((height, width, 3), np.uint8)
    image[:6, :10], image[:6, -10:], image[-6:, :10] = (250, 0, 0), (0, 250, 0), (0, 0, 250)
    return image


def saved(path, code, image):
    exif = PillowImage.Exif()
    exif[0x0112] = code
    PillowImage.fromarray(image).save(path, exif=exif)
    return path


def alike(a, b):
    return a.shape == b.shape and np.abs(a.astype(int) - b).mean() < 12


@pytest.mark.parametrize("kind", ["jpg", "png", "webp", "avif", "tiff"])
@pytest.mark.parametrize("code", range(1, 9))
def test_all_formats_and_orientations_are_as_pillow_shows_them(tmp_path, kind, code):
    if kind == "avif" and "AVIF" not in PillowImage.registered_extensions().values():
        pytest.skip("this Pillow writes no AVIF")
    path = saved(tmp_path / f"a.{kind}", code, corner())
    with PillowImage.open(path) as file:
        # Pillow turns TIFF files by itself; of some versions both together turn them twice.
        turned = file if kind == "tiff" else ImageOps.exif_transpose(file)
        expected = np.asarray(turned.convert("RGB"))
    assert alike(read_image(path, orient=True), expected)
    # Every reader turns TIFF files, so that labels refer to that, too.
    stored = expected if kind == "tiff" else corner()
    assert alike(read_image(path), stored)
    assert orientation(path) == (1 if kind == "tiff" else code)


def test_a_turned_photo_may_be_transparent(tmp_path):
    image = np.dstack([corner(), np.full((24, 40), 255, np.uint8)])
    image[:, 20:, 3] = 0
    seen = read_image(saved(tmp_path / "a.png", 6, image), orient=True)
    assert seen.shape == (40, 24, 3) and (seen[20:] == 255).all()
    assert alike(seen[:20], upright(corner(), 6)[:20])


def test_what_says_nothing_is_upright(tmp_path):
    assert orientation(tmp_path / "missing.jpg") == 1
    (tmp_path / "a.jpg").write_text("no image")
    assert orientation(tmp_path / "a.jpg") == 1
