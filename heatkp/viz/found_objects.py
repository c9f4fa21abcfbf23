"""What a finder finds, drawn on some images beside the labels."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from heatkp.data.scenes import Scene
from heatkp.engine import FoundPoints
from heatkp.inference.detectors import Detector
from heatkp.skeletons import Skeleton
from heatkp.viz.canvas import PREDICTED, TRUTH, cell_size, grid, marker_size, save, show_image

SHOWN, COLUMNS = 12, 4
SCORED = 40
"""Of the surest boxes of an image the score is written."""


def _outline(axis: Axes, boxes: Iterable[npt.NDArray[np.float64]], colour: str) -> None:
    """Boxes without those that are not finite, in one artist."""
    corners = [box[[[0, 1], [2, 1], [2, 3], [0, 3]]] for box in boxes if np.isfinite(box).all()]
    axis.add_collection(
        PolyCollection(corners, facecolors="none", edgecolors=colour, linewidths=0.8)
    )


def draw_found(
    detector: Detector, scenes: list[Scene], path: Path, skeleton: Skeleton | None = None
) -> None:
    """A PNG of some scenes, evenly taken: labelled boxes green, found ones pink with their score;
    with a skeleton also their points.

    Raises `OSError` where it cannot be written, `DataError` for an image that cannot be read.
    """
    places = np.unique(np.linspace(0, len(scenes) - 1, min(SHOWN, len(scenes))).round().astype(int))
    images = [scenes[i].image.rgb() for i in places]
    height, width = images[0].shape[:2]
    figure, axes = grid(-(-len(places) // COLUMNS), min(COLUMNS, len(places)),
                        cell_size((width, height)))  # fmt: skip
    for axis, i, image in zip(axes, places, images):
        show_image(axis, image.transpose(2, 0, 1), scenes[i].id)
        found = detector(image)
        _outline(axis, scenes[i].boxes, TRUTH)
        _outline(axis, [one.box for one in found], PREDICTED)
        for one in found[:SCORED]:
            # Where it is in the layout, hundreds take a minute.
            x, y = one.box[:2].tolist()
            axis.text(x, y, f"{one.score:.2f}", color=PREDICTED, fontsize=4, va="bottom",
                      clip_on=True, in_layout=False)  # fmt: skip
        if skeleton is not None:
            _points(axis, scenes[i], [one.points for one in found], marker_size(len(skeleton)))
    if skeleton is not None:
        figure.suptitle("Green labels, pink what was found, with its score", fontsize=8)
    save(figure, path)


def _points(axis: Axes, scene: Scene, found: Sequence[FoundPoints | None], size: float) -> None:
    """The labelled points of a scene, and those that were found."""
    truth = scene.keypoints[scene.visibility > 0]
    axis.scatter(truth[:, 0], truth[:, 1], s=0.5 * size, c=TRUTH, linewidths=0)
    for one in found:
        if one is not None:
            x, y = one.points.T
            axis.scatter(x, y, s=0.35 * size, c=PREDICTED, linewidths=0)
