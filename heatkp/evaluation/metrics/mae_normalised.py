"""Mean absolute error of coordinates over the input's width and height."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Array, Errors


@metric(
    "mae_normalised",
    "MAE, normalised",
    "by the input's width and height",
    form=".3e",
    of_input=True,
    order=4.0,
)
def mae_normalised(errors: Errors) -> Array:
    """(N, K)."""
    return np.abs((errors.input - errors.input_truth) / errors.input_size).mean(2)
