"""Where crops are kept: users without a home folder, places that cannot be written."""

from __future__ import annotations

import errno
import os
import pwd

import numpy as np
import pytest

from heatkp.config import Data, expand_path
from heatkp.data.crops import CropSource, default_folder
from heatkp.data.loaders import cache_folder
from heatkp.errors import SettingsError
from tests.cli.test_cli import refused
from tests.conftest import TINY, heatkp, largest_file
from tests.data.test_crops import FRAMING, folders, write_samples


@pytest.fixture
def homeless(monkeypatch):
    """A user without $HOME and without an entry in the system's list of users."""

    def unknown(uid):
        raise KeyError(uid)

    for name in ("HEATKP_CACHE", "XDG_CACHE_HOME", "HOME", "USERPROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)


def test_a_user_without_home(homeless, tmp_path):
    assert default_folder() is None and cache_folder(Data()) is None
    with pytest.raises(SettingsError, match=r"data\.cache: '~/crops'.*home"):
        expand_path("~/crops", "data.cache")
    (tmp_path / "~").mkdir()
    assert str(expand_path("~", "data.path")) == "~"  # a folder that is called so


def test_training_without_home(homeless, tmp_path):
    faces, run = tmp_path / "faces", tmp_path / "run"
    assert heatkp("data", "synth", faces, "--n", 10, "--size", 64).exit_code == 0
    train = ["train", *TINY, "--data", faces, "--epochs", 1, "--out", run]
    refused([*train, "--set", "data.cache=~/crops"], "home folder", out=run)
    done = heatkp(*train)
    assert done.exit_code == 0, done.output
    assert "no cache of images" in done.output and "$HEATKP_CACHE" in done.output
    assert not (tmp_path / "~").exists()
    assert "no home" not in heatkp("train", *TINY, "--epochs", 1).output  # drawn: none needed


@pytest.mark.parametrize("file", ["pixels.bin", "index.npz"])
def test_a_disk_that_is_full_is_no_obstacle(tmp_path, monkeypatch, file):
    source = CropSource(write_samples(tmp_path / "photos"), FRAMING, 1.0, tmp_path / "cache")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if file == "index.npz":
        monkeypatch.setattr(np, "savez", full)
        note = source.prepare()
    else:
        with largest_file(10_000):
            note = source.prepare()
    why = "the disk is full" if file == "index.npz" else "the file would be larger than is allowed"
    assert note == f"no cache of images in {tmp_path / 'cache'}: {why}"
    assert folders(tmp_path / "cache") == [] and source[0].image.ndim == 3


def test_crops_in_a_read_only_folder_are_used(tmp_path, monkeypatch):
    samples = write_samples(tmp_path / "photos")
    first = CropSource(samples, FRAMING, 1.0, tmp_path / "cache")
    assert first.prepare() is None

    def refuse(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "utime", refuse)
    monkeypatch.setattr("tempfile.mkdtemp", refuse)
    second = CropSource(samples, FRAMING, 1.0, tmp_path / "cache")
    assert second.prepare() is None and (second[1].image == first[1].image).all()
    other = CropSource(samples[:2], FRAMING, 1.0, tmp_path / "cache")
    assert "no permission" in other.prepare() and other[1].image.ndim == 3
