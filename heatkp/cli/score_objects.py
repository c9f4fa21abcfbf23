"""`heatkp score` of COCO results: objects of any number, and their tracks."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = {
    "mota": ("MOTA", ".3f", "1 - (missed + false + switches) / objects"),
    "idf1": ("IDF1", ".3f", "objects whose track is that of their identity"),
    "hota": ("HOTA", ".3f", "mean over similarities 0.05 to 0.95"),
    "switches": ("switches", "d", "identities that go on in another track"),
    "fragments": ("fragments", "d", "identities found again after they were not"),
}
"""What is printed of tracks: name, form, meaning."""


def score_objects(
    submission: str,
    labels: str,
    sigmas: str | None,
    frame_range: str | None,
    as_json: bool,
    first_pixel: float | None = None,
) -> None:
    """Print what `score_results` gives. Raises `HeatkpError`s."""
    from heatkp.config import expand_path
    from heatkp.data.frame_range import parse_frames
    from heatkp.evaluation.objects.labels import read_truth
    from heatkp.evaluation.objects.oks import sigmas_for
    from heatkp.evaluation.objects.results import read_results, score_results
    from heatkp.text import json_text

    truth = read_truth(expand_path(labels, "LABELS"), first_pixel)
    widths = sigmas_for(truth.skeleton, _sigmas(sigmas))
    found = read_results(Path(submission), len(truth.skeleton))
    frames = None if frame_range is None else parse_frames(frame_range).as_range()
    result = score_results(found, truth, widths, frames)
    if as_json:
        click.echo(json_text(result, indent=1))
        return
    _print(result, submission, truth.notes)


def _sigmas(text: str | None) -> float | list[float] | str | None:
    """Raises `SettingsError` for text that is no sigmas."""
    from heatkp.errors import SettingsError

    if text is None or text == "coco":
        return text
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(
            f"--sigmas {text!r}: give coco, a number such as 0.05, or one for each point"
        ) from None
    return numbers[0] if len(numbers) == 1 else numbers


def _print(result: dict[str, Any], title: str, notes: tuple[str, ...]) -> None:
    from heatkp.cli.console import PlainConsole, say

    console = PlainConsole()
    for note in notes:
        say(console, note)
    if result["left_out"]:
        say(console, f"results of images without labels, left out: {result['left_out']}")
    table = objects_table(result, f"{title}: {result['images']} images")
    for name, (label, form, meaning) in SHOWN.items():
        if "tracks" in result:
            value = result["tracks"][name]
            table.add_row(label, "-" if value is None else format(value, form), meaning)
    console.print(table)
    few = sorted(set(result["sigmas"]))
    say(console, f"OKS with sigmas {few[0]}" + (f" to {few[-1]}" if len(few) > 1 else ""))


def objects_table(result: Mapping[str, Any], title: str) -> Table:
    """The figures of objects, of `score_results` or `measure_objects`, as a rich table."""
    from heatkp.cli.console import figures_table
    from heatkp.evaluation.metrics import all_metrics

    table = figures_table(title)
    for metric in all_metrics("objects"):
        for i, (part, label) in enumerate(metric.parts.items()):
            value = (result[metric.name] or {}).get(part)
            number = "-" if value is None else format(value, metric.form)
            table.add_row(label, number, "" if i else metric.meaning)
    if "swaps" in result:
        meaning = "objects whose points match another one better than their own"
        table.add_row("swaps", str(result["swaps"]), meaning)
    if result.get("min_score") is not None:
        table.add_row(
            "score", f"{result['min_score']:.3g}", "from which objects count; AP sees all"
        )
    return table
