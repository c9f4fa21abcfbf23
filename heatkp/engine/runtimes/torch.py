"""The network as a torch module, on the device that it is on."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.engine.backend import Output
from heatkp.models import DenseModel, KeypointModel
from heatkp.registry import register_runtime


@register_runtime
class TorchBackend:
    """A `KeypointModel` in evaluation mode; its modes are left as they were, layer by layer."""

    name: ClassVar[str] = "torch"

    def __init__(self, model: KeypointModel) -> None:
        self.model = model
        self.kind: hm.Kind | None = None
        self.stride = 1
        if isinstance(model, DenseModel):
            self.kind, self.stride = model.head.kind, model.stride

    @torch.inference_mode()
    def run(self, images: Tensor, maps: bool = False) -> Output:
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            device = next(self.model.parameters(), images).device
            output = self.model(images.to(device))
            found = self.model.decode(output)
        finally:
            for module, training in modes:
                module.training = training
        kept = output.float() if maps and self.kind is not None else None
        return Output(found.points, found.scores, found.covariance, kept)
