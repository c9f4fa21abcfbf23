"""Each test, doctests included, runs in an empty folder of its own, with a home of its own."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent


def _of_home(home: Path) -> dict[str, str]:
    """What names a user's folders."""
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "HEATKP_CACHE": str(home / ".cache" / "heatkp"),
    }


def pytest_configure(config: pytest.Config) -> None:
    # One for all tests and their processes: to list the fonts takes seconds.
    if "MPLCONFIGDIR" not in os.environ:
        fonts = tempfile.TemporaryDirectory(prefix="heatkp-matplotlib-")
        os.environ["MPLCONFIGDIR"] = fonts.name
        config.add_cleanup(fonts.cleanup)
    # Commands that tests start import this code, wherever they run.
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    os.environ["PYTHONPATH"] = os.pathsep.join(dict.fromkeys(paths))


@pytest.fixture(scope="session", autouse=True)
def _session_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Where fixtures that several tests share run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("session"))
        for name, folder in _of_home(tmp_path_factory.mktemp("home")).items():
            patch.setenv(name, folder)
        yield


@pytest.fixture(autouse=True)
def _own_folder(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, folder in _of_home(tmp_path_factory.mktemp("home")).items():
        monkeypatch.setenv(name, folder)
