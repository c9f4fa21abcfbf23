"""Percentage of correct keypoints."""

from __future__ import annotations

from heatkp.evaluation.metrics._base import Relative, metric
from heatkp.evaluation.metrics._errors import PCK_SHARES


@metric(
    "pck",
    "PCK",
    "points within that fraction of the length",
    per="length",
    form=".1%",
    higher=True,
    order=12.0,
    parts={f"{s:g}": f"{100 * s:g} %" for s in PCK_SHARES},
)
def pck(relative: Relative) -> dict[str, float] | None:
    """The fraction of points within 5 % and 10 % of the length."""
    values = relative.distance[relative.usable]
    if not len(values):
        return None
    return {f"{s:g}": float((values <= s).mean()) for s in PCK_SHARES}
