"""Models by name."""

from __future__ import annotations

from typing import Any

from heatkp.config import MEMORY, Settings, parse_settings
from heatkp.errors import SettingsError
from heatkp.models.base import KeypointModel, in_order
from heatkp.models.dense import DenseModel
from heatkp.models.encoders import input_statistics
from heatkp.models.heads import Head, head_names, heads_alike, make_model, register_head
from heatkp.models.prediction import Prediction
from heatkp.models.regression import RegressionModel

__all__ = [
    "DenseModel",
    "Head",
    "KeypointModel",
    "Prediction",
    "RegressionModel",
    "build_model",
    "create_model",
    "head_names",
    "heads_alike",
    "in_order",
    "register_head",
]


def build_model(settings: Settings, points: int) -> KeypointModel:
    """The model of a run for K points. Raises `SettingsError` for what cannot be built."""
    size = (settings.data.size[0], settings.data.size[1])
    channels = 1 if settings.data.grey else 3
    model = make_model(settings.model, settings.head, points, size, channels)
    if settings.model.freeze:
        model.freeze(settings.model.freeze)
    model.settings = settings.model_copy(deep=True)
    # As weights are stored: what pixels they expect does not depend on where they came from.
    mean, std = input_statistics(settings.model)
    model.settings.model.mean, model.settings.model.std = list(mean), list(std)
    return model


def create_model(
    head: str = "softargmax",
    *,
    points: int,
    size: tuple[int, int] = (128, 128),
    channels: int = 3,
    head_options: dict[str, Any] | None = None,
    **model: Any,
) -> KeypointModel:
    """A model by the name of its head.

    Args:
        head: one of `head_names()`.
        points: how many keypoints K.
        size: (W, H) of the input, in pixels.
        channels: 1 for grey, 3 for RGB.
        head_options: further settings of section `head`, such as `sigma`.
        model: settings of section `model`, such as `encoder="tu-resnet18"`, `stride=4`.

    Raises:
        SettingsError: for an unknown name or a setting that is not allowed.

    >>> create_model("kl", points=68, encoder="tu-resnet18", stride=2).stride
    2
    """
    values: dict[str, Any] = {"model": model, "head": {"name": head, **(head_options or {})}}
    if channels not in (1, 3):
        raise SettingsError(f"channels is 1 or 3, not {channels!r}")
    values["data"] = {"size": list(size), "grey": channels == 1, "format": MEMORY}
    return build_model(parse_settings(values, "create_model"), points)
