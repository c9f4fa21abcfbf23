"""Files that are there whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from heatkp.errors import SettingsError
from heatkp.text import is_text, printable

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than is allowed",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "there is no permission",
    errno.EPERM: "there is no permission",
}


def reason(error: OSError) -> str:
    """Why the system refused a file, in words, with the file where it is known."""
    words = _REASONS.get(error.errno or 0) or error.strerror or str(error)
    return f"{words}: {os.fsdecode(error.filename)}" if error.filename else words


def is_full(error: OSError) -> bool:
    """Whether there was no room to write, as only writing can say."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def check_folder(folder: Path) -> None:
    """Raises `OSError` where a folder cannot be used or made; makes nothing."""
    place = folder
    while not os.path.lexists(place) and place != place.parent:
        place = place.parent
    if not place.is_dir():
        raise OSError(errno.ENOTDIR, "this is not a folder", str(place))
    if os.name == "posix" and os.statvfs(place).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, "the file system is read-only", str(place))
    if not os.access(place, os.W_OK | os.X_OK):
        raise OSError(errno.EACCES, "there is no permission to write", str(place))


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turns what the system says about a place into a `SettingsError`; not that nobody reads."""
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise SettingsError(
            f"cannot write {target} ({reason(error)}): choose another place with --out"
        ) from None


def check_file(path: Path) -> None:
    """Raises `SettingsError` where a file cannot be written; before minutes of work."""
    with writing(path):
        if path.is_dir():
            raise OSError(f"{path} is a folder")
        if not path.parent.exists():
            raise OSError(f"there is no folder {path.parent}")
        check_folder(path.parent)


LONGEST = 240
"""Bytes of a file's name; most systems allow 255, and what is written meanwhile needs some."""


def fitting(stem: str, ending: str) -> str:
    """A file's name, its stem cut where it would be longer than systems allow.

    >>> len(fitting("a" * 300, ".png"))
    240
    """
    room = LONGEST - len(ending.encode("utf-8", "surrogatepass"))
    while len(stem.encode("utf-8", "surrogatepass")) > room:
        stem = stem[:-1]
    return stem + ending


class Names:
    """File names, each given once, also where capitals do not count; none too long."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def claim(self, stem: str, suffix: str) -> str:
        folder, slash, own = stem.rpartition("/")
        name, number = folder + slash + fitting(own, suffix), 1
        while name.casefold() in self._taken:
            number += 1
            name = folder + slash + fitting(own, f"-{number}{suffix}")
        self._taken.add(name.casefold())
        return name


@contextmanager
def utf8_path(path: Path) -> Iterator[str]:
    """A path that OpenCV and other libraries in C++ or Rust take, while the context lasts.

    One that is not UTF-8 (which some versions of OpenCV answer by ending the whole process) is
    reached by a link. The file itself need not exist, if its own name is UTF-8.
    """
    if is_text(os.fspath(path)):
        yield os.fspath(path)
        return
    with tempfile.TemporaryDirectory(prefix="heatkp-") as place:
        link = Path(place) / "link"
        if is_text(path.name):
            link.symlink_to(os.path.abspath(path.parent), target_is_directory=True)
            yield os.fspath(link / path.name)
        else:
            link = link.with_suffix(path.suffix if is_text(path.suffix) else "")
            link.symlink_to(os.path.abspath(path))
            yield os.fspath(link)


class AtomicFile:
    """A file that is there once it is whole.

    Attributes:
        path: where it goes.
        part: what to write meanwhile, in the same folder; no other process has its name.
    """

    def __init__(self, path: Path, suffix: str = ".part") -> None:
        self.path, self.part = path, path.with_name(f".{uuid4().hex[:12]}{suffix}")

    def finish(self) -> None:
        """Put it into its place. Raises `OSError`."""
        os.replace(self.part, self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        with suppress(OSError):
            self.part.unlink(missing_ok=True)


def require_new(folder: Path) -> None:
    """Raises `SettingsError` where a folder cannot be made, or holds something."""
    with writing(folder):
        check_folder(folder)
        if folder.is_dir() and any(folder.iterdir()):
            raise SettingsError(f"{folder} exists already: choose a new folder with --out")


class AtomicFolder:
    """A folder that is there once it is whole, where there was nothing, or an empty one.

    Attributes:
        path: what it is called then.
        part: what to fill meanwhile, beside it; it is there already.
    """

    def __init__(self, path: Path) -> None:
        """Raises `SettingsError` where there is something, or nothing can be made."""
        path = Path(os.path.abspath(path))
        require_new(path)
        with writing(path):
            if path == path.parent or (path.exists() and path.samefile(os.curdir)):
                raise SettingsError(f"{path} exists already: choose a new folder with --out")
            self.path, self.part = path, path.with_name(f".{uuid4().hex[:12]}.part")
            self.part.mkdir(parents=True)

    def finish(self) -> None:
        """Put it into its place. Raises `OSError`."""
        with suppress(FileNotFoundError):
            self.path.rmdir()
        self.part.rename(self.path)

    def discard(self) -> None:
        """Leave nothing behind."""
        shutil.rmtree(self.part, ignore_errors=True)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """The `part` of an `AtomicFolder`, which then has the name `path`: whole, or not at all.

    Raises `SettingsError` where there is something already, and for what the system refuses.
    """
    folder = AtomicFolder(path)
    try:
        with writing(path):
            yield folder.part
            folder.finish()
    finally:
        folder.discard()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The `part` of an `AtomicFile`, which then takes the place of `path`.

    Whatever stops the writing leaves `path` as it was, and nothing else. An `OSError` names
    `path`.
    """
    file = AtomicFile(path)
    part = file.part
    try:
        yield part
        file.finish()
    except BaseException as error:  # an interrupt too leaves nothing half-written
        file.discard()
        # A failed write does not tell of which file, a failed opening tells the passing name.
        if isinstance(error, OSError) and error.errno is not None:
            if error.filename in (None, os.fspath(part)):
                error.filename = os.fspath(path)
            error.filename2 = None
        raise


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all, also where several processes do at once."""
    with replacing(path) as part:
        part.write_text(printable(text), encoding="utf-8")
