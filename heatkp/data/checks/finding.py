"""What a check finds."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


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
