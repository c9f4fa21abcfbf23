"""Mean absolute error of coordinates, image pixels."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Array, Errors


@metric(
    "mae_photo",
    "MAE, image",
    "pixels, mean over x and y",
    unit="px",
    order=1.0,
)
def mae_photo(errors: Errors) -> Array:
    """(N, K)."""
    return np.abs(errors.image_points - errors.image_truth).mean(2)
