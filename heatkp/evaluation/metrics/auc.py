"""Area under the cumulative error curve."""

from __future__ import annotations

from scipy.integrate import trapezoid

from heatkp.evaluation.metrics._base import Relative, metric
from heatkp.evaluation.metrics._errors import FAILURE, error_curve


@metric(
    "auc",
    "area under curve",
    "up to 10 %; 1 is best",
    per="length",
    higher=True,
    order=14.0,
)
def auc(relative: Relative) -> float | None:
    """Of per-image NME up to 10 %, as a fraction of its largest value."""
    if not relative.usable.any():
        return None
    levels, fractions = error_curve(relative.images)
    return float(trapezoid(fractions, levels) / FAILURE)
