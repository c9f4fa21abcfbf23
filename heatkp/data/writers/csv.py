"""A CSV table, `labels.csv`, beside a folder of images: a row an object.

Columns are `image`, then `NAME_x`, `NAME_y` of each point; `NAME_visible` with COCO's codes where
a labelled point is occluded; `NAME_likelihood` of predictions. Pixel centres lie on integers;
cells of points that are not labelled are empty.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from heatkp.data.samples import Visibility
from heatkp.data.writers._base import Holds, LabelSet, Object, label_writer, text_of
from heatkp.text import printable

LEAST = 1e-4
"""Of a likelihood: 0 says that a point is not labelled."""


def _scored(labels: LabelSet) -> bool:
    """Whether every object has scores of its points."""
    told = (found.scores for image in labels.images for found in image.objects)
    return labels.scored and all(s is not None and s.points is not None for s in told)


def _cells(found: Object, occluded: bool, scored: bool) -> Iterator[str]:
    scores = found.scores.points if scored and found.scores is not None else None
    for k, (point, code) in enumerate(zip(found.points, found.visibility)):
        yield from map(text_of, point) if code else ("", "")
        if occluded:
            yield str(int(code))
        if scored:
            score = np.nan if scores is None else scores[k]
            yield text_of(max(score, LEAST), 4) if np.isfinite(score) and code else ""


@label_writer(
    "csv",
    "a table with a row an object: name of the image, then `NAME_x`, `NAME_y` of each point",
    holds=Holds.NAMES | Holds.OCCLUSION | Holds.OUTSIDE | Holds.MISSING | Holds.BARE
    | Holds.SEVERAL | Holds.SCORES,
    read_from="labels.csv",
)  # fmt: skip
def write_csv(labels: LabelSet, folder: Path) -> list[str]:
    """Commas, points as decimal signs, UTF-8."""
    every = [found for image in labels.images for found in image.objects]
    occluded = any((found.visibility == Visibility.OCCLUDED).any() for found in every)
    scored = _scored(labels)
    columns = ["x", "y", *["visible"] * occluded, *["likelihood"] * scored]
    names = [f"{name}_{c}" for name in labels.skeleton.point_names for c in columns]
    with (folder / "labels.csv").open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["image", *map(printable, names)])
        for image in labels.images:
            for found in image.objects:
                table.writerow([image.name, *_cells(found, occluded, scored)])
    return []
