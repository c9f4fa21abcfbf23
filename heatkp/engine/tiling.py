"""Where the tiles of large images lie."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

OVERLAP = 0.25
"""What neighbouring tiles share, as a fraction of their side."""


def starts(length: int, tile: int) -> list[int]:
    """Where tiles begin along a side of an image, evenly, the last one at its end.

    >>> starts(100, 100), starts(250, 100)
    ([0], [0, 75, 150])
    """
    if length <= tile:
        return [0]
    count = int(np.ceil((length - OVERLAP * tile) / ((1 - OVERLAP) * tile)))
    return [round(v) for v in np.linspace(0, length - tile, max(count, 2))]


def nearest(centre: float, places: Sequence[int], tile: int) -> int:
    """The tile, by its start, whose middle is nearest to a place; at one distance the first."""
    return places[int(np.argmin([abs(centre + 0.5 - (s + tile / 2)) for s in places]))]
