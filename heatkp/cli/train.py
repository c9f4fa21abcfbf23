"""`heatkp train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.common import chosen_settings
from heatkp.cli.options import NameOption
from heatkp.registry import HEADS

if TYPE_CHECKING:
    from rich.console import Console

    from heatkp.config import Settings
    from heatkp.training.folds import Trained

EXAMPLES = """\b
Examples:
  heatkp train                                  drawn faces, 68 points, a few minutes
  heatkp train --head kl --epochs 60
  heatkp train --config configs/part1_nose.yaml --data imm/
  heatkp train --set model.encoder=mobilenet_v2 --set augmentation.rotation=30
  heatkp train --data labels/ --folds 5
  heatkp train --data labels/ --task finder+points
  heatkp train --data labels/ --teacher runs/large --unlabelled images/
  heatkp train --resume runs/softargmax-1
  heatkp train --resume runs/softargmax-1 --epochs 40
"""


@click.command(epilog=EXAMPLES)
@click.option("--config", type=click.Path(), help="YAML file of settings; see configs/.")
@click.option(
    "--head", cls=NameOption, registry=HEADS, help="One of: {names}.  [default: softargmax]"
)
@click.option("--task", type=click.Choice(["points", "finder", "finder+points"]),
              help="What is trained: the points of one object; what finds objects in images with "
              "many; or both, for heatkp predict to go from image to points.  [default: points]",
              )  # fmt: skip
@click.option(
    "--data", type=click.Path(), help="Folder or file of labelled images; none: drawn faces."
)
@click.option(
    "--y-up/--no-y-up",
    default=None,
    help="The labels count y upwards from the images' lower edge, as tpsDig does.  [default: as "
    "their format does]",
)
@click.option("--epochs", type=int, help="Passes over the training samples.")
@click.option("--batch-size", type=int, help="Samples per step.")
@click.option("--lr", type=float, help="Largest learning rate.")
@click.option("--seed", type=int, help="Seed of weights, order and augmentation.")
@click.option("--teacher", type=str, multiple=True, metavar="MODEL",
              help="Learn from a trained model's points, too: a run, a file, face68; may be "
              "repeated.")  # fmt: skip
@click.option("--unlabelled", type=click.Path(), multiple=True, metavar="FOLDER",
              help="Images without labels, which train with the teachers' points; may be "
              "repeated.")  # fmt: skip
@click.option("--folds", type=click.IntRange(2, 100), metavar="K",
              help="Cross-validate: train K times, on all but one part of the samples, and measure "
              "each on that one; tells which labels the others contradict most.")  # fmt: skip
@click.option(
    "--out",
    type=click.Path(),
    help="New run folder.  [default: runs/HEAD-N; with --folds runs/HEAD-folds-N]",
)
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Any other setting, as in model.stride=1; may be repeated.",
)  # fmt: skip
@click.option(
    "--resume",
    type=click.Path(),
    metavar="RUN",
    help="Continue a run that was stopped; with --epochs also one that is finished.",
)
def train(
    config: str | None,
    out: str | None,
    assignments: tuple[str, ...],
    resume: str | None,
    folds: int | None,
    **flags: object,
) -> None:
    """Train a model, evaluate it, and leave settings, metrics, weights and images in a folder."""
    from heatkp.errors import SettingsError

    given = {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in flags.items()
        if value not in (None, ())
    }
    if resume is not None and (config or out or folds):
        raise SettingsError("--resume takes folder and settings from the run: leave out --config, "
                            "--out and --folds")  # fmt: skip

    from heatkp.cli.console import PlainConsole
    from heatkp.training.processes import place

    console = PlainConsole()
    console.quiet = not place().first
    if resume is not None:
        from heatkp.runs import is_folds
        from heatkp.training import tasks

        run = Path(resume)
        if is_folds(run):
            from heatkp.training.folds import resume_folds

            report_folds(console, resume_folds(run, console, changes(given, assignments)))
            return
        report(console, run, tasks.resume(run, console, changes(given, assignments)))
        return

    from heatkp.config import expand_path, ignored, read_yaml

    values = read_yaml(config) if config else {}
    settings = chosen_settings(values, given, assignments, config or "settings")
    path = settings.data.place
    where = "drawn faces" if path is None else expand_path(path, "data.path")

    from heatkp.training import tasks

    if folds:
        tasks.require_points(settings, "--folds")
    console.print(_told(settings, str(where)), highlight=False, soft_wrap=True)
    unused = ignored(settings)
    if unused:
        console.print(f"ignored: {'; '.join(unused)}", highlight=False, soft_wrap=True)
    if folds:
        from heatkp.training.folds import train_folds

        report_folds(console, train_folds(settings, folds, out, console))
        return
    report(console, *tasks.train(settings, out, console))


def changes(flags: dict[str, object], assignments: tuple[str, ...]) -> dict[str, object]:
    """Settings by `section.key` that flags and `--set` give to a run that goes on.

    Raises `SettingsError` where they contradict each other.
    """
    from heatkp.config import SHORT, assign
    from heatkp.errors import SettingsError

    found: dict[str, object] = {}
    for assignment in assignments:
        values: dict[str, Any] = {}
        assign(values, assignment)
        key = assignment.partition("=")[0].strip()
        for part in key.split("."):
            values = values[part]
        found[key] = values
    for flag, value in flags.items():
        key = SHORT[flag]
        if found.get(key, value) != value:
            raise SettingsError(
                f"--{flag.replace('_', '-')} {value} and --set {key}={found[key]} contradict each "
                "other: leave one out"
            )
        found[key] = value
    return found


def _told(settings: Settings, where: str) -> str:
    """A line about what is going to be trained."""
    epochs, parts = settings.trainer.epochs, [where]
    if "finder" in settings.trainer.task:
        longest = settings.finder.size
        parts.append(f"finder of input {longest}, {settings.finder.epochs or epochs} epochs")
    if settings.head.grouped and settings.trainer.task == "points":
        longest, epochs = settings.finder.size, settings.finder.epochs or epochs
        parts.append(f"head grouped, whole images of {longest} pixels, {epochs} epochs")
    elif "points" in settings.trainer.task:
        width, height = settings.data.size
        parts.append(f"head {settings.head.name}, input {width}x{height}, {epochs} epochs")
    if settings.teacher.models:
        parts.append(f"taught by {', '.join(settings.teacher.models)}")
    return f"heatkp: {'; '.join(parts)}"


def report(console: Console, run: Path, metrics: dict[str, Any]) -> None:
    """Print the table of errors and where everything is."""
    from heatkp.evaluation.evaluate import metrics_table, worst_points

    if "wrong" in metrics or "min_score" in metrics:
        from heatkp.training.tasks import finder_line

        console.print(finder_line(metrics), highlight=False, soft_wrap=True)
        console.print(
            f"Look at {run / 'finder.png'}; find with it: heatkp predict IMAGES --model RUN "
            f"--detector {run}", highlight=False, soft_wrap=True,
        )  # fmt: skip
        return
    if metrics["split"] is None:
        console.print(
            f"{run}: trained on all {metrics['samples']} samples, loss "
            f"{metrics['train_loss']:.4g} in epoch {metrics['epochs']}; no error was measured. "
            f"Measure it on images that it has not seen: heatkp eval {run} --data FILE",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        console.print(
            f"Look at {run / 'predictions.png'} (training samples); everything else is in {run}",
            highlight=False, soft_wrap=True,
        )  # fmt: skip
        return
    console.print(metrics_table(metrics, f"{run}: {metrics['images']} validation images"))
    console.print(f"Largest errors (image pixels): {worst_points(metrics)}", highlight=False)
    console.print(
        f"Look at {run / 'predictions.png'}; everything else is in {run}", highlight=False,
        soft_wrap=True,
    )  # fmt: skip


def report_folds(console: Console, trained: Trained) -> None:
    """Print the table of all folds and where everything is."""
    from heatkp.cli.console import say
    from heatkp.training.folds import FOLDS, PREDICTIONS, TABLE, fold_lines, folds_table

    results, folder = trained.results, trained.folder
    counts = f"{results['samples']} samples of {results['groups']} groups"
    title = f"{folder}: {counts}, each by the network that was not trained on it"
    console.print(folds_table(results, title))
    for line in fold_lines(results):
        say(console, line)
    say(console, f"All samples by rank are in {folder / TABLE}, figures in {folder / FOLDS}, "
        f"predictions in {folder / PREDICTIONS}")  # fmt: skip
