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

        self._core = openvino.Core()
        self._requests: dict[bool, Any] = {}
        try:  # once: the file may be moved, or another, when more inputs come
            self._network = self._core.read_model(str(self.file))
        except RuntimeError as error:
            raise CheckpointError(f"OpenVINO cannot open {self.file}: {error}") from None
        self._request(alone=True)

    def _request(self, alone: bool) -> Any:
        """What infers one input, or any number: a fixed batch saves a tenth of the time, and
        gives the same points."""
        if alone not in self._requests:
            try:
                network = self._network
                if alone:
                    network = network.clone()
                    shape = network.input(0).partial_shape
                    shape[0] = 1
                    network.reshape({0: shape})
                compiled = self._core.compile_model(
                    network,
                    "CPU",
                    {
                        "INFERENCE_PRECISION_HINT": (
                            "bf16" if self.precision in ("bf16", "int8") else "f32"
                        ),
                        "PERFORMANCE_HINT": "LATENCY",
                        "INFERENCE_NUM_THREADS": self.threads,
                        # Pinned, several processes would all compute on the first cores.
                        "ENABLE_CPU_PINNING": False,
                    },
                )
            except RuntimeError as error:
                raise CheckpointError(f"OpenVINO cannot open {self.file}: {error}") from None
            self._requests[alone] = compiled.create_infer_request()
        return self._requests[alone]

    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        request = self._request(alone=len(images) == 1)
        request.infer({0: images})
        # Copies: the request's own memory is written again by the next call.
        return [np.array(tensor.data) for tensor in request.output_tensors]
