"""What all images share: colours, grids of images, saving whole or not at all."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatkp.files import replacing
from heatkp.skeletons import Skeleton
from heatkp.text import one_line

COLOURS = "inferno"
"""Of maps."""
LONGEST_TITLE = 60
"""Letters over a small image; of longer names the end is shown."""
TRUTH, PREDICTED = "#3ddc5a", "#ff2d78"
LEFT, RIGHT, MIDDLE = "#4aa8ff", "#ff5a4a", "#ffe14a"


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG, whole or not at all. Raises `OSError` where it cannot be."""
    with replacing(path) as part, warnings.catch_warnings():
        # Letters that the font lacks, of names in other scripts, become boxes.
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        # Images hardly shrink further, and the default takes three times as long.
        figure.savefig(part, dpi=110, format="png", pil_kwargs={"compress_level": 3})


def plain(text: str) -> str:
    """A name as matplotlib shows it unchanged: no formula between `$`, no hidden `_label`, one
    line of text."""
    return (" " if text.startswith("_") else "") + one_line(text).replace("$", r"\$")


def grid(rows: int, columns: int, cell: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with axes for images, row by row; `cell` is (width, height) of one in inches."""
    figure = Figure((columns * cell[0], rows * (cell[1] + 0.22) + 0.45), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False)
    flat = list(axes.ravel())
    for axis in flat:
        axis.set_axis_off()
        for ticks in (axis.xaxis, axis.yaxis):  # else they are laid out, though not drawn
            ticks.set_visible(False)
    return figure, flat


def cell_size(size: tuple[int, int]) -> tuple[float, float]:
    """(width, height) in inches of an image of (W, H) pixels: the longer edge is 2.3."""
    scale = 2.3 / max(size)
    return size[0] * scale, size[1] * scale


def show_image(axis: Axes, image: npt.NDArray[Any], title: str = "") -> None:
    """A uint8 image (C, H, W) with pixel centres on integers."""
    image = image.transpose(1, 2, 0)
    if image.shape[2] == 1:
        image = np.repeat(image, 3, axis=2)
    axis.imshow(image, interpolation="bilinear")
    axis.set_xlim(-0.5, image.shape[1] - 0.5)
    axis.set_ylim(image.shape[0] - 0.5, -0.5)
    axis.set_title("\n".join(map(_short_line, title.split("\n"))), fontsize=7, pad=2)


def _short_line(text: str) -> str:
    """A line of a title, of which the end is shown where it is long."""
    short = text if len(text) <= LONGEST_TITLE else "..." + text[3 - LONGEST_TITLE :]
    return plain(short)


def marker_size(count: int) -> float:
    """Area of each point's mark in square points, as matplotlib's `s`: smaller where many are."""
    return 30.0 if count < 6 else 14.0 if count < 30 else 5.0


def side_colours(skeleton: Skeleton) -> list[str]:
    """A colour for each point: of the subject's left, of its right, or of what has no pair."""
    colours = [MIDDLE] * len(skeleton)
    for left, right in skeleton.pairs:
        colours[left], colours[right] = LEFT, RIGHT
    return colours


def coloured(values: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """RGBA (h, w, 4) of values (h, w): clear at 0, bright at their peak."""
    peak = float(values.max())
    part = values / peak if peak > 0 else np.zeros_like(values)
    colours = np.asarray(matplotlib.colormaps[COLOURS](part), np.float64)
    colours[..., 3] = 0.9 * np.sqrt(part)
    return colours
