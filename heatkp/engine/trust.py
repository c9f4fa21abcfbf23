"""Files that run code when they are opened: only those are that were made here.

torch unpickles what it finds in a `.pt2` archive, and runs checks that it holds as Python
(https://docs.pytorch.org/docs/stable/export.html). Who writes such a file notes its digest in the
user's cache folder; who opens one looks there.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path

from heatkp.data.crops import default_folder
from heatkp.errors import CheckpointError

VARIABLE = "HEATKP_TRUST_PROGRAMS"
"""An environment variable: 1 opens them wherever they come from."""
_FOLDER = "programs"


def _note(file: Path) -> Path | None:
    """Where a file's digest is noted; None without a cache folder."""
    cache = default_folder()
    if cache is None:
        return None
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
    return cache / _FOLDER / digest.hexdigest()


def trust(file: Path) -> None:
    """Note that a file was made here, where there is a cache folder."""
    with suppress(OSError):
        note = _note(file)
        if note is not None:
            note.parent.mkdir(parents=True, exist_ok=True)
            note.touch()


def require_trusted(file: Path) -> None:
    """Raises `CheckpointError` for a file that was not made here."""
    if os.environ.get(VARIABLE) == "1":
        return
    try:
        note = _note(file)
    except OSError as error:
        raise CheckpointError(f"{file} cannot be read: {error}") from None
    if note is None or not note.is_file():
        raise CheckpointError(
            f"{file} was not exported on this computer, and opening it would run code that it "
            "holds: export the run again (to onnx or openvino, whose files run none), or set "
            f"{VARIABLE}=1 if you trust who made it"
        )
