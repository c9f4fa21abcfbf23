"""`heatkp data convert`, `split`, `merge` and `subset`: label sets into other label sets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.options import NameOption, reading_options
from heatkp.registry import LABEL_WRITERS, READERS

if TYPE_CHECKING:
    from heatkp.data.samples import Labels
    from heatkp.data.writers import Written

CONVERT = """\b
Examples:
  heatkp data convert labels.xml --to coco --out labels-coco
  heatkp data convert found/coco.json --to imglab --out found-dlib --images link
  heatkp data convert faces/ --to webdataset --per-shard 500 --out shards
"""
SPLIT = """\b
Examples:
  heatkp data split faces/ --out faces-split
  heatkp data split faces/ --val 0.1 --test 0.1 --seed 7 --to csv --out faces-split
  heatkp data split faces.yaml --own --to coco --out faces-split
"""
MERGE = """\b
Examples:
  heatkp data merge monday/ tuesday.xml --to coco --out week
"""
SUBSET = """\b
Examples:
  heatkp data subset faces/ --names 'helen/*' --out helen
  heatkp data subset faces/ --points nose_tip,30,31 --fraction 0.1 --out small
"""
Command = Callable[..., Any]


@dataclass(frozen=True)
class Places:
    """What all these commands are told: how to read, and what to write where."""

    to: str | None
    out: str
    format: str
    reading: dict[str, Any]
    placing: Any
    keep_first: bool
    per_shard: int | None

    def read(self, source: str) -> Labels:
        from heatkp.data.sets import read_labels

        return read_labels(source, self.format, **self.reading)

    def written_format(self, source: str) -> str:
        """The format to write: that of what is read, where it can be written, unless named."""
        from heatkp.data.readers import recognise

        if self.to is not None:
            return self.to
        own = recognise(Path(source)) if self.format == "auto" else self.format
        return own if own in LABEL_WRITERS else "coco"


def _places(command: Command) -> Command:
    """Options that all these commands share, given as the argument `places`."""

    @wraps(command)
    def gathered(
        *, to: str | None, out: str, format_: str, placing: str, keep_first: bool,
        per_shard: int | None, orient: bool, y_up: bool | None,
        first_pixel: float | None, layout: str, **own: Any,
    ) -> Any:  # fmt: skip
        reading = {"orient": orient, "y_up": y_up, "layout": layout,
                   "first_pixel": first_pixel}  # fmt: skip
        places = Places(to, out, format_, reading, placing, keep_first, per_shard)
        return command(places=places, **own)

    made: Command = gathered
    for option in reversed((
        click.option("--to", cls=NameOption, registry=LABEL_WRITERS, also=(),
                     help="Format to write: {names}.  [default: that of FROM, or coco]"),
        click.option("--out", required=True, metavar="FOLDER",
                     help="A new folder; it is there whole, or not at all."),
        click.option("--from", "format_", cls=NameOption, registry=READERS, also=("auto",),
                     default="auto",
                     help="How FROM is written: {names}.  [default: what the files tell]"),
        click.option("--images", "placing", type=click.Choice(["copy", "link", "refer"]),
                     default="copy", show_default=True,
                     help="Copy images into FOLDER, link them there, or let labels name them "
                     "where they are. Frames of videos are written as PNG files."),
        click.option("--keep-first", is_flag=True,
                     help="Of several objects in an image, keep the first, where the format holds "
                     "one."),
        click.option("--per-shard", type=click.IntRange(1), metavar="N",
                     help="Images in a tar at most, of --to webdataset.  [default: 1000]"),
        reading_options,
    )):  # fmt: skip
        made = option(made)
    return made


def _tell(notes: Iterable[str], written: Iterable[tuple[str, Written]], format_: str) -> None:
    from heatkp.cli.console import PlainConsole, say

    console = PlainConsole()
    for note in dict.fromkeys(notes):
        say(console, note)
    for part, done in written:
        before = f"{part}: " if part else ""
        for note in done.notes:
            say(console, before + note)
        counts = f"{done.objects} objects in {done.images} images"
        say(console, f"{before}{counts}, {format_}: {done.path}")


def _write(labels: Labels, to: str, places: Places) -> None:
    from heatkp.cli.common import progress_bar
    from heatkp.cli.console import PlainConsole
    from heatkp.data.writers import write_labels

    with progress_bar(PlainConsole(stderr=True), "placing images") as progress:
        done = write_labels(
            labels, places.out, to, images=places.placing, first_only=places.keep_first,
            per_shard=places.per_shard, progress=progress,
        )  # fmt: skip
    _tell(labels.notes, [("", done)], to)


@click.command(epilog=CONVERT)
@click.argument("source", metavar="FROM", type=click.Path())
@_places
def convert(source: str, places: Places) -> None:
    """Write the labels in FROM, and their images, in another format.

    What the format cannot hold is counted and said; nothing else is lost. Decimals are kept as far
    as the format has them.
    """
    _write(places.read(source), places.written_format(source), places)


@click.command(epilog=SPLIT)
@click.argument("source", metavar="FROM", type=click.Path())
@_places
@click.option("--val", type=click.FloatRange(0, 1), default=0.2, show_default=True,
              help="Fraction for validation.")  # fmt: skip
@click.option("--test", type=click.FloatRange(0, 1), default=0.0, show_default=True,
              help="Fraction for a test.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option(
    "--by",
    type=click.Choice(["all", "image", "person", "video"]),
    default="all",
    show_default=True,
    help="What is not parted: samples of one source image, and of one "
    "person or video; `image` parts videos, whose neighbouring frames are alike.",
)
@click.option("--own", is_flag=True, help="Take the parts that the labels themselves name.")
def split(
    source: str, places: Places, val: float, test: float, seed: int, by: str, own: bool
) -> None:
    """Divide the labels in FROM into train, val and test.

    Samples of one source image, person or video stay together (--by). Formats that hold splits
    get one set, for the others there is a folder a part.
    """
    from heatkp.cli.common import progress_bar
    from heatkp.cli.console import PlainConsole
    from heatkp.config import PARTS
    from heatkp.data.sets import split_labels
    from heatkp.data.writers import write_parts

    labels = places.read(source)
    if not own:
        fractions = {"train": 1 - val - test, "val": val, "test": test}
        labels = split_labels(labels, fractions, seed, by)
    to = places.written_format(source)
    with progress_bar(PlainConsole(stderr=True), "placing images") as progress:
        done = write_parts(
            labels, places.out, to, images=places.placing, first_only=places.keep_first,
            per_shard=places.per_shard, progress=progress,
        )  # fmt: skip
    counts = Counter(sample.split for sample in labels.samples)
    parts = ", ".join(f"{counts[name]} {name}" for name in PARTS if counts[name])
    _tell([*labels.notes, f"samples: {parts}"], done.items(), to)


@click.command(epilog=MERGE)
@click.argument("sources", metavar="FROM...", nargs=-1, required=True, type=click.Path())
@_places
def merge(sources: tuple[str, ...], places: Places) -> None:
    """Join the labels of several sets whose points have the same names, in whatever order."""
    from heatkp.data.sets import merge_labels

    labels = merge_labels([places.read(source) for source in sources])
    _write(labels, places.written_format(sources[0]), places)


@click.command(epilog=SUBSET)
@click.argument("source", metavar="FROM", type=click.Path())
@_places
@click.option("--names", multiple=True, metavar="PATTERN",
              help="Samples whose id, or whose image's name (or FOLDER/NAME), fits: '*' stands for "
              "any text; may be repeated.")  # fmt: skip
@click.option("--points", metavar="LIST",
              help="Points to keep, in this order, by name or number: left_eye,3,4.")  # fmt: skip
@click.option("--fraction", type=click.FloatRange(0, 1, min_open=True), default=1.0,
              show_default=True, help="Of the samples, at random.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
def subset(
    source: str, places: Places, names: tuple[str, ...], points: str | None, fraction: float,
    seed: int,
) -> None:  # fmt: skip
    """Take some of the samples in FROM, or some of their points."""
    from heatkp.data.sets import subset_labels

    chosen = None if points is None else [part.strip() for part in points.split(",")]
    labels = places.read(source)
    labels = subset_labels(labels, names=names, points=chosen, fraction=fraction, seed=seed)
    _write(labels, places.written_format(source), places)


COMMANDS = (convert, split, merge, subset)
