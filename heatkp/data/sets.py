"""Label sets as wholes: read, split, merged, reduced. Writing them is `heatkp.data.writers`'s."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from os import PathLike
from pathlib import Path

import numpy as np

from heatkp.config import PARTS
from heatkp.data.grouping import together
from heatkp.data.images import ImageOptions
from heatkp.data.layouts import AUTO
from heatkp.data.readers import read
from heatkp.data.readers._common import distinct
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError, SettingsError

BY = ("all", "image", "person", "video")
_WHAT = {"all": "image, person and video", **{name: name for name in BY[1:]}}


def read_labels(
    path: str | PathLike[str],
    format: str = "auto",
    *,
    orient: bool = False,
    strict: bool = True,
    y_up: bool | None = None,
    layout: str = AUTO,
    first_pixel: float | None = None,
) -> Labels:
    """The labels of a file or folder, in whatever format of `READERS` it holds.

    Args:
        format: the name of a reader; `auto` looks at the files.
        orient: whether the labels are of images turned upright as their EXIF entries say.
        strict: whether every image has to be there.
        y_up: whether the file counts y from the images' lower edge; None: as its format does.
        first_pixel: what points call the centre of the first pixel; None: what their format does.
        layout: what numbered points are, a name of `heatkp.data.layouts.LAYOUTS`.

    Raises:
        DataError: for what does not fit.

    >>> labels = read_labels("labels.xml")  # doctest: +SKIP
    >>> write_labels(labels, "labels-coco", "coco").notes  # doctest: +SKIP
    """
    return read(Path(path), format, strict, ImageOptions(orient), y_up, layout, first_pixel)


def split_labels(
    labels: Labels, fractions: Mapping[str, float], seed: int = 0, by: str = "all"
) -> Labels:
    """Labels whose samples have a `split`, drawn at random: of each part about its fraction.

    Samples of one source image, person or video are in one part, so that fractions of few such
    groups are rough. A part of fraction 0 is not there.

    Args:
        fractions: of samples, of `PARTS`; they make 1 together.
        by: what is not parted: `all` of these, or `image`, `person` or `video`, see `together`.

    Raises:
        SettingsError: for fractions that are none.
        DataError: where there are fewer groups than parts.
    """
    wanted = _fractions(fractions)
    samples = labels.samples
    groups = together(samples, by)
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        members.setdefault(group, []).append(i)
    if len(members) < len(wanted):
        raise DataError(
            f"{len(samples)} samples are in {len(members)} groups by {_WHAT[by]}, too few for "
            f"{len(wanted)} parts; --by says what must not be parted"
        )
    order = np.random.default_rng(seed).permutation(len(members)).tolist()
    order.sort(key=lambda group: -len(members[group]))  # the largest first, to come out even
    lacking = {name: fraction * len(samples) for name, fraction in wanted.items()}
    told: dict[int, str] = {}
    for place, group in enumerate(order):
        empty = [name for name in wanted if name not in told.values()]
        last = len(order) - place <= len(empty)  # no part stays empty
        part = max(empty if last else wanted, key=lambda name: lacking[name])
        told[group] = part
        lacking[part] -= len(members[group])
    done = [replace(s, split=told[group]) for s, group in zip(samples, groups)]
    return labels._replace(samples=done)


def _fractions(fractions: Mapping[str, float]) -> dict[str, float]:
    unknown = [name for name in fractions if name not in PARTS]
    if unknown:
        raise SettingsError(f"a part of a split is {', '.join(PARTS)}; not {unknown[0]!r}")
    wanted = {name: float(value) for name, value in fractions.items() if value != 0}
    total = sum(wanted.values())
    if not all(0 < value <= 1 for value in wanted.values()) or not math.isclose(
        total, 1, abs_tol=1e-6
    ):
        told = ", ".join(f"{name} {value:g}" for name, value in fractions.items())
        raise SettingsError(f"fractions are from 0 to 1 and make 1 together; not {told}")
    return wanted


def parts_of(labels: Labels) -> dict[str, Labels]:
    """The parts that samples' `split` names, `PARTS` first. Samples without one are left out.

    Raises `DataError` where none has one.
    """
    named = {s.split: None for s in labels.samples if s.split is not None}
    if not named:
        raise DataError(
            f"none of the {len(labels.samples)} samples is in a part of a split: give fractions"
        )
    order = [*(p for p in PARTS if p in named), *(p for p in named if p not in PARTS)]
    without = sum(s.split is None for s in labels.samples)
    notes = labels.notes
    if without:
        notes = (*notes, f"samples in no part of the split, left out: {without}")
    return {
        part: Labels(labels.skeleton, [s for s in labels.samples if s.split == part], notes)
        for part in order
    }


def merge_labels(sets: Sequence[Labels]) -> Labels:
    """Several sets of points with the same names as one, in the first one's order, with ids that
    differ.

    Raises `DataError` where a set has other names.
    """
    if not sets:
        raise SettingsError("there is nothing to merge")
    first = sets[0].skeleton
    samples: list[Sample] = []
    notes: list[str] = []
    reordered = 0
    for number, labels in enumerate(sets, 1):
        names = labels.skeleton.point_names
        if set(names) != set(first.point_names):
            raise DataError(_differing(first.point_names, names, number))
        notes += labels.notes
        if names == first.point_names:
            samples += labels.samples
            continue
        reordered += 1
        order = [names.index(name) for name in first.point_names]
        samples += [s.take(order) for s in labels.samples]
    if reordered:
        notes.append(f"sets whose points were put into the first one's order: {reordered}")
    ids = distinct([s.id for s in samples])
    renamed = sum(s.id != new for s, new in zip(samples, ids))
    if renamed:
        notes.append(f"samples that got another id, for several sets have it: {renamed}")
    known = max((labels.skeleton for labels in sets), key=lambda s: len(s.pairs))
    skeleton = known if known.point_names == first.point_names else first
    done = [s if s.id == new else replace(s, id=new) for s, new in zip(samples, ids)]
    empty = [image for labels in sets for image in labels.empty]
    return Labels(skeleton, done, tuple(dict.fromkeys(notes))).with_empty(empty)


def _differing(first: Sequence[str], names: Sequence[str], number: int) -> str:
    lacks = [name for name in first if name not in names]
    more = [name for name in names if name not in first]
    told = "; ".join(
        f"{text} {', '.join(found[:5])}{', ...' * (len(found) > 5)}"
        for text, found in (("it lacks", lacks), ("it also has", more))
        if found
    )
    return (
        f"set {number} has other points than the first ({told}): take those that all have first "
        "(heatkp data subset --points)"
    )


def subset_labels(
    labels: Labels,
    *,
    names: Sequence[str] = (),
    points: Sequence[int | str] | None = None,
    fraction: float = 1.0,
    seed: int = 0,
) -> Labels:
    """Some of the samples, some of their points.

    Args:
        names: patterns (`*`, `?`, `[...]`), of which one fits a sample's id or its file's name,
            with its last folders where the pattern has any; none: all samples.
        points: numbers or names, in the order that they are to have; None: all.
        fraction: of the samples; those of one source image, person or video stay together.

    Raises:
        SettingsError: for a point that is none, or a fraction.
        DataError: where nothing remains.
    """
    if not 0 < fraction <= 1:
        raise SettingsError(f"a fraction of samples is above 0 and at most 1; not {fraction:g}")
    samples = labels.samples
    if names:
        samples = [s for s in samples if any(_fits(s, pattern) for pattern in names)]
    if fraction < 1 and samples:
        groups = together(samples)
        order = np.random.default_rng(seed).permutation(max(groups) + 1)
        sizes = np.bincount(groups)[order]
        enough = int(np.searchsorted(np.cumsum(sizes), round(fraction * len(samples)))) + 1
        kept = set(order[:enough].tolist())
        samples = [s for s, group in zip(samples, groups) if group in kept]
    if not samples:
        raise DataError(
            f"none of {len(labels.samples)} samples remains, such as {_first(labels)}: choose "
            "other patterns (--names)"
        )
    skeleton = labels.skeleton
    if points is not None:
        order_of = _places(skeleton.point_names, points)
        skeleton = skeleton.subset(order_of, f"points{len(order_of)}")
        samples = [s.take(order_of) for s in samples]
    note = f"samples that were left out: {len(labels.samples) - len(samples)}"
    dropped = len(samples) < len(labels.samples)
    return Labels(skeleton, samples, (*labels.notes, *[note] * dropped))


def _first(labels: Labels) -> str:
    return labels.samples[0].id if labels.samples else "none"


def _fits(sample: Sample, pattern: str) -> bool:
    """Whether a pattern fits a sample's id, or the end of its file's path, or of its name in a
    tar: so many folders with the name as the pattern has."""
    texts, last = [sample.id], -pattern.count("/") - 1
    if sample.file is not None:
        texts.append("/".join(sample.file.parts[last:]))
    if sample.has_image_file and sample.image_part:
        texts.append("/".join(sample.image_part.split("/")[last:]))
    return any(fnmatchcase(text, pattern) for text in texts)


def _places(names: Sequence[str], points: Sequence[int | str]) -> list[int]:
    """Raises `SettingsError` for a point that is not there, or twice."""
    found = []
    for point in points:
        place = names.index(point) if point in names else point
        if isinstance(place, str) and place.isdecimal():
            place = int(place)
        if isinstance(place, str) or not 0 <= place < len(names):
            raise SettingsError(
                f"there is no point {point!r}; give numbers from 0 to {len(names) - 1}, or names: "
                f"{', '.join(names[:8])}{', ...' * (len(names) > 8)}"
            )
        found.append(place)
    if not found or len(set(found)) < len(found):
        raise SettingsError("points are named once each, and one at least")
    return found
