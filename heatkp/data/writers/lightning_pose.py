"""Lightning Pose: `CollectedData.csv` beside `labeled-data/VIDEO/`: a row an image.

https://lightning-pose.readthedocs.io, "Label CSV File Format": rows scorer, bodyparts, coords;
empty cells are points that are not labelled. The column `visible` is written where a labelled
point is occluded. Pixel centres lie on integers.
"""

from __future__ import annotations

from pathlib import Path

from heatkp.data.samples import Visibility
from heatkp.data.writers._base import Holds, LabelSet, ToPlace, label_writer
from heatkp.data.writers._scorer import (
    cells,
    in_labelled_data,
    points_of,
    video_folder,
    write_table,
)


def _place(image: ToPlace) -> str:
    return in_labelled_data(image, None if image.video is None else video_folder(image.video))


@label_writer(
    "lightning_pose",
    "Lightning Pose: `CollectedData.csv`, and images in `labeled-data/`",
    holds=Holds.NAMES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING | Holds.BARE
    | Holds.VIDEOS,
    place=_place,
    beside=True,
)  # fmt: skip
def write_lightning_pose(labels: LabelSet, folder: Path) -> list[str]:
    """One object an image."""
    every = [found for image in labels.images for found in image.objects]
    visible = any((found.visibility == Visibility.OCCLUDED).any() for found in every)
    count = len(labels.skeleton)
    rows = (
        ([image.name], cells(image.objects[0] if image.objects else None, count, visible))
        for image in labels.images
    )
    columns = points_of(labels, visible)
    write_table(folder / "CollectedData.csv", ("bodyparts", "coords"), columns, rows, 1)
    return []
