"""The work of `heatkp predict`: from pictures to files, and what is said about it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

import heatkp
from heatkp.cli.common import writing
from heatkp.cli.console import say
from heatkp.errors import HeatkpError
from heatkp.files import MADE_BY, SUMMARY, write_text
from heatkp.inference.batches import answers
from heatkp.inference.drawn import DrawnPictures
from heatkp.inference.sources import Fault, Found, picture_count, read_pictures
from heatkp.inference.writers import WRITERS, About, Writer
from heatkp.text import json_text, name_to_text

if TYPE_CHECKING:
    from heatkp.cli.predict import Asked

SHOWN, MOST = 10, 100
"""Lines of a list that are printed, of files that cannot be used; summary.json has all."""


class Output(NamedTuple):
    """Where results go; `folder` None is standard output."""

    folder: Path | None
    formats: tuple[str, ...]
    pictures: bool


@dataclass
class Tally:
    """What is counted while pictures go by. A video's frames are pictures."""

    faults: list[Fault]
    pictures: int = 0
    faces: int = 0
    turned: int = 0
    seconds: float = 0.0
    without_face: list[str] = field(default_factory=list)
    without_box: list[str] = field(default_factory=list)
    first_page: list[str] = field(default_factory=list)
    passed_over: dict[str, int] = field(default_factory=dict)


@contextmanager
def _stoppable() -> Iterator[list[bool]]:
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


def run(
    console: Console, aside: Console, found: Found, asked: Asked, output: Output, every: int
) -> None:
    """Predict, write, and say what came out.

    Raises `click.exceptions.Exit` with code 1 where something could not be used and 130 where it
    was stopped, `SettingsError` where results cannot be written.
    """
    passed_over = {suffix: count for suffix, (count, _) in found.passed_over.items()}
    tally = Tally(list(found.faults), passed_over=passed_over)
    with writing(output.folder or Path("standard output")):
        writers: list[Writer] = []
        try:
            # Before the first picture, for it also marks a folder whose run is killed.
            _summarise(output, asked, tally, False)
            _open(writers, output, asked)
            stopped = _work(aside, found, asked, writers, tally, every)
            written = [path for w in writers for path in w.finish(tally.faults, not stopped)]
            _summarise(output, asked, tally, not stopped)
        except BrokenPipeError:
            _leave_pipe()
        finally:
            for writer in writers:
                writer.discard()
    _tell(console, tally, output, written)
    if stopped:
        say(console, f"Interrupted after {_count(tally.pictures, 'picture')}")
        raise click.exceptions.Exit(130)
    if tally.faults:
        raise click.exceptions.Exit(1)


def _open(writers: list[Writer], output: Output, asked: Asked) -> None:
    """One by one, so that a failure leaves those before it to be discarded."""
    folder = output.folder
    about = About(asked.options.model, asked.predictor.skeleton, _record(asked))
    for name in output.formats:
        writers.append(WRITERS[name](folder, about))
    if output.pictures and folder is not None:
        writers.append(DrawnPictures(folder))


def _record(asked: Asked) -> dict[str, Any]:
    """The options that results depend on, as they were understood."""
    options, boxes = asked.options, asked.boxes
    record: dict[str, Any] = {"boxes": boxes if isinstance(boxes, str) else options.where}
    if options.edges:
        record["boxes"] = list(options.edges)
    if boxes == "faces":
        detector = asked.predictor.detector
        record["detector"] = detector if isinstance(detector, str) else detector.name
        record.update(min_score=options.min_score, max_faces=options.max_faces)
    passes = options.passes or (1 if asked.predictor.box_style is None else 2)
    return {**record, "passes": passes, "flip_test": options.flip_test}


def _work(
    aside: Console,
    found: Found,
    asked: Asked,
    writers: Sequence[Writer],
    tally: Tally,
    every: int,
) -> bool:
    """Look at everything; returns whether it was stopped before the end."""
    options = asked.options
    columns = (TextColumn("predicting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    hidden = not aside.is_terminal
    known = set(tally.faults)
    total = 0 if hidden else sum(picture_count(s, every) for s in found.sources)
    start = time.perf_counter()
    results = answers(
        asked.predictor,
        read_pictures(found.sources, every, asked.predictor.image_options),
        asked.boxes,
        options.batch_size,
        passes=options.passes,
        flip_test=options.flip_test,
    )
    with (
        Progress(*columns, console=aside, transient=True, disable=hidden) as progress,
        _stoppable() as stopped,
    ):
        task = progress.add_task("predicting", total=total)
        for item in results:
            progress.advance(task)
            if isinstance(item, Fault):
                if item not in known:  # each frame of a video may give the same
                    tally.faults.append(item)
                    known.add(item)
            elif item.faces is None:
                tally.without_box.append(item.picture.name)
            else:
                tally.pictures += 1
                tally.faces += len(item.faces)
                tally.turned += item.picture.orientation != 1
                if item.picture.pages > 1:
                    tally.first_page.append(item.picture.name)
                if not item.faces:
                    tally.without_face.append(item.picture.name)
                for writer in writers:
                    try:
                        writer.add(item.picture, item.faces)
                    except HeatkpError as error:
                        tally.faults.append(Fault(item.picture.name, str(error)))
            if stopped:
                break
    tally.seconds = time.perf_counter() - start
    return bool(stopped)


def _leave_pipe() -> None:
    """The reader of standard output has gone: end without a word."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    raise click.exceptions.Exit(1)


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


def _summarise(output: Output, asked: Asked, tally: Tally, complete: bool) -> None:
    if output.folder is None:
        return
    values = {
        "made_by": MADE_BY,
        "heatkp": heatkp.__version__,
        "model": asked.options.model,
        "options": _record(asked),
        "complete": complete,
        "pictures": tally.pictures,
        "faces": tally.faces,
        "seconds": round(tally.seconds, 3),
        "turned_by_exif": tally.turned,
        "without_face": list(map(name_to_text, tally.without_face)),
        "without_box": list(map(name_to_text, tally.without_box)),
        "first_page_only": list(map(name_to_text, tally.first_page)),
        "passed_over": tally.passed_over,
        "faults": [fault.as_dict() for fault in tally.faults],
    }
    write_text(output.folder / SUMMARY, json_text(values, indent=1) + "\n")


def _tell(console: Console, tally: Tally, output: Output, written: Sequence[Path]) -> None:
    """What was done, what was not, and where everything is."""
    each = 1000 * tally.seconds / max(1, tally.pictures)
    say(
        console,
        f"{_count(tally.pictures, 'picture')}, {_count(tally.faces, 'face')}, "
        f"{tally.seconds:.1f} s ({each:.0f} ms a picture)",
    )
    _list(console, "without a face", tally.without_face, SHOWN)
    _list(console, "without a box, left out", tally.without_box, SHOWN)
    several = "of several pages, of which the first was looked at"
    _list(console, several, tally.first_page, SHOWN)
    if tally.turned and any(WRITERS[name].trains for name in output.formats):
        say(
            console,
            f"photos that are stored turned (EXIF): {tally.turned}; points are of the upright "
            "picture: train on these tables with data.orient=true",
        )
    _list(console, "could not be used", [f"{f.name}: {f.reason}" for f in tally.faults], MOST)
    if output.folder is not None:
        names = [path.name + "/" * path.is_dir() for path in (*written, output.folder / SUMMARY)]
        say(console, f"Written to {output.folder}: {', '.join(names)}")
