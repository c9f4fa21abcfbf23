"""Where files to predict on are looked for: folders, patterns, braces."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from heatkp.data.braces import expand_braces, has_braces
from heatkp.data.images import IMAGE_SUFFIXES
from heatkp.data.predicted import made_by_predict
from heatkp.data.readers._common import walk
from heatkp.data.video_reading import VIDEOS, named_as_video
from heatkp.inference import tars

IMAGES = IMAGE_SUFFIXES
UNREADABLE = (".heic", ".heif")
"""Phones' images; no library that heatkp uses reads them, and nobody should miss them silently."""
KNOWN = frozenset((*IMAGES, *UNREADABLE, *VIDEOS, *tars.TARS))
"""Extensions that are looked for in folders, in any case."""
BESIDE = frozenset((
    ".json", ".jsonl", ".xml", ".csv", ".tsv", ".txt", ".pts", ".asf", ".yaml", ".yml", ".mat",
    ".npy", ".npz", ".h5", ".pkl", ".tps", ".xlsx", ".xls", ".md", ".html", ".htm", ".pdf", ".log",
    ".py", ".ipynb", ".db", ".ini", ".xmp", ".aae", ".srt", ".vtt",
))  # fmt: skip
"""Extensions of labels and of what else lies beside images; nobody looks for points there."""
NOTHING_THERE = "there is no such file or folder"


class Listing:
    """What is met on the way and not taken."""

    def __init__(self) -> None:
        self.left_out: dict[Path, None] = {}
        self.passed_over: dict[str, tuple[int, Path]] = {}

    def takes(self, path: Path) -> bool:
        """Whether a file in a folder is an image, a video or a tar by its name."""
        suffix = path.suffix.lower()
        if suffix in VIDEOS and named_as_video(path):
            return True
        if (suffix in KNOWN and suffix not in VIDEOS) or tars.named_as_tar(path):
            return True
        if suffix not in BESIDE:
            count, first = self.passed_over.get(suffix, (0, path))
            self.passed_over[suffix] = count + 1, first
        return False


InFolder = Callable[[Path, Path, "Listing"], Iterator[Path]]
"""Gives the files in a folder that are looked for, below the base of an argument."""


def resolved(
    arguments: Sequence[str], looked: Listing, in_folder: InFolder | None = None
) -> Iterator[tuple[str, Path, Iterator[Path], str]]:
    """Each argument, the folder that names of its files are relative to, its files, and what is
    wrong where there is none."""
    in_folder = in_folder or _in_folder
    for typed in arguments:
        argument = os.path.expanduser(typed)
        path = Path(os.path.abspath(argument))
        if path.is_dir():
            reason = "the folder holds no image and no video, nor do the folders in it"
            yield argument, path, in_folder(path, path, looked), reason
        elif path.exists():
            yield argument, path.parent, iter([path]), ""
        elif has_braces(argument):
            base = Path(os.path.abspath(_before_wildcards(Path(argument))))
            for one in expand_braces(argument):
                for part, _, files, reason in resolved([one], looked, in_folder):
                    yield part, base, files, reason
        elif glob.has_magic(argument):
            # The folder that we are in is no part of the pattern, whatever its name.
            base = Path(os.path.abspath(_before_wildcards(Path(argument))))
            files = _matches(Path(argument), base, looked, in_folder)
            yield argument, base, files, "no image and no video matches"
        else:
            yield argument, path, iter(()), NOTHING_THERE


def _in_folder(folder: Path, base: Path, looked: Listing) -> Iterator[Path]:
    for place, names in walk(folder):
        if not own_output(place, base, looked.left_out):
            yield from filter(looked.takes, (place / name for name in names))


def _before_wildcards(pattern: Path) -> Path:
    """The folder in which a pattern is looked for."""
    plain = []
    for part in pattern.parts[:-1]:
        if glob.has_magic(part) or has_braces(part):
            break
        plain.append(part)
    return Path(*plain)


def _matches(pattern: Path, base: Path, looked: Listing, in_folder: InFolder) -> Iterator[Path]:
    # Pattern ends in an extension of its own: whatever that matches is meant.
    any_kind = bool(pattern.suffix) and not glob.has_magic(pattern.suffix)
    for match in sorted(glob.glob(os.fspath(pattern), recursive=True)):
        path = Path(os.path.abspath(match))
        if path.is_dir():
            yield from in_folder(path, base, looked)
        elif not own_output(path.parent, base, looked.left_out) and (
            any_kind or looked.takes(path)
        ):
            yield path


def own_output(folder: Path, base: Path, left_out: dict[Path, None]) -> bool:
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
