"""Points and maps over an image, on matplotlib's axes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.transforms import Affine2D

from heatkp import coordinates as co
from heatkp.data.inputs import ImageLike, as_image
from heatkp.errors import DataError
from heatkp.inference.heatmaps import Heatmaps
from heatkp.inference.keypoints import Keypoints
from heatkp.viz.canvas import coloured, marker_size, plain, side_colours


def plot(
    found: Keypoints | Heatmaps | Sequence[Keypoints | Heatmaps],
    image: ImageLike | None = None,
    axis: Axes | None = None,
    *,
    point: str | int | None = None,
    names: bool = False,
    lines: bool = True,
) -> Axes:
    """Draw what a model found over an image.

    Args:
        found: what `Predictor.predict` or `Predictor.heatmaps` gives, or one of these: points in
            the colours of their sides (the subject's left blue, right red), with a box where
            there is one; maps where they lie on the image, the brighter the higher.
        image: what was predicted on, as `predict` takes it; None draws on what the axis holds.
        axis: matplotlib's, of which pixels of the image become the data coordinates; None makes
            a figure.
        point: name or number of the one point whose map is drawn; None draws the sum of all.
        names: write the points' names beside them.
        lines: join points as the skeleton says.

    Returns:
        The axis.

    Raises:
        DataError: for an image that cannot be read, and for what was not found by a model.
        KeyError, IndexError: for a `point` that there is not.
    """
    several = [found] if isinstance(found, Keypoints | Heatmaps) else list(found)
    for one in several:
        if not isinstance(one, Keypoints | Heatmaps):
            raise DataError(
                f"{type(one).__name__} cannot be drawn; give what predict or heatmaps found"
            )
    pixels = None if image is None else as_image(image)
    if axis is None:
        from matplotlib import pyplot  # chooses a backend, which only this needs

        axis = pyplot.subplots(layout="constrained")[1]
        axis.set_axis_off()
    if pixels is not None:
        axis.imshow(pixels)
    size = None if pixels is None else (pixels.shape[1], pixels.shape[0])
    for one in several:
        size = size or one.image_size
        if isinstance(one, Heatmaps):
            _draw_maps(axis, one, point)
        else:
            _draw_points(axis, one, names, lines)
    if size is not None:
        x0, y0, x1, y1 = co.image_box(*size)
        axis.set_xlim(x0, x1)
        axis.set_ylim(y1, y0)
    axis.set_aspect("equal")
    return axis


def _draw_points(axis: Axes, found: Keypoints, names: bool, lines: bool) -> None:
    points = np.where(np.isfinite(found.points), found.points, np.nan)
    for run in found.skeleton.lines if lines else ():
        for a, b in pairwise(run):
            axis.plot(*points[[a, b]].T, color="white", lw=0.8, zorder=2)
    if found.box is not None:
        x0, y0, x1, y1 = found.box
        axis.plot([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0], color="#3ddc5a", lw=1, zorder=2)
    size = 3 * marker_size(len(points))
    colours = side_colours(found.skeleton)
    x, y = points.T
    axis.scatter(x, y, s=size, c=colours, edgecolors="black", linewidths=0.4, zorder=3)
    for name, place in zip(found.skeleton.point_names, points) if names else ():
        if np.isfinite(place).all():
            axis.annotate(
                plain(name),
                (float(place[0]), float(place[1])),
                (3, 3),
                textcoords="offset points",
                fontsize=7,
            )


def _draw_maps(axis: Axes, found: Heatmaps, point: str | int | None) -> None:
    values = found.total() if point is None else found[point]
    (a, b, x), (c, d, y) = found.matrix
    place = Affine2D(np.array([[a, b, x], [c, d, y], [0.0, 0.0, 1.0]]))
    drawn = axis.imshow(coloured(values), interpolation="nearest", zorder=1)
    drawn.set_transform(place + axis.transData)
