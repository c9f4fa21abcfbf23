"""Which inputs belong to which shard."""

from __future__ import annotations

import os
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heatkp.errors import DataError, SettingsError
from heatkp.inference.sharding import Shard, list_inputs
from heatkp.inference.sharding.shard import Names, digest_of
from heatkp.inference.sources import find_sources
from tests.conftest import write_image


@pytest.mark.parametrize(
    "text",
    ["0/3", "4/3", "a/b", "", "1", "1/", "/3", "1/0", "0/0", "-1/3", "1/3/5", "1.5/3", " 1/3",
     "1/3\n", "1/9999999", "١/٣", "1/" + "9" * 5000],
)  # fmt: skip
def test_shards_that_are_none(text):
    with pytest.raises(SettingsError, match="such as 3/10"):
        Shard.parse(text)


@given(st.integers(1, 10**6), st.integers(1, 10**6))
def test_shards(number, count):
    text = f"{number}/{count}"
    if number > count:
        with pytest.raises(SettingsError):
            Shard.parse(text)
        return
    shard = Shard.parse(text)
    assert (shard.number, shard.count, str(shard)) == (number, count, text)


def test_folders_sort_as_numbers_do():
    for count in (3, 12345):
        folders = [Shard(i, count).folder for i in range(1, count + 1)]
        assert sorted(folders) == folders and len(set(folders)) == count


def test_the_hash_is_stable():
    """Another version, or another machine, must send an input to the same shard."""
    assert digest_of("a/é.jpg") == int.from_bytes(
        blake2b("a/é.jpg".encode(), digest_size=16).digest(), "big"
    )
    assert [digest_of(f"{i}.jpg") % 4 + 1 for i in range(8)] == [3, 2, 1, 1, 2, 1, 1, 2]


@given(st.lists(st.text(max_size=5), max_size=20), st.integers(1, 7), st.randoms())
def test_each_name_is_of_one_shard_and_order_does_not_count(names, count, random):
    digests = list(map(digest_of, names))
    for digest in digests:
        assert sum(Shard(i, count).holds(digest) for i in range(1, count + 1)) == 1
    one, two = Names(), Names()
    for digest in digests:
        one.add(digest)
    random.shuffle(digests)
    for digest in digests:
        two.add(digest)
    assert (one.count, one.digest) == (two.count, two.digest)


@pytest.fixture
def tree(tmp_path):
    for i in range(12):
        write_image(tmp_path / "data" / "ab"[i % 2] / "deep" / f"{i}.png")
    write_image(tmp_path / "data" / "a" / ".hidden.png")
    write_image(tmp_path / "other" / "x.JPG")
    (tmp_path / "data" / "a" / "notes.txt").write_text("")
    (tmp_path / "data" / "a" / "odd.xyz").write_text("")
    made = tmp_path / "data" / "predictions"
    write_image(made / "images" / "0.png")
    (made / "summary.json").write_text('{"made_by": "heatkp predict"}')
    return tmp_path


def of_all(arguments, count, listed=None):
    """The names of all shards, and what each was told of all."""
    found = [list_inputs(arguments, Shard(i, count), listed) for i in range(1, count + 1)]
    assert len({(one.total.count, one.total.digest, one.base) for one in found}) == 1
    names = [name for one in found for name in one.names]
    for one in found:
        assert one.names == sorted(one.names)
        assert all(one.shard.holds(digest_of(name)) for name in one.names)
    assert len(names) == len(set(names)) == found[0].total.count
    check = Names()
    for name in names:
        check.add(digest_of(name))
    assert check.digest == found[0].total.digest
    return sorted(names), found


@pytest.mark.parametrize("count", [1, 3, 20])
def test_shards_find_together_what_one_process_does(tree, count):
    for argument in ("data", "data/**/*.png", "data/{a,b}/deep/*"):
        argument = str(tree / argument)
        names, found = of_all([argument], count)
        expected = find_sources([argument])
        assert names == sorted(source.name for source in expected.sources) and names
        assert found[0].left_out == expected.left_out
        assert found[0].passed_over == expected.passed_over
        assert found[0].source(names[0]).path.is_file()


def test_a_link_that_leads_up(tree):
    (tree / "data" / "a" / "loop").symlink_to(tree / "data")
    names, _ = of_all([str(tree / "data")], 2)
    assert names == sorted(s.name for s in find_sources([str(tree / "data")]).sources)
    assert len(names) == 12


def test_names_do_not_depend_on_the_shard(tree):
    arguments = [str(tree / "data" / "a"), str(tree / "other" / "x.JPG"), str(tree / "data")]
    names, _ = of_all(arguments, 4)
    assert names == sorted(
        [f"data/{'ab'[i % 2]}/deep/{i}.png" for i in range(12)] + ["other/x.JPG"]
    )  # the first is in the third, too: each is taken once


def test_a_list_is_not_looked_at(tree, monkeypatch):
    monkeypatch.chdir(tree)
    lines = ["data/a/deep/0.png", "data/b/none.png", "data/a/deep/0.png", "data/./b/deep/1.png"]
    (tree / "list").write_text("\n".join(lines))
    names, _ = of_all([], 3, "list")
    assert names == ["a/deep/0.png", "b/deep/1.png", "b/none.png"]
    names, found = of_all(["other"], 3, "list")
    assert names == ["data/a/deep/0.png", "data/b/deep/1.png", "data/b/none.png", "other/x.JPG"]
    assert found[0].base == tree


def test_names_that_are_no_text(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.png"
    write_image(tmp_path / "a.png")
    os.rename(tmp_path / "a.png", raw)
    found = list_inputs([str(tmp_path)], Shard(1, 1))
    assert found.names == ["caf\\xe9.png"]
    assert os.fsencode(found.source(found.names[0]).path) == raw


def test_all_paths_where_they_are_asked_for(tree):
    for i in (1, 2, 3):
        found = list_inputs([str(tree / "data")], Shard(i, 3), keep_paths=True)
        assert len(found.paths) == 12 == found.total.count > len(found.names)


def test_arguments_that_mean_nothing(tree, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "list").write_text("\n\n")
    for arguments, listed in [
        (["none"], None), (["data", "none.png"], None), (["empty"], None), (["*.gif"], None),
        (["data/{a,c}"], None), ([], str(tmp_path / "list")),
    ]:  # fmt: skip
        with pytest.raises(DataError):
            list_inputs([str(tree / name) for name in arguments], Shard(1, 2), listed)
