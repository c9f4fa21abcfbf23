"""Runs measured on data: opened, matched to one another, predicted and scored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from typing import Any, NamedTuple

import numpy as np

from heatkp.config import PARTS, Data, expand_path, parse_settings
from heatkp.data import loading, splitting
from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.matching import in_order_of, whole
from heatkp.data.readers import recognise
from heatkp.data.samples import KeypointData, Sample, fingerprint
from heatkp.data.transforms import Framing
from heatkp.engine import require_box_style, require_mirrored
from heatkp.engine.exported import ExportedBackend
from heatkp.errors import DataError, HeatkpError, SettingsError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import Errors, mean_of, summarise
from heatkp.export import open_runtime
from heatkp.models import DenseModel
from heatkp.runs import Loaded

SPLITS = (*PARTS, "all")
"""What may be measured of data."""
Progress = Callable[[int, int], None]
"""Is told how many samples of a run are done, and how many there are."""
Note = Callable[[str], None]
"""Takes a line about what was left out or assumed."""
Also = Callable[[KeypointData], dict[str, Any]]
"""Measures more of data, for the same file of metrics."""


OWN_PARTS = {"train": None, "val": None, "test": None, "group": None, "folds": 0, "fold": 0}
"""Settings of a run's data that do not hold for other data."""


class InferenceOptions(NamedTuple):
    """How a run's predictions are made.

    Attributes:
        decoder: another decoder of maps than the head's own, by name.
        flip_test: average with what is found in the mirrored image.
        passes: 2 looks again at the box that belongs around what was found first.
        device: as `heatkp.models.devices.choose_device` takes it.
        batch_size: samples that the network sees at once.
        runtime, precision: as `heatkp.export.open_runtime` takes them.
    """

    decoder: str | None = None
    flip_test: bool = False
    passes: int = 1
    device: str = "auto"
    batch_size: int = 16
    runtime: str | None = None
    precision: str | None = None


def measure_runs(
    runs: str | PathLike[str] | Sequence[str | PathLike[str]],
    data: str | PathLike[str] | None = None,
    split: str | None = None,
    decoder: str | None = None,
    flip_test: bool = False,
    passes: int = 1,
    device: str = "auto",
    batch_size: int = 16,
    progress: Progress | None = None,
    note: Note = print,
    runtime: str | None = None,
    precision: str | None = None,
) -> dict[str, Any]:
    """The metrics of `heatkp eval`: of a run, or of the mean of several runs' points.

    Args:
        runs: a run's folder, a file of weights or the name of a model that comes with heatkp, or
            several that find the same points.
        data: another file or folder than they were trained on.
        split: `train`, `val`, `test` or `all`. None: `val` of a run's own data, `all` of other.
        decoder, flip_test, passes, device, batch_size, runtime, precision: as in
            `InferenceOptions`.
        progress: is told of each run how many samples are done, and how many there are.
        note: takes lines about samples that were left out or mended.

    Returns:
        What `heatkp.evaluation.metrics.summarise` gives, and how it was measured.

    Raises:
        CheckpointError: for what is no run, and runs with other points than the first.
        DataError: for data that cannot be read, or without a labelled point.
        SettingsError: for options that do not fit a run, and runs with other samples in a split.

    >>> metrics = measure_runs("runs/kl-1", split="all")  # doctest: +SKIP
    >>> metrics["normalised"]["inter-ocular"]["nme"]  # doctest: +SKIP
    """
    names = [fspath(run) for run in ([runs] if isinstance(runs, str | PathLike) else runs)]
    if not names:
        raise SettingsError("name at least one run to measure")
    if split not in (None, *SPLITS):
        raise SettingsError(f"split {split!r}: choose {', '.join(SPLITS)}")
    options = InferenceOptions(decoder, flip_test, passes, device, batch_size, runtime, precision)
    other = None if data is None else fspath(data)
    models = open_runs(names, options)
    split = chosen_split(names, models, other, split)
    return measure(names, models, other, split, options, progress, note)


def measure(
    names: Sequence[str],
    models: Sequence[Loaded],
    data: str | None,
    split: str,
    options: InferenceOptions,
    progress: Progress | None = None,
    note: Note = print,
    also: Also | None = None,
) -> dict[str, Any]:
    """`measure_runs`, of runs that `open_runs` opened with these options; with what `also` measures
    of the same data."""
    found = [load_split(name, loaded, data, split) for name, loaded in zip(names, models)]
    for line in found[0].notes:
        note(line)
    parts = [one.part(split) for one in found]
    require_part(names, parts, data, split)
    for name, loaded in zip(names, models):
        if data is not None and split in ("train", "all"):
            _tell_trained_on(name, loaded, found[0].part("all"), note)
    require_same_samples(names, parts, split, own=data is None)
    if not any((s.visibility > 0).any() for s in parts[0]):
        raise DataError(f"no {split} sample has a labelled point: nothing to measure")
    errors = mean_of([predict_samples(*each, options, progress) for each in zip(models, parts)])
    metrics = summarise(errors, found[0].skeleton)
    metrics.update(split=split, data=data, decoder=options.decoder, flip_test=options.flip_test,
                   passes=options.passes, runs=list(names))  # fmt: skip
    return metrics if also is None else {**metrics, **also(found[0])}


def open_run(run: str, options: InferenceOptions) -> Loaded:
    """The model of a run or checkpoint, reading its maps by another decoder if one is named.

    Raises `CheckpointError` as `load_run` does, `SettingsError` for options that do not fit it.
    """
    runtime = options.runtime
    if options.decoder is not None and runtime is None:
        runtime = "torch"  # an exported network has its decoder inside
    loaded = open_runtime(run, runtime, options.device, options.precision)
    if options.passes == 2:
        require_box_style(loaded.box_style)
    if options.flip_test:
        require_mirrored(loaded.skeleton)
    if options.decoder is not None:
        if isinstance(loaded.backend, ExportedBackend):
            raise SettingsError(
                f"--decoder: runtime {loaded.backend.name} has its decoder inside; leave out one"
            )
        if not isinstance(loaded.model, DenseModel):
            raise SettingsError("--decoder: the regression head has no maps to decode")
        loaded.model.head.use_decoder(options.decoder)
        calibration = loaded.model.calibration
        if calibration is not None and calibration.decoder != options.decoder:
            loaded.model.calibration = None  # which is of another decoder's scores
    return loaded


def open_runs(names: Sequence[str], options: InferenceOptions) -> list[Loaded]:
    """Models that find the same points, in the first one's order. Raises `CheckpointError`."""
    return in_common_order(names, [open_run(name, options) for name in names])


def in_common_order(names: Sequence[str], models: Sequence[Loaded]) -> list[Loaded]:
    """Models with their points in the first one's order, by name. Raises `CheckpointError` where
    they have other points."""
    first = models[0].skeleton
    return [model.in_order_of(first, names[0], name) for name, model in zip(names, models)]


def chosen_split(
    names: Sequence[str], models: Sequence[Loaded], data: str | None, split: str | None
) -> str:
    """The split that is asked for, or what is meant without: validation samples of a run's own
    data, all of other. Raises `SettingsError` for the validation samples of a run that kept
    none."""
    own = data is None or any(_same_path(model.settings.data.path, data) for model in models)
    if split is None:
        validated = all(model.settings.data.validates for model in models)
        split = "val" if data is None or (own and validated) else "all"
    if split == "val" and own:
        for name, loaded in zip(names, models):
            advice = f"measure it on other data with: heatkp eval {name} --data FILE"
            require_validation(
                name, loaded, f"{advice} (--split all measures what it was trained on)"
            )
    return split


def _same_path(own: str | None, data: str) -> bool:
    """Whether other data is a run's own, named again."""
    try:
        first, second = (expand_path(path, "--data") for path in (own or "", data))
        return first.samefile(second)
    except (SettingsError, OSError):
        return False


def require_part(
    names: Sequence[str], parts: Sequence[Sequence[Sample]], data: str | None, split: str
) -> None:
    """Raises `SettingsError` where a part of the data is empty that a run does not have."""
    for name, part in zip(names, parts):
        if not part:
            whose = f"the data of {name}" if data is None else data
            advice = (
                "name labels with data.test when you train, or others to measure with --data"
                if split == "test"
                else "measure all of it with --split all"
            )
            raise SettingsError(f"{whose} has no {split} samples: {advice}")


def _tell_trained_on(name: str, loaded: Loaded, samples: Sequence[Sample], note: Note) -> None:
    """Say so where other data, by its samples' names, is what a run was trained on."""
    settings = loaded.settings.data
    if loaded.validation is None or settings.drawn or settings.split == "lookalikes":
        return
    try:
        train, val = splitting.divide(samples, settings)[:2]
    except HeatkpError:
        return
    if val and fingerprint(val) == loaded.validation:
        note(
            f"{name} was trained on {len(train)} of these samples, by their names: --split val "
            "measures the others"
        )


def require_validation(run: str, loaded: Loaded, advice: str | None = None) -> None:
    """Raises `SettingsError`, which ends with the advice, for a run that kept no sample for
    validation."""
    if not loaded.settings.data.validates:
        raise SettingsError(
            f"{run} was trained on all of its data (data.validation: 0) and has no validation "
            "samples; "
            + (advice or f"measure it on other data with: heatkp eval {run} --data FILE")
        )


def load_split(name: str, loaded: Loaded, data: str | None, split: str) -> KeypointData:
    """The data of a run, or other data, under the run's settings, for a split of it; points are
    in the run's order.

    Raises `CheckpointError` for data with other points, and what `load_data` raises.
    """
    settings = loaded.settings.data
    chosen = data is None and split not in ("val", "test")
    found = None
    if data is not None and split != "all":
        found = _own_elsewhere(loaded, data, split)
    if found is None:
        settings = settings if data is None else _for_other(settings, data, split)
        load = loading.load_data if data is None or split != "all" else loading.load_whole
        found = load(whole(settings), chosen)
    found = in_order_of(loaded.skeleton, name, settings, found)
    if data is None:
        loaded.require_same_split(name, found.val)
    return found


def _own_elsewhere(loaded: Loaded, data: str, split: str) -> KeypointData | None:
    """Other data split as a run's own, where that is what it is: it holds back the samples that
    training did. None for samples that are others."""
    settings = loaded.settings.data
    if loaded.validation is None or settings.drawn:
        return None
    try:
        values = settings.model_dump() | {"format": "auto", "path": data, "pairs": None}
        if settings.first_pixel is not None and not in_own_format(settings, data):
            values["first_pixel"] = None
        same = parse_settings({"data": values}, "--data").data
        found = loading.load_data(whole(same), split == "train")
    except HeatkpError:  # also where it cannot be read, which is said when it is read as other
        return None
    return found if found.val and fingerprint(found.val) == loaded.validation else None


def _for_other(settings: Data, data: str, split: str) -> Data:
    """A run's settings for other data than its own, which has a split of its own."""
    # Pairs are of the run's own layout, by which images are mirrored.
    other = {"format": "auto", "path": data, "pairs": None, **OWN_PARTS}
    if settings.split not in ("person", "lookalikes"):
        other["split"] = "auto"
    if split == "test":  # which does not depend on how the others are split
        other["validation"] = 0
    elif not settings.validation:
        other["validation"] = Data.model_fields["validation"].default
    if settings.first_pixel is not None and not in_own_format(settings, data):
        other["first_pixel"] = None
    return parse_settings({"data": settings.model_dump() | other}, "--data").data


def in_own_format(settings: Data, data: str) -> bool:
    """Whether other data is in the format of a run's own: what its files count from belongs to
    that, as the competition of a data set has its test images in one format with its labels."""
    own = settings.format
    try:
        place = settings.path if settings.train is None else settings.train[0]
        if own == "auto" and place is not None:
            own = recognise(expand_path(place, "data.path"))
        return recognise(expand_path(data, "--data")) == own
    except HeatkpError:  # said where it is read
        return False


def own_data(run: str, settings: Data, split: str, more: str = "") -> KeypointData:
    """A run's data, for a split of it. Raises `DataError` where it is not there; `more` ends it."""
    try:
        return loading.load_data(settings, chosen=split not in ("val", "test"))
    except HeatkpError as error:
        raise DataError(
            f"the data that {run} was trained on cannot be read: {error}. Put it back where "
            f"the run's settings say (data.path){more}"
        ) from None


def require_same_samples(
    names: Sequence[str], parts: Sequence[Sequence[Sample]], split: str, own: bool
) -> None:
    """Raises `SettingsError` where runs have other samples in a split, and so perhaps were
    trained on what they would be measured on, where the data is their `own`."""
    first = parts[0]
    for name, part in zip(names, parts):
        alike = sum(
            a.id == b.id and np.array_equal(a.points, b.points, equal_nan=True)
            for a, b in zip(first, part)
        )
        if not len(first) == len(part) == alike:
            common = len({s.id for s in first} & {s.id for s in part})
            advice = (
                "what one is measured on may have trained the other; measure them one by one, or "
                "on other data (--data)"
                if own
                else "they split this data differently; measure them on all of it (--split all)"
            )
            raise SettingsError(
                f"{names[0]} and {name} have {len(first)} and {len(part)} {split} samples, with "
                f"{common} names in common: {advice}"
            )


def predict_samples(
    loaded: Loaded,
    samples: Sequence[Sample],
    options: InferenceOptions,
    progress: Progress | None = None,
) -> Errors:
    """Predictions of samples beside their truth, their images read as the run's own."""
    settings = loaded.settings.data
    samples = [sample.read_with(ImageOptions.of(settings)) for sample in samples]
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(settings), grey=settings.grey)

    def tell(done: int) -> None:
        if progress is not None:
            progress(done, len(dataset))

    tell(0)
    return predict_dataset(
        loaded.runner, dataset, options.batch_size, options.flip_test, tell, options.passes,
        loaded.box_style,
    )  # fmt: skip


def measure_own(
    run: str,
    loaded: Loaded,
    batch_size: int = 16,
    split: str = "val",
    advice: str | None = None,
    progress: Progress | None = None,
) -> tuple[KeypointDataset, Errors]:
    """A split of a run's own data, and the run's errors on it. Raises `DataError`, and
    `SettingsError`, which ends with the advice, for a run without validation samples."""
    settings = loaded.settings.data
    if split == "val":
        require_validation(run, loaded, advice)
    found = own_data(run, whole(settings), split)
    found = in_order_of(loaded.skeleton, run, settings, found)
    loaded.require_same_split(run, found.val)
    samples = found.part(split)
    require_part([run], [samples], None, split)
    if not any((s.visibility > 0).any() for s in samples):
        raise DataError(f"no {split} sample of {run} has a labelled point: nothing to compare with")
    errors = predict_samples(loaded, samples, InferenceOptions(batch_size=batch_size), progress)
    framing = Framing.of(settings)
    return KeypointDataset(samples, loaded.skeleton, framing, grey=settings.grey), errors
