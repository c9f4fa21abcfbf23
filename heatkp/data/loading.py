"""From settings to samples: which reader, which points, which split."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.config import MEMORY, PARTS, Data
from heatkp.data.checks import crowded_notes, require_meaningful
from heatkp.data.checks.boxes import find_useless_boxes
from heatkp.data.depth import depth_notes
from heatkp.data.empty_images import empty_in_parts
from heatkp.data.given_parts import read_given
from heatkp.data.grouping import sources_of
from heatkp.data.leaks import source_leaks
from heatkp.data.mirroring import left_out_note
from heatkp.data.near_duplicates import without_near_duplicates
from heatkp.data.samples import KeypointData, Labels, Sample
from heatkp.data.splitting import divide, split
from heatkp.errors import DataError, SettingsError
from heatkp.skeletons import SKELETONS, Skeleton, select

__all__ = [
    "MemoryData", "in_parts", "load_data", "load_whole", "points_box", "split", "with_boxes",
]  # fmt: skip


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
    rest = [loaded.train[i] for i in sorted(order[data.train_limit :])]
    note = f"{len(kept)} of {len(loaded.train)} training samples are used (data.train_limit)"
    notes, left_out = (*loaded.notes, note), [*loaded.left_out, *rest]
    return replace(loaded, train=kept, notes=notes, left_out=left_out)


def _without_unlabelled(loaded: KeypointData) -> KeypointData:
    """Without the training samples that have no labelled point; a note counts them.

    Those of the validation and test parts stay, for a split must not depend on the points that
    are chosen; no figure counts them.
    """
    parts = (loaded.train, [*loaded.val, *loaded.test])
    bare = [[s for s in part if not (s.visibility > 0).any()] for part in parts]
    if not any(bare):
        return loaded
    total, every = sum(map(len, bare)), sum(map(len, parts))
    note = (
        f"{total} of {every} samples have no labelled point, such as {(bare[0] + bare[1])[0].id}: "
        f"{len(bare[0])} are left out of training, {len(bare[1])} count nowhere in validation"
    )
    train = [s for s in loaded.train if (s.visibility > 0).any()] if bare[0] else loaded.train
    notes, left_out = (*loaded.notes, note), [*loaded.left_out, *bare[0]]
    return replace(loaded, train=train, notes=notes, left_out=left_out)


def _without(useless: list[Sample], loaded: KeypointData) -> KeypointData:
    """Without samples whose box is of no use; after the split, which does not depend on them.

    Raises `DataError` where a part of the split has no other samples.
    """
    left_out = set(map(id, useless))
    kept: dict[str, list[Sample]] = {}
    for part, called in (("train", "training"), ("val", "validation"), ("test", "test")):
        before = loaded.part(part)
        kept[part] = [s for s in before if id(s) not in left_out]
        if before and not kept[part]:
            raise DataError(
                f"all {len(before)} {called} samples have a box of no use, such as "
                f"{before[0].id}: correct them, or choose another split (data.validation)"
            )
    return replace(loaded, train=kept["train"], val=kept["val"], test=kept["test"])


class MemoryData(NamedTuple):
    """Samples that a program holds.

    Attributes:
        labels: all of them, or those for training alone where `validation` is given.
        validation: samples of the same skeleton, or None to split some off.
    """

    labels: Labels
    validation: list[Sample] | None = None


def load_data(
    data: Data, chosen: bool = True, given: MemoryData | None = None, boxes: bool = False
) -> KeypointData:
    """The samples that settings ask for, with the chosen points, in three parts.

    `chosen=False` passes over what only chooses among training samples, `train_limit` and
    `leave_out_lookalikes` (which takes seconds): enough to validate. `given` takes the place of
    files, where `data.format` is `memory`. With `boxes`, objects need no labelled point.

    Raises `DataError` or `SettingsError` for whatever is wrong with files or settings.
    """
    if data.format == MEMORY:
        if given is not None:
            source = "the samples"
            return in_parts(given.labels, data, source, given.validation, chosen, boxes=boxes)
        raise SettingsError(
            "data.format: the samples were given by a program and are not in a file; name other "
            "data (--data), or give them again"
        )
    if data.drawn:
        return _with_chosen(_drawn(data), data, chosen)
    found = read_given(data)
    told = found.told
    return in_parts(found.labels, data, found.source, chosen=chosen, told=told, boxes=boxes)


def load_whole(data: Data, chosen: bool = False) -> KeypointData:
    """All samples of `data.path`, undivided, as the part `test`; else as `load_data`."""
    data = data.model_copy(update={"split": "random", "folds": 0, "fold": 0})
    labels, told, source = read_given(data)
    return in_parts(labels, data, source, chosen=chosen, told=["test"] * len(told))


def _drawn(data: Data) -> KeypointData:
    """Faces that are drawn, those to train on first."""
    from heatkp.data.drawn import drawn_samples  # a thousand lines, and only needed here

    skeleton, drawn = SKELETONS[data.skeleton], drawn_samples(data)
    if data.crop != "image":
        drawn, _ = with_boxes(drawn, data.box)
    if data.folds:
        parts = divide(drawn, data.model_copy(update={"split": "random"}))
        return KeypointData(skeleton, parts.train, parts.val, parts.notes, groups=parts.groups)
    return KeypointData(skeleton, drawn[: data.train_count], drawn[data.train_count :])


def in_parts(
    labels: Labels,
    data: Data,
    source: Path | str,
    validation: Sequence[Sample] | None = None,
    chosen: bool = True,
    told: Sequence[str | None] | None = None,
    boxes: bool = False,
) -> KeypointData:
    """Samples checked, framed and split as settings say, with the chosen points.

    Args:
        labels: the samples; those for training alone where `validation` is given.
        source: where they are from, for messages.
        validation: samples of the same skeleton to validate on, which are not split off then.
        chosen: as in `load_data`.
        told: the part that each is in, as `divide` takes it.
        boxes: objects need no labelled point.

    Raises `DataError` or `SettingsError` as `load_data` does.
    """
    skeleton, samples, notes = labels
    parts: list[str | None] = [None] * len(samples) if told is None else list(told)
    if validation is not None:
        samples = [*samples, *validation]
        parts = [*["train"] * len(parts), *["val"] * len(validation)]
    # The reader's notes count those that are ignored.
    known = [(s, part) for s, part in zip(samples, parts) if not s.ignored]
    ignored = [s for s in samples if s.ignored]
    samples, parts = [s for s, _ in known], [part for _, part in known]
    if not any((s.visibility > 0).any() or (boxes and s.box is not None) for s in samples):
        raise DataError(
            f"{source} holds no labelled object: none of its {len(samples)} samples has a "
            f"labelled point{''.join(f'; {note}' for note in notes)}"
        )
    if data.pairs is not None:
        before = skeleton
        try:
            skeleton = skeleton.with_pairs(data.pairs)
        except ValueError as error:
            raise SettingsError(f"data.pairs: {error}") from None
        notes = (*notes, *left_out_note(before, skeleton))
    notes = (*notes, *require_meaningful(samples, skeleton, source, data.orient))
    useless: list[Sample] = []
    if data.crop != "image":
        samples, boxed = with_boxes(samples, data.box)
        useless, bad = find_useless_boxes(samples, data.orient, source)
        notes = (*notes, *boxed, *bad)
    notes = (*notes, *depth_notes(samples))
    if data.crop == "image":
        notes = (*notes, *crowded_notes(samples))
    loaded = _divided(skeleton, samples, data, parts, notes)
    loaded = replace(_without(useless, loaded), left_out=ignored)
    if labels.empty and data.empty_images:
        found = empty_in_parts(labels.empty, loaded, data)
        note = f"{len(found)} images without an object, of which only a finder learns"
        loaded = replace(loaded, empty=found, notes=(*loaded.notes, note))
    given = validation is not None  # the program's own choice, which nothing is taken from
    if chosen and data.leave_out_lookalikes and (loaded.val or loaded.test) and not given:
        loaded = without_near_duplicates(loaded)
    return _with_chosen(loaded, data, chosen)


def _divided(
    skeleton: Skeleton,
    samples: Sequence[Sample],
    data: Data,
    told: Sequence[str | None],
    notes: tuple[str, ...],
) -> KeypointData:
    """Samples in their parts, with notes of how, and of images that are in several."""
    if all(part == "test" for part in told):  # all are measured
        return KeypointData(skeleton, [], [], notes, list(samples))
    parts = divide(samples, data, told)
    loaded = KeypointData(skeleton, parts.train, parts.val, notes, parts.test, parts.groups)
    leaks = source_leaks({part: loaded.part(part) for part in PARTS})
    files = {s.image_name for s in samples if s.file is not None}
    sources = set(sources_of(samples))
    if len(sources) < len(files) and not leaks and None in told:
        together = f"{len(files)} images are of {len(sources)} source images, by their names: "
        notes = (*notes, together + "those of one source image are on one side of the split")
    found = tuple(leak.note(len(loaded.part(leak.part))) for leak in leaks)
    return replace(loaded, notes=(*notes, *parts.notes, *found))


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
