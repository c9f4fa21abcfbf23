"""What is to be predicted: images, folders of them, patterns, videos, tars."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np

from heatkp.data.exif import orientation, upright
from heatkp.data.frame_range import EVERY_FRAME, FrameRange
from heatkp.data.images import STORED, Image, ImageOptions, read_stored
from heatkp.data.video_reading import VIDEOS, named_as_video
from heatkp.errors import DataError, HeatkpError
from heatkp.inference import tars, videos
from heatkp.inference.arguments import common_folder
from heatkp.inference.listing import IMAGES, KNOWN, NOTHING_THERE, UNREADABLE, Listing, resolved
from heatkp.text import name_to_text, one_line, printable

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
    def is_tar(self) -> bool:
        return tars.named_as_tar(self.path)

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


@dataclass(frozen=True)
class InputImage:
    """An image, a frame of a video, or a member of a tar.

    Attributes:
        name: in the outputs, with folders; a frame's is its video's and its number, a member's
            its tar's and its own.
        file: the image's, the video's or the tar's.
        image: uint8 (H, W, 3) RGB, upright.
        orientation: the EXIF entry of the file, 1 to 8; `image` is turned as it says.
        frame: number in the video, from 0.
        time: of the frame, in seconds.
        rate: frames a second, of those that are looked at.
        pages: of the file, of which this is the first.
        member: what it is called in its tar.
    """

    name: str
    file: Path
    image: Image
    orientation: int = 1
    frame: int | None = None
    time: float | None = None
    rate: float | None = None
    pages: int = 1
    member: str | None = None

    @property
    def is_contained(self) -> bool:
        """Whether its file holds other images beside it."""
        return self.frame is not None or self.member is not None


def images_in(folder: Path) -> list[Path]:
    """The images in a folder and those in it, by name. Raises `DataError` where there is none."""
    found = [s.path for s in find_sources([str(folder)]).sources if not (s.is_video or s.is_tar)]
    if not found:
        raise DataError(f"the folder {folder} holds no image, nor do the folders in it")
    return found


def find_sources(arguments: Sequence[str], listed: Iterable[str] = ()) -> FoundSources:
    """The images, videos and tars that paths, folders (with those in them) and patterns mean.

    A file that is there is meant itself, whatever its name. In folders and by patterns, files
    with an extension of `KNOWN` are found, others are counted; no hidden ones, and nothing in
    folders of earlier predictions. A file is taken once. Names are relative to the folder that
    was given, to what comes before a pattern's first wildcard, or to the file's own folder; where
    two would be equal, all are relative to the folder that all have in common.

    Args:
        arguments: patterns may have braces, too, as in `data-{000..009}.tar`.
        listed: absolute paths of files, whatever their names, beside the arguments; their names
            are relative to the folder that they have in common.
    """
    looked = Listing()
    failures: list[Failure] = []
    bases: dict[Path, Path] = {}
    for argument, base, files, reason in resolved(arguments, looked):
        empty = True
        for file in files:
            bases.setdefault(file, base)
            empty = False
        if empty:
            failures.append(Failure(argument, reason))
    paths = [Path(path) for path in listed]
    common = Path(common_folder(os.fspath(path.parent) for path in paths) or os.sep)
    for path in paths:
        if path.exists():
            bases.setdefault(path, common)
        else:
            failures.append(Failure(os.fspath(path), NOTHING_THERE))
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


def read_images(
    sources: Sequence[Source],
    every: int = 1,
    options: ImageOptions = STORED,
    frames: FrameRange = EVERY_FRAME,
) -> Iterator[InputImage | Failure]:
    """The images, and every so many frames of videos and animated images, one at a time.

    `options` are the model's; images are upright in any case. `frames` are those of videos that
    are looked at.
    A file that cannot be read becomes a `Failure`, and the next ones follow.
    """
    for source in sources:
        yield from images_of(source, every, options, frames=frames)


def images_of(
    source: Source,
    every: int = 1,
    options: ImageOptions = STORED,
    start: int = 0,
    frames: FrameRange = EVERY_FRAME,
) -> Iterator[InputImage | Failure]:
    """`read_images` of one file. With `start`, so many of what it would give, failures too, are
    left out at the beginning; images of a tar are not decoded for that."""
    return islice(
        _all_of(source, replace(frames, every=frames.every * every), options, start), start, None
    )


def _all_of(
    source: Source, chosen: FrameRange, options: ImageOptions, start: int
) -> Iterator[InputImage | Failure]:
    """At least one; those before `start` may be anything."""
    try:
        yield from _images_of(source, chosen, options, start)
    except HeatkpError as error:
        yield Failure(source.name, str(error).removeprefix(f"{source.path} "))
    except (OSError, MemoryError, cv2.error) as error:
        reason = getattr(error, "err", None) or getattr(error, "strerror", None) or error
        yield Failure(source.name, f"cannot be read ({reason or 'too large'})")


def _images_of(
    source: Source, chosen: FrameRange, options: ImageOptions, start: int
) -> Iterator[InputImage | Failure]:
    suffix = source.path.suffix.lower()
    if source.is_tar:
        yield from _members(source, options, start)
        return
    if source.is_video and (suffix in videos.JPEGS or not videos.begins_as_image(source.path)):
        yield from _frames(source, videos.frames(source.path, chosen=chosen))
        return
    if suffix in videos.ANIMATIONS and videos.image_count(source.path) > 1:
        yield from _frames(source, videos.animation(source.path, chosen=chosen))
        return
    try:
        image = _still(source, options)
    except DataError as error:
        if source.path.suffix.lower() in UNREADABLE or not source.path.is_file():
            raise
        if videos.begins_as_image(source.path):
            raise
        yield from _tried(source, chosen, error)
        return
    yield image


def _members(source: Source, options: ImageOptions, start: int) -> Iterator[InputImage | Failure]:
    """A tar's images; those that cannot be used are named, and the next ones follow."""
    for number, member in enumerate(tars.members(source.path, _is_image)):
        name = f"{source.name}/{member.name}"
        if number < start:
            yield Failure(name, "left out")
            continue
        try:
            image, code = tars.decoded(member, options.intensity)
        except (DataError, cv2.error) as error:
            yield Failure(name, str(error))
            continue
        image = np.ascontiguousarray(upright(image, code))
        yield InputImage(name, source.path, image, code, member=member.name)


def _is_image(name: str) -> bool:
    stem, suffix = os.path.splitext(name.rpartition("/")[2])
    return suffix.lower() in (*IMAGES, *UNREADABLE) and not stem.startswith(".")


def _tried(source: Source, chosen: FrameRange, error: DataError) -> Iterator[InputImage]:
    """The frames of a file that is no image, whatever its name. Raises `error`, or says that it is
    nothing else either, where it has none."""
    found = _frames(source, videos.frames(source.path, chosen=chosen))
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


def image_count(source: Source, every: int = 1, frames: FrameRange = EVERY_FRAME) -> int:
    """How many images a source seems to hold; for a video, as its header says."""
    chosen = replace(frames, every=frames.every * every)
    if source.is_video:
        return chosen.count(videos.frame_count(source.path))
    if source.path.suffix.lower() in videos.ANIMATIONS:
        count = videos.image_count(source.path)
        return chosen.count(count) if count > 1 else 1
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
