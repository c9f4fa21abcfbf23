"""A plain U-Net: two 3x3 convolutions per level, max-pooling down, transposed convolutions up."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from heatkp.config import Model
from heatkp.errors import SettingsError
from heatkp.models.convnet import initialise

WIDTHS = (64, 128, 256, 512, 1024)
"""Of the first U-Net (Ronneberger et al. 2015)."""


def _pair(inputs: int, width: int) -> nn.Sequential:
    """Twice: 3x3 convolution that keeps the size, batch norm, ReLU."""
    layers: list[nn.Module] = []
    for channels in (inputs, width):
        layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)]
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


class Contracting(nn.Module):
    """The way down: images (B, C, H, W) to a map for each level, finest first."""

    def __init__(self, channels: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.levels = nn.ModuleList(_pair(a, b) for a, b in zip([channels, *widths], widths))
        self.pool = nn.MaxPool2d(2)
        self.output_stride = 2 ** (len(widths) - 1)

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = []
        for level in self.levels:
            maps.append(level(self.pool(maps[-1]) if maps else images))
        return maps


class Up(nn.Module):
    """One level up: a transposed convolution, the level's own map beside it, two convolutions."""

    def __init__(self, below: int, width: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(below, width, 2, stride=2)
        self.convolutions = _pair(2 * width, width)

    def forward(self, below: Tensor, beside: Tensor) -> Tensor:
        return self.convolutions(torch.cat([beside, self.up(below)], 1))


class Expanding(nn.Module):
    """The way up. `blocks` may be shortened: the map then stays coarser."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        upwards = list(reversed(widths))
        self.blocks = nn.ModuleList(Up(a, b) for a, b in pairwise(upwards))

    def forward(self, maps: list[Tensor]) -> Tensor:
        *others, features = maps
        for block, beside in zip(self.blocks, reversed(others)):
            features = block(features, beside)
        return features


class PlainUNet(nn.Module):
    """Images (B, C, H, W) to features (B, widths[0], H, W), without the last layer to maps.

    After Ronneberger et al. 2015, "U-Net: Convolutional Networks for Biomedical Image
    Segmentation", with padding, batch norm, and pooling and transposed convolutions of 2x2, which
    keep pixels aligned. H and W must be multiples of 2 to the number of levels less one.
    """

    name = "plain_unet"

    def __init__(self, channels: int, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.encoder = Contracting(channels, widths)
        self.decoder = Expanding(widths)

    def forward(self, images: Tensor) -> Tensor:
        return self.decoder(self.encoder(images))


def plain_unet(model: Model, channels: int) -> PlainUNet:
    """The U-Net that settings ask for. Raises `SettingsError` for options that it has not."""
    options: dict[str, Any] = dict(model.options or {})
    widths = options.pop("widths", list(WIDTHS))
    if options:
        raise SettingsError(
            f"model.options: plain_unet has no {next(iter(options))!r}; allowed: widths"
        )
    whole = isinstance(widths, list) and all(type(w) is int and w > 0 for w in widths)
    if not whole or len(widths) < 2:
        raise SettingsError(
            f"model.options: widths must be two or more whole numbers above 0, as in "
            f"[32, 64, 128], not {widths!r}"
        )
    if model.encoder_weights != "none":
        raise SettingsError("model.encoder_weights: plain_unet has no encoder that was trained")
    network = PlainUNet(channels, widths)
    initialise(network, model.initialisation)
    return network
