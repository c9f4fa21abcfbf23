"""Readers: one module per format, each giving a skeleton and its samples."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heatkp.data.readers.coco import find_annotations, read_coco
from heatkp.data.readers.imm import read_imm
from heatkp.data.samples import Labels
from heatkp.errors import DataError

READERS: dict[str, Callable[[Path], Labels]] = {
    "coco": read_coco,
    "imm": read_imm,
}


def recognise(path: Path) -> str:
    """The name of the format that a path holds. Raises `DataError` where it is none."""
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    if path.is_dir() and any(path.glob("*.asf")):
        return "imm"
    if find_annotations(path) is not None:
        return "coco"
    raise DataError(
        f"{path} holds no known format: wanted a folder of .asf files (imm) or a COCO .json "
        "file; name it with data.format"
    )


def read(path: Path, format: str = "auto") -> Labels:
    """The labels of a path in one of `READERS`' formats, or in whatever it holds."""
    if not path.exists():
        raise DataError(f"there is no file or folder {path}")
    return READERS[recognise(path) if format == "auto" else format](path)
