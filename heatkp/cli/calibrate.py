"""`heatkp calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import or_newest, progress_bar
from heatkp.cli.options import device_option

if TYPE_CHECKING:
    from heatkp.evaluation.calibrating import Calibrated

EXAMPLES = """\b
Examples:
  heatkp calibrate
  heatkp calibrate runs/kl-1 --data others.json
  heatkp calibrate runs/kl-1 --radius 4 --out calibrated.safetensors
  heatkp calibrate face68 --data mine/ --out mine.safetensors
"""


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(), required=False, callback=or_newest)
@click.option("--data", type=click.Path(), help="Other labelled images than the run's own.")
@click.option("--split", type=click.Choice(["train", "val", "test", "all"]),
              help="Which samples.  [default: val; all of other data]")  # fmt: skip
@click.option("--radius", type=click.FloatRange(0, min_open=True), metavar="PIXELS",
              help="A score is to be the probability that a point lies this near the truth, in "
              "pixels of the network's input.  [default: 2 sigma of the target Gaussian]",
              )  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
@click.option("--out", type=click.Path(), metavar="FILE",
              help="Another file of weights (.safetensors) for the result.  [default: the run's "
              "own, in place]")  # fmt: skip
def calibrate(
    run: str, data: str | None, split: str | None, radius: float | None, batch_size: int,
    device: str, out: str | None,
) -> None:  # fmt: skip
    """Make scores and covariances say how wrong points are.

    Points of one look stay as they are. On images that the network was not trained on, a score
    becomes the probability that a point lies near the truth, and covariances get the size of the
    errors. That is kept in the run's weights, and what is exported from them. reliability.png
    beside them shows scores before and after.
    """
    from heatkp.cli.console import PlainConsole
    from heatkp.evaluation.calibrating import calibrate as mend
    from heatkp.viz.reliability import reliability_plot

    console = PlainConsole()
    with progress_bar(console, "evaluating") as progress:
        done = mend(
            run, data, split, out, radius, device, batch_size, progress,
            lambda note: console.print(note, highlight=False, soft_wrap=True),
        )  # fmt: skip
    console.print(_table(done))
    console.print(f"Written to {done.path}", highlight=False, soft_wrap=True)
    if done.reliability is not None:
        image = Path(done.path).with_name("reliability.png")
        before, after = done.reliability
        reliability_plot(
            {"before": before, "after": after}, image, done.calibration.radius
        )  # fmt: skip
        console.print(f"Scores before and after: {image}", highlight=False, soft_wrap=True)


def _table(done: Calibrated) -> object:
    from rich.table import Table

    from heatkp.evaluation.metrics import METRICS

    title = f"{done.samples} samples; after: each half calibrated on the other"
    if done.after is None:
        title = f"{done.samples} samples; too few points to calibrate one half on the other"
    table = Table(title=title, title_justify="left", pad_edge=False, box=None)
    for column in ("", "before", "after"):
        table.add_column(column, justify="right" if column else "left")
    coverage, error = METRICS["coverage"], METRICS["score_error"]
    after = done.after or {"coverage": None, "score_error": None}
    for part, name in coverage.parts.items():
        values = [_of(found["coverage"], part) for found in (done.before, after)]
        table.add_row(f"points in the {name} ellipse", *(_shown(v, coverage.form) for v in values))
    values = [found["score_error"] for found in (done.before, after)]
    radius = f"{done.calibration.radius:g} px of the input"
    table.add_row(f"score error (within {radius})", *(_shown(v, error.form) for v in values))
    return table


def _of(values: object, part: str) -> object:
    return values.get(part) if isinstance(values, dict) else None


def _shown(value: object, form: str) -> str:
    return format(value, form) if isinstance(value, float) else "-"
