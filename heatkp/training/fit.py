"""A whole run: prepare, fit, evaluate the best weights, write the run folder."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from rich.console import Console
from rich.progress import Progress

from heatkp import runs
from heatkp.config import Settings
from heatkp.data.boxes import BoxStyle
from heatkp.data.loading import MemoryData, load_data
from heatkp.data.matching import in_order_of, whole
from heatkp.data.module import KeypointDataModule
from heatkp.errors import SettingsError, StorageError
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import summarise
from heatkp.files import write_text
from heatkp.models import KeypointModel, build_model
from heatkp.models.devices import choose_device
from heatkp.models.encoders import input_statistics
from heatkp.runs.starting import source_statistics, start_from, transfer_to
from heatkp.text import json_text
from heatkp.training.callbacks import (
    BestWeights,
    DataWait,
    Diverged,
    History,
    LastCheckpoint,
    ProgressLine,
    SafeCheckpointIO,
    StopEarly,
    Stretched,
    moving_average,
)
from heatkp.training.loggers import RunLoggers
from heatkp.training.module import ALONE, KeypointModule
from heatkp.training.processes import (
    ConsoleKind,
    Meeting,
    Place,
    cluster_environment,
    devices_of,
    launch,
    met,
    must_launch,
    require_no_callbacks,
)
from heatkp.training.sharing import Shared, parallel_strategy
from heatkp.training.storage import epochs_done, resumable

PRECISIONS: dict[str, Any] = {"32": "32-true", "bf16": "bf16-mixed", "16": "16-mixed"}
"""Lightning's names."""
UNMEASURED_SHOWN = 12
"""Training samples that a run without validation shows in predictions.png."""


@dataclass
class Prepared:
    """A run whose settings, data and model have been found good; nothing is written yet."""

    settings: Settings
    data: KeypointDataModule
    module: KeypointModule
    loggers: RunLoggers


def _preload(data: KeypointDataModule, console: Console) -> None:
    """Read the images, with a bar where that takes a while, and say what was found."""
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("reading images", visible=False)

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total, visible=True)

        data.preload(progress)
    counts = f"{len(data.train_set)} training and {len(data.val_set)} validation samples"
    if not len(data.val_set):
        counts = f"{len(data.train_set)} training samples, none for validation"
    console.print(counts, highlight=False)
    for note in data.notes:
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)


def _step_notes(settings: Settings, model: KeypointModel, samples: int) -> list[str]:
    """What steps of so many samples mean for a model and an epoch."""
    size = settings.trainer.batch_size
    notes = []
    if min(size, samples) == 1 and model.pooled_norms:
        notes.append(
            f"with one sample a step, {model.pooled_norms} of the network's batch norms see one "
            "value per channel: they use their stored statistics, which never change"
        )
    left = samples % size if samples > size else 0
    if left:
        notes.append(
            f"{left} of {samples} samples, others each time, are left out of an epoch: they fill "
            f"no batch of {size} (trainer.batch_size)"
        )
    return notes


def prepare(
    settings: Settings,
    console: Console,
    begun: runs.Loaded | None = None,
    run: str = "the run",
    given: MemoryData | None = None,
    mine: Place = ALONE,
) -> Prepared:
    """Read the data and build the model, or raise what is wrong with them.

    `begun` is what the checkpoint of `run` holds: the weights that a new run begins with are left
    out, and points are in its order. `given` are samples that a program holds; `mine` is which of
    several processes this is.
    """
    settings = settings.model_copy(deep=True)
    loggers = RunLoggers(settings)  # before minutes of work
    if (settings.model.mean is None) != (settings.model.std is None):
        raise SettingsError("model.mean and model.std: give both, with one number per channel")
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    if begun is None:
        loaded = load_data(settings.data, given=given)
    else:
        loaded = load_data(whole(settings.data), given=given)
        loaded = in_order_of(begun.skeleton, run, settings.data, loaded)
        # As it was begun, also where another version would tell left from right otherwise.
        loaded = replace(loaded, skeleton=begun.skeleton)
    parts = {"training": loaded.train, "validation": loaded.val}
    if not settings.data.validates:
        del parts["validation"]
    for part, samples in parts.items():
        if not any((s.visibility > 0).any() for s in samples):
            raise SettingsError(f"no {part} sample has a labelled point: nothing to learn from")
    if settings.model.mean is None or settings.model.std is None:
        mean, std = source_statistics(settings) or input_statistics(settings.model)
        settings.model.mean, settings.model.std = mean, std
    torch.manual_seed(settings.trainer.seed)
    blank = settings.model_copy(deep=True)
    if (
        settings.model.init or settings.model.transfer or begun is not None
    ):  # about to be overwritten
        blank.model.encoder_weights = "none"
    model = build_model(blank, len(loaded.skeleton))
    if begun is None:
        start_from(model, settings, loaded.skeleton)
        transferred = transfer_to(model, settings)
        if transferred is not None:
            console.print(transferred, highlight=False, style="dim", soft_wrap=True)
    model.to(memory_format=torch.channels_last)  # faster on CPUs and GPUs alike
    data = KeypointDataModule(settings, loaded, mine.rank, mine.world)
    _preload(data, console)
    data.require_shares()
    for note in _step_notes(settings, model, len(data.train_set)):
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    style = BoxStyle.of(loaded.train) if settings.data.crop == "box" else None
    description = runs.describe(settings, loaded.skeleton, style, loaded.train, loaded.val)
    module = KeypointModule(model, settings, description, mine)
    return Prepared(settings, data, module, loggers)


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


def require_hardware(settings: Settings) -> None:
    """Raises `SettingsError` for what this machine cannot do."""
    given = settings.trainer
    device = choose_device(given.device, "trainer.device")
    if device.type != "cuda" and given.precision == "16":
        raise SettingsError("trainer.precision: 16 needs a GPU of NVIDIA or AMD; take bf16 or 32")
    if device.type != "cuda" and given.sync_batchnorm:
        raise SettingsError("trainer.sync_batchnorm needs GPUs: leave it out")
    devices_of(given)


def _callbacks(
    prepared: Prepared, run: Path, console: Console, resumed: bool, further: bool, mine: Place
) -> list[Callback]:
    settings = prepared.settings
    found: list[Callback] = [Shared()] if mine.world > 1 else []
    found.append(Diverged())
    if settings.data.validates:
        found.append(BestWeights(run / runs.WEIGHTS))
    if resumed:
        found.append(Stretched(console))
    if settings.trainer.animation_every and mine.first:
        from heatkp.training.animation import Animation

        every, faces = settings.trainer.animation_every, settings.trainer.animation_faces
        # Before the moving average, which takes the weights' place at the end.
        found.append(Animation(run / "settling.gif", every, faces, prepared.data.shown()))
    if settings.trainer.ema:
        found.append(moving_average(settings.trainer.ema))
    if settings.trainer.early_stopping:
        patience, period = settings.trainer.early_stopping, settings.trainer.validate_every
        found.append(StopEarly(patience, period, further))
    wait = DataWait()
    history = History(run / runs.HISTORY, wait)
    return [*found, wait, history, ProgressLine(console, wait), LastCheckpoint(run / runs.LAST)]


def validation_epochs(settings: Settings) -> int:
    # Lightning counts from the first epoch; a period that divides the run validates its last.
    period, epochs = settings.trainer.validate_every, settings.trainer.epochs
    if epochs % period and settings.data.validates:
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
    further: bool = False,
    mine: Place = ALONE,
) -> None:
    """Train in a run folder, from the beginning or from a checkpoint of its last epoch.

    `callbacks` come after heatkp's own: an epoch is in the checkpoint when they see its end.
    `further` trains on a run that had ended, also where it had stopped early. `mine` is which of
    several processes this is: each calls this.
    """
    settings = prepared.settings
    period = validation_epochs(settings)
    own = _callbacks(prepared, run, console, resume is not None, further, mine)
    device = choose_device(settings.trainer.device, "trainer.device")
    if resume is not None:
        prepared.data.first_epoch = epochs_done(run) or 0
    if settings.trainer.compile:
        prepared.module.model.compile_network()
    several: dict[str, Any] = {}
    if mine.world > 1:
        model = prepared.module.model
        several["strategy"] = parallel_strategy(settings.trainer.strategy, model)
        several["num_nodes"] = mine.nodes
        several["sync_batchnorm"] = settings.trainer.sync_batchnorm
    pl.seed_everything(settings.trainer.seed, workers=True, verbose=False)
    with _quiet(), prepared.loggers.opened(run, console) as loggers:
        trainer = pl.Trainer(
            accelerator="gpu" if device.type == "cuda" else device.type,
            devices=mine.local_world,
            precision=PRECISIONS[settings.trainer.precision],
            max_epochs=settings.trainer.epochs,
            accumulate_grad_batches=settings.optimiser.accumulate,
            check_val_every_n_epoch=period,
            deterministic="warn" if settings.trainer.deterministic else None,
            callbacks=[*own, *callbacks, prepared.loggers.settings_logged()],
            limit_val_batches=1.0 if settings.data.validates else 0,
            logger=loggers,
            plugins=[SafeCheckpointIO(), cluster_environment(mine)],
            use_distributed_sampler=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            enable_checkpointing=False,
            num_sanity_val_steps=0,
            log_every_n_steps=1,
            default_root_dir=run,
            **several,
        )
        try:
            trainer.fit(
                prepared.module,
                datamodule=prepared.data,
                ckpt_path=resume,
                weights_only=None if resume is None else True,
            )
        except RuntimeError as error:
            # torch._dynamo's and inductor's own errors; importing them takes a second.
            if not (settings.trainer.compile and type(error).__module__.startswith("torch._")):
                raise
            raise SettingsError(
                f"trainer.compile: torch cannot compile here ({str(error).splitlines()[0]}): "
                "leave it out"
            ) from None
        except SystemExit:  # what Lightning makes of Ctrl-C
            if trainer.interrupted:
                raise KeyboardInterrupt(str(run)) from None
            raise


def finish(prepared: Prepared, run: Path) -> dict[str, Any]:
    """Evaluate the best weights on the validation samples; write metrics and images.

    Without validation samples the last weights are kept, nothing is measured, and images are
    of training samples.
    """
    from heatkp.viz.run_figures import RunData, draw

    settings, skeleton = prepared.settings, prepared.data.data.skeleton
    if not settings.data.validates:
        return _finish_unmeasured(prepared, run)
    best = runs.load_run(run, settings.trainer.device, _own_encoder(settings))
    errors = predict_dataset(best.model, prepared.data.val_set, settings.trainer.batch_size)
    metrics = summarise(errors, skeleton)
    metrics["split"] = "val"
    metrics["training_samples"] = len(prepared.data.train_set)
    draw(RunData(run, settings, skeleton, prepared.data.val_set, errors), run)
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    prepared.loggers.finish(metrics)
    return metrics


def _own_encoder(settings: Settings) -> Any:
    """The module that settings hold; None where they name one."""
    return None if isinstance(settings.model.encoder, str) else settings.model.encoder


def _finish_unmeasured(prepared: Prepared, run: Path) -> dict[str, Any]:
    """The end of a run without validation samples."""
    from heatkp.viz.curves import read_history
    from heatkp.viz.run_figures import RunData, draw

    kept = prepared.settings
    last = runs.load_run(run / runs.LAST, kept.trainer.device, _own_encoder(kept))
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
        "epochs": epochs[-1], "train_loss": losses[-1],
    }  # fmt: skip
    write_text(run / runs.METRICS, json_text(metrics, indent=1) + "\n")
    prepared.loggers.finish(metrics)
    return metrics


def begin(prepared: Prepared, run: Path, settings: bool = True) -> None:
    """Write what a run folder holds before its first epoch, where it is not there yet; the
    `settings` in any case."""
    from heatkp.viz.run_figures import RunData, draw

    if settings:
        write_text(run / runs.SETTINGS, prepared.settings.to_yaml())
    if not (run / runs.ENVIRONMENT).is_file():
        write_text(run / runs.ENVIRONMENT, json_text(runs.environment(), indent=1) + "\n")
    if not (run / "samples.png").is_file():
        train_set = prepared.data.train_set
        draw(RunData(run, prepared.settings, prepared.data.data.skeleton, train_set), run, "begin")


def train(
    settings: Settings,
    out: str | Path | None,
    console: Console,
    callbacks: Sequence[Callback] = (),
    given: MemoryData | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Train and evaluate a new run; gives its folder and metrics. `callbacks` as in `fit`,
    `given` as in `prepare`.

    Where settings ask for several devices and nobody started a process for each, it starts them
    on this machine.

    Raises `SettingsError`, `DataError` or `CheckpointError` before anything is written.
    """
    require_hardware(settings)
    validation_epochs(settings)
    runs.check_run(out)  # before minutes of work
    if must_launch(settings.trainer):
        require_no_callbacks(callbacks)
        found: tuple[Path, dict[str, Any]] = launch(
            devices_of(settings.trainer),
            train_launched,
            settings,
            out,
            ConsoleKind.of(console),
            given,
        )
        return found
    with met(settings.trainer) as meeting:
        return _train(settings, out, console, callbacks, given, meeting)


def train_launched(
    settings: Settings, out: str | Path | None, kind: ConsoleKind, given: MemoryData | None
) -> tuple[Path, dict[str, Any]]:
    """`train` in a process that was started for it."""
    return train(settings, out, kind.make(), given=given)


def _train(
    settings: Settings,
    out: str | Path | None,
    console: Console,
    callbacks: Sequence[Callback],
    given: MemoryData | None,
    meeting: Meeting,
) -> tuple[Path, dict[str, Any]]:
    mine = meeting.mine
    console = console if mine.first else Console(quiet=True)
    with meeting.in_turns():  # the first fills the cache of images
        prepared = prepare(settings, console, given=given, mine=mine)
    run = meeting.share(runs.create_run(out, settings.head.name) if mine.first else None)
    meeting.begun(run)
    try:
        with resumable(run):
            if mine.first:
                begin(prepared, run)
            fit(prepared, run, console, callbacks=callbacks, mine=mine)
            return run, finished(prepared, run, meeting)
    except StorageError:
        with suppress(OSError):
            run.rmdir()  # goes where nothing was begun
        raise


def finished(prepared: Prepared, run: Path, meeting: Meeting) -> dict[str, Any]:
    """`finish` in the first process, whose metrics all give."""
    return meeting.share(finish(prepared, run) if meeting.mine.first else None)
