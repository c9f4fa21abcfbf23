"""Found objects whose points are another object's."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from heatkp.data.boxes import overlaps
from heatkp.evaluation.objects.image_objects import ImageObjects
from heatkp.evaluation.objects.matching import FOUND


class Swap(NamedTuple):
    """A found object whose points match another object better than its own.

    Attributes:
        found: its place in what was found.
        own: the labelled object that its box shares most with.
        other: the one that its points match.
    """

    found: int
    own: int
    other: int


def swaps(image: ImageObjects, least: float = FOUND) -> list[Swap]:
    """The swaps of an image, in the order of what was found.

    An object's own is the labelled one, that counts, whose box shares the largest part of the
    common area with the box in which its points were found; the other has an OKS of at least
    `least`, and a greater one than the own. None where boxes are not known.
    """
    image = image.whole
    counted = np.flatnonzero(~image.truth.ignored)
    if image.boxes is None or not len(image.scores) or not len(counted):
        return []
    shared = overlaps(image.boxes[image.order], image.truth.boxes[counted])
    similarity = image.similarity[:, counted]
    own, other = shared.argmax(1), similarity.argmax(1)
    rows = np.arange(len(shared))
    best = similarity[rows, other]
    swapped = (shared[rows, own] > 0) & (best >= least) & (best > similarity[rows, own])
    found = [
        Swap(int(image.order[i]), int(counted[own[i]]), int(counted[other[i]]))
        for i in np.flatnonzero(swapped)
    ]
    return sorted(found)
