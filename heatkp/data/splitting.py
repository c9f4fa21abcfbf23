"""Which samples train, which validate and which are kept for a test: splits, and folds."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from heatkp.config import Data, frame_ranges
from heatkp.data.grouping import joined, sources_of, together
from heatkp.data.near_duplicates import find_near_duplicates
from heatkp.data.near_duplicates import groups_of as same_image
from heatkp.data.samples import Sample
from heatkp.errors import DataError

LEFT_OUT = "left out"
"""What a sample is told that is in no part."""
BLOCKS = 10
"""Blocks that the frames of a video are cut into, at least."""
ROUGH = 2.0
"""How far off its fraction a part of whole videos may be, as a factor; else frames are split."""
_WHAT = {
    "random": "images", "person": "persons", "video": "videos", "group": "groups",
    "lookalikes": "images", "blocks": "blocks of frames",
}  # fmt: skip


class Divided(NamedTuple):
    """Samples in parts, each in the order that they had.

    Attributes:
        notes: how they were split, where that is not at random.
        groups: which were kept together in folds: a group's number by the sample's id.
    """

    train: list[Sample]
    val: list[Sample]
    test: list[Sample]
    notes: tuple[str, ...] = ()
    groups: Mapping[str, int] = {}


def _natural(person: str) -> tuple[int, str]:
    return len(person), person


def _persons(samples: Sequence[Sample]) -> list[str]:
    """Whom each sample shows, under one name for all who are in one image with each other."""
    sources = sources_of(samples)
    names = [p if s.person is None else s.person for s, p in zip(samples, sources)]
    groups = joined(names, sources)
    called: dict[int, str] = {}
    for group, name in sorted(zip(groups, names), key=lambda pair: _natural(pair[1])):
        called.setdefault(group, name)
    return [called[group] for group in groups]


def split(samples: list[Sample], data: Data) -> tuple[list[Sample], list[Sample]]:
    """Training and validation samples, see `divide`."""
    return divide(samples, data)[:2]


def divide(samples: Sequence[Sample], data: Data, told: Sequence[str | None] = ()) -> Divided:
    """Samples in the parts that settings ask for.

    `person` keeps the persons whose names sort last (a `validation` fraction of them) for
    validation; an image is a person where none is named, and persons in one image are together.
    `random` shuffles images with `split_seed`, and all samples of an image go with it. What else
    `data.split` may be is said there. With a `validation` of 0 all samples train, but those that
    the labels keep for a test.

    Args:
        told: of each sample the part that it is in, in any case; of `train` validation samples
            may be split off. None: `data.split` says it.

    Raises `DataError` where a part would be empty.
    """
    if not samples:
        raise DataError(f"{data.place} holds no sample: there is nothing to train on")
    parts = list(told) or [None] * len(samples)
    notes: list[str] = []
    if data.val_frames is not None:
        notes.append(_frames(samples, parts, data.val_frames))
    elif data.split in ("auto", "file"):
        notes += _own_parts(samples, parts, data)
    groups: Mapping[str, int] = {}
    pool = [i for i, part in enumerate(parts) if part in (None, "train")]
    if data.folds:
        pool = sorted([*pool, *(i for i, part in enumerate(parts) if part == "val")])
    if not pool:
        raise DataError(f"the training split is empty: no sample of {data.place} is in it")
    some = [samples[i] for i in pool]
    held = [False] * len(pool)
    if data.folds:
        held, groups, note = _fold(some, data)
        notes.append(note)
    elif "val" not in parts and data.validates:
        held, note = _split_off(some, data)
        notes += [note] * bool(note)
    if data.folds or "val" not in parts:
        for i, validates in zip(pool, held):
            parts[i] = "val" if validates else "train"
    parts = [part or "train" for part in parts]
    train, val, test = (
        [s for s, part in zip(samples, parts) if part == name] for name in ("train", "val", "test")
    )
    return Divided(train, val, test, tuple(notes), groups)


def _frames(samples: Sequence[Sample], parts: list[str | None], text: str) -> str:
    """Put frames that are in no part yet into the one that `data.val_frames` says; gives a note.

    Raises `DataError` where no sample is of such a frame, or all are.
    """
    ranges = frame_ranges(text)
    counts = {"train": 0, "val": 0}
    for i, sample in enumerate(samples):
        if parts[i] is None:
            held = sample.frame is not None and any(sample.frame in part for part in ranges)
            parts[i] = "val" if held else "train"
            counts["val" if held else "train"] += 1
    if not all(counts.values()):
        frames = [s.frame for s in samples if s.frame is not None]
        known = f"they are of frames {min(frames)} to {max(frames)}" if frames else (
            "they are of no video"
        )  # fmt: skip
        which = "no sample is" if not counts["val"] else "all samples are"
        raise DataError(f"data.val_frames={text}: {which} of such a frame; {known}")
    return (
        f"split: frames {text} validate (data.val_frames): {counts['val']} of "
        f"{sum(counts.values())} samples"
    )


def _own_parts(samples: Sequence[Sample], parts: list[str | None], data: Data) -> list[str]:
    """Put samples that are in no part yet into the one that their labels name; gives notes.

    `auto` leaves them where the labels name no training part, or no other.
    """
    pool = [i for i, part in enumerate(parts) if part is None]
    named = {samples[i].split for i in pool} - {None}
    if "train" not in named or len(named) == 1:
        if data.split == "file" and pool and "train" not in named:
            some = f"only {', '.join(sorted(map(str, named)))}" if named else "none"
            raise DataError(
                f"data.split=file: the labels of {data.place} name no training part ({some}); "
                "choose another split, such as random"
            )
        return []
    given = {part for part in parts if part is not None}
    whole = not data.validates and "val" not in given  # validation: 0
    counts = {"train": 0, "val": 0, "test": 0, LEFT_OUT: 0}
    for i in pool:
        part = samples[i].split or LEFT_OUT
        if part in given or part not in counts:
            part = LEFT_OUT
        if part == "val" and (whole or data.folds):
            part = "train"
        parts[i] = part
        counts[part] += 1
    told = [f"{counts['train']} samples train"]
    told += [f"{counts['val']} validate"] * bool(counts["val"])
    told += [f"{counts['test']} are kept for a test"] * bool(counts["test"])
    told += [f"{counts[LEFT_OUT]} are in no part and left out"] * bool(counts[LEFT_OUT])
    if data.folds:
        told[0] = f"{counts['train']} samples are for folds"
    return [f"split: the labels' own (data.split=file): {', '.join(told)}"]


def _split_off(samples: Sequence[Sample], data: Data) -> tuple[list[bool], str]:
    """Which samples validate, and a note where that is not at random."""
    kind, why = _kind(samples, data)
    if kind in ("random", "person"):
        groups: list[Hashable]
        if kind == "person":
            groups = list(_persons(samples))
            distinct = sorted(set(groups), key=lambda p: _natural(str(p)))
            chosen = set(distinct[len(distinct) - round(data.validation * len(distinct)) :])
        else:
            groups = list(sources_of(samples))
            distinct = list(dict.fromkeys(groups))
            order = np.random.default_rng(data.split_seed).permutation(len(distinct))
            chosen = {distinct[i] for i in order[: round(data.validation * len(distinct))]}
        note = ""
    else:
        numbers = groups_by(kind, samples, data, _block_count(data.validation))
        groups, distinct = list(numbers), list(dict.fromkeys(numbers))
        chosen = set(_nearest(numbers, data.validation, data.split_seed))
        count = sum(group in chosen for group in numbers)
        note = (
            f"split: {_HOW[kind]} (data.split={kind}{why}): {len(chosen)} of {len(distinct)} "
            f"{_WHAT[kind]}, {count} of {len(samples)} samples, validate"
        )
    held = [group in chosen for group in groups]
    for part, there in (("training", not all(held)), ("validation", any(held))):
        if not there:
            raise DataError(f"the {part} split is empty: {_why_empty(len(distinct), kind, data)}")
    return held, note


_HOW = {
    "video": "frames of one video stay on one side",
    "group": "rows of one group stay on one side",
    "lookalikes": "images that are there again stay on one side",
    "blocks": "by blocks of neighbouring frames, which are nearly the same",
    "person": "samples of one person stay on one side",
    "random": "samples of one image stay on one side",
}


def _why_empty(groups: int, kind: str, data: Data) -> str:
    """What leaves a part of a split without samples: too few groups, or the fraction of them."""
    what = _WHAT[kind]
    if groups < 2:
        return f"the data has {groups} {what}; two or more can be split, or data.validation=0"
    return (
        f"data.validation={data.validation:g} of {groups} {what} leaves none of them there; "
        f"choose a fraction from {1 / groups:.3g} to {1 - 1 / groups:.3g}, or 0 to train on all"
    )


def _kind(samples: Sequence[Sample], data: Data) -> tuple[str, str]:
    """What `auto` is for these samples, and the reason where it is not the first choice."""
    if data.split not in ("auto", "file"):
        return data.split, ""
    videos = {s.video for s in samples} - {None}
    if not videos:
        return "random", ""
    if len(videos) == 1:
        return "blocks", ""
    numbers = groups_by("video", samples, data)
    chosen = set(_nearest(numbers, data.validation, data.split_seed))
    fraction = sum(n in chosen for n in numbers) / len(numbers)
    if data.validation / ROUGH <= fraction <= data.validation * ROUGH and len(set(numbers)) > 1:
        return "video", ""
    return "blocks", f", for {len(videos)} videos are too few to keep each on one side"


def groups_by(kind: str, samples: Sequence[Sample], data: Data, blocks: int = BLOCKS) -> list[int]:
    """A group's number for each sample, of those that a kind of split keeps together; samples of
    one image are, in any case.

    Args:
        blocks: how many the frames of a video are cut into.

    Raises `DataError` where a sample has no column of that name.
    """
    sources = sources_of(samples)
    if kind == "person":
        return joined(_persons(samples))
    if kind == "video":
        return joined(sources, [s.video for s in samples])
    if kind == "group":
        return joined(sources, _column(samples, str(data.group)))
    if kind == "lookalikes":
        alike: dict[int, int] = {}
        for number, group in enumerate(same_image(find_near_duplicates(samples), len(samples))):
            alike.update(dict.fromkeys(group, number))
        return joined(sources, [alike.get(i) for i in range(len(samples))])
    if kind == "blocks":
        return _blocks(samples, blocks)
    return joined(sources)


def _column(samples: Sequence[Sample], name: str) -> list[str]:
    values = [(s.columns or {}).get(name) for s in samples]
    if None in values:
        sample = samples[values.index(None)]
        has = ", ".join(sample.columns or {}) or "none"
        raise DataError(
            f"data.group={name}: {sample.id} has no such column; those of its table without points "
            f"are: {has}"
        )
    return [value for value in values if value is not None]


def _block_count(fraction: float) -> int:
    """Blocks of which two or more are a fraction, and all but that fraction."""
    return max(BLOCKS, int(np.ceil(2 / max(min(fraction, 1 - fraction), 1e-3))))


def _blocks(samples: Sequence[Sample], count: int) -> list[int]:
    """Frames of each video in so many blocks of the same number of frames, in their order: by
    number where all have one. Samples of no video are taken for one."""
    images = joined(sources_of(samples))
    videos: dict[str | None, dict[int, tuple[int, int]]] = {}
    for i, (sample, image) in enumerate(zip(samples, images)):
        place = (sample.frame if sample.frame is not None else -1, i)
        videos.setdefault(sample.video, {}).setdefault(image, place)
    names: dict[tuple[int, int], int] = {}
    block: dict[int, int] = {}
    for number, frames in enumerate(videos.values()):
        numbered = all(frame >= 0 for frame, _ in frames.values())
        order = sorted(frames, key=lambda image: frames[image] if numbered else frames[image][1:])
        for nth, image in enumerate(order):
            key = number, nth * count // len(order) if len(order) > count else nth
            block[image] = names.setdefault(key, len(names))
    return joined([block[image] for image in images])


def _nearest(groups: Sequence[int], fraction: float, seed: int) -> list[int]:
    """Some groups that hold about a fraction of the samples, at least one and not all, drawn at
    random; none where there is but one group."""
    sizes = np.bincount(groups)
    wanted, held = fraction * len(groups), 0
    order = np.random.default_rng(seed).permutation(len(sizes)).tolist()
    chosen = []
    for group in order:
        if abs(held + sizes[group] - wanted) < abs(held - wanted):
            chosen.append(group)
            held += sizes[group]
    if len(sizes) < 2:
        return []
    smallest = min(order, key=lambda group: sizes[group])
    if len(chosen) == len(sizes):
        chosen.remove(smallest)
    return chosen or [smallest]


def _fold(samples: Sequence[Sample], data: Data) -> tuple[list[bool], dict[str, int], str]:
    """Which samples are in `data.fold`, the group of each, and a note.

    Raises `DataError` where there are fewer groups than folds.
    """
    kind, groups = _fold_groups(samples, data)
    sizes = np.bincount(groups)
    what = _WHAT.get(kind, "groups")
    if len(sizes) < data.folds:
        raise DataError(
            f"{len(samples)} samples are of {len(sizes)} {what}: too few for {data.folds} folds; "
            "take fewer, or another data.split"
        )
    order = np.random.default_rng(data.split_seed).permutation(len(sizes)).tolist()
    order.sort(key=lambda group: -sizes[group])  # the largest first, to come out even
    filled = [0] * data.folds
    number: dict[int, int] = {}
    for group in order:
        number[group] = filled.index(min(filled))
        filled[number[group]] += int(sizes[group])
    held = [number[group] == data.fold - 1 for group in groups]
    how = _HOW.get(kind, "samples of one image, person or video stay together")
    note = (
        f"fold {data.fold} of {data.folds}: {how}; {sum(held)} of {len(samples)} samples, of "
        f"{len(sizes)} {what}, validate"
    )
    return held, {s.id: group for s, group in zip(samples, groups)}, note


def _fold_groups(samples: Sequence[Sample], data: Data) -> tuple[str, list[int]]:
    """What folds keep together, and a group's number for each sample.

    `auto` keeps what is of one image, person or video together where that leaves enough groups of
    a size to fill folds; else frames of videos are cut into blocks.
    """
    blocks = data.folds * -(-BLOCKS // data.folds)  # as many for each fold
    if data.split not in ("auto", "file"):
        return data.split, groups_by(data.split, samples, data, blocks)
    groups = together(samples)
    sizes = np.bincount(groups)
    if len(sizes) >= data.folds and sizes.max() <= ROUGH * len(samples) / data.folds:
        return "together", groups
    kind = "blocks" if any(s.video is not None for s in samples) else "random"
    return kind, groups_by(kind, samples, data, blocks)
