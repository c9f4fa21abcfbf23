"""How far an exported network's objects are from those that the network itself finds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.config import Finder
from heatkp.data.boxes import overlaps
from heatkp.errors import SettingsError
from heatkp.export.parity import Array, Deviation, Inputs, deviation, in_batches
from heatkp.runs import least_score
from heatkp.skeletons import Skeleton

SAME = 0.5
"""Share of the common area from which two boxes are of one object."""
NEAR_SCORE = {"f32": 0.005}
"""By how much a score may be off, by precision, so that only one of both finds an object."""
NEAR = 0.05
"""The same of other precisions, and of the share of the common area that `finder.nms` allows."""

Run = Callable[[npt.NDArray[np.uint8]], Sequence[npt.NDArray[Any]]]
"""Inputs, uint8 (B, C, H, W), to the outputs of `heatkp.engine.exported.OBJECT_NAMES`."""


class Objects(NamedTuple):
    """The M objects found in an input.

    Attributes:
        points: (M, K, 2), input pixels.
        scores: (M, K).
        boxes: (M, 4), edges in input pixels.
        sure: (M,), the objects' scores.
    """

    points: Array
    scores: Array
    boxes: Array
    sure: Array


def object_answers(run: Run, images: npt.NDArray[np.uint8]) -> list[Objects]:
    """The objects of each input; the first alone, so that both one and many at once are tried."""
    found = []
    for part in in_batches(images):
        points, scores, boxes, sure = (np.asarray(v, np.float64) for v in run(part)[:4])
        for i in range(len(part)):
            there = sure[i] > 0
            found.append(
                Objects(points[i][there], scores[i][there], boxes[i][there], sure[i][there])
            )
    return found


def require_objects(expected: Sequence[Objects], inputs: Inputs) -> None:
    """Raises `SettingsError` where no object was found that could be compared."""
    if not any(len(objects.sure) for objects in expected):
        raise SettingsError(
            f"the network finds no object in {len(expected)} inputs ({inputs.from_where}), so that "
            "nothing can be compared: name images of its objects with --data"
        )


def object_deviation(
    found: Sequence[Objects],
    expected: Sequence[Objects],
    settings: Finder,
    skeleton: Skeleton,
    inputs: Inputs,
    precision: str,
) -> Deviation:
    """How far the objects of inputs are from those expected, matched by their boxes.

    One that only one of both finds counts as infinitely far, but not where that is a matter of
    rounding: with a score near the least that counts, or near that of the last of
    `finder.max_objects`, or beside an object that shares about as much as `finder.nms` allows.
    There is one in `expected`, at least (`require_objects`).
    """
    near = NEAR_SCORE.get(precision, NEAR)
    pairs: list[tuple[Array, Array, Array, Array]] = []
    off = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        matched = _matches(ours.boxes, theirs.boxes)
        for i, j in matched:
            pairs.append((ours.points[i], ours.scores[i], theirs.points[j], theirs.scores[j]))
            off = max(off, float(abs(ours.sure[i] - theirs.sure[j])))
        for side, own, other in ((0, ours, theirs), (1, theirs, ours)):
            alone = [i for i in range(len(own.sure)) if i not in {pair[side] for pair in matched}]
            for i in alone:
                if not _marginal(own, other, i, settings, near):
                    lost = np.full_like(own.points[i], np.nan), np.full_like(own.scores[i], np.nan)
                    pairs.append((*lost, own.points[i], own.scores[i]))
    if not pairs:
        raise SettingsError(
            "no object is sure enough to be compared: all are just at finder.min_score or "
            "finder.nms; name other images (--data)"
        )
    points, scores, true, sure = (np.stack(part) for part in zip(*pairs))
    told = deviation((points, scores), (true, sure), skeleton, inputs)
    return told._replace(
        scores=max(told.scores, off), inputs=len(inputs.images), objects=len(pairs)
    )


def _matches(ours: Array, theirs: Array) -> list[tuple[int, int]]:
    """Places of boxes of one object, those that share most first."""
    shared = overlaps(ours, theirs)
    matched = []
    while shared.size and shared.max() >= SAME:
        i, j = (int(v) for v in np.unravel_index(shared.argmax(), shared.shape))
        matched.append((i, j))
        shared[i], shared[:, j] = -1.0, -1.0
    return matched


def _marginal(own: Objects, other: Objects, place: int, settings: Finder, near: float) -> bool:
    """Whether an object that only `own` has may be lost by rounding."""
    last = other.sure.min() if len(other.sure) >= settings.max_objects else 0.0
    if own.sure[place] <= max(least_score(settings), last) + near:
        return True
    shared = overlaps(own.boxes[place : place + 1], np.delete(own.boxes, place, 0))
    every = [shared, overlaps(own.boxes[place : place + 1], other.boxes)]
    return any(bool((abs(share - settings.nms) <= NEAR).any()) for share in every)
