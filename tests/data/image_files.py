"""Image files of all kinds with known contents; those that no library writes, by hand."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

Array = npt.NDArray[Any]
HEIGHT, WIDTH = 24, 32
_Y, _X = np.mgrid[:HEIGHT, :WIDTH]
GREY = (_Y * WIDTH + _X) / (HEIGHT * WIDTH - 1)
"""(H, W) from 0 to 1, all different."""
RGB = np.dstack([GREY, GREY[::-1], GREY[:, ::-1]])
ALPHA = np.where(_X < 8, 0.0, np.where(_X < 16, 0.5, 1.0))
"""A stripe that is transparent, one that is half so, the rest opaque."""


def tiff(path: Path, image: Array, order: str = "<", big: bool = False, **tags: Any) -> Path:
    """An uncompressed TIFF file of one strip: (H, W) or (H, W, C).

    `tags` by name: `colours`, `extra`, `planes`, `orientation`, `bits` (of values packed into
    bytes).
    """
    height, width = image.shape[:2]
    samples = 1 if image.ndim == 2 else image.shape[2]
    planes, bits = tags.get("planes", 1), tags.get("bits", 8 * image.dtype.itemsize)
    if bits % 8:
        rows = ["".join(format(v, f"0{bits}b") for v in row) for row in image.tolist()]
        rows = [row + "0" * (-len(row) % 8) for row in rows]
        data = b"".join(int(row, 2).to_bytes(len(row) // 8, "big") for row in rows)
    else:
        stored = np.moveaxis(image, 2, 0) if planes == 2 else image
        data = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    strips, kind = (samples if planes == 2 else 1), {"u": 1, "i": 2, "f": 3}[image.dtype.kind]
    start, each = 16 if big else 8, len(data) // strips
    entries = {
        256: [width], 257: [height], 258: [bits] * samples, 259: [1],
        262: [tags.get("colours", 1 if samples < 3 else 2)],
        273: [start + i * each for i in range(strips)], 274: [tags.get("orientation", 1)],
        277: [samples], 278: [height], 279: [each] * strips, 284: [planes],
        339: [kind] * samples,
    }  # fmt: skip
    if samples in (2, 4) and tags.get("extra", 2) is not None:
        entries[338] = [tags.get("extra", 2)]
    count, room = ("Q", 8) if big else ("L", 4)
    place = start + len(data)
    after = place + (8 if big else 2) + len(entries) * (20 if big else 12) + room
    head, late = struct.pack(order + ("Q" if big else "H"), len(entries)), b""
    for tag, values in sorted(entries.items()):
        wide = tag in (273, 279)
        content = struct.pack(order + ("L" if wide else "H") * len(values), *values)
        head += struct.pack(order + "HH" + count, tag, 4 if wide else 3, len(values))
        if len(content) > room:
            head, late = head + struct.pack(order + count, after + len(late)), late + content
        else:
            head += content.ljust(room, b"\0")
    name = b"II" if order == "<" else b"MM"
    first = struct.pack(order + "HHHQ", 43, 8, 0, place) if big else struct.pack(
        order + "HL", 42, place)  # fmt: skip
    path.write_bytes(name + first + data + head + b"\0" * room + late)
    return path


def png(path: Path, image: Array, *chunks: tuple[bytes, bytes]) -> Path:
    """A PNG file of uint8 or uint16, (H, W) or (H, W, C), with further chunks."""
    samples = 1 if image.ndim == 2 else image.shape[2]
    bits = 8 * image.dtype.itemsize
    height, width = image.shape[:2]
    header = struct.pack(
        ">LLBBBBB", width, height, bits, {1: 0, 2: 4, 3: 2, 4: 6}[samples], 0, 0, 0
    )
    rows = b"".join(b"\0" + row.astype(image.dtype.newbyteorder(">")).tobytes() for row in image)
    every = [(b"IHDR", header), *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b"")]
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">L", len(c)) + name + c + struct.pack(">L", zlib.crc32(name + c))
        for name, c in every
    ))  # fmt: skip
    return path


class Kind(NamedTuple):
    """A file, what it holds, and by how much it may be off: values (H, W) or (H, W, 3), alpha."""

    path: Path
    values: Array
    alpha: Array | None = None
    inverted: bool = False
    off: float = 1.0


def _deep(dtype: str, unit: Array) -> Array:
    """12 bits' worth of values in a larger type; negative ones where there are any."""
    values = 100 + 3800 * unit
    if dtype[0] == "f":
        return (unit * 2.5 - 0.5).astype(dtype)
    return np.rint(values - (2000 if dtype[0] == "i" else 0)).astype(dtype)


def _with_alpha(image: Array) -> Array:
    full = np.iinfo(image.dtype).max if image.dtype.kind == "u" else 1
    alpha = np.rint(ALPHA * full) if full > 1 else ALPHA
    return np.dstack([image, alpha.astype(image.dtype)])


def _saved(
    name: str,
    mode: str,
    alpha: bool = False,
    off: float = 1.0,
    several: bool = False,
    **options: Any,
) -> Callable[[Path], Kind]:
    """What Pillow writes in a mode, from 8 bits."""

    def make(folder: Path) -> Kind:
        eight = np.rint(255 * (GREY if mode in ("L", "LA") else RGB)).astype(np.uint8)
        stored = _with_alpha(eight) if alpha else eight
        image = Image.fromarray(stored, mode if mode in ("LA", "RGBA") else None)
        if mode in ("P", "1", "CMYK"):
            image = image.convert(mode)
            eight = np.asarray(image.convert("RGB"))
        more = {"save_all": True, "append_images": [image.rotate(180)]} if several else {}
        image.save(folder / name, **options, **more)
        return Kind(folder / name, eight, np.rint(ALPHA * 255) / 255 if alpha else None, off=off)

    return make


def _by_hand(
    name: str, dtype: str, unit: Array, alpha: bool = False, **options: Any
) -> Callable[[Path], Kind]:
    def make(folder: Path) -> Kind:
        values = np.rint(255 * unit).astype("u1") if dtype == "u1" else _deep(dtype, unit)
        stored = _with_alpha(values) if alpha else values
        write = png if name.endswith("png") else tiff
        inverted = options.get("colours") == 0
        path = write(folder / name, stored, **options)
        seen = stored[:, :, -1].astype(float) if alpha else None
        if seen is not None and stored.dtype.kind == "u":
            seen = seen / np.iinfo(stored.dtype).max
        return Kind(path, values, seen, inverted)

    return make


def _palette(folder: Path) -> Kind:
    """256 colours, the first transparent."""
    index = (_X + 8 * _Y).astype(np.uint8)
    colours = np.stack([np.arange(256), np.arange(256)[::-1], np.full(256, 7)], 1).astype(np.uint8)
    image = Image.frombytes("P", (WIDTH, HEIGHT), index.tobytes())
    image.putpalette(colours.tobytes())
    image.save(folder / "palette.png", transparency=0)
    return Kind(folder / "palette.png", colours[index], (index != 0).astype(float))


def _clear_colour(dtype: str, unit: Array) -> Callable[[Path], Kind]:
    """A PNG file in which one colour is transparent (tRNS)."""

    def make(folder: Path) -> Kind:
        values = np.rint(255 * unit).astype("u1") if dtype == "u1" else _deep(dtype, unit)
        colour = np.atleast_3d(values)[5, 20]
        chunk = b"tRNS", struct.pack(f">{len(colour)}H", *colour.tolist())
        path = png(folder / f"clear-{dtype}-{values.ndim}.png", values, chunk)
        return Kind(path, values, (np.atleast_3d(values) != colour).any(2).astype(float))

    return make


def _portable(folder: Path) -> Kind:
    values = _deep("u2", GREY)
    content = f"P5 {WIDTH} {HEIGHT} 4095\n".encode() + values.astype(">u2").tobytes()
    (folder / "a.pgm").write_bytes(content)
    return Kind(folder / "a.pgm", values)


def _jpeg2000(folder: Path) -> Kind:
    values = _deep("u2", GREY)
    image = Image.fromarray(values)
    image.save(folder / "deep.jp2", irreversible=False, num_resolutions=1)
    return Kind(folder / "deep.jp2", values)


KINDS: dict[str, Callable[[Path], Kind]] = {
    "png-l": _saved("l.png", "L"),
    "png-la": _saved("la.png", "LA", True),
    "png-rgb": _saved("rgb.png", "RGB"),
    "png-rgba": _saved("rgba.png", "RGBA", True),
    "png-palette": _palette,
    "png-1-bit": _saved("1.png", "1"),
    "png-clear-l": _clear_colour("u1", GREY),
    "png-clear-rgb": _clear_colour("u1", RGB),
    "png-several": _saved("several.png", "RGB", several=True),
    "png16-l": _by_hand("l16.png", "u2", GREY),
    "png16-la": _by_hand("la16.png", "u2", GREY, True),
    "png16-rgb": _by_hand("rgb16.png", "u2", RGB),
    "png16-rgba": _by_hand("rgba16.png", "u2", RGB, True),
    "png16-clear-l": _clear_colour("u2", GREY),
    "png16-clear-rgb": _clear_colour("u2", RGB),
    "jpeg-l": _saved("l.jpg", "L", off=3, quality=100),
    "jpeg-rgb": _saved("rgb.jpg", "RGB", off=12, quality=100, subsampling=0),
    "jpeg-cmyk": _saved("cmyk.jpg", "CMYK", off=12, quality=100, subsampling=0),
    "gif": _saved("p.gif", "P"),
    "gif-several": _saved("several.gif", "P", several=True),
    "bmp": _saved("rgb.bmp", "RGB"),
    "webp-rgb": _saved("rgb.webp", "RGB", lossless=True),
    "webp-rgba": _saved("rgba.webp", "RGBA", True, lossless=True, exact=True),
    "webp-several": _saved("several.webp", "RGB", lossless=True, several=True),
    "tiff-l": _saved("l.tif", "L"),
    "tiff-la": _by_hand("la.tif", "u1", GREY, True),
    "tiff-rgb-lzw": _saved("rgb.tif", "RGB", compression="tiff_lzw"),
    "tiff-rgba": _saved("rgba.tif", "RGBA", True),
    "tiff-cmyk": _saved("cmyk.tif", "CMYK"),
    "tiff-1-bit": _saved("1.tif", "1"),
    "tiff-white-is-0": _by_hand("w8.tif", "u1", GREY, colours=0),
    "tiff-planes": _by_hand("planes8.tif", "u1", RGB, planes=2),
    "tiff-several": _saved("several.tif", "RGB", several=True),
    "tiff16-l": _by_hand("l16.tif", "u2", GREY),
    "tiff16-l-big-endian": _by_hand("l16b.tif", "u2", GREY, order=">"),
    "tiff16-l-bigtiff": _by_hand("big.tif", "u2", GREY, big=True),
    "tiff16-l-bigtiff-big-endian": _by_hand("bigb.tif", "u2", GREY, order=">", big=True),
    "tiff16-white-is-0": _by_hand("w16.tif", "u2", GREY, colours=0),
    "tiff16-rgb": _by_hand("rgb16.tif", "u2", RGB),
    "tiff16-rgb-big-endian": _by_hand("rgb16b.tif", "u2", RGB, order=">"),
    "tiff16-rgba": _by_hand("rgba16.tif", "u2", RGB, True),
    "tiff16-rgba-unsaid": _by_hand("rgbau16.tif", "u2", RGB, True, extra=None),
    "tiff16-signed": _by_hand("i16.tif", "i2", GREY),
    "tiff8-signed": _by_hand("i8.tif", "i1", GREY / 40),
    "tiff12-packed": _by_hand("l12.tif", "u2", GREY, bits=12),
    "tiff32-unsigned": _by_hand("u32.tif", "u4", GREY),
    "tiff32-signed": _by_hand("i32.tif", "i4", GREY),
    "tiff-float-l": _by_hand("f.tif", "f4", GREY),
    "tiff-float-rgb": _by_hand("frgb.tif", "f4", RGB),
    "tiff-float-rgba": _by_hand("frgba.tif", "f4", RGB, True),
    "tiff-double-l": _by_hand("d.tif", "f8", GREY),
    "pgm16": _portable,
    "jp2": _saved("rgb.jp2", "RGB", irreversible=False, num_resolutions=1),
    "jp2-16": _jpeg2000,
}
if "AVIF" in Image.registered_extensions().values():
    KINDS["avif-rgba"] = _saved("rgba.avif", "RGBA", True, off=24, quality=100, subsampling="4:4:4")


def expected(kind: Kind, intensity: str | int = "range") -> Array:
    """(H, W, 3) floats from 0 to 255: what is to be seen of a kind, by the definition."""
    values = kind.values.astype(float)
    if kind.values.dtype != np.uint8:
        seen = values if kind.alpha is None else values[kind.alpha > 0]
        if intensity == "range":
            low, high = seen.min(), seen.max()
        elif intensity == "percentile":
            low, high = np.percentile(seen, [0.5, 99.5])
        else:
            low, high = 0, 2 ** int(intensity) - 1
        values = np.clip((values - low) / (high - low), 0, 1) * 255
    if kind.inverted:
        values = 255 - values
    if values.ndim == 2:
        values = np.repeat(values[:, :, None], 3, 2)
    alpha = 1.0 if kind.alpha is None else kind.alpha[:, :, None]
    return values * alpha + 255 * (1 - alpha)
