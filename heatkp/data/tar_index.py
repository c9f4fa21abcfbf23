"""Where the members of a tar file lie: its headers are read, what they stand before is not.

As POSIX.1-2017 (pax, `pax` 4.100) and GNU tar write them: blocks of 512 bytes, a header and then
the content of each member, two empty blocks at the end. Python's `tarfile` takes damage after the
first member for the end, and needs several times as long.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from heatkp.errors import DataError
from heatkp.files import reason
from heatkp.text import one_line

BLOCK = 512
MOST_HEADER = 2**20
"""Bytes of a long name, or of other entries before a member."""
_EMPTY = bytes(BLOCK)
_FILE, _HARD_LINK = (b"0", b"\0", b"7"), b"1"
_GLOBAL, _PAX, _LONG_NAME, _LONG_LINK, _SPARSE = b"g", (b"x", b"X"), b"L", b"K", b"S"
_COMPRESSED = {
    b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ\0": "xz", b"\x28\xb5\x2f\xfd": "zstd",
}  # fmt: skip
_CHECKSUM = slice(148, 156)


class Member(NamedTuple):
    """A file in a tar.

    Attributes:
        name: as it stands there; bytes that are not UTF-8 are lone surrogates.
        offset, size: of its content, in bytes.
    """

    name: str
    offset: int
    size: int


class _Damaged(Exception):
    """What is wrong with a header."""


class _Head(NamedTuple):
    name: bytes
    kind: bytes
    size: int
    link: bytes


def tar_members(path: Path) -> Iterator[Member]:
    """The files in a tar, in their order; folders, symbolic links and devices are passed over.

    A hard link to an earlier file is that file under another name.

    Raises:
        DataError: for a file that is missing or no tar, one that is compressed (its members cannot
            be reached without all before them), damaged, cut off, or that goes on after its end.
    """
    last = ""
    try:
        with path.open("rb") as file:
            if hasattr(os, "posix_fadvise"):  # what lies between headers is not needed
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_RANDOM)
            for member in _Members(file.fileno(), os.fstat(file.fileno()).st_size):
                last = member.name
                yield member
    except _Damaged as error:
        after = f" after {one_line(last)}" if last else ""
        raise DataError(f"the tar {path} cannot be read{after}: {error}") from None
    except OSError as error:
        raise DataError(f"the tar {path} cannot be read ({reason(error)})") from None


class _Members:
    """Goes through the headers of an open tar."""

    def __init__(self, descriptor: int, length: int) -> None:
        self._descriptor, self._length = descriptor, length
        self._globals: dict[bytes, bytes] = {}
        self._places: dict[bytes, tuple[int, int]] = {}

    def __iter__(self) -> Iterator[Member]:
        place, own = 0, dict[bytes, bytes]()
        while True:
            block = self._read(place, BLOCK)
            if block == _EMPTY:
                self._require_end(place)
                return
            head = _parsed(block, place)
            place += BLOCK
            before = head.kind in (*_PAX, _GLOBAL, _LONG_NAME, _LONG_LINK)
            if before:
                if head.size > MOST_HEADER:
                    raise _Damaged(f"{head.size} bytes stand before a member")
                content = self._read(place, head.size)
                if head.kind in _PAX:
                    own.update(_pax(content))
                elif head.kind == _GLOBAL:
                    self._globals.update(_pax(content))
                else:
                    key = b"path" if head.kind == _LONG_NAME else b"linkpath"
                    own[key] = content.partition(b"\0")[0]
                place += _whole(head.size)
                continue
            member, place = self._member(head, {**self._globals, **own}, place)
            own = {}
            if member is not None:
                yield member

    def _member(
        self, head: _Head, more: dict[bytes, bytes], place: int
    ) -> tuple[Member | None, int]:
        """What a header tells with what stood before it, and where the next one begins."""
        raw = more.get(b"path", head.name)
        name = os.fsdecode(raw) if os.name == "posix" else raw.decode("utf-8", "surrogateescape")
        size = _decimal(more[b"size"]) if b"size" in more else head.size
        if head.kind == _SPARSE or any(key.startswith(b"GNU.sparse.") for key in more):
            raise _Damaged(f"{one_line(name)} is stored with holes: pack it without --sparse")
        if head.kind == _HARD_LINK:
            found = self._places.get(more.get(b"linkpath", head.link))
            if found is None:
                raise _Damaged(f"{one_line(name)} is a link to a file that is not before it")
            self._places[raw] = found
            return Member(name, *found), place
        folder = raw.endswith(b"/") and head.kind == b"\0"  # as the oldest tars have them
        if head.kind not in _FILE or folder:
            return None, place + _whole(size) if head.kind not in b"23456" else place
        if place + size > self._length:
            raise _Damaged(f"{one_line(name)} is cut off: {size} bytes, "
                           f"{max(self._length - place, 0)} are there")  # fmt: skip
        self._places[raw] = place, size
        return Member(name, place, size), place + _whole(size)

    def _read(self, place: int, size: int) -> bytes:
        content = _pread(self._descriptor, size, place)
        if len(content) < size:
            compressed = _kind_of(content) if place == 0 else None
            raise _Damaged(compressed or f"it is cut off at byte {self._length}, without an end")
        return content

    def _require_end(self, place: int) -> None:
        """After the empty block that ends a tar there is nothing but padding."""
        while block := _pread(self._descriptor, 2**20, place):
            if block.count(0) < len(block):
                raise _Damaged("it goes on after its end, as several tars in one: part them")
            place += len(block)


def _whole(size: int) -> int:
    return (size + BLOCK - 1) // BLOCK * BLOCK


def _pread(descriptor: int, size: int, place: int) -> bytes:
    if hasattr(os, "pread"):
        return os.pread(descriptor, size, place)
    os.lseek(descriptor, place, os.SEEK_SET)
    return os.read(descriptor, size)


def _kind_of(block: bytes) -> str | None:
    for mark, name in _COMPRESSED.items():
        if block.startswith(mark):
            return f"it is compressed ({name}), and images are read at their places: unpack it"
    return None


def _parsed(block: bytes, place: int) -> _Head:
    try:
        told = _number(block[_CHECKSUM])
    except _Damaged:
        told = -1
    summed = sum(block) - sum(block[_CHECKSUM]) + 8 * ord(" ")
    if told != summed:
        high = sum(byte > 127 for byte in block) - sum(byte > 127 for byte in block[_CHECKSUM])
        if told != summed - 256 * high:  # old tars added signed bytes
            compressed = _kind_of(block) if place == 0 else None
            raise _Damaged(compressed or f"there is no header at byte {place}")
    name = block[:100].partition(b"\0")[0]
    if block[257:263] == b"ustar\0" and (prefix := block[345:500].partition(b"\0")[0]):
        name = prefix + b"/" + name
    link = block[157:257].partition(b"\0")[0]
    return _Head(name, block[156:157], _number(block[124:136]), link)


def _number(field: bytes) -> int:
    """Octal digits, or what GNU tar writes where they do not suffice."""
    if field[0] & 0x80:
        value = int.from_bytes(bytes([field[0] & 0x7F]) + field[1:], "big")
        if field[0] == 0xFF or value >= 2**63:
            raise _Damaged("a size is negative, or too large")
        return value
    digits = field.partition(b"\0")[0].strip()
    if digits.strip(b"01234567"):
        raise _Damaged("a number is none")
    return int(digits or b"0", 8)


def _decimal(digits: bytes) -> int:
    if not digits.isdigit() or len(digits) > 18:
        raise _Damaged("a size is no number")
    return int(digits)


def _pax(content: bytes) -> dict[bytes, bytes]:
    """Records `LENGTH KEY=VALUE`, each with a line break that its length counts."""
    found: dict[bytes, bytes] = {}
    place = 0
    while place < len(content):
        digits = content[place : place + 20].partition(b" ")[0]
        if not digits.isdigit():
            raise _Damaged("entries before a member are damaged")
        end = place + int(digits)
        key, equal, value = content[place + len(digits) + 1 : end - 1].partition(b"=")
        if not equal or end > len(content) or content[end - 1 : end] != b"\n":
            raise _Damaged("entries before a member are damaged")
        found[key] = value
        place = end
    return found
