"""Which precision what is computed in, and what counts as maps."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

import torch
from torch import Tensor


def working_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all others: what whole maps are computed in."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def accurate_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for what is small enough to afford it; float32 where a device has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


_F = TypeVar("_F", bound=Callable[..., Any])


def without_autocast(function: _F) -> _F:
    """A function of maps that computes in its own precision inside autocast, too."""

    @wraps(function)
    def inner(maps: Tensor, *args: Any, **kwargs: Any) -> Any:
        if not isinstance(maps, Tensor) or not torch.is_autocast_enabled(maps.device.type):
            return function(maps, *args, **kwargs)
        with torch.autocast(maps.device.type, enabled=False):
            return function(maps, *args, **kwargs)

    return cast(_F, inner)


def check_maps(maps: Tensor) -> None:
    """Raises `ValueError` for maps that are not (B, K, H, W) floats with pixels."""
    if maps.dim() != 4 or not maps.is_floating_point() or 0 in maps.shape[2:]:
        raise ValueError(
            "maps must be floating point of shape (B, K, H, W) with H, W >= 1, "
            f"got {maps.dtype} of shape {tuple(maps.shape)}"
        )
