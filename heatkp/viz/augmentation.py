"""Augmented training samples beside their original crops, with pairs of points in colours."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from heatkp import coordinates as co
from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Visibility
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import (
    LEFT,
    MIDDLE,
    RIGHT,
    cell_size,
    grid,
    marker_size,
    plain,
    save,
    show_image,
    side_colours,
)

LINES = 5
"""Pairs that are joined by a line."""


def change_words(plain_matrix: co.Matrix, matrix: co.Matrix) -> str:
    """What an augmentation did to the input: mirrored, turned by so much, magnified by so much.

    Both matrices take image pixels to input pixels. The angle is the one of the rotation that
    is nearest to the affine without the mirroring, which comes last; positive is clockwise.

    >>> eye, turn = co.translation(0, 0), co.compose(co.rotation(10), co.scaling(1.5, 1.5))
    >>> change_words(eye, turn), change_words(eye, co.compose(turn, co.mirroring(64)))
    ('turned 10°, x 1.50', 'FLIPPED, turned 10°, x 1.50')
    """
    change = co.compose(co.invert(plain_matrix), matrix)[:, :2]
    flipped = bool(np.linalg.det(change) < 0)
    if flipped:
        change = np.diag([-1.0, 1.0]) @ change
    angle = math.degrees(math.atan2(change[1, 0] - change[0, 1], change[0, 0] + change[1, 1]))
    zoom = math.sqrt(abs(float(np.linalg.det(change))))
    # round() and + 0.0: no minus before a zero
    return f"{'FLIPPED, ' if flipped else ''}turned {round(angle) + 0.0:.0f}°, x {zoom:.2f}"


def joined_pairs(skeleton: Skeleton) -> list[tuple[int, int]]:
    """At most `LINES` of a skeleton's left-right pairs, spread evenly."""
    count = min(LINES, len(skeleton.pairs))
    places = np.linspace(0, len(skeleton.pairs) - 1, count).round().astype(int)
    return [skeleton.pairs[i] for i in places]


def _draw(axis: Axes, item: dict[str, Any], skeleton: Skeleton, size: tuple[int, int]) -> None:
    points, visibility = item["points"].numpy(), item["visibility"].numpy()
    colours, marker = np.array(side_colours(skeleton)), 1.3 * marker_size(len(skeleton))
    for left, right in joined_pairs(skeleton):
        axis.plot(*points[[left, right]].T, color="white", lw=0.7, alpha=0.8)
    known = visibility > Visibility.NOT_LABELLED
    outside = known & ~co.inside(points, *size)
    for code, shape in ((Visibility.VISIBLE, "o"), (Visibility.OCCLUDED, "x")):
        chosen = (visibility == code) & ~outside
        x, y = points[chosen].T
        axis.scatter(x, y, s=marker, c=colours[chosen], marker=shape, linewidths=0.8)
    x, y = np.clip(points[outside], 0, np.asarray(size) - 1.0).T
    axis.scatter(
        x, y, s=5 * marker, c=colours[outside], marker="s", edgecolors="white",
        linewidths=0.7, clip_on=False, zorder=4,
    )  # fmt: skip


def _handles(skeleton: Skeleton) -> list[Line2D]:
    def mark(label: str, shape: str, colour: str, edge: str | None = None) -> Line2D:
        return Line2D([], [], ls="", marker=shape, color=colour, mec=edge or colour, ms=6,
                      label=label)  # fmt: skip

    sided = [mark("subject's left", "o", LEFT), mark("subject's right", "o", RIGHT)]
    middle = [] if 2 * len(skeleton.pairs) == len(skeleton) else [mark("midline", "o", MIDDLE)]
    grey = "#777777"
    return [
        *(sided if skeleton.pairs else []),
        *middle,
        mark("occluded", "x", grey),
        mark("outside the input, at its edge", "s", grey, "black"),
    ]


def augmentation_sheet(
    plain_set: KeypointDataset,
    augmented: KeypointDataset,
    chosen: Sequence[int],
    draws: int,
    path: Path,
) -> int:
    """Write a row for each chosen sample as PNG: the original crop, then `draws` augmented ones.

    Both data sets hold the same samples; a training on them makes these draws in its first
    epochs. Returns how many are mirrored. Raises `DataError` for an image that cannot be read,
    `OSError` where the file cannot be written.
    """
    skeleton, size = augmented.skeleton, augmented.framing.size
    figure, axes = grid(len(chosen), draws + 1, cell_size(size))
    flips = 0
    for row, index in enumerate(chosen):
        original = plain_set[index]
        cells = axes[row * (draws + 1) : (row + 1) * (draws + 1)]
        show_image(cells[0], original["image"].numpy(), plain_set.samples[index].id[-34:])
        _draw(cells[0], original, skeleton, size)
        for epoch, axis in enumerate(cells[1:]):
            item = augmented[(epoch, index)]
            words = change_words(original["matrix"].numpy(), item["matrix"].numpy())
            show_image(axis, item["image"].numpy(), words)
            if words.startswith("FLIPPED"):
                axis.title.set_fontweight("bold")
                flips += 1
            _draw(axis, item, skeleton, size)
    rule = (
        "white lines join some pairs. A flip exchanges left and right labels, so the colours keep "
        "their sides in every draw"
        if skeleton.pairs
        else f"{plain(skeleton.name)} has no left-right pairs: a flip exchanges no labels"
    )
    figure.suptitle(
        f"Training samples as the network sees them: on the left the original crop\n{rule}",
        fontsize=9,
    )
    handles = _handles(skeleton)
    figure.legend(handles=handles, fontsize=8, loc="outside lower center", ncols=len(handles))
    save(figure, path)
    return flips
