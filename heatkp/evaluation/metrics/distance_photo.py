"""Mean Euclidean distance, image pixels."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Array, Errors


@metric(
    "distance_photo",
    "distance, image",
    "pixels, mean over points",
    unit="px",
    order=3.0,
)
def distance_photo(errors: Errors) -> Array:
    """(N, K)."""
    return np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
