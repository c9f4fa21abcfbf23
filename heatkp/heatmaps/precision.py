"""Which precision what is computed in, and what counts as maps."""

from __future__ import annotations

import torch
from torch import Tensor


def working_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for float64, float32 for all others: what whole maps are computed in."""
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32


def accurate_dtype(tensor: Tensor) -> torch.dtype:
    """float64 for what is small enough to afford it; float32 where a device has no float64."""
    return torch.float32 if tensor.device.type == "mps" else torch.float64


def check_maps(maps: Tensor) -> None:
    """Raises `ValueError` for maps that are not (B, K, H, W) floats with pixels."""
    if maps.dim() != 4 or not maps.is_floating_point() or 0 in maps.shape[2:]:
        raise ValueError(
            "maps must be floating point of shape (B, K, H, W) with H, W >= 1, "
            f"got {maps.dtype} of shape {tuple(maps.shape)}"
        )
