"""What is wrong, or probably wrong, with labels that can be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from heatkp.data.checks.finding import Finding
from heatkp.data.checks.orientation import orientation_findings
from heatkp.data.checks.points import point_findings
from heatkp.data.checks.sizes import (
    Header,
    Key,
    declared_findings,
    read_headers,
    shown_key,
    sizes_of,
)
from heatkp.data.checks.stuck import stuck_findings
from heatkp.data.checks.swapped import swap_findings
from heatkp.data.samples import Sample
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

LOOKED_AT = 300
"""Images whose header is read, evenly spread: to read all takes long where there are many."""
SHOWN = 3


def _turned(headers: dict[Key, Header], orient: bool) -> list[Finding]:
    turned = [key for key, header in headers.items() if header.orientation != 1]
    if not turned or orient:
        return []
    text = (
        f"{len(turned)} of {len(headers)} images have an EXIF entry that turns them, such as "
        f"{shown_key(turned[0])}; labels must be of the pixels as stored, but most labelling tools "
        "show the turned image: look at the contact sheet of heatkp data info, or set "
        "data.orient=true"
    )
    return [Finding(text)]


def _never_labelled(samples: Sequence[Sample], skeleton: Skeleton) -> list[Finding]:
    labelled = np.stack([s.visibility > 0 for s in samples])
    never = [n for n, known in zip(skeleton.point_names, labelled.T) if not known.any()]
    if not 0 < len(never) < len(skeleton):
        return []
    names = ", ".join(never[:SHOWN]) + ", ..." * (len(never) > SHOWN)
    text = (
        f"{len(never)} points are labelled in none of the samples ({names}): nothing is "
        "learned of them, leave them out with data.points"
    )
    return [Finding(text)]


def label_findings(
    samples: Sequence[Sample],
    skeleton: Skeleton,
    orient: bool = False,
    limit: int | None = LOOKED_AT,
) -> list[Finding]:
    """Each thing that a user should know of labelled samples.

    Args:
        orient: images are read upright, as their EXIF entry says.
        limit: headers of so many files are read; None for all.
    """
    if not samples or not len(skeleton):
        return []
    headers = read_headers(samples, limit)
    declared = declared_findings(samples, headers, orient)
    sizes = sizes_of(samples, headers, orient, not declared, limit)
    return [
        *declared,
        *_turned(headers, orient),
        *point_findings(samples, skeleton, sizes),
        *orientation_findings(samples, skeleton, sizes),
        *swap_findings(samples, skeleton, limit),
        *stuck_findings(samples, skeleton),
        *_never_labelled(samples, skeleton),
    ]


def label_notes(
    samples: Sequence[Sample],
    skeleton: Skeleton,
    orient: bool = False,
    limit: int | None = LOOKED_AT,
) -> tuple[str, ...]:
    """A line for each of `label_findings`; those that training refuses say so."""
    found = label_findings(samples, skeleton, orient, limit)
    return tuple(f.text + " (training refuses such labels)" * f.refused for f in found)


def require_meaningful(
    samples: Sequence[Sample], skeleton: Skeleton, source: Path | str, orient: bool = False
) -> tuple[str, ...]:
    """As `label_notes`; raises `DataError` for labels that cannot be meant."""
    found = label_findings(samples, skeleton, orient)
    refused = [f.text for f in found if f.refused]
    if refused:
        raise DataError(f"{source}: {refused[0]}")
    return tuple(f.text for f in found)


def crowded_notes(samples: Sequence[Sample]) -> tuple[str, ...]:
    """A line where whole images, which a network is to see, show several objects."""
    counts = Counter(s.image_name for s in samples if s.file is not None)
    crowded = sum(count > 1 for count in counts.values())
    if not crowded:
        return ()
    return (
        f"{crowded} of {len(counts)} images hold several samples: a network that sees whole "
        "images cannot tell them apart; show it their boxes with --set data.crop=box",
    )
