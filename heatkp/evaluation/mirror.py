"""Does a model find in a mirrored image what it finds in the image? No labels are needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.data.samples import Sample
from heatkp.engine import require_mirrored
from heatkp.errors import DataError
from heatkp.skeletons import Skeleton

MARK = "_mirror"


def mirror_pairs(samples: Sequence[Sample]) -> list[tuple[int, int]]:
    """Places of NAME.jpg and of NAME_mirror.jpg, for each image of which both are there.

    Raises `DataError` where a file has several samples (which of them belong together cannot
    be told), or where there is no pair.
    """
    places: dict[Path, int] = {}
    for place, sample in enumerate(samples):
        if sample.file is None or sample.image_part:
            continue
        if sample.file in places:
            raise DataError(f"{sample.file} has two entries: mirrored copies need one a file")
        places[sample.file] = place
    pairs = []
    for file, mirrored in places.items():
        if file.stem.endswith(MARK):
            original = file.with_name(file.stem.removesuffix(MARK) + file.suffix)
            if original in places:
                pairs.append((places[original], mirrored))
    if not pairs:
        raise DataError(
            f"none of {len(samples)} samples has a mirrored copy: expected NAME.jpg and "
            f"NAME{MARK}.jpg in one folder"
        )
    return pairs


def _width(original: Sample, mirrored: Sample) -> int:
    """The width in pixels of an image and its mirrored copy. `DataError` where sizes differ."""
    one, two = original.image().shape[:2], mirrored.image().shape[:2]
    if one != two:
        raise DataError(
            f"{mirrored.file} is {two[1]} x {two[0]} pixels, but {original.file} is "
            f"{one[1]} x {one[0]}: it is no mirrored copy"
        )
    return one[1]


def mirror_consistency(
    found: npt.ArrayLike, samples: Sequence[Sample], skeleton: Skeleton
) -> dict[str, Any]:
    """How far points of mirrored images are from those of the images, as plain numbers.

    What was found in NAME_mirror.jpg is mirrored back, x -> W - 1 - x, and exchanges left and
    right labels. Pixels of the image files:

    - `pairs`: their number; `mean_difference`: mean |difference| over x and y of all points;
      `mean_distance`: mean Euclidean distance; `points`: both for each point;
    - `box_difference`: mean |difference| of the four edges of the boxes, mirrored back as well;
      None where no pair has boxes. Boxes that differ are a part of what is measured.

    Args:
        found: (N, K, 2), in the order of the samples.

    Raises:
        SettingsError: where it is not known which points change places.
        DataError: where shapes differ, no pair is there, or one is of different sizes.
    """
    points = np.asarray(found, np.float64)
    if points.shape != (len(samples), len(skeleton), 2):
        raise DataError(
            f"predictions have shape {points.shape}, expected ({len(samples)}, {len(skeleton)}, 2)"
        )
    require_mirrored(skeleton)
    pairs = mirror_pairs(samples)
    offs, edges = [], []
    for first, second in pairs:
        original, mirrored = samples[first], samples[second]
        mirroring = co.mirroring(_width(original, mirrored))
        offs.append(co.apply(mirroring, points[second])[skeleton.flip] - points[first])
        if original.box is not None and mirrored.box is not None:
            corners = co.apply(mirroring, mirrored.box.reshape(2, 2))
            back = np.concatenate([corners.min(0), corners.max(0)])
            edges.append(np.abs(back - original.box).mean())
    off = np.stack(offs)
    difference, distance = np.abs(off).mean(2), np.linalg.norm(off, axis=2)
    return {
        "pairs": len(pairs),
        "mean_difference": float(difference.mean()),
        "mean_distance": float(distance.mean()),
        "box_difference": float(np.mean(edges)) if edges else None,
        "points": [
            {"name": name, "mean_difference": float(d), "mean_distance": float(e)}
            for name, d, e in zip(skeleton.point_names, difference.mean(0), distance.mean(0))
        ],
    }
