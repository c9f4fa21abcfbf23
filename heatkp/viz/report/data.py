"""What a report is made of: runs with their errors on the same validation samples."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from heatkp.data.dataset import KeypointDataset
from heatkp.data.matching import difference
from heatkp.errors import DataError, SettingsError
from heatkp.evaluation.measure import Progress, load_split, measure_own
from heatkp.evaluation.metrics import Errors, image_nme, normaliser_lengths, summarise
from heatkp.inference.finder import Finder
from heatkp.inference.measuring import MeasuredObjects, measure_objects, objects_of
from heatkp.inference.predictor import Predictor
from heatkp.runs import ENVIRONMENT, HISTORY, METRICS, Loaded, finder_path, run_folder
from heatkp.skeletons import Skeleton
from heatkp.viz.curves import History, read_history
from heatkp.viz.head_turn import head_turn

Array = npt.NDArray[np.float64]
MOST_RUNS = 9
"""Runs that one page can switch between: a key for each."""


@dataclass(frozen=True)
class ReportRun:
    """A run as a report takes it.

    Attributes:
        name: distinct among the runs of a page.
        loaded: model, settings and skeleton.
        dataset, errors: validation samples and what the model made of them, in one order.
        history: columns of metrics.csv, or None where there is no such file.
        environment: what environment.json holds; empty where there is none.
        recorded: what metrics.json holds, or None where there is none.
        objects: of a run with a finder, what it found in whole validation images.
    """

    name: str
    loaded: Loaded
    dataset: KeypointDataset
    errors: Errors
    history: History | None = None
    environment: dict[str, Any] | None = None
    recorded: dict[str, Any] | None = None
    objects: MeasuredObjects | None = None

    @property
    def skeleton(self) -> Skeleton:
        return self.loaded.skeleton

    @property
    def distance(self) -> Array:
        """Distance of points and truth (N, K) in image pixels; NaN where not labelled."""
        gap = np.linalg.norm(self.errors.image_points - self.errors.image_truth, axis=2)
        return np.where(self.errors.labelled, gap, np.nan)

    def metrics(self) -> dict[str, Any]:
        """As `heatkp eval` writes them, over the samples of this report."""
        return summarise(self.errors, self.skeleton)

    def take(self, indices: Sequence[int]) -> ReportRun:
        """The run with some of its samples, in the given order."""
        source = self.dataset
        samples = [source.samples[i] for i in indices]
        dataset = KeypointDataset(samples, source.skeleton, source.framing, grey=source.grey)
        return replace(self, dataset=dataset, errors=self.errors.take(indices))


def measured_run(
    run: str, name: str, loaded: Loaded, batch_size: int = 16, progress: Progress | None = None
) -> ReportRun:
    """A run with its errors on its validation data, and what its folder tells.

    Raises `DataError` for files that cannot be read, `SettingsError` for a run without
    validation samples.
    """
    dataset, errors = measure_own(run, loaded, batch_size, progress=progress)
    objects = _objects(run, loaded, batch_size, progress)
    folder = run_folder(run)
    history = folder / HISTORY
    return ReportRun(
        name,
        loaded,
        dataset,
        errors,
        read_history(history) if history.is_file() else None,
        _json(folder / ENVIRONMENT),
        _json(folder / METRICS),
        objects,
    )


def _objects(
    run: str, loaded: Loaded, batch_size: int, progress: Progress | None
) -> MeasuredObjects | None:
    """What a run with a finder finds in its validation images; None for another."""
    if loaded.settings.head.grouped:
        predictor = Predictor(loaded)
    elif finder_path(run) is None or loaded.settings.data.crop != "box":
        return None
    else:
        device = str(next(loaded.model.parameters()).device)
        predictor = Predictor(loaded, detector=Finder(run, device))
    samples = objects_of(load_split(run, loaded, None, "val"), "val")
    return measure_objects(predictor, samples, batch_size=batch_size, progress=progress)


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON file's object, None where there is no such file. Raises `DataError`."""
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): put it back as the training wrote it, or move it "
            "away for a report without it"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object: put it back, or move it away")
    return content


def on_common_samples(runs: Sequence[ReportRun]) -> list[ReportRun]:
    """The runs on the validation samples that all of them have, matched by id.

    Raises `SettingsError` for too many runs or runs that find different points, `DataError`
    where no sample is common.
    """
    if len(runs) > MOST_RUNS:
        raise SettingsError(f"{len(runs)} runs are too many for a page: name at most {MOST_RUNS}")
    first = runs[0]
    for other in runs[1:]:
        if other.skeleton.point_names != first.skeleton.point_names:
            names = first.skeleton.point_names, other.skeleton.point_names
            raise SettingsError(
                f"{difference(first.name, names[0], other.name, names[1])}: compare runs that find "
                "the same points"
            )
    places = [{s.id: i for i, s in enumerate(run.dataset.samples)} for run in runs]
    common = [id_ for id_ in places[0] if all(id_ in other for other in places[1:])]
    if not common:
        counts = ", ".join(f"{run.name} {len(run.dataset)}" for run in runs)
        raise DataError(
            f"the runs have no validation sample in common ({counts} samples), so they cannot be "
            "compared: train them on the same data with the same split (data.path, data.split, "
            "data.split_seed, data.validation), or make a report of each"
        )
    if len(runs) == 1:
        return list(runs)
    taken = [run.take([place[id_] for id_ in common]) for run, place in zip(runs, places)]
    if not any(run.errors.labelled.any() for run in taken):
        raise DataError("no validation sample that the runs have in common has a labelled point")
    return taken


def common_normaliser(runs: Sequence[ReportRun]) -> str | None:
    """The first length that the errors of all runs can be divided by, if there is one."""
    lengths = [normaliser_lengths(run.skeleton, run.errors) for run in runs]
    return next((n for n in lengths[0] if all(n in other for other in lengths)), None)


def lengths_of(run: ReportRun, normaliser: str | None) -> Array:
    """The normaliser (N,) in image pixels; ones without a normaliser, so that errors stay px."""
    if normaliser is None:
        return np.ones(len(run.dataset))
    return normaliser_lengths(run.skeleton, run.errors)[normaliser]


def mean_errors(run: ReportRun, normaliser: str | None) -> Array:
    """Mean error of each sample (N,): a fraction of the normaliser, or image pixels without one."""
    return image_nme(run.distance, run.errors.labelled, lengths_of(run, normaliser))


def head_turns(run: ReportRun) -> Array:
    """The estimated yaw (N,) of each face in degrees, by its true points; NaN where unknown."""
    truth = np.where(run.errors.labelled[:, :, None], run.errors.image_truth, np.nan)
    try:
        return head_turn(truth, run.skeleton)[0]
    except SettingsError:  # points that tell nothing about a head
        return np.full(len(truth), np.nan)


def part_of(name: str) -> str:
    """The part that a numbered point belongs to.

    >>> part_of("outer_lip_11"), part_of("nose_tip")
    ('outer_lip', 'nose_tip')
    """
    stem, _, number = name.rpartition("_")
    return stem if stem and number.isdigit() else name


def spread(count: int) -> list[int]:
    """0 to count - 1 such that every beginning is spread evenly: the last, the first, middles.

    >>> spread(5)
    [4, 0, 2, 1, 3]
    """
    order = list(dict.fromkeys([count - 1, 0]))[:count]
    gaps = [(0, count - 1)]
    for low, high in gaps:  # grows while it is read
        if high - low > 1:
            middle = (low + high) // 2
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def choose(runs: Sequence[ReportRun], normaliser: str | None, count: int) -> list[int]:
    """At most `count` samples from the worst to the best by their mean error over the runs.

    The worst goes first, then the best, then what lies between, so that any beginning of the
    list shows the whole range. Samples without an error come into it only at the good end.
    """
    mean = np.mean([mean_errors(run, normaliser) for run in runs], axis=0)
    ranked = np.argsort(np.nan_to_num(mean, nan=-1.0), kind="stable")
    places = np.linspace(0, len(ranked) - 1, min(count, len(ranked))).round().astype(int)
    return [int(ranked[places[i]]) for i in spread(len(places))]
