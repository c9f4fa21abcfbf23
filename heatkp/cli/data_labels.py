"""`heatkp data check` and `suggest`: which labels are wrong, and what to label next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.common import or_newest, progress_bar, target_path
from heatkp.cli.options import NameOption, device_option
from heatkp.registry import LABEL_WRITERS

if TYPE_CHECKING:
    from rich.table import Table

    from heatkp.checking.check import Checked

CHECK = """\b
Examples:
  heatkp data check
  heatkp data check runs/folds
  heatkp data check runs/kl-1 runs/kl-2 --out check
  heatkp data check runs/kl-1 --data new_labels.xml
"""
SHOWN = 15
"""Findings that the console shows."""


@click.command(epilog=CHECK)
@click.argument("runs", type=click.Path(), nargs=-1, metavar="[RUN]...", callback=or_newest)
@click.option("--data", type=click.Path(), help="Other labels than the run was trained on.")
@click.option("--all", "every", is_flag=True,
              help="Also samples that the run was trained on, whose wrong labels it may have "
              "learned.")  # fmt: skip
@click.option("--count", type=click.IntRange(1), default=60, show_default=True,
              help="Findings that the page shows; the table has all.")  # fmt: skip
@click.option("--flip-test", is_flag=True, help="Average with the mirrored image.")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
@click.option("--out", type=click.Path(), metavar="FOLDER",
              help="Where check.html, suspects.csv and check.json go.  [default: RUN/check]",
              )  # fmt: skip
def check(
    runs: tuple[str, ...], data: str | None, every: bool, count: int, flip_test: bool,
    batch_size: int, device: str, out: str | None,
) -> None:  # fmt: skip
    """Rank labels that are probably wrong, and look for a shift of all of them.

    RUN predicts samples that it was not trained on: its validation samples, of folds (heatkp
    train --folds) all. Found are left and right exchanged, parts in another order, points
    exchanged, points and objects that are off. All labels may lie beside their images by a
    constant shift; a run tells that was trained with full rotations
    (augmentation.rotation=180), where objects point in all directions.
    """
    from heatkp.checking.check import check_labels, write_check
    from heatkp.cli.console import PlainConsole, say
    from heatkp.evaluation.measure import InferenceOptions
    from heatkp.files import check_folder, writing

    console = PlainConsole()
    folder = target_path(runs[0], out, "check")
    with writing(folder):
        check_folder(folder)
    how = InferenceOptions(flip_test=flip_test, device=device, batch_size=batch_size)
    with progress_bar(console, "predicting") as progress:
        checked = check_labels(runs, data, every, how, progress)
    shown = min(count, len(checked.findings))
    with progress_bar(console, "drawing") as progress:
        written = write_check(
            checked, folder, Path(runs[0]).name, count, lambda done: progress(done, shown)
        )
    if checked.findings:
        console.print(findings_table(checked))
    else:
        say(console, f"nothing found in {len(checked.held.samples)} objects")
    for note in checked.notes:
        say(console, note)
    say(console, f"Written to {folder}: {', '.join(path.name for path in written)}")


def findings_table(checked: Checked, most: int = SHOWN) -> Table:
    """The first findings, for people."""
    from rich.table import Table

    from heatkp.checking.words import describe

    total, objects = len(checked.findings), len(checked.held.samples)
    title = f"{total} findings in {objects} objects" + f", the first {most}" * (total > most)
    table = Table(title=title, title_justify="left", pad_edge=False)
    columns: list[tuple[str, Any]] = [
        ("", "right"), ("sample", "left"), ("what is probably wrong", "left"),
        ("error", "right"), ("otherwise", "right"), ("strength", "right"),
    ]  # fmt: skip
    for name, side in columns:
        table.add_column(name, justify=side)
    for rank, finding in enumerate(checked.findings[:most], 1):
        after = "" if finding.after is None else f"{finding.after:.1f}"
        table.add_row(
            str(rank), checked.held.samples[finding.sample].id,
            describe(finding, checked.held.skeleton), f"{finding.before:.1f}", after,
            f"{finding.strength:.1f}",
        )  # fmt: skip
    return table


SUGGEST = """\b
Examples:
  heatkp data suggest runs/kl-1 images/ -n 30
  heatkp data suggest runs/kl-1 clip.mp4 --every 5 --to cvat --out next
  heatkp data suggest runs/kl-1 --with runs/kl-2 --with runs/kl-3 'clips/*.mp4' --to labelme
"""


@click.command(epilog=SUGGEST)
@click.argument("run", type=click.Path())
@click.argument("inputs", nargs=-1, required=True, metavar="IMAGES...")
@click.option("-n", "--count", type=click.IntRange(1), default=50, show_default=True,
              help="Images to suggest.")  # fmt: skip
@click.option("--to", "formats", cls=NameOption, registry=LABEL_WRITERS, also=(), multiple=True,
              help="Label sets to write, to be corrected: {names}; may be repeated.  "
              "[default: coco]")  # fmt: skip
@click.option("--out", default="suggestions", show_default=True, metavar="FOLDER",
              help="A new folder.")  # fmt: skip
@click.option("--with", "others", multiple=True, type=click.Path(), metavar="RUN",
              help="Another run that finds the same points: where they differ is doubt; may be "
              "repeated.")  # fmt: skip
@click.option("--boxes", "where", metavar="HOW",
              help="Where the objects are, as of heatkp predict: `faces`, `image`, or a FILE with "
              "boxes.  [default: auto]")  # fmt: skip
@click.option("--every", type=click.IntRange(1), default=1, show_default=True,
              help="Of videos, look at every so many frames.")  # fmt: skip
@click.option("--gap", type=click.IntRange(0), default=10, show_default=True,
              help="Of videos, frames looked at that lie between two suggested ones at least.",
              )  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
def suggest(
    run: str, inputs: tuple[str, ...], count: int, formats: tuple[str, ...], out: str,
    others: tuple[str, ...], where: str | None, every: int, gap: int, batch_size: int, device: str,
) -> None:  # fmt: skip
    """Choose images, or frames of videos, to label next.

    Those that RUN is in doubt about: low scores, wide maps, another answer on the mirrored image,
    of other runs, or in the frames beside; and that are unlike each other. Images that RUN's data
    has labels for are left out. FOLDER gets suggestions.csv, with each reason's figure, and label
    sets with the images and predictions, to be corrected in a labelling tool.
    """
    from heatkp.checking import suggesting
    from heatkp.checking.looking import REASONS
    from heatkp.cli.console import PlainConsole, say
    from heatkp.cli.predict_request import Options, asked
    from heatkp.inference.predictor import load_model
    from heatkp.inference.saving import require_sources
    from heatkp.inference.sources import find_sources, image_count

    console = PlainConsole()
    found = find_sources(inputs)
    require_sources(found)
    request = asked(found, Options(run, where, batch_size=batch_size, device=device))
    members = [load_model(other, device) for other in others]
    total = sum(image_count(source, every) for source in found.sources)
    with progress_bar(console, "looking") as progress:
        done = suggesting.suggest(
            [request.predictor, *members], found, out, formats or ("coco",), count=count,
            boxes=request.boxes, every=every, gap=gap, batch_size=batch_size, model=run,
            progress=lambda number: progress(number, total),
        )  # fmt: skip
    for note in (*request.notes, *done.notes):
        say(console, note)
    for failure in done.failures:
        say(console, f"could not be used: {failure.name}: {failure.reason}")
    left = [f"{done.labelled} labelled already"] * bool(done.labelled)
    left += [f"{done.empty} without an object"] * bool(done.empty)
    say(
        console,
        f"{len(done.suggestions)} of {done.images} images suggested"
        + f" ({', '.join(left)}, left out)" * bool(left),
    )
    for one in done.suggestions[:SHOWN]:
        say(console, f"  {one.looked.name}: {REASONS.get(one.reason, '')}")
    say(console, f"Written to {out}: {', '.join(path.name for path in done.written)}")


COMMANDS = (check, suggest)
