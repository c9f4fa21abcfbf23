"""Normalised mean error."""

from __future__ import annotations

from heatkp.evaluation.metrics._base import Relative, metric


@metric(
    "nme",
    "NME",
    "mean distance over that length",
    per="length",
    form=".2%",
    order=11.0,
)
def nme(relative: Relative) -> float | None:
    """Mean distance over the length; of points, not of images."""
    values = relative.distance[relative.usable]
    return float(values.mean()) if len(values) else None
