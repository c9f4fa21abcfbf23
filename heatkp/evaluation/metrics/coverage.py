"""How many points lie where the network's covariance expects them."""

from __future__ import annotations

import math

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Errors
from heatkp.evaluation.metrics._reliability import LEVELS, squared_lengths
from heatkp.skeletons import Skeleton


@metric(
    "coverage",
    "coverage",
    "points in the covariance's ellipses of so many",
    per="set",
    form=".1%",
    order=30.0,
    parts={f"{level:g}": f"{100 * level:g} %" for level in LEVELS},
)
def coverage(errors: Errors, skeleton: Skeleton) -> dict[str, float] | None:
    """The fraction of labelled points in the ellipses that should hold 50, 90 and 99 % of them."""
    squared = squared_lengths(errors)
    known = squared[np.isfinite(squared)]
    if not len(known):
        return None
    return {f"{level:g}": float((known <= -2 * math.log1p(-level)).mean()) for level in LEVELS}
