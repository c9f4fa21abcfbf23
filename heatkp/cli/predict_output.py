"""What `heatkp predict` shows while it works, and says at the end."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from heatkp.cli.console import say
from heatkp.data.frame_range import EVERY_FRAME
from heatkp.data.predicted import SUMMARY
from heatkp.inference.predictor import Predictor
from heatkp.inference.saving import Summary, save_predictions
from heatkp.inference.sharding import ShardSummary
from heatkp.inference.sources import FoundSources, image_count
from heatkp.inference.writers import WRITERS

SHOWN, MOST = 10, 100
"""Lines of a list that are printed, of files that cannot be used; summary.json has all."""


@contextmanager
def stoppable() -> Iterator[list[bool]]:
    """A list that is no longer empty once Ctrl-C was pressed; a second time it interrupts."""
    import signal
    import threading

    pressed: list[bool] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def note(*_: object) -> None:
        pressed.append(True)
        signal.signal(signal.SIGINT, before)
        os.write(2, b"\nStopping: what was found so far is written. Again Ctrl-C: at once.\n")

    signal.signal(signal.SIGINT, note)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def under_bar(aside: Console, total: int | None) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; gives what is told how many images are done."""
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not aside.is_terminal
    with Progress(*columns, console=aside, transient=True, disable=hidden) as progress:
        task = progress.add_task("predicting", total=total)
        yield lambda done: progress.update(task, completed=done)


def predict_under_bar(
    aside: Console,
    predictor: Predictor,
    found: FoundSources,
    out: Path | None,
    formats: Sequence[str],
    *,
    every: int,
    **options: Any,
) -> Summary:
    """`save_predictions` under a progress bar, until Ctrl-C is pressed."""
    hidden = not aside.is_terminal
    frames = options.get("frames", EVERY_FRAME)
    total = 0 if hidden else sum(image_count(s, every, frames) for s in found.sources)
    try:
        with under_bar(aside, total) as progress, stoppable() as pressed:
            return save_predictions(
                predictor,
                found,
                out,
                formats,
                every=every,
                progress=progress,
                stop=lambda: bool(pressed),
                **options,
            )
    except BrokenPipeError:  # the reader of standard output has gone: end without a word
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(1) from None


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' * (number != 1)}"


def _list(console: Console, title: str, lines: Sequence[str], shown: int) -> None:
    if not lines:
        return
    say(console, f"{len(lines)} {title}:")
    for line in lines[:shown]:
        say(console, f"  {line}")
    if len(lines) > shown:
        say(console, f"  ... and {len(lines) - shown} more; {SUMMARY} lists all")


def tell(console: Console, summary: Summary, folder: Path | None, formats: Sequence[str]) -> None:
    """What was done, what was not, and where everything is.

    Raises `click.exceptions.Exit` with code 1 where something could not be used and 130 where it
    was stopped.
    """
    each = 1000 * summary.seconds / max(1, summary.images)
    say(
        console,
        f"{_count(summary.images, 'image')}, {_count(summary.objects, 'object')}, "
        f"{summary.seconds:.1f} s ({each:.0f} ms an image)",
    )
    _list(console, "without an object", summary.without_object, SHOWN)
    _list(console, "without a box, left out", summary.without_box, SHOWN)
    several = "of several pages, of which the first was looked at"
    _list(console, several, summary.first_page, SHOWN)
    if summary.turned and any(n in WRITERS and WRITERS[n].trains for n in formats):
        say(
            console,
            f"images that are stored turned (EXIF): {summary.turned}; points are of the upright "
            "image: train on these tables with data.orient=true",
        )
    _list(console, "could not be used", [f"{f.name}: {f.reason}" for f in summary.failures], MOST)
    _list(console, "notes on what was written", summary.notes, SHOWN)
    if folder is not None:
        names = [path.name + "/" * path.is_dir() for path in summary.written]
        say(console, f"Written to {folder}: {', '.join(names)}")
    if not summary.complete:
        say(console, f"Interrupted after {_count(summary.images, 'image')}")
        raise click.exceptions.Exit(130)
    if summary.failures:
        raise click.exceptions.Exit(1)


def tell_shard(console: Console, summary: ShardSummary, folder: Path, total: int) -> None:
    """What came of a shard, and what to do next.

    Raises `click.exceptions.Exit` as `tell` does.
    """
    each = f" ({1000 * summary.seconds / summary.images:.0f} ms an image)" if summary.images else ""
    say(
        console,
        f"shard {summary.shard}: {_count(summary.inputs, 'input')} of {total}, {summary.before} "
        f"done before; now {_count(summary.images, 'image')}, "
        f"{_count(summary.objects, 'object')}, {summary.seconds:.1f} s{each}",
    )
    lines = [f"{f.name}: {f.reason}" for f in summary.failures]
    if summary.failed > len(lines):
        lines += [f"... and {summary.failed - len(lines)} more"]
    for line in [f"{summary.failed} could not be used:", *lines] if lines else []:
        say(console, line)
    if not summary.complete:
        say(console, "Interrupted; the same command goes on from here")
        raise click.exceptions.Exit(130)
    then = "" if summary.shard.count == 1 else ", once all shards are done"
    say(console, f"Written to {folder}; tables{then}: heatkp predict --merge {folder}")
    if summary.failed:
        raise click.exceptions.Exit(1)
