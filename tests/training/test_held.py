"""Two processes in one run's folder: the second is refused in a sentence."""

from __future__ import annotations

import json
import os
import time

import pytest

from heatkp.errors import SettingsError
from heatkp.locks import Lock
from heatkp.training.storage import LOCK, held
from tests.conftest import heatkp


def test_a_folder_is_held_once(tmp_path):
    with held(tmp_path):
        with pytest.raises(SettingsError, match="another process works on the run"), held(tmp_path):
            pass
        assert json.loads((tmp_path / LOCK).read_text())["pid"] == os.getpid()
        with held(tmp_path, mine=False):  # of several processes of one training one holds it
            pass
    assert not list(tmp_path.iterdir())
    with held(tmp_path), pytest.raises(SettingsError):
        Lock(tmp_path / LOCK, "it").__enter__()


def test_a_run_that_trains_is_not_resumed(run_copy):
    (run_copy / "metrics.json").unlink()
    before = sorted(p.relative_to(run_copy) for p in run_copy.rglob("*"))
    with held(run_copy):
        result = heatkp("train", "--resume", run_copy, "--epochs", 9)
    assert result.exit_code == 2 and "another process works on the run" in result.output
    assert str(os.getpid()) in result.output and "Traceback" not in result.output
    assert sorted(p.relative_to(run_copy) for p in run_copy.rglob("*")) == before


def test_a_lock_of_a_process_that_is_gone_is_nobodys(tmp_path):
    """Also where the clock went back since: what holds it is the system, not the time."""
    (tmp_path / LOCK).write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename}))
    later = time.time() + 10**6
    os.utime(tmp_path / LOCK, (later, later))
    with held(tmp_path):
        pass
    assert not (tmp_path / LOCK).exists()


def test_a_lock_that_was_taken_away_meanwhile_is_not_held(tmp_path, monkeypatch):
    path = tmp_path / LOCK
    flock = Lock._flock

    def removed(self):
        found = flock(self)
        path.unlink()  # as its holder does at its end
        return found

    monkeypatch.setattr(Lock, "_flock", removed)
    with pytest.raises(SettingsError):
        Lock(path, "the run").__enter__()
