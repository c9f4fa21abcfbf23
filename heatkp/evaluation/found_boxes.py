"""Boxes that were found beside those that are labelled: precision and recall."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.data.boxes import overlaps

Array = npt.NDArray[np.float64]
ENOUGH = 0.5
"""Intersection over union from which a box is that of an object."""


class Matched(NamedTuple):
    """What was found in one image.

    Attributes:
        scores: (N,), of what counts.
        right: bool (N,): whether it is an object that no surer one is.
        objects: how many are labelled.
        which: (N,), the object that each is, or -1.
    """

    scores: Array
    right: npt.NDArray[np.bool_]
    objects: int
    which: npt.NDArray[np.int64]


class Found(NamedTuple):
    """Precision and recall over all images.

    Attributes:
        average_precision: the mean of the best precision at recalls of 0, 0.01 ... 1, as COCO has
            it; NaN where no object is labelled.
        f1: the largest harmonic mean of precision and recall, over scores.
        min_score: the score from which that is: midway between the last that counts and the next.
        precision, recall: from that score on.
        wrong: of what was found from that score on, how many are no object.
        missed: objects that were not found from that score on.
        objects: labelled ones.
    """

    average_precision: float
    f1: float
    min_score: float
    precision: float
    recall: float
    wrong: int
    missed: int
    objects: int


def match(
    boxes: Array,
    scores: Array,
    truth: Array,
    ignored: Array | None = None,
    enough: float = ENOUGH,
) -> Matched:
    """Match boxes (N, 4) with labelled ones (M, 4), the surest first, each with the free object
    that it shares most with.

    What matches nothing and lies by half or more in an `ignored` box (G, 4) does not count.

    >>> box = np.array([[0.0, 0, 10, 10]])
    >>> match(box, np.array([0.9]), box + 1).right.tolist()
    [True]
    """
    order = np.argsort(-scores, kind="stable")
    boxes, scores = boxes[order], scores[order]
    shared = overlaps(boxes, truth)
    free = np.ones(len(truth), bool)
    which = np.full(len(boxes), -1, np.int64)
    for i in range(len(boxes)):
        own = np.where(free, shared[i], -1.0)
        best = int(own.argmax()) if len(own) else -1
        if best >= 0 and own[best] >= enough:
            which[i], free[best] = best, False
    counts = np.ones(len(boxes), bool)
    if ignored is not None and len(ignored):
        inside = overlaps(boxes, ignored, of_first=True).max(1) >= 0.5
        counts = (which >= 0) | ~inside
    return Matched(scores[counts], which[counts] >= 0, len(truth), which[counts])


def measure_found(images: Sequence[Matched]) -> Found:
    """Precision and recall of all images together.

    >>> one = Matched(np.array([0.9, 0.4]), np.array([True, False]), 2, np.array([0, -1]))
    >>> found = measure_found([one])
    >>> found.precision, found.recall, found.wrong, found.missed, found.min_score
    (1.0, 0.5, 0, 1, 0.65)
    """
    objects = sum(image.objects for image in images)
    scores = np.concatenate([np.zeros(0), *(image.scores for image in images)])
    right = np.concatenate([np.zeros(0, bool), *(image.right for image in images)])
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], right[order]
    hits = np.cumsum(right)
    found = np.arange(1, len(scores) + 1)
    if not objects or not len(scores):
        average = float("nan") if not objects else 0.0
        return Found(average, 0.0, 1.0, 0.0, 0.0, 0, objects, objects)
    precision, recall = hits / found, hits / objects
    best = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, np.linspace(0, 1, 101), side="left")
    average = float(np.append(best, 0.0)[np.minimum(places, len(best))].mean())
    f1 = 2 * hits / (found + objects)
    f1[:-1][scores[:-1] == scores[1:]] = 0.0  # a score takes all that have it
    at = int(f1.argmax())
    return Found(
        average,
        float(f1[at]),
        float(scores[at] + np.append(scores, 0.0)[at + 1]) / 2,
        float(precision[at]),
        float(recall[at]),
        int(found[at] - hits[at]),
        int(objects - hits[at]),
        objects,
    )
