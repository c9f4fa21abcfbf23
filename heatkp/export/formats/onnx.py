"""ONNX, for ONNX Runtime and whatever else reads it."""

from __future__ import annotations

import io
import logging
import warnings
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from heatkp.engine.exported import NAMES
from heatkp.export.formats._base import Calibration
from heatkp.export.graph import example, graph_of, output_names
from heatkp.export.parity import BATCH
from heatkp.models import KeypointModel
from heatkp.registry import register_exporter

if TYPE_CHECKING:
    import onnx

FILE = "model.onnx"
OPSET = 18


def to_onnx(model: KeypointModel) -> onnx.ModelProto:
    """The whole way as ONNX: float32, any number of images at once, weights inside."""
    graph, images = graph_of(model), example(model)
    with torch.no_grad():
        outputs = len(graph(images))
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph,
                (images,),
                dynamo=True,
                verbose=False,
                external_data=False,
                opset_version=OPSET,
                input_names=["images"],
                output_names=list(output_names(model)[:outputs]),
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
            )
    finally:
        quiet.setLevel(level)
    assert program is not None  # None is for the older exporter
    return program.model_proto


def with_half_weights(model: onnx.ModelProto, least: int = 64) -> onnx.ModelProto:
    """Float32 weights of `least` numbers or more stored as float16; computed with in float32."""
    import onnx
    from onnx import helper, numpy_helper

    casts, kept = [], []
    for weight in model.graph.initializer:
        values = numpy_helper.to_array(weight)
        if values.dtype != np.float32 or values.size < least:
            kept.append(weight)
            continue
        limit = np.finfo(np.float16).max
        half = numpy_helper.from_array(
            values.clip(-limit, limit).astype(np.float16), f"{weight.name}_half"
        )
        kept.append(half)
        casts.append(
            helper.make_node("Cast", [half.name], [weight.name], to=onnx.TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)
    # What is said of a weight's type elsewhere is of the cast's output, which is as it was.
    return model


def kept_nodes(model: onnx.ModelProto) -> list[str]:
    """Names of the first convolution, the last one and all that depends on it: map layer and
    decoder."""
    from heatkp.export.quantisation import dependent

    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    nodes = [(node.name, node.input, node.output) for node in model.graph.node]
    return dependent(nodes, convolutions)


def shifted(model: onnx.ModelProto, offset: npt.NDArray[np.float32]) -> onnx.ModelProto:
    """The model with an offset (K, 2) added to its points; its own graph is changed."""
    from onnx import helper, numpy_helper

    points, before, by = NAMES[0], f"{NAMES[0]}_before", f"{NAMES[0]}_offset"
    for node in model.graph.node:  # what else reads the points reads them as they were
        for names in (node.input, node.output):
            names[:] = [before if name == points else name for name in names]
    model.graph.initializer.append(numpy_helper.from_array(offset[None], by))
    model.graph.node.append(helper.make_node("Add", [before, by], [points]))
    return model


@register_exporter
class OnnxExporter:
    """One `.onnx` file, opset 18."""

    name = "onnx"
    what = "ONNX, for ONNX Runtime, also in browsers"
    runtime = "onnx"
    packages: ClassVar[dict[str, str]] = {
        "onnx": "onnx", "onnxscript": "onnxscript", "onnxruntime": "onnxruntime",
    }  # fmt: skip
    precisions: ClassVar[tuple[str, ...]] = ("f32", "f16", "int8")
    objects: ClassVar[bool] = True
    refusals: ClassVar[dict[str, str]] = {
        "bf16": "ONNX Runtime computes convolutions in bfloat16 on no processor"
    }

    def write(
        self, model: KeypointModel, folder: Path, precision: str, calibration: Calibration | None
    ) -> str:
        import onnx

        made = to_onnx(model)
        if precision == "f16":
            made = with_half_weights(made)
        elif precision == "int8":
            assert calibration is not None
            made = self._quantised(made, calibration)
        onnx.save(made, str(folder / FILE))
        return FILE

    def _quantised(self, model: onnx.ModelProto, calibration: Calibration) -> onnx.ModelProto:
        from heatkp.export.quantisation import nncf_or_refuse, samples_of, scope

        with nncf_or_refuse() as nncf:
            done: Any = nncf.quantize(
                model,
                nncf.Dataset(samples_of(calibration.images), lambda images: {"images": images}),
                **scope(nncf, kept_nodes(model), calibration.images),
            )
        return shifted(done, calibration.offset(_found(done, calibration.images)))


def _found(model: onnx.ModelProto, images: npt.NDArray[np.uint8]) -> list[npt.NDArray[Any]]:
    import onnxruntime as ort

    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    parts = [session.run(None, {name: images[i : i + BATCH]}) for i in range(0, len(images), BATCH)]
    return [np.concatenate(each) for each in zip(*parts)]
