"""The one pass from images and boxes to points, scores, covariances and maps."""

from __future__ import annotations

from heatkp.engine.backend import Backend, Output, require_mirrored
from heatkp.engine.engine import Engine, Estimate, FoundPoints, Region, require_box_style
from heatkp.engine.runtimes.torch import TorchBackend
from heatkp.engine.scenes import SceneEngine, make_engine

__all__ = [
    "Backend",
    "Engine",
    "Estimate",
    "FoundPoints",
    "Output",
    "Region",
    "SceneEngine",
    "TorchBackend",
    "make_engine",
    "require_box_style",
    "require_mirrored",
]
