"""Tiny files that claim to be huge, or hold what would run: refused in a sentence, at once."""

from __future__ import annotations

import gzip
import io
import json
import pickle
import resource
import shutil
import struct
import tarfile
import zipfile
import zlib
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat

from heatkp import runs
from heatkp.config import load_settings
from heatkp.data.exif import opened
from heatkp.data.frames import open_hdf5, read_array
from heatkp.data.images import read_image
from heatkp.data.readers import read
from heatkp.data.readers._mat import load_mat
from heatkp.data.video_reading import video_frame
from heatkp.engine.runtimes.torch_export import TorchExportBackend
from heatkp.engine.trust import trust
from heatkp.errors import CheckpointError, DataError, HeatkpError, SettingsError
from heatkp.inference.sources import Failure, find_sources, read_images
from heatkp.limits import Limit, TooLarge, load_yaml, read_bytes
from heatkp.sweeps.space_file import read_space_file


@pytest.fixture(autouse=True)
def _frugal():
    """Nothing takes a gigabyte of memory to be refused."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    yield
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kilobytes


def test_a_limit_is_changed_by_its_variable(monkeypatch):
    assert Limit.IMAGE_PIXELS.most == 256_000_000
    for text, expected in (("500", 500), ("2k", 2000), (" 3G ", 3 * 10**9), ("", 256_000_000)):
        monkeypatch.setenv("HEATKP_MAX_IMAGE_PIXELS", text)
        assert Limit.IMAGE_PIXELS.most == expected
    for text in ("0", "-1", "many", "1.5G", "9" * 30):
        monkeypatch.setenv("HEATKP_MAX_IMAGE_PIXELS", text)
        with pytest.raises(SettingsError, match="HEATKP_MAX_IMAGE_PIXELS"):
            _ = Limit.IMAGE_PIXELS.most


def chunk(kind: bytes, content: bytes) -> bytes:
    check = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)


def png_head(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 99))


def tiff_head(width: int, height: int, bits: int) -> bytes:
    tags = [(256, width), (257, height), (258, bits), (259, 1), (262, 1), (273, 8), (277, 1),
            (278, height), (279, 100)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + b"\0" * 4


HEADS = {
    "a.png": png_head(100_000, 100_000),
    "a.bmp": b"BM" + struct.pack("<IIIIiiHHIIiiII", 200, 0, 54, 40, 90_000, 90_000, 1, 24, 0, 0,
                                 0, 0, 0, 0) + b"\0" * 99,
    "a.tif": tiff_head(100_000, 100_000, 8),
    "deep.tif": tiff_head(100_000, 100_000, 16),
    "a.ppm": b"P6\n100000 100000\n255\n" + b"\0" * 99,
    "a.pfm": b"Pf\n90000 90000\n-1.0\n" + b"\0" * 99,
    "a.pam": b"P7\nWIDTH 90000\nHEIGHT 90000\nDEPTH 3\nMAXVAL 255\nENDHDR\n" + b"\0" * 99,
    "a.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 30000 +X 30000\n" + b"\2\2\x75\x30" * 20,
    "a.gif": b"GIF89a" + struct.pack("<HHBBB", 65_000, 65_000, 0, 0, 0)
    + b",\0\0\0\0\xe8\xfd\xe8\xfd\0\2\1\0\0;",
}  # fmt: skip
"""Files of a hundred bytes that announce hundreds of megapixels, or thousands."""


@pytest.mark.parametrize("name", HEADS)
def test_an_image_is_refused_by_its_header(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(HEADS[name])
    with pytest.raises(DataError, match="HEATKP_MAX_IMAGE_PIXELS"):
        read_image(path)
    (failure,) = read_images(find_sources([str(path)]).sources)
    assert isinstance(failure, Failure)


def test_a_jpeg_is_refused_by_its_header(tmp_path):
    content = bytearray(cv2.imencode(".jpg", np.zeros((16, 16, 3), np.uint8))[1].tobytes())
    place = content.index(b"\xff\xc0") + 5
    content[place : place + 4] = struct.pack(">HH", 60_000, 60_000)
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match="HEATKP_MAX_IMAGE_PIXELS"):
        read_image(path)


@pytest.mark.parametrize("format", ["PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM", "JPEG2000"])
def test_images_are_identified_as_pillow_does(format, monkeypatch):
    """Pillow's own limit, the whole process's, is left alone."""
    file = io.BytesIO()
    Image.fromarray(np.arange(96, dtype=np.uint8).reshape(8, 12)).convert("RGB").save(file, format)
    expected = np.array(Image.open(file).convert("RGB"))
    limit = Image.MAX_IMAGE_PIXELS
    with opened(file) as image:
        assert image.format == format and limit == Image.MAX_IMAGE_PIXELS
        assert (np.array(image.convert("RGB")) == expected).all()


def test_a_file_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setenv("HEATKP_MAX_IMAGE_BYTES", "1000")
    path = tmp_path / "a.png"
    path.write_bytes(png_head(4, 4) + b"\0" * 1000)
    with pytest.raises(DataError, match="HEATKP_MAX_IMAGE_BYTES"):
        read_image(path)
    endless = Path("/dev/zero")
    if endless.exists():
        with pytest.raises(TooLarge):
            read_bytes(endless, Limit.IMAGE_BYTES)


def test_frames_of_videos_are_limited(tmp_path, monkeypatch):
    path = tmp_path / "a.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for _ in range(3):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    assert video_frame(path, 1).shape == (48, 64, 3)
    monkeypatch.setenv("HEATKP_MAX_IMAGE_PIXELS", "3000")
    other = shutil.copy(path, tmp_path / "b.avi")
    with pytest.raises(DataError, match="HEATKP_MAX_IMAGE_PIXELS"):
        video_frame(Path(other), 1)
    (failure,) = read_images(find_sources([str(path)]).sources)
    assert isinstance(failure, Failure) and "HEATKP_MAX_IMAGE_PIXELS" in failure.reason


def laughs(levels: int = 9) -> str:
    """YAML of half a kilobyte that stands for 9^levels values."""
    lines = ["a0: &a0 [1, 2, 3, 4, 5, 6, 7, 8, 9]"]
    for i in range(1, levels):
        lines.append(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]")
    return "\n".join(lines) + "\n"


BAD_YAML = {
    "aliases": laughs(),
    "itself": "data: &a [*a]\n",
    "brackets": "data: " + "[" * 5000,
    "dashes": "- " * 5000 + "a",
    "braces": "{a: " * 5000,
    "digits": "seed: " + "1" * 5000,
    "hexadecimal": "seed: 0x" + "f" * 5000,
    "merged": "a: &a {x: 1}\nb: &b {<<: [*a, *a, *a]}\n"
    + "".join(f"c{i}: &c{i} {{<<: [{', '.join([f'*c{i - 1}' if i else '*b'] * 9)}]}}\n"
              for i in range(9)),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_YAML)
def test_yaml_that_unfolds(tmp_path, name):
    path = tmp_path / "a.yaml"
    path.write_text(BAD_YAML[name])
    with pytest.raises(SettingsError):
        load_settings(path)
    with pytest.raises(SettingsError):
        read_space_file(path)
    with pytest.raises(ValueError):
        load_yaml(BAD_YAML[name])
    folder = tmp_path / "yolo"
    folder.mkdir()
    (folder / "data.yaml").write_text("kpt_shape: [2, 3]\ntrain: images\n" + BAD_YAML[name])
    with pytest.raises(DataError):
        read(folder, "yolo")


def test_yaml_that_does_not_is_read_as_ever():
    for text in ("a: &x [1, 2]\nb: *x\n", "a: {<<: {b: 1}, c: 2001-01-01}", "", "[1, .inf, 0x1F]"):
        assert load_yaml(text) == yaml.safe_load(text)


def test_a_settings_file_is_limited(tmp_path, monkeypatch):
    monkeypatch.setenv("HEATKP_MAX_SETTINGS_BYTES", "20")
    path = tmp_path / "a.yaml"
    path.write_text("seed: 1\n" + "#" * 20)
    with pytest.raises(SettingsError, match="HEATKP_MAX_SETTINGS_BYTES"):
        load_settings(path)


@pytest.mark.parametrize("format", ["coco", "labelme", "via", "label_studio", "animalpose"])
@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, '{"annotations": [1%s]}'],
                         ids=["lists", "objects", "digits"])  # fmt: skip
def test_json_that_is_deep_or_long(tmp_path, format, text):
    path = tmp_path / "a.json"
    path.write_text(text.replace("%s", "0" * 5000))
    with pytest.raises(DataError):
        read(path, format)


def entities() -> str:
    """A billion laughs."""
    lines = [f'<!ENTITY a{i} "{f"&a{i - 1};" * 10}">' for i in range(1, 10)]
    head = f'<?xml version="1.0"?><!DOCTYPE dataset [<!ENTITY a0 "ha">{"".join(lines)}]>'
    return head + "<dataset><images><image file='a.png'>&a9;</image></images></dataset>"


EXTERNAL = (
    '<!DOCTYPE annotations [<!ENTITY x SYSTEM "file:///etc/passwd">]><annotations>&x;</annotations>'
)


@pytest.mark.parametrize("format", ["imglab", "cvat"])
@pytest.mark.parametrize("text", [entities(), EXTERNAL], ids=["entities", "external"])
def test_xml_with_entities(tmp_path, format, text):
    path = tmp_path / "a.xml"
    path.write_text(text)
    with pytest.raises(DataError, match="document type"):
        read(path, format)


@pytest.mark.parametrize("name", ["a.xml", "a.json", "a.csv", "a.pts", "a.tps"])
def test_a_label_file_is_limited(tmp_path, monkeypatch, name):
    monkeypatch.setenv("HEATKP_MAX_LABEL_BYTES", "100")
    path = tmp_path / name
    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    path.write_text("image,nose_x,nose_y\n" + "#" * 200)
    formats = {"xml": "imglab", "json": "coco", "csv": "csv", "pts": "pts", "tps": "tps"}
    with pytest.raises(DataError, match="HEATKP_MAX_LABEL_BYTES"):
        read(path, formats[name[2:]])


def test_rows_of_hdf5_that_are_the_same_bytes(tmp_path):
    """A file of 40 kB whose million rows point to one text of 20 kB: 20 GB."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind = h5py.string_dtype()
        data = file.create_dataset("texts", (1_000_000,), kind, chunks=(1000,), compression="gzip")
        data[:1] = ["x" * 20_000]
    content = path.read_bytes()
    with open_hdf5(path) as file:
        assert len(file["texts"]) == 1_000_000
        with pytest.raises(ValueError, match="shape"):
            read_array(file["texts"])
    small = tmp_path / "b.h5"
    with h5py.File(small, "w") as file:
        file.create_dataset("texts", data=[f"text {i}" for i in range(300)], dtype=kind)
        file.create_dataset("none", (0,), kind)
    with open_hdf5(small) as file:
        assert [t.decode() for t in read_array(file["texts"])] == [f"text {i}" for i in range(300)]
        assert len(read_array(file["none"])) == 0
    assert len(content) < 100_000


def _lengthened(path, place):
    """The length of the text "abcdefg", whose element lies at that place, becomes 2^28."""
    with path.open("r+b") as raw:
        raw.seek(place)
        assert raw.read(4) == b"\7\0\0\0"
        raw.seek(place)
        raw.write(b"\0\0\0\x10")


@pytest.mark.parametrize("chunks", [None, 1, 2, 3])
def test_a_row_of_hdf5_that_is_longer_than_its_file(tmp_path, chunks):
    """Found by benchmarks/fuzz.py: HDF5 takes the memory that a damaged length names."""
    path = tmp_path / "a.h5"
    options = {} if chunks is None else {"chunks": (chunks,), "maxshape": (None,)}
    with h5py.File(path, "w") as file:
        kind = h5py.string_dtype()
        data = file.create_dataset("texts", data=["abc", "abcdefg"], dtype=kind, **options)
        file.create_dataset("none", (5,), kind, **options)
        file.flush()
        if chunks is None:
            place = data.id.get_offset() + 16
        else:
            at = (1 // chunks * chunks,)
            place = data.id.get_chunk_info_by_coord(at).byte_offset + 16 * (1 - at[0])
    with open_hdf5(path) as file:
        assert [t.decode() for t in read_array(file["texts"])] == ["abc", "abcdefg"]
        assert read_array(file["texts"], 1) == b"abcdefg" and len(read_array(file["none"])) == 5
        assert read_array(file["none"], 3) == b""
    _lengthened(path, place)
    with open_hdf5(path) as file, pytest.raises(TooLarge, match="texts"):
        read_array(file["texts"])
    with open_hdf5(path) as file, pytest.raises(TooLarge, match="texts"):
        read_array(file["texts"], 1)


def test_a_row_of_packed_hdf5_that_is_longer_than_its_file(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        kind, packed = h5py.string_dtype(), {"chunks": (2,), "compression": "gzip"}
        data = file.create_dataset("texts", data=["abc", "abcdefg"], dtype=kind, **packed)
        file.flush()
        info = data.id.get_chunk_info(0)
        _, stored = data.id.read_direct_chunk((0,))
        rows = bytearray(zlib.decompress(stored))
        assert rows[16:20] == b"\7\0\0\0"
        rows[16:20] = b"\0\0\0\x10"
        data.id.write_direct_chunk((0,), zlib.compress(bytes(rows)), info.filter_mask)
    for index in ((), 0):  # all rows of a chunk are looked at
        with open_hdf5(path) as file, pytest.raises(TooLarge, match="texts"):
            read_array(file["texts"], index)


def test_rows_of_hdf5_are_counted_while_they_are_read(tmp_path, monkeypatch):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("texts", data=["x" * 1000] * 400, dtype=h5py.string_dtype())
    monkeypatch.setenv("HEATKP_MAX_LABEL_BYTES", "100K")
    with open_hdf5(path) as file, pytest.raises(TooLarge, match="texts"):
        read_array(file["texts"])


def test_a_mat_file_that_unpacks_to_much(tmp_path, monkeypatch):
    path = tmp_path / "a.mat"
    savemat(path, {"joints": np.zeros(40_000_000, np.uint8)}, do_compression=True)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("HEATKP_MAX_LABEL_BYTES", "30M")
    with pytest.raises(DataError, match="HEATKP_MAX_LABEL_BYTES"):
        load_mat(path, "joints")


def test_a_packed_tar_that_unpacks_to_much(tmp_path, monkeypatch):
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as tar:
        info = tarfile.TarInfo("a.png")
        info.size = 20_000_000
        tar.addfile(info, io.BytesIO(bytes(info.size)))
    path = tmp_path / "a.tar.gz"
    path.write_bytes(gzip.compress(content.getvalue()))
    monkeypatch.setenv("HEATKP_MAX_IMAGE_BYTES", "1M")
    found = list(read_images(find_sources([str(path)]).sources))
    assert "HEATKP_MAX_IMAGE_BYTES" in found[0].reason


def safetensors_bytes(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


@pytest.mark.parametrize("content", [
    safetensors_bytes(b"{}", 2**60), safetensors_bytes(b"{}", 2**64 - 1),
    safetensors_bytes(b'{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4]}}'),
    safetensors_bytes(b'{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,1152921504606846976]}}'),
    safetensors_bytes(b"[" * 5000), safetensors_bytes(b'{"__metadata__":{"heatkp":"[]"}}'),
    safetensors_bytes(b'{"__metadata__":{"heatkp":"' + b"[" * 50_000 + b'"}}'), b"",
])  # fmt: skip
def test_weights_with_impossible_headers(tmp_path, content):
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError):
        runs.load_run(path)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_no_checkpoint_runs_code(tmp_path):
    mark, path = tmp_path / "mark", tmp_path / "a.ckpt"
    for save in (torch.save, lambda value, target: target.write_bytes(pickle.dumps(value))):
        save({"heatkp": Touch(mark), "state_dict": {}}, path)
        with pytest.raises(CheckpointError):
            runs.load_run(path)
        assert not mark.exists()


def test_a_checkpoint_that_unpacks_to_much(tmp_path, monkeypatch):
    path = tmp_path / "a.ckpt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("archive/data.pkl", b"\0" * 20_000_000)
    assert path.stat().st_size < 100_000
    monkeypatch.setenv("HEATKP_MAX_WEIGHTS_BYTES", "10M")
    with pytest.raises(CheckpointError, match="HEATKP_MAX_WEIGHTS_BYTES"):
        runs.read_weights(path)


def described(change) -> dict[str, str]:
    """The description of `face68`, changed."""
    _, description = runs.read_weights(runs.PACKAGED / "face68.safetensors")
    change(description)
    return {"heatkp": json.dumps(description)}


def _wide(description):
    description["settings"]["model"]["options"] = {"decoder_channels": [60_000] * 5}


def _many_points(description):
    names = [f"p{i}" for i in range(200_000)]
    description["skeleton"] |= {"point_names": names, "pairs": [], "lines": [], "normalisers": {}}


@pytest.mark.parametrize("change", [_wide, _many_points])
def test_a_file_does_not_describe_a_network_that_no_memory_holds(tmp_path, change):
    path = tmp_path / "a.safetensors"
    save_file({"a": torch.zeros(1)}, path, described(change))
    with pytest.raises((CheckpointError, SettingsError)):
        runs.load_run(path)


def test_programs_of_others_are_not_opened(tmp_path, monkeypatch):
    """`.pt2` archives hold pickles and Python."""

    class Twice(torch.nn.Module):
        def forward(self, x):
            return (2 * x,)

    path = tmp_path / "model.pt2"
    torch.export.save(torch.export.export(Twice(), (torch.ones(2),)), str(path))
    with pytest.raises(CheckpointError, match="HEATKP_TRUST_PROGRAMS"):
        TorchExportBackend(path)
    monkeypatch.setenv("HEATKP_TRUST_PROGRAMS", "1")
    assert TorchExportBackend(path).infer(np.ones(2, np.float32))[0].tolist() == [2, 2]
    monkeypatch.delenv("HEATKP_TRUST_PROGRAMS")
    trust(path)
    TorchExportBackend(path)
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(HeatkpError):
        TorchExportBackend(path)
