"""Decoders of segmentation-models-pytorch without aligned corners."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class Doubling(nn.Module):
    """`block`, then twice the size: a block of FPN's segmentation branch."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(
            self.block(features), scale_factor=2.0, mode="bilinear", align_corners=False
        )


class Pooling(nn.Module):
    """`pool`, then the size that came in: a level of PSPNet's pyramid."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, features: Tensor) -> Tensor:
        return F.interpolate(
            self.pool(features), size=features.shape[2:], mode="bilinear", align_corners=False
        )


class Fusion(nn.Module):
    """A level of DPT and the coarser one that is done, at twice the size."""

    def __init__(
        self, residual_conv_block1: nn.Module, residual_conv_block2: nn.Module, project: nn.Module
    ) -> None:
        super().__init__()
        self.residual_conv_block1 = residual_conv_block1
        self.residual_conv_block2 = residual_conv_block2
        self.project = project

    def forward(self, features: Tensor, coarser: Tensor | None = None) -> Tensor:
        fused = self.residual_conv_block1(features)
        fused = self.residual_conv_block2(fused if coarser is None else fused + coarser)
        fused = F.interpolate(fused, scale_factor=2.0, mode="bilinear", align_corners=False)
        return self.project(fused)


_STAND_INS: dict[str, tuple[type[nn.Module], tuple[str, ...]]] = {
    "Conv3x3GNReLU": (Doubling, ("block",)),
    "PSPBlock": (Pooling, ("pool",)),
    "FusionBlock": (Fusion, ("residual_conv_block1", "residual_conv_block2", "project")),
}
"""For blocks that align corners in their own code: what stands in, and for which of their layers.
The layers keep their names, so that weights of both are the same file."""


def _stand_in(block: nn.Module) -> nn.Module | None:
    """The same layers without aligned corners; None for a block that is right, or not known."""
    made, names = _STAND_INS.get(type(block).__name__, (None, ()))
    layers = dict(block.named_children())
    upsamples = getattr(block, "upsample", True)  # FPN has blocks that do not
    if made is None or not upsamples or not layers.keys() >= set(names):
        return None
    return made(*(layers[name] for name in names))


def keep_centres(network: nn.Module) -> None:
    """Let features stay where they lie as a network upsamples them; changes it in place.

    Where corners are aligned, the centre of a coarse corner pixel comes to lie on that of a fine
    one: up to half a coarse pixel from its place, away from the middle. Names of parameters
    remain.
    """
    for module in list(network.modules()):
        if getattr(module, "align_corners", None):
            module.align_corners = False  # type: ignore[assignment]
        for name, child in list(module.named_children()):
            made = _stand_in(child)
            if made is not None:
                setattr(module, name, made)
