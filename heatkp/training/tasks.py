"""What a run trains: points, a finder, or both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from rich.console import Console

from heatkp import runs
from heatkp.config import GROUPED, Settings, parse_settings, put, read_yaml
from heatkp.data.loading import MemoryData
from heatkp.errors import CheckpointError, SettingsError, StorageError
from heatkp.training import finder, fit, grouped, resuming
from heatkp.training.processes import devices_of, place
from heatkp.training.run_files import begin, finish, record
from heatkp.training.storage import held, resumable


def train(
    settings: Settings,
    out: str | Path | None,
    console: Console,
    callbacks: Sequence[Callback] = (),
    given: MemoryData | None = None,
) -> tuple[Path, dict[str, Any]]:
    """Train and evaluate a new run as `trainer.task` says; gives its folder and metrics, those
    of the finder under `finder` where it trains both.

    Raises `SettingsError`, `DataError` or `CheckpointError` before anything is written.
    """
    task = settings.trainer.task
    if task == "points" and settings.head.grouped:
        grouped.require_one_device(settings)
        return grouped.train(settings, out, console, callbacks, given)
    if task == "points":
        return fit.train(settings, out, console, callbacks, given)
    _require_one_device(settings)
    if task == "finder+points":
        fit.validation_epochs(settings)
    runs.check_run(out)
    points = None
    if task == "finder+points":
        points = fit.prepare(settings, console, given=given)
    loaded = None if points is None else points.data.data
    found = finder.prepare(settings, console, loaded, given)
    run = runs.create_run(out, "finder" if points is None else f"finder-{settings.head.name}")
    try:
        with resumable(run), held(run):
            if points is None:
                record(settings, run)
            else:
                begin(points, run)
            finder.fit(found, run, console, callbacks=callbacks)
            metrics = finder.finish(found, run)
            if points is None:
                return run, metrics
            console.print(finder_line(metrics), highlight=False, soft_wrap=True)
            fit.fit(points, run, console, callbacks=callbacks)
            return run, {**finish(points, run), "finder": metrics}
    except StorageError:
        with suppress(OSError):
            run.rmdir()  # goes where nothing was begun
        raise


def _require_one_device(settings: Settings) -> None:
    """Raises `SettingsError` for what this machine cannot do, and for several devices."""
    fit.require_hardware(settings)
    if place().world > 1 or devices_of(settings.trainer) > 1:
        apart = (
            ", or train the points alone on several (--task points) and the finder in a run of "
            "its own (--task finder)"
        )
        raise SettingsError(
            f"trainer.task: {settings.trainer.task} trains on one device: leave out "
            f"trainer.devices{'' if settings.trainer.task == 'finder' else apart}"
        )


def resume(
    run: Path,
    console: Console,
    changes: Mapping[str, Any] | None = None,
    given: MemoryData | None = None,
    encoder: Any = None,
) -> dict[str, Any]:
    """Continue a run that was stopped, in the part in which it was; as `resuming.resume`.

    A finished finder is not trained further: `changes` are those of the points' training.
    """
    settings = _settings(run, changes or {}, encoder)
    if settings is not None and settings.trainer.task == "points":
        grouped.require_one_device(settings)
        return grouped.resume(run, console, changes or {}, given, encoder)
    if settings is None:
        return resuming.resume(run, console, changes=changes, given=given, encoder=encoder)
    resuming.require_changes(run, changes or {})
    _require_one_device(settings)
    done = (run / runs.FINDER_METRICS).is_file()
    alone = settings.trainer.task == "finder"
    if done and alone:
        raise CheckpointError(
            f"the finder of {run} is finished; look at {run / 'finder.png'}, use it with heatkp "
            f"predict --detector {run}, or train a new one with more epochs"
        )
    if not done:
        with held(run):
            metrics = _resume_finder(run, console, settings, given, alone)
        if alone:
            return metrics
        console.print(finder_line(metrics), highlight=False, soft_wrap=True)
    return resuming.resume(run, console, changes=changes, given=given, encoder=encoder)


def _resume_finder(
    run: Path, console: Console, settings: Settings, given: MemoryData | None, alone: bool
) -> dict[str, Any]:
    last = run / runs.FINDER_LAST
    found = finder.prepare(settings, console, given=given, begun=last.is_file())
    if last.is_file():
        _require_same(run, found)
    with resumable(run):
        if alone:
            record(settings, run)
        finder.fit(found, run, console, last if last.is_file() else None)
        return finder.finish(found, run)


def _settings(run: Path, changes: Mapping[str, Any], encoder: Any) -> Settings | None:
    """The settings that a run goes on with; None for what `resuming.resume` is to do, or refuse."""
    if not (run / runs.SETTINGS).is_file():
        return None
    values = read_yaml(run / runs.SETTINGS)
    points = values.get("trainer", {}).get("task", "points") == "points"
    if points and values.get("head", {}).get("name") != GROUPED:
        return None
    for key, value in changes.items():
        put(values, key, value)
    settings = parse_settings(values, str(run / runs.SETTINGS))
    if encoder is not None:
        settings.model.encoder = encoder
    return settings


def _require_same(run: Path, found: finder.PreparedFinder) -> None:
    """Raises `CheckpointError` where the data are not those that the finder was begun with."""
    before = runs.read_weights(run / runs.FINDER_LAST)[1]
    now = found.module.description
    for part in ("training", "validation"):
        if before.get(part) not in (None, now[part]):
            raise CheckpointError(
                f"the finder of {run} was begun with other {part} images: files were added, taken "
                "away or renamed since. Put the data back as it was, or start a new run"
            )


def finder_line(metrics: Mapping[str, Any]) -> str:
    """A finder's figures in a line."""
    if metrics["split"] is None:
        return "finder: trained on all images; what it finds was not measured"
    return finder.finding_line("finder", metrics)


def require_points(settings: Settings, what: str) -> None:
    """Raises `SettingsError` for what only trains points."""
    if settings.trainer.task != "points":
        raise SettingsError(
            f"{what} trains points, not trainer.task={settings.trainer.task}: leave one out"
        )
    if settings.head.grouped:
        raise SettingsError(f"{what} has no head grouped: choose another head, or leave it out")
