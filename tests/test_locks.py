"""Lock files: what workflows install is pinned with hashes, and is what pyproject.toml asks for."""

from __future__ import annotations

import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version


@pytest.fixture(scope="module")
def project():
    tomllib = pytest.importorskip("tomllib")
    from tests.readme.documents import ROOT

    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def pins(path):
    """(requirement, number of its hashes) of each entry of a lock file."""
    text = re.sub(r"^ *#.*\n", "", path.read_text(), flags=re.M)
    for entry in re.split(r"\n(?=\S)", text.strip()):
        line, *hashes = entry.split("\\\n")
        assert all(re.fullmatch(r"\s+--hash=sha256:[0-9a-f]{64}\s*", one) for one in hashes)
        yield Requirement(line.strip()), len(hashes)


@pytest.mark.parametrize("lock", ["test", "release"])
def test_a_lock_holds_what_the_project_asks_for(root, project, lock):
    found = list(pins(root / "requirements" / f"{lock}.txt"))
    assert all(count and str(pin.specifier).startswith("==") for pin, count in found)
    asked = project["dependency-groups"].get(lock) or [
        *project["project"]["dependencies"], *project["project"]["optional-dependencies"][lock]
    ]  # fmt: skip
    for python in ("3.10", "3.11", "3.12", "3.13", "3.14"):
        for system in ("linux", "darwin", "win32"):
            machine = {"python_version": python, "python_full_version": f"{python}.0",
                       "sys_platform": system}  # fmt: skip
            there = {
                canonicalize_name(pin.name): Version(str(pin.specifier)[2:])
                for pin, _ in found
                if pin.marker is None or pin.marker.evaluate(machine)
            }
            for one in map(Requirement, asked):
                version = there.get(canonicalize_name(one.name))
                assert version and one.specifier.contains(version), f"{one}: run requirements/lock"
