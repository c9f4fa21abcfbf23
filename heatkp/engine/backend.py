"""What the engine asks of whatever runs a network."""

from __future__ import annotations

from typing import ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from heatkp import heatmaps as hm
from heatkp.errors import SettingsError
from heatkp.skeletons import Skeleton


class Output(NamedTuple):
    """What a network says of B inputs, in input pixels.

    Attributes:
        points: (B, K, 2).
        scores: (B, K) in [0, 1]; NaN where the head has none.
        covariance: (B, K, 2, 2) in squared input pixels, or None.
        maps: (B, K, h, w) as the network gives them, or None where there are none, or nobody
            asked for them.
    """

    points: Tensor
    scores: Tensor
    covariance: Tensor | None
    maps: Tensor | None = None


class Backend(Protocol):
    """A network with its decoder, wherever it runs.

    Attributes:
        name: of its runtime.
        kind: what its maps are; None where it makes none.
        stride: input pixels to a map pixel; 1 where it makes none.
    """

    name: ClassVar[str]
    kind: hm.Kind | None
    stride: int

    def run(self, images: Tensor, maps: bool = False) -> Output:
        """Points of inputs, uint8 (B, C, H, W); with their maps where asked."""


def require_mirrored(skeleton: Skeleton) -> None:
    """Raises `SettingsError` where points found in a mirrored image have no known meaning."""
    if skeleton.unmirrored:
        raise SettingsError(
            f"no flip test: {skeleton.unmirrored}; leave it out, or train on both sides, with "
            "data.pairs where neither names nor positions tell which change places"
        )


def mirrored_points(backend: Backend, images: Tensor, skeleton: Skeleton) -> Tensor:
    """Points (B, K, 2), input pixels, found in the mirror images of `images` (B, C, H, W).

    They are mirrored back, x -> W - 1 - x, and exchange left and right labels. Raises
    `SettingsError` where it is not known which.
    """
    require_mirrored(skeleton)
    mirrored = backend.run(images.flip(-1)).points
    back = torch.stack([images.shape[-1] - 1 - mirrored[..., 0], mirrored[..., 1]], -1)
    return back[:, torch.from_numpy(skeleton.flip)]
