"""All metrics of predicted points: each labelled point counts once, whatever batch it came in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp import coordinates as co
from heatkp.evaluation.metrics._base import Metric, Relative, all_metrics
from heatkp.evaluation.metrics._errors import Array, Errors, image_nme, normaliser_lengths
from heatkp.evaluation.objects.image_objects import ImageObjects
from heatkp.skeletons import Skeleton


def _mean(values: Array, mask: npt.NDArray[np.bool_]) -> float | None:
    mean = float(values[mask].mean()) if mask.any() else math.nan
    return mean if math.isfinite(mean) else None


def _plain(value: Any, metric: Metric) -> Any:
    """A metric's numbers for JSON, None for what is none."""
    if metric.parts:
        given = value or {}
        return {part: _number(given.get(part)) for part in metric.parts}
    return _number(value)


def _number(value: Any) -> float | None:
    return float(value) if value is not None and math.isfinite(value) else None


def _computed(metric: Metric, *arguments: Any) -> Any:
    """What a metric gives; None, and a warning, where it fails: a run's other figures stay."""
    try:
        return metric.function(*arguments)
    except Exception as error:  # whatever another package's code raises
        warnings.warn(
            f"metric {metric.name!r} is left out ({type(error).__name__}: {error})", stacklevel=2
        )
        return None


def _point_values(metric: Metric, errors: Errors) -> Array | None:
    """Values (N, K) of a metric of points; None, and a warning, where it gives others."""
    values = _computed(metric, errors)
    if values is not None and np.shape(values) != errors.labelled.shape:
        warnings.warn(
            f"metric {metric.name!r} is left out: it gives an array {np.shape(values)} for "
            f"(N, K) = {errors.labelled.shape}",
            stacklevel=2,
        )
        return None
    return values


def _normalised(distance: Array, labelled: npt.NDArray[np.bool_], lengths: Array) -> dict[str, Any]:
    usable = labelled & np.isfinite(lengths)[:, None]
    per_image = image_nme(distance, labelled, lengths)
    relative = Relative(distance / lengths[:, None], usable, per_image)
    scored = int(usable.any(1).sum())
    figures = {m.name: _plain(_computed(m, relative), m) for m in all_metrics("length")}
    return {**figures, "images": scored, "images_without": int(labelled.any(1).sum() - scored)}


def summarise(
    errors: Errors, skeleton: Skeleton, lengths: dict[str, Array] | None = None
) -> dict[str, Any]:
    """All metrics, overall and per point, as plain numbers for JSON.

    `lengths` are those of `normaliser_lengths`, or others (N,) by name.

    - `images`: those with a labelled point, `unlabelled_images` the others;
    - each of `METRICS` by name, those of a length in `normalised` for each normaliser.

    A figure is None where no point was labelled, or a prediction is no number; such an image
    counts as a failure.
    """
    labelled = errors.labelled
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)
    lengths = normaliser_lengths(skeleton, errors) if lengths is None else lengths
    outside = labelled & ~co.inside(errors.input_truth, *errors.input_size)
    values = {m.name: _point_values(m, errors) for m in all_metrics("point")}

    def block(mask: npt.NDArray[np.bool_]) -> dict[str, Any]:
        return {n: None if v is None else _mean(v, mask) for n, v in values.items()}

    points = []
    for k, name in enumerate(skeleton.point_names):
        mask = np.zeros_like(labelled)
        mask[:, k] = labelled[:, k]
        nme = {
            n: _mean(distance / v[:, None], mask & np.isfinite(v)[:, None])
            for n, v in lengths.items()
        }
        points.append({"name": name, **block(mask), "nme": nme})
    return {
        "images": int(labelled.any(1).sum()),
        "unlabelled_images": int((~labelled.any(1)).sum()),
        "labelled_points": int(labelled.sum()),
        "outside_input": int(outside.sum()),
        **block(labelled),
        **{m.name: _plain(_computed(m, errors, skeleton), m) for m in all_metrics("set")},
        "normalised": {n: _normalised(distance, labelled, v) for n, v in lengths.items()},
        "points": points,
    }


def summarise_objects(
    images: Sequence[ImageObjects], sure: Sequence[ImageObjects] | None = None
) -> dict[str, Any]:
    """The metrics of objects by name, as plain numbers for JSON, of pictures with any number of
    objects; None where there is no such object.

    `sure` are the same images with only what is sure enough to count, which all metrics see but
    the `ranked` ones; None: all of it.
    """
    counted = images if sure is None else sure
    return {
        m.name: _plain(_computed(m, images if m.ranked else counted), m)
        for m in all_metrics("objects")
    }
