"""Where a run's files are: its folder, made once and never over another."""

from __future__ import annotations

import os
from pathlib import Path

from heatkp.errors import HeatkpError, SettingsError, StorageError
from heatkp.files import check_folder, is_full, reason

SETTINGS = "settings.yaml"
ENVIRONMENT = "environment.json"
METRICS = "metrics.json"
HISTORY = "metrics.csv"
WEIGHTS = "weights.safetensors"
LAST = "checkpoints/last.ckpt"
TEACHER = "teacher.npz"
"""What a run's teachers said before its first epoch."""
FINDER = "finder.safetensors"
"""Weights of the network that finds objects, where a run has one."""
FINDER_METRICS = "finder.json"
FINDER_HISTORY = "finder.csv"
FINDER_LAST = "checkpoints/finder.ckpt"
FOLDS = "folds.json"
"""Of a folder that holds a run for each fold."""


def is_folds(folder: str | Path) -> bool:
    """Whether it is the folder of a cross-validation, whose runs are `fold-1`, `fold-2` ..."""
    return (Path(folder) / FOLDS).is_file()


def fold_folder(folder: Path, fold: int) -> Path:
    """The run of a fold, from 1."""
    return folder / f"fold-{fold}"


def fold_runs(folder: Path) -> list[Path]:
    """The folders of the folds' runs, in their order."""
    found = (p for p in folder.glob("fold-*") if p.name[5:].isdecimal() and p.is_dir())
    return sorted(found, key=lambda path: int(path.name[5:]))


def run_folder(run: str | Path) -> Path:
    """The folder of a run, which may be named by its weights or its checkpoint; the current one
    for a model that comes with heatkp, or from the hub."""
    if str(run).startswith("hf:/"):
        return Path()
    path = Path(run)
    if path.is_dir():
        return path
    if Path(os.path.abspath(path)).parts[-2:] != Path(LAST).parts:
        return path.parent
    return Path(os.path.normpath(path.parent / ".."))  # also where that is no part of the name


def check_run(out: str | Path | None) -> None:
    """Raises `SettingsError` where `create_run` would; makes nothing."""
    path = Path("runs") if out is None else Path(out)
    if out is not None and os.path.lexists(path):
        raise _exists(path)
    try:
        check_folder(path if out is None else path.parent)
    except OSError as error:
        raise _no_run(path, error) from None


def _exists(path: Path) -> SettingsError:
    return SettingsError(
        f"the run folder {path} exists already: choose another --out, or continue that run with "
        f"--resume {path}"
    )


def _no_run(path: Path, error: OSError) -> HeatkpError:
    problem, advice = f"cannot make the run folder {path} ({reason(error)})", "choose another place"
    if is_full(error):
        return StorageError(problem, f"make room, or {advice} with --out")
    return SettingsError(f"{problem}; {advice} with --out")


def create_run(out: str | Path | None, name: str) -> Path:
    """A new, empty run folder: `out`, or the first free `runs/NAME-1`, `runs/NAME-2`, ...

    Raises `SettingsError` where `out` exists already, or no folder can be made there.
    """
    path, number = Path("runs") / f"{name}-1" if out is None else Path(out), 1
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                path.mkdir()
                return path
            except FileExistsError:
                if out is not None:
                    raise _exists(path) from None
            number += 1
            path = path.with_name(f"{name}-{number}")
    except OSError as error:
        raise _no_run(path, error) from None
