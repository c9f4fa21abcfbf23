"""A run exported and measured: inputs of its own data or other, error before and after."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from heatkp.data.dataset import KeypointDataset
from heatkp.data.images import ImageOptions
from heatkp.data.samples import Sample
from heatkp.data.scenes import image_key
from heatkp.data.transforms import Framing
from heatkp.engine import Engine, Region
from heatkp.errors import CheckpointError, DataError, HeatkpError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.measure import load_split
from heatkp.evaluation.metrics import summarise
from heatkp.export.exporting import CALIBRATION, Exported, export_network, exporter_of
from heatkp.export.opening import is_export, made_inputs
from heatkp.export.parity import Inputs, spread
from heatkp.runs import METRICS, Loaded, load_run, weights_path

COMPARED = 128
"""Inputs that both networks look at, at most."""


class Error(NamedTuple):
    """An error over the same samples, before and after.

    Attributes:
        name: of the normaliser.
        samples: how many.
    """

    name: str
    before: float
    after: float
    samples: int


class ExportedRun(NamedTuple):
    """What came of `export_run`.

    Attributes:
        error: None where there were no labelled samples.
    """

    exported: Exported
    error: Error | None


def export_run(
    run: str | PathLike[str] | Loaded,
    to: str,
    out: str | PathLike[str],
    precision: str = "f32",
    data: str | PathLike[str] | None = None,
    tolerance: float | None = None,
    note: Callable[[str], None] = lambda line: None,
) -> ExportedRun:
    """Export a run, see `heatkp.export.export_network`, comparing both on held-out images.

    Args:
        run: a run's folder, a file of weights, the name of a model that comes with heatkp; or
            what `load_run` gives.
        data: labelled images to compare on, and, half of them, to calibrate int8 with. None: the
            run's own, of which it was not trained on those that are compared; where they cannot
            be read, drawn faces or noise, but for int8.
        note: takes lines about what was done.

    Raises:
        As `export_network` does, and `DataError` for data that cannot be read.
    """
    called = fspath(run) if not isinstance(run, Loaded) else run.source or "the model"
    if not isinstance(run, Loaded) and is_export(run):
        raise CheckpointError(f"{run} is an export already: name the run that it was made of")
    loaded = run if isinstance(run, Loaded) else load_run(run, "cpu")
    exporter_of(to, precision, loaded.model)  # refuses before anything is read
    compared, calibrating = _samples(called, loaded, data, precision == "int8", note)
    inputs = _inputs(loaded, compared, called) if compared else made_inputs(loaded)
    if not compared:
        note(f"there are no images of {called}: compared on {inputs.from_where}")
    calibration = _inputs(loaded, calibrating, "").images if calibrating else None
    exported = export_network(
        loaded, to, out, inputs, precision, tolerance=tolerance, calibration=calibration,
        metrics=_metrics(called), terms=_terms(called),
    )  # fmt: skip
    return ExportedRun(exported, _error(loaded, exported, compared))


def _samples(
    run: str,
    loaded: Loaded,
    data: str | PathLike[str] | None,
    calibrates: bool,
    note: Callable[[str], None],
) -> tuple[list[Sample], list[Sample]]:
    """Samples to compare on, and others to calibrate with."""
    options = ImageOptions.of(loaded.settings.data)

    def some(samples: list[Sample], most: int) -> list[Sample]:
        if loaded.settings.head.grouped:  # an image once, however many objects it has
            samples = list({image_key(sample): sample for sample in samples}.values())
        return [samples[i].read_with(options) for i in spread(samples, most)]  # type: ignore[arg-type]

    if data is not None:
        every = load_split(run, loaded, fspath(data), "all").part("all")
        if not calibrates:
            return some(every, COMPARED), []
        if len(every) < 2:
            raise DataError(f"{data} has {len(every)} samples; int8 needs some to compare on, too")
        return some(every[1::2], COMPARED), some(every[::2], CALIBRATION)
    part = "val" if loaded.settings.data.validates else "train"
    try:
        found = load_split(run, loaded, None, part)
        if calibrates:
            found = load_split(run, loaded, None, "all")
    except HeatkpError as error:
        if calibrates:
            raise DataError(
                f"int8 is calibrated on images, and those of {run} cannot be read: {error}; name "
                "others with --data"
            ) from None
        note(f"the images of {run} cannot be read: {error}")
        return [], []
    own = found.val or found.train
    return some(own, COMPARED), some(found.train, CALIBRATION) if calibrates else []


def _inputs(loaded: Loaded, samples: list[Sample], run: str) -> Inputs:
    data = loaded.settings.data
    framing = Framing(loaded.model.size) if loaded.settings.head.grouped else Framing.of(data)
    engine = Engine(loaded.runner, loaded.skeleton, framing, data.grey)
    seen = [engine.input_of(Region(s.rgb(), _box(s), s.id))[0].numpy() for s in samples]
    return Inputs(np.stack(seen), f"images of {run}")


def _box(sample: Sample) -> Any:
    return None if sample.box is None else np.asarray(sample.box, np.float64)


def _error(loaded: Loaded, exported: Exported, samples: list[Sample]) -> Error | None:
    labelled = [s for s in samples if (s.visibility > 0).any()]
    if not labelled or loaded.settings.head.grouped:  # whose files take no labelled boxes
        return None
    data = loaded.settings.data
    dataset = KeypointDataset(labelled, loaded.skeleton, Framing.of(data), grey=data.grey)
    found = []
    for backend in (replace(loaded, backend=None).runner, exported.backend):
        blocks = summarise(predict_dataset(backend, dataset), loaded.skeleton)["normalised"]
        name = next((n for n, block in blocks.items() if block["nme"] is not None), None)
        if name is None:
            return None
        found.append((name, float(blocks[name]["nme"])))
    return Error(found[0][0], found[0][1], found[1][1], len(labelled))


def _metrics(run: str) -> dict[str, Any] | None:
    """The figures of a run's own evaluation, where they are there."""
    if not (Path(run) / METRICS).is_file():
        return None
    try:
        whole = json.loads((Path(run) / METRICS).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    keys = ("images", "mae_photo", "mae_input", "mae_normalised", "normalised")
    return {key: whole[key] for key in keys if key in whole} if isinstance(whole, dict) else None


def _terms(run: str) -> str | None:
    """The card of a model that comes with heatkp."""
    try:
        card = weights_path(run).with_suffix(".md")
    except HeatkpError:
        return None
    return card.read_text(encoding="utf-8").strip() if card.is_file() else None
