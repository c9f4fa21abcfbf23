"""Runs that go on: those that were stopped, and finished ones that are to be trained further."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.console import Console

from heatkp import runs
from heatkp.config import Settings, parse_settings, put, read_yaml
from heatkp.data.loading import MemoryData
from heatkp.errors import CheckpointError, SettingsError
from heatkp.files import check_folder, write_text
from heatkp.training import fit
from heatkp.training.processes import (
    ConsoleKind,
    Meeting,
    devices_of,
    launch,
    met,
    must_launch,
    require_no_callbacks,
)
from heatkp.training.run_files import begin
from heatkp.training.storage import epochs_done, held, resumable

MAY_CHANGE = (
    "trainer.epochs", "trainer.early_stopping", "trainer.device", "trainer.devices",
    "trainer.num_nodes", "trainer.strategy", "trainer.compile", "trainer.threads", "data.path",
    "data.train", "data.val", "data.test", "data.workers", "data.cache", "data.cache_mb",
    "trainer.loggers",
)  # fmt: skip
"""Settings that may be given to a run that goes on."""


def resume(
    run: Path,
    console: Console,
    callbacks: Sequence[Callback] = (),
    overrides: Mapping[str, Any] | None = None,
    changes: Mapping[str, Any] | None = None,
    given: MemoryData | None = None,
    encoder: Any = None,
) -> dict[str, Any]:
    """Continue a run that was stopped, to the result of one that was not; gives its metrics.

    `callbacks` as in `fit`; `overrides` are settings by `section.key` that are used instead of
    the run's own, which another machine may have begun. `changes` are settings of `MAY_CHANGE`
    that become the run's own; with more `trainer.epochs` a finished run goes on too, and its
    learning rates from there are those of a run of so many epochs.

    `given` are the samples of a run that a program began, `encoder` a module of its own.

    Raises `CheckpointError` for what is no run folder, or a run that is finished, and
    `SettingsError` for changes that cannot be.
    """
    if not (run / runs.SETTINGS).is_file():
        raise CheckpointError(f"{run} is not a run folder: it has no {runs.SETTINGS}")
    changes = changes or {}
    require_changes(run, changes)
    values = read_yaml(run / runs.SETTINGS)
    for key, value in {**(overrides or {}), **changes}.items():
        put(values, key, value)
    settings = parse_settings(values, str(run / runs.SETTINGS))
    if encoder is not None:
        settings.model.encoder = encoder
    finished = (run / runs.METRICS).is_file()
    require_epochs(run, settings, finished, changes)
    fit.validation_epochs(settings)
    with resumable(run):
        check_folder(run)
    fit.require_hardware(settings)
    if must_launch(settings.trainer):
        require_no_callbacks(callbacks)
        kind = ConsoleKind.of(console)
        arguments = (run, kind, overrides, changes, given, encoder)
        metrics: dict[str, Any] = launch(
            devices_of(settings.trainer), resume_launched, *arguments, run=run
        )
        return metrics
    with met(settings.trainer) as meeting:
        console = console if meeting.mine.first else Console(quiet=True)
        with held(run, meeting.mine.first):
            return _resume(run, console, callbacks, settings, changes, given, encoder, meeting)


def resume_launched(
    run: Path,
    kind: ConsoleKind,
    overrides: Mapping[str, Any] | None,
    changes: Mapping[str, Any],
    given: MemoryData | None,
    encoder: Any,
) -> dict[str, Any]:
    """`resume` in a process that was started for it."""
    console = kind.make()
    return resume(run, console, (), overrides, changes, given, encoder)


def _resume(
    run: Path,
    console: Console,
    callbacks: Sequence[Callback],
    settings: Settings,
    changes: Mapping[str, Any],
    given: MemoryData | None,
    encoder: Any,
    meeting: Meeting,
) -> dict[str, Any]:
    last, mine = run / runs.LAST, meeting.mine
    finished = (run / runs.METRICS).is_file()
    # Says plainly what is wrong with a checkpoint that does not fit.
    begun = runs.load_run(last, encoder=encoder) if last.is_file() else None
    prepared = fit.prepare_together(settings, console, meeting, begun, str(run), given)
    if begun is not None:
        begun.require_same_split(run, prepared.data.data.val)
        begun.require_same_training(run, prepared.data.data.train)
    with resumable(run):
        meeting.wait()  # until all have seen the folder as it was
        if mine.first:
            begin_again(run, changes, finished, settings.data.validates)
            begin(prepared, run, settings=bool(changes))
        from_last = last if last.is_file() else None
        fit.fit(prepared, run, console, from_last, callbacks, finished, mine)
        return fit.finished(prepared, run, meeting)


def begin_again(run: Path, changes: Mapping[str, Any], finished: bool, validates: bool) -> None:
    """Put away what a finished run had, and note that it goes on with other settings."""
    if finished:  # until it ends again
        (run / runs.METRICS).unlink()
        if not validates:
            (run / runs.WEIGHTS).unlink(missing_ok=True)  # those of then, not of now
    if changes:
        _record(run)


def require_changes(run: Path, changes: Mapping[str, Any]) -> None:
    """Raises `SettingsError` for settings that a run keeps when it goes on."""
    refused = [key for key in changes if key not in MAY_CHANGE]
    if refused:
        raise SettingsError(
            f"{refused[0]}: a run that goes on keeps its settings, except {', '.join(MAY_CHANGE)}; "
            f"for others start a new run from its weights with --set model.init={run}"
        )


def require_epochs(
    run: Path, settings: Settings, finished: bool, changes: Mapping[str, Any]
) -> None:
    """Raises `CheckpointError` or `SettingsError` where no epoch is left to train."""
    done, epochs = epochs_done(run), settings.trainer.epochs
    if not finished:
        if done is not None and epochs < done:
            raise SettingsError(
                f"trainer.epochs: {run} has trained {done} epochs, which are more than {epochs}; "
                f"give {done} to end it there, or more"
            )
        return
    further = {"trainer.epochs", "trainer.early_stopping"} & changes.keys()
    if done is None and further:
        raise CheckpointError(
            f"{run} holds no checkpoint ({runs.LAST}) to train further from: start a new run from "
            f"its weights with --set model.init={run}"
        )
    if not further or epochs <= (done or 0):
        early = f" of {epochs}" if done is not None and done < epochs else ""
        count = "" if done is None else f", after {done}{early} epochs"
        on = "" if settings.data.validates else " --data FILE"
        raise CheckpointError(
            f"the run {run} is finished{count}; evaluate it with: heatkp eval {run}{on}, or train "
            f"it further with: heatkp train --resume {run} --epochs {2 * max(done or 0, epochs)}"
        )


def _record(run: Path) -> None:
    """Note in environment.json that a run goes on with other settings, and from where."""
    path = run / runs.ENVIRONMENT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return  # made anew, with this command
    if isinstance(content, dict):
        told = f"after {epochs_done(run) or 0} epochs: {shlex.join(sys.argv)}"
        content["continued"] = [*content.get("continued", []), told]
        write_text(path, json.dumps(content, indent=1) + "\n")
