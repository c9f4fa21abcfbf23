"""Programs of torch.export (`.pt2`), run by torch."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy.typing as npt
import torch

from heatkp.engine.exported import ExportedBackend, Pixels
from heatkp.engine.trust import require_trusted
from heatkp.errors import CheckpointError
from heatkp.registry import register_runtime


@register_runtime
class TorchExportBackend(ExportedBackend):
    """An exported program."""

    name: ClassVar[str] = "torch_export"

    def open(self) -> None:
        require_trusted(self.file)
        try:
            self._module = torch.export.load(str(self.file)).module()
        except Exception as error:  # of zip, json and torch's own
            raise CheckpointError(f"torch cannot open {self.file}: {error}") from None

    @torch.inference_mode()
    def infer(self, images: Pixels) -> list[npt.NDArray[Any]]:
        return [part.numpy() for part in self._module(torch.from_numpy(images))]
