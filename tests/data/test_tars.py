"""Tar files: where their members lie, and images that are read at their places."""

from __future__ import annotations

import io
import pickle
import tarfile
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from heatkp.data import tars
from heatkp.data.images import ImageOptions, read_image
from heatkp.data.tar_index import tar_members
from heatkp.data.tars import TarImage
from heatkp.errors import DataError
from tests.conftest import scratch
from tests.data.image_files import KINDS

FORMATS = {"ustar": tarfile.USTAR_FORMAT, "gnu": tarfile.GNU_FORMAT, "pax": tarfile.PAX_FORMAT}
NAMES = st.text(
    st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=300
).filter(lambda name: not name.endswith("/"))


def packed(path, members, form="pax", mode="w", **more):
    """A tar of (name, content); a content that is a `TarInfo` is written as it is."""
    with tarfile.open(path, mode, format=FORMATS[form]) as tar:
        for name, content in members:
            entry = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                entry.size = len(content)
                for key, value in more.items():
                    setattr(entry, key, value)
                tar.addfile(entry, io.BytesIO(content))
            else:
                tar.addfile(content)
    return path


def found(path):
    content = path.read_bytes()
    return [(m.name, content[m.offset : m.offset + m.size]) for m in tar_members(path)]


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_members_are_found_where_tarfile_put_them(tmp_path_factory, form):
    folder = scratch(tmp_path_factory)

    @given(st.lists(st.tuples(NAMES, st.binary(max_size=1500)), max_size=5), st.booleans())
    def check(members, timed):
        more = {"mtime": 1234.5} if timed else {}  # webdataset's own writer gives parts of seconds
        path = packed(folder / "a.tar", members, form, **more)
        with tarfile.open(path) as tar:
            told = [(m.name, m.offset_data, m.size) for m in tar]
        assert [tuple(m) for m in tar_members(path)] == told
        assert found(path) == members

    check()


def test_names_that_are_split_climb_or_are_no_utf8(tmp_path):
    long = "a" * 90 + "/" + "b" * 90
    path = packed(tmp_path / "u.tar", [(long, b"1"), ("../up.png", b"2"), ("/abs", b"3")], "ustar")
    assert found(path) == [(long, b"1"), ("../up.png", b"2"), ("/abs", b"3")]
    raw = "caf\udce9.png"
    assert found(packed(tmp_path / "g.tar", [(raw, b"4")], "gnu")) == [(raw, b"4")]
    assert {p.name for p in tmp_path.iterdir()} == {"u.tar", "g.tar"}


def link(name, kind, target=""):
    entry = tarfile.TarInfo(name)
    entry.type, entry.linkname = kind, target
    return name, entry


def test_links_and_folders(tmp_path):
    others = [link("d", tarfile.DIRTYPE), link("s", tarfile.SYMTYPE, "a"), link("f", b"6")]
    members = [("a", b"content"), *others, link("h", tarfile.LNKTYPE, "a"), ("b", b"more")]
    path = packed(tmp_path / "a.tar", members)
    assert found(path) == [("a", b"content"), ("h", b"content"), ("b", b"more")]
    with pytest.raises(DataError, match="h is a link to a file that is not before it"):
        found(packed(tmp_path / "b.tar", [link("h", tarfile.LNKTYPE, "a")]))


def test_every_cut_is_told(tmp_path):
    whole = packed(tmp_path / "whole.tar", [("a.png", b"x" * 700), ("b.json", b"{}")])
    content = whole.read_bytes()
    cut = tmp_path / "cut.tar"
    end = 512 + 1024 + 512 + 512  # both members; the empty blocks at the end come after
    for size in [0, 1, 511, 512, 513, 1000, 1535, 1536, 1600, 2048, 2049, end - 1, end]:
        cut.write_bytes(content[:size])
        with pytest.raises(DataError, match=r"cut\.tar cannot be read") as caught:
            found(cut)
        last = "b.json" if size >= 2048 + 2 else "a.png" if size >= 512 + 700 else None
        assert last is None or f"after {last}: " in str(caught.value)
        assert last is not None or "after" not in str(caught.value)
    cut.write_bytes(content[: end + 512])
    assert [name for name, _ in found(cut)] == ["a.png", "b.json"]


def test_damage_is_told_with_its_place(tmp_path):
    path = packed(tmp_path / "a.tar", [("a.png", b"x" * 700), ("b.json", b"{}")])
    content = bytearray(path.read_bytes())
    content[1536 + 3] ^= 1  # of the second name
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"after a\.png: there is no header at byte 1536"):
        found(path)
    joined = tmp_path / "joined.tar"
    one = packed(tmp_path / "one.tar", [("a", b"1")]).read_bytes()
    joined.write_bytes(one + one)
    with pytest.raises(DataError, match="after a: it goes on after its end"):
        found(joined)
    (tmp_path / "text.tar").write_text("no tar" * 200)
    with pytest.raises(DataError, match="no header at byte 0"):
        found(tmp_path / "text.tar")
    with pytest.raises(DataError, match="gone"):
        list(tar_members(tmp_path / "gone.tar"))
    noise = np.random.default_rng(0).bytes(9999)
    for mode, word in (("w:gz", "gzip"), ("w:bz2", "bzip2"), ("w:xz", "xz")):
        with pytest.raises(DataError, match=f"compressed.*{word}"):
            found(packed(tmp_path / "c.tar", [("a", noise)], mode=mode))


@given(st.data())
def test_whatever_bytes_change_nothing_but_data_errors_come(tmp_path_factory, data):
    folder = scratch(tmp_path_factory)
    path = packed(folder / "a.tar", [("é" * 80, b"1" * 600), ("b", b"2")], "pax")
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) // 3))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    try:
        members = list(tar_members(path))
    except DataError as error:
        assert str(path) in str(error)
    else:
        assert all(m.offset >= 0 and m.offset + m.size <= len(content) for m in members)


def image_in(folder, path, options=None):
    tar = packed(folder / "images.tar", [("x.txt", b"before"), (path.name, path.read_bytes())])
    (member,) = [m for m in tar_members(tar) if m.name == path.name]
    tars.forget(tar)
    return TarImage(tar, options or ImageOptions(), *member)


@pytest.mark.parametrize("name", KINDS)
def test_an_image_is_read_as_from_its_file(tmp_path, name):
    path = KINDS[name](tmp_path).path
    for intensity in ("range", "percentile", 12):
        image = image_in(tmp_path, path, ImageOptions(intensity=intensity))
        assert np.array_equal(image(), read_image(path, intensity=intensity))
    assert image.content() == path.read_bytes()


@pytest.mark.parametrize("code", range(1, 9))
def test_an_image_is_turned_as_from_its_file(tmp_path, code):
    exif = Image.Exif()
    exif[0x0112] = code
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.jpg", exif=exif)
    for orient in (False, True):
        image = image_in(tmp_path, tmp_path / "a.jpg", ImageOptions(orient))
        assert np.array_equal(image(), read_image(tmp_path / "a.jpg", orient))
        other = image.read_with(ImageOptions(not orient))
        assert np.array_equal(other(), read_image(tmp_path / "a.jpg", not orient))


def test_what_is_no_image_or_not_there_any_more(tmp_path):
    tar = packed(tmp_path / "a.tar", [("a.png", b"no image"), ("b.png", b"x" * 3000)])
    first, second = (TarImage(tar, ImageOptions(), *m) for m in tar_members(tar))
    with pytest.raises(DataError, match=r"a\.png in the tar .*a\.tar is not an image"):
        first()
    with pytest.raises(DataError, match="holds no image of c"):
        TarImage(tar, ImageOptions(), "c")()
    tar.write_bytes(tar.read_bytes()[:2000])
    tars.forget(tar)
    with pytest.raises(DataError, match=r"a\.tar is cut off in b\.png"):
        second()
    tar.unlink()
    tars.forget(tar)
    with pytest.raises(DataError, match=r"a\.tar cannot be read"):
        second()
    assert (first.part, first.path) == ("a.png", tar)


def test_many_tars_and_threads_and_processes(tmp_path, monkeypatch):
    """Files that one thread puts aside stay open for another, and no more than so many do."""
    monkeypatch.setattr(tars, "MOST_OPEN", 2)
    monkeypatch.setattr(tars, "_files", tars.OrderedDict())
    images = []
    for i in range(6):
        tar = packed(tmp_path / f"{i}.tar", [("a.png", bytes([i]) * 5000)])
        images += [TarImage(tar, ImageOptions(), *m) for m in tar_members(tar)]
    images = pickle.loads(pickle.dumps(images))
    wrong = []

    def read(start):
        for k in range(300):
            i = (start + k) % 6
            if images[i].content() != bytes([i]) * 5000:
                wrong.append(i)

    threads = [threading.Thread(target=read, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(tars._files) <= 2
