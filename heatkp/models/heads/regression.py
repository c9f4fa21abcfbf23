"""The baseline without maps."""

from __future__ import annotations

from typing import Literal

from heatkp.config import Head as HeadSettings
from heatkp.config import Model, Section, parse_options
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel
from heatkp.models.heads._base import AnyHead
from heatkp.models.regression import RegressionModel
from heatkp.registry import register_head


class RegressionOptions(Section):
    """Settings of head `regression`."""

    loss: Literal["smooth_l1", "l1", "mse"] = "smooth_l1"
    """Of each coordinate; `smooth_l1` is squared below an error of 1."""
    unit: Literal["pixels", "normalised"] = "pixels"
    """What the loss counts in: pixels of the input, or fractions of its width and height."""


@register_head
class RegressionHead(AnyHead):
    """Coordinates straight from pooled features, without maps: the baseline."""

    name = "regression"
    takes_mixtures = True
    Options = RegressionOptions

    @classmethod
    def build(
        cls,
        model: Model,
        settings: HeadSettings,
        points: int,
        size: tuple[int, int],
        channels: int,
    ) -> KeypointModel:
        for given in ("decoder", "sigma", "sigma_final"):
            if getattr(settings, given) is not None:
                raise SettingsError(f"head.{given}: head 'regression' makes no maps")
        options = parse_options(settings, RegressionOptions)
        return RegressionModel(
            model, points, size, channels, loss=options.loss, normalised=options.unit != "pixels"
        )
