"""Errors of several runs on their mean faces, in one image and on one scale."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
import numpy.typing as npt
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from heatkp.evaluation.metrics import Errors, normaliser_lengths
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import plain, save
from heatkp.viz.point_errors import COLOURS, draw_errors, enlargement, scale_words

Array = npt.NDArray[np.float64]
COLUMNS = 4


def _middles(errors: Errors, skeleton: Skeleton, normaliser: str) -> Array:
    """Where each image's normaliser has its middle, (N, 2) in image pixels."""
    truth = np.where(errors.labelled[:, :, None], errors.image_truth, np.nan)
    if normaliser in skeleton.normalisers:
        first, second = skeleton.normalisers[normaliser]
        return np.asarray((truth[:, first].mean(1) + truth[:, second].mean(1)) / 2)
    if normaliser == "box-diagonal":
        return np.asarray((errors.boxes[:, :2] + errors.boxes[:, 2:]) / 2)
    middles = np.full((len(truth), 2), np.nan)
    some = errors.labelled.any(1)
    middles[some] = (np.nanmin(truth[some], 1) + np.nanmax(truth[some], 1)) / 2
    return middles


def mean_face_by(errors: Errors, skeleton: Skeleton, normaliser: str) -> tuple[Array, Array, int]:
    """Mean true points (K, 2), mean errors (K,) and the number of images they are from.

    Each image is divided by its normaliser's length, with that normaliser's middle at the
    origin, so that an error is the point's NME as `heatkp.evaluation.metrics.summarise` has it.
    NaN where no image has the point. Raises `KeyError` where there is no such normaliser.
    """
    lengths = normaliser_lengths(skeleton, errors)[normaliser]
    usable = errors.labelled & np.isfinite(lengths)[:, None]
    placed = errors.image_truth - _middles(errors, skeleton, normaliser)[:, None]
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    counts = usable.sum(0)
    with np.errstate(invalid="ignore"):
        points = np.where(usable[..., None], placed / lengths[:, None, None], 0.0).sum(0)
        radii = np.where(usable, distance / lengths[:, None], 0.0).sum(0)
        return points / counts[:, None], radii / counts, int(usable.any(1).sum())


def compare_points(
    found: Mapping[str, tuple[Errors, Skeleton]], normaliser: str, path: Path
) -> None:
    """Write each run's mean errors on its mean face as PNG, all with the same scale and colours.

    `found` gives errors and skeleton by the name that a title shows. Raises `KeyError` where a
    run lacks the normaliser, `OSError` where the file cannot be written.
    """
    faces = {name: (s, *mean_face_by(e, s, normaliser)) for name, (e, s) in found.items()}
    known = {n: np.isfinite(p).all(1) & np.isfinite(r) for n, (_, p, r, _) in faces.items()}
    points = np.concatenate([p[known[n]] for n, (_, p, _, _) in faces.items()])
    radii = np.concatenate([r[known[n]] for n, (_, _, r, _) in faces.items()])
    low, high = points.min(0), points.max(0)
    extent = max(float((high - low).max()), 0.1)
    factor, highest = enlargement(radii, extent), float(radii.max())
    margin = 0.08 * extent + factor * highest
    (left, top), (right, bottom) = low - margin, high + margin
    columns = min(len(faces), COLUMNS)
    rows = -(-len(faces) // columns)
    height = 3.6 * (bottom - top) / (right - left)
    figure = Figure((max(3.6 * columns, 5.0) + 0.8, rows * (0.88 * height + 0.5) + 0.6),
                    layout="constrained")  # fmt: skip
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (name, (skeleton, centres, errors, images)) in zip(axes, faces.items()):
        draw_errors(axis, skeleton, centres, errors, factor=factor, highest=highest)
        axis.set_xlim(left, right)
        axis.set_ylim(bottom, top)
        mean = float(np.nanmean(errors))
        axis.set_title(
            f"{plain(name)}\nmean over points {mean:.2%}, {images} images", fontsize=9, pad=3
        )
    colours = ScalarMappable(Normalize(0, 100 * highest), matplotlib.colormaps[COLOURS])
    bar = figure.colorbar(colours, ax=list(axes), shrink=0.7, pad=0.02)
    bar.set_label(f"mean error of a point, % of {plain(normaliser)}", fontsize=8)
    bar.ax.tick_params(labelsize=8)
    figure.suptitle(
        "Mean error of each keypoint on the mean face, all on one scale\nA circle's radius is its "
        f"point's mean error, {scale_words(factor)}; numbers: the largest of each run",
        fontsize=9,
    )
    save(figure, path)
