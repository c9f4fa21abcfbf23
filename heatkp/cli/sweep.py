"""`heatkp sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.sweeps import PRUNERS, SAMPLERS, default_folder

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from heatkp.sweeps import SweepResult

EXAMPLES = """\b
Examples:
  heatkp sweep --space space.yaml --trials 20
  heatkp sweep --config configs/part1_nose.yaml --space space.yaml --sampler grid
  heatkp sweep --space space.yaml --trials 50 --storage postgresql://me@host/sweeps
  heatkp sweep --show sweeps/space

\b
A space file, with all that it can hold:
  name: "{lr}_{batch_size}_{size}"        # of the run folders
  optimiser.lr: {low: 1e-4, high: 1e-2, log: true}
  trainer.batch_size: {choices: [4, 8]}
  model.dropout: {low: 0, high: 0.5, step: 0.1}
  size:
    variants:                             # several settings at once
      small: {model.stride: 4, trainer.epochs: 10}
      large: {model.stride: 2, trainer.epochs: 5}
"""


@click.command(epilog=EXAMPLES)
@click.option("--config", type=click.Path(), help="YAML file of the settings that do not vary.")
@click.option("--space", "space_file", type=click.Path(), help="YAML file of what varies.")
@click.option("--trials", type=click.IntRange(1),
              help="Trainings altogether, earlier ones included.  [default: all of a grid]"
              )  # fmt: skip
@click.option("--out", type=click.Path(), help="Folder of the sweep.  [default: sweeps/SPACE]")
@click.option("--storage", metavar="URL",
              help="Database of the study, for several machines.  [default: OUT/sweep.db]"
              )  # fmt: skip
@click.option("--sampler", type=click.Choice(SAMPLERS), default="tpe",
              show_default=True, help="How settings are chosen.")  # fmt: skip
@click.option("--pruner", type=click.Choice(PRUNERS),
              help="How bad trials are ended early.  [default: median; none for a grid]"
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of the sampler; that of the trainings is trainer.seed.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
              help="Stop after the epoch in which this is over.")  # fmt: skip
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda", "mps"]),
              help="Where to train, of this machine.  [default: auto]")  # fmt: skip
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Any setting that does not vary; may be repeated.",
)  # fmt: skip
@click.option("--show", type=click.Path(), metavar="FOLDER",
              help="Print the table of a sweep and draw its figures again; trains nothing."
              )  # fmt: skip
def sweep(
    config: str | None,
    space_file: str | None,
    trials: int | None,
    out: str | None,
    storage: str | None,
    sampler: str,
    pruner: str | None,
    seed: int,
    timeout: float | None,
    device: str | None,
    assignments: tuple[str, ...],
    show: str | None,
) -> None:
    """Train many times over a space of settings; the same command goes on where it stopped."""
    from heatkp.cli.console import PlainConsole
    from heatkp.errors import SettingsError
    from heatkp.sweeps import load_sweep, run_sweep

    console = PlainConsole()
    if show is not None:
        if config or space_file or trials or out or timeout or device or assignments:
            raise SettingsError(
                "--show takes everything from the sweep: only --storage goes with it"
            )
        shown = load_sweep(show, storage)
        shown.save()
        report(console, shown)
        return
    if space_file is None:
        raise SettingsError("name what varies with --space FILE; `heatkp sweep --help` shows one")
    if device is not None:
        if any(a.partition("=")[0].strip() == "trainer.device" for a in assignments):
            raise SettingsError("--device and --set trainer.device are the same: leave one out")
        assignments = (*assignments, f"trainer.device={device}")
    folder = Path(out) if out else default_folder(space_file)
    try:
        found = run_sweep(
            space_file, config, overrides=assignments, trials=trials, out=folder, sampler=sampler,
            pruner=pruner, storage=storage, seed=seed, timeout=timeout, console=console,
        )  # fmt: skip
    except KeyboardInterrupt:
        so_far = load_sweep(folder, storage).trials
        done = sum(trial.state not in ("running", "stopped") for trial in so_far)
        click.echo(
            f"Interrupted with {done} trials done. The same command goes on; for the table and "
            f"figures so far: heatkp sweep --show {folder}",
            err=True,
        )
        sys.exit(130)
    console.print(f"\n{found.ended}", highlight=False)
    report(console, found)


def report(console: Console, sweep: SweepResult) -> None:
    """Print the table, why trials failed, and where everything is."""
    from heatkp.sweeps.results import CSV

    console.print(table(sweep))
    for trial in sweep.trials:
        if trial.state in ("failed", "diverged"):
            line = f"{trial.state}: {trial.run}: {trial.reason}"
            console.print(line, highlight=False, soft_wrap=True, markup=False, style="dim")
    for note in sweep.notes:
        console.print(note, highlight=False, soft_wrap=True, style="dim")
    best = sweep.best
    if best is not None and best.folder is not None:
        where = str(best.folder) if best.folder.is_dir() else f"{best.run}, on another machine"
        console.print(
            f"Best: {where}. Look at {sweep.folder / 'curves.png'}; the "
            f"table is in {sweep.folder / CSV}",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip


def table(sweep: SweepResult) -> Table:
    """The trials for the terminal, the best first; what a run's name tells has no column."""
    from rich.table import Table

    from heatkp.sweeps.space_file import text

    space = sweep.space
    names = [
        short
        for name, short in space.short_names().items()
        if space.template and not any(f"{{{n}}}" in space.template for n in (name, short))
    ]
    columns = {
        "train_loss": ("train loss", ".3g"),
        "val_mae": ("MAE px", ".3f"),
        "val_mse": ("MSE", ".3g"),
        "mae_photo": ("image px", ".3f"),
        "epochs": ("epochs", ".0f"),
        "minutes": ("min", ".1f"),
    }
    if not space.varies_framing:
        del columns["mae_photo"]
    shown = Table(
        title=f"{sweep.folder}: the smallest error first", title_justify="left", pad_edge=False
    )
    for name in ("run", *names):
        shown.add_column(name, overflow="fold")
    for head, _ in columns.values():
        shown.add_column(head, justify="right", no_wrap=True)
    shown.add_column("state", no_wrap=True)
    for trial in sweep.trials:
        used = [text(trial.parameters.get(name, "")) for name in names]
        figures = [
            "-" if (value := trial.figures[key]) is None else format(value, form)
            for key, (_, form) in columns.items()
        ]
        style = "bold" if trial is sweep.best else None
        shown.add_row(trial.run, *used, *figures, trial.state, style=style)
    return shown
