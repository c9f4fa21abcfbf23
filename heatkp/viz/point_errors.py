"""Which points are hardest: mean error of each keypoint as bars and on the mean face."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PatchCollection
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from heatkp.errors import DataError
from heatkp.evaluation.metrics import Errors, summarise
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import plain, save

Array = npt.NDArray[np.float64]
COLOURS = "viridis_r"
NAMED = 8
"""Points whose numbers are written on the mean face."""


def mean_face(errors: Errors) -> tuple[Array, Array]:
    """Mean true points (K, 2) and mean errors (K,) in input pixels; NaN where none is labelled.

    The input is the framed box, or image, so that means over it are normalised by that.
    """
    counts = errors.labelled.sum(0)
    sums = np.where(errors.labelled[:, :, None], errors.input_truth, 0.0).sum(0)
    distance = np.linalg.norm(errors.input - errors.input_truth, axis=2)
    lengths = np.where(errors.labelled, distance, 0.0).sum(0)
    with np.errstate(invalid="ignore"):
        return sums / counts[:, None], lengths / counts


def _colours(values: npt.ArrayLike, highest: float | None = None) -> Array:
    """Colours (N, 4): light for 0, dark for the largest, or for `highest` and more."""
    given = np.nan_to_num(np.asarray(values, np.float64))
    found: Array = matplotlib.colormaps[COLOURS](given / (highest or given.max() or 1.0))
    return found


def _bars(axis: Axes, values: Sequence[float], names: Sequence[str], title: str) -> None:
    axis.barh(range(len(values)), values, color=_colours(values))
    axis.set_yticks(range(len(values)), names, fontsize=6)
    axis.set_ylim(len(values) - 0.4, -0.6)
    axis.set_title(title, fontsize=8)
    axis.tick_params(axis="x", labelsize=7)
    axis.grid(axis="x", alpha=0.25)


def enlargement(radii: Array, extent: float) -> int:
    """How many times as large circles are drawn, to be seen on a face of the given extent."""
    expected = 0.02 * extent / max(float(np.nanmedian(radii)), 1e-9)
    return next((f for f in (10, 5, 2) if f <= expected), 1)


def draw_errors(
    axis: Axes,
    skeleton: Skeleton,
    points: Array,
    radii: Array,
    *,
    factor: int,
    highest: float | None = None,
) -> int:
    """Circles of `radii` (K,), `factor` times as large, at `points` (K, 2) of one scale.

    Darkest at `highest`, or at the largest. The largest get their numbers; returns how many.
    What is NaN is left out.
    """
    known = np.isfinite(points).all(1) & np.isfinite(radii)
    for line in skeleton.lines:
        axis.plot(*points[list(line)].T, color="#bbbbbb", lw=1, zorder=0)
    extent = float(np.ptp(points[known], axis=0).max())
    circles = [Circle((x, y), factor * r) for (x, y), r in zip(points[known], radii[known])]
    colours = _colours(radii[known], highest)
    axis.add_collection(PatchCollection(circles, facecolor=colours, edgecolor="black", lw=0.3))
    worst = largest(np.where(known, radii, np.nan), NAMED)
    middle = points[known].mean(0)
    for k in worst:  # on the outer side of its circle
        away = points[k] - middle
        away = away / max(float(np.linalg.norm(away)), 1e-9)
        x, y = points[k] + away * (factor * radii[k] + 0.035 * extent)
        axis.text(x, y, str(k), fontsize=8, ha="center", va="center")
    axis.set_aspect("equal", anchor="N")
    axis.set_axis_off()
    return len(worst)


def largest(values: npt.ArrayLike, count: int | None = None) -> list[int]:
    """Places of the `count` largest of values (N,), or of all, downwards; NaN is left out."""
    given = np.asarray(values, np.float64)
    known = np.flatnonzero(np.isfinite(given))
    return [int(k) for k in known[np.argsort(-given[known], kind="stable")][:count]]


def scale_words(factor: int) -> str:
    """Whether circles are to scale."""
    return "to scale" if factor == 1 else f"drawn {factor} times as large"


def _face(axis: Axes, errors: Errors, skeleton: Skeleton) -> None:
    points, radii = mean_face(errors)
    known = np.isfinite(points).all(1) & np.isfinite(radii)
    low, high = points[known].min(0), points[known].max(0)
    extent = max(float((high - low).max()), 0.1 * max(errors.input_size))
    factor = enlargement(radii[known], extent)
    count = draw_errors(axis, skeleton, points, radii, factor=factor)
    margin = 0.08 * extent + factor * float(radii[known].max())
    (left, top), (right, bottom) = low - margin, high + margin
    axis.set_xlim(left, right)
    axis.set_ylim(bottom, top)
    axis.set_title(
        f"the mean of the true points; the radius of a circle\nis its point's mean error, "
        f"{scale_words(factor)}; numbers: the {count} largest",
        fontsize=8,
    )


def ranked(summary: dict[str, Any], normaliser: str | None) -> list[tuple[str, float, float]]:
    """Name, mean error in image pixels and in % of the normaliser of each labelled point.

    The largest in % first, or in pixels without a normaliser; NaN %, where no image that shows a
    point has the length, come last.
    """

    def fraction(point: dict[str, Any]) -> float:
        given = None if normaliser is None else point["nme"][normaliser]
        return float("nan") if given is None else 100 * given

    rows = [
        (f"{k} {plain(p['name'])}", p["distance_photo"], fraction(p))
        for k, p in enumerate(summary["points"])
        if p["distance_photo"] is not None
    ]
    by = 1 if normaliser is None else 2
    return sorted(rows, key=lambda row: -np.nan_to_num(row[by], nan=-1.0))


def worst_points(errors: Errors, skeleton: Skeleton, path: Path) -> None:
    """Write mean errors of the keypoints as PNG: bars, and circles on the mean face.

    Bars are in image pixels and in % of the first normaliser that the data has, sorted by the
    latter. Raises `DataError` where nothing is labelled, `OSError` where the file cannot be
    written.
    """
    summary = summarise(errors, skeleton)
    normaliser = next(iter(summary["normalised"]), None)
    rows = ranked(summary, normaliser)
    if not rows:
        raise DataError("no sample has a labelled point: there is no error to draw")
    names, pixels, shares = [r[0] for r in rows], [r[1] for r in rows], [r[2] for r in rows]
    count = 2 + (normaliser is not None)
    figure = Figure((3.3 * count + 1.5, max(4.5, 0.135 * len(rows) + 1)), layout="constrained")
    axes = figure.subplots(1, count, width_ratios=[1] * (count - 1) + [1.6])
    if normaliser is not None:
        _bars(axes[0], shares, names, f"mean error, % of {plain(normaliser)}")
    _bars(axes[-2], pixels, names, "mean error, image pixels")
    _face(axes[-1], errors, skeleton)
    figure.suptitle(
        f"Mean error of each keypoint over {summary['images']} images, worst first", fontsize=9
    )
    save(figure, path)
