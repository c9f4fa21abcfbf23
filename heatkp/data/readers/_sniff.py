"""What a file is, by its name and a few bytes: of many tools' files the suffix is the same."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from heatkp.data.readers._base import Recognise
from heatkp.data.readers._common import files_of_type
from heatkp.errors import DataError

EDGE = 4096
"""Bytes that are looked at, at the beginning and at the end of a file."""
_MARK = b"\xef\xbb\xbf"
Accept = Callable[[Path], bool]


def ends(path: Path) -> bytes:
    """The first and the last bytes of a file, without blanks at its beginning; empty where it
    cannot be read. Keys that follow a large value, such as an image, are at the end."""
    try:
        with path.open("rb") as file:
            head = file.read(EDGE)
            size = file.seek(0, 2)
            file.seek(max(size - EDGE, len(head)))
            return head.removeprefix(_MARK).lstrip() + file.read(EDGE)
    except OSError:
        return b""


def has_keys(text: bytes, *keys: str) -> bool:
    """Whether all of some keys stand in a piece of JSON."""
    return all(f'"{key}"'.encode() in text for key in keys)


def accepted(path: Path, suffixes: tuple[str, ...], accept: Accept) -> list[Path]:
    """The files that a path means: itself, or those right in a folder that `accept` takes."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in suffixes and accept(path) else []
    return [f for suffix in suffixes for f in files_of_type(path, suffix) if accept(f)]


def the_file(path: Path, suffixes: tuple[str, ...], accept: Accept, what: str) -> Path:
    """The one of `accepted`; a file that is named is taken whatever it holds.

    Raises `DataError` where a folder holds none or several; `what` says of what.
    """
    if not path.is_dir():
        if path.suffix.lower() not in suffixes:
            raise DataError(f"{path} is not {what}: its name ends in none of {', '.join(suffixes)}")
        return path
    found = accepted(path, suffixes, accept)
    if len(found) != 1:
        several = f"{len(found)} files that are: give the path of one" if found else "none"
        raise DataError(f"{path} should hold {what}, and holds {several}")
    return found[0]


def one_like(suffixes: tuple[str, ...], accept: Accept, what: str) -> Recognise:
    """Recognises a file that `accept` takes, or a folder that holds just one such."""

    def recognise(path: Path) -> bool | str:
        found = accepted(path, suffixes, accept)
        if len(found) > 1:
            return f"it holds {len(found)} files that are {what}: give the path of one"
        return bool(found)

    return recognise
