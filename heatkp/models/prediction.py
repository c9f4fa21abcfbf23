"""What every model gives."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Prediction(NamedTuple):
    """Points of a batch, in input pixels.

    Attributes:
        points: (B, K, 2).
        scores: (B, K) in [0, 1], as the decoder defines them; NaN for regression.
        covariance: (B, K, 2, 2) in squared input pixels, or None.
    """

    points: Tensor
    scores: Tensor
    covariance: Tensor | None
