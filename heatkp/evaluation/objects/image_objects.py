"""What is found in an image, beside what is there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from heatkp.data.samples import Sample
from heatkp.evaluation.objects.oks import Array, Mask, oks

MOST = 20
"""Objects of an image that COCO's rules look at, the surest."""


@dataclass(frozen=True)
class TrueObjects:
    """The G labelled objects of an image.

    Attributes:
        points: (G, K, 2) in pixels.
        visible: (G, K), which points are labelled.
        areas: (G,) in squared pixels.
        boxes: (G, 4) edges in pixels; they count only for objects without a labelled point.
        crowd: (G,), whether several objects are labelled as one, which any number may match.
        ignored: (G,), whether an object neither has to be found nor is wrong to be found; a crowd,
            and an object without a labelled point, are in any case.
    """

    points: Array
    visible: Mask
    areas: Array
    boxes: Array
    crowd: Mask
    ignored: Mask

    @staticmethod
    def of(samples: Sequence[Sample], count: int) -> TrueObjects:
        """The labels of an image, of `count` points; an area is the labelled box's, or the one of
        the extent of the points."""
        points = np.array([s.points for s in samples], np.float64).reshape(-1, count, 2)
        visible = np.array([s.visibility > 0 for s in samples], bool).reshape(-1, count)
        boxes = np.array(
            [extent(p, v) if s.labelled_box is None else s.labelled_box
             for s, p, v in zip(samples, points, visible)],
            np.float64,
        ).reshape(-1, 4)  # fmt: skip
        ignored = np.array([s.ignored for s in samples], bool)
        return TrueObjects(
            points, visible, areas_of(boxes), boxes, ignored, ignored | ~visible.any(1)
        )


@dataclass(frozen=True)
class ImageObjects:
    """D objects that were found in an image, and the G that are there.

    Attributes:
        points: (D, K, 2) in pixels; NaN for what was not found.
        scores: (D,), higher is surer.
        truth: the labels.
        sigmas: (K,), as `oks` takes them.
        areas: (D,) in squared pixels, of the points' extent, by which COCO's rules tell small
            objects from large ones.
        image: what the image is called.
        category: of the objects; those of several are measured apart, and averaged.
        boxes: (D, 4) edges that the points were found from, where known.
        most: how many of the found objects count, the surest.
    """

    points: Array
    scores: Array
    truth: TrueObjects
    sigmas: Array
    areas: Array
    image: str = ""
    category: int | str | None = None
    boxes: Array | None = None
    most: int = MOST

    @staticmethod
    def of(
        points: npt.ArrayLike,
        scores: npt.ArrayLike,
        truth: TrueObjects,
        sigmas: npt.ArrayLike,
        image: str = "",
        found_boxes: npt.ArrayLike | None = None,
    ) -> ImageObjects:
        """With the areas of the points' extents, from objects in any order."""
        found = np.asarray(points, np.float64).reshape(-1, truth.points.shape[1], 2)
        boxes = np.array([extent(p, np.asarray(np.isfinite(p).all(1))) for p in found]).reshape(
            -1, 4
        )
        return ImageObjects(
            found, np.asarray(scores, np.float64).reshape(-1), truth,
            np.asarray(sigmas, np.float64), areas_of(boxes), image,
            boxes=None if found_boxes is None
            else np.asarray(found_boxes, np.float64).reshape(-1, 4),
        )  # fmt: skip

    @property
    def whole(self) -> ImageObjects:
        """With all that was found, however many."""
        count = len(self.scores)
        return self if count <= self.most else replace(self, most=count)

    def kept(self, mask: npt.ArrayLike) -> ImageObjects:
        """With some of the found objects, by a mask (D,)."""
        some = np.asarray(mask, bool)
        return replace(
            self, points=self.points[some], scores=self.scores[some], areas=self.areas[some],
            boxes=None if self.boxes is None else self.boxes[some],
        )  # fmt: skip

    @cached_property
    def order(self) -> npt.NDArray[np.int64]:
        """The surest objects that count, the surest first; equal ones as they came."""
        return np.argsort(-self.scores, kind="stable")[: self.most]

    @cached_property
    def similarity(self) -> Array:
        """OKS (D', G) of the found objects in `order` with the true ones.

        With an object that has no labelled point, the distance is the one from its box, doubled
        about its centre: whether it was found cannot be told, only whether it was elsewhere.
        """
        found = self.points[self.order]
        truth = self.truth
        values = oks(
            found[:, None], truth.points[None], truth.visible[None], truth.areas[None], self.sigmas
        )
        for g in np.flatnonzero(~truth.visible.any(1)):
            x0, y0, x1, y1 = truth.boxes[g]
            margin = np.array([x1 - x0, y1 - y0])
            off = np.maximum(0, truth.boxes[g, :2] - margin - found)
            off = off + np.maximum(0, found - truth.boxes[g, 2:] - margin)
            beside = np.ones(found.shape[:2], bool)
            values[:, g] = oks(off, np.zeros(2), beside, truth.areas[g], self.sigmas)
        return values


def extent(points: Array, kept: Mask) -> Array:
    """Edges (4,) of some of the points (K, 2); of none an empty box at the origin."""
    if not kept.any():
        return np.zeros(4)
    some = points[kept]
    return np.concatenate([some.min(0), some.max(0)])


def areas_of(boxes: Array) -> Array:
    """Areas (N,) of edges (N, 4), 0 for a box without an inside."""
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    return np.asarray(sides.prod(1), np.float64)
