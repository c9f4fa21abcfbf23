"""What is probably wrong with labels that can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from heatkp.data.exif import orientation
from heatkp.data.samples import Sample
from heatkp.skeletons import Skeleton

LOOKED_AT = 300
"""Pictures whose EXIF entry is read, evenly spread: to read all takes long where there are many."""
SHOWN = 3


def _turned(samples: Sequence[Sample]) -> list[str]:
    stored = (s for s in samples if s.file is not None and not s.options.orient)
    files = list(dict.fromkeys(s.file for s in stored))
    places = np.linspace(0, len(files) - 1, min(LOOKED_AT, len(files))).round().astype(int)
    turned = [files[i] for i in places if orientation(files[i]) != 1]
    if not turned:
        return []
    return [
        f"{len(turned)} of {len(places)} pictures have an EXIF entry that turns them, such as "
        f"{turned[0]}; labels are taken to be of the pixels as stored, but most labelling tools "
        "show the turned picture: compare the contact sheets of heatkp data info with and without "
        "--orient, and set data.orient=true where that one is right"
    ]


def _shares(samples: Sequence[Sample]) -> list[str]:
    known = [s.points[s.visibility > 0] for s in samples]
    every = np.concatenate(known) if known else np.zeros((0, 2))
    if len(every) < 4 or every.min() < 0 or every.max() > 1:
        return []
    return ["all coordinates lie between 0 and 1: pixels are wanted, not shares of the size"]


def _never_labelled(samples: Sequence[Sample], skeleton: Skeleton) -> list[str]:
    labelled = np.stack([s.visibility > 0 for s in samples])
    never = [n for n, known in zip(skeleton.point_names, labelled.T) if not known.any()]
    if not 0 < len(never) < len(skeleton):
        return []
    names = ", ".join(never[:SHOWN]) + ", ..." * (len(never) > SHOWN)
    return [
        f"{len(never)} points are labelled in none of the samples ({names}): nothing is "
        "learned of them, leave them out with data.points"
    ]


def label_notes(samples: Sequence[Sample], skeleton: Skeleton) -> tuple[str, ...]:
    """A line for each thing that a user should know of labelled samples."""
    if not samples or not len(skeleton):
        return ()
    return (*_turned(samples), *_shares(samples), *_never_labelled(samples, skeleton))


def unlabelled_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A line where some samples have nothing to learn from."""
    bare = sum(not (s.visibility > 0).any() for s in samples)
    return (f"{bare} of {len(samples)} samples have no labelled point",) if bare else ()


def crowded_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A line where whole pictures, which a network is to see, show several objects."""
    counts = Counter(s.file for s in samples if s.file is not None)
    crowded = sum(count > 1 for count in counts.values())
    if not crowded:
        return ()
    return (
        f"{crowded} of {len(counts)} pictures hold several samples: a network that sees whole "
        "pictures cannot tell them apart; show it their boxes with --set data.crop=box",
    )
