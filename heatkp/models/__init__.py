"""Models by name."""

from __future__ import annotations

from typing import Any

from heatkp.config import Head, Model, Settings, parse_settings
from heatkp.models.base import KeypointModel, Prediction, in_order
from heatkp.models.dense import DenseModel
from heatkp.models.heads import HEADS, create_head, head_names, heads_alike, register_head
from heatkp.models.regression import RegressionModel

__all__ = [
    "HEADS",
    "DenseModel",
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


def _build(
    model: Model, head: Head, points: int, size: tuple[int, int], channels: int
) -> KeypointModel:
    made: KeypointModel
    if head.name == "regression":
        made = RegressionModel(model, head, points, size, channels)
    else:
        made = DenseModel(model, create_head(head, points), points, size, channels)
    if model.freeze:
        made.freeze(model.freeze)
    return made


def build_model(settings: Settings, points: int) -> KeypointModel:
    """The model of a run for K points. Raises `SettingsError` for what cannot be built."""
    size = (settings.data.size[0], settings.data.size[1])
    return _build(settings.model, settings.head, points, size, 1 if settings.data.grey else 3)


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
    values = {"model": model, "head": {"name": head, **(head_options or {})}}
    settings = parse_settings(values, "create_model")
    return _build(settings.model, settings.head, points, size, channels)
