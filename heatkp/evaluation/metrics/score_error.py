"""How far scores are from the probability that they tell."""

from __future__ import annotations

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Errors
from heatkp.evaluation.metrics._reliability import reliability, scored
from heatkp.skeletons import Skeleton


@metric(
    "score_error",
    "score error",
    "score against how often points are near enough",
    per="set",
    form=".3f",
    order=31.0,
)
def score_error(errors: Errors, skeleton: Skeleton) -> float | None:
    """The expected calibration error of scores: near enough is within 2 sigma of the target
    Gaussian, or the radius that scores were calibrated for."""
    found = scored(errors)
    return None if found is None else reliability(*found).error
