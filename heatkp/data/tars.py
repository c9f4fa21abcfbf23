"""Images within tar files, read at their places; nothing is unpacked to the disk."""

from __future__ import annotations

import io
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import BinaryIO

import numpy as np

from heatkp.data.exif import upright
from heatkp.data.images import Image, ImageSource, decoded
from heatkp.errors import DataError
from heatkp.files import reason
from heatkp.limits import Limit

MOST_OPEN = 32
"""Tars that a process keeps open; systems allow some hundred files."""
NOT_THERE = -1
"""The size of an image that labels are of and the tar does not hold."""


class _OpenFile:
    """Open as long as anybody holds it, so that no thread reads what another one closed."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = None if hasattr(os, "pread") else Lock()

    def read(self, offset: int, size: int) -> bytes:
        if self._lock is None:  # moves no place that forked processes share
            return os.pread(self._descriptor, size, offset)
        with self._lock:
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def __del__(self) -> None:
        if hasattr(self, "_descriptor"):
            os.close(self._descriptor)


_files: OrderedDict[Path, _OpenFile] = OrderedDict()
_opening = Lock()


def forget(path: Path) -> None:
    """Open a tar anew when it is read next: another one may have its name by now."""
    with _opening:
        _files.pop(path, None)


def _opened(path: Path) -> _OpenFile:
    with _opening:
        file = _files.get(path)
        if file is None:
            file = _files[path] = _OpenFile(path)
            if len(_files) > MOST_OPEN:
                _files.popitem(last=False)
        else:
            _files.move_to_end(path)
        return file


def read_part(path: Path, offset: int, size: int) -> bytes:
    """Bytes of a tar, which stays open. Raises `OSError`; gives fewer where the file ends."""
    file, parts = _opened(path), list[bytes]()
    while size > 0 and (part := file.read(offset, size)):
        parts.append(part)
        offset, size = offset + len(part), size - len(part)
    return parts[0] if len(parts) == 1 else b"".join(parts)


@dataclass(frozen=True)
class TarImage(ImageSource):
    """An image file within a tar, decoded as if it lay beside it.

    Attributes:
        name: of the member.
        offset, size: where its bytes begin, and how many they are.
    """

    is_file = True

    name: str = ""
    offset: int = field(default=0, repr=False)
    size: int = field(default=NOT_THERE, repr=False)

    @property
    def part(self) -> str:
        return self.name

    def content(self) -> bytes:
        """The image file's bytes. Raises `DataError`."""
        if self.size == NOT_THERE:
            raise DataError(f"the tar {self.path} holds no image of {self.name}")
        if said := Limit.IMAGE_BYTES.refusal(self.size, "bytes"):
            raise DataError(f"{self.name} in the tar {self.path} has {said}")
        try:
            content = read_part(self.path, self.offset, self.size)
        except OSError as error:
            raise DataError(f"the tar {self.path} cannot be read ({reason(error)})") from None
        if len(content) < self.size:
            raise DataError(f"the tar {self.path} is cut off in {self.name}")
        return content

    def open(self) -> BinaryIO:
        return io.BytesIO(self.content())

    def __call__(self) -> Image:
        place = f"{self.name} in the tar {self.path}"
        image, code = decoded(self.content(), place, self.options.intensity)
        return np.ascontiguousarray(upright(image, code)) if self.options.orient else image
