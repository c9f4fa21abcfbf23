"""A convolution's filters as images, and what it answers to an input."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor, nn

from heatkp.models import KeypointModel
from heatkp.viz.canvas import plain, save, show_image

Array = npt.NDArray[np.float64]
MOST_FILTERS, MOST_MAPS = 256, 72
"""Filters and maps of an input that one image has room for."""
NUMBERED = 80
"""Up to so many tiles, each has its number."""


@dataclass(frozen=True)
class Convolution:
    """A convolution of a model, and the width and height of what it gives for the model's input."""

    name: str
    layer: nn.Conv2d
    size: tuple[int, int]
    first: bool

    @property
    def colour(self) -> bool:
        """Whether its filters are seen in red, green and blue: they take a colour image."""
        return self.first and self.layer.in_channels == 3 and self.layer.groups == 1

    @property
    def words(self) -> str:
        """Its shape: 16 filters 3x3 on 3 inputs."""
        shape = self.layer.weight.shape
        given = self.layer.in_channels
        inputs = f"{given} inputs" if self.layer.groups == 1 else (
            f"{shape[1]} of {given} inputs"
        )  # fmt: skip
        return f"{shape[0]} filters {shape[3]}x{shape[2]} on {inputs}"


@torch.inference_mode()
def convolutions(model: KeypointModel) -> list[Convolution]:
    """The convolutions of a model in evaluation mode, in the order in which they run."""
    found: dict[str, Convolution] = {}
    names = {m: name for name, m in model.named_modules() if isinstance(m, nn.Conv2d)}

    def note(layer: nn.Module, given: Any, output: Tensor) -> None:
        assert isinstance(layer, nn.Conv2d)
        size = (output.shape[3], output.shape[2])
        found.setdefault(names[layer], Convolution(names[layer], layer, size, not found))

    hooks = [layer.register_forward_hook(note) for layer in names]
    try:
        device = next(model.parameters()).device
        model(torch.zeros(1, model.channels, model.size[1], model.size[0], device=device))
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.values())


@torch.inference_mode()
def answers(model: KeypointModel, layer: nn.Module, images: Sequence[Tensor]) -> list[Array]:
    """What a layer gives, (C, h, w), for each of some inputs uint8 (C, H, W)."""
    kept: list[Tensor] = []
    hook = layer.register_forward_hook(lambda layer, given, output: kept.append(output[0]))
    found = []
    try:
        for image in images:
            kept.clear()
            model(image[None].to(next(model.parameters()).device))
            found.append(kept[0].double().cpu().numpy())
    finally:
        hook.remove()
    return found


def _around_grey(values: Array) -> Array:
    """Values (N, ...) to [0, 1]: each of the N is divided by its largest, and 0 is 0.5."""
    peak = np.abs(values).reshape(len(values), -1).max(1)
    peak = np.where(peak > 0, peak, 1.0)
    scaled: Array = 0.5 + 0.5 * values / peak.reshape(-1, *[1] * (values.ndim - 1))
    return scaled


def filter_tiles(weight: npt.ArrayLike, colour: bool) -> tuple[Array, str]:
    """Images (N, h, w, 3) in [0, 1] of filters (N, C, h, w), and what they show.

    In colour, where C is red, green and blue; else the mean over the C inputs. Each is scaled
    by its own largest weight; 0 is mid-grey.
    """
    given = np.asarray(weight, np.float64)
    if colour:
        return _around_grey(
            given.transpose(0, 2, 3, 1)
        ), "weights of red, green and blue as colour, 0 grey"
    tiles = np.repeat(_around_grey(given.mean(1))[..., None], 3, axis=3)
    words = "weights" if given.shape[1] == 1 else f"means over their {given.shape[1]} inputs"
    return tiles, f"{words}, 0 grey, positive bright, negative dark"


def _layout(count: int, tile: tuple[int, int], width: float) -> tuple[int, float]:
    """Columns, and inches of a tile's width, for `count` tiles (h, w) in a figure."""
    columns = min(count, max(8, math.ceil(math.sqrt(2.2 * count * tile[0] / tile[1]))))
    return columns, min(0.9, width / columns)


def _height(count: int, tile: tuple[int, int], width: float) -> float:
    columns, inches = _layout(count, tile, width)
    head = 0.2 if count <= NUMBERED else 0.0
    return -(-count // columns) * (inches * tile[0] / tile[1] + head)


def _mosaic(axis: Axes, tiles: Array, width: float) -> None:
    """Tiles (N, h, w, 3) in rows, in one image: an axes for each takes many seconds."""
    count, high, wide = tiles.shape[:3]
    columns, inches = _layout(count, (high, wide), width)
    times = max(1, round(90 * inches / wide))
    tiles = tiles.repeat(times, 1).repeat(times, 2)
    high, wide = high * times, wide * times
    gap = max(2, wide // 16)
    head = round(0.15 / inches * wide) if count <= NUMBERED else 0
    rows = -(-count // columns)
    canvas = np.ones((rows * (high + gap + head), columns * (wide + gap) - gap, 3))
    for n, tile in enumerate(tiles):
        top, left = n // columns * (high + gap + head) + head, n % columns * (wide + gap)
        canvas[top : top + high, left : left + wide] = tile
        if head:
            axis.text(left + wide / 2 - 0.5, top - 0.1 * head, str(n), fontsize=6, ha="center",
                      va="bottom")  # fmt: skip
    axis.imshow(canvas, interpolation="nearest")
    axis.set_axis_off()
    axis.set_anchor("NW")


def _matrix(figure: Figure, axis: Axes, weight: Array) -> None:
    """1x1 filters: a pixel a weight."""
    peak = float(np.abs(weight).max()) or 1.0
    shown = axis.imshow(
        weight, cmap="RdBu_r", vmin=-peak, vmax=peak, aspect="auto", interpolation="nearest"
    )
    axis.set_xlabel("input", fontsize=8)
    axis.set_ylabel("filter", fontsize=8)
    axis.tick_params(labelsize=7)
    figure.colorbar(shown, ax=axis, shrink=0.8, pad=0.01).ax.tick_params(labelsize=7)


def filters_page(
    model: KeypointModel,
    convolution: Convolution,
    title: str,
    images: Sequence[tuple[str, Tensor]],
    path: Path,
) -> None:
    """Write a convolution's filters as PNG, and below them what it gives for each of `images`.

    These are names and inputs uint8 (C, H, W). Raises `OSError` where the file cannot be
    written.
    """
    weight = convolution.layer.weight.detach().double().cpu().numpy()
    whole = answers(model, convolution.layer, [image for _, image in images])
    single, width = weight.shape[1] > 1 and weight.shape[2:] == (1, 1), 10.0
    tiles, words = filter_tiles(weight[:MOST_FILTERS], convolution.colour)
    shape = (tiles.shape[1], tiles.shape[2])
    aside = 2.4 if images else 0.0
    heights = [4.0 if single else _height(len(tiles), shape, width) + 0.3]
    for maps in whole:
        count = min(len(maps), MOST_MAPS)
        heights.append(max(2.6, _height(count, maps.shape[1:], width - aside) + 0.4))
    figure = Figure((width + 0.4, sum(heights) + 0.7), layout="constrained")
    cells = figure.add_gridspec(
        len(heights),
        2 if images else 1,
        height_ratios=heights,
        width_ratios=[aside, width - aside] if images else None,
    )
    top = figure.add_subplot(cells[0, :])
    if single:
        _matrix(figure, top, weight[:, :, 0, 0])
        words = "1x1, so a pixel is a weight"
    else:
        _mosaic(top, tiles, width)
        words += "; each scaled by its own largest weight"
    first = f", the first {len(tiles)}" if not single and len(tiles) < len(weight) else ""
    top.set_title(f"Filters{first}: {words}", fontsize=8, loc="left")
    for row, ((name, image), maps) in enumerate(zip(images, whole), 1):
        left, right = (figure.add_subplot(cells[row, column]) for column in (0, 1))
        left.set_axis_off()
        left.set_anchor("NW")
        show_image(left, image.numpy(), name[-40:])
        shown = _around_grey(maps[:MOST_MAPS])
        _mosaic(right, np.repeat(shown[..., None], 3, axis=3), width - aside)
        cut = f", the first {len(shown)} of {len(maps)}" if len(shown) < len(maps) else ""
        right.set_title(
            f"What the layer gives for it{cut}: 0 grey, each scaled by its own largest value",
            fontsize=8, loc="left",
        )  # fmt: skip
    figure.suptitle(f"{plain(title)}: {plain(convolution.name)}, {convolution.words}", fontsize=10)
    save(figure, path)
