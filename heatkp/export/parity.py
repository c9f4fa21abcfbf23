"""How far an exported network's answers are from those of the network itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from heatkp.engine import Backend
from heatkp.errors import ExportError
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
TOLERANCES = {"f32": 0.02, "bf16": 0.001, "f16": 0.001, "int8": 0.003}
"""How far points may be off: input pixels at most of f32, else a fraction of the normaliser, on
average."""
LEAST = 1.0
"""Input pixels; what is shorter normalises nothing."""
BATCH = 16


@dataclass(frozen=True)
class Inputs:
    """What both networks look at.

    Attributes:
        images: uint8 (N, C, H, W), inputs as the network sees them.
        from_where: what they are, for people.
    """

    images: npt.NDArray[np.uint8]
    from_where: str


class Deviation(NamedTuple):
    """Distances of the exported network's points from the network's own.

    Attributes:
        mean, largest: input pixels.
        relative: the mean over the normaliser, a fraction.
        normaliser: what that is.
        scores: the largest difference of a score.
        inputs: of how many inputs.
        from_where: what they are.
        objects: of how many objects in them, of a network that finds all.
    """

    mean: float
    largest: float
    relative: float
    normaliser: str
    scores: float
    inputs: int
    from_where: str
    objects: int | None = None

    @property
    def compared(self) -> str:
        """What was compared, for people."""
        objects = "" if self.objects is None else f"{self.objects} objects in "
        return f"{objects}{self.inputs} inputs"


def in_batches(images: npt.NDArray[np.uint8]) -> Iterator[npt.NDArray[np.uint8]]:
    """Inputs in parts, the first alone, so that both one and many at once are tried."""
    ends = [0, 1, *range(1 + BATCH, len(images), BATCH), len(images)]
    yield from (images[a:b] for a, b in pairwise(ends) if b > a)


def answers(backend: Backend, images: npt.NDArray[np.uint8]) -> tuple[Array, Array]:
    """Points (N, K, 2) and scores (N, K) of inputs."""
    found = [backend.run(torch.from_numpy(part)) for part in in_batches(images)]
    points, scores = (torch.cat([getattr(f, key) for f in found]) for key in ("points", "scores"))
    return points.double().cpu().numpy(), scores.double().cpu().numpy()


def lengths(points: Array, skeleton: Skeleton) -> tuple[str, Array]:
    """What errors are divided by, of points (N, K, 2): the first normaliser of the layout, or the
    diagonal of the points' box; its name, and (N,), NaN where it is too short."""
    if skeleton.normalisers:
        name, (first, second) = next(iter(skeleton.normalisers.items()))
        between = points[:, list(first)].mean(1) - points[:, list(second)].mean(1)
    else:
        name = "points-diagonal"
        between = points.max(1) - points.min(1)
    found = np.linalg.norm(between, axis=1)
    return name, np.where(found >= LEAST, found, np.nan)


def deviation(
    found: tuple[Array, Array], expected: tuple[Array, Array], skeleton: Skeleton, inputs: Inputs
) -> Deviation:
    """How far `found` is from `expected`, points and scores of the inputs.

    A point that one network finds and the other does not counts as infinitely far.
    """
    points, scores = expected
    lost = np.isfinite(found[0]).all(2) != np.isfinite(points).all(2)
    distance = np.linalg.norm(found[0] - points, axis=2)
    distance = np.where(lost, np.inf, np.where(np.isnan(distance), 0.0, distance))
    name, by = lengths(points, skeleton)
    known = np.isfinite(by)
    relative = (distance.mean(1)[known] / by[known]).mean() if known.any() else np.nan
    if not known.any():  # one point, or all in one place: then the input is the measure
        width, height = inputs.images.shape[3], inputs.images.shape[2]
        name, relative = "input-diagonal", distance.mean() / float(np.hypot(width, height))
    off = np.abs(found[1] - scores)
    return Deviation(
        float(distance.mean()),
        float(distance.max()),
        float(relative),
        name,
        float(np.nanmax(off)) if np.isfinite(off).any() else 0.0,
        len(points),
        inputs.from_where,
    )


def mean_offset(found: npt.NDArray[Any], expected: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """What to add to points (N, K, 2) so that they are not off all the same way: float32 (K, 2).

    Int8 moves each point by a little on average, and by more at random. The mean of N differences
    d, of standard error s, is taken (1 - s^2/d^2) times, and not at all where it may be chance
    (James and Stein, "Estimation with Quadratic Loss", 1961). 0 for points that are not found.
    """
    difference = np.asarray(expected, np.float64) - found
    difference[~np.isfinite(difference).all(2)] = np.nan
    count = np.isfinite(difference).all(2).sum(0)
    offset = np.zeros(difference.shape[1:])
    known = count > 1
    if known.any():
        kept = difference[:, known]
        mean = np.nanmean(kept, axis=0)
        error = np.nanvar(kept, axis=0, ddof=1) / count[known, None]
        share = 1 - error / np.maximum(mean**2, np.finfo(float).tiny)
        offset[known] = np.maximum(share, 0) * mean
    return offset.astype(np.float32)


def require_parity(found: Deviation, precision: str, tolerance: float | None, advice: str) -> None:
    """Raises `ExportError` where points are further off than they may be; `advice` ends it."""
    limit = TOLERANCES[precision] if tolerance is None else tolerance
    if precision == "f32":
        value, unit = found.largest, "px at most"
        text, allowed = f"{value:.3g} {unit}", f"{limit:g} px"
    else:
        value = found.relative
        text, allowed = f"{value:.3%} of {found.normaliser} on average", f"{limit:.2%}"
    if not value <= limit:
        raise ExportError(
            f"the exported network's points deviate by {text} on {found.compared} "
            f"({found.from_where}), {allowed} is allowed; {advice}"
        )


def spread(images: Sequence[npt.NDArray[np.uint8]], most: int) -> list[int]:
    """Places of at most so many, evenly over all."""
    count = min(most, len(images))
    return [int(i * len(images) / count) for i in range(count)]
