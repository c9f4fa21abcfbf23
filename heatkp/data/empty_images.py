"""Images that labels list without an object: what a finder learns background from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from heatkp.config import PARTS, Data
from heatkp.data.samples import KeypointData, Sample


def empty_in_parts(empty: Sequence[Sample], loaded: KeypointData, data: Data) -> list[Sample]:
    """Images without an object, each with the part that it is in as `split`; those in none are
    left out. The split of the objects does not depend on them.

    An image goes where the labels' own split puts objects of the same name of a part, or those of
    the same source image or video are; any other is drawn by `data.split_seed`, so that about as
    large a fraction validates as of the objects' images.
    """
    parts = {name: loaded.part(name) for name in PARTS}
    if not any(parts[name] for name in ("train", "val")):  # all are measured
        return [replace(sample, split="test") for sample in empty]
    declared = _told_apart(parts, lambda s: [s.split])
    split_names = {s.split for own in parts.values() for s in own} - {None}
    related = _told_apart(parts, lambda s: [s.source_image, s.video])
    free, told = [], dict[int, str]()
    for i, sample in enumerate(empty):
        place = declared.get(sample.split) or next(
            (related[key] for key in (sample.source_image, sample.video) if key in related), None
        )
        if place is None and sample.split in PARTS and not split_names:
            place = sample.split
        if place is None and sample.split is not None and declared:
            continue  # of a part of the labels that is not used
        if place is None:
            free.append(i)
        else:
            told[i] = place
    counts = {name: len({s.image_name for s in own}) for name, own in parts.items()}
    given = data.val is not None or data.val_frames is not None
    fraction = 0.0 if given else counts["val"] / max(counts["train"] + counts["val"], 1)
    order = np.random.default_rng([data.split_seed, 1]).permutation(len(free))
    held = {free[i] for i in order[: round(fraction * len(free))]}
    told.update({i: "val" if i in held else "train" for i in free})
    return [replace(empty[i], split=told[i]) for i in sorted(told)]


def _told_apart(
    parts: dict[str, list[Sample]], keys: Callable[[Sample], list[str | None]]
) -> dict[str | None, str]:
    """The part that a key's samples are in, where all are in one."""
    found: dict[str | None, set[str]] = {}
    for name, own in parts.items():
        for sample in own:
            for key in keys(sample):
                if key is not None:
                    found.setdefault(key, set()).add(name)
    return {key: next(iter(names)) for key, names in found.items() if len(names) == 1}
