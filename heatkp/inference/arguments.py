"""What is typed to mean many files: lists of paths."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from tempfile import TemporaryFile
from typing import IO

from heatkp.errors import DataError, SettingsError
from heatkp.files import reason

STANDARD_INPUT = "-"


class PathList:
    """The paths in a file, one a line, which can be gone through several times.

    Empty lines mean nothing. Paths are absolute; relative ones start where we are. They are not
    looked at. Closing it is the context's.
    """

    def __init__(self, file: str | os.PathLike[str]) -> None:
        """`-` is standard input, which is put aside on the disk. Raises `DataError`."""
        self.name = os.fspath(file)
        self._stack = ExitStack()
        try:
            if self.name == STANDARD_INPUT:
                self._file: IO[bytes] = self._stack.enter_context(TemporaryFile())  # noqa: SIM115
                stream = getattr(sys.stdin, "buffer", None)
                for block in _blocks(stream):
                    self._file.write(block)
            else:
                self._file = self._stack.enter_context(open(self.name, "rb"))  # noqa: SIM115
        except OSError as error:
            self._stack.close()
            raise DataError(f"--list {self.name} cannot be read ({reason(error)})") from None

    def __enter__(self) -> PathList:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[str]:
        self._file.seek(0)
        for line in self._file:
            text = os.fsdecode(line.rstrip(b"\r\n"))
            if "\0" in text:
                raise DataError(
                    f"--list {self.name} is no text: it holds paths of files, one a line"
                )
            if text:
                yield os.path.abspath(os.path.expanduser(text))


def _blocks(stream: IO[bytes] | None) -> Iterator[bytes]:
    while stream is not None and (block := stream.read(2**20)):
        yield block


def common_folder(places: Iterable[str]) -> str | None:
    """The folder that absolute paths of folders have in common, the first itself if it is the
    only one; None of none.

    Raises `SettingsError` where they have none, as on several drives.
    """
    common: str | None = None
    for place in places:
        if common is None:
            common = place
        elif place != common and not place.startswith(os.path.join(common, "")):
            try:
                common = os.path.commonpath([common, place])
            except ValueError:
                raise SettingsError(
                    f"{common} and {place} have no folder in common: predict on each apart"
                ) from None
    return common
