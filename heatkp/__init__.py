"""heatkp: keypoints by dense prediction, heatmaps on segmentation backbones.

>>> from heatkp import load_model  # doctest: +SKIP
>>> points = load_model("runs/softargmax-1").predict(image)[0].points  # doctest: +SKIP
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from heatkp import heatmaps, ray
    from heatkp.api import CrossValidation, Run, cross_validate, train
    from heatkp.data.loading import load_data
    from heatkp.data.samples import Sample
    from heatkp.data.sets import read_labels
    from heatkp.data.writers import write_labels
    from heatkp.evaluation.arrays import evaluate
    from heatkp.evaluation.calibrating import calibrate
    from heatkp.inference.heatmaps import Heatmaps
    from heatkp.inference.keypoints import Keypoints
    from heatkp.inference.predictor import Predictor, load_model
    from heatkp.models import create_model, head_names
    from heatkp.registry import register_head
    from heatkp.skeletons import Skeleton
    from heatkp.viz.plot import plot

# Resolved on first use, so that `import heatkp` and the command line start without torch.
_HOMES = {
    "CrossValidation": "heatkp.api",
    "Heatmaps": "heatkp.inference.heatmaps",
    "Keypoints": "heatkp.inference.keypoints",
    "Predictor": "heatkp.inference.predictor",
    "Run": "heatkp.api",
    "Sample": "heatkp.data.samples",
    "Skeleton": "heatkp.skeletons",
    "calibrate": "heatkp.evaluation.calibrating",
    "create_model": "heatkp.models",
    "cross_validate": "heatkp.api",
    "evaluate": "heatkp.evaluation.arrays",
    "head_names": "heatkp.models",
    "load_data": "heatkp.data.loading",
    "load_model": "heatkp.inference.predictor",
    "plot": "heatkp.viz.plot",
    "read_labels": "heatkp.data.sets",
    "register_head": "heatkp.registry",
    "train": "heatkp.api",
    "write_labels": "heatkp.data.writers",
}

_ROOMS = ("heatmaps", "ray")

__all__ = [
    "CrossValidation",
    "Heatmaps",
    "Keypoints",
    "Predictor",
    "Run",
    "Sample",
    "Skeleton",
    "__version__",
    "calibrate",
    "create_model",
    "cross_validate",
    "evaluate",
    "head_names",
    "heatmaps",
    "load_data",
    "load_model",
    "plot",
    "ray",
    "read_labels",
    "register_head",
    "train",
    "write_labels",
]


def __getattr__(name: str) -> Any:
    if name in _ROOMS:
        return import_module(f"heatkp.{name}")
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'heatkp' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
