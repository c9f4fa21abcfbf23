"""Predictions of samples by networks that were not trained on them, and what they tell."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.dataset import KeypointDataset
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing
from heatkp.engine import TorchBackend, make_engine
from heatkp.errors import DataError
from heatkp.evaluation.intervals import bootstrap_mean
from heatkp.evaluation.metrics import (
    Array,
    Errors,
    all_metrics,
    image_nme,
    labelled_boxes,
    normaliser_lengths,
    summarise,
)
from heatkp.files import replacing
from heatkp.limits import Limit, TooLarge
from heatkp.runs import Loaded
from heatkp.skeletons import Skeleton
from heatkp.text import name_to_text

SHOWN = 5
"""Samples that are named of each fold."""


@dataclass(frozen=True)
class OutOfFold:
    """What was found in N samples by networks that were trained on others.

    Attributes:
        skeleton: of the K points.
        ids, images: the samples' ids, and the names of their images.
        folds, groups: (N,) the fold that each is in, from 1, and the group that folds kept
            together.
        errors: predictions beside the labels.
        scores: (N, K) in [0, 1], or None for heads that have none.
        covariance: (N, K, 2, 2), squared image pixels, or None for decoders that give none.
    """

    skeleton: Skeleton
    ids: tuple[str, ...]
    images: tuple[str, ...]
    folds: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64]
    errors: Errors
    scores: Array | None = None
    covariance: Array | None = None

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def distance(self) -> Array:
        """(N, K) image pixels; NaN where not labelled, infinite where nothing was found."""
        gap = np.linalg.norm(self.errors.image_points - self.errors.image_truth, axis=2)
        gap = np.where(np.isnan(gap), np.inf, gap)
        return np.where(self.errors.labelled, gap, np.nan)

    def normaliser(self) -> tuple[str, Array]:
        """A length that errors are divided by, (N,) image pixels, NaN where a sample has none; of
        name `pixel` and length 1 where there is no other."""
        lengths = normaliser_lengths(self.skeleton, self.errors)
        return next(iter(lengths.items()), ("pixel", np.ones(len(self))))

    @property
    def relative(self) -> Array:
        """(N,) mean distance of a sample's labelled points over its length."""
        return image_nme(self.distance, self.errors.labelled, self.normaliser()[1])

    @property
    def ranks(self) -> npt.NDArray[np.int64]:
        """(N,) 1 for the sample of the largest relative error; those without one come last."""
        order = np.argsort(-np.nan_to_num(self.relative, nan=-1.0), kind="stable")
        ranks = np.empty(len(self), np.int64)
        ranks[order] = np.arange(1, len(self) + 1)
        return ranks

    def take(self, mask: npt.NDArray[np.bool_]) -> OutOfFold:
        """Of some of the samples."""
        places = np.flatnonzero(mask)
        return OutOfFold(
            self.skeleton,
            tuple(self.ids[i] for i in places),
            tuple(self.images[i] for i in places),
            self.folds[places],
            self.groups[places],
            self.errors.take(places),
            None if self.scores is None else self.scores[places],
            None if self.covariance is None else self.covariance[places],
        )


def predict_fold(
    loaded: Loaded,
    samples: Sequence[Sample],
    fold: int,
    groups: Mapping[str, int],
    batch_size: int = 16,
    progress: Callable[[int], None] = lambda done: None,
) -> OutOfFold:
    """What a network finds in the samples that its fold kept apart.

    Args:
        groups: a group's number by a sample's id.
        progress: is told how many samples are done.

    Raises `DataError` for an image that cannot be read.
    """
    data = loaded.settings.data
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(data), grey=data.grey)
    found = []
    for estimate in make_engine(
        TorchBackend(loaded.model), dataset.skeleton, dataset.framing, data.grey
    ).over(dataset, batch_size):
        found.append(estimate)
        progress(sum(map(len, found)))
    spreads = [e.covariance for e in found if e.covariance is not None]
    scores = np.concatenate([e.scores for e in found])
    return OutOfFold(
        loaded.skeleton,
        tuple(s.id for s in samples),
        tuple(name_to_text(s.image_name) for s in samples),
        np.full(len(samples), fold, np.int64),
        np.array([groups[s.id] for s in samples], np.int64),
        Errors(
            image_points=np.concatenate([e.points for e in found]),
            image_truth=np.stack([s.points for s in samples]).astype(np.float64),
            to_input=np.concatenate([e.first_matrices for e in found]),
            labelled=np.stack([s.visibility > 0 for s in samples]),
            boxes=labelled_boxes(samples),
            input_size=dataset.framing.size,
        ),
        scores if np.isfinite(scores).any() else None,
        np.concatenate(spreads) if len(spreads) == len(found) else None,
    )


def joined_folds(parts: Sequence[OutOfFold]) -> OutOfFold:
    """Several folds as one, in their order."""

    def every(values: Sequence[Any]) -> Any:
        return None if any(v is None for v in values) else np.concatenate(values)

    errors = [p.errors for p in parts]
    return OutOfFold(
        parts[0].skeleton,
        tuple(name for p in parts for name in p.ids),
        tuple(name for p in parts for name in p.images),
        every([p.folds for p in parts]),
        every([p.groups for p in parts]),
        Errors(
            image_points=every([e.image_points for e in errors]),
            image_truth=every([e.image_truth for e in errors]),
            to_input=every([e.to_input for e in errors]),
            labelled=every([e.labelled for e in errors]),
            boxes=every([e.boxes for e in errors]),
            input_size=errors[0].input_size,
        ),
        every([p.scores for p in parts]),
        every([p.covariance for p in parts]),
    )


def summarise_folds(found: OutOfFold) -> dict[str, Any]:
    """What folds say together, as plain numbers for JSON.

    - `metrics`: of all samples at once, as `summarise` gives them;
    - `figures`: of each figure its mean over labelled points (or images) with a 95 % `interval`,
      of a bootstrap over groups, and the `mean` and standard deviation (`std`) of the folds' own.
      Those are left out where a prediction is no number;
    - `each`: of each fold its samples, its groups, its figures, and the samples that it
      `disagrees` with most.
    """
    name, lengths = found.normaliser()
    numbers = sorted(set(found.folds.tolist()))
    folds = [found.take(found.folds == number) for number in numbers]
    own = [_figures(fold, name) for fold in folds]
    figures = {}
    for key, (values, counted) in _values(found, name, lengths).items():
        whole = bootstrap_mean(values, found.groups, counted)
        each = [value for o in own if (value := o[key]) is not None]
        if whole is None or not each or not _answered(values, counted):
            continue
        figures[key] = {
            "value": whole.mean,
            "interval": None if whole.low is None else [whole.low, whole.high],
            "mean": float(np.mean(each)),
            "std": float(np.std(each, ddof=1)) if len(each) > 1 else None,
        }
    return {
        "samples": len(found),
        "groups": len(set(found.groups.tolist())),
        "normaliser": name,
        "figures": figures,
        "each": [
            {
                "fold": number,
                "samples": len(fold),
                "groups": len(set(fold.groups.tolist())),
                "figures": figure,
                "disagrees": _worst(fold),
            }
            for number, fold, figure in zip(numbers, folds, own)
        ],
        "metrics": summarise(found.errors, found.skeleton),
    }


def _values(
    found: OutOfFold, name: str, lengths: Array
) -> dict[str, tuple[Array, npt.NDArray[np.bool_] | None]]:
    """Values whose means are figures, and which of them count."""
    values: dict[str, tuple[Array, npt.NDArray[np.bool_] | None]] = {}
    for metric in all_metrics("point"):
        value = np.asarray(metric.function(found.errors), np.float64)
        if value.shape == found.errors.labelled.shape:
            values[metric.name] = value, found.errors.labelled
    if name != "pixel":
        values["nme"] = image_nme(found.distance, found.errors.labelled, lengths), None
    return values


def _answered(values: Array, counted: npt.NDArray[np.bool_] | None) -> bool:
    """Whether no prediction that counts is without a number, which no mean may leave out."""
    if counted is None:  # NaN is an image without the length
        return not np.isinf(values).any()
    return bool(np.isfinite(values[counted]).all())


def _figures(fold: OutOfFold, name: str) -> dict[str, float | None]:
    lengths = normaliser_lengths(fold.skeleton, fold.errors).get(
        name, np.full(len(fold), np.nan) if name != "pixel" else np.ones(len(fold))
    )
    found: dict[str, float | None] = {}
    for key, (values, counted) in _values(fold, name, lengths).items():
        known = values[np.isfinite(values) if counted is None else counted]
        good = known.size and _answered(values, counted)
        found[key] = float(known.mean()) if good else None
    return found


def _worst(fold: OutOfFold) -> list[dict[str, Any]]:
    """The samples whose labels are furthest from what was found."""
    rows = rows_of(fold)
    rows.sort(key=lambda row: row["rank"])
    keys = ("id", "image", "error", "pixels", "point")
    return [{key: row[key] for key in keys} for row in rows[:SHOWN] if row["point"] is not None]


def rows_of(found: OutOfFold) -> list[dict[str, Any]]:
    """A row for each sample: `id`, `image`, `fold`, `group`, the mean distance of its points over
    its length (`error`) and in image pixels (`pixels`), its `rank` by the former from 1, and the
    `point` that is furthest off."""
    relative, distance, ranks = found.relative, found.distance, found.ranks
    rows = []
    for i, name in enumerate(found.ids):
        known = np.isfinite(distance[i])
        missed = np.isinf(distance[i])
        furthest = int(np.nanargmax(distance[i])) if (known | missed).any() else None
        rows.append({
            "id": name,
            "image": found.images[i],
            "fold": int(found.folds[i]),
            "group": int(found.groups[i]),
            "error": float(relative[i]) if np.isfinite(relative[i]) else None,
            "pixels": float(distance[i][known].mean()) if known.any() else None,
            "rank": int(ranks[i]),
            "point": None if furthest is None else found.skeleton.point_names[furthest],
        })  # fmt: skip
    return rows


def save_out_of_fold(path: Path, found: OutOfFold) -> None:
    """Write arrays as NumPy's `.npz`, whole or not at all: `ids`, `images`, `folds`, `groups` (N,),
    `predictions`, `labels` (N, K, 2) in image pixels, `labelled` (N, K), `lengths` (N,),
    `normaliser`, `errors` (N,) relative to it, `point_names` (K,); `scores` (N, K) and
    `covariance` (N, K, 2, 2) where there are any."""
    name, lengths = found.normaliser()
    arrays: dict[str, Any] = {
        "ids": np.array(found.ids), "images": np.array(found.images), "folds": found.folds,
        "groups": found.groups, "predictions": found.errors.image_points,
        "labels": found.errors.image_truth, "labelled": found.errors.labelled,
        "lengths": lengths, "normaliser": np.array(name), "errors": found.relative,
        "point_names": np.array(found.skeleton.point_names),
    }  # fmt: skip
    if found.scores is not None:
        arrays["scores"] = found.scores
    if found.covariance is not None:
        arrays["covariance"] = found.covariance
    with replacing(path) as part, part.open("wb") as file:
        np.savez_compressed(file, **arrays)


def load_out_of_fold(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays that `save_out_of_fold` wrote. Raises `DataError` for another file."""
    try:
        with zipfile.ZipFile(path) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
        if said := Limit.LABEL_BYTES.refusal(size, "bytes"):
            raise TooLarge(f"it unpacks to {said}")
        with np.load(path, allow_pickle=False) as content:
            arrays = {key: content[key] for key in content.files}
    except Exception as error:  # of many kinds for damaged archives
        raise DataError(f"{path} cannot be read as out-of-fold predictions: {error}") from None
    lacking = {"ids", "folds", "predictions", "labels", "labelled"} - arrays.keys()
    if lacking:
        raise DataError(f"{path} holds no out-of-fold predictions: it lacks {sorted(lacking)[0]}")
    return arrays
