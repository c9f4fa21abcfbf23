"""The network as a torch module, on the device that it is on."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.engine.backend import Output
from heatkp.models import DenseModel, KeypointModel
from heatkp.models.grouped import GroupedModel
from heatkp.registry import register_runtime


@register_runtime
class TorchBackend:
    """A `KeypointModel` in evaluation mode; its modes are left as they were, layer by layer.

    With precision `bf16` the network computes in bfloat16; decoders read float32 all the same.
    """

    name: ClassVar[str] = "torch"

    def __init__(self, model: KeypointModel, precision: str = "f32") -> None:
        self.model, self.precision = model, precision
        self.kind: hm.Kind | None = None
        self.stride = 1
        if isinstance(model, DenseModel):
            self.kind, self.stride = model.head.kind, model.stride

    @torch.inference_mode()
    def run(self, images: Tensor, maps: bool = False, boxes: Tensor | None = None) -> Output:
        """As `Backend.run`; `boxes` (B, 4), edges in input pixels, say to a network that sees all
        objects of its inputs which is meant: the surest one where they are NaN, or None."""
        modes = [(module, module.training) for module in self.model.modules()]
        self.model.eval()
        try:
            device = next(self.model.parameters(), images).device
            half = self.precision == "bf16"
            with torch.autocast(device.type, torch.bfloat16, enabled=half):
                output = self.model(images.to(device))
            output = output.float() if half else output
            if isinstance(self.model, GroupedModel):
                image, meant = self.model.surest(output)
                if boxes is not None:
                    given = boxes.to(meant)
                    meant = torch.where(torch.isfinite(given).all(1, keepdim=True), given, meant)
                found = self.model.points_of(output, image, meant)
                if maps:
                    output = self.model.object_maps(output, image, meant)
            else:
                found = self.model.predict(output)
        finally:
            for module, training in modes:
                module.training = training
        kept = output.float() if maps and self.kind is not None else None
        return Output(found.points, found.scores, found.covariance, kept)
