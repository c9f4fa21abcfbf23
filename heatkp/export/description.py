"""What lies beside an exported network, `model.json`: all that a program needs to use it."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import heatkp
from heatkp.export.graph import decoder_name, output_names
from heatkp.export.parity import Deviation
from heatkp.models import DenseModel
from heatkp.models.grouped import GroupedModel
from heatkp.runs import Loaded, describe, least_score

FILE = "model.json"
VERSION = 1
UNITS: dict[str, tuple[str, list[int | str]]] = {
    "points": ("input pixels, (x, y), the first pixel's centre is (0, 0)", ["points", 2]),
    "scores": ("0 to 1; NaN where the head has none", ["points"]),
    "boxes": ("input pixels, edges x0, y0, x1, y1", [4]),
    "box_scores": ("0 to 1; 0 where there are fewer objects", []),
    "covariance": ("squared input pixels", ["points", 2, 2]),
}


def versions(packages: Mapping[str, str]) -> dict[str, str]:
    """Of heatkp, torch and packages (modules with their names for pip), of those installed."""
    found = {"heatkp": heatkp.__version__}
    for name in ("torch", *packages.values()):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def description(
    loaded: Loaded,
    *,
    format: str,
    runtime: str,
    precision: str,
    file: str,
    outputs: int,
    packages: Mapping[str, str],
    deviation: Deviation,
    metrics: Mapping[str, Any] | None,
    terms: str | None,
) -> dict[str, Any]:
    """Plain values; `settings`, as the network was trained, are for heatkp, the rest is for all."""
    model, data, skeleton = loaded.model, loaded.settings.data, loaded.skeleton
    width, height = model.size
    names = output_names(model)[:outputs]
    finder = loaded.settings.finder if isinstance(model, GroupedModel) else None
    many = [] if finder is None else [finder.max_objects]
    return {
        "heatkp_export": VERSION,
        "format": format,
        "file": file,
        "runtime": runtime,
        "precision": precision,
        "input": {
            "name": "images",
            "type": "uint8",
            "shape": ["batch", model.channels, height, width],
            "values": "grey" if model.channels == 1 else "RGB",
        },
        "outputs": [
            {
                "name": name,
                "type": "float32",
                "shape": [
                    "batch",
                    *many,
                    *(len(skeleton) if n == "points" else n for n in UNITS[name][1]),
                ],
                "unit": UNITS[name][0],
            }
            for name in names
        ],
        "objects": None
        if finder is None
        else {
            "most": finder.max_objects,
            "min_score": least_score(finder),
            "nms": finder.nms,
        },
        "names": list(skeleton.point_names),
        "pairs": [list(pair) for pair in skeleton.pairs],
        "lines": [list(line) for line in skeleton.lines],
        "framing": {
            "size": [width, height],
            "box_scale": data.box_scale if data.crop == "box" else None,
            "box_shift": list(data.box_shift),
            "keep_aspect": data.keep_aspect or finder is not None,
            "box_inside": data.box_inside,
            "orient": data.orient,
        },
        "box_style": None if loaded.box_style is None else loaded.box_style._asdict(),
        "head": loaded.settings.head.name,
        "decoder": decoder_name(model),
        "stride": model.stride if isinstance(model, DenseModel) else None,
        "metrics": metrics,
        "deviation": deviation._asdict(),
        "weights": {
            "license": terms,
            "encoder": str(loaded.settings.model.encoder),
            "encoder_weights": str(loaded.settings.model.encoder_weights),
        },
        "versions": versions(packages),
        "model": describe(loaded.settings, skeleton, loaded.box_style)
        | {"validation": loaded.validation, "training": loaded.training},
    }
