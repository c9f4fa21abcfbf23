"""Tar shards as [webdataset](https://github.com/webdataset/webdataset) lays them out.

In each tar the members that differ after the first dot of their names are a sample: an image, and
a `.json` of its labels, of which `_tar_labels.py` says what it may hold. Points are in pixels with
centres on integers, boxes are edges. `skeleton.json` beside the tars, a COCO category, gives the
order of the points, pairs and lines; without it names come in the order in which they appear.

A tar is gone through once, by its headers; of images nothing is read but what is asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.images import STORED, ImageOptions
from heatkp.data.readers._base import reader
from heatkp.data.readers._coco_values import skeleton_of
from heatkp.data.readers._common import distinct, layout, numbered_skeleton, source_images
from heatkp.data.readers._shards import (
    Entry,
    Shard,
    content_of,
    find_shards,
    recognise_shards,
    skeleton_file,
)
from heatkp.data.readers._tar_labels import Labelled, Shot, TarLabels, read_skeleton
from heatkp.data.samples import Labels, Sample, Visibility
from heatkp.data.tar_index import Member
from heatkp.data.tars import NOT_THERE, TarImage, read_part
from heatkp.errors import DataError
from heatkp.files import reason
from heatkp.limits import Limit
from heatkp.skeletons import Skeleton
from heatkp.text import one_line, printable

MOST_OF_LABELS = 2**24
"""Bytes of the labels of one image."""


class _Found(NamedTuple):
    """An image with labels."""

    shard: Shard
    key: str
    image: TarImage
    shot: Shot


@dataclass
class _Read:
    """What is read of all tars."""

    found: list[_Found] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    unlabelled: int = 0
    missing: list[str] = field(default_factory=list)


def _labels_of(shard: Shard, member: Member, labels: TarLabels) -> Shot:
    place = f"{one_line(member.name)} in the tar {shard.path}"
    if member.size > MOST_OF_LABELS:
        raise DataError(f"{place} has {member.size} bytes, too many for the labels of an image")
    try:
        if said := Limit.LABEL_BYTES.refusal(member.size, "bytes"):
            raise DataError(f"{member.name} in the tar {shard.path} has {said}")
        content = read_part(shard.path, member.offset, member.size)
    except OSError as error:
        raise DataError(f"{place} cannot be read ({reason(error)})") from None
    return labels.read(content, place)


def _read_shard(shard: Shard, into: _Read, labels: TarLabels, options: ImageOptions) -> None:
    content = content_of(shard.path)
    into.others += content.others
    for key, entry in content.entries.items():
        if entry.labels is None:
            into.unlabelled += 1
            continue
        shot = _labels_of(shard, entry.labels, labels)
        if entry.image is None:
            into.missing.append(f"{one_line(entry.labels.name)} in {shard.path}")
        into.found.append(_Found(shard, key, _image(shard, key, entry, options), shot))


def _image(shard: Shard, key: str, entry: Entry, options: ImageOptions) -> TarImage:
    if entry.image is None:
        return TarImage(shard.path, options, printable(key), 0, NOT_THERE)
    name, offset, size = entry.image
    return TarImage(shard.path, options, printable(name), offset, size)


def _skeleton(source: Path | None, found: Sequence[_Found], where: Path) -> Skeleton:
    """The layout that a file tells, or the objects do. Raises `DataError` where none fits all."""
    if source is not None:
        return skeleton_of(read_skeleton(source), None, source)
    names: dict[str, None] = {}
    counts: dict[int, str] = {}
    seen: set[int] = set()
    for one in found:
        for labelled in one.shot.objects:
            if labelled.names is None:
                counts.setdefault(len(labelled.triples), one.image.name)
            elif id(labelled.names) not in seen:  # kept once each
                seen.add(id(labelled.names))
                names.update(dict.fromkeys(labelled.names))
    if names and counts:
        raise DataError(
            f"{where}: points have names in some objects and none in others, as in "
            f"{next(iter(counts.values()))}: put their names, in order, into skeleton.json"
        )
    if len(counts) > 1:
        told = [f"{name} has {count} points" for count, name in list(counts.items())[:2]]
        raise DataError(f"{where}: {', '.join(told)}; expected as many in all")
    if counts and max(counts) > 0:
        return numbered_skeleton(max(counts))
    if not names:
        raise DataError(f"{where} holds no labelled object: no object has points")
    return layout(list(names))[0]


class _Places:
    """Where the points of objects are in the layout."""

    def __init__(self, skeleton: Skeleton) -> None:
        self._count = len(skeleton)
        self._of_name = {name: k for k, name in enumerate(skeleton.point_names)}
        for k, name in enumerate(skeleton.point_names):  # number 3 is called point_3
            if name.startswith("point_"):
                self._of_name.setdefault(name.removeprefix("point_"), k)
        self._known: dict[tuple[str, ...], npt.NDArray[np.intp]] = {}

    def fill(
        self, found: Labelled, place: str
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        """Points (K, 2) and visibility (K,). Raises `DataError` for other points."""
        names, triples = found.names, found.triples
        if names is None:
            if len(triples) != self._count:
                raise DataError(f"{place} has {len(triples)} points; expected {self._count}")
            return triples[:, :2].copy(), triples[:, 2].astype(np.uint8)
        where = self._known.get(names)
        if where is None:
            unknown = next((name for name in names if name not in self._of_name), None)
            if unknown is not None:
                raise DataError(f"{place} has a point {unknown!r}, which skeleton.json does not")
            where = np.array([self._of_name[name] for name in names], np.intp)
            self._known[names] = where
        points = np.full((self._count, 2), np.nan, np.float32)
        codes = np.zeros(self._count, np.uint8)
        points[where], codes[where] = triples[:, :2], triples[:, 2]
        return points, codes


def _sources(found: Sequence[_Found]) -> list[str]:
    """The image that each is from, as labels say or names do; the same name in two tars is not the
    same image."""
    names = [one.image.name for one in found]
    if len(set(names)) < len(names):
        names = [f"{one.shard.name}/{name}" for one, name in zip(found, names)]
    by_name = source_images(names)
    return [one.shot.source or name for one, name in zip(found, by_name)]


def _samples(found: Sequence[_Found], skeleton: Skeleton) -> Iterable[Sample]:
    places = _Places(skeleton)
    ids = iter(distinct(one.key for one in found for _ in one.shot.objects))
    for one, source in zip(found, _sources(found)):
        for labelled in one.shot.objects:
            points, codes = places.fill(labelled, f"{one.image.name} in the tar {one.shard.path}")
            yield Sample.of_file(
                one.image, points, codes, next(ids), labelled.box, source, one.shot.size,
                split=one.shard.split, **one.shot.more, **labelled.more,
            )  # fmt: skip


def _ones_as_visible(found: Sequence[_Found]) -> bool:
    """Whether v of COCO's triples says no more than that a point is labelled: none is 2."""
    if not any(one.shot.coco for one in found):
        return False
    codes = [obj.triples[:, 2].max(initial=0) for one in found for obj in one.shot.objects]
    if max(codes, default=0) != Visibility.OCCLUDED:
        return False
    for one in found:
        for labelled in one.shot.objects:
            labelled.triples[:, 2] *= 2
    return True


def _notes(read: _Read, shards: Sequence[Shard], samples: Sequence[Sample]) -> list[str]:
    notes = []
    splits = Counter(s.split for s in samples)
    if any(shard.split for shard in shards):
        parts = ", ".join(f"{count} for {split or 'no part'}" for split, count in splits.items())
        notes.append(f"samples by the names of tars: {parts}")
    if read.unlabelled:
        notes.append(f"images without a .json beside them, left out: {read.unlabelled}")
    if read.others:
        kinds = ", ".join(f"{count} {name}" for name, count in sorted(read.others.items()))
        notes.append(f"members of tars that are neither images nor labels, left out: {kinds}")
    return notes


@reader(
    "webdataset",
    "tar shards: a `.tar`, a folder of them, or a pattern as `train-{000..009}.tar`; images, each "
    "with a `.json` ([tar_shards.md](tar_shards.md))",
    recognise=recognise_shards,
    files="a .tar, or a folder of them",
    priority=0.3,
    boxes=True,
    unlabelled="null, or a point that is not there",
    patterns=True,
)
def read_webdataset(path: Path, strict: bool = True, options: ImageOptions = STORED) -> Labels:
    """All labelled objects of a tar, of those in a folder, or of those that a pattern names.

    Samples are in the order of the tars' names and of their members. Raises `DataError` for tars
    that are damaged or cut off, labels that do not fit, and where `strict` for labels without an
    image.
    """
    shards = find_shards(path)
    if not shards:
        raise DataError(f"{path} is not, and does not hold, a .tar file")
    read, labels = _Read(), TarLabels()
    for shard in shards:
        _read_shard(shard, read, labels, options)
    if strict and read.missing:
        raise DataError(
            f"{read.missing[0]} has no image beside it ({len(read.missing)} of "
            f"{len(read.found)}): add images of the same names before the first dot"
        )
    if not any(one.shot.objects for one in read.found):
        raise DataError(
            f"{path} holds no labelled object: {len(read.found)} images have a .json of labels, "
            f"{read.unlabelled} have none"
        )
    visible = _ones_as_visible(read.found)
    skeleton = _skeleton(skeleton_file(path, shards), read.found, path)
    samples = list(_samples(read.found, skeleton))
    notes = _notes(read, shards, samples)
    if visible:
        notes.append("no point has visibility 2: 1 is read as visible")
    return Labels(skeleton, samples, tuple(notes))
