"""Images in tar files, as webdataset lays them out, read in order as a stream.

Nothing is unpacked to the disk. Compressed tars (gzip and what else Python's `tarfile` knows by
its first bytes) are read the same way.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from heatkp.config import Intensity
from heatkp.data.decoding import Undecodable, decode
from heatkp.data.images import Image, as_uint8_rgb
from heatkp.errors import DataError
from heatkp.limits import Limit

TARS = (".tar", ".tgz", ".tar.gz")
"""Endings of names of tar files."""
_MOST_HEADER = 2**20
"""Bytes of a long name or of what else stands before a member; tarfile reads them whole."""
_BEFORE_MEMBERS = (
    tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)  # fmt: skip


class Member(NamedTuple):
    """An image in a tar.

    Attributes:
        name: with folders, separated by slashes.
        content: the file's bytes; None where it cannot be used.
        problem: why it cannot; empty where it can.
    """

    name: str
    content: bytes | None
    problem: str = ""


class _End:
    """How the headers of a tar ended."""

    def __init__(self) -> None:
        self.marked, self.problem = False, ""


def named_as_tar(path: str | os.PathLike[str]) -> bool:
    """Whether a file is a tar by its name."""
    return os.fspath(path).lower().endswith(TARS)


def members(path: Path, takes: Callable[[str], bool]) -> Iterator[Member]:
    """The members whose names `takes` accepts, in their order; links and others are passed over.

    A member of a name that was there before, one that leads out of the tar, or one larger than
    `Limit.IMAGE_BYTES` has a problem instead of content.

    Raises:
        DataError: for a file that is no tar or holds no such member, and at the end of one that
            was cut off or is damaged; what came before was given.
        OSError: where the file cannot be read.
    """
    if not path.is_file():
        raise DataError(f"{path} does not exist" if not path.exists() else f"{path} is not a file")
    end, given = _End(), 0
    names: set[str] = set()
    problem = ""
    try:
        with tarfile.open(path, "r|*", tarinfo=_watched(end)) as tar:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it keeps them all
                name = _plain(info.name)
                if info.isreg() and takes(name):
                    member = _member(tar, info, name, names)
                    given += 1
                    yield member
        problem = end.problem or ("" if end.marked else "its end mark is missing: cut off?")
    except OSError as error:
        if error.errno is not None:  # gzip's and bzip2's own have none
            raise
        problem = str(error)
    except MemoryError:
        raise
    except Exception as error:  # of many kinds, where bytes are not what their readers expect
        problem = str(error) or type(error).__name__
    if problem and not given:
        raise DataError(f"{path} is not a tar file with images that can be read ({problem})")
    if problem:
        raise DataError(
            f"{path} is cut off or damaged after {given} images ({problem}); those were looked at"
        )
    if not given:
        raise DataError(f"{path} holds no image")


def _watched(end: _End) -> type[tarfile.TarInfo]:
    """A kind of `TarInfo` that tells how headers ended: tarfile takes any damage after the first
    member for the end."""

    class Watched(tarfile.TarInfo):
        @classmethod
        def frombuf(cls, buf: Any, encoding: str, errors: str) -> Any:
            try:
                found = super().frombuf(buf, encoding, errors)
            except tarfile.HeaderError as error:
                end.marked = type(error).__name__ == "EOFHeaderError"
                if not end.marked and buf:
                    end.problem = str(error)
                raise
            if found.type in _BEFORE_MEMBERS and found.size > _MOST_HEADER:
                end.problem = f"a header of {found.size} bytes"
                raise tarfile.ReadError(end.problem)
            return found

    return Watched


def _plain(name: str) -> str:
    """A member's name without what means nothing: `./a/b.jpg` is `a/b.jpg`."""
    return posixpath.normpath(name).lstrip("/")


def _member(tar: tarfile.TarFile, info: tarfile.TarInfo, name: str, names: set[str]) -> Member:
    if name in names:
        return Member(name, None, "its tar holds that name twice; the first was looked at")
    if ".." in name.split("/"):
        return Member(name.replace("..", "__"), None, f"the name {name} leads out of its tar")
    names.add(name)
    if said := Limit.IMAGE_BYTES.refusal(info.size, "bytes"):
        return Member(name, None, f"it has {said}")
    file = tar.extractfile(info)
    content = b"" if file is None else file.read(info.size)
    if len(content) < info.size:
        raise tarfile.ReadError("unexpected end of data")
    return Member(name, content)


def decoded(member: Member, intensity: Intensity) -> tuple[Image, int]:
    """A member's pixels as stored, RGB, uint8 (H, W, 3), and its EXIF orientation, 1 to 8.

    Raises `DataError` for one that has a problem or is no image.
    """
    if member.content is None:
        raise DataError(member.problem)
    try:
        found = decode(member.content)
        image = as_uint8_rgb(found.values, found.alpha, intensity, found.inverted)
    except Undecodable as error:
        raise DataError(f"is not an image that can be read ({error})") from None
    except MemoryError:
        raise DataError("is too large for this computer's memory") from None
    return image, found.orientation
