"""ONNX files, run by ONNX Runtime on the processor."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt

from heatkp.engine.exported import ExportedBackend, Pixels
from heatkp.errors import CheckpointError
from heatkp.registry import register_runtime


@register_runtime
class OnnxBackend(ExportedBackend):
    """A session of ONNX Runtime."""

    name: ClassVar[str] = "onnx"
    packages: ClassVar[dict[str, str]] = {"onnxruntime": "onnxruntime"}

    def open(self) -> None:
        import onnxruntime as ort

        options = ort.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        try:
            self._session = ort.InferenceSession(
                str(self.file), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # of many classes, none of which is exported
            raise CheckpointError(f"ONNX Runtime cannot open {self.file}: {error}") from None
        self._input = self._session.get_inputs()[0].name

    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        return list(self._session.run(None, {self._input: images}))
