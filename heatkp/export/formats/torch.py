"""torch.export's own archive, for torch without heatkp, and for ahead-of-time compilers."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import torch

from heatkp.engine.trust import trust
from heatkp.export.formats._base import Calibration
from heatkp.export.graph import example, graph_of
from heatkp.models import KeypointModel
from heatkp.registry import register_exporter

FILE = "model.pt2"


@register_exporter
class TorchExporter:
    """One `.pt2` file; `torch.export.load` opens it."""

    name = "torch"
    what = "a program of torch.export (.pt2), for torch without heatkp"
    runtime = "torch_export"
    packages: ClassVar[dict[str, str]] = {}
    precisions: ClassVar[tuple[str, ...]] = ("f32", "bf16")
    objects: ClassVar[bool] = True
    refusals: ClassVar[dict[str, str]] = {
        "f16": "half weights are written for OpenVINO and ONNX",
        "int8": "it is written for OpenVINO and ONNX",
    }

    def write(
        self, model: KeypointModel, folder: Path, precision: str, calibration: Calibration | None
    ) -> str:
        graph, images = graph_of(model, autocast=precision == "bf16"), example(model)
        with torch.no_grad():
            program = torch.export.export(
                graph, (images,), dynamic_shapes=({0: torch.export.Dim("batch", min=1)},)
            )
        torch.export.save(program, str(folder / FILE))
        trust(folder / FILE)
        return FILE
