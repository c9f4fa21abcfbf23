"""The training of head `grouped`: whole images with the points of all their objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console

from heatkp import runs
from heatkp.config import Settings, parse_settings, put, read_yaml
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import MemoryData
from heatkp.data.mirroring import mirroring_note
from heatkp.data.samples import KeypointData
from heatkp.data.scenes import Scene, split_scenes
from heatkp.data.transforms import Framing
from heatkp.errors import SettingsError, StorageError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise
from heatkp.files import check_folder, write_text
from heatkp.inference.detectors import Detection
from heatkp.inference.finder import Finder
from heatkp.models import build_model
from heatkp.models.encoders import input_statistics
from heatkp.models.grouped import GroupedModel
from heatkp.runs.starting import source_statistics, start_from, transfer_to
from heatkp.text import json_text
from heatkp.training import finder, fit, resuming
from heatkp.training.finder_module import LOWEST, FinderData
from heatkp.training.grouped_module import GROUPED_COLUMNS, GroupedModule
from heatkp.training.loggers import RunLoggers
from heatkp.training.processes import devices_of, place
from heatkp.training.run_files import own_encoder, record
from heatkp.training.storage import held, resumable

FILES = finder.Files(runs.WEIGHTS, runs.HISTORY, runs.LAST, GROUPED_COLUMNS)
SHOWN = "found.png"
"""Found objects with their points beside labelled ones."""


@dataclass
class PreparedGrouped(finder.PreparedFinder):
    """A training whose settings, data and network have been found good."""

    loaded: KeypointData
    loggers: RunLoggers


def own_settings(settings: Settings) -> Settings:
    """Settings with those of the section `finder` in the place of the others'."""
    own = finder.own_settings(settings)
    started = {k: getattr(settings.model, k) for k in ("init", "transfer", "freeze")}
    own.model = own.model.model_copy(update=started)
    statistics = source_statistics(settings)
    if settings.model.mean is None and statistics is not None:
        own.model.mean, own.model.std = (list(values) for values in statistics)
    if settings.model.layers:
        own.model.layers = settings.model.layers  # which is refused as by other heads with maps
    return own


def prepare(
    settings: Settings,
    console: Console,
    given: MemoryData | None = None,
    begun: runs.Loaded | None = None,
    run: str = "the run",
) -> PreparedGrouped:
    """Read the data and build the network, or raise what is wrong with them.

    `given` are samples that a program holds; `begun` is what the checkpoint of `run` holds.
    """
    loggers = RunLoggers(settings)
    own = own_settings(settings)
    if own.trainer.threads:
        torch.set_num_threads(own.trainer.threads)
    loaded = fit.read_samples(own, begun, run, given, boxes=True)
    train, val = split_scenes(loaded, own.data.train_limit > 0)
    size = finder.input_size(train, own)
    own.data.size = list(size)
    data = FinderData(own, size, train, val if own.data.validates else [], loaded.skeleton)
    data.notes += loaded.notes
    if own.augmentation.flip and (note := mirroring_note(loaded.skeleton)):
        data.notes.append(note)
    finder.read_images("grouped", data, train, val, console)
    torch.manual_seed(own.trainer.seed)
    blank = own.model_copy(deep=True)
    if own.model.init or own.model.transfer or begun is not None:  # about to be overwritten
        blank.model.encoder_weights = "none"
    if own.model.mean is None:
        own.model.mean, own.model.std = (list(v) for v in input_statistics(own.model))
    model = cast(GroupedModel, build_model(blank, len(loaded.skeleton)))
    model.start_sides(finder.usual_side(data))
    if begun is None:
        start_from(model, own, loaded.skeleton)
        taken = transfer_to(model, own)
        if taken is not None:
            console.print(taken, highlight=False, style="dim", soft_wrap=True)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    description = runs.describe(own, loaded.skeleton, None, loaded.train, loaded.val)
    module = GroupedModule(model, own, description)
    return PreparedGrouped(own, data, module, train, val, loaded, loggers)


def train(
    settings: Settings,
    out: str | Path | None,
    console: Console,
    callbacks: Sequence[Callback] = (),
    given: MemoryData | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Train and evaluate a new run; gives its folder and metrics, those of finding objects under
    `finder`.

    Raises `SettingsError`, `DataError` or `CheckpointError` before anything is written.
    """
    fit.validation_epochs(own_settings(settings))
    runs.check_run(out)
    prepared = prepare(settings, console, given)
    run = runs.create_run(out, settings.head.name)
    try:
        with resumable(run), held(run):
            record(prepared.settings, run)
            return run, _fit(prepared, run, console, callbacks=callbacks)
    except StorageError:
        with suppress(OSError):
            run.rmdir()  # goes where nothing was begun
        raise


def resume(
    run: Path,
    console: Console,
    changes: Mapping[str, Any],
    given: MemoryData | None = None,
    encoder: Any = None,
) -> dict[str, Any]:
    """Continue a run, as `resuming.resume`."""
    resuming.require_changes(run, changes)
    values = read_yaml(run / runs.SETTINGS)
    for key, value in changes.items():
        put(values, key, value)
    if "trainer.epochs" in changes:
        put(values, "finder.epochs", None)
    settings = parse_settings(values, str(run / runs.SETTINGS))
    if encoder is not None:
        settings.model.encoder = encoder
    own = own_settings(settings)
    finished = (run / runs.METRICS).is_file()
    resuming.require_epochs(run, own, finished, changes)
    fit.validation_epochs(own)
    with resumable(run):
        check_folder(run)
    with held(run):
        last = run / runs.LAST
        begun = runs.load_run(last, encoder=encoder) if last.is_file() else None
        prepared = prepare(settings, console, given, begun, str(run))
        if begun is not None:
            begun.require_same_split(run, prepared.loaded.val)
            begun.require_same_training(run, prepared.loaded.train)
        with resumable(run):
            resuming.begin_again(run, changes, finished, prepared.settings.data.validates)
            record(prepared.settings, run, rewrite=bool(changes))
            return _fit(
                prepared, run, console, last if begun is not None else None, further=finished
            )


def _fit(
    prepared: PreparedGrouped,
    run: Path,
    console: Console,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
    further: bool = False,
) -> dict[str, Any]:
    with prepared.loggers.opened(run, console) as loggers:
        every = [*callbacks, prepared.loggers.settings_logged()]
        finder.fit(prepared, run, console, resume, every, FILES, loggers, further)
    metrics = finish(prepared, run)
    if metrics["split"] is not None:
        line = finder.finding_line("grouped", metrics["finder"])
        console.print(line, highlight=False, soft_wrap=True)
    console.print(
        f"Objects and points beside the labels: {run / SHOWN}", highlight=False, soft_wrap=True
    )
    return metrics


def finish(prepared: PreparedGrouped, run: Path) -> dict[str, Any]:
    """Measure the best weights on the validation images; write metrics and images."""
    from heatkp.viz.found_objects import draw_found
    from heatkp.viz.run_figures import RunData, draw

    settings, skeleton = prepared.settings, prepared.loaded.skeleton
    validates = settings.data.validates and bool(prepared.val)
    if not validates:
        state, description = runs.read_weights(run / runs.LAST)
        prepared.module.model.load_state_dict(state)
        runs.save_weights(run / runs.WEIGHTS, prepared.module.model, description)
    best = runs.load_run(run, settings.trainer.device, own_encoder(settings))
    detector = Finder(runs.grouped_finder(best))
    data, grey = settings.data, settings.data.grey
    shown = prepared.loaded.val if validates else prepared.loaded.train[:12]
    dataset = KeypointDataset(shown, skeleton, Framing.of(data), grey=grey)
    errors = predict_dataset(best.model, dataset, settings.trainer.batch_size)
    draw(RunData(run, settings, skeleton, dataset, errors, validated=validates), run)
    draw_found(detector, prepared.val if validates else prepared.train, run / SHOWN, skeleton)
    if validates:
        metrics = summarise(errors, skeleton)
        metrics["split"] = "val"
        metrics["training_samples"] = len(prepared.loaded.train)
        metrics["finder"] = _found(detector, prepared.val)
    else:
        metrics = {
            "split": None, "images": 0, "samples": len(prepared.loaded.train),
            "epochs": settings.trainer.epochs, "train_loss": prepared.module.train_loss,
        }  # fmt: skip
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    prepared.loggers.finish(metrics)
    return metrics


def _found(detector: Finder, scenes: Sequence[Scene]) -> dict[str, Any]:
    """Figures of finding, and of the points of those objects that were found."""
    every = detector.with_options(min_score=LOWEST)
    found = [every(scene.image.rgb()) for scene in scenes]
    matched = [finder.found_in(scene, one) for scene, one in zip(scenes, found)]
    metrics = finder.finding_metrics(matched, detector.min_score)
    distances: list[float] = []
    relative: list[float] = []
    for scene, one in zip(scenes, found):
        sure = [d for d in one if d.score >= detector.min_score]
        for i, object_ in points_of_found(scene, sure):
            truth, known = scene.keypoints[i], scene.visibility[i] > 0
            off = np.linalg.norm(object_.points - truth, axis=1)[known]
            box = scene.boxes[i]
            distances += off.tolist()
            relative += (off / np.sqrt((box[2:] - box[:2]).prod())).tolist()
    metrics["points"] = len(distances)
    metrics["distance_photo"] = float(np.mean(distances)) if distances else None
    metrics["distance_relative"] = float(np.mean(relative)) if relative else None
    return metrics


def points_of_found(scene: Scene, found: Sequence[Detection]) -> list[tuple[int, Any]]:
    """The labelled object, by its place in the scene, that each found one is, with its points."""
    known = np.flatnonzero(np.isfinite(scene.boxes).all(1))
    # What is of no object stays out of the match, so that places are those of `found`.
    matched = finder.found_in(replace(scene, ignored=np.zeros((0, 4))), found)
    order = np.argsort([-one.score for one in found], kind="stable")
    return [
        (int(known[which]), found[order[i]].points)
        for i, which in enumerate(matched.which)
        if which >= 0
    ]


def require_one_device(settings: Settings) -> None:
    """Raises `SettingsError` for what this machine cannot do, and for several devices."""
    fit.require_hardware(settings)
    if place().world > 1 or devices_of(settings.trainer) > 1:
        raise SettingsError("head grouped trains on one device: leave out trainer.devices")
