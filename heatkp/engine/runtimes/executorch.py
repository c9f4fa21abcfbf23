"""ExecuTorch programs (`.pte`), run by its Python runtime."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch

from heatkp.engine.exported import ExportedBackend, Pixels
from heatkp.errors import CheckpointError
from heatkp.registry import register_runtime

AT_ONCE = 8
"""Images: an exported program plans its memory for so many."""


@register_runtime
class ExecuTorchBackend(ExportedBackend):
    """A method of an ExecuTorch program."""

    name: ClassVar[str] = "executorch"
    packages: ClassVar[dict[str, str]] = {"executorch": "executorch"}

    def open(self) -> None:
        from executorch.runtime import Runtime

        try:
            program = Runtime.get().load_program(str(self.file))
            self._method = program.load_method("forward")
        except RuntimeError as error:
            raise CheckpointError(f"ExecuTorch cannot open {self.file}: {error}") from None
        self._program = program  # the method's memory is the program's

    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        parts = []
        for start in range(0, len(images), AT_ONCE):
            found = self._method.execute([torch.from_numpy(images[start : start + AT_ONCE])])
            # Copies: the method's own memory is written again by the next call.
            parts.append([part.numpy().copy() for part in found])
        return [np.concatenate(each) for each in zip(*parts)]
