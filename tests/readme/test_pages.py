"""Every block of every page is run, in its order, in a folder of its own."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from heatkp.bench.runtimes import Candidate
from tests.readme.documents import (
    PAGES,
    ROOT,
    STARTED,
    Kept,
    Reader,
    blocks,
    commands,
    few,
    film,
    messages,
    prepare,
    shortened,
    small_data,
)

FIRST = "docs/first_model.md"
RUN = ["README.md", *(page for page in PAGES if blocks(ROOT / page))]


@pytest.fixture(scope="session")
def kept(tmp_path_factory):
    """What several pages make alike."""
    return Kept(tmp_path_factory.mktemp("kept"))


@pytest.fixture(scope="session")
def started(tmp_path_factory, kept):
    """A folder as the page of the first model leaves it: drawn faces, and a run on them."""
    folder = tmp_path_factory.mktemp("started")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks(ROOT / FIRST)[:2]:
            for words in commands(block.text):
                kept.run(shortened(words[1:]))
    return folder


@pytest.fixture(scope="session")
def real(tmp_path_factory):
    """A few real images in the places that documents name, or None."""
    place = os.environ.get("HEATKP_DATA")
    return None if not place else small_data(Path(place), tmp_path_factory.mktemp("real"))


@pytest.mark.parametrize("page", RUN)
def test_page(page, started, kept, real, tmp_path, monkeypatch):
    monkeypatch.setattr("heatkp.bench.runtimes.CANDIDATES", (Candidate("torch"),))
    monkeypatch.setattr("heatkp.bench.runtimes.REPEATS", 2)
    # Images of labels take much of their time here; the first model has them.
    monkeypatch.setattr("heatkp.viz.contact.contact_sheet", lambda *_, **__: 1)
    if page == "docs/ray.md":
        pytest.importorskip("ray")
    if real is not None:
        monkeypatch.setenv("HEATKP_DATA", str(real))
        few(real / "ibug" / "labels_ibug_300W_test_parsed.xml", tmp_path / "labels.xml", 8, 68)
    if page != FIRST and STARTED in (ROOT / page).read_text(encoding="utf-8"):
        prepare(tmp_path, started)
    film(tmp_path, started)
    reader = Reader(page, kept, real is not None)
    reader.read()
    if reader.left_out:
        pytest.skip(f"HEATKP_DATA is not set: {reader.left_out} commands on real images not run")


def test_files_that_the_documents_name_exist():
    named = {
        name
        for page in (*PAGES, "README.md", "CONTRIBUTING.md")
        for name in re.findall(
            r"\b(?:configs|benchmarks|examples|tests)/[\w/]+\.\w+", (ROOT / page).read_text()
        )
    }
    assert len(named) > 20
    assert [name for name in sorted(named) if not (ROOT / name).exists()] == []


def test_messages_without_a_command_are_in_the_code():
    """In Troubleshooting: those that no command on the page brings about."""
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    told = re.findall(r"^`([^`\n]{40,})`$", text, re.MULTILINE)
    assert len(told) >= 3
    every = list(messages())
    for message in told:
        pieces = [piece.strip() for piece in message.split("...") if piece.strip()]
        assert any(all(piece in whole for piece in pieces) for whole in every), message


def test_troubleshooting_has_a_command_or_message_under_each_heading():
    text = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    parts = re.split(r"^### ", text, flags=re.MULTILINE)[1:]
    assert len(parts) >= 20
    assert all("```console" in part or re.search(r"^`", part, re.MULTILINE) for part in parts)
