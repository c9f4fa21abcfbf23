"""The oldest versions that pyproject.toml allows, as constraints for pip.

    python benchmarks/lowest_versions.py > lowest.txt
    python3.10 -m venv old && . old/bin/activate
    pip install -c lowest.txt -e '.[test]'
    pytest

Each requirement of the package and of its extras is pinned to its lower bound, with torchvision as
it belongs to torch; what has no bound is left to pip. Needs Python 3.11.
"""

from __future__ import annotations

import re
from pathlib import Path

import tomllib
from packaging.requirements import Requirement

TORCHVISION = {"2.4": "0.19.0", "2.5": "0.20.0", "2.6": "0.21.0", "2.7": "0.22.0"}
"""Of each torch, the torchvision that was built with it."""


def lowest(project: dict[str, object]) -> dict[str, str]:
    """The lower bound of each requirement by name; of two bounds the higher one."""
    listed = list(project["dependencies"])  # type: ignore[call-overload]
    for extra in project["optional-dependencies"].values():  # type: ignore[attr-defined]
        listed += extra
    found: dict[str, str] = {}
    for line in listed:
        one = Requirement(line)
        for part in one.specifier:
            if part.operator == ">=":
                found[one.name] = max(found.get(one.name, "0"), part.version, key=_order)
    torch = ".".join(found["torch"].split(".")[:2])
    if torch in TORCHVISION:
        found["torchvision"] = TORCHVISION[torch]
    return found


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


if __name__ == "__main__":
    file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    bounds = lowest(tomllib.loads(file.read_text())["project"])
    print("\n".join(f"{name}=={version}" for name, version in sorted(bounds.items())))
