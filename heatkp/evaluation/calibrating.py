"""Scores and covariances calibrated on samples that a network was not trained on."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike, fspath
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import minimize
from scipy.special import expit, logit

from heatkp import runs
from heatkp.data.samples import Sample
from heatkp.errors import CheckpointError, DataError, SettingsError
from heatkp.evaluation import measure
from heatkp.evaluation.measure import InferenceOptions, Note, Progress
from heatkp.evaluation.metrics import Array, Errors, summarise
from heatkp.evaluation.metrics._reliability import (
    Reliability,
    reliability,
    scored,
    squared_lengths,
)
from heatkp.files import writing
from heatkp.models import DenseModel
from heatkp.models.calibration import Calibration
from heatkp.models.grouped import GroupedModel
from heatkp.runs.hub import is_hub_name
from heatkp.skeletons import Skeleton

LEAST = 50
"""Labelled points below which nothing is fitted."""
_SHARED = 20.0
"""A point's own factor of covariance counts as much as that of all points where so many samples
have it."""
_NEAR = 1e-6


@dataclass(frozen=True)
class Calibrated:
    """What calibration did.

    Attributes:
        path: the file of weights that holds it.
        calibration: what it holds.
        samples: how many it was found on.
        before, after: `coverage` and `score_error`, as `heatkp.evaluation.metrics.summarise` gives
            them. After: of each half of the samples, calibrated on the other half; None where a
            half has too few points to calibrate on.
        reliability: scores beside fractions of points that were near enough, before and after;
            None where the network gives no scores, or `after` is None.
    """

    path: Path
    calibration: Calibration
    samples: int
    before: dict[str, object]
    after: dict[str, object] | None
    reliability: tuple[Reliability, Reliability] | None


def fit_calibration(errors: Errors, decoder: str | None = None) -> Calibration:
    """What mends the scores and covariances of predictions beside their truth.

    Scores: the slope (above 0) and intercept of their logits under which what was right is
    likeliest. Covariances: the factor of each point that makes the mean squared Mahalanobis length
    of its errors 2, which is the likeliest one under a normal distribution; points that few samples
    have are drawn to the factor of all.

    Raises:
        DataError: for fewer than `LEAST` labelled points.
        SettingsError: where there are no scores.
    """
    found = scored(errors)
    if found is None or errors.score_radius is None:
        raise SettingsError("this network gives no scores that could be calibrated")
    scores, right = found
    if len(scores) < LEAST:
        raise DataError(
            f"{len(scores)} labelled points are too few to calibrate on: {LEAST} are needed"
        )
    slope, intercept = _platt(scores, right)
    squared = squared_lengths(errors)
    factors = _factors(squared) if np.isfinite(squared).any() else None
    return Calibration(
        errors.score_radius, slope, intercept, factors, int(errors.labelled.any(1).sum()), decoder
    )


def _platt(scores: Array, right: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Slope and intercept; targets are drawn a little to the middle, as of Platt, so that they stay
    finite where all points are right."""
    odds = logit(np.clip(scores, _NEAR, 1 - _NEAR))
    hits = int(right.sum())
    high, low = (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2)
    target = np.where(right, high, low)

    def loss(parameters: Array) -> tuple[float, Array]:
        slope = math.exp(parameters[0])
        value = slope * odds + parameters[1]
        off = expit(value) - target
        total = np.logaddexp(0, value) - target * value
        return float(total.mean()), np.array([(off * odds).mean() * slope, off.mean()])

    best = minimize(loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-6, 6), (-50, 50)])
    return math.exp(best.x[0]), float(best.x[1])


def _factors(squared: Array) -> tuple[float, ...]:
    """Of squared lengths (N, K), NaN where unknown."""
    known = np.isfinite(squared)
    every = max(float(squared[known].mean()) / 2, 1e-12)
    sums, counts = np.where(known, squared, 0.0).sum(0), known.sum(0)
    own = (sums + 2 * _SHARED * every) / (2 * (counts + _SHARED))
    return tuple(float(max(factor, 1e-12)) for factor in own)


def calibrated(errors: Errors, calibration: Calibration) -> Errors:
    """Predictions with mended scores and covariance."""
    scores, covariance = errors.scores, errors.covariance
    if scores is not None:
        scores = calibration.scores(torch.from_numpy(scores)).numpy()
    if covariance is not None and calibration.factors is not None:
        covariance = covariance * np.array(calibration.factors)[:, None, None]
    return replace(errors, scores=scores, covariance=covariance)


def _held_out(errors: Errors, groups: Sequence[object]) -> Errors | None:
    """Each half of the samples, calibrated on the other; samples of one group are in one half.

    None where a half has too few labelled points.
    """
    names = sorted({str(group) for group in groups})
    order = np.random.default_rng(0).permutation(len(names))
    half = {names[i]: place % 2 for place, i in enumerate(order)}
    of = np.array([half[str(group)] for group in groups])
    for part in (0, 1):
        found = scored(errors.take(of == part))
        if found is None or len(found[0]) < LEAST:
            return None
    scores = None if errors.scores is None else errors.scores.copy()
    covariance = None if errors.covariance is None else errors.covariance.copy()
    for part in (0, 1):
        mended = calibrated(errors.take(of == part), fit_calibration(errors.take(of != part)))
        if scores is not None:
            scores[of == part] = mended.scores
        if covariance is not None:
            covariance[of == part] = mended.covariance
    return replace(errors, scores=scores, covariance=covariance)


def calibrate(
    run: str | PathLike[str],
    data: str | PathLike[str] | None = None,
    split: str | None = None,
    out: str | PathLike[str] | None = None,
    radius: float | None = None,
    device: str = "auto",
    batch_size: int = 16,
    progress: Progress | None = None,
    note: Note = print,
) -> Calibrated:
    """Calibrate a model's scores and covariances, and keep that in its file of weights.

    Points of one look stay as they are (of two, the better scored ones are kept, and scores
    change). A score becomes the probability that a point lies within `radius` of
    the truth; a covariance is multiplied by a factor of its point.

    Args:
        run: a run's folder or a file of weights.
        data, split: as in `measure_runs`; not what it was trained on.
        out: another file (.safetensors) for weights with it. None: the run's own, in place.
        radius: in pixels of the network's input. None: 2 sigma of the target Gaussian.
        device, batch_size, progress, note: as in `measure_runs`.

    Raises:
        CheckpointError: for what is no run, and a packaged model or a checkpoint without `out`.
        DataError: for data that cannot be read, or has too few labelled points.
        SettingsError: for a head without scores, head `grouped`, and splits that do not fit.

    >>> calibrate("runs/kl-1").after["score_error"]  # doctest: +SKIP
    """
    name = fspath(run)
    if is_hub_name(name) and out is None:
        raise CheckpointError(f"{name} is on the hub: name a file for what is changed (--out)")
    path = runs.weights_path(name)
    target = path if out is None else Path(out)
    _require_place(name, path, target, out is not None)
    options = InferenceOptions(device=device, batch_size=batch_size, runtime="torch")
    loaded = measure.open_run(name, options)
    model = loaded.model
    if isinstance(model, GroupedModel):
        raise SettingsError("head grouped: scores of objects and points are not calibrated")
    model.calibration = None
    other = None if data is None else fspath(data)
    split = measure.chosen_split([name], [loaded], other, split)
    found = measure.load_split(name, loaded, other, split)
    for line in found.notes:
        note(line)
    samples = found.part(split)
    measure.require_part([name], [samples], other, split)
    errors = measure.predict_samples(loaded, samples, options, progress)
    if radius is not None:
        if not (math.isfinite(radius) and radius > 0):
            raise SettingsError(f"radius is a number of pixels above 0, not {radius!r}")
        errors = replace(errors, score_radius=radius)
    decoder = model.head.decoder if isinstance(model, DenseModel) else None
    calibration = fit_calibration(errors, decoder)
    checked = _held_out(errors, _groups(samples))
    state, description = runs.read_weights(path)
    half = any(v.dtype == torch.float16 for v in state.values())
    model.calibration = calibration
    description = {**description, "calibration": calibration.as_dict()}
    with writing(target):
        runs.save_weights(target, model, description, half=half)
    return Calibrated(
        target, calibration, calibration.samples, _figures(errors, loaded.skeleton),
        None if checked is None else _figures(checked, loaded.skeleton),
        None if checked is None else _both(errors, checked),
    )  # fmt: skip


def _groups(samples: Sequence[Sample]) -> list[object]:
    """Names of what belongs into one half: videos, where there are several, or source images."""
    if len({s.video for s in samples}) > 1:
        return [s.video or s.source_image or s.id for s in samples]
    return [s.source_image or s.id for s in samples]


def _require_place(name: str, path: Path, target: Path, named: bool) -> None:
    if path.parent == runs.PACKAGED and not named:
        raise CheckpointError(f"{name} comes with heatkp: name another file for it (--out)")
    if target.suffix != ".safetensors":
        raise CheckpointError(
            f"{target}: calibration is kept in a file of weights (.safetensors); name one (--out)"
        )


def _figures(errors: Errors, skeleton: Skeleton) -> dict[str, object]:
    metrics = summarise(errors, skeleton, {})
    return {name: metrics[name] for name in ("coverage", "score_error")}


def _both(before: Errors, after: Errors) -> tuple[Reliability, Reliability] | None:
    first, second = scored(before), scored(after)
    if first is None or second is None:
        return None
    return reliability(*first), reliability(*second)
