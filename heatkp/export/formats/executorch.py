"""ExecuTorch programs, for phones and small devices."""

from __future__ import annotations

import io
import warnings
from contextlib import redirect_stderr
from pathlib import Path
from typing import ClassVar

import torch

from heatkp.engine.runtimes.executorch import AT_ONCE
from heatkp.export.formats._base import Calibration
from heatkp.export.graph import example, graph_of
from heatkp.models import KeypointModel
from heatkp.registry import register_exporter

FILE = "model.pte"


@register_exporter
class ExecuTorchExporter:
    """One `.pte` file, for ExecuTorch with XNNPACK."""

    name = "executorch"
    what = "ExecuTorch with XNNPACK, for phones"
    runtime = "executorch"
    packages: ClassVar[dict[str, str]] = {"executorch": "executorch"}
    precisions: ClassVar[tuple[str, ...]] = ("f32",)
    refusals: ClassVar[dict[str, str]] = {
        "int8": "it is written for OpenVINO and ONNX",
    }

    def write(
        self, model: KeypointModel, folder: Path, precision: str, calibration: Calibration | None
    ) -> str:
        with warnings.catch_warnings(), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import (
                XnnpackPartitioner,
            )
            from executorch.exir import to_edge_transform_and_lower

            graph, images = graph_of(model), example(model)
            with torch.no_grad():
                program = torch.export.export(
                    graph,
                    (images,),
                    dynamic_shapes=({0: torch.export.Dim("batch", min=1, max=AT_ONCE)},),
                )
            made = to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()])
            (folder / FILE).write_bytes(made.to_executorch().buffer)
        return FILE
