"""One process at a time works on a shard, or in a run folder."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from heatkp.errors import SettingsError
from heatkp.files import AtomicFile

BEAT = 15.0
"""Seconds after which the holder touches its file again."""
STALE = 120.0
"""Seconds without a touch after which the holder on another machine is taken for gone."""


class Lock:
    """A file that tells who works here: process and machine; a context.

    The system holds the lock where the file system knows how (`flock`), so that it ends with its
    process, however that ends. Where it does not, and for holders on other machines, whose locks
    some file systems do not share, a process that is gone, or a file that nobody has touched for
    two minutes, is nobody's any more.
    """

    def __init__(self, path: Path, what: str) -> None:
        """`what` is locked, for messages."""
        self.path, self._what, self._token = path, what, uuid4().hex
        self._stop = threading.Event()

    def __enter__(self) -> Lock:
        """Raises `SettingsError` where another process holds it, `OSError` as files do."""
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            alone = self._flock()
            self._require_there()
            holder = self._read()
            if holder and self._holds(holder, alone):
                raise self._taken(holder)
            text = json.dumps({
                "pid": os.getpid(), "host": socket.gethostname(), "token": self._token,
            })  # fmt: skip
            os.ftruncate(self._descriptor, 0)
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            os.write(self._descriptor, text.encode())
        except BaseException:
            os.close(self._descriptor)
            raise
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        with suppress(OSError):
            if self._read().get("token") == self._token:
                os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)

    def check(self) -> None:
        """Raises `SettingsError` where another has taken it over, as after this process slept."""
        holder = self._read()
        if holder.get("token") != self._token:
            raise self._taken(holder)

    def _flock(self) -> bool | None:
        """Whether the system gives the lock; None where it has no such thing. Raises
        `SettingsError` where another process has it."""
        if sys.platform == "win32":
            return None
        import fcntl

        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._taken(self._read()) from None
        except OSError:  # network file systems without it
            return None
        return True

    def _require_there(self) -> None:
        """Raises `SettingsError` where who held the file has just taken it away (`remove`)."""
        with suppress(OSError):
            if os.path.samestat(os.stat(self.path), os.fstat(self._descriptor)):
                return
        raise self._taken({})

    def remove(self) -> None:
        """Take the file away while it is held, where the system can; nobody else has it then."""
        with suppress(OSError):
            self.path.unlink()

    def _read(self) -> dict[str, object]:
        try:
            os.lseek(self._descriptor, 0, os.SEEK_SET)
            content = os.read(self._descriptor, 4096)
            values = json.loads(content) if content else {}
        except (OSError, ValueError):
            return {}
        return values if isinstance(values, dict) else {}

    def _holds(self, holder: dict[str, object], alone: bool | None) -> bool:
        """Whether who is named in the file may still be at work."""
        if holder.get("host") != socket.gethostname():
            return self._age() < STALE
        if alone:
            return False
        pid = holder.get("pid")
        if isinstance(pid, int) and os.name == "posix":
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return False
            except OSError:  # another user's
                pass
        return self._age() < STALE

    def _age(self) -> float:
        """Seconds since the file was touched, by its file system's clock."""
        probe = AtomicFile(self.path)
        try:
            probe.part.touch()
            return probe.part.stat().st_mtime - os.fstat(self._descriptor).st_mtime
        except FileNotFoundError:  # the holder is there, and removed it
            return 0.0
        finally:
            probe.discard()

    def _beat(self) -> None:
        while not self._stop.wait(BEAT):
            with suppress(OSError):
                os.utime(self.path)

    def _taken(self, holder: dict[str, object]) -> SettingsError:
        who = ""
        if holder.get("pid"):
            who = f" (process {holder['pid']} on {holder.get('host')})"
        return SettingsError(
            f"another process works on {self._what}{who}: wait for it, or end it; if it is gone, "
            f"remove {self.path}"
        )
