"""From settings to samples: which reader, which points, which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.config import MEMORY, Data, expand_path
from heatkp.data.checks import crowded_notes, require_meaningful
from heatkp.data.checks.boxes import find_useless_boxes
from heatkp.data.depth import depth_notes
from heatkp.data.grouping import joined, sources_of
from heatkp.data.images import ImageOptions
from heatkp.data.mirroring import left_out_note
from heatkp.data.near_duplicates import without_near_duplicates
from heatkp.data.readers import read
from heatkp.data.samples import KeypointData, Labels, Sample
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import SKELETONS, select


def _natural(person: str) -> tuple[int, str]:
    return len(person), person


def _persons(samples: list[Sample]) -> list[str]:
    """Whom each sample shows, under one name for all who are in one image with each other."""
    sources = sources_of(samples)
    names = [p if s.person is None else s.person for s, p in zip(samples, sources)]
    groups = joined(names, sources)
    called: dict[int, str] = {}
    for group, name in sorted(zip(groups, names), key=lambda pair: _natural(pair[1])):
        called.setdefault(group, name)
    return [called[group] for group in groups]


def split(samples: list[Sample], data: Data) -> tuple[list[Sample], list[Sample]]:
    """Training and validation samples.

    `person` keeps the persons whose names sort last (a `validation` fraction of them) for
    validation; an image is a person where none is named, and persons in one image are together.
    `random` shuffles images with `split_seed`, and all samples of an image go with it. With a
    `validation` of 0 all samples train. Raises `DataError` where a part would be empty.
    """
    if not samples:
        raise DataError(f"{data.path} holds no sample: there is nothing to train on")
    if not data.validates:
        return list(samples), []
    if data.split == "person":
        of = _persons(samples)
        distinct = sorted(set(of), key=_natural)
        chosen = set(distinct[len(distinct) - round(data.validation * len(distinct)) :])
    else:
        of = sources_of(samples)
        distinct = list(dict.fromkeys(of))
        order = np.random.default_rng(data.split_seed).permutation(len(distinct))
        chosen = {distinct[i] for i in order[: round(data.validation * len(distinct))]}
    val = [s for s, group in zip(samples, of) if group in chosen]
    train = [s for s, group in zip(samples, of) if group not in chosen]
    for part, kept in (("training", train), ("validation", val)):
        if not kept:
            raise DataError(f"the {part} split is empty: {_why_empty(len(distinct), data)}")
    return train, val


def _why_empty(groups: int, data: Data) -> str:
    """What leaves a part of a split without samples: too few groups, or the fraction of them."""
    what = "persons" if data.split == "person" else "images"
    if groups < 2:
        return f"the data has {groups} {what}; two or more can be split, or data.validation=0"
    return (
        f"data.validation={data.validation:g} of {groups} {what} leaves none of them there; "
        f"choose a fraction from {1 / groups:.3g} to {1 - 1 / groups:.3g}, or 0 to train on all"
    )


def points_box(sample: Sample) -> npt.NDArray[np.float32] | None:
    """Edges of the box around a sample's labelled points; None where they span no area."""
    points = sample.points[sample.visibility > 0]
    if not len(points):
        return None
    box = np.concatenate([points.min(0), points.max(0)])
    return box if (box[2:] > box[:2]).all() else None


def with_boxes(samples: list[Sample], kind: str) -> tuple[list[Sample], list[str]]:
    """Samples with the boxes that `data.box` asks for, and notes of what was done."""
    done, without, from_points = [], 0, 0
    for sample in samples:
        if kind == "points" or sample.box is None:
            box = points_box(sample)
            from_points += sample.box is None and box is not None
            without += box is None
            sample = replace(sample, box=box, box_from_points=True, given_box=sample.box)
        done.append(sample)
    notes = []
    if from_points:
        notes.append(f"{from_points} samples have no box: the box around their points is used")
    if without:
        why = "none of the labels, and their points span no area or are not labelled"
        notes.append(f"{without} samples have no box ({why}): the whole image is used")
    return done, notes


def _limited(loaded: KeypointData, data: Data) -> KeypointData:
    """With `data.train_limit` training samples, in their old order."""
    order = np.random.default_rng(data.split_seed).permutation(len(loaded.train))
    kept = [loaded.train[i] for i in sorted(order[: data.train_limit])]
    note = f"{len(kept)} of {len(loaded.train)} training samples are used (data.train_limit)"
    return replace(loaded, train=kept, notes=(*loaded.notes, note))


def _without_unlabelled(loaded: KeypointData) -> KeypointData:
    """Without the training samples that have no labelled point; a note counts them.

    Those of the validation split stay, for a split must not depend on the points that are chosen;
    no figure counts them.
    """
    parts = (loaded.train, loaded.val)
    bare = [[s for s in part if not (s.visibility > 0).any()] for part in parts]
    if not any(bare):
        return loaded
    total, every = sum(map(len, bare)), sum(map(len, parts))
    note = (
        f"{total} of {every} samples have no labelled point, such as {(bare[0] + bare[1])[0].id}: "
        f"{len(bare[0])} are left out of training, {len(bare[1])} count nowhere in validation"
    )
    train = [s for s in loaded.train if (s.visibility > 0).any()] if bare[0] else loaded.train
    return replace(loaded, train=train, notes=(*loaded.notes, note))


def _without(useless: list[Sample], loaded: KeypointData) -> KeypointData:
    """Without samples whose box is of no use; after the split, which does not depend on them.

    Raises `DataError` where a part of the split has no other samples.
    """
    left_out = set(map(id, useless))
    parts = [[s for s in part if id(s) not in left_out] for part in (loaded.train, loaded.val)]
    for name, before, after in zip(("training", "validation"), (loaded.train, loaded.val), parts):
        if before and not after:
            raise DataError(
                f"all {len(before)} {name} samples have a box of no use, such as {before[0].id}: "
                "correct them, or choose another split (data.validation)"
            )
    return replace(loaded, train=parts[0], val=parts[1])


class MemoryData(NamedTuple):
    """Samples that a program holds.

    Attributes:
        labels: all of them, or those for training alone where `validation` is given.
        validation: samples of the same skeleton, or None to split some off.
    """

    labels: Labels
    validation: list[Sample] | None = None


def load_data(data: Data, chosen: bool = True, given: MemoryData | None = None) -> KeypointData:
    """The samples that settings ask for, with the chosen points, in two parts.

    `chosen=False` passes over what only chooses among training samples, `train_limit` and
    `leave_out_lookalikes` (which takes seconds): enough to validate. `given` takes the place of
    files, where `data.format` is `memory`.

    Raises `DataError` or `SettingsError` for whatever is wrong with files or settings.
    """
    if data.format == MEMORY:
        if given is not None:
            return in_parts(given.labels, data, "the samples", given.validation, chosen)
        raise SettingsError(
            "data.format: the samples were given by a program and are not in a file; name other "
            "data (--data), or give them again"
        )
    if data.path is None:
        from heatkp.data.drawn import drawn_samples  # a thousand lines, and only needed here

        skeleton, drawn = SKELETONS[data.skeleton], drawn_samples(data)
        if data.crop == "box":
            drawn, _ = with_boxes(drawn, data.box)
        loaded = KeypointData(skeleton, drawn[: data.train_count], drawn[data.train_count :])
        return _with_chosen(loaded, data, chosen)
    source = expand_path(data.path, "data.path")
    options = ImageOptions.of(data)
    labels = read(source, data.format, options=options, y_up=data.y_up, layout=data.layout)
    return in_parts(labels, data, source, chosen=chosen)


def in_parts(
    labels: Labels,
    data: Data,
    source: Path | str,
    validation: Sequence[Sample] | None = None,
    chosen: bool = True,
) -> KeypointData:
    """Samples checked, framed and split as settings say, with the chosen points.

    Args:
        labels: the samples; those for training alone where `validation` is given.
        source: where they are from, for messages.
        validation: samples of the same skeleton to validate on, which are not split off then.
        chosen: as in `load_data`.

    Raises `DataError` or `SettingsError` as `load_data` does.
    """
    skeleton, samples, notes = labels
    samples = [s for s in samples if not s.ignored]  # the reader's notes count them
    count = len(samples)
    samples = [*samples, *(validation or ())]
    if not any((s.visibility > 0).any() for s in samples):
        raise DataError(
            f"{source} holds no labelled object: none of its {len(samples)} samples has a "
            f"labelled point{''.join(f'; {note}' for note in notes)}"
        )
    if data.pairs is not None:
        told = skeleton
        try:
            skeleton = skeleton.with_pairs(data.pairs)
        except ValueError as error:
            raise SettingsError(f"data.pairs: {error}") from None
        notes = (*notes, *left_out_note(told, skeleton))
    notes = (*notes, *require_meaningful(samples, skeleton, source, data.orient))
    useless: list[Sample] = []
    if data.crop == "box":
        samples, boxed = with_boxes(samples, data.box)
        useless, bad = find_useless_boxes(samples, data.orient, source)
        notes = (*notes, *boxed, *bad)
    notes = (*notes, *depth_notes(samples))
    if data.crop == "image":
        notes = (*notes, *crowded_notes(samples))
    if validation is not None:
        loaded = KeypointData(skeleton, samples[:count], samples[count:], notes)
        loaded = _without(useless, loaded)
        return _with_chosen(loaded, data, chosen)
    files = {s.image_name for s in samples if s.file is not None}
    sources = set(sources_of(samples))
    if len(sources) < len(files):
        together = f"{len(files)} images are of {len(sources)} source images, by their names: "
        notes = (*notes, together + "those of one source image are on one side of the split")
    loaded = _without(useless, KeypointData(skeleton, *split(samples, data), notes))
    if chosen and data.leave_out_lookalikes and loaded.val:
        loaded = without_near_duplicates(loaded)
    return _with_chosen(loaded, data, chosen)


def _with_chosen(loaded: KeypointData, data: Data, chosen: bool) -> KeypointData:
    """With the points that settings choose, and the training samples that they leave."""
    if data.points != "all":
        try:
            indices = select(loaded.skeleton, data.points)
        except ValueError as error:
            raise SettingsError(f"data.points: {error}") from None
        name = f"{loaded.skeleton.name}-nose" if data.points == "nose" else None
        loaded = loaded.take(indices, name)
    loaded = _without_unlabelled(loaded)
    if chosen and 0 < data.train_limit < len(loaded.train):
        loaded = _limited(loaded, data)
    return loaded
