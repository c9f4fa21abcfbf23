"""Predictions without what a network adds that is fixed in its input.

A network that sees objects from all sides has no reason to miss them always to the same side of its
input, but one that is trained shortly does, by some tenths of an input pixel, and this looks like
a shift of all labels. Seen upside down, or in a mirror, such a bias points the other way: the mean
of both answers is free of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.checking.shift import LEARNED, learnable
from heatkp.data.samples import Sample
from heatkp.engine import Backend, Output
from heatkp.evaluation.measure import InferenceOptions, Progress, predict_samples
from heatkp.evaluation.metrics import Array
from heatkp.runs import Loaded


class Turned:
    """A backend whose points are the mean of those in an input and in the input upside down."""

    name: ClassVar[str] = "turned"
    kind: hm.Kind | None = None
    stride = 1

    def __init__(self, backend: Backend) -> None:
        self.backend = backend

    def run(self, images: Tensor, maps: bool = False) -> Output:
        """Points of inputs, uint8 (B, C, H, W)."""
        found, turned = self.backend.run(images), self.backend.run(images.flip(-2, -1))
        height, width = images.shape[-2:]
        back = torch.tensor([width - 1.0, height - 1.0]) - turned.points.cpu()
        return found._replace(points=(found.points.cpu() + back) / 2)


def mirrors(loaded: Loaded) -> bool:
    """Whether a network was trained on mirrored images, too, and can be asked for them."""
    return loaded.settings.augmentation.flip > 0 and loaded.skeleton.unmirrored is None


def predict_balanced(
    loaded: Loaded,
    samples: Sequence[Sample],
    options: InferenceOptions,
    progress: Progress | None = None,
) -> Array:
    """Points (N, K, 2), image pixels, of samples: also seen upside down where the network was
    trained with full rotations, also in a mirror where with mirrored images."""
    turns = learnable(loaded.settings.augmentation.model_dump()) <= LEARNED
    if turns:
        loaded = replace(loaded, backend=Turned(loaded.runner))
    options = options._replace(flip_test=options.flip_test or mirrors(loaded))
    return predict_samples(loaded, samples, options, progress).image_points
