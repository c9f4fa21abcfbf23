"""What a training says when it cannot write, or a process of it is killed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from heatkp import runs
from heatkp.errors import HeatkpError, StorageError
from heatkp.files import is_full, reason
from heatkp.locks import Lock

LOCK = ".lock"
"""The file in a run's folder that tells who trains there."""


def epochs_done(run: Path) -> int | None:
    """How many epochs a checkpoint, or that of a run's folder, holds; None where there is none to
    read."""
    path = run / runs.LAST if run.is_dir() else run
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        return int(content["epoch"]) + 1
    except Exception:  # not there, or whatever a damaged file makes torch raise
        return None


def _kept(run: Path, flags: str = "") -> str:
    """What is there to go on from, and how."""
    if not (run / runs.SETTINGS).is_file():
        return "nothing was begun: choose another place with --out"
    if (run / runs.METRICS).is_file():
        return "the run is kept as it was. Mend that, then give the same command again"
    epochs = epochs_done(run)
    kept = "no epoch is kept yet" if epochs is None else (
        f"the run is kept as it was after epoch {epochs}"
    )  # fmt: skip
    return f"{kept}. Mend that, then go on with: heatkp train --resume {run}{flags}"


def _inside(error: OSError, run: Path) -> bool:
    if not isinstance(error.filename, str | bytes):
        return False
    name = error.filename.decode() if isinstance(error.filename, bytes) else error.filename
    return Path(name).absolute().is_relative_to(run.absolute())


@contextmanager
def held(run: Path, mine: bool = True) -> Iterator[None]:
    """Keeps other processes from training in a run's folder; `mine` is whether this one is to.

    Raises `SettingsError` where another trains there, and `StorageError` where the folder cannot
    be written.
    """
    if not mine or not run.is_dir():
        yield
        return
    lock = Lock(run / LOCK, f"the run {run}")
    with resumable(run):
        lock.__enter__()
    try:
        yield
    finally:
        lock.remove()
        lock.__exit__()


@contextmanager
def resumable(run: Path) -> Iterator[None]:
    """Says of what keeps a training from writing into its folder, or ends a process that reads
    images, how the run goes on.

    Raises `StorageError`, and `HeatkpError` for a process that was killed; other errors pass.
    """
    try:
        yield
    except OSError as error:
        if not (is_full(error) or _inside(error, run)):
            raise
        raise StorageError(f"cannot write into {run}: {reason(error)}", _kept(run)) from error
    except RuntimeError as error:
        if "DataLoader worker" not in str(error) or "killed" not in str(error):
            raise
        raise HeatkpError(
            "a process that reads images was killed, as where memory, or shared memory (/dev/shm), "
            f"is too small; {_kept(run, ' --set data.workers=0')}"
        ) from error
