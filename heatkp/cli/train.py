"""`heatkp train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.common import chosen_settings

if TYPE_CHECKING:
    from rich.console import Console

# Kept here as text, for importing the heads would import torch; a test compares the two.
HEADS = ("argmax", "softargmax", "kl", "ce", "bce", "marginal", "l1", "nll", "regression")

EXAMPLES = """\b
Examples:
  heatkp train                                  drawn faces, 68 points, a few minutes
  heatkp train --head kl --epochs 60
  heatkp train --config configs/part1_nose.yaml --data imm/
  heatkp train --set model.encoder=mobilenet_v2 --set augmentation.rotation=30
  heatkp train --resume runs/softargmax-1
"""


@click.command(epilog=EXAMPLES)
@click.option("--config", type=click.Path(), help="YAML file of settings; see configs/.")
@click.option("--head", help=f"One of: {', '.join(HEADS)}.  [default: softargmax]")
@click.option(
    "--data", type=click.Path(), help="Folder or file of labelled photos; none: drawn faces."
)
@click.option("--epochs", type=int, help="Passes over the training samples.")
@click.option("--batch-size", type=int, help="Samples per step.")
@click.option("--lr", type=float, help="Largest learning rate.")
@click.option("--seed", type=int, help="Seed of weights, order and augmentation.")
@click.option("--out", type=click.Path(), help="New run folder.  [default: runs/HEAD-N]")
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Any other setting, as in model.stride=1; may be repeated.",
)  # fmt: skip
@click.option("--resume", type=click.Path(), metavar="RUN", help="Continue a run that was stopped.")
def train(
    config: str | None,
    out: str | None,
    assignments: tuple[str, ...],
    resume: str | None,
    **flags: object,
) -> None:
    """Train a model, evaluate it, and leave settings, metrics, weights and pictures in a folder."""
    from heatkp.errors import SettingsError

    given = {name: value for name, value in flags.items() if value is not None}
    if resume is not None and (given or assignments or config or out):
        raise SettingsError("--resume takes everything from the run: leave out the other options")

    from heatkp.cli.console import PlainConsole

    console = PlainConsole()
    if resume is not None:
        from heatkp.training import fit

        run = Path(resume)
        report(console, run, fit.resume(run, console))
        return

    from heatkp.config import expand_path, ignored, read_yaml

    values = read_yaml(config) if config else {}
    settings = chosen_settings(values, given, assignments, config or "settings")
    path = settings.data.path
    where = "drawn faces" if path is None else expand_path(path, "data.path")

    from heatkp.training import fit

    console.print(
        f"heatkp: head {settings.head.name}, {where}, "
        f"input {settings.data.size[0]}x{settings.data.size[1]}, {settings.trainer.epochs} epochs",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    unused = ignored(settings)
    if unused:
        console.print(f"ignored: {'; '.join(unused)}", highlight=False, soft_wrap=True)
    report(console, *fit.train(settings, out, console))


def report(console: Console, run: Path, metrics: dict[str, Any]) -> None:
    """Print the table of errors and where everything is."""
    from heatkp.evaluation.evaluate import metrics_table, worst_points

    console.print(metrics_table(metrics, f"{run}: {metrics['images']} validation images"))
    console.print(f"Largest errors (photo pixels): {worst_points(metrics)}", highlight=False)
    console.print(
        f"Look at {run / 'predictions.png'}; everything else is in {run}", highlight=False,
        soft_wrap=True,
    )  # fmt: skip
