"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

SUMMARY = "summary.json"
"""What `heatkp predict` leaves in its folder, besides points and drawn copies."""
MADE_BY = "heatkp predict"


def made_by_predict(folder: Path) -> bool:
    """Whether a folder holds points and copies of photos that `heatkp predict` made."""
    try:
        return f'"{MADE_BY}"' in (folder / SUMMARY).read_text(encoding="utf-8")[:200]
    except (OSError, ValueError):
        return False


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write, which then takes the place of `path`; no other process has its name.

    Whatever stops the writing leaves `path` as it was, and nothing else.
    """
    part = path.with_name(f".{uuid4().hex[:12]}.part")
    try:
        yield part
        os.replace(part, path)
    except BaseException:  # an interrupt too leaves nothing half-written
        part.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, also where several processes do at once."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
