"""A whole run: prepare, fit, evaluate the best weights, write the run folder."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

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
from heatkp.data.samples import KeypointData
from heatkp.data.soft_labels import SoftLabels
from heatkp.errors import SettingsError, StorageError
from heatkp.models import KeypointModel, build_model
from heatkp.models.devices import choose_device
from heatkp.models.encoders import input_statistics
from heatkp.runs.starting import source_statistics, start_from, transfer_to
from heatkp.training.callbacks import (
    BestWeights,
    DataWait,
    Diverged,
    History,
    LastCheckpoint,
    ProgressLine,
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
    devices_of,
    launch,
    met,
    must_launch,
    require_no_callbacks,
)
from heatkp.training.run_files import Prepared, begin, finish
from heatkp.training.sharing import Shared
from heatkp.training.storage import held, resumable
from heatkp.training.teaching import require_takes_mixtures, soft_labels
from heatkp.training.trainer import run_trainer


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


def read_samples(
    settings: Settings,
    begun: runs.Loaded | None,
    run: str,
    given: MemoryData | None,
    boxes: bool = False,
) -> KeypointData:
    """The samples of a training, in the order of points of `begun` where the `run` goes on; `given`
    and `boxes` as `load_data` takes them.

    Raises `DataError` as that does, and `SettingsError` where a part has no labelled point.
    """
    if begun is None:
        loaded = load_data(settings.data, given=given, boxes=boxes)
    else:
        loaded = load_data(whole(settings.data), given=given, boxes=boxes)
        loaded = in_order_of(begun.skeleton, run, settings.data, loaded)
        # As it was begun, also where another version would tell left from right otherwise.
        loaded = replace(loaded, skeleton=begun.skeleton)
    parts = {"training": loaded.train, "validation": loaded.val}
    if not settings.data.validates:
        del parts["validation"]
    for part, samples in parts.items():
        if not any((s.visibility > 0).any() for s in samples):
            raise SettingsError(f"no {part} sample has a labelled point: nothing to learn from")
    return loaded


def prepare(
    settings: Settings,
    console: Console,
    begun: runs.Loaded | None = None,
    run: str = "the run",
    given: MemoryData | None = None,
    mine: Place = ALONE,
    soft: SoftLabels | None = None,
) -> Prepared:
    """Read the data and build the model, or raise what is wrong with them.

    `begun` is what the checkpoint of `run` holds: the weights that a new run begins with are left
    out, and points are in its order. `given` are samples that a program holds; `mine` is which of
    several processes this is; `soft` is what teachers said, where another process asked them.
    """
    if settings.head.grouped:  # `grouped.train` does; folds and sweeps come here
        raise SettingsError(
            "head.name: folds and sweeps look at single objects, which head grouped does not: "
            "choose another head, or train it alone with heatkp train"
        )
    if settings.data.crop == "objects":
        raise SettingsError(
            f"data.crop: objects is of head grouped: for head {settings.head.name} choose image or "
            "box"
        )
    require_takes_mixtures(settings)
    settings = settings.model_copy(deep=True)
    loggers = RunLoggers(settings)  # before minutes of work
    if (settings.model.mean is None) != (settings.model.std is None):
        raise SettingsError("model.mean and model.std: give both, with one number per channel")
    if settings.trainer.threads:
        torch.set_num_threads(settings.trainer.threads)
    loaded = read_samples(settings, begun, run, given)
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
    style = BoxStyle.of(loaded.train) if settings.data.crop == "box" else None
    if soft is None:
        soft = soft_labels(settings, loaded, style, console, Path(run))
    data = KeypointDataModule(settings, loaded, mine.rank, mine.world, soft)
    _preload(data, console)
    data.require_shares()
    for note in _step_notes(settings, model, len(data.train_set)):
        console.print(f"  {note}", highlight=False, style="dim", soft_wrap=True)
    description = runs.describe(settings, loaded.skeleton, style, loaded.train, loaded.val)
    module = KeypointModule(model, settings, description, mine)
    return Prepared(settings, data, module, loggers)


def prepare_together(
    settings: Settings,
    console: Console,
    meeting: Meeting,
    begun: runs.Loaded | None = None,
    run: str = "the run",
    given: MemoryData | None = None,
) -> Prepared:
    """`prepare` in each of the processes of a training. The first asks the teachers, for all: each
    would keep other points of images without labels where rounding differs."""
    soft, mine = None, meeting.mine
    if settings.teacher.models and mine.world > 1:
        if mine.first:
            loaded = read_samples(settings, begun, run, given)
            style = BoxStyle.of(loaded.train) if settings.data.crop == "box" else None
            soft = soft_labels(settings, loaded, style, console, Path(run))
        soft = meeting.share(soft)
    with meeting.in_turns():  # the first fills the cache of images
        return prepare(settings, console, begun, run, given, mine, soft)


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
    with prepared.loggers.opened(run, console) as loggers:
        run_trainer(
            prepared.module,
            prepared.data,
            run,
            [*own, *callbacks, prepared.loggers.settings_logged()],
            validate_every=period,
            validates=settings.data.validates,
            resume=resume,
            loggers=loggers,
            mine=mine,
        )


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
    prepared = prepare_together(settings, console, meeting, given=given)
    run = meeting.share(runs.create_run(out, settings.head.name) if mine.first else None)
    meeting.begun(run)
    try:
        with resumable(run), held(run, mine.first):
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
