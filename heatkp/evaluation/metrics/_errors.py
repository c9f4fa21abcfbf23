"""Predictions beside the truth, lengths to divide errors by, and curves of errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.data.samples import Sample
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
FAILURE = 0.10
"""Per-image NME over which a face counts as failed, and where the error curve ends."""
PCK_SHARES = (0.05, 0.10)
"""A point is correct within this fraction of the normaliser."""
CURVE_STEPS = 1001


@dataclass(frozen=True)
class Errors:
    """Predictions and truth of N images with K points.

    Attributes:
        image, image_truth: (N, K, 2) in image pixels.
        to_input: (N, 2, 3) affines from image pixels to those of the network's input.
        labelled: (N, K) bool; only these points count.
        boxes: (N, 4) labelled edges in image pixels, NaN where a sample has none.
        input_size: (W, H) of the network's input.
        scores: (N, K) in [0, 1]; NaN where there is none. None where nobody gave any.
        covariance: (N, K, 2, 2) in squared image pixels, or None.
        score_radius: input pixels, within which a point has to lie for its score to be right; None
            where scores mean nothing of the kind.
    """

    image_points: Array
    image_truth: Array
    to_input: Array
    labelled: npt.NDArray[np.bool_]
    boxes: Array
    input_size: tuple[int, int]
    scores: Array | None = None
    covariance: Array | None = None
    score_radius: float | None = None

    @cached_property
    def input(self) -> Array:
        """`image` in input pixels, (N, K, 2)."""
        return co.apply(self.to_input, self.image_points)

    @cached_property
    def input_truth(self) -> Array:
        """`image_truth` in input pixels, (N, K, 2)."""
        return co.apply(self.to_input, self.image_truth)

    def take(self, indices: Sequence[int] | npt.NDArray[Any]) -> Errors:
        """Of some of the images, by their places or a mask (N,)."""
        i = np.asarray(indices)
        return Errors(
            self.image_points[i], self.image_truth[i], self.to_input[i], self.labelled[i],
            self.boxes[i], self.input_size,
            None if self.scores is None else self.scores[i],
            None if self.covariance is None else self.covariance[i],
            self.score_radius,
        )  # fmt: skip


def labelled_boxes(samples: Sequence[Sample]) -> Array:
    """Edges (N, 4) of the boxes that samples are labelled with, NaN for those with none.

    Not of those made of the points, so that errors do not depend on how a network was shown
    the samples.
    """
    none = np.full(4, np.nan)
    boxes = [none if s.labelled_box is None else s.labelled_box for s in samples]
    return np.stack(boxes).astype(np.float64)


def mean_of(several: Sequence[Errors]) -> Errors:
    """Of the means of several models' points for the same samples; input pixels and what else
    a model brings are the first one's. Of several there are no scores."""
    if len(several) == 1:
        return several[0]
    points = np.mean([errors.image_points for errors in several], 0)
    return replace(several[0], image_points=points, scores=None, covariance=None)


def normaliser_lengths(skeleton: Skeleton, errors: Errors) -> dict[str, Array]:
    """Lengths (N,) in image pixels by which an image's errors may be divided.

    The skeleton's own (such as inter-ocular), `box-diagonal` where samples are labelled with
    boxes, and else `points-diagonal`, of the box around the labelled points. NaN where an image
    lacks the points, or has them in one place, as a face in full profile may.
    """
    truth = np.where(errors.labelled[:, :, None], errors.image_truth, np.nan)
    lengths: dict[str, Array] = {}
    for name, (first, second) in skeleton.normalisers.items():
        gap = truth[:, first].mean(1) - truth[:, second].mean(1)
        lengths[name] = np.linalg.norm(gap, axis=1)
    if np.isfinite(errors.boxes).any():
        extent = errors.boxes[:, 2:] - errors.boxes[:, :2]
        lengths["box-diagonal"] = np.linalg.norm(extent, axis=1)
    elif len(skeleton) > 2:
        some = errors.labelled.any(1)
        extent = np.full((len(truth), 2), np.nan)
        extent[some] = np.nanmax(truth[some], 1) - np.nanmin(truth[some], 1)
        lengths["points-diagonal"] = np.linalg.norm(extent, axis=1)
    usable = {k: np.where(v > 1.0, v, np.nan) for k, v in lengths.items()}
    return {k: v for k, v in usable.items() if np.isfinite(v).any()}


def image_nme(distance: Array, labelled: npt.NDArray[np.bool_], lengths: Array) -> Array:
    """Mean distance of an image's labelled points over its normaliser, (N,).

    NaN without labelled points or normaliser. Predictions that are no numbers are as wrong as
    can be, not left out: infinite.
    """
    counts = labelled.sum(1)
    off = np.where(np.isnan(distance), math.inf, distance)
    sums = np.where(labelled, off, 0.0).sum(1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan) / lengths


def error_curve(nme: Array, limit: float = FAILURE) -> tuple[Array, Array]:
    """Cumulative error curve: levels from 0 to `limit`, and the fraction of images below each."""
    levels = np.linspace(0.0, limit, CURVE_STEPS)
    known = np.sort(nme[~np.isnan(nme)])
    shares = np.searchsorted(known, levels, side="right") / max(len(known), 1)
    return levels, shares
