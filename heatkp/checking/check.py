"""`heatkp data check`: labels against what runs find."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path

from heatkp.checking.held_out import HeldOut, held_out, independent_groups
from heatkp.checking.page import page, table
from heatkp.checking.shift import Shift, estimate_shift
from heatkp.checking.suspects import Finding, find_suspects
from heatkp.checking.words import shift_words
from heatkp.evaluation.measure import InferenceOptions, Progress
from heatkp.files import write_text, writing
from heatkp.text import json_text

PAGE, TABLE, FIGURES = "check.html", "suspects.csv", "check.json"


@dataclass(frozen=True)
class Checked:
    """What `check_labels` found.

    Attributes:
        held: the samples and what was found in them.
        findings: labels that are probably wrong, the likeliest first.
        shift: the constant shift of all labels.
    """

    held: HeldOut
    findings: list[Finding]
    shift: Shift

    @property
    def notes(self) -> list[str]:
        """Of the constant shift, and what a reader should know."""
        return [*shift_words(self.shift, self.held.learned), *self.held.notes]


def check_labels(
    runs: str | PathLike[str] | Sequence[str | PathLike[str]],
    data: str | PathLike[str] | None = None,
    every: bool = False,
    options: InferenceOptions | None = None,
    progress: Progress | None = None,
) -> Checked:
    """Labels that are probably wrong, by what runs find in samples that they were not trained on.

    Args:
        runs: a run's folder, that of folds (`heatkp train --folds`), or several that find the
            same points; a run tells of its validation samples, folds of all.
        data: other labelled data instead.
        every: also what the runs were trained on, whose wrong labels they may have learned.

    Raises:
        CheckpointError, DataError, SettingsError: as `heatkp.evaluation.measure.measure_runs`.

    >>> checked = check_labels("runs/folds")  # doctest: +SKIP
    >>> checked.findings[0].kind, checked.shift.found  # doctest: +SKIP
    """
    names = [fspath(run) for run in ([runs] if isinstance(runs, str | PathLike) else runs)]
    other = None if data is None else fspath(data)
    return judge(held_out(names, other, every, options, progress))


def judge(held: HeldOut) -> Checked:
    """What predictions tell of the labels."""
    labels = held.labels
    findings = find_suspects(held.found, labels, held.skeleton, held.spread)
    flip = held.skeleton.flip if held.flipped else None
    shift = estimate_shift(held.found, labels, independent_groups(held.samples), flip)
    return Checked(held, findings, shift)


def write_check(
    checked: Checked,
    folder: Path,
    title: str,
    count: int = 60,
    progress: Callable[[int], None] = lambda done: None,
) -> list[Path]:
    """Write the page, the table and the figures into a folder, in place of earlier ones; gives
    their paths. Raises `SettingsError` where they cannot be written."""
    html = page(title, checked.findings, checked.held, checked.notes, count, progress=progress)
    kinds = [f.kind for f in checked.findings]
    values = {
        "samples": len(checked.held.samples),
        "trained_on": int(checked.held.trained.sum()),
        "findings": {kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        "shift": checked.shift.as_dict(),
        "learned": checked.held.learned,
        "notes": checked.notes,
    }
    texts = {
        PAGE: html,
        TABLE: table(checked.findings, checked.held),
        FIGURES: json_text(values, indent=1) + "\n",
    }
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            write_text(folder / name, text)
    return [folder / name for name in texts]
