"""Runs side by side, each on its own data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path
from typing import NamedTuple

from heatkp import runs as run_folders
from heatkp.errors import SettingsError
from heatkp.evaluation.measure import Progress, measure_own, require_validation
from heatkp.evaluation.metrics import Errors, normaliser_lengths
from heatkp.skeletons import Skeleton


class Comparison(NamedTuple):
    """Errors of several runs.

    Attributes:
        errors: errors and skeleton of each run, by its name.
        normaliser: a length that all of them have.
    """

    errors: dict[str, tuple[Errors, Skeleton]]
    normaliser: str


def distinct_names(runs: Sequence[str]) -> list[str]:
    """Distinct names of runs: their folders', or as they were typed where two are the same.

    Raises `SettingsError` where a run is named twice.
    """
    if len(set(runs)) < len(runs):
        raise SettingsError("a run is named twice: name each once")
    places = [Path(run).resolve() for run in runs]
    names = [p.name if not p.is_file() else f"{p.parent.name}/{p.name}" for p in places]
    return names if len(set(names)) == len(names) else list(runs)


def compare_runs(
    runs: Sequence[str | PathLike[str]],
    split: str = "val",
    normaliser: str | None = None,
    device: str = "auto",
    batch_size: int = 16,
    progress: Progress | None = None,
    check: Callable[[Skeleton], object] = lambda skeleton: None,
    ending: str = "",
) -> Comparison:
    """Errors of runs on a split of each one's own data, and a length that all may be divided by.

    Args:
        runs: folders, files of weights, or names of models that come with heatkp.
        split: `train`, `val`, `test` or `all`.
        normaliser: which length, by name. None: the first that has the `ending`, or the first.
        device, batch_size: as in `InferenceOptions`.
        progress: is told of each run how many samples are done, and how many there are.
        check: raises what is wrong with a run's skeleton, before the first is measured.

    Raises:
        CheckpointError, DataError: for what is no run, and data that cannot be read.
        SettingsError: for runs without validation samples or a length in common.

    >>> errors, by = compare_runs(["runs/kl-1", "runs/ce-1"])  # doctest: +SKIP
    """
    places = [fspath(run) for run in runs]
    names = distinct_names(places)
    opened = [run_folders.load_run(run, device) for run in places]
    for run, loaded in zip(places, opened):
        check(loaded.skeleton)
        if split == "val":
            require_validation(run, loaded, "look at what it was trained on with --split all")
    found = {}
    for name, run, loaded in zip(names, places, opened):
        _, errors = measure_own(run, loaded, batch_size, split, progress=progress)
        found[name] = errors, loaded.skeleton
    return Comparison(found, common_normaliser(found, normaliser, ending))


def common_normaliser(
    found: dict[str, tuple[Errors, Skeleton]], normaliser: str | None = None, ending: str = ""
) -> str:
    """A length that all have: the given one, or the first that has the ending, or the first.

    Raises `SettingsError` where there is none.
    """
    lengths = {name: list(normaliser_lengths(s, e)) for name, (e, s) in found.items()}
    first = next(iter(lengths.values()))
    common = [n for n in first if all(n in have for have in lengths.values())]
    if not common or normaliser not in (None, *common):
        have = "; ".join(f"{name}: {', '.join(own) or 'none'}" for name, own in lengths.items())
        problem = "the runs have no length in common" if normaliser is None else (
            f"--normaliser: not every run has {normaliser!r}"
        )  # fmt: skip
        raise SettingsError(f"{problem} ({have}); all have: {', '.join(common) or 'none'}")
    return normaliser or next((n for n in common if n.endswith(ending)), common[0])
