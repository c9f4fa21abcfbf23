"""Where the images that a label file names are."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from heatkp.data.readers._common import walk
from heatkp.errors import DataError
from heatkp.text import spellings

LABEL_FOLDERS = ("annotations", "annotation", "labels", "label", "result")
"""Folders of label files, beside the images' folders, as in COCO's own layout."""


class ImageFiles(NamedTuple):
    """A file for each name, or where it would be, and notes as in `Labels`."""

    files: list[Path]
    notes: tuple[str, ...]


class _Listed:
    """Looks for files in folders that are listed once: to ask the disk for each of a hundred
    thousand names in each of several folders takes long."""

    def __init__(self) -> None:
        self._names: dict[str, set[str]] = {}

    @staticmethod
    def _key(name: str) -> str:
        """One for all names that some file system may take for the same."""
        return unicodedata.normalize("NFC", name).casefold()

    def _keys(self, folder: str) -> set[str]:
        names = self._names.get(folder)
        if names is None:
            try:
                names = set(map(self._key, os.listdir(folder or ".")))
            except (OSError, ValueError):
                names = set()
            self._names[folder] = names
        return names

    def first(self, folders: Sequence[str], forms: Iterable[str]) -> Path | None:
        """The first file, of a name in the folders in their order, then of the next name."""
        for form in forms:
            above, name = os.path.split(form)
            key = self._key(name)
            for folder in folders:
                place = os.path.join(folder, above) if above else folder
                if key in self._keys(place) and os.path.isfile(file := os.path.join(place, name)):
                    return Path(file)
        return None


def _by_last_part(root: Path) -> dict[str, list[Path]]:
    """All files below a folder."""
    found: dict[str, list[Path]] = {}
    for folder, files in walk(root, predictions=False):
        for file in files:
            found.setdefault(file, []).append(folder / file)
    return found


def _only(found: list[Path], name: str, place: str, strict: bool) -> Path | None:
    if len(found) > 1 and strict:
        raise DataError(
            f"{place}: image {name!r} could be {found[0]} or {found[1]}: write its folder, too"
        )
    return found[0] if len(found) == 1 else None


def locate(
    source: Path,
    names: Sequence[str],
    places: Iterable[str],
    strict: bool = True,
    folders: Sequence[Path] = (),
) -> ImageFiles:
    """The files of images that a label file names, in the order of the names.

    Looked for beside the file, in `folders`, beside the folder of a file in `annotations/` or
    the like, and then anywhere below: first by all of the name, then by its last part alone,
    for files that came from another machine, which a note counts. Never two names of one file
    in this way. A name is looked for in all its `spellings`. `places` say where the names stand,
    for errors. Where two files would do, raises `DataError`, or takes none if not `strict`.
    """
    up = source.parent.name.lower() in LABEL_FOLDERS
    roots = [source.parent, source.parent.parent] if up else [source.parent]
    listed, near = _Listed(), [str(folder) for folder in (*roots, *folders)]
    below: dict[str, list[Path]] | None = None
    known: dict[str, Path | None] = {}
    moved: dict[str, Path] = {}
    for name, place in zip(names, places):
        if name in known:
            continue
        # On Windows folders are parted by backslashes, too.
        forms = dict.fromkeys([*spellings(name), name.replace("\\", "/")])
        known[name] = listed.first(near, forms)
        if known[name] is None:
            if below is None:  # only where it is needed: there may be many files
                below = _by_last_part(roots[-1])
            ends = list(filter(None, (PurePosixPath(form).parts for form in forms)))
            found = list(dict.fromkeys(p for end in ends for p in below.get(end[-1], [])))
            same = [p for p in found if any(p.parts[-len(end) :] == end for end in ends)]
            known[name] = _only(same, name, place, strict)
            elsewhere = None if same else _only(found, name, place, strict)
            if elsewhere is not None:
                moved[name] = elsewhere
    claims = Counter([*moved.values(), *known.values()])
    moved = {name: file for name, file in moved.items() if claims[file] == 1}
    expected = {name: source.parent / name.replace("\\", "/") for name in known}
    files = [known[name] or moved.get(name) or expected[name] for name in names]
    if not moved:
        return ImageFiles(files, ())
    name, file = next(iter(moved.items()))
    first = f"{len(moved)} images are not where {source.name} says they are ({name}); files of "
    return ImageFiles(files, (f"{first}their names elsewhere are taken ({file})",))
