"""Which way up the points are: by the shape of a known layout, by names of points, or not told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.checks.finding import Finding, labelled_points
from heatkp.data.samples import Sample
from heatkp.sides.names import tokens
from heatkp.skeletons import Skeleton
from heatkp.skeletons.shapes import MEAN_SHAPES, fit

AGREE = 0.8
"""Fraction of the samples that must lie one way."""
TURNED = 135.0
"""Degrees from upright beyond which a shape stands on its head."""
FITS_BETTER = 0.8
"""Fraction of samples of which most points must be in their box only when turned over."""
_PARTS = (
    (frozenset(["eye", "eyes", "brow", "brows", "eyebrow", "eyebrows", "pupil", "forehead"]),
     frozenset(["mouth", "lip", "lips", "chin", "jaw"])),
    (frozenset(["head", "neck", "nose", "shoulder", "eye", "ear", "headtop", "thorax"]),
     frozenset(["knee", "ankle", "foot", "heel", "toe", "feet"])),
)  # fmt: skip
"""Words for what is above in nearly all images, and for what is below it."""
_HINT = "y perhaps counts upwards from the lower edge: look at the contact sheet, and read it with "
_FLAG = "--y-up (data.y_up=true)"


class Orientation(NamedTuple):
    """`upright` is None where nothing tells it; `how` says in words what did, or why not."""

    upright: bool | None
    how: str


def _by_shape(points: npt.NDArray[np.float64], skeleton: Skeleton) -> Orientation | None:
    shape = MEAN_SHAPES.get(skeleton.name)
    if shape is None or len(shape) != len(skeleton):
        return None
    plain, mirrored = fit(points, shape), fit(points, shape, mirrored=True)
    if plain is None or mirrored is None:
        return None
    if plain.good:
        if abs(plain.angle) < TURNED:
            return Orientation(True, f"by the shape of {skeleton.name}")
        return Orientation(False, f"{skeleton.name} stands on its head: its images are turned")
    if mirrored.good and abs(mirrored.angle) < 180 - TURNED:
        return Orientation(False, f"the shape of {skeleton.name} is upside down")
    if mirrored.good:
        return Orientation(None, f"the shape of {skeleton.name} is mirrored left to right")
    return Orientation(None, f"the points do not have the shape of {skeleton.name}")


def _by_names(points: npt.NDArray[np.float64], skeleton: Skeleton) -> Orientation | None:
    words = [set(tokens(name)) for name in skeleton.point_names]
    for above, below in _PARTS:
        up = [i for i, own in enumerate(words) if own & above]
        down = [i for i, own in enumerate(words) if own & below and not own & above]
        if not up or not down:
            continue
        y = points[:, :, 1]
        both = np.isfinite(y[:, up]).any(1) & np.isfinite(y[:, down]).any(1)
        if not both.any():
            continue
        higher = np.nanmean(y[both][:, up], 1) < np.nanmean(y[both][:, down], 1)
        names = f"{skeleton.point_names[up[0]]} and {skeleton.point_names[down[0]]}"
        fraction = float(higher.mean())
        if fraction >= AGREE:
            return Orientation(True, f"by names: {names} lie as expected")
        if fraction <= 1 - AGREE:
            return Orientation(
                False, f"{names} are upside down in {1 - fraction:.0%} of the samples"
            )
    return None


def _by_boxes(samples: Sequence[Sample], heights: npt.NDArray[np.float64]) -> Orientation | None:
    """Boxes and points by different rules: points fit their boxes only when turned over."""
    better, compared = 0, 0
    for sample, height in zip(samples, heights):
        known = sample.visibility > 0
        box = sample.labelled_box
        if box is None or not known.any() or np.isnan(height):
            continue
        x, y = sample.points[known].T
        inside = (x >= box[0]) & (x <= box[2])
        given, turned = (
            (inside & (v >= box[1]) & (v <= box[3])).mean() for v in (y, height - 1 - y)
        )
        compared += 1
        better += given < 0.5 < turned
    if compared and better >= FITS_BETTER * compared and better > 1:
        text = f"points lie in their boxes only when turned over, in {better} of {compared} samples"
        return Orientation(False, text)
    return None


def orientation(
    samples: Sequence[Sample], skeleton: Skeleton, sizes: npt.NDArray[np.float64]
) -> Orientation:
    """Which way up the samples' points are.

    Args:
        sizes: width and height (S, 2) of the samples' images, NaN where they are not known.
    """
    points = labelled_points(samples)
    if not len(points):
        return Orientation(None, "no point is labelled")
    found = _by_boxes(samples, sizes[:, 1]) or _by_shape(points, skeleton)
    named = _by_names(points, skeleton) if found is None or found.upright is None else None
    if named is not None or found is not None:
        return named or found  # type: ignore[return-value]
    return Orientation(None, "neither names, nor a known shape, nor boxes tell it")


def orientation_findings(
    samples: Sequence[Sample], skeleton: Skeleton, sizes: npt.NDArray[np.float64]
) -> list[Finding]:
    """A line where points look upside down."""
    found = orientation(samples, skeleton, sizes)
    if found.upright is not False:
        return []
    return [Finding(f"{found.how}; {_HINT}{_FLAG}")]
