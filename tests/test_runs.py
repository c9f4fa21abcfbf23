"""Run folders."""

from __future__ import annotations

import pytest

from heatkp import runs
from heatkp.errors import SettingsError
from heatkp.files import write_text


def test_folders_are_numbered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert [runs.create_run(None, "kl").as_posix() for _ in range(2)] == ["runs/kl-1", "runs/kl-2"]
    assert runs.create_run("a/b/c", "kl").is_dir()
    with pytest.raises(SettingsError, match="exists already"):
        runs.create_run("a/b/c", "kl")


@pytest.mark.parametrize("out", [None, "runs/x"])
@pytest.mark.parametrize("what", ["link", "file"])
def test_a_place_where_no_folder_can_be_made(tmp_path, monkeypatch, out, what):
    """As where the disk that runs/ links to is not there."""
    monkeypatch.chdir(tmp_path)
    if what == "link":
        (tmp_path / "runs").symlink_to(tmp_path / "unmounted")
    else:
        (tmp_path / "runs").write_text("")
    with pytest.raises(SettingsError, match="cannot make the run folder runs/"):
        runs.create_run(out, "kl")


def test_text_is_written_whole_or_not_at_all(tmp_path):
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError):
        write_text(tmp_path / "a", "text")
    assert [p.name for p in tmp_path.iterdir()] == ["a"]
