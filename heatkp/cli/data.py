"""`heatkp data`: make data sets and look into them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import png
from heatkp.cli.data_labels import COMMANDS as OF_LABELS
from heatkp.cli.data_sets import COMMANDS as OF_SETS
from heatkp.cli.options import NameOption, reading_options
from heatkp.registry import READERS

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from heatkp.data.inspection import Inspection, Outside, Spread

EXAMPLES = """\b
Examples:
  heatkp data synth --n 500 faces/
  heatkp data synth --n 100 --size 256 --skeleton face58 --seed 7 faces58/
  heatkp data synth --n 200 --size 480 --objects 1-12 crowds/
"""

INFO_EXAMPLES = """\b
Examples:
  heatkp data info labels_ibug_300W_train.xml
  heatkp data info faces/ --out faces.png
  heatkp data info training.csv --format kaggle15 --json
  heatkp data info landmarks.csv --y-up
"""


@click.group()
def data() -> None:
    """Make data sets and look into them."""


for _command in (*OF_SETS, *OF_LABELS):
    data.add_command(_command)


@data.command(epilog=EXAMPLES)
@click.argument("out", type=click.Path())
@click.option("--n", "count", type=click.IntRange(1), default=500, show_default=True,
              help="Images.")  # fmt: skip
@click.option("--size", type=click.IntRange(48, 2048), default=128, show_default=True,
              help="Width and height in pixels; of one face at most 512.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@click.option("--skeleton", type=click.Choice(["face68", "face58"]), default="face68",
              show_default=True, help="Layout of the labels.")  # fmt: skip
@click.option("--objects", metavar="N-M",
              help="Draw from N to M faces in each image, 20 to 200 pixels wide, which overlap, "
              "instead of one that fills it; labelled in face68.")  # fmt: skip
def synth(out: str, count: int, size: int, seed: int, skeleton: str, objects: str | None) -> None:
    """Draw faces with exact labels: PNG files and COCO keypoints in a new folder OUT."""
    from dataclasses import replace

    from rich.progress import track

    from heatkp.cli.console import PlainConsole
    from heatkp.data.drawn import drawn_sample, scene_samples
    from heatkp.data.samples import Labels
    from heatkp.data.writers import write_labels
    from heatkp.files import require_new
    from heatkp.skeletons import SKELETONS

    target, layout = Path(out), SKELETONS[skeleton]
    many = _counts(objects, size, skeleton)
    require_new(target)  # before minutes of drawing
    console = PlainConsole()
    samples = []
    for index in track(range(count), "drawing", console=console, transient=True):
        if many is None:
            samples.append(replace(drawn_sample(seed, index, layout, size), id=f"{index:06d}"))
        else:
            samples += scene_samples(seed, index, (size, size), many)
    write_labels(Labels(layout, samples), target, "coco")
    task = "" if many is None else " --task finder+points"
    faces = f"{len(samples)} faces" if many is None else f"{len(samples)} faces, {count} images"
    console.print(f"{faces} in {target}; train with: heatkp train --data {target}{task}",
                  highlight=False, soft_wrap=True)  # fmt: skip


def _counts(text: str | None, size: int, skeleton: str) -> tuple[int, int] | None:
    """The least and the greatest number that --objects gives. Raises `SettingsError`."""
    from heatkp.errors import SettingsError

    if text is None:
        if size > 512:
            raise SettingsError("--size: one face is at most 512 pixels; draw several (--objects)")
        return None
    first, dash, last = (part.strip() for part in text.partition("-"))
    last = last if dash else first
    if not (first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise SettingsError(f"--objects {text!r}: write the least and the greatest, as in 1-40")
    if skeleton != "face68":
        raise SettingsError("--objects: images of several faces are labelled in face68")
    return int(first), int(last)


@data.command(epilog=INFO_EXAMPLES)
@click.argument("path", type=click.Path())
@click.option(
    "--format", "format_", cls=NameOption, registry=READERS, also=("auto",), default="auto",
    help="How the labels are written: {names}.  [default: what the files' names tell]",
)  # fmt: skip
@click.option("--out", type=click.Path(), metavar="PNG",
              help="Where samples are drawn with their points.  [default: contact-NAME.png; "
              "with --json: nowhere]")  # fmt: skip
@reading_options
@click.option("--json", "as_json", is_flag=True, help="Print all numbers and files as JSON.")
def info(
    path: str,
    format_: str,
    out: str | None,
    orient: bool,
    y_up: bool | None,
    first_pixel: float | None,
    layout: str,
    as_json: bool,
) -> None:
    """Count and measure the labelled images in PATH, look for faults, and draw some samples."""
    from rich.progress import Progress

    from heatkp.cli.console import PlainConsole, say
    from heatkp.data.images import ImageOptions
    from heatkp.data.inspection import inspect
    from heatkp.data.readers import read, recognise
    from heatkp.errors import SettingsError
    from heatkp.files import fitting, reason
    from heatkp.text import json_text, without_markdown

    source = Path(path)
    sheet = Path(out) if out else Path(fitting(f"contact-{_label(source)}", ".png"))
    if out or not as_json:
        png(str(sheet))
    name = recognise(source) if format_ == "auto" else format_
    options = ImageOptions(orient)
    labels = read(
        source, name, strict=False, options=options, y_up=y_up, layout=layout,
        first_pixel=first_pixel,
    )  # fmt: skip
    with Progress(console=PlainConsole(stderr=True), transient=True) as progress:
        task = progress.add_task("looking at images", total=None)
        found = inspect(
            labels,
            format=name,
            path=path,
            orient=orient,
            progress=lambda done, total: progress.update(task, completed=done, total=total),
        )
    faulty = {*found.missing, *(file for file, _ in found.unreadable)}
    good = [s for s in labels.samples if s.image_name not in faulty]
    drawn = 0
    if good and (out or not as_json):
        from heatkp.viz.contact import contact_sheet

        try:
            drawn = contact_sheet(good, labels.skeleton, sheet)
        except OSError as error:
            raise SettingsError(f"cannot write {sheet}: {reason(error)}") from None
    if as_json:
        contact = str(sheet) if drawn else None
        click.echo(json_text({**found.as_dict(), "contact_sheet": contact}, indent=1))
        return
    console = PlainConsole()
    say(console, f"{found.path} ({found.format})", style="italic")
    say(console, f"{name}: {without_markdown(READERS[name].what)}")
    console.print(_overview(found))
    if found.points:
        known = f"{len(found.pairs)} pairs and {len(found.midline)} points on the midline"
        say(console, found.mirroring or f"mirrored images: {known}, by the layout {found.layout}")
        way = {True: "upright", False: "upside down", None: "not known"}[found.upright]
        look = "; look at the contact sheet, --y-up turns labels over" * (found.upright is None)
        say(console, f"way up: {way}, {found.orientation}{look}")
    if found.enlarged:
        console.print(_enlarged(found))
    _list_failures(console, found)
    line = f"{drawn} samples are drawn in {sheet}" if drawn else "No image can be drawn"
    say(console, line)


def _label(source: Path) -> str:
    """A data set's name for a file's name: without folders, a file's without extension."""
    place = source.resolve()
    return place.name if place.is_dir() else place.stem


def _spread(spread: Spread | None, form: str = ".0f") -> str:
    if spread is None:
        return "-"
    return " / ".join(format(v, form) for v in (spread.min, spread.median, spread.max))


def _overview(found: Inspection) -> Table:
    from rich.table import Table

    table = Table(show_header=False, pad_edge=False)
    table.add_column()
    table.add_column(justify="right")
    table.add_column(style="dim")

    def outside(what: Outside) -> str:
        return f"{what.points} in {what.samples}"

    rows: list[tuple[str, object, str]] = [
        ("images", found.images, "different image files"),
        ("samples", found.samples, "labelled objects"),
        ("  of an image", _spread(found.objects, "g"), "least / middle / most"),
        ("source images", found.sources, "groups that a split keeps together"),
    ]
    if found.splits:
        parts = ", ".join(f"{name} {count}" for name, count in found.splits.items())
        rows.append(("splits", parts, "samples, named in the labels"))
    for name, count in (
        ("persons", found.persons), ("videos", found.videos), ("tracks", found.tracks)
    ):  # fmt: skip
        if count:
            rows.append((name, count, "named in the labels"))
    rows += [
        ("points", found.points, f"of each, in the layout {found.layout}"),
        ("  visible", found.visible, "labelled points, of all samples"),
        ("  occluded", found.occluded, "labelled, but hidden in the image"),
        (
            "  not labelled",
            found.not_labelled,
            f"samples without labels, not trained on: {found.unlabelled_samples}",
        ),
        ("image width", _spread(found.image_width), "pixels: least / middle / most"),
        ("image height", _spread(found.image_height), ""),
        (
            "boxes",
            found.boxes,
            _boxes_from(found),
        ),
    ]
    if found.box_width:
        rows += [
            ("  width", _spread(found.box_width), "pixels: least / middle / most"),
            ("  height", _spread(found.box_height), ""),
            ("  width / height", _spread(found.box_aspect, ".2f"), "1 is a square"),
        ]
    if found.size:
        rows.append((found.size_of, _spread(found.size, ".1f"), "pixels: how large they are"))
    if found.label_gap is not None:
        rows.append(
            ("labels of one image", f"{found.label_gap:.2%}", f"of {found.size_of} apart, where an "
             "image is there twice")
        )  # fmt: skip
    if found.outside_box:
        rows.append(("outside the box", outside(found.outside_box), "points, in so many samples"))
    if found.outside_image:
        rows.append(
            ("outside the image", outside(found.outside_image), "points, in so many samples")
        )
    for label, value, meaning in rows:
        table.add_row(label, str(value), meaning)
    return table


def _boxes_from(found: Inspection) -> str:
    if not found.boxes:
        return "none in the labels; data.crop=box takes those around the points"
    some = f", {found.samples - found.boxes} samples without" * (found.boxes < found.samples)
    return "of the labels" + some + f", {found.flat_boxes} without area" * (found.flat_boxes > 0)


def _enlarged(found: Inspection) -> Table:
    from rich.table import Table

    table = Table(title="What a crop to the box loses, if the box is enlarged",
                  title_justify="left", pad_edge=False)  # fmt: skip
    for title in ("times", "points", "samples with any", "square: points", "square: samples"):
        table.add_column(title, justify="right")
    for loss in found.enlarged:
        shares = (loss.points, loss.samples, loss.square_points, loss.square_samples)
        table.add_row(f"{loss.scale:.1f}", *(f"{share:.2%}" for share in shares))
    return table


def _list_failures(console: Console, found: Inspection, most: int = 10) -> None:
    """Missing and unreadable files in full, for they stop a training; of the rest some."""
    from heatkp.cli.console import say

    def section(title: str, lines: list[str], shown: int | None = None) -> None:
        if not lines:
            return
        shown = len(lines) if shown is None else shown
        more = [f"... and {len(lines) - shown} more; --json lists all"] * (len(lines) > shown)
        for line in (f"{len(lines)} {title}", *(f"  {text}" for text in lines[:shown] + more)):
            say(console, line)

    def some(names: Sequence[str]) -> str:
        return ", ".join(names[:5]) + f" and {len(names) - 5} more" * (len(names) > 5)

    section("missing files:", list(found.missing))
    section("unreadable images:", [reason for _, reason in found.unreadable])
    section("groups of equal images:", [some(group) for group in found.same_image], most)
    section("ids that several samples have:", list(found.same_id), most)
    section("groups of samples that show one image under other names (leave them out of training "
            "where one of them validates with data.leave_out_lookalikes=true):",
            [some(group) for group in found.near_duplicates], most)  # fmt: skip
    for leak in found.leaks:
        say(console, f"warning: {leak.note(found.splits[leak.part])}")
    section("notes on the labels:", list(found.notes))
