"""Small convolutional networks from a list of layers."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from heatkp.config.layers import Layer, parse_layers
from heatkp.errors import SettingsError


def initialise(module: nn.Module, kind: str) -> None:
    """Start the weights of convolutions and fc layers as `model.initialisation` says.

    `torch` leaves them; `he` (He et al. 2015, normal, for ReLU) and `xavier` (Glorot and Bengio
    2010, normal) also set biases to 0.
    """
    if kind == "torch":
        return
    for layer in module.modules():
        if not isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
            continue
        if kind == "he":
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        else:
            nn.init.xavier_normal_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def _after(size: int, layer: Layer) -> int:
    return (size + 2 * layer.padding - layer.kernel) // layer.stride + 1


class ConvNet(nn.Module):
    """The network that `model.layers` lists: images to a list with its last features.

    Layers are named by kind and number, `conv1`, `relu1`, `pool1`, `conv2`, ... Features are maps
    (B, C, h, w), or vectors (B, C) after `flatten` or `average`.

    Args:
        lines: the layers, as `heatkp.config.layers.parse_layer` reads them.
        channels: of the input.
        size: (W, H) of the input in pixels; features that are flattened depend on it.

    Raises:
        SettingsError: where maps become too small for a layer.

    >>> net = ConvNet(["conv 16 3", "relu", "pool 2", "flatten", "fc 8"], 1, (12, 8))
    >>> net(torch.zeros(2, 1, 8, 12))[-1].shape
    torch.Size([2, 8])
    """

    output_stride = 1  # inputs need no padding: no maps have to fit together

    def __init__(self, lines: Sequence[str], channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        width, (w, h) = channels, size
        vector = False
        counts: dict[str, int] = {}
        for number, layer in enumerate(parse_layers(lines), 1):
            if layer.kernel:
                w, h = _after(w, layer), _after(h, layer)
                if min(w, h) < 1:
                    raise SettingsError(
                        f"model.layers: nothing is left of an input of {size[0]}x{size[1]} after "
                        f"layer {number} ({lines[number - 1]!r}); give less pooling, more padding "
                        "or a larger data.size"
                    )
            counts[layer.kind] = counts.get(layer.kind, 0) + 1
            self.add_module(f"{layer.kind}{counts[layer.kind]}", _module(layer, width, vector))
            if layer.kind in ("flatten", "average"):
                width, vector = width * (w * h if layer.kind == "flatten" else 1), True
            width = layer.width or width

    def forward(self, images: Tensor) -> list[Tensor]:
        features = images
        for layer in self.children():
            features = layer(features)
        return [features]


class Average(nn.Module):
    """Mean over a map: (B, C, h, w) to (B, C)."""

    def forward(self, maps: Tensor) -> Tensor:
        return torch.mean(maps, (2, 3))


def _module(layer: Layer, width: int, vector: bool) -> nn.Module:
    if layer.kind == "conv":
        return nn.Conv2d(width, layer.width, layer.kernel, layer.stride, layer.padding)
    if layer.kind == "pool":
        return nn.MaxPool2d(layer.kernel, layer.stride)
    if layer.kind == "bn":
        return nn.BatchNorm1d(width) if vector else nn.BatchNorm2d(width)
    if layer.kind == "fc":
        return nn.Linear(width, layer.width)
    if layer.kind == "dropout":
        return nn.Dropout(layer.probability)
    return {"relu": nn.ReLU, "flatten": nn.Flatten, "average": Average}[layer.kind]()
