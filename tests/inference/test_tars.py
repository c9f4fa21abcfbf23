"""Images in tar files."""

from __future__ import annotations

import gzip
import io
import tarfile

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heatkp.errors import DataError
from heatkp.inference import tars
from heatkp.inference.sources import Failure, find_sources, images_of, read_images
from tests.conftest import scratch
from tests.inference.test_sources import turned


def png(level=0, size=(8, 6)):
    image = np.full((size[1], size[0], 3), level, np.uint8)
    return cv2.imencode(".png", image)[1].tobytes()


def tar_bytes(entries, mode="w", format=tarfile.GNU_FORMAT):
    """A tar of (name, bytes), or of `TarInfo`s."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=format) as tar:
        for entry in entries:
            if isinstance(entry, tarfile.TarInfo):
                tar.addfile(entry)
                continue
            info = tarfile.TarInfo(entry[0])
            info.size = len(entry[1])
            tar.addfile(info, io.BytesIO(entry[1]))
    return file.getvalue()


def looked_at(path, **options):
    """Names with brightness, or why not, of what a tar gives."""
    (source,) = find_sources([str(path)]).sources
    return [
        (item.name, item.reason if isinstance(item, Failure) else int(item.image[0, 0, 0]))
        for item in images_of(source, **options)
    ]


ENTRIES = [(f"{i:04d}.{kind}", content) for i in range(4)
           for kind, content in (("png", png(10 * i)), ("json", b"{}"), ("cls", b"3"))]  # fmt: skip
EXPECTED = [(f"data.tar/{i:04d}.png", 10 * i) for i in range(4)]


@pytest.mark.parametrize("format", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz", "w:xz"])
def test_members_that_are_images(tmp_path, mode, format):
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes(ENTRIES, mode, format))
    assert looked_at(path) == EXPECTED
    assert looked_at(path, start=3) == EXPECTED[3:]
    assert looked_at(path, every=2) == EXPECTED  # `every` is of videos


def test_what_is_in_a_member(tmp_path):
    turned(tmp_path / "t.jpg")
    path = tmp_path / "a" / "x.tar"
    path.parent.mkdir()
    long = "d/" * 80 + "n.png"
    content = (tmp_path / "t.jpg").read_bytes()
    path.write_bytes(tar_bytes([("./s/t.jpg", content), (long, png(7)), ("/abs.png", png(8))]))
    first, second, third = read_images(find_sources([str(path.parent)]).sources)
    assert (first.name, first.member, first.file) == ("x.tar/s/t.jpg", "s/t.jpg", path)
    assert first.image.shape == (40, 20, 3) and first.orientation == 6 and first.is_contained
    assert (second.member, third.member) == (long, "abs.png")


def test_folders_hold_tars(tmp_path):
    for name in ("a.tar", "b.tar.gz", "c.tgz", "d.gz"):
        (tmp_path / name).write_bytes(tar_bytes(ENTRIES))
    found = find_sources([str(tmp_path)])
    assert [s.name for s in found.sources] == ["a.tar", "b.tar.gz", "c.tgz"]
    assert all(s.is_tar for s in found.sources) and list(found.passed_over) == [".gz"]


def test_a_broken_member_is_named_and_the_next_follow(tmp_path):
    path = tmp_path / "data.tar"
    link = tarfile.TarInfo("link.png")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    path.write_bytes(
        tar_bytes([
            ("0.png", png()[:-30]), ("1.png", png(10)), ("../../up.png", png()), link,
            ("1.png", png(99)), ("2.heic", b"x"), ("._3.png", b"x"), ("4.png", b""),
            ("5.png", png(50)),
        ])
    )  # fmt: skip
    found = looked_at(path)
    assert [name for name, what in found if isinstance(what, int)] == [
        "data.tar/1.png",
        "data.tar/5.png",
    ]
    failed = {name: what for name, what in found if isinstance(what, str)}
    assert list(failed) == ["data.tar/0.png", "data.tar/__/__/up.png", "data.tar/1.png",
                            "data.tar/2.heic", "data.tar/4.png"]  # fmt: skip
    assert "leads out" in failed["data.tar/__/__/up.png"] and "twice" in failed["data.tar/1.png"]
    # Those that were done include the broken ones.
    assert looked_at(path, start=4) == found[4:] and looked_at(path, start=7) == []


def test_a_member_that_is_too_large_is_not_read(tmp_path, monkeypatch):
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes([("a.png", b"\0" * 5000), ("b.png", png(20))]))
    monkeypatch.setenv("HEATKP_MAX_IMAGE_BYTES", "4000")
    (_, reason), last = looked_at(path)
    assert "HEATKP_MAX_IMAGE_BYTES" in reason and last == ("data.tar/b.png", 20)


def test_a_long_name_that_is_too_long_is_not_read(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.GNUTYPE_LONGNAME, 2**33
    path = tmp_path / "data.tar"
    path.write_bytes(
        tar_bytes([("a.png", png(20))])[:1024] + info.tobuf(tarfile.GNU_FORMAT) + b"\0" * 4096
    )
    first, (name, reason) = looked_at(path)
    assert first == ("data.tar/a.png", 20)
    assert name == "data.tar" and f"a header of {2**33} bytes" in reason


@pytest.mark.parametrize("end", [400, 512, 540, 1024, 1500, 3072, 3100, 3584, 3600, 4096])
def test_a_tar_that_ends_early_is_used_as_far_as_it_goes(tmp_path, end):
    path = tmp_path / "data.tar"
    path.write_bytes(tar_bytes(ENTRIES)[:end])  # a KiB for each entry, of which three are a sample
    *good, (name, reason) = looked_at(path)
    assert name == "data.tar" and good == EXPECTED[: (end >= 1024) + (end >= 4096)]
    assert ("cut off or damaged after" in reason) == bool(good)
    assert bool(good) or "not a tar file with images" in reason


def test_damage_between_members_is_no_end(tmp_path):
    content = bytearray(tar_bytes(ENTRIES))
    content[3 * 1024 + 10] ^= 0xFF  # in the header of the fourth entry
    path = tmp_path / "data.tar"
    path.write_bytes(content)
    *good, (name, reason) = looked_at(path)
    assert good == EXPECTED[:1] and name == "data.tar" and "bad checksum" in reason


def test_a_compressed_tar_that_ends_early(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (6, 60, 60, 3), np.uint8)
    entries = [(f"{i}.png", cv2.imencode(".png", one)[1].tobytes()) for i, one in enumerate(noise)]
    content = tar_bytes(entries)
    path = tmp_path / "data.tar.gz"
    path.write_bytes(gzip.compress(content)[:40000])
    *good, (name, reason) = looked_at(path)
    assert 0 < len(good) < 6 and name == "data.tar.gz" and "cut off or damaged" in reason


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a tar file"),
        (b"no tar at all" * 100, "not a tar file"),
        (tar_bytes([]), "holds no image"),
        (tar_bytes([("a.txt", b"x")]), "holds no image"),
    ],
)
def test_what_is_no_tar_of_images(tmp_path, content, reason):
    path = tmp_path / "data.tar"
    path.write_bytes(content)
    ((name, why),) = looked_at(path)
    assert name == "data.tar" and reason in why


@settings(max_examples=60)
@given(st.data())
def test_any_damage_is_named_or_passed_over(tmp_path_factory, data):
    content = bytearray(tar_bytes(ENTRIES, data.draw(st.sampled_from(["w", "w:gz"]))))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)))
    path = scratch(tmp_path_factory) / "data.tar"
    path.write_bytes(content[:end])
    try:
        for member in tars.members(path, lambda name: name.endswith(".png")):
            assert member.content is not None or member.problem
    except DataError as error:
        assert str(error)
