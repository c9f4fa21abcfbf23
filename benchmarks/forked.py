"""Commands of heatkp in forks, for `faults.py`: killed, limited, and what they leave compared."""

from __future__ import annotations

import contextlib
import ctypes
import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from safetensors.torch import load_file

from heatkp.cli import main as command

TINY = [
    "--set", "data.train_count=16", "--set", "data.val_count=8", "--set", "data.size=[32,32]",
    "--set", "data.workers=0", "--set", "model.architecture=plain_unet",
    "--set", "model.options={widths: [4, 8]}", "--set", "model.stride=2", "--batch-size", "8",
    "--head", "softargmax",
]  # fmt: skip
Told = dict[str, Any]


def obey_modes() -> None:
    """Files' modes hold for this process, also where it is root's (Linux: capset)."""
    overrides = 1 << 1 | 1 << 2 | 1 << 3  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH, CAP_FOWNER
    head, libc = (ctypes.c_uint32 * 2)(0x20080522, 0), ctypes.CDLL(None, use_errno=True)
    sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable, of 32 capabilities each
    if libc.capget(head, sets):
        raise OSError(ctypes.get_errno(), "capget")
    sets[0] &= ~overrides
    if libc.capset(head, sets):
        raise OSError(ctypes.get_errno(), "capset")


class Forked:
    """A command of heatkp in a fork; what it says is in `log`.

    `limit` is of the bytes of a file, but not of the log, to which another process writes then;
    `modes`: files' modes hold for root, too.
    """

    def __init__(
        self, words: list[object], log: Path, limit: int | None = None, modes: bool = False
    ) -> None:
        self.log = log
        self._cat: Any = None
        if limit is not None:
            with log.open("wb") as file:
                self._cat = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            if self._cat is not None:
                self._cat.stdin.close()
            return
        code = 1
        try:
            os.setpgid(0, 0)
            if self._cat is not None:
                stream = self._cat.stdin.fileno()
            else:
                stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            # This process' own may be a file, where a pipe is now.
            sys.stdout, sys.stderr = (os.fdopen(i, "w", closefd=False) for i in (1, 2))
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if modes:
                obey_modes()
            signal.signal(signal.SIGINT, signal.default_int_handler)
            command([str(word) for word in words])
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float = 600.0) -> int:
        """The exit code, -9 where it was killed; kills it after so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                if self._cat is not None:
                    self._cat.wait()
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        self.send(signal.SIGKILL)
        return self.wait(60)

    def wait_or_kill(self, seconds: float) -> int | None:
        """Its exit code within so many seconds; None where it was killed then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        self.send(signal.SIGKILL)
        code = self.wait(60)
        return None if code == -signal.SIGKILL else code

    def wait_or_none(self) -> int | None:
        """Its exit code; None while it runs."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if done else None

    def send(self, kind: signal.Signals) -> None:
        """A signal to it and to the processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, kind)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.is_file() else ""


def run(words: list[object], log: Path) -> float:
    """Seconds of a command that must end well."""
    begun = time.monotonic()
    one = Forked(words, log)
    code = one.wait()
    if code:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {code}: {one.said[-2000:]}")
    return time.monotonic() - begun


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole_folder(path: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of a folder's files by name; hidden ones do not count."""
    return {
        p.relative_to(path).as_posix(): digest(p)
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name not in without and not p.name.startswith(".")
    }


def trained(run: Path) -> dict[str, Any]:
    """A run's weights and figures."""
    weights = load_file(run / "weights.safetensors")
    metrics = json.loads((run / "metrics.json").read_text())
    state = {k: hashlib.sha256(v.contiguous().numpy().tobytes()).hexdigest()
             for k, v in weights.items()}  # fmt: skip
    return {"weights": state, "mae": metrics["mae_photo"], "nme": metrics.get("normalised")}
