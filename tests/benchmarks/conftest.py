from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="session")
def script(root: Path) -> Iterator[Callable[[str], ModuleType]]:
    """Imports a benchmark; they import each other as scripts of one folder do."""
    sys.path.insert(0, str(root / "benchmarks"))
    try:
        yield import_module
    finally:
        sys.path.remove(str(root / "benchmarks"))
