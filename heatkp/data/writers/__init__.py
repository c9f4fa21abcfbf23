"""Writers of label sets: images with their labels, in one folder. One format a file.

To add one, put a file here that decorates its function with `label_writer` (`_base.py` says what
it gets and has to do); other packages name theirs in the entry points `heatkp.label_writers`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import NamedTuple, TypedDict

from heatkp.data.samples import Labels, Sample
from heatkp.data.sets import parts_of
from heatkp.data.writers._base import (
    PER_SHARD,
    Holds,
    LabelledImage,
    LabelSet,
    LabelWriter,
    Object,
    Scores,
    ToPlace,
    label_writer,
)
from heatkp.data.writers._losing import Losses
from heatkp.data.writers._placing import (
    PLACINGS,
    Origin,
    Placed,
    Placer,
    Placing,
    common_names,
    key_of,
    of_file,
    origin_of,
)
from heatkp.errors import DataError, SettingsError
from heatkp.files import new_folder, require_new
from heatkp.registry import LABEL_WRITERS

__all__ = [
    "LABEL_WRITERS",
    "PER_SHARD",
    "PLACINGS",
    "Holds",
    "LabelSet",
    "LabelWriter",
    "LabelledImage",
    "Losses",
    "Object",
    "Origin",
    "Placed",
    "Placer",
    "Placing",
    "Scores",
    "ToPlace",
    "Written",
    "label_writer",
    "of_file",
    "write_labels",
    "write_parts",
]  # fmt: skip


class Written(NamedTuple):
    """What came of `write_labels`.

    Attributes:
        path: what `readers.read` reads.
        images, objects: how many were written.
        notes: one line for each kind of thing that the format cannot hold, or that was changed.
    """

    path: Path
    images: int
    objects: int
    notes: tuple[str, ...]


class _Group(NamedTuple):
    """The objects of one image that are to be written."""

    first: Sample
    origin: Origin
    objects: list[Object]


def _grouped(
    samples: Sequence[Sample], scores: Sequence[Scores | None] | None, losses: Losses
) -> list[_Group]:
    """What the format can hold of the samples, by image."""
    groups: dict[object, _Group] = {}
    for i, sample in enumerate(samples):
        key = key_of(sample)
        if key not in groups:
            groups[key] = _Group(sample, origin_of(sample), [])
        group = groups[key]
        kept = losses.kept(Object.of(sample, scores[i] if scores else None), group.origin.size)
        if kept is not None:
            group.objects.append(kept)
    return list(groups.values())


def _require_single(writer: LabelWriter, groups: Sequence[_Group], first_only: bool) -> None:
    several = [group for group in groups if len(group.objects) > 1]
    if Holds.SEVERAL in writer.holds or first_only or not several:
        return
    lost, every = (sum(map(len, parts)) for parts in (
        [g.objects[1:] for g in several], [g.objects for g in groups]))  # fmt: skip
    raise SettingsError(
        f"{writer.name} holds one object an image: {lost} of {every} objects would be lost; choose "
        "another format, or keep the first of each image (--keep-first)"
    )


def _unassigned(writer: LabelWriter, groups: Sequence[_Group]) -> int:
    """How many images are in no part of a split that others are in, where the format tells."""
    without = sum(group.first.split is None for group in groups)
    return without if Holds.SPLITS in writer.holds and without < len(groups) else 0


def write_labels(
    labels: Labels,
    out: str | PathLike[str],
    format: str = "coco",
    *,
    images: Placing = "copy",
    scores: Sequence[Scores | None] | None = None,
    first_only: bool = False,
    per_shard: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Written:
    """Write labels with their images into a new folder, whole or not at all.

    Args:
        labels: as `readers.read` gives them.
        out: the folder, which must not exist or be empty.
        format: a name of `LABEL_WRITERS`.
        images: `copy`, `link` (symbolic links) or `refer` (left where they are; not for formats
            whose label files lie beside images). Frames of videos and images in memory become PNG
            files in any case.
        scores: of predictions, one for each sample.
        first_only: of images with several objects, keep the first where the format holds one.
        per_shard: how many images a file has at most, of formats that pack them; None: `PER_SHARD`.
        progress: is told how many images are placed, and of how many.

    Raises:
        SettingsError: for a format that is none, a folder that holds something or cannot be
            written, several objects in an image where the format holds one, `per_shard` where the
            format packs no images.
        DataError: for images that are missing, and where nothing remains to be written.
    """
    writer: LabelWriter = LABEL_WRITERS[format]
    target = Path(out)
    require_new(target)
    if per_shard is not None and (not writer.packed or per_shard < 1):
        packing = ", ".join(n for n, w in LABEL_WRITERS.usable().items() if w.packed)
        raise SettingsError(f"--per-shard is a number from 1, for formats with shards: {packing}")
    losses = Losses(writer)
    losses.skeleton(labels.skeleton)
    groups = _grouped(labels.samples, scores, losses)
    _require_single(writer, groups, first_only)
    groups = [g._replace(objects=list(losses.first(g.objects))) for g in groups if g.objects]
    if not groups:
        why = f" ({'; '.join(losses.notes())})" if losses.notes() else ""
        raise DataError(f"there is no object to write as {format}{why}")
    names = common_names([g.origin.file for g in groups if g.origin.file is not None])
    with new_folder(target) as folder:
        placer = Placer(folder, target, writer, images)
        unassigned = _unassigned(writer, groups)
        entries = []
        for number, group in enumerate(groups, 1):
            sample, file = group.first, group.origin.file
            name = group.origin.name or sample.id or "image" if file is None else names[file]
            split = sample.split or ("train" if unassigned else None)
            video, frame = sample.video, sample.frame
            placed = placer.place(group.origin, name, split, video, frame)
            objects = tuple(group.objects)
            entries.append(
                LabelledImage(placed.name, placed.size, objects, split, video, frame, placed.file)
            )
            if progress is not None:
                progress(number, len(groups))
        told = LabelSet(
            labels.skeleton, entries, target.name, scores is not None, per_shard or PER_SHARD
        )
        notes = [*losses.notes(), *placer.notes()]
        if unassigned:
            notes.append(f"images in no part of the split, put into train: {unassigned}")
        notes += writer.write(told, folder)
    count = sum(len(entry.objects) for entry in entries)
    return Written(target / writer.read_from, len(entries), count, tuple(notes))


def write_parts(
    labels: Labels, out: str | PathLike[str], format: str = "coco", *, images: Placing = "copy",
    first_only: bool = False, per_shard: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Written]:  # fmt: skip
    """Write the parts of a split: one set, where the format holds splits, else a folder a part.

    Arguments and errors as of `write_labels`; gives what was written by part, or under `""` in one.
    Raises `DataError` where no sample is in a part.
    """
    target, writer = Path(out), LABEL_WRITERS[format]
    parts = parts_of(labels)
    told = tuple(n for n in next(iter(parts.values())).notes if n not in labels.notes)
    how: _How = {
        "images": images, "first_only": first_only, "per_shard": per_shard, "progress": progress
    }  # fmt: skip
    if Holds.SPLITS in writer.holds:
        samples = [sample for part in parts.values() for sample in part.samples]
        done = write_labels(labels._replace(samples=samples), target, format, **how)
        return {"": done._replace(notes=(*told, *done.notes))}
    written = {}
    with new_folder(target) as folder:
        for name, part in parts.items():
            # The folder says it now.
            bare = part._replace(samples=[replace(s, split=None) for s in part.samples])
            done = write_labels(bare, folder / name, format, **how)
            path = target / done.path.relative_to(folder)
            written[name] = done._replace(path=path, notes=(*told, *done.notes))
            told = ()
    return written


class _How(TypedDict):
    images: Placing
    first_only: bool
    per_shard: int | None
    progress: Callable[[int, int], None] | None
