"""The README: short, and everything that it shows works."""

from __future__ import annotations

import re

import pytest

from tests.readme.documents import PAGES, ROOT, blocks, commands

TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
MOST_WORDS = 900


def test_it_is_read_in_a_few_minutes():
    assert len(TEXT.split()) <= MOST_WORDS


def test_its_two_commands_are_there():
    first, second, *_ = blocks(ROOT / "README.md")
    assert first.before.rstrip().endswith("<!-- first command -->")
    assert commands(first.text) == [["pip", "install", "."],
                                    ["heatkp", "train", "--head", "softargmax"]]  # fmt: skip
    assert second.before.rstrip().endswith("<!-- second command -->")
    assert commands(second.text) == [["pip", "install", ".[test]"], ["pytest"]]


def test_it_leads_to_every_page():
    """References are made for the site, and read there."""
    linked = {target for target in re.findall(r"\]\((docs/[^)#]+)", TEXT)}
    assert linked == {page for page in PAGES if not page.startswith("docs/reference/")}


@pytest.mark.parametrize("file", ["README.md", "CONTRIBUTING.md", *PAGES])
def test_links_within_the_repository_lead_somewhere(file):
    made = {"docs/reference/settings.md", "docs/reference/commands.md"}
    text = (ROOT / file).read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s#]+)", re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if not re.match(r"[a-z]+:", target):
            path = ((ROOT / file).parent / target).resolve()
            assert path.exists() or path.relative_to(ROOT).as_posix() in made, target


def test_extras_that_documents_name_exist():
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    for file in ("README.md", *PAGES):
        text = (ROOT / file).read_text(encoding="utf-8")
        for names in re.findall(r"pip install '(?:heatkp|\.)\[([\w,]+)\]'", text):
            assert set(names.split(",")) <= set(extras), file
