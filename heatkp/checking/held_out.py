"""What networks find in samples that they were not trained on: the evidence against labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from heatkp.checking.balanced import mirrors, predict_balanced
from heatkp.checking.shift import learnable
from heatkp.data.grouping import joined, sources_of
from heatkp.data.samples import KeypointData, Sample
from heatkp.errors import CheckpointError, DataError
from heatkp.evaluation.measure import (
    InferenceOptions,
    Progress,
    load_split,
    open_runs,
    own_data,
    require_validation,
)
from heatkp.evaluation.out_of_fold import load_out_of_fold
from heatkp.runs import Loaded, fold_folder, fold_runs, is_folds
from heatkp.skeletons import Skeleton

Array = npt.NDArray[np.float64]
PREDICTIONS = "out_of_fold.npz"
"""What folds leave of all samples."""
BLOCK = 50
"""Frames of a video that count as one when errors are asked for: neighbours are alike."""


class HeldOut(NamedTuple):
    """Labelled samples with what was found in them.

    Attributes:
        skeleton: of the points.
        samples: N of them.
        found: (N, K, 2), pixels of the image: means of the networks that tell of a sample.
        spread: (N, K), pixels: the standard deviation of one network's point among them; 0 of one.
        trained: (N,), whether the networks were trained on the sample.
        learned: the fraction of a constant shift that rotations in training leave to be learned.
        flipped: whether images were mirrored in training.
        notes: lines about samples that were left out or mended, and what figures are worth.
    """

    skeleton: Skeleton
    samples: list[Sample]
    found: Array
    spread: Array
    trained: npt.NDArray[np.bool_]
    learned: float = 0.0
    flipped: bool = False
    notes: tuple[str, ...] = ()

    @property
    def labels(self) -> Array:
        """(N, K, 2), NaN where not labelled."""
        points = np.stack([s.points for s in self.samples]).astype(np.float64)
        known = np.stack([s.visibility > 0 for s in self.samples])
        return np.where(known[..., None], points, np.nan)


class _Found:
    """Predictions by sample, of several networks."""

    def __init__(self) -> None:
        self.samples: dict[str, Sample] = {}
        self.held: dict[str, list[Array]] = {}
        self.trained: dict[str, list[Array]] = {}

    def add(self, samples: Sequence[Sample], points: Array, trained: set[str]) -> None:
        for sample, own in zip(samples, points):
            self.samples.setdefault(sample.id, sample)
            kept = self.trained if sample.id in trained else self.held
            kept.setdefault(sample.id, []).append(own)

    def together(self, skeleton: Skeleton, notes: Sequence[str]) -> HeldOut:
        """Samples that a network tells of that was not trained on them by those alone."""
        every = [(s, self.held.get(name) or self.trained[name]) for name, s in self.samples.items()]
        only = np.array([name not in self.held for name in self.samples])
        found = np.stack([np.mean(points, 0) for _, points in every])
        spread = np.stack([
            np.sqrt(np.var(p, 0, ddof=1).mean(-1)) if len(p) > 1 else np.zeros(len(skeleton))
            for _, p in every
        ])  # fmt: skip
        return HeldOut(skeleton, [s for s, _ in every], found, spread, only, notes=tuple(notes))


def held_out(
    runs: Sequence[str],
    data: str | None = None,
    every: bool = False,
    options: InferenceOptions | None = None,
    progress: Progress | None = None,
) -> HeldOut:
    """What runs find in their validation samples; of folds, in all samples.

    Args:
        runs: folders of runs, or of folds (`heatkp train --folds`), that find the same points.
        data: other labelled data instead, none of which they were trained on.
        every: also what they were trained on.
        options: how they predict. Networks are asked twice, see `balanced`, where they can be.

    Raises:
        CheckpointError, DataError, SettingsError: as `heatkp.evaluation.measure.measure` does.
    """
    options = options or InferenceOptions()
    names = [name for run in runs for name in _opened(run, data)]
    models = open_runs(names, options)
    skeleton, collected = models[0].skeleton, _Found()
    notes: dict[str, None] = {}
    for name, loaded in zip(names, models):
        folds = Path(name).parent
        kept = data is None and is_folds(folds)
        split = "all" if every or kept or data is not None else "val"
        known = _data(name, loaded, data, split)
        notes.update(dict.fromkeys(known.notes))
        samples = [s for s in known.part(split) if (s.visibility > 0).any()]
        if kept:
            samples, note = _of_fold(Path(name), samples)
            notes.update(dict.fromkeys(note))
        points = predict_balanced(loaded, samples, options, progress) if samples else None
        trained = {s.id for s in known.train} if data is None and not kept else set()
        if points is not None:
            collected.add(samples, points, trained)
    if not collected.samples:
        raise DataError(f"no sample of {', '.join(runs)} has a labelled point: nothing to check")
    made = collected.together(skeleton, list(notes))
    drawn = [loaded.settings.augmentation for loaded in models]
    return made._replace(
        learned=max(learnable(one.model_dump()) for one in drawn),
        flipped=all(mirrors(loaded) for loaded in models),
        notes=(*made.notes, *_caveat(made)),
    )


def _opened(run: str, data: str | None) -> list[str]:
    """The runs to open for one that is named: of folds all of them."""
    if not is_folds(run):
        return [run]
    if data is None and not (Path(run) / PREDICTIONS).is_file():
        raise CheckpointError(
            f"{run} has no predictions yet: go on with heatkp train --resume {run}"
        )
    found = [str(path) for path in fold_runs(Path(run))]
    if not found:
        raise CheckpointError(f"{run} holds no run of a fold: train them with heatkp train --folds")
    return found


def _of_fold(run: Path, samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """The samples that a fold kept apart, and a note of those that none did. Labels are those of
    the samples, which may be corrected ones."""
    arrays = load_out_of_fold(run.parent / PREDICTIONS)
    ids = arrays["ids"].tolist()
    own = {name for name, fold in zip(ids, arrays["folds"]) if fold_folder(run.parent, fold) == run}
    lacking = len({s.id for s in samples} - set(ids))
    note = f"samples that no fold predicted, for they were added since: {lacking}"
    return [s for s in samples if s.id in own], [note] * bool(lacking)


def _data(name: str, loaded: Loaded, data: str | None, split: str) -> KeypointData:
    if data is not None:
        return load_split(name, loaded, data, "all")
    if split == "val":
        require_validation(
            name, loaded, f"check what it was trained on (heatkp data check {name} --all), or "
            "other data (--data)"
        )  # fmt: skip
    own_data(name, loaded.settings.data, "val")  # says what is missing in its own words
    return load_split(name, loaded, None, split)


def _caveat(made: HeldOut) -> list[str]:
    count = int(made.trained.sum())
    if not count:
        return []
    return [
        f"{count} of {len(made.samples)} samples trained the network, which may have learned their "
        "wrong labels: that one of them is not listed says little (heatkp train --folds predicts "
        "each sample by a network that was not trained on it)"
    ]


def independent_groups(samples: Sequence[Sample]) -> list[Any]:
    """What samples' errors are independent of each other between: those of one image, or of one
    person, are in one group; of videos each object's frames by blocks."""
    images = joined(sources_of(samples), [s.person for s in samples])
    return [
        number if s.video is None or s.frame is None else (s.video, s.track, s.frame // BLOCK)
        for s, number in zip(samples, images)
    ]
