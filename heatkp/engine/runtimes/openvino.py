"""OpenVINO's files, run by OpenVINO on the processor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt

from heatkp.engine.exported import ExportedBackend, Pixels
from heatkp.errors import CheckpointError
from heatkp.registry import register_runtime


@register_runtime
class OpenVinoBackend(ExportedBackend):
    """A compiled network of OpenVINO.

    Left alone it would take bfloat16 where the processor has it, so that the precision is always
    said. Of int8 what was left in float is computed in bfloat16, too, up to the last convolution.
    """

    name: ClassVar[str] = "openvino"
    packages: ClassVar[dict[str, str]] = {"openvino": "openvino"}

    def open(self) -> None:
        import openvino

        hint = "bf16" if self.precision in ("bf16", "int8") else "f32"
        try:
            compiled = openvino.Core().compile_model(
                str(self.file),
                "CPU",
                {
                    "INFERENCE_PRECISION_HINT": hint,
                    "PERFORMANCE_HINT": "LATENCY",
                    "INFERENCE_NUM_THREADS": self.threads,
                    # Pinned, several processes would all compute on the first cores.
                    "ENABLE_CPU_PINNING": False,
                },
            )
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot open {self.file}: {error}") from None
        self._request = compiled.create_infer_request()
        self._outputs = len(compiled.outputs)

    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        self._request.infer({0: images})
        # Copies: the request's own memory is written again by the next call.
        return [np.array(self._request.get_output_tensor(i).data) for i in range(self._outputs)]
