"""The one pass from images and boxes to points, scores, covariances and maps."""

from __future__ import annotations

from heatkp.engine.backend import Backend, Output, require_mirrored
from heatkp.engine.engine import Engine, Estimate, Region, require_box_style
from heatkp.engine.runtimes.torch import TorchBackend

__all__ = [
    "Backend",
    "Engine",
    "Estimate",
    "Output",
    "Region",
    "TorchBackend",
    "require_box_style",
    "require_mirrored",
]
