"""Errors of points that are in arrays, from whatever tool they come."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.metrics import Array, Errors, all_metrics, normaliser_lengths, summarise
from heatkp.skeletons import Skeleton, skeleton_of


def _points(values: Any, what: str) -> Array:
    try:
        points = np.asarray(values, np.float64)
    except (TypeError, ValueError):
        raise DataError(f"{what} points must be numbers in an array (N, K, 2)") from None
    points = points[None] if points.ndim == 2 else points
    if points.ndim != 3 or points.shape[2] != 2:
        raise DataError(f"{what} points must be (N, K, 2) or (K, 2), not {points.shape}")
    return points


def _labelled(visible: Any, true: Array) -> npt.NDArray[np.bool_]:
    known = np.isfinite(true).all(2)
    if visible is None:
        return np.asarray(known)
    try:
        given = np.broadcast_to(np.asarray(visible) > 0, known.shape)
    except (TypeError, ValueError):
        raise DataError(
            f"visible must be an array (N, K) = {known.shape} of booleans, or of COCO's 0, 1, 2"
        ) from None
    if (given & ~known).any():
        raise DataError("some true points are visible, but not finite; mark them 0 in visible")
    return np.asarray(given)


def evaluate(
    predicted: npt.ArrayLike,
    true: npt.ArrayLike,
    visible: npt.ArrayLike | None = None,
    skeleton: Skeleton | str | Sequence[str] | None = None,
    normaliser: str | npt.ArrayLike | None = None,
    boxes: npt.ArrayLike | None = None,
) -> dict[str, Any]:
    """The metrics of `heatkp eval`, of points in arrays; see `heatkp.evaluation.metrics.summarise`.

    Args:
        predicted: (N, K, 2), image pixels as (x, y); NaN where there is no answer, which counts
            as a failure.
        true: (N, K, 2), NaN where not labelled.
        visible: (N, K) booleans, or COCO's codes: 0 leaves a point out. None: all that are finite.
        skeleton: a `Skeleton`, its name (`face68`) or the points' names, for these and for
            lengths that errors are divided by. None: points are numbered.
        normaliser: which of those lengths alone, by name (`inter-ocular`, `box-diagonal`,
            `points-diagonal`), or lengths (N,) in pixels of one's own. None: all there are.
        boxes: edges (N, 4) x0, y0, x1, y1 in image pixels, for `box-diagonal`.

    Returns:
        The dictionary; what counts in pixels of a network's input is None.

    Raises:
        DataError: for arrays of other shapes.
        SettingsError: for an unknown skeleton or normaliser.

    >>> found = evaluate([[[3.0, 4.0], [1.0, 1.0]]], [[[0.0, 0.0], [1.0, 1.0]]])
    >>> found["mae_photo"], found["distance_photo"]
    (1.75, 2.5)
    """
    ours, theirs = _points(predicted, "predicted"), _points(true, "true")
    if ours.shape != theirs.shape:
        raise DataError(f"predicted points are {ours.shape}, true ones {theirs.shape}")
    count = len(ours)
    edges = np.full((count, 4), np.nan)
    if boxes is not None:
        edges = np.asarray(boxes, np.float64)
        if edges.shape != (count, 4):
            raise DataError(f"boxes must be (N, 4) = ({count}, 4), not {edges.shape}")
    layout = skeleton_of(skeleton, ours.shape[1])
    errors = Errors(
        image_points=ours,
        image_truth=theirs,
        to_input=np.broadcast_to(co.translation(0, 0), (count, 2, 3)),
        labelled=_labelled(visible, theirs),
        boxes=edges,
        input_size=(1, 1),
    )
    lengths = normaliser_lengths(layout, errors)
    if isinstance(normaliser, str):
        if normaliser not in lengths:
            raise SettingsError(
                f"there is no normaliser {normaliser!r} here; choose one of "
                f"{', '.join(lengths) or 'none: give lengths (N,) in pixels'}"
            )
        lengths = {normaliser: lengths[normaliser]}
    elif normaliser is not None:
        own = np.asarray(normaliser, np.float64)
        if own.shape != (count,):
            raise DataError(f"lengths must be (N,) = ({count},), not {own.shape}")
        lengths = {"given": np.where(own > 0, own, np.nan)}
    metrics = summarise(errors, layout, lengths)
    metrics["outside_input"] = 0
    for block in (metrics, *metrics["points"]):
        block.update({m.name: None for m in all_metrics("point") if m.of_input})
    return metrics
