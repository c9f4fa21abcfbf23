"""How many images fail."""

from __future__ import annotations

from heatkp.evaluation.metrics._base import Relative, metric
from heatkp.evaluation.metrics._errors import FAILURE


@metric(
    "failure_rate",
    "failures",
    "images over 10 %",
    per="length",
    form=".1%",
    order=13.0,
)
def failure_rate(relative: Relative) -> float | None:
    """The fraction of images whose own NME is over 10 %."""
    images = relative.images[relative.usable.any(1)]
    return float((images > FAILURE).mean()) if len(images) else None
