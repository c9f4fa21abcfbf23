"""Objects found, missed and wrong at OKS 0.5, and errors of the points of those found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.objects.image_objects import ImageObjects
from heatkp.evaluation.objects.matching import matched_errors


@metric(
    "objects",
    "objects",
    "matched one to one at OKS 0.5",
    per="objects",
    form=".4g",
    order=2.0,
    parts={
        "true": "objects in the labels",
        "found": "found",
        "missed": "missed",
        "false": "false alarms",
        "images_with_wrong_count": "images with another number of objects",
        "precision": "precision",
        "recall": "recall",
        "f1": "F1",
        "oks": "mean OKS of found objects",
        "median_error": "median error, pixels",
        "mean_error": "mean error, pixels",
        "normalised_error": "mean error, of √area",
        "points_missed": "labelled points without a position",
        "pck_0.05": "points within 5 % of √area",
        "pck_0.1": "points within 10 % of √area",
    },
)
def objects(images: Sequence[ImageObjects]) -> dict[str, Any]:
    """As `matched_errors` gives them."""
    return matched_errors(images)
