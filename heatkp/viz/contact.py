"""A contact sheet: samples of a data set with their boxes and points."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.patheffects import withStroke

from heatkp import coordinates as co
from heatkp.data.boxes import box_error
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import points_box
from heatkp.data.samples import Sample, Visibility
from heatkp.data.transforms import Framing
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import (
    TRUTH,
    cell_size,
    grid,
    marker_size,
    plain,
    save,
    show_image,
    side_colours,
)

CELL = (208, 208)
NAMED = 24
"""Up to so many points have their names beside them; more have their numbers, and the names stand
below the sheet."""
LISTED = 120
"""Up to so many names are listed there."""
COLUMNS = 6


def _region_box(sample: Sample) -> Sample:
    """The sample with a box that is of use: its own, or around its points, or none."""
    height, width = sample.image().shape[:2]
    boxes = (sample.box, points_box(sample))
    good = (b for b in boxes if b is not None and box_error(b, (width, height)) is None)
    return replace(sample, box=next(good, None))


def contact_sheet(
    samples: Sequence[Sample],
    skeleton: Skeleton,
    path: Path,
    count: int = 24,
    scale: float = 1.6,
) -> int:
    """Draw at most `count` samples, spread evenly, as PNG; returns how many.

    Each is cropped to its box enlarged by `scale` (without a box, to that around its points, or
    not at all), with the box in green and the points: the subject's left side blue, the right
    side red. Raises `DataError` for an image that cannot be read, `OSError` where the file
    cannot be written.
    """
    count = min(count, len(samples))
    chosen = [samples[i] for i in np.linspace(0, len(samples) - 1, count).round().astype(int)]
    framing = Framing(CELL, scale)
    dataset = KeypointDataset([_region_box(s) for s in chosen], skeleton, framing)
    figure, axes = grid(max(1, -(-count // COLUMNS)), max(1, min(count, COLUMNS)), cell_size(CELL))
    colours = np.array(side_colours(skeleton))
    for axis, sample, index in zip(axes, chosen, range(count)):
        item = dataset[index]
        show_image(axis, item["image"].numpy(), sample.id)
        if sample.box is not None:
            corners = co.apply(item["matrix"].numpy(), sample.box.reshape(2, 2))
            low, extent = corners[0], corners[1] - corners[0]
            axis.add_patch(Rectangle(low, *extent, fill=False, edgecolor=TRUTH, linewidth=0.8))
        points, visibility = item["points"].numpy(), item["visibility"].numpy()
        for code, marker in ((Visibility.VISIBLE, "o"), (Visibility.OCCLUDED, "x")):
            known = visibility == code
            x, y = points[known].T
            axis.scatter(
                x, y, s=marker_size(len(skeleton)), c=colours[known], marker=marker, linewidths=0.7
            )
        _write_names(axis, points, visibility > 0, skeleton)
    figure.suptitle(
        f"{count} of {len(samples)} samples, what the box (green) shows when enlarged {scale:g} "
        "times; subject's left blue, right red, x labelled but hidden",
        fontsize=8,
    )
    if NAMED < len(skeleton) <= LISTED:
        figure.supxlabel(_legend(skeleton, min(count, COLUMNS)), fontsize=5, ha="center")
    save(figure, path)
    return count


def _write_names(
    axis: Axes,
    points: npt.NDArray[np.floating],
    known: npt.NDArray[np.bool_],
    skeleton: Skeleton,
) -> None:
    """Names, or numbers where they are many, at the points that are in the cell."""
    few = len(skeleton) <= NAMED
    inside = known & (points >= 0).all(1) & (points < np.array(CELL)).all(1)
    for k in np.flatnonzero(inside):
        text = plain(skeleton.point_names[k][:20]) if few else str(k)
        x, y = points[k]
        right = few and x > 0.6 * CELL[0]  # so that long names stay in the cell
        mark = axis.text(
            x + (-4 if right else 4), y, text, fontsize=4.5 if few else 3, color="white",
            ha="right" if right else "left", va="center", clip_on=True,
        )  # fmt: skip
        mark.set_path_effects([withStroke(linewidth=0.8, foreground="black")])


def _legend(skeleton: Skeleton, columns: int) -> str:
    """Numbers and names of the points, in lines of about the sheet's width."""
    words = [f"{k} {plain(name)}" for k, name in enumerate(skeleton.point_names)]
    return textwrap.fill("   ".join(words), 75 * columns, break_long_words=False)
