"""Coordinates that count y from an image's lower edge, turned over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.checks.sizes import read_headers, sizes_of
from heatkp.data.samples import Labels, Sample


class Upright(NamedTuple):
    """Samples with y from the upper edge, and notes as in `Labels`."""

    samples: list[Sample]
    notes: tuple[str, ...] = ()


def from_below(samples: Sequence[Sample], orient: bool, corner: bool = True) -> Upright:
    """Samples whose y counts from the images' lower edge, with y from the upper one.

    Points are turned over in the image of height H, from its edge at H - 0.5. Without an image's
    size, of its header or as declared, its points are not labelled; a note counts these.

    Args:
        corner: points count from the image's lower left corner, so that the centre of the first
            pixel is at (0.5, 0.5); else the centre of the first pixel is at (0, 0).
    """
    headers = read_headers(samples, None)
    heights = sizes_of(samples, headers, orient, True, None)[:, 1]
    done = [_over(s, float(h), 0.5 if corner else 0.0) for s, h in zip(samples, heights)]
    lost = int(np.isnan(heights).sum())
    if not lost:
        return Upright(done)
    note = (
        f"samples whose image is missing or damaged, so that y cannot be turned over, without "
        f"labels: {lost}"
    )
    return Upright(done, (note,))


def _over(sample: Sample, height: float, shift: float) -> Sample:
    if np.isnan(height):
        nothing = np.full_like(sample.points, np.nan)
        return replace(
            sample, points=nothing, visibility=np.zeros_like(sample.visibility), box=None
        )
    points: npt.NDArray[np.float64] = sample.points.astype(np.float64)
    points = np.column_stack([points[:, 0] - shift, height - 1 + shift - points[:, 1]])
    box = sample.box
    if box is not None:  # edges count from the corner already
        box = np.array([box[0], height - 1 - box[3], box[2], height - 1 - box[1]], np.float32)
    return replace(sample, points=points.astype(np.float32), box=box)


def turned_over(labels: Labels, y_up: bool, orient: bool) -> Labels:
    """Labels read by their format's rule, but y counts the other way.

    Where y counts up though the format says down, its numbers are taken to count from the corner,
    as tpsDig's do. Where a format that counts up holds numbers that count down, they are turned
    back, by the format's rule for half pixels.
    """
    samples, notes = from_below(labels.samples, orient, corner=y_up)
    word = "upwards" if y_up else "downwards"
    counted = f"y counts {word} in the file, as data.y_up says"
    return Labels(labels.skeleton, samples, (*labels.notes, counted, *notes))
