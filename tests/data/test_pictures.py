"""Image files of all kinds, as a person sees them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image

from heatkp.data.samples import as_rgb, read_image
from heatkp.errors import DataError

LEFT, RIGHT = (200, 100, 50), (20, 20, 240)


def halves(height=20, width=40):
    """Brown on the left, blue on the right."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2], image[:, width // 2 :] = LEFT, RIGHT
    return image


def test_pictures_are_turned_as_exif_says(tmp_path):
    image = np.zeros((20, 40, 3), np.uint8)
    image[:, :20] = 255
    ok, encoded = cv2.imencode(".jpg", image)
    assert ok
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    content = encoded.tobytes()
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    path = tmp_path / "turned.jpg"
    path.write_bytes(content[:2] + marker + content[2:])
    assert read_image(path).shape == (20, 40, 3)
    assert read_image(path, orient=True).shape == (40, 20, 3)


EXIF = {1: (0, 0), 2: (0, -1), 3: (-1, -1), 4: (-1, 0), 5: (0, 0), 6: (0, -1), 7: (-1, -1),
        8: (-1, 0)}  # fmt: skip
"""Where the first stored pixel is to be seen, by orientation."""


@pytest.mark.parametrize("orientation", EXIF)
@pytest.mark.parametrize("suffix", ["jpg", "png", "webp"])
def test_every_exif_orientation(tmp_path, orientation, suffix):
    image = np.full((16, 32, 3), 40, np.uint8)
    image[:8, :8] = 220
    picture = Image.fromarray(image)
    exif = picture.getexif()
    exif[0x112] = orientation
    path = tmp_path / f"a.{suffix}"
    options = {} if suffix == "png" else {"quality": 95}
    picture.save(path, exif=exif, **options)
    seen = read_image(path, orient=True)
    assert seen.shape == ((16, 32, 3) if orientation < 5 else (32, 16, 3))
    y, x = EXIF[orientation]
    assert seen[y, x].min() > 180 and seen.mean() < 100
    assert read_image(path)[0, 0].min() > 180


@pytest.mark.parametrize(
    ("name", "mode"),
    [("a.jpg", "CMYK"), ("a.tif", "CMYK"), ("a.png", "P"), ("a.gif", "P"), ("a.bmp", "RGB"),
     ("a.webp", "RGB"), ("a.jpg", "L"), ("a.png", "L"), ("a.png", "LA"), ("a.png", "1")],
)  # fmt: skip
def test_colour_models(tmp_path, name, mode):
    picture = Image.fromarray(halves())
    path = tmp_path / name
    (picture if mode == "RGB" else picture.convert(mode)).save(path)
    expected = np.asarray(picture.convert(mode).convert("RGB")).astype(int)
    for orient in (False, True):
        seen = read_image(path, orient=orient)
        assert seen.dtype == np.uint8 and seen.shape == (20, 40, 3)
        assert seen.flags.c_contiguous
        inner = np.r_[2:16, 24:38]
        assert np.abs(seen.astype(int) - expected)[:, inner].max() <= 6


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits(tmp_path, suffix, channels):
    image = halves()
    deep = np.dstack([image[:, :, ::-1], np.full((20, 40), 255, np.uint8)])[:, :, :channels]
    path = tmp_path / f"a.{suffix}"
    assert cv2.imwrite(str(path), deep.astype(np.uint16) * 257)
    expected = image if channels > 1 else np.repeat(image[:, :, 2:], 3, 2)
    assert np.abs(read_image(path, True, 16).astype(int) - expected).max() <= 1


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.tif", "deep.png", "palette.png"])
def test_what_is_transparent_is_white(tmp_path, name):
    """Left opaque, right invisible, a stripe in between half."""
    alpha = np.full((20, 40), 255, np.uint8)
    alpha[:, 16:20], alpha[:, 20:] = 128, 0
    image = np.dstack([halves(), alpha])
    path = tmp_path / name
    if name == "deep.png":
        cv2.imwrite(str(path), image[:, :, [2, 1, 0, 3]].astype(np.uint16) * 257)
    elif name == "palette.png":
        two = Image.fromarray(halves()).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
        two.save(path, transparency=two.getpixel((30, 5)))
    else:
        Image.fromarray(image).save(path, **({"lossless": True} if name == "a.webp" else {}))
    seen = read_image(path, True, 16)
    assert np.abs(seen[5, 5].astype(int) - LEFT).max() <= 1 and seen[5, 30].min() == 255
    if name != "palette.png":
        half = np.rint(np.array(LEFT) * 128 / 255 + 127)
        assert np.abs(seen[5, 18] - half).max() <= 2
        assert np.abs(as_rgb(image)[5, 18] - half).max() <= 1


def test_one_pixel_and_what_is_no_picture(tmp_path):
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), np.full((1, 1, 3), 7, np.uint8))
    assert read_image(path, orient=True).tolist() == [[[7, 7, 7]]]
    cv2.imwrite(str(path), halves())
    for content in (b"", b"text", path.read_bytes()[:40]):
        path.write_bytes(content)
        with pytest.raises(DataError, match="not an image that can be read"):
            read_image(path, orient=True)
    with pytest.raises(DataError, match="does not exist"):
        read_image(tmp_path)
