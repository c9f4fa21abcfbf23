"""What is to be predicted: images, folders of them, patterns, videos."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from heatkp.data.exif import orientation, upright
from heatkp.data.images import STORED, Image, ImageOptions, read_stored
from heatkp.data.predicted import made_by_predict
from heatkp.data.readers._common import walk
from heatkp.data.readers.pts import SUFFIXES
from heatkp.data.video_reading import VIDEOS, named_as_video
from heatkp.errors import DataError, HeatkpError
from heatkp.inference import videos
from heatkp.text import name_to_text, one_line, printable

IMAGES = (
    *SUFFIXES, ".gif", ".apng", ".jpe", ".jfif", ".dib", ".pbm", ".pnm", ".jp2", ".j2k", ".avif",
    ".ras", ".sr",
)  # fmt: skip
UNREADABLE = (".heic", ".heif")
"""Phones' images; no library that heatkp uses reads them, and nobody should miss them silently."""
KNOWN = frozenset((*IMAGES, *UNREADABLE, *VIDEOS))
"""Extensions that are looked for in folders, in any case."""
BESIDE = frozenset((
    ".json", ".jsonl", ".xml", ".csv", ".tsv", ".txt", ".pts", ".asf", ".yaml", ".yml", ".mat",
    ".npy", ".npz", ".h5", ".pkl", ".tps", ".xlsx", ".xls", ".md", ".html", ".htm", ".pdf", ".log",
    ".py", ".ipynb", ".db", ".ini", ".xmp", ".aae", ".srt", ".vtt",
))  # fmt: skip
"""Extensions of labels and of what else lies beside images; nobody looks for points there."""
COORDINATES = (
    "pixels of the image as it is seen upright (turned as its EXIF entry says): x to the right, "
    "y down, the centre of the top-left pixel is (0, 0); boxes are edges x0, y0, x1, y1, the "
    "image's own are -0.5, -0.5, width - 0.5, height - 0.5"
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
        return named_as_video(self.path)

    @property
    def is_unknown(self) -> bool:
        """Whether only a look into the file can tell what it is."""
        return self.path.suffix.lower() not in KNOWN or (
            self.path.suffix.lower() in VIDEOS and not self.is_video
        )


class Failure(NamedTuple):
    """Something that was asked for and cannot be done."""

    name: str
    reason: str

    def as_dict(self) -> dict[str, str]:
        """For a table, with the name as `name_to_text` writes it."""
        return {"image": name_to_text(self.name), "reason": printable(self.reason)}


class FoundSources(NamedTuple):
    """What `find_sources` finds.

    Attributes:
        sources: in the order of the arguments, and by name within each.
        failures: arguments that mean nothing.
        left_out: folders of earlier predictions, in which nothing was looked for.
        passed_over: other files in folders that are neither images nor videos by their names,
            nor labels: how many have an extension, and the first of them.
    """

    sources: list[Source]
    failures: list[Failure]
    left_out: list[Path]
    passed_over: dict[str, tuple[int, Path]]


class _Listing:
    """What is met on the way and not taken."""

    def __init__(self) -> None:
        self.left_out: dict[Path, None] = {}
        self.passed_over: dict[str, tuple[int, Path]] = {}

    def takes(self, path: Path) -> bool:
        """Whether a file in a folder is an image or a video by its name."""
        suffix = path.suffix.lower()
        if suffix in VIDEOS and named_as_video(path):
            return True
        if suffix in KNOWN and suffix not in VIDEOS:
            return True
        if suffix not in BESIDE:
            count, first = self.passed_over.get(suffix, (0, path))
            self.passed_over[suffix] = count + 1, first
        return False


@dataclass(frozen=True)
class InputImage:
    """An image, or a frame of a video.

    Attributes:
        name: in the outputs, with folders; a frame's is its video's and its number.
        file: the image's or the video's.
        image: uint8 (H, W, 3) RGB, upright.
        orientation: the EXIF entry of the file, 1 to 8; `image` is turned as it says.
        frame: number in the video, from 0.
        time: of the frame, in seconds.
        rate: frames a second, of those that are looked at.
        pages: of the file, of which this is the first.
    """

    name: str
    file: Path
    image: Image
    orientation: int = 1
    frame: int | None = None
    time: float | None = None
    rate: float | None = None
    pages: int = 1


def images_in(folder: Path) -> list[Path]:
    """The images in a folder and those in it, by name. Raises `DataError` where there is none."""
    found = [s.path for s in find_sources([str(folder)]).sources if not s.is_video]
    if not found:
        raise DataError(f"the folder {folder} holds no image, nor do the folders in it")
    return found


def find_sources(arguments: Sequence[str]) -> FoundSources:
    """The images and videos that paths, folders (with those in them) and patterns mean.

    A file that is there is meant itself, whatever its name. In folders and by patterns, files
    with an extension of `KNOWN` are found, others are counted; no hidden ones, and nothing in
    folders of earlier predictions. A file is taken once. Names are relative to the folder that
    was given, to what comes before a pattern's first wildcard, or to the file's own folder; where
    two would be equal, all are relative to the folder that all have in common.
    """
    looked = _Listing()
    failures: list[Failure] = []
    bases: dict[Path, Path] = {}
    for argument in arguments:
        argument = os.path.expanduser(argument)
        path = Path(os.path.abspath(argument))
        if path.is_dir():
            base, files = path, list(_in_folder(path, path, looked))
            reason = "the folder holds no image and no video, nor do the folders in it"
        elif path.exists():
            base, files, reason = path.parent, [path], ""
        elif glob.has_magic(argument):
            # The folder that we are in is no part of the pattern, whatever its name.
            base = Path(os.path.abspath(_before_wildcards(Path(argument))))
            files = list(_matches(Path(argument), base, looked))
            reason = "no image and no video matches"
        else:
            base, files, reason = path, [], "there is no such file or folder"
        if not files:
            failures.append(Failure(argument, reason))
        for file in files:
            bases.setdefault(file, base)
    names = {file: file.relative_to(base).as_posix() for file, base in bases.items()}
    if max(Counter(n.casefold() for n in names.values()).values(), default=0) > 1:
        names = _names_in_common(list(bases))
    sources = [Source(*item) for item in names.items()]
    return FoundSources(sources, failures, list(looked.left_out), looked.passed_over)


def _names_in_common(files: Sequence[Path]) -> dict[Path, str]:
    try:
        common = Path(os.path.commonpath([file.parent for file in files]))
    except ValueError:  # several drives: their letters become folders
        return {f: f"{f.drive.strip(':')}/{f.relative_to(f.anchor).as_posix()}" for f in files}
    return {file: file.relative_to(common).as_posix() for file in files}


def _in_folder(folder: Path, base: Path, looked: _Listing) -> Iterator[Path]:
    for place, names in walk(folder):
        if not _own_output(place, base, looked.left_out):
            yield from filter(looked.takes, (place / name for name in names))


def _before_wildcards(pattern: Path) -> Path:
    """The folder in which a pattern is looked for."""
    plain = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part):
            break
        plain.append(part)
    return Path(*plain)


def _matches(pattern: Path, base: Path, looked: _Listing) -> Iterator[Path]:
    # Pattern ends in an extension of its own: whatever that matches is meant.
    any_kind = bool(pattern.suffix) and not glob.has_magic(pattern.suffix)
    for match in sorted(glob.glob(os.fspath(pattern), recursive=True)):
        path = Path(os.path.abspath(match))
        if path.is_dir():
            yield from _in_folder(path, base, looked)
        elif not _own_output(path.parent, base, looked.left_out) and (
            any_kind or looked.takes(path)
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


def read_images(
    sources: Sequence[Source], every: int = 1, options: ImageOptions = STORED
) -> Iterator[InputImage | Failure]:
    """The images, and every so many frames of videos and animated images, one at a time.

    `options` are the model's; images are upright in any case.
    A file that cannot be read becomes a `Failure`, and the next ones follow.
    """
    for source in sources:
        try:
            yield from _images_of(source, every, options)
        except HeatkpError as error:
            yield Failure(source.name, str(error).removeprefix(f"{source.path} "))
        except (OSError, MemoryError, cv2.error) as error:
            reason = getattr(error, "err", None) or getattr(error, "strerror", None) or error
            yield Failure(source.name, f"cannot be read ({reason or 'too large'})")


def _images_of(source: Source, every: int, options: ImageOptions) -> Iterator[InputImage]:
    suffix = source.path.suffix.lower()
    if source.is_video and (suffix in videos.JPEGS or not videos.begins_as_image(source.path)):
        yield from _frames(source, videos.frames(source.path, every))
        return
    if suffix in videos.ANIMATIONS and videos.image_count(source.path) > 1:
        yield from _frames(source, videos.animation(source.path, every))
        return
    try:
        yield _still(source, options)
    except DataError as error:
        if source.path.suffix.lower() in UNREADABLE or not source.path.is_file():
            raise
        if videos.begins_as_image(source.path):
            raise
        yield from _tried(source, every, error)


def _tried(source: Source, every: int, error: DataError) -> Iterator[InputImage]:
    """The frames of a file that is no image, whatever its name. Raises `error`, or says that it is
    nothing else either, where it has none."""
    found = _frames(source, videos.frames(source.path, every))
    try:
        first = next(found)
    except (StopIteration, DataError):
        if not source.is_unknown:
            raise error from None
        raise DataError(f"{source.path} is neither an image nor a video that can be read") from None
    yield first
    yield from found


def _still(source: Source, options: ImageOptions) -> InputImage:
    try:
        image, code = read_stored(source.path, options.intensity)
    except DataError:
        if source.path.suffix.lower() in UNREADABLE:
            raise DataError(
                f"{source.path} is a HEIC image, which heatkp cannot read: convert it to JPEG"
            ) from None
        raise
    tiff = source.path.suffix.lower() in (".tif", ".tiff")
    pages = videos.image_count(source.path) if tiff else 1
    image = np.ascontiguousarray(upright(image, code))
    return InputImage(source.name, source.path, image, code, pages=pages)


def _frames(source: Source, frames: Iterator[videos.Frame]) -> Iterator[InputImage]:
    code = orientation(source.path)
    for frame in frames:
        image = np.ascontiguousarray(upright(frame.image, code))
        name = f"{source.name}/{frame.number:06d}"
        yield InputImage(
            name, source.path, image, code, frame.number, time=frame.time, rate=frame.rate
        )


def image_count(source: Source, every: int = 1) -> int:
    """How many images a source seems to hold; for a video, as its header says."""
    if source.is_video:
        return -(-videos.frame_count(source.path) // every)
    if source.path.suffix.lower() in videos.ANIMATIONS:
        return -(-videos.image_count(source.path) // every)
    return 1


def passed_over_note(passed_over: Mapping[str, tuple[int, Path]]) -> str:
    """A line about files that were not looked at; empty where there are none."""
    if not passed_over:
        return ""
    ranked = sorted(passed_over.items(), key=lambda item: -item[1][0])
    counts = ", ".join(f"{count} {suffix or 'without extension'}" for suffix, (count, _) in ranked)
    first = one_line(str(ranked[0][1][1]))
    return (
        f"passed over, by their names no images or videos: {counts}, such as {first}; a file that "
        "is named itself is tried"
    )
