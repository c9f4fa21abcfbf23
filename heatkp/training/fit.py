"""A whole run: prepare, fit, evaluate the best weights, write the run folder."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import Progress

from heatkp import runs
from heatkp.config import Settings, parse_settings, put, read_yaml
from heatkp.data.boxes import BoxStyle
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.errors import CheckpointError, SettingsError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise
from heatkp.files import write_text
from heatkp.models import build_model
from heatkp.models.encoders import input_statistics
from heatkp.text import is_text, json_text
from heatkp.training.callbacks import (
    BestWeights,
    DataWait,
    Diverged,
    History,
    LastCheckpoint,
    ProgressLine,
    SafeCheckpointIO,
    StopEarly,
    moving_average,
)
from heatkp.training.module import KeypointModule


@dataclass
class Prepared:
    """A run whose settings, data and model have been found good; nothing is written yet."""

    settings: Settings
    data: KeypointDataModule
    module: KeypointModule


def _preload(data: KeypointDataModule, console: Console) -> None:
    """Read the photos, with a bar where that takes a while, and say what was found."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading photos", visible=False)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        data.preload(progress)
    console.print(
        f"{len(data.train_set)} training and {len(data.val_set)} validation samples",
        highlight=False,
    )
    for note in data.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)


def prepare(settings: Settings, console: Console, filled: bool = True) -> Prepared:
    """Read the data and build the model, or raise what is wrong with them.

    `filled=False` leaves out the weights that a new run begins with, for a checkpoint holds all.
    """
    settings = settings.model_copy(deep=True)
    if (settings.model.mean is None) != (settings.model.std is None):
        raise SettingsError("model.mean and model.std: give both, with one number per channel")
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    loaded = load_data(settings.data)
    for part, samples in (("training", loaded.train), ("validation", loaded.val)):
        if not any((s.visibility > 0).any() for s in samples):
            raise SettingsError(f"no {part} sample has a labelled point: nothing to learn from")
    if settings.model.mean is None or settings.model.std is None:
        mean, std = runs.source_statistics(settings) or input_statistics(settings.model)
        settings.model.mean, settings.model.std = mean, std
    torch.manual_seed(settings.trainer.seed)
    blank = settings.model_copy(deep=True)
    if settings.model.init or settings.model.transfer or not filled:  # about to be overwritten
        blank.model.encoder_weights = "none"
    model = build_model(blank, len(loaded.skeleton))
    if filled:
        runs.start_from(model, settings, loaded.skeleton)
        transferred = runs.transfer_to(model, settings)
        if transferred is not None:
            console.print(transferred, highlight=False, style="dim", soft_wrap=True)
    model.to(memory_format=torch.channels_last)  # faster on CPUs and GPUs alike
    data = KeypointDataModule(settings, loaded)
    _preload(data, console)
    style = BoxStyle.of(loaded.train) if settings.data.crop == "box" else None
    description = runs.describe(settings, loaded.skeleton, style, loaded.train, loaded.val)
    module = KeypointModule(model, settings, description)
    return Prepared(settings, data, module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advice and torch's warnings about Lightning's internals, held back."""
    names = ("lightning.pytorch", "lightning.fabric", "lightning", "pytorch_lightning")
    levels = {name: logging.getLogger(name).level for name in names}
    for name in names:
        logging.getLogger(name).setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(lightning|pytorch_lightning|torch)\b.*")
        try:
            yield
        finally:
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)


def _accelerator(device: str) -> str:
    if device == "auto":
        return "auto"
    if device == "cuda" and not torch.cuda.is_available():
        raise SettingsError("trainer.device: cuda is not available on this machine; use auto")
    if device == "mps" and not torch.backends.mps.is_available():
        raise SettingsError("trainer.device: mps is not available on this machine; use auto")
    return "gpu" if device == "cuda" else device


def _callbacks(prepared: Prepared, run: Path, console: Console) -> list[Callback]:
    settings = prepared.settings
    found: list[Callback] = [Diverged(), BestWeights(run / runs.WEIGHTS)]
    if settings.trainer.animation_every:
        from heatkp.training.animation import Animation

        every, faces = settings.trainer.animation_every, settings.trainer.animation_faces
        # Before the moving average, which takes the weights' place at the end.
        found.append(Animation(run / "settling.gif", every, faces, prepared.data.val_set))
    if settings.trainer.ema:
        found.append(moving_average(settings.trainer.ema))
    if settings.trainer.early_stopping:
        found.append(StopEarly(settings.trainer.early_stopping, settings.trainer.validate_every))
    wait = DataWait()
    history = History(run / runs.HISTORY, wait)
    return [*found, wait, history, ProgressLine(console, wait), LastCheckpoint(run / runs.LAST)]


def _loggers(run: Path, console: Console) -> Any:
    if find_spec("tensorboard") is None:
        return False
    if not is_text(str(run)):
        console.print(f"no TensorBoard files: it takes no folder that is not UTF-8 ({run})")
        return False
    from lightning.pytorch.loggers import TensorBoardLogger

    return TensorBoardLogger(run, name="tensorboard", version="")


def _validation_epochs(settings: Settings) -> int:
    # Lightning counts from the first epoch; a period that divides the run validates its last.
    period, epochs = settings.trainer.validate_every, settings.trainer.epochs
    if epochs % period:
        raise SettingsError(
            f"trainer.validate_every: {period} does not divide the {epochs} epochs, "
            "so the last one would not be validated"
        )
    return period


def fit(
    prepared: Prepared,
    run: Path,
    console: Console,
    resume: Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> None:
    """Train in a run folder, from the beginning or from a checkpoint of its last epoch.

    `callbacks` come after heatkp's own: an epoch is in the checkpoint when they see its end.
    """
    settings = prepared.settings
    period = _validation_epochs(settings)
    pl.seed_everything(settings.trainer.seed, workers=True, verbose=False)
    with _quiet():
        trainer = pl.Trainer(
            accelerator=_accelerator(settings.trainer.device),
            devices=1,
            precision="bf16-mixed" if settings.trainer.precision == "bf16" else "32-true",
            max_epochs=settings.trainer.epochs,
            accumulate_grad_batches=settings.optimiser.accumulate,
            check_val_every_n_epoch=period,
            deterministic="warn" if settings.trainer.deterministic else None,
            callbacks=[*_callbacks(prepared, run, console), *callbacks],
            logger=_loggers(run, console),
            plugins=[SafeCheckpointIO()],
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=run,
        )
        try:
            trainer.fit(
                prepared.module,
                datamodule=prepared.data,
                ckpt_path=resume,
                weights_only=None if resume is None else True,
            )
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt(str(run)) from None
            raise


def finish(prepared: Prepared, run: Path) -> dict[str, Any]:
    """Evaluate the best weights on the validation samples; write weights, metrics, pictures."""
    from heatkp.viz import figures
    from heatkp.viz.curves import run_curves

    settings, skeleton = prepared.settings, prepared.data.data.skeleton
    best = runs.load_run(run)
    errors = predict_dataset(best.model, prepared.data.val_set, settings.trainer.batch_size)
    metrics = summarise(errors, skeleton)
    metrics["split"] = "val"
    run_curves(run / runs.HISTORY, run / "curves.png")
    figures.error_curve(errors, skeleton, run / "error_curve.png")
    figures.predictions(errors, prepared.data.val_set, run / "predictions.png")
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    return metrics


def train(
    settings: Settings,
    out: str | Path | None,
    console: Console,
    callbacks: Sequence[Callback] = (),
) -> tuple[Path, dict[str, Any]]:
    """Train and evaluate a new run; gives its folder and metrics. `callbacks` as in `fit`.

    Raises `SettingsError`, `DataError` or `CheckpointError` before anything is written.
    """
    from heatkp.viz import figures

    _accelerator(settings.trainer.device)
    _validation_epochs(settings)
    prepared = prepare(settings, console)
    run = runs.create_run(out, settings.head.name)
    write_text(run / runs.SETTINGS, prepared.settings.to_yaml())
    write_text(run / runs.ENVIRONMENT, json_text(runs.environment(), indent=1) + "\n")
    figures.training_samples(prepared.data.train_set, run / "samples.png")
    fit(prepared, run, console, callbacks=callbacks)
    return run, finish(prepared, run)


def resume(
    run: Path,
    console: Console,
    callbacks: Sequence[Callback] = (),
    overrides: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Continue a run that was stopped, to the result of one that was not; gives its metrics.

    `callbacks` as in `fit`; `overrides` are settings by `section.key` that are used instead of
    the run's own, which another machine may have begun.

    Raises `CheckpointError` for what is no run folder, or a run that is finished.
    """
    if not (run / runs.SETTINGS).is_file():
        raise CheckpointError(f"{run} is not a run folder: it has no {runs.SETTINGS}")
    if (run / runs.METRICS).is_file():
        raise CheckpointError(f"the run {run} is finished; evaluate it with: heatkp eval {run}")
    values = read_yaml(run / runs.SETTINGS)
    for key, value in (overrides or {}).items():
        put(values, key, value)
    last = run / runs.LAST
    settings = parse_settings(values, str(run / runs.SETTINGS))
    prepared = prepare(settings, console, filled=not last.is_file())
    if last.is_file():
        # Says plainly what is wrong with a checkpoint that does not fit.
        loaded, data = runs.load_run(last), prepared.data.data
        loaded.demand_same_split(run, data.val)
        loaded.demand_same_training(run, data.train)
    fit(prepared, run, console, last if last.is_file() else None, callbacks)
    return finish(prepared, run)
