"""Images of label sets: put into a folder, copied, linked, or left where they are."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple

import cv2

from heatkp.data.checks.sizes import Header, header_of, read_header
from heatkp.data.images import Image
from heatkp.data.samples import InMemory, Sample
from heatkp.data.writers._base import LabelWriter, ToPlace
from heatkp.errors import DataError, SettingsError
from heatkp.files import Names, reason
from heatkp.text import name_to_text, one_line

Placing = Literal["copy", "link", "refer"]
PLACINGS: tuple[Placing, ...] = ("copy", "link", "refer")
"""Copied; linked (symbolic links, which tools follow and archives do not); left where they are,
so that label files hold paths that lead out of the folder."""


class Placed(NamedTuple):
    """An image's name as label files hold it, its file, and its size (W, H)."""

    name: str
    file: Path
    size: tuple[int, int]


class Origin(NamedTuple):
    """Where an image comes from.

    Attributes:
        file: its own, as it is stored; None for what is in memory or one image of several in a
            file, as frames of videos are.
        size: width and height of the image as points refer to it; None where only `pixels` tell.
        turned: whether points refer to the upright image and the file is stored turned (EXIF).
        pixels: gives the image as points refer to it.
        content: gives the bytes of its image file, where that lies in a tar and `file` is None.
        name: what it is called there.
    """

    file: Path | None
    size: tuple[int, int] | None
    turned: bool
    pixels: Callable[[], Image]
    content: Callable[[], bytes] | None = None
    name: str = ""


def key_of(sample: Sample) -> object:
    """Equal for samples of one image."""
    if sample.file is not None:
        return sample.image_name
    if sample.frame is not None and sample.video is not None:
        return sample.video, sample.frame
    return id(sample.image.image if isinstance(sample.image, InMemory) else sample.image)


def origin_of(sample: Sample) -> Origin:
    """Where a sample's image comes from; its size by the file's header. Raises `DataError` for
    a file that does not exist."""
    if sample.file is None or not sample.has_image_file:
        return Origin(None, None, False, sample.rgb)
    if sample.image_part:
        found = of_file(sample.file, header_of(sample), sample.options.orient, sample.rgb)
        return found._replace(file=None, content=partial(_content, sample), name=sample.image_part)
    if not sample.file.is_file():
        raise DataError(f"the image {sample.file} does not exist; put it there")
    return of_file(sample.file, read_header(sample.file), sample.options.orient, sample.rgb)


def _content(sample: Sample) -> bytes:
    with sample.open() as file:
        return file.read()


def of_file(
    file: Path, header: Header | None, upright: bool, pixels: Callable[[], Image]
) -> Origin:
    """An image file, of which points refer to the pixels upright or as stored."""
    if header is None:
        return Origin(file, None, False, pixels)
    return Origin(file, header.seen(upright), upright and header.orientation != 1, pixels)


def common_names(files: Sequence[Path]) -> dict[Path, str]:
    """Each file's name with its folders below the one that all have in common."""
    if not files:
        return {}
    whole = {file: Path(os.path.abspath(file)) for file in files}
    try:
        common = Path(os.path.commonpath([file.parent for file in whole.values()]))
    except ValueError:  # several drives
        return {file: file.name for file in whole}
    return {file: path.relative_to(common).as_posix() for file, path in whole.items()}


def _plain(path: str) -> str:
    """A path of names that any system and tool takes: no backslash, nothing that leads up."""
    parts = [one_line(part).replace("\\", "_") for part in path.split("/")]
    return "/".join(part for part in parts if part not in ("", ".", ".."))


@dataclass
class Placer:
    """Puts images into a folder, each under a name of its own.

    Args:
        folder: where they are put now.
        target: where the folder will be: paths that lead out of it start there.
        writer: says where images go.
        how: frames of videos and images in memory are written as PNG, however.

    Attributes:
        turned: how many images were written anew, upright, for their files are stored turned.
        drawn: how many were written as PNG, for they had no file.
        other: how many were written as PNG, for the tool does not take files of their kind.
        left_turned: how many are linked or left that are stored turned and labelled upright.
    """

    folder: Path
    target: Path
    writer: LabelWriter
    how: Placing = "copy"
    turned: int = 0
    drawn: int = 0
    other: int = 0
    left_turned: int = 0
    _names: Names = field(default_factory=Names)
    _videos: dict[str, str] = field(default_factory=dict)
    _video_names: Names = field(default_factory=Names)
    _count: int = 0

    def __post_init__(self) -> None:
        if self.how not in PLACINGS:
            raise SettingsError(f"images are placed by {', '.join(PLACINGS)}, not {self.how!r}")
        if self.how != "copy" and self.writer.packed:
            raise SettingsError(
                f"{self.writer.name} holds the images in files of its own: they cannot be linked "
                "or left where they are, leave out --images"
            )
        if self.how == "refer" and self.writer.beside:
            raise SettingsError(
                f"{self.writer.name} finds label files by where images lie: copy or link them "
                "(--images)"
            )

    def place(
        self,
        origin: Origin,
        name: str,
        split: str | None = None,
        video: str | None = None,
        frame: int | None = None,
    ) -> Placed:
        """Put one image; `name` as in `ToPlace`. Raises `DataError`, `OSError`."""
        if origin.file is not None and self.how == "refer":
            self.left_turned += origin.turned
            start = os.path.realpath(self.target.parent)
            real = os.path.join(os.path.realpath(origin.file.parent), origin.file.name)
            path = os.path.relpath(real, os.path.join(start, self.target.name))
            seen = origin.size or _size(origin.pixels())
            return Placed(name_to_text(path.replace(os.sep, "/")), origin.file, seen)
        stem, suffix = os.path.splitext(name)
        taken = self.writer.suffixes
        stored = origin.file is not None or origin.content is not None
        unknown = stored and taken is not None and suffix.lower() not in taken
        whole = self.how == "copy" or origin.file is None
        anew = not stored or unknown or (whole and origin.turned)
        if video is not None and frame is not None and not stored:
            stem = f"{self._video(video)}/{frame:06d}"
        elif not suffix:
            stem = name
        suffix = ".png" if anew else suffix
        wanted = ToPlace(_plain(stem + suffix), split, video, frame, self._count)
        self._count += 1
        placed = self._claim(self.writer.place(wanted))
        path_there = self.folder / placed
        size = origin.size
        if self.writer.packed and not anew and origin.file is not None:
            return Placed(placed, origin.file, size or _size(origin.pixels()))
        path_there.parent.mkdir(parents=True, exist_ok=True)
        if anew:
            pixels = origin.pixels()
            size = _size(pixels)
            path_there.write_bytes(cv2.imencode(".png", pixels[:, :, ::-1])[1].tobytes())
            self.turned += origin.turned
            self.other += unknown
            self.drawn += not stored
        elif origin.content is not None:
            path_there.write_bytes(origin.content())
        elif origin.file is not None:
            self.left_turned += origin.turned
            self._bring(origin.file, path_there)
        return Placed(placed, path_there, size or _size(origin.pixels()))

    def _claim(self, path: str) -> str:
        stem, suffix = os.path.splitext(path)
        if self.writer.beside:
            return self._names.claim(stem, "") + suffix
        return self._names.claim(stem, suffix)

    def _video(self, video: str) -> str:
        """A folder's name for a video; others for others."""
        if video not in self._videos:
            stem = _plain(os.path.splitext(video.replace("\\", "/").rpartition("/")[2])[0])
            self._videos[video] = self._video_names.claim(stem or "video", "")
        return self._videos[video]

    def _bring(self, file: Path, target: Path) -> None:
        if self.how == "copy":
            shutil.copyfile(file, target)
            return
        try:
            target.symlink_to(os.path.realpath(file))
        except OSError as error:
            raise SettingsError(
                f"{file} cannot be linked here ({reason(error)}): copy images instead"
            ) from None

    def notes(self) -> list[str]:
        """A line for each kind of image that is not as it was."""
        return [
            f"{text}: {count}"
            for count, text in (
                (self.drawn, "images of videos or in memory, written as PNG files"),
                (
                    self.other,
                    f"images of kinds that {self.writer.name} does not take, written as PNG files",
                ),
                (self.turned, "images stored turned (EXIF), written anew, upright, as PNG files"),
                (
                    self.left_turned,
                    "images stored turned (EXIF) and labelled upright: read them with "
                    "data.orient=true",
                ),
            )
            if count
        ]


def _size(pixels: Image) -> tuple[int, int]:
    height, width = pixels.shape[:2]
    return width, height
