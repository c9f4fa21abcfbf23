"""What a check finds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Sample


class Finding(NamedTuple):
    """A line for the user, and whether labels of which it is true cannot be meant: training
    refuses them."""

    text: str
    refused: bool = False


def spread_evenly(count: int, limit: int | None) -> list[int]:
    """At most `limit` places of `count`, first and last among them; None for all."""
    if limit is None or count <= limit:
        return list(range(count))
    return [int(i) for i in np.linspace(0, count - 1, limit).round()]


def labelled_points(samples: Sequence[Sample], limit: int | None = 300) -> npt.NDArray[np.float64]:
    """Points (N, K, 2) of at most `limit` samples that have any, NaN where not labelled."""
    labelled = [s for s in samples if (s.visibility > 0).any()]
    some = [labelled[i] for i in spread_evenly(len(labelled), limit)]
    if not some:
        return np.empty((0, len(samples[0].points) if samples else 0, 2))
    points = np.stack([s.points for s in some]).astype(np.float64)
    points[np.stack([s.visibility == 0 for s in some])] = np.nan
    return points
