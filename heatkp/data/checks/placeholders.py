"""Coordinates that tools write where a point is not labelled, though it counts as labelled."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Labels, Sample, Visibility

BLOCK = 10_000
"""Samples that are looked at together."""
NEGATIVE = -99
"""x and y that are equal and no larger than this are no point: -99, -999, -9999."""
LARGEST = 1e5
"""Pixels; no format of images is that large."""


def placeholders(points: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which of points (..., 2), as a file has them, are placeholders; NaN is none.

    >>> placeholders(np.array([[0, 0], [-1, -1], [-999, -999], [1e9, 5], [0, 1], [-7.5, -7.5]]))
    array([ True,  True,  True,  True, False, False])
    """
    x, y = points[..., 0], points[..., 1]
    equal = (x == y) & ((x == 0) | (x == -1) | (x <= NEGATIVE))
    return np.asarray(equal | (np.abs(points) >= LARGEST).any(-1))


def without_placeholders(labels: Labels, origin: float = 0.0) -> Labels:
    """Labels in which points at placeholders are not labelled; a note counts them.

    Args:
        origin: the coordinate that the file gives to the centre of the first pixel.
    """
    samples: list[Sample] = []
    points = changed = 0
    example = ""
    for start in range(0, len(labels.samples), BLOCK):
        block = labels.samples[start : start + BLOCK]
        given = np.stack([s.points for s in block]).astype(np.float64) + origin
        labelled = np.stack([s.visibility for s in block]) > Visibility.NOT_LABELLED
        found = labelled & placeholders(given)
        for i in np.flatnonzero(found.any(1)):
            sample, where = block[i], found[i]
            if not changed:
                k = int(np.flatnonzero(where)[0])
                x, y = given[i, k]
                example = f"{labels.skeleton.point_names[k]} of {sample.id} at ({x:g}, {y:g})"
            points, changed = points + int(where.sum()), changed + 1
            block[i] = replace(
                sample,
                points=np.where(where[:, None], np.float32(np.nan), sample.points),
                visibility=np.where(where, np.uint8(0), sample.visibility),
            )
        samples += block
    if not changed:
        return labels
    note = (
        f"{points} points of {changed} samples are at a placeholder ({example}) and count as not "
        "labelled; move them by a hundredth of a pixel where they are meant"
    )
    return Labels(labels.skeleton, samples, (*labels.notes, note))
