"""Names of files as text: nothing is lost, nothing breaks a line, a table or a console."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from heatkp.files import utf8_path, write_text
from heatkp.text import (
    existing,
    is_text,
    json_text,
    name_to_text,
    one_line,
    printable,
    safe_streams,
    spellings,
    storable,
    text_to_name,
    without_codes,
)

posix = pytest.mark.skipif(os.name != "posix", reason="names are bytes only on POSIX systems")
PIECES = [
    b"\\",
    b"\\\\",
    b"x",
    b"e9",
    b"xe9",
    b"\\xe9",
    b"\xe9",
    "é".encode(),
    b"a",
    b"\xc3",
    b"\n",
]
"""Of which names are made that look much like each other's texts."""


def names():
    alike = st.lists(st.sampled_from(PIECES), max_size=6).map(b"".join)
    return st.one_of(alike, st.binary(max_size=12)).map(
        lambda raw: os.fsdecode(raw.replace(b"\0", b"").replace(b"/", b""))
    )


ANY_TEXT = st.text(st.characters(), max_size=20)
"""Lone surrogates included."""


@posix
@given(names())
@example("caf\udce9.jpg")
@example("caf\\xe9.jpg")
def test_names_come_back(name):
    text = name_to_text(name)
    assert text_to_name(text) == name and is_text(text)
    text.encode("utf-8")
    if is_text(name) and "\\" not in name:
        assert text == name


@posix
@given(names(), names())
@example("caf\udce9.jpg", "caf\\xe9.jpg")
@example("\udce9\\", "\udce9\\\\")
def test_other_names_are_other_texts(first, second):
    assert (name_to_text(first) == name_to_text(second)) == (first == second)


@given(ANY_TEXT)
def test_any_text_can_be_written(text):
    shown = printable(text)
    shown.encode("utf-8")
    assert printable(shown) == shown and is_text(text) == (shown == text)
    assert json.loads(json_text({text: [text, {"a": text}]})) == {shown: [shown, {"a": shown}]}


@given(ANY_TEXT)
def test_lines_stay_lines_and_show_no_codes(text):
    line = one_line(text)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(sign) in ("Cc", "Zl", "Zp") for sign in line)
    assert not set("\u202a\u202b\u202d\u202e\u2066\u2067\u2068") & set(line)
    assert without_codes(f"{text}\n{text}").count("\n") == 2 * text.count("\n") + 1


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\r\tc", r"a\nb\r\tc"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("é 😀 שלום", "é 😀 שלום"),
    ],
)
def test_what_lines_show(text, line):
    assert one_line(text) == line


@given(ANY_TEXT)
def test_settings_are_valid_text(text):
    stored = storable({"path": [text], "count": 3, "none": None})
    assert is_text(stored["path"][0]) and stored["count"] == 3 and stored["none"] is None
    if is_text(text):
        assert stored["path"][0] == text


@posix
@given(names().filter(lambda name: name not in ("", ".", "..")))
def test_a_written_name_is_the_first_that_is_tried(name):
    assert spellings(name_to_text(name))[0] == name


@posix
def test_paths_are_found_under_other_spellings(tmp_path):
    stored = tmp_path / os.fsdecode(b"caf\xe9")
    stored.mkdir()
    assert existing(str(tmp_path / "caf\\xe9")) == str(stored)
    assert existing(str(tmp_path / "café")) == str(stored)  # a code page's bytes
    literal = tmp_path / "caf\\xe9"
    literal.mkdir()
    assert existing(str(literal)) == str(literal)  # as it was typed
    assert existing(str(tmp_path / "none")) == str(tmp_path / "none")


@posix
@pytest.mark.parametrize(
    "parts", [(b"d\xe9", b"a.png"), (b"d", b"\xff.png"), (b"\xe9", b"\xe9.\xe9")]
)
def test_libraries_get_paths_in_utf8(tmp_path, parts):
    path = tmp_path.joinpath(*map(os.fsdecode, parts))
    path.parent.mkdir()
    path.write_bytes(b"content")
    with utf8_path(path) as name:
        assert is_text(name)
        with open(name, "rb") as file:
            assert file.read() == b"content"
    assert not os.path.lexists(name)


@posix
def test_files_to_write_below_such_folders(tmp_path):
    folder = tmp_path / os.fsdecode(b"d\xe9")
    folder.mkdir()
    with utf8_path(folder / "new.txt") as name, open(name, "w") as file:
        file.write("x")
    assert (folder / "new.txt").read_text() == "x"
    write_text(folder / "t.json", "caf\udce9 é")
    assert (folder / "t.json").read_text(encoding="utf-8") == "caf\\xe9 é"


@given(
    ANY_TEXT.filter(lambda text: "\r" not in text),
    st.sampled_from(["ascii", "cp1252", "cp437", "utf-8"]),
)
def test_streams_never_fail(text, encoding):
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        patch.setattr(sys, "stderr", io.StringIO())  # cannot be reconfigured
        safe_streams()
        print(text, end="")
        stream.flush()
    shown = stream.buffer.getvalue().decode(encoding)
    if text.isascii():
        assert shown == text


def test_what_streams_show():
    shown = "a…–× é \u65e5 \U0001f600 \udce9".encode("ascii", "heatkp.escaped")
    assert shown == rb"a...-x \u00e9 \u65e5 \U0001f600 \xe9"
