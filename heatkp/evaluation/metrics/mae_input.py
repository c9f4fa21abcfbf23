"""Mean absolute error of coordinates, pixels of the network's input."""

from __future__ import annotations

import numpy as np

from heatkp.evaluation.metrics._base import metric
from heatkp.evaluation.metrics._errors import Array, Errors


@metric(
    "mae_input",
    "MAE, input",
    "pixels of the network's input",
    unit="px",
    of_input=True,
    order=2.0,
)
def mae_input(errors: Errors) -> Array:
    """(N, K)."""
    return np.abs(errors.input - errors.input_truth).mean(2)
