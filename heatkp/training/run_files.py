"""What a training writes into its run folder before the first epoch and after the last."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from heatkp import runs
from heatkp.config import Settings
from heatkp.data.module import KeypointDataModule
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise
from heatkp.files import write_text
from heatkp.inference.finder import Finder
from heatkp.inference.measuring import measure_objects, objects_of
from heatkp.inference.predictor import Predictor
from heatkp.text import json_text
from heatkp.training.loggers import RunLoggers
from heatkp.training.module import KeypointModule

UNMEASURED_SHOWN = 12
"""Training samples that a run without validation shows in predictions.png."""


@dataclass
class Prepared:
    """A run whose settings, data and model have been found good; nothing is written yet."""

    settings: Settings
    data: KeypointDataModule
    module: KeypointModule
    loggers: RunLoggers


def finish(prepared: Prepared, run: Path) -> dict[str, Any]:
    """Evaluate the best weights on the validation samples; write metrics and images.

    Without validation samples the last weights are kept, nothing is measured, and images are
    of training samples.
    """
    from heatkp.viz.run_figures import RunData, draw

    settings, skeleton = prepared.settings, prepared.data.data.skeleton
    if not settings.data.validates:
        return _finish_unmeasured(prepared, run)
    best = runs.load_run(run, settings.trainer.device, own_encoder(settings))
    errors = predict_dataset(best.model, prepared.data.val_set, settings.trainer.batch_size)
    metrics = summarise(errors, skeleton)
    metrics["split"] = "val"
    metrics["training_samples"] = len(prepared.data.train_set)
    metrics |= _taught(prepared)
    if (run / runs.FINDER).is_file():
        metrics["objects"] = _objects(prepared, best, run)
    draw(RunData(run, settings, skeleton, prepared.data.val_set, errors), run)
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    prepared.loggers.finish(metrics)
    return metrics


def _objects(prepared: Prepared, best: runs.Loaded, run: Path) -> dict[str, Any]:
    """What the run's finder and points find in the validation images."""
    trainer = prepared.settings.trainer
    predictor = Predictor(best, detector=Finder(run, trainer.device))
    samples = objects_of(prepared.data.data, "val")
    return measure_objects(predictor, samples, batch_size=trainer.batch_size).figures


def _taught(prepared: Prepared) -> dict[str, Any]:
    """Which teachers a run had, where it had any, and what became of images without labels."""
    soft = prepared.data.soft
    return {} if soft is None else {"taught": dict(soft.record)}


def own_encoder(settings: Settings) -> Any:
    """The module that settings hold; None where they name one."""
    return None if isinstance(settings.model.encoder, str) else settings.model.encoder


def _finish_unmeasured(prepared: Prepared, run: Path) -> dict[str, Any]:
    """The end of a run without validation samples."""
    from heatkp.viz.curves import read_history
    from heatkp.viz.run_figures import RunData, draw

    kept = prepared.settings
    last = runs.load_run(run / runs.LAST, kept.trainer.device, own_encoder(kept))
    description = runs.read_weights(run / runs.LAST)[1]
    runs.save_weights(run / runs.WEIGHTS, last.model, description)
    every = prepared.data.shown()
    places = np.linspace(0, len(every) - 1, min(UNMEASURED_SHOWN, len(every))).round()
    some = every.take([int(i) for i in places])
    errors = predict_dataset(last.model, some, prepared.settings.trainer.batch_size)
    skeleton = prepared.data.data.skeleton
    draw(RunData(run, prepared.settings, skeleton, some, errors, validated=False), run)
    epochs, losses = read_history(run / runs.HISTORY)["train_loss"]
    metrics = {
        "split": None, "images": 0, "samples": len(prepared.data.train_set),
        "epochs": epochs[-1], "train_loss": losses[-1], **_taught(prepared),
    }  # fmt: skip
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    prepared.loggers.finish(metrics)
    return metrics


def record(settings: Settings, run: Path, rewrite: bool = True) -> None:
    """Write a run's settings, over those that are there with `rewrite`, and its environment where
    it is not there yet. Raises `OSError`."""
    if rewrite:
        write_text(run / runs.SETTINGS, settings.to_yaml())
    if not (run / runs.ENVIRONMENT).is_file():
        write_text(run / runs.ENVIRONMENT, json_text(runs.environment(), indent=1) + "\n")


def begin(prepared: Prepared, run: Path, settings: bool = True) -> None:
    """Write what a run folder holds before its first epoch, where it is not there yet; the
    `settings` in any case."""
    from heatkp.viz.run_figures import RunData, draw

    record(prepared.settings, run, settings)
    if prepared.data.soft is not None and not (run / runs.TEACHER).is_file():
        prepared.data.soft.save(run / runs.TEACHER)
    if not (run / "samples.png").is_file():
        train_set = prepared.data.train_set
        draw(RunData(run, prepared.settings, prepared.data.data.skeleton, train_set), run, "begin")
