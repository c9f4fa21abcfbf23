"""Which tars a path means, the split that each is, and the samples that a tar holds."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from heatkp.data.braces import expand_braces
from heatkp.data.images import IMAGE_SUFFIXES
from heatkp.data.readers._common import files_of_type, is_pattern, natural
from heatkp.data.readers._splits import SPLIT_FOLDERS, split_of
from heatkp.data.tar_index import Member, tar_members
from heatkp.data.tars import forget
from heatkp.errors import DataError
from heatkp.text import one_line

SKELETON = "skeleton.json"
"""The file beside tars that says what points there are."""
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")
_KEY = re.compile(r"((?:.*/)?[^./][^./]*)\.([^/]*)", re.DOTALL)
"""webdataset's: a sample's key is a member's name up to the first dot after the last slash."""


class Shard(NamedTuple):
    """A tar, what messages and ids call it, and the part of the split that it is."""

    path: Path
    name: str
    split: str | None = None


def _tars_in(folder: Path) -> list[Shard]:
    found = files_of_type(folder, ".tar")
    found.sort(key=lambda path: natural(path.name))
    return [Shard(path, path.stem, split_of(path.stem)) for path in found]


def find_shards(path: Path) -> list[Shard]:
    """The tars that a path means: itself; those that a pattern with braces names; those right in a
    folder or, without such, in its folders `train`, `val` and `test`. Empty where there are none.

    The split is that of a tar's folder or name, where tars are of several. Raises `DataError` for
    a pattern of which a file is missing.
    """
    if is_pattern(path):
        files = [Path(name) for name in expand_braces(str(path))]
        missing = [file for file in files if not file.is_file()]
        if missing:
            raise DataError(
                f"{missing[0]} does not exist ({len(missing)} of the {len(files)} files that "
                f"{path} names are missing)"
            )
        shards = [Shard(file, file.stem, split_of(file.stem)) for file in files]
    elif not path.is_dir():
        shards = [Shard(path, path.stem)] if path.suffix.lower() == ".tar" else []
    else:
        shards = _tars_in(path)
        inner = [] if shards else sorted(p for p in path.iterdir() if p.is_dir())
        for folder in inner:
            if folder.name.lower() in SPLIT_FOLDERS:
                split = split_of(folder.name)
                own = [s._replace(split=split, name=f"{folder.name}/{s.name}")
                       for s in _tars_in(folder)]  # fmt: skip
                shards += own
    if len({shard.split for shard in shards}) < 2:
        shards = [shard._replace(split=None) for shard in shards]
    return shards


def recognise_shards(path: Path) -> bool | str:
    """As `Reader.recognise`."""
    if path.name.lower().endswith(COMPRESSED):
        return f"{path.name} is compressed, and images in a tar are read at their places: unpack it"
    if is_pattern(path):  # what is missing, reading tells
        return path.name.lower().endswith(".tar")
    return bool(find_shards(path))


def skeleton_file(path: Path, shards: list[Shard]) -> Path | None:
    """The file that says what points there are: in the folder, or beside the first tar."""
    folders = [path] if path.is_dir() else []
    found = (folder / SKELETON for folder in [*folders, shards[0].path.parent])
    return next((file for file in found if file.is_file()), None)


@dataclass
class Entry:
    """The members of a tar that are one sample."""

    labels: Member | None = None
    image: Member | None = None


@dataclass
class Content:
    """What a tar holds.

    Attributes:
        entries: by key, in the order of their first members.
        others: how many members are neither image nor labels, by extension.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    others: Counter[str] = field(default_factory=Counter)


def content_of(tar: Path) -> Content:
    """The samples of a tar. Raises `DataError` for what `tar_members` refuses, and for members, or
    images of a key, that are there twice."""
    forget(tar)
    content, names = Content(), set[str]()
    for member in tar_members(tar):
        match = _KEY.fullmatch(member.name)
        if match is None:  # hidden files, and such without extension
            content.others["no extension"] += 1
            continue
        if member.name in names:
            raise DataError(f"the tar {tar} holds {one_line(member.name)} twice")
        names.add(member.name)
        suffix = "." + match[2].lower()
        if suffix != ".json" and suffix not in IMAGE_SUFFIXES:
            content.others[one_line(suffix)] += 1
            continue
        entry = content.entries.setdefault(match[1], Entry())
        if suffix == ".json":
            _require_one(tar, entry.labels, member)
            entry.labels = member
        else:
            _require_one(tar, entry.image, member)
            entry.image = member
    return content


def _require_one(tar: Path, known: Member | None, member: Member) -> None:
    if known is not None:
        raise DataError(
            f"the tar {tar} holds {one_line(known.name)} and {one_line(member.name)}, two for one "
            "sample: what comes before the first dot of a name is a sample's key"
        )
