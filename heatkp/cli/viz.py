"""`heatkp viz`: runs side by side, training samples, filters, errors."""

from __future__ import annotations

from pathlib import Path

import click

from heatkp.cli.common import png
from heatkp.cli.viz_augmentation import augmentation
from heatkp.cli.viz_errors import error_curve, head_turn, points
from heatkp.cli.viz_filters import filters
from heatkp.cli.viz_run import run
from heatkp.cli.viz_tracks import tracks
from heatkp.files import writing

CURVES_EXAMPLES = """\b
Examples:
  heatkp viz curves runs/kl-1 runs/softargmax-1 --out curves.png
"""


@click.group()
def viz() -> None:
    """Draw runs side by side, training samples, filters, tracks, and where errors come from."""


@viz.command(epilog=CURVES_EXAMPLES)
@click.argument("runs", type=click.Path(), nargs=-1, required=True, metavar="RUN...")
@click.option("--out", type=click.Path(), required=True, metavar="PNG")
def curves(runs: tuple[str, ...], out: str) -> None:
    """Training and validation loss and validation error of runs over their epochs."""
    from heatkp.evaluation.compare import distinct_names
    from heatkp.runs import HISTORY
    from heatkp.viz import curves

    target = png(out)
    names = distinct_names(runs)
    histories = {name: curves.read_history(Path(run) / HISTORY) for name, run in zip(names, runs)}
    with writing(target):
        curves.compare_curves(histories, target)
    click.echo(
        f"Written to {target}. Losses compare only between runs of the same head, errors in "
        "input pixels only between inputs of the same size."
    )


for command in (run, error_curve, points, head_turn, augmentation, filters, tracks):
    viz.add_command(command)
