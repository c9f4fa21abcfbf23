"""What is to be predicted: photos, folders of them, patterns, videos."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from heatkp.data.exif import upright
from heatkp.data.images import STORED, Image, ImageOptions, read_stored
from heatkp.data.readers.common import walk
from heatkp.data.readers.pts import PICTURES
from heatkp.errors import DataError, HeatkpError
from heatkp.files import made_by_predict

VIDEOS = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".gif")
UNREADABLE = (".heic", ".heif")
"""Phones' photos; no library that heatkp uses reads them, and nobody should miss them silently."""
KNOWN = (*PICTURES, ".jp2", ".avif", *UNREADABLE, *VIDEOS)
"""Extensions that are looked for in folders, in any case."""
COORDINATES = (
    "pixels of the picture as it is seen upright (turned as its EXIF entry says): x to the right, "
    "y down, the centre of the top-left pixel is (0, 0); boxes are edges x0, y0, x1, y1, the "
    "picture's own are -0.5, -0.5, width - 0.5, height - 0.5"
)


class Source(NamedTuple):
    """A file to look at.

    Attributes:
        path: where it is, absolute.
        name: what it is called in the outputs: with folders, separated by slashes; distinct.
    """

    path: Path
    name: str

    @property
    def is_video(self) -> bool:
        return self.path.suffix.lower() in VIDEOS


class Fault(NamedTuple):
    """Something that was asked for and cannot be done."""

    name: str
    reason: str


class Found(NamedTuple):
    """What `find_sources` finds.

    Attributes:
        sources: in the order of the arguments, and by name within each.
        faults: arguments that mean nothing.
        left_out: folders of earlier predictions, in which nothing was looked for.
    """

    sources: list[Source]
    faults: list[Fault]
    left_out: list[Path]


@dataclass(frozen=True)
class Picture:
    """A photo, or a frame of a video.

    Attributes:
        name: in the outputs, with folders; a frame's is its video's and its number.
        file: the photo's or the video's.
        image: uint8 (H, W, 3) RGB, upright.
        orientation: the EXIF entry of the file, 1 to 8; `image` is turned as it says.
        frame: number in the video, from 0.
        time: of the frame, in seconds.
        rate: frames a second, of those that are looked at.
    """

    name: str
    file: Path
    image: Image
    orientation: int = 1
    frame: int | None = None
    time: float | None = None
    rate: float | None = None


def find_sources(arguments: Sequence[str]) -> Found:
    """The pictures and videos that paths, folders (with those in them) and patterns mean.

    A file that is there is meant itself, whatever its name. In folders and by patterns, files
    with an extension of `KNOWN` are found, no hidden ones, and nothing in folders of earlier
    predictions. A file is taken once. Names are relative to the folder that was given, to what
    comes before a pattern's first wildcard, or to the file's own folder; where two would be
    equal, all are relative to the folder that all have in common.
    """
    left_out: dict[Path, None] = {}
    faults: list[Fault] = []
    bases: dict[Path, Path] = {}
    for argument in arguments:
        argument = os.path.expanduser(argument)
        path = Path(os.path.abspath(argument))
        if path.is_dir():
            base, files = path, list(_in_folder(path, path, left_out))
            reason = "the folder holds no picture and no video, nor do the folders in it"
        elif path.exists():
            base, files, reason = path.parent, [path], ""
        elif glob.has_magic(argument):
            # The folder that we are in is no part of the pattern, whatever its name.
            base = Path(os.path.abspath(_before_wildcards(Path(argument))))
            files = list(_matches(Path(argument), base, left_out))
            reason = "no picture and no video matches"
        else:
            base, files, reason = path, [], "there is no such file or folder"
        if not files:
            faults.append(Fault(argument, reason))
        for file in files:
            bases.setdefault(file, base)
    names = {file: file.relative_to(base).as_posix() for file, base in bases.items()}
    if max(Counter(n.casefold() for n in names.values()).values(), default=0) > 1:
        names = _names_in_common(list(bases))
    return Found([Source(*item) for item in names.items()], faults, list(left_out))


def _names_in_common(files: Sequence[Path]) -> dict[Path, str]:
    try:
        common = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:  # several drives: their letters become folders
        return {f: f"{f.drive.strip(':')}/{f.relative_to(f.anchor).as_posix()}" for f in files}
    return {file: file.relative_to(common).as_posix() for file in files}


def _in_folder(folder: Path, base: Path, left_out: dict[Path, None]) -> Iterator[Path]:
    for place, names in walk(folder):
        if _own_output(place, base, left_out):
            continue
        for name in names:
            if Path(name).suffix.lower() in KNOWN:
                yield place / name


def _before_wildcards(pattern: Path) -> Path:
    """The folder in which a pattern is looked for."""
    plain = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    return Path(*plain)


def _matches(pattern: Path, base: Path, left_out: dict[Path, None]) -> Iterator[Path]:
    # Pattern ends in an extension of its own: whatever that matches is meant.
    any_kind = bool(pattern.suffix) and not glob.has_magic(pattern.suffix)
    for match in sorted(glob.glob(os.fspath(pattern), recursive=True)):
        path = Path(os.path.abspath(match))
        if path.is_dir():
            yield from _in_folder(path, base, left_out)
        elif (any_kind or path.suffix.lower() in KNOWN) and not _own_output(
            path.parent, base, left_out
        ):
            yield path


def _own_output(folder: Path, base: Path, left_out: dict[Path, None]) -> bool:
    """Whether a folder below `base`, or one that it is in, was made by a prediction."""
    for place in (folder, *folder.parents):
        if place == base or place == place.parent:
            return False
        if place in left_out:
            return True
        if made_by_predict(place):
            left_out[place] = None
            return True
    return False


def read_pictures(
    sources: Sequence[Source], every: int = 1, options: ImageOptions = STORED
) -> Iterator[Picture | Fault]:
    """The photos, and every so many frames of the videos, one at a time.

    `options` are the model's; images are upright in any case.
    A file that cannot be read becomes a `Fault`, and the next ones follow.
    """
    for source in sources:
        try:
            if source.is_video:
                yield from _frames(source, every)
            else:
                yield _photo(source, options)
        except HeatkpError as error:
            yield Fault(source.name, str(error).removeprefix(f"{source.path} "))
        except (OSError, MemoryError, cv2.error) as error:
            reason = getattr(error, "err", None) or getattr(error, "strerror", None) or error
            yield Fault(source.name, f"cannot be read ({reason or 'too large'})")


def _photo(source: Source, options: ImageOptions) -> Picture:
    try:
        image, code = read_stored(source.path, options.intensity)
    except DataError:
        if source.path.suffix.lower() in UNREADABLE:
            raise DataError(
                f"{source.path} is a HEIC photo, which heatkp cannot read: convert it to JPEG"
            ) from None
        raise
    image = np.ascontiguousarray(upright(image, code))
    return Picture(source.name, source.path, image, code)


def frame_count(source: Source, every: int = 1) -> int:
    """How many pictures a source seems to hold; for a video, as its header says."""
    if not source.is_video:
        return 1
    capture = cv2.VideoCapture(os.fspath(source.path))
    try:
        return max(1, -(-int(capture.get(cv2.CAP_PROP_FRAME_COUNT)) // every))
    finally:
        capture.release()


def _frames(source: Source, every: int) -> Iterator[Picture]:
    """Raises `DataError` for what is no video, and at the end of one that was cut off."""
    if not source.path.is_file():
        raise DataError(f"{source.path} is not a file")
    capture = cv2.VideoCapture(os.fspath(source.path))
    try:
        rate = capture.get(cv2.CAP_PROP_FPS)
        rate = rate if 0 < rate < 1000 else 25.0
        stated = capture.get(cv2.CAP_PROP_FRAME_COUNT)
        number = 0
        while capture.grab():
            if number % every == 0:
                good, image = capture.retrieve()
                if not good:
                    break
                # 0 where the file gives no times
                time = capture.get(cv2.CAP_PROP_POS_MSEC) / 1000 or number / rate
                yield Picture(
                    f"{source.name}/{number:06d}",
                    source.path,
                    np.ascontiguousarray(image[:, :, ::-1]),
                    frame=number,
                    time=time,
                    rate=rate / every,
                )
            number += 1
    finally:
        capture.release()
    if number == 0:
        raise DataError(f"{source.path} is not a video that can be read (damaged, or none)")
    if number < 0.9 * stated:
        raise DataError(
            f"{source.path} ends after {number} of the {stated:.0f} frames that it announces: "
            "cut off? What it holds was looked at"
        )
