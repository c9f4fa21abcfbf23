"""OpenVINO's intermediate representation: `model.xml` and `model.bin`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt

from heatkp.engine.exported import NAMES
from heatkp.export.formats._base import Calibration
from heatkp.export.parity import BATCH
from heatkp.models import KeypointModel
from heatkp.registry import EXPORTERS, register_exporter

if TYPE_CHECKING:
    import openvino

FILE = "model.xml"


def to_openvino(model: KeypointModel, folder: Path) -> openvino.Model:
    """The whole way as an OpenVINO model, by ONNX."""
    import openvino

    # By ONNX: tracing once serves both, and is quicker than OpenVINO's own frontend for torch.
    name = EXPORTERS["onnx"]().write(model, folder, "f32", None)
    made = openvino.convert_model(folder / name)
    (folder / name).unlink()
    return made


def kept_nodes(model: openvino.Model) -> list[str]:
    """Names of the first convolution, the last one and all that depends on it: map layer and
    decoder."""
    from heatkp.export.quantisation import dependent

    ordered, nodes = model.get_ordered_ops(), []
    for node in ordered:
        name = node.get_friendly_name()
        inputs = [node.input_value(i).get_node() for i in range(node.get_input_size())]
        nodes.append((name, [one.get_friendly_name() for one in inputs], [name]))
    kinds = ("Convolution", "GroupConvolution")
    return dependent(nodes, [n.get_friendly_name() for n in ordered if n.get_type_name() in kinds])


def shifted(model: openvino.Model, offset: npt.NDArray[np.float32]) -> openvino.Model:
    """The model with an offset (K, 2) added to its points; its own graph is changed."""
    from openvino import opset13 as ops

    result = model.output(NAMES[0]).get_node()
    points = result.input_value(0)
    names = points.get_tensor().get_names()
    points.get_tensor().set_names(set())
    moved = ops.add(points, ops.constant(offset[None])).output(0)
    moved.get_tensor().set_names(names)
    result.input(0).replace_source_output(moved)
    model.validate_nodes_and_infer_types()
    return model


@register_exporter
class OpenVinoExporter:
    """Computes in float32, or in bfloat16 where the runtime is told to."""

    name = "openvino"
    what = "OpenVINO, the quickest on Intel's processors"
    runtime = "openvino"
    packages: ClassVar[dict[str, str]] = {
        "openvino": "openvino", "onnx": "onnx", "onnxscript": "onnxscript",
    }  # fmt: skip
    precisions: ClassVar[tuple[str, ...]] = ("f32", "bf16", "f16", "int8")
    objects: ClassVar[bool] = True
    refusals: ClassVar[dict[str, str]] = {}

    def write(
        self, model: KeypointModel, folder: Path, precision: str, calibration: Calibration | None
    ) -> str:
        import openvino

        made = to_openvino(model, folder)
        if precision == "int8":
            assert calibration is not None
            made = self._quantised(made, calibration)
        openvino.save_model(made, folder / FILE, compress_to_fp16=precision == "f16")
        return FILE

    def _quantised(self, model: openvino.Model, calibration: Calibration) -> openvino.Model:
        from heatkp.export.quantisation import nncf_or_refuse, samples_of, scope

        def quality(compiled: Any, batches: Any) -> tuple[float, None]:
            parts = [[np.array(v) for v in compiled(batch).values()] for batch in batches]
            found = [np.concatenate(each) for each in zip(*parts)]
            return 1.0 - calibration.deviation(found), None

        with nncf_or_refuse() as nncf:
            data = nncf.Dataset(samples_of(calibration.images))
            how = scope(nncf, kept_nodes(model), calibration.images)
            done = nncf.quantize(model.clone(), data, **how)
            found = _found(done, calibration)
            if calibration.deviation(found) > calibration.tolerance:
                # Puts the layers back to float that cost most, one after the other.
                done = nncf.quantize_with_accuracy_control(
                    model, data, data, quality, max_drop=calibration.tolerance, **how
                )
                found = _found(done, calibration)
        return shifted(done, calibration.offset(found))


def _found(model: openvino.Model, calibration: Calibration) -> list[Any]:
    import openvino

    compiled = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "bf16"})
    images = calibration.images
    parts = [list(compiled(images[i : i + BATCH]).values()) for i in range(0, len(images), BATCH)]
    return [np.concatenate(each) for each in zip(*parts)]
