"""Whole images brought to a network, and what it finds brought back."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from heatkp import coordinates as co
from heatkp.data.dataset import to_tensor
from heatkp.data.samples import Image
from heatkp.data.transforms import shrink, shrink_factor, warp
from heatkp.engine.engine import Array
from heatkp.models.prediction import Prediction

INPUTS, HELD = 8, 2**25
"""Inputs that the network sees at once, at most, and numbers in their maps."""


class WholeInput(NamedTuple):
    """How images of one shape are brought to the network: (W, H) of the input, and the affine
    there, image pixels to input pixels."""

    size: tuple[int, int]
    matrix: co.Matrix

    @classmethod
    def of(cls, shape: tuple[int, ...], longest: int, multiple: int) -> WholeInput:
        """For images (H, W, ...), whose longest side becomes `longest` pixels; sides of the input
        are multiples of `multiple`."""
        height, width = shape[:2]
        scale = longest / max(width, height)
        size = [max(multiple, -(-round(n * scale) // multiple) * multiple) for n in (width, height)]
        # Not larger than it was trained on, where a side is rounded up.
        middle = co.image_box(width, height)
        half = np.asarray(size) / scale / 2
        centre = (middle[:2] + middle[2:]) / 2
        matrix = co.box_to_frame(np.concatenate([centre - half, centre + half]), size[0], size[1])
        return cls((size[0], size[1]), matrix)

    def input_of(self, image: Image, grey: bool) -> Tensor:
        """What the network sees of an image, uint8 (C, H, W)."""
        small, to_small = shrink(image, shrink_factor(self.matrix))
        seen = warp(small, co.compose(co.invert(to_small), self.matrix), self.size)
        return to_tensor(seen, grey)

    def back(self) -> co.Matrix:
        """Input pixels to image pixels."""
        return co.invert(self.matrix)


def in_image(found: Prediction, back: co.Matrix) -> tuple[Array, Array, Array | None]:
    """Points (N, K, 2), scores and covariances of one input in pixels of its image."""
    points, scores = (v.detach().cpu().double().numpy() for v in found[:2])
    spread = None
    if found.covariance is not None:
        linear = back[:, :2]
        spread = linear @ found.covariance.detach().cpu().double().numpy() @ linear.T
    return co.apply(back, points.reshape(-1, 2)).reshape(points.shape), scores, spread


def run_whole(model: Any, inputs: Tensor) -> Tensor:
    """The maps of inputs, uint8 (B, C, H, W)."""
    device = next(model.parameters()).device
    maps: Tensor = model(inputs.to(device).contiguous(memory_format=torch.channels_last))
    return maps


def at_once(model: Any, whole: WholeInput) -> int:
    """Inputs that a network sees at once, so that their maps keep to `HELD`."""
    channels = 5 + 3 * getattr(model, "points", 0)
    stride = getattr(model, "stride", 4)
    area = (whole.size[0] // stride) * (whole.size[1] // stride)
    return max(1, min(INPUTS, HELD // (channels * area)))
