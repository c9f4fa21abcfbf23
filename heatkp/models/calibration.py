"""Scores and covariances that mean what they say, by what a network was wrong on other images.

A trained network's maps are surer or less sure than its errors warrant: a target Gaussian makes
them wide, learning the training images by heart makes them narrow.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from heatkp.models.prediction import Prediction

_LEAST = 1e-6
"""Scores nearer to 0 or 1 count as this near; float32 holds no nearer ones than 6e-8."""


@dataclass(frozen=True)
class Calibration:
    """How a network's scores and covariances are mended.

    Attributes:
        radius: input pixels; a score is the probability that a point lies this near the truth.
        slope, intercept: a score s becomes sigmoid(slope logit(s) + intercept), Platt's scaling
            (Platt, "Probabilistic outputs for support vector machines", 1999); a slope below 1
            makes scores less sure.
        factors: (K,) by which covariances are multiplied; None where the network gives none.
        samples: how many images they were found on.
        decoder: what read the maps.
    """

    radius: float
    slope: float
    intercept: float
    factors: tuple[float, ...] | None
    samples: int
    decoder: str | None = None

    def scores(self, scores: Tensor) -> Tensor:
        """Mended scores; 0, where there is no answer, and NaN stay."""
        odds = torch.logit(scores.clamp(_LEAST, 1 - _LEAST))
        mended = (self.slope * odds + self.intercept).sigmoid().to(scores.dtype)
        return torch.where(scores > 0, mended, scores)

    def __call__(self, found: Prediction) -> Prediction:
        """A prediction (B, K) with mended scores and covariance."""
        covariance = found.covariance
        if covariance is not None and self.factors is not None:
            covariance = covariance * covariance.new_tensor(self.factors)[:, None, None]
        return found._replace(scores=self.scores(found.scores), covariance=covariance)

    def in_order(self, order: Sequence[int]) -> Calibration:
        """Of points in another order: the new point i is the old `order[i]`."""
        if self.factors is None:
            return self
        return replace(self, factors=tuple(self.factors[i] for i in order))

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as files hold them."""
        return asdict(self)

    @classmethod
    def read(cls, values: Mapping[str, Any] | None, points: int) -> Calibration | None:
        """What `as_dict` gave. Raises `ValueError` for what it cannot have given."""
        if values is None:
            return None
        found = cls(**values)
        if found.factors is not None:
            found = replace(found, factors=tuple(float(f) for f in found.factors))
        numbers = (found.radius, found.slope, found.intercept, *(found.factors or ()))
        positive = (found.radius, found.slope, *(found.factors or ()))
        if not all(map(math.isfinite, numbers)) or min(positive) <= 0:
            raise ValueError("calibration: numbers that are not finite, or not above 0")
        if found.factors is not None and len(found.factors) != points:
            raise ValueError(f"calibration: {len(found.factors)} factors for {points} points")
        return found
