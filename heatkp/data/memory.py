"""Samples that a program holds: lists of them, tuples, dictionaries, torch data sets."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from heatkp.data.loading import MemoryData
from heatkp.data.mirroring import with_positions
from heatkp.data.readers._common import distinct
from heatkp.data.samples import Labels, Sample
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton, skeleton_of

KEYS = (
    "image", "points", "visible", "box", "id", "person", "source_image", "split", "video", "frame",
    "track", "columns",
)  # fmt: skip
ALLOWED = (
    "a Sample, a tuple (image, points[, visible[, box]]), or a dictionary with the keys "
    f"{', '.join(KEYS[:2])} and maybe {', '.join(KEYS[2:])}"
)


@dataclass(frozen=True)
class _Item:
    """The image of an item of a data set, which is asked for again rather than kept."""

    items: Any
    index: int

    def __call__(self) -> Any:
        return as_sample(self.items[self.index]).rgb()


def as_sample(item: Any) -> Sample:
    """A `Sample` from any of `ALLOWED`. Raises `DataError` for what is none."""
    if isinstance(item, Sample):
        return item
    if isinstance(item, Mapping):
        unknown = [str(key) for key in item if key not in KEYS]
        if unknown or not {"image", "points"} <= set(item):
            raise DataError(
                f"a dictionary with the keys {', '.join(map(str, item))} is no sample; expected "
                f"{ALLOWED}"
            )
        return Sample(**item)
    if isinstance(item, tuple | list) and 2 <= len(item) <= 4:
        return Sample(*item)
    raise DataError(f"{type(item).__name__} is no sample; expected {ALLOWED}")


def _samples(items: Any, name: str) -> list[Sample]:
    """All samples, with distinct ids. Images of what is no list are read when they are needed."""
    if isinstance(items, str | bytes | Mapping) or not (
        isinstance(items, Iterable) or (hasattr(items, "__len__") and hasattr(items, "__getitem__"))
    ):
        raise DataError(f"{name} samples are a sequence of {ALLOWED}; not {type(items).__name__}")
    if isinstance(items, Sequence) or not hasattr(items, "__getitem__"):
        found = [as_sample(item) for item in items]
    else:
        found = [
            replace(sample, image=_Item(items, i)) if sample.file is None else sample
            for i, sample in enumerate(as_sample(items[i]) for i in range(len(items)))
        ]
    width = len(str(max(len(found) - 1, 0)))
    ids = distinct(s.id or f"{name}-{i:0{width}d}" for i, s in enumerate(found))
    return [sample if sample.id == i else replace(sample, id=i) for sample, i in zip(found, ids)]


def given_samples(
    train: Any, validation: Any = None, skeleton: Skeleton | str | Sequence[str] | None = None
) -> MemoryData:
    """Samples of a program in the form that training takes.

    Args:
        train: a sequence, or torch's map-style data set, of `ALLOWED`.
        validation: the same, or None to split some off.
        skeleton: a `Skeleton`, its name, or the points' names; None: they are numbered.

    Raises:
        DataError: for what is no sample, and samples of different numbers of points.
    """
    samples = _samples(train, "train")
    held = None if validation is None else _samples(validation, "val")
    every = [*samples, *(held or ())]
    if not samples or (held is not None and not held):
        raise DataError("no samples were given: there is nothing to train on")
    counts = {len(sample.points) for sample in every}
    if len(counts) > 1:
        odd = next(s for s in every if len(s.points) != len(every[0].points))
        raise DataError(
            f"{every[0].id} has {len(every[0].points)} points, {odd.id} {len(odd.points)}; mark "
            "points that are not labelled as NaN"
        )
    labels = with_positions(Labels(skeleton_of(skeleton, counts.pop()), every))
    parts = labels.samples[: len(samples)], labels.samples[len(samples) :]
    return MemoryData(labels._replace(samples=parts[0]), None if held is None else parts[1])
