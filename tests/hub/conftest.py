"""A cache folder of the hub, filled by hand, and no network."""

from __future__ import annotations

import shutil

import huggingface_hub
import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A function that puts files into the cache folder as `owner/name` at a revision."""
    folder = tmp_path / "hub-cache"
    constants = huggingface_hub.constants
    # The library reads the variables when it is imported; processes that tests start read them.
    for name, value in (("HF_HUB_CACHE", str(folder)), ("HF_HUB_OFFLINE", True)):
        monkeypatch.setattr(constants, name, value)
        monkeypatch.setenv(name, str(value) if name == "HF_HUB_CACHE" else "1")

    def put(repository, *files, revision="main", commit=COMMIT):
        place = folder / f"models--{repository.replace('/', '--')}"
        (place / "refs").mkdir(parents=True, exist_ok=True)
        (place / "refs" / revision).write_text(commit)
        snapshot = place / "snapshots" / commit
        snapshot.mkdir(parents=True, exist_ok=True)
        for file in files:
            shutil.copy(file, snapshot / file.name)
        return snapshot

    return put


@pytest.fixture
def network(monkeypatch):
    """Replaces the download, and gives the list of what was asked for."""
    asked = []

    def replaced(answer):
        def download(repository, filename, **options):
            asked.append((repository, filename, options.get("revision")))
            if isinstance(answer, Exception):
                raise answer
            return str(answer)

        monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
        return asked

    return replaced
