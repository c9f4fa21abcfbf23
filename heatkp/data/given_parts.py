"""The labels that settings name, read: one path, or one and more for each part of a split."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import NamedTuple

from heatkp.config import PARTS, Data, expand_path
from heatkp.data.images import ImageOptions
from heatkp.data.readers import read
from heatkp.data.samples import Labels
from heatkp.data.sets import merge_labels
from heatkp.data.splitting import LEFT_OUT
from heatkp.errors import DataError

_EXPORTED = re.compile(r"\.rf\.[0-9A-Za-z]{8,64}\.")


class Given(NamedTuple):
    """Labels, and what settings say of each sample.

    Attributes:
        labels: all of them, as one set.
        told: the part of each, or None where `data.split` says it.
        source: where they are from, for messages.
    """

    labels: Labels
    told: list[str | None]
    source: str


def read_given(data: Data) -> Given:
    """The labels that `data.path`, `data.train`, `data.val` and `data.test` name.

    Raises `DataError` for what cannot be read, sets that have other points than the first, and a
    part that the labels do not have.
    """
    given = {part: getattr(data, part) or [] for part in PARTS}
    sets: list[Labels] = []
    told: list[str | None] = []
    sources: list[str] = []
    if data.path is not None:
        main = _read(data, data.path, "data.path")
        claims = {value: part for part in PARTS for value in given[part] if value in PARTS}
        sets.append(main)
        told += _own_parts(main, claims, {p for p in PARTS if given[p]}, data.path)
        sources.append(str(expand_path(data.path, "data.path")))
    for part in PARTS:
        for value in given[part]:
            if value in PARTS:
                continue
            found = _read(data, value, f"data.{part}")
            if part != "train":
                found = found.with_empty(replace(image, split=part) for image in found.empty)
            sets.append(_apart(found, len(sets)))
            told += [None if part == "train" else part] * len(found.samples)
            sources.append(value)
    labels = sets[0] if len(sets) == 1 else merge_labels(sets)
    return Given(labels, told, ", ".join(sources))


def _read(data: Data, path: str, place: str) -> Labels:
    options = ImageOptions.of(data)
    source = expand_path(path, place)
    return read(
        source,
        data.format,
        options=options,
        y_up=data.y_up,
        layout=data.layout,
        first_pixel=data.first_pixel,
    )


def _own_parts(
    labels: Labels, claims: dict[str, str], given: set[str], path: str
) -> list[str | None]:
    """What each sample is told where settings name parts of the labels' own split."""
    if not claims:
        return [None] * len(labels.samples)
    named = {s.split for s in labels.samples}
    for word, part in claims.items():
        if word not in named:
            has = ", ".join(sorted(map(str, named - {None}))) or "no parts"
            raise DataError(
                f"data.{part}={word}: the labels of {path} have {has}; name one of them"
            )
    told: list[str | None] = []
    for sample in labels.samples:
        own = sample.split or LEFT_OUT
        told.append(claims.get(own, LEFT_OUT if own in given else own))
    return told


def _apart(labels: Labels, number: int) -> Labels:
    """A further set, whose images are not those of the first for having the same names; but what
    Roboflow exported is."""
    if not number:
        return labels

    def source(name: str | None, file: object) -> str | None:
        return name if name is None or _EXPORTED.search(str(file)) else f"{number}:{name}"

    samples, empty = (
        [replace(s, source_image=source(s.source_image, s.file)) for s in own]
        for own in (labels.samples, labels.empty)
    )
    return Labels(labels.skeleton, samples, labels.notes).with_empty(empty)
