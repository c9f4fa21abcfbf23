"""Cross-validation: a run for each fold, one after the other, and what they find together."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from heatkp import runs
from heatkp.config import Settings, parse_settings, put, read_yaml
from heatkp.data.loading import MemoryData, load_data
from heatkp.data.matching import in_order_of, whole
from heatkp.data.samples import KeypointData
from heatkp.errors import CheckpointError, HeatkpError, SettingsError
from heatkp.evaluation.metrics import all_metrics
from heatkp.evaluation.out_of_fold import (
    OutOfFold,
    joined_folds,
    predict_fold,
    rows_of,
    save_out_of_fold,
    summarise_folds,
)
from heatkp.files import write_text
from heatkp.runs.folder import FOLDS, fold_folder
from heatkp.text import json_text
from heatkp.training import fit, resuming
from heatkp.training.storage import epochs_done

TABLE, PREDICTIONS = "folds.csv", "out_of_fold.npz"
FEWEST, MOST = 2, 100


@dataclass(frozen=True)
class Trained:
    """A finished cross-validation.

    Attributes:
        folder: what it wrote; `fold-1` ... in it are runs as others.
        results: what `folds.json` holds.
        found: predictions of all samples.
    """

    folder: Path
    results: dict[str, Any]
    found: OutOfFold


def train_folds(
    settings: Settings,
    folds: int,
    out: str | Path | None,
    console: Console,
    given: MemoryData | None = None,
) -> Trained:
    """Train a run for each fold of the data in a new folder, and measure each on its own fold.

    Errors are those of the weights of the last epoch: the best ones are chosen by the very samples
    that a fold is measured on.

    Raises `SettingsError`, `DataError` or `CheckpointError` before anything is written.
    """
    first = _of_fold(settings, folds, 1)
    fit.validation_epochs(first)
    runs.check_run(out)
    if given is not None and given.validation is not None:
        raise SettingsError("folds take turns at validation: leave out val")
    load_data(first.data, chosen=False, given=given)  # says what cannot be cut into folds
    folder = runs.create_run(out, f"{settings.head.name}-folds")
    try:
        write_text(folder / runs.SETTINGS, _without_folds(settings).to_yaml())
        _write(folder, {"folds": folds, "finished": False})
        return _all(folder, settings, folds, console, given, {})
    except HeatkpError:
        if not fold_folder(folder, 1).is_dir():  # nothing was begun
            for name in (runs.SETTINGS, FOLDS):
                (folder / name).unlink(missing_ok=True)
            with suppress(OSError):
                folder.rmdir()
        raise


def resume_folds(
    folder: Path,
    console: Console,
    changes: Mapping[str, Any] | None = None,
    given: MemoryData | None = None,
    encoder: Any = None,
) -> Trained:
    """Go on with folds that were stopped, or train finished ones for more epochs; arguments as in
    `resuming.resume`.

    Raises `CheckpointError` for what is no folder of folds, and all that `resume` raises.
    """
    folds = _folds(folder)
    changes = dict(changes or {})
    resuming.require_changes(folder, changes)
    values = read_yaml(folder / runs.SETTINGS)
    for key, value in changes.items():
        put(values, key, value)
    settings = parse_settings(values, str(folder / runs.SETTINGS))
    if encoder is not None:
        settings.model.encoder = encoder
    if changes:
        write_text(folder / runs.SETTINGS, _without_folds(settings).to_yaml())
    return _all(folder, settings, folds, console, given, changes)


def _folds(folder: Path) -> int:
    """How many folds a folder has."""
    try:
        content = json.loads((folder / FOLDS).read_text(encoding="utf-8"))
        folds = content["folds"]
        if type(folds) is int and FEWEST <= folds <= MOST:
            return folds
    except (OSError, ValueError, TypeError, KeyError):
        pass
    raise CheckpointError(f"{folder / FOLDS} is damaged: start the folds anew in another folder")


def _of_fold(settings: Settings, folds: int, fold: int) -> Settings:
    """Settings of one fold's run. Raises `SettingsError` for what does not go with folds."""
    if not FEWEST <= folds <= MOST:
        raise SettingsError(f"folds: from {FEWEST} to {MOST}, not {folds}")
    own = {"folds": folds, "fold": fold}
    data = parse_settings({"data": settings.data.model_dump() | own}, "folds").data
    return settings.model_copy(deep=True, update={"data": data})


def _without_folds(settings: Settings) -> Settings:
    data = settings.data.model_copy(update={"folds": 0, "fold": 0})
    return settings.model_copy(update={"data": data})


def _all(
    folder: Path,
    settings: Settings,
    folds: int,
    console: Console,
    given: MemoryData | None,
    changes: Mapping[str, Any],
) -> Trained:
    """Train what is left to train, measure, and write what was found."""
    parts = []
    with _resumable(folder):
        for fold in range(1, folds + 1):
            own = _of_fold(settings, folds, fold)
            _train(folder, fold, folds, own, console, given, changes)
            parts.append(_predicted(fold_folder(folder, fold), own, fold, console, given))
        found = joined_folds(parts)
        results = {"folds": folds, "finished": True, "weights": "last epoch"}
        results |= summarise_folds(found)
        _write(folder, results)
        write_text(folder / TABLE, _csv(found))
        save_out_of_fold(folder / PREDICTIONS, found)
    return Trained(folder, results, found)


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Says of Ctrl-C how all folds go on, not the one that was stopped alone."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt(str(folder)) from None


def _train(
    folder: Path,
    fold: int,
    folds: int,
    settings: Settings,
    console: Console,
    given: MemoryData | None,
    changes: Mapping[str, Any],
) -> None:
    """Train a fold's run, from the beginning or from where it stopped."""
    run = fold_folder(folder, fold)
    finished, begun = (run / runs.METRICS).is_file(), (run / runs.SETTINGS).is_file()
    if finished and settings.trainer.epochs <= (epochs_done(run) or settings.trainer.epochs):
        return
    console.print(f"fold {fold} of {folds}: {run}", highlight=False, soft_wrap=True)
    own = settings.model.encoder
    encoder = None if isinstance(own, str) else own
    if begun:
        resuming.resume(run, console, changes=changes, given=given, encoder=encoder)
        return
    with suppress(OSError):
        run.rmdir()  # was made, but nothing was written
    fit.train(settings, run, console, given=given)


def _predicted(
    run: Path, settings: Settings, fold: int, console: Console, given: MemoryData | None
) -> OutOfFold:
    """A fold's own samples by the weights of its last epoch."""
    own = settings.model.encoder
    encoder = None if isinstance(own, str) else own
    loaded = runs.load_run(run / runs.LAST, settings.trainer.device, encoder)
    found: KeypointData = load_data(whole(settings.data), chosen=False, given=given)
    found = in_order_of(loaded.skeleton, str(run), settings.data, found)
    loaded.require_same_split(run, found.val)
    with Progress(console=console, transient=True) as bar:
        task = bar.add_task("measuring", total=len(found.val))
        return predict_fold(
            loaded, found.val, fold, found.groups, settings.trainer.batch_size,
            lambda done: bar.update(task, completed=done),
        )  # fmt: skip


def _write(folder: Path, results: Mapping[str, Any]) -> None:
    write_text(folder / FOLDS, json_text(dict(results), indent=1) + "\n")


def _csv(found: OutOfFold) -> str:
    text = io.StringIO()
    rows = sorted(rows_of(found), key=lambda row: row["rank"])
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def folds_table(results: Mapping[str, Any], title: str) -> Table:
    """Figures of all samples with their intervals, and how much folds differ, as a rich table."""
    table = Table(title=title, title_justify="left", pad_edge=False)
    table.add_column("")
    for column in ("out of fold", "95 % interval", "folds: mean", "std"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, figure in results["figures"].items():
        label, form = _label(name, results)
        ends = figure["interval"]
        table.add_row(
            label,
            format(figure["value"], form),
            "-" if ends is None else " to ".join(format(end, form) for end in ends),
            format(figure["mean"], form),
            "-" if figure["std"] is None else format(figure["std"], form),
        )
    return table


def _label(name: str, results: Mapping[str, Any]) -> tuple[str, str]:
    """What a figure is called, and how it is written."""
    label, form = {m.name: (m.label, m.form) for m in all_metrics()}.get(name, (name, ".4g"))
    return (f"{label}, {results['normaliser']}" if name == "nme" else label), form


def _told(row: Mapping[str, Any], form: str) -> str:
    return "without an answer" if row["error"] is None else format(row["error"], form)


def fold_lines(results: Mapping[str, Any], most: int = 3) -> list[str]:
    """A line for each fold: its error, and the samples whose labels it disagrees with most."""
    key = "nme" if "nme" in results["figures"] else "distance_photo"
    label, form = _label(key, results)
    lines = []
    for each in results["each"]:
        value = each["figures"].get(key)
        shown = [f"{Path(r['image']).name} {_told(r, form)}" for r in each["disagrees"][:most]]
        lines.append(
            f"fold {each['fold']}: {each['samples']} samples, {label} "
            f"{'-' if value is None else format(value, form)}; disagrees most with "
            f"{', '.join(shown) or 'none'}"
        )
    return lines


__all__ = [
    "FOLDS", "PREDICTIONS", "TABLE", "Trained", "fold_lines", "folds_table", "resume_folds",
    "train_folds",
]  # fmt: skip
