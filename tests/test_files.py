"""Files that are there whole or not at all, and what the system says of them."""

from __future__ import annotations

import errno
import os

import pytest

from heatkp.files import check_folder, is_full, reason, replacing


@pytest.mark.parametrize("when", ["opening", "writing", "moving"])
def test_errors_name_the_file(tmp_path, monkeypatch, when):
    path = tmp_path / "a.json"
    path.write_text("before")

    def refuse(*names):
        raise OSError(errno.ENOSPC, "No space left on device", *map(str, names))

    if when == "moving":
        monkeypatch.setattr(os, "replace", lambda a, b: refuse(a, None, b))
    with pytest.raises(OSError) as caught, replacing(path) as part:
        part.write_text("half")
        if when != "moving":
            refuse(*([part] if when == "opening" else []))
    assert caught.value.filename == str(path) and caught.value.filename2 is None
    assert reason(caught.value) == f"the disk is full: {path}" and is_full(caught.value)
    assert path.read_text() == "before" and list(tmp_path.iterdir()) == [path]


def test_other_files_keep_their_names(tmp_path):
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.json"):
        raise PermissionError(errno.EACCES, "Permission denied", "other.png")
    assert caught.value.filename == "other.png" and not is_full(caught.value)
    with pytest.raises(OSError) as caught, replacing(tmp_path / "a.json"):
        raise OSError("of no number")
    assert caught.value.filename is None and reason(caught.value) == "of no number"


def test_reasons():
    assert "quota" in reason(OSError(errno.EDQUOT, "x")) and is_full(OSError(errno.EDQUOT, "x"))
    assert reason(OSError(errno.EIO, "Input/output error", b"\xff.png")).endswith("\udcff.png")


def test_folders_that_can_be_made(tmp_path, monkeypatch):
    check_folder(tmp_path / "a" / "b")
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").write_text("")
    for place, number in ((tmp_path / "file", errno.ENOTDIR), (tmp_path / "file" / "a", None)):
        with pytest.raises(OSError) as caught:
            check_folder(place)
        assert number in (None, caught.value.errno)
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(OSError) as caught:
        check_folder(tmp_path / "a")
    assert caught.value.errno == errno.EACCES and caught.value.filename == str(tmp_path)
    status = os.statvfs(tmp_path)

    class ReadOnly:
        f_flag = status.f_flag | os.ST_RDONLY

    monkeypatch.setattr(os, "statvfs", lambda path: ReadOnly)
    with pytest.raises(OSError) as caught:
        check_folder(tmp_path / "a")
    assert caught.value.errno == errno.EROFS
