"""What a reader is, and how one becomes known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from heatkp.data.images import ImageOptions
from heatkp.data.readers._common import files_of_type
from heatkp.data.samples import Labels
from heatkp.registry import READERS

Recognise = Callable[[Path], bool | str]
Read = Callable[[Path, bool, ImageOptions], Labels]
"""Called as read(path, strict, options). Where `strict`, it raises `DataError` for images that
are missing, which else fail when they are asked for. `options` say how images will be read; only
formats whose coordinates are fractions of the image need them."""
R = TypeVar("R", bound=Read)


@dataclass(frozen=True)
class Reader:
    """One format of labels.

    Attributes:
        name: what settings and `--format` call it.
        what: what it is, for lists of formats; Markdown.
        files: the files that are recognised as it, in a few words for messages.
        read: gives a path's labels, see `Read`. Coordinates in pixels, centres on integers.
        recognise: whether a path that exists holds it; where not, perhaps what to do about it.
            It looks at names and a few bytes only.
        priority: readers are asked from the highest down, and the first to say yes is taken.
        boxes: whether samples have boxes.
        unlabelled: how a file says that a point is not labelled; Markdown, empty where it cannot.
        origin: what files call the centre of the first pixel.
        of_size: whether coordinates are fractions of the image, so that it has to be there.
        y_up: whether the format counts y from the image's lower edge; `read` gives it from the
            upper one in any case.
        patterns: whether `recognise` and `read` take paths with braces that name several files,
            as `train-{000..009}.tar`; the path itself then does not exist.
    """

    name: str
    what: str
    files: str
    read: Read = field(repr=False)
    recognise: Recognise = field(repr=False)
    priority: float = 0.0
    boxes: bool = False
    unlabelled: str = ""
    origin: float = 0.0
    of_size: bool = False
    y_up: bool = False
    patterns: bool = False


def one_file(suffix: str, accept: Callable[[Path], bool] = lambda path: True) -> Recognise:
    """Recognises a file whose name ends in `suffix`, or a folder that holds just one such, where
    `accept` takes it."""

    def recognise(path: Path) -> bool | str:
        if not path.is_dir():
            return path.suffix.lower() == suffix and accept(path)
        found = files_of_type(path, suffix)
        if len(found) > 1:
            return f"it holds {len(found)} {suffix} files: give the path of one"
        return bool(found) and accept(found[0])

    return recognise


def reader(
    name: str,
    what: str,
    *,
    suffix: str | None = None,
    recognise: Recognise | None = None,
    files: str | None = None,
    priority: float = 0.0,
    boxes: bool = False,
    unlabelled: str = "",
    origin: float = 0.0,
    of_size: bool = False,
    y_up: bool = False,
    patterns: bool = False,
) -> Callable[[R], R]:
    """Makes a function known as the reader of that format; arguments as in `Reader`.

    Args:
        suffix: of formats that are one file, by whose end they are recognised (lower case, with
            its dot), or by `recognise` where that is given.

    Raises `ExtensionError` where the name is taken, `TypeError` where neither `suffix` nor
    `recognise` is given.
    """
    if recognise is None:
        if suffix is None:
            raise TypeError(f"reader {name!r} needs suffix or recognise")
        recognise = one_file(suffix)
    said = files or f"one {suffix} file"
    recogniser = recognise

    def register(function: R) -> R:
        made = Reader(
            name,
            what,
            said,
            function,
            recogniser,
            priority,
            boxes,
            unlabelled,
            origin,
            of_size,
            y_up,
            patterns,
        )
        READERS.register(name, made, f"{function.__module__}.{function.__qualname__}")
        return function

    return register
