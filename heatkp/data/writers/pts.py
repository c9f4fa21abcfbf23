"""300-W's `.pts` files, one beside each image, with its name.

A file counts pixels from 1; it holds neither names nor boxes, and all points of one object.
"""

from __future__ import annotations

from pathlib import Path

from heatkp.data.readers.pts import write_pts
from heatkp.data.writers._base import Holds, LabelSet, ToPlace, label_writer


def _flat(image: ToPlace) -> str:
    return image.name


@label_writer(
    "pts",
    "300-W's `.pts` files beside images; all points of one object",
    holds=Holds.OUTSIDE,
    place=_flat,
    beside=True,
)
def write_label_files(labels: LabelSet, folder: Path) -> list[str]:
    """NAME.pts beside NAME.jpg; six digits after the point."""
    for image in labels.images:
        for found in image.objects:
            write_pts(folder / f"{image.stem}.pts", found.points)
    return []
