"""What a writer is, and what writers share."""

from __future__ import annotations

import math
import os
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol

from heatkp.files import AtomicFile, Names
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.skeletons import Skeleton
from heatkp.text import name_to_text, printable

__all__ = [
    "About", "BaseWriter", "Names", "TextFile", "Writer", "path_from", "rounded",
]  # fmt: skip


@dataclass(frozen=True)
class About:
    """What tables say of how they were made.

    Attributes:
        model: as it was named.
        skeleton: the model's points.
        options: names and plain values of what changes the result.
    """

    model: str
    skeleton: Skeleton
    options: dict[str, Any]


class Writer(Protocol):
    """Takes images one by one; then come `finish`, where all went well, and `discard`."""

    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None:
        """Raises `OSError` where it cannot be written."""

    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]:
        """Put files into their places; returns those that were written."""

    def discard(self) -> None:
        """Leave nothing unfinished behind."""


class BaseWriter(ABC):
    """A writer that `--format` names.

    Args:
        folder: where its files go; None is standard output, asked only of those that can.

    Attributes:
        pipes: whether it can write to standard output.
        trains: whether heatkp can train on what it writes.
    """

    name: ClassVar[str]
    pipes: ClassVar[bool] = True
    trains: ClassVar[bool] = False

    @abstractmethod
    def __init__(self, folder: Path | None, about: About) -> None: ...

    @abstractmethod
    def add(self, input_image: InputImage, objects: Sequence[Keypoints]) -> None: ...

    @abstractmethod
    def finish(self, failures: Sequence[Failure], complete: bool) -> list[Path]: ...

    @abstractmethod
    def discard(self) -> None: ...


class TextFile:
    """A file that is there once it is whole; without a path, standard output."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is None:
            self._file = tempfile.TemporaryFile("w+", encoding="utf-8", newline="")  # noqa: SIM115
        else:
            self._place = AtomicFile(path)
            self._file = self._place.part.open("w", encoding="utf-8", newline="")

    def write(self, text: str) -> None:
        self._file.write(printable(text))

    def finish(self) -> list[Path]:
        if self.path is None:
            self._file.seek(0)
            sys.stdout.flush()
            # In UTF-8 as files are, whatever a screen's encoding.
            binary = getattr(sys.stdout, "buffer", None)
            while block := self._file.read(2**20):
                if binary is None:
                    sys.stdout.write(block)
                else:
                    binary.write(block.encode())
            sys.stdout.flush()
            self._file.close()
            return []
        self._file.close()
        self._place.finish()
        return [self.path]

    def discard(self) -> None:
        with suppress(OSError):  # a full disk fails again when the rest is flushed
            self._file.close()
        if self.path is not None:
            self._place.discard()


def rounded(value: float, digits: int) -> float | None:
    """For JSON, which knows no NaN."""
    return round(float(value), digits) if math.isfinite(value) else None


def path_from(folder: Path | None, input_image: InputImage) -> str:
    """The image's file seen from a folder (or from here), and a frame's number, or a member's name,
    below it."""
    try:
        # `..` leads out of where a link leads to, not out of the link.
        file = os.path.join(os.path.realpath(input_image.file.parent), input_image.file.name)
        path = os.path.relpath(file, os.path.realpath(folder or ".")).replace(os.sep, "/")
    except ValueError:  # on another drive
        path = input_image.file.as_posix()
    path = name_to_text(path)
    if input_image.member is not None:
        return f"{path}/{name_to_text(input_image.member)}"
    return path if input_image.frame is None else f"{path}/{input_image.frame:06d}"
