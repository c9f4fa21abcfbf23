"""Braces and lists of paths."""

from __future__ import annotations

import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.data.braces import expand_braces, has_braces
from heatkp.errors import DataError, SettingsError
from heatkp.inference.arguments import PathList, common_folder
from heatkp.inference.sources import find_sources
from tests.conftest import write_image


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a-{000..002}.tar", ["a-000.tar", "a-001.tar", "a-002.tar"]),
        ("a-{9..11}", ["a-9", "a-10", "a-11"]),
        ("a-{2..0}", ["a-2", "a-1", "a-0"]),
        ("a-{08..10}", ["a-08", "a-09", "a-10"]),
        ("{a,b}/{0..1}", ["a/0", "a/1", "b/0", "b/1"]),
        ("{a}", ["{a}"]),
        ("a{..}b{,", ["a{..}b{,"]),
        ("plain", ["plain"]),
    ],
)
def test_braces(text, expected):
    assert expand_braces(text) == expected
    assert has_braces(text) == (expected != [text])


@given(st.integers(0, 10**6), st.integers(0, 300), st.integers(0, 8))
def test_a_range_has_all_its_numbers(first, more, zeros):
    begin, end = "0" * zeros + str(first), str(first + more)
    found = expand_braces(f"x{{{begin}..{end}}}y")
    assert [int(one[1:-1]) for one in found] == list(range(first, first + more + 1))
    if zeros:
        assert {len(one) for one in found} == {2 + max(len(begin), len(end))}


@given(st.text("{},.0123456789a", max_size=40))
def test_any_text_is_expanded_or_refused(text):
    try:
        assert expand_braces(text)
    except SettingsError as error:
        assert "--list" in str(error)


def test_too_many_are_refused():
    for text in ("{0..9999999}", "{0..1" + "0" * 5000 + "}", "{0..999}{0..999}{0..999}"):
        with pytest.raises(SettingsError, match="--list"):
            expand_braces(text)


def test_files_of_a_pattern_with_braces(tmp_path):
    for name in ("a/x-0.png", "a/x-1.png", "b/x-0.png"):
        write_image(tmp_path / name)
    write_image(tmp_path / "{0..1}.png")
    found = find_sources([str(tmp_path / "{a,b}" / "x-{0..1}.png")])
    assert [s.name for s in found.sources] == ["a/x-0.png", "a/x-1.png", "b/x-0.png"]
    assert [os.path.relpath(f.name, tmp_path) for f in found.failures] == ["b/x-1.png"]
    # A file that is there is meant itself.
    assert [s.name for s in find_sources([str(tmp_path / "{0..1}.png")]).sources] == ["{0..1}.png"]


def test_a_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a/1.png", "b/2.png", "b/é #1.png"):
        write_image(tmp_path / name)
    (tmp_path / "list").write_bytes("a/1.png\r\n\nb/é #1.png\nb/none.png\na/1.png".encode())
    with PathList("list") as paths:
        found = find_sources([], paths)
        assert [s.name for s in found.sources] == ["a/1.png", "b/é #1.png"]
        assert [f.name for f in found.failures] == [str(tmp_path / "b" / "none.png")]
        assert list(paths) == list(paths)


def test_a_list_from_standard_input(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"a\n/b/caf\xe9.jpg\n")))
    with PathList("-") as paths:
        expected = [os.path.abspath("a"), os.fsdecode(b"/b/caf\xe9.jpg")]
        assert list(paths) == expected and list(paths) == expected


def test_lists_that_are_none(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        PathList(tmp_path / "none")
    write_image(tmp_path / "a.png")
    with PathList(tmp_path / "a.png") as paths, pytest.raises(DataError, match="one a line"):
        list(paths)


def test_common_folder():
    assert common_folder([]) is None
    assert common_folder(["/a/b"]) == "/a/b"
    assert common_folder(["/a/b", "/a/b/c", "/a/bc"]) == "/a"
