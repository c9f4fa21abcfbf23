"""Images that are on both sides of a split, under one name or several."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from heatkp.data.samples import Sample


class Leak(NamedTuple):
    """Held-back samples whose images a model has seen in training.

    Attributes:
        part: the part that they are in: `val` or `test`.
        samples: their ids.
        seen: for each, the id of a training sample of the same image.
        how: what tells.
    """

    part: str
    samples: tuple[str, ...]
    seen: tuple[str, ...]
    how: str

    def note(self, of: int) -> str:
        """The leak in a line; `of` is how many samples the part has."""
        return (
            f"{len(self.samples)} of {of} {self.part} samples show an image that training sees, "
            f"too, {self.how}, such as {self.samples[0]} and {self.seen[0]}: errors will look "
            "smaller than they are; leave them out, or split anew (data.split=random)"
        )


SOURCE, COPY = "of one source image by their names", "by what they look like"


def source_leaks(parts: Mapping[str, Sequence[Sample]]) -> list[Leak]:
    """Samples of `val` and `test` of the same file or source image as one of `train`."""
    seen: dict[Hashable, str] = {}
    for sample in parts.get("train", ()):
        for key in _keys(sample):
            seen.setdefault(key, sample.id)
    found: list[Leak] = []
    for part in ("val", "test"):
        known = [
            (s.id, twin)
            for s in parts.get(part, ())
            if (twin := _first(_keys(s), seen)) is not None
        ]
        found += _leak(part, known, SOURCE)
    return found


def copy_leaks(samples: Sequence[Sample], alike: Iterable[tuple[int, int]]) -> list[Leak]:
    """Of samples that their labels put in parts, those of `val` and `test` that look like one of
    `train`; `alike` are the places of pairs that do."""
    seen: dict[str, dict[str, str]] = {"val": {}, "test": {}}
    for pair in alike:
        for i, j in (pair, pair[::-1]):
            part = samples[i].split
            if part in seen and samples[j].split == "train":
                seen[part].setdefault(samples[i].id, samples[j].id)
    return [leak for part, known in seen.items() for leak in _leak(part, list(known.items()), COPY)]


def _leak(part: str, known: Sequence[tuple[str, str]], how: str) -> Iterator[Leak]:
    if known:
        ids, twins = zip(*known)
        yield Leak(part, ids, twins, how)


def _keys(sample: Sample) -> list[Hashable]:
    keys: list[Hashable] = []
    if sample.file is not None:
        keys.append((os.path.realpath(sample.file), sample.image_part))
    if sample.source_image is not None:
        keys.append(sample.source_image)
    return keys


def _first(keys: Sequence[Hashable], seen: Mapping[Hashable, str]) -> str | None:
    return next((seen[key] for key in keys if key in seen), None)
