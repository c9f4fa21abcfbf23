"""What a finder finds, drawn on some images beside the labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from heatkp.data.scenes import Scene
from heatkp.inference.detectors import Detector
from heatkp.viz.canvas import PREDICTED, TRUTH, cell_size, grid, save, show_image

SHOWN, COLUMNS = 12, 4


def draw_found(detector: Detector, scenes: list[Scene], path: Path) -> None:
    """A PNG of some scenes, evenly taken: labelled boxes green, found ones pink with their score.

    Raises `OSError` where it cannot be written, `DataError` for an image that cannot be read.
    """
    from matplotlib.patches import Rectangle

    places = np.unique(np.linspace(0, len(scenes) - 1, min(SHOWN, len(scenes))).round().astype(int))
    images = [scenes[i].image.rgb() for i in places]
    height, width = images[0].shape[:2]
    figure, axes = grid(-(-len(places) // COLUMNS), min(COLUMNS, len(places)),
                        cell_size((width, height)))  # fmt: skip
    for axis, i, image in zip(axes, places, images):
        show_image(axis, image.transpose(2, 0, 1), scenes[i].id)
        found = detector(image)
        lists = ((scenes[i].boxes, TRUTH, None), ([one.box for one in found], PREDICTED, found))
        for boxes, colour, scored in lists:
            for j, box in enumerate(boxes):
                if not np.isfinite(box).all():
                    continue
                size = box[2:] - box[:2]
                axis.add_patch(
                    Rectangle(tuple(box[:2]), *size, fill=False, edgecolor=colour, linewidth=0.8)
                )
                if scored is not None:
                    axis.annotate(f"{scored[j].score:.2f}", tuple(box[:2]), color=colour,
                                  fontsize=4, va="bottom", annotation_clip=True)  # fmt: skip
    save(figure, path)
