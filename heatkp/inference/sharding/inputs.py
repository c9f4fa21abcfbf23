"""The inputs of one shard, found without holding those of all others in memory."""

from __future__ import annotations

import os
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from heatkp.errors import DataError
from heatkp.inference.arguments import PathList, common_folder
from heatkp.inference.listing import IMAGES, Listing, own_output, resolved
from heatkp.inference.sharding.shard import Names, Shard, digest_of
from heatkp.inference.sources import Source
from heatkp.text import name_to_text, text_to_name

_PLAIN = frozenset(IMAGES)


@dataclass
class ShardInputs:
    """What a shard predicts on.

    Attributes:
        shard: which.
        base: the folder that names are relative to.
        names: the shard's own inputs as `name_to_text` writes them, sorted.
        total: of all shards' inputs together.
        paths: of all shards' inputs; empty unless they were asked for.
        left_out, passed_over: as in `sources.FoundSources`.
    """

    shard: Shard
    base: Path
    names: list[str]
    total: Names
    paths: list[Path] = field(default_factory=list)
    left_out: list[Path] = field(default_factory=list)
    passed_over: dict[str, tuple[int, Path]] = field(default_factory=dict)

    def source(self, name: str) -> Source:
        """The file of a name."""
        own = text_to_name(name)
        return Source(self.base / own, own)


def list_inputs(
    arguments: Sequence[str], shard: Shard, listed: str | None = None, keep_paths: bool = False
) -> ShardInputs:
    """The inputs of a shard, of what `sources.find_sources` finds.

    Names do not depend on the shard: those of a single argument are relative to its folder, those
    of several to the folder that all arguments have in common. Of all inputs 16 bytes each are
    kept in memory, names only of the shard's own. A pattern's matches are all in memory for a
    moment; folders and lists are read as streams.

    Args:
        listed: a file with a path a line (`arguments.PathList`), or `-`. These files are not
            looked for now: one that does not exist becomes an error of its shard.
        keep_paths: whether to keep the paths of all inputs, too.

    Raises:
        DataError: for an argument that means nothing, and where there is no input at all.
        SettingsError: for inputs without a common folder.
    """
    looked = Listing()
    if listed is None:
        return _listed(list(arguments), (), shard, looked, keep_paths)
    with PathList(listed) as paths:
        return _listed(list(arguments), paths, shard, looked, keep_paths)


def _listed(
    arguments: list[str], paths: Iterable[str], shard: Shard, looked: Listing, keep_paths: bool
) -> ShardInputs:
    bases = [os.fspath(base) for _, base, _, _ in resolved(arguments, looked, _in_folder)]
    of_list = common_folder(os.path.dirname(path) for path in paths)
    base = common_folder([*bases, *([] if of_list is None else [of_list])]) or os.curdir
    prefix = len(os.path.join(base, ""))
    own: list[str] = []
    kept: list[Path] = []
    digests = array("Q"), array("Q")
    total = Names()

    def take(path: str) -> None:
        name = name_to_text(path[prefix:].replace(os.sep, "/"))
        digest = digest_of(name)
        total.add(digest)
        digests[0].append(digest >> 64)
        digests[1].append(digest & (2**64 - 1))
        if shard.holds(digest):
            own.append(name)
        if keep_paths:
            kept.append(Path(path))

    for argument, _, files, reason in resolved(arguments, looked, _in_folder):
        empty = True
        for file in files:
            take(os.fspath(file))
            empty = False
        if empty:
            raise DataError(f"{argument}: {reason}; shards need to find the same inputs, all there")
    for path in paths:
        take(path)
    for digest, times in _repeated(*digests):
        total.add(digest, 1 - times)
    if not total.count:
        raise DataError("no image found: the list names no file")
    return ShardInputs(
        shard,
        Path(base),
        sorted(set(own)),
        total,
        list(dict.fromkeys(kept)),
        list(looked.left_out),
        looked.passed_over,
    )


def _repeated(high: array[int], low: array[int]) -> list[tuple[int, int]]:
    """Digests that are there several times, and how often, given in halves of 64 bits."""
    first, second = np.frombuffer(high, np.uint64), np.frombuffer(low, np.uint64)
    order = np.lexsort((second, first))
    first, second = first[order], second[order]
    starts = np.flatnonzero(np.r_[True, (first[1:] != first[:-1]) | (second[1:] != second[:-1])])
    counts = np.diff(np.r_[starts, len(first)])
    several = np.flatnonzero(counts > 1)
    return [
        ((int(first[starts[i]]) << 64) + int(second[starts[i]]), int(counts[i])) for i in several
    ]


def _in_folder(folder: Path, base: Path, looked: Listing) -> Iterator[Path]:
    """The same files as `listing` finds, in any order: one folder's names are not all in memory."""
    seen: set[str] = set()
    waiting = [os.fspath(folder)]
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real in seen:  # a link that leads up
            continue
        seen.add(real)
        mine = own_output(Path(place), base, looked.left_out)
        try:
            entries = os.scandir(place)
        except OSError:  # as os.walk passes over it
            continue
        with entries:
            for entry in entries:
                if entry.is_dir():
                    waiting.append(entry.path)
                elif not (mine or entry.name.startswith(".")) and _takes(looked, entry):
                    yield Path(entry.path)


def _takes(looked: Listing, entry: os.DirEntry[str]) -> bool:
    # Most files are images: for those, without the costs of a path.
    suffix = os.path.splitext(entry.name)[1].lower()
    return suffix in _PLAIN or looked.takes(Path(entry.path))
