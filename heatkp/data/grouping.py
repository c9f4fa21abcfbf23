"""Samples that splits must not part: of one image, one person, one video."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from heatkp.data.samples import Sample


def sources_of(samples: Sequence[Sample]) -> list[str]:
    """The image that each sample is from, itself where it is from none with others."""
    return [s.id if s.source_image is None else s.source_image for s in samples]


def joined(*keys: Sequence[Hashable | None]) -> list[int]:
    """A group's number for each sample: those that are equal in any of the keys are in one group.

    A key holds a value for each sample; None is equal to nothing.

    >>> joined([1, 2, 3, 3], ["a", "a", None, None])
    [0, 0, 1, 1]
    """
    count = len(keys[0])
    nodes: dict[tuple[int, Hashable], int] = {}
    pairs = [
        (i, nodes.setdefault((kind, value), count + len(nodes)))
        for kind, key in enumerate(keys)
        for i, value in enumerate(key)
        if value is not None
    ]
    rows, columns = (np.array(side, int) for side in zip(*pairs)) if pairs else ([], [])
    size = count + len(nodes)
    links = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(size, size))
    groups = connected_components(links, directed=False)[1][:count]
    numbers: dict[int, int] = {}
    return [numbers.setdefault(group, len(numbers)) for group in groups.tolist()]


def together(samples: Sequence[Sample], by: str = "all") -> list[int]:
    """A group's number for each sample: those of one source image, and of one person or video.

    Args:
        by: `image`, `person` or `video`, which keeps those of one image together, too; `all`.
    """
    keys: list[Sequence[Hashable | None]] = [sources_of(samples)]
    if by in ("person", "all"):
        keys.append([s.person for s in samples])
    if by in ("video", "all"):
        keys.append([s.video for s in samples])
    return joined(*keys)
