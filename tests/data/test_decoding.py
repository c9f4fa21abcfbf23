from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from heatkp.data.decoding import Undecodable, decode, file_depth
from heatkp.data.exif import upright
from heatkp.data.images import read_image
from heatkp.errors import DataError
from tests.data.image_files import ALPHA, GREY, KINDS, RGB, expected, png, tiff

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL")
CUT = [
    name for name in KINDS
    if name in ("png-rgb", "png-palette", "png16-l", "png16-rgba", "jpeg-l", "jpeg-rgb",
                "jpeg-cmyk", "gif", "bmp", "webp-rgb", "webp-rgba", "tiff-l", "tiff-rgba",
                "tiff16-l", "tiff16-rgb", "tiff12-packed", "tiff32-unsigned", "tiff-float-rgb",
                "pgm16", "jp2", "jp2-16", "avif-rgba")
]  # fmt: skip


@pytest.mark.parametrize("name", CUT)
def test_a_file_that_is_cut_off_is_refused_or_whole(tmp_path, name):
    """Never filled with what lay in memory: OpenCV 4.10 did so with JPEG."""
    kind = KINDS[name](tmp_path)
    content = kind.path.read_bytes()
    whole = decode(content).values
    refused = 0
    for left in [*range(0, len(content) - 40, 1 + len(content) // 25),
                 *range(len(content) - 40, len(content))]:  # fmt: skip
        for _ in range(3):  # what OpenCV would find
            np.full(whole.nbytes, 137, np.uint8)
        try:
            found = decode(content[: max(0, left)]).values
        except Undecodable:
            refused += 1
            continue
        # What is behind the pixels may be missing.
        assert left > len(content) - 40 or name.startswith("tiff"), left
        assert found.shape == whole.shape and (found == whole).all()
    assert refused > 20
    kind.path.write_bytes(content[: len(content) // 2])
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(kind.path)
    assert kind.path.write_bytes(b"") == 0 and file_depth(kind.path) is None


def test_damage_is_refused(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("png-rgb", "png16-rgb", "jpeg-rgb", "tiff16-rgb", "webp-rgba", "tiff-float-l"):
        content = bytearray(KINDS[name](tmp_path).path.read_bytes())
        for _ in range(40):
            spoilt = bytearray(content)
            for place in rng.integers(0, len(content), 3):
                spoilt[place] = int(rng.integers(256))
            try:
                found = decode(bytes(spoilt))
            except Undecodable as error:
                assert str(error)
                continue
            assert found.values.ndim in (2, 3)


@pytest.mark.parametrize(
    ("image", "tags", "word"),
    [
        (np.rint(RGB * 65535).astype("u2"), {"planes": 2}, "plane"),
        (RGB.astype("f4"), {"planes": 2}, "plane"),
        (np.rint(np.dstack([GREY, ALPHA]) * 65535).astype("u2"), {}, "2 x 16 bits"),
        (GREY.astype("f2"), {}, "16 bits, float"),
        (RGB.astype("f2"), {}, "16 bits, float"),
        (np.dstack([RGB, RGB]).astype("f4"), {}, "6 x 32 bits, float"),
    ],
)
def test_kinds_of_tiff_that_nothing_reads_right_are_named(tmp_path, image, tags, word):
    """OpenCV makes noise of them, or 8 bits, or lets Pillow's words for no image stand."""
    path = tiff(tmp_path / "a.tif", image, **tags)
    with pytest.raises(DataError, match=word):
        read_image(path)


def test_colours_that_are_stored_times_alpha(tmp_path):
    """And a fourth channel that is no alpha."""
    rgba = np.dstack([RGB * ALPHA[:, :, None], ALPHA])
    expected = 255 * (RGB * ALPHA[:, :, None] + 1 - ALPHA[:, :, None])
    for dtype, full in (("u2", 65535), ("u1", 255), ("f4", 1)):
        stored = (rgba * full).astype(dtype) if full == 1 else np.rint(rgba * full).astype(dtype)
        path = tiff(tmp_path / f"{dtype}.tif", stored, extra=1)
        assert np.abs(read_image(path).astype(int) - expected).max() <= 2
    straight = np.rint(np.dstack([RGB, ALPHA]) * 65535).astype("u2")
    path = tiff(tmp_path / "x.tif", straight, extra=0)
    assert np.abs(read_image(path) - 255 * RGB).max() <= 1


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_depth_of_tiff_is_turned(tmp_path, dtype, channels, orientation):
    full = {"u1": 255, "u2": 65535, "f4": 1}[dtype]
    image = np.dstack([RGB, np.ones_like(GREY)])[:, :, :channels] * full
    image = (image if full == 1 else np.rint(image)).astype(dtype)
    image = image[:, :, 0] if channels == 1 else image
    path = tiff(tmp_path / "a.tif", image, orientation=orientation)
    expected = upright(np.dstack([GREY] * 3) if channels == 1 else RGB, orientation)
    seen = read_image(path)
    assert seen.shape == expected.shape and np.abs(seen - 255 * expected).max() <= 1


@pytest.mark.parametrize("depth", ["u1", "u2"])
@pytest.mark.parametrize("code", range(1, 9))
def test_every_depth_of_png_is_turned_when_asked(tmp_path, depth, code):
    full = np.iinfo(depth).max
    exif = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0" + bytes([code]) + b"\0\0\0\0\0\0"
    path = png(tmp_path / "a.png", np.rint(RGB * full).astype(depth), (b"eXIf", exif))
    assert np.abs(read_image(path) - 255 * RGB).max() <= 1
    expected = upright(RGB, code)
    assert np.abs(read_image(path, orient=True) - 255 * expected).max() <= 1


def test_more_pixels_than_pillow_likes(tmp_path, monkeypatch):
    """The limit of the whole process is not heatkp's, nor changed by it; it has its own."""
    kind = KINDS["png-rgb"](tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert np.abs(read_image(kind.path, orient=True) - expected(kind)).max() <= 1
    assert Image.MAX_IMAGE_PIXELS == 10
    monkeypatch.setenv("HEATKP_MAX_IMAGE_PIXELS", "100")
    with pytest.raises(DataError, match="over the limit"):
        read_image(kind.path)


def test_documents_are_no_images(tmp_path):
    """Pillow would start another program for them."""
    path = tmp_path / "a.eps"
    Image.new("RGB", (8, 8)).save(path)
    with pytest.raises(DataError, match="not an image that can be read"):
        read_image(path)


def test_what_only_opencv_reads(tmp_path):
    path = tmp_path / "a.hdr"
    assert cv2.imwrite(str(path), RGB[:, :, ::-1].astype(np.float32))
    assert np.abs(read_image(path) - 255 * RGB).max() <= 3


@pytest.mark.parametrize("name", KINDS)
def test_headers_tell_the_depth(tmp_path, name):
    kind = KINDS[name](tmp_path)
    head = file_depth(kind.path)
    assert (head.bits > 8) == (kind.values.dtype != np.uint8)
    assert head.several == ("several" in name)


@pytest.mark.parametrize("depth", [8, 16])
def test_a_damaged_png_is_not_given_to_opencv(monkeypatch, depth):
    """Found by benchmarks/fuzz.py: OpenCV takes the memory that a damaged chunk claims."""

    def chunk(kind, content, length):
        return struct.pack(">I", length) + kind + content + bytes(4)

    size = struct.pack(">IIBBBBB", 16, 16, depth, 0, 0, 0, 0)
    head = struct.pack(">I", 13) + b"IHDR" + size + struct.pack(">I", zlib.crc32(b"IHDR" + size))
    damaged = chunk(b"zTXt", b"abc", 2**31 - 1)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("given to OpenCV"))
    for content in (damaged + head, head + damaged, b"", damaged):
        with pytest.raises(Undecodable):
            decode(b"\x89PNG\r\n\x1a\n" + content)
