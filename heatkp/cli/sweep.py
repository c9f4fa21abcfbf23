"""`heatkp sweep`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from optuna.study import Study
    from rich.console import Console

    from heatkp.sweeps.search import Search
    from heatkp.sweeps.space import Space

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
@click.option("--sampler", type=click.Choice(["tpe", "random", "grid"]), default="tpe",
              show_default=True, help="How settings are chosen.")  # fmt: skip
@click.option("--pruner", type=click.Choice(["median", "hyperband", "none"]),
              help="How bad trials are ended early.  [default: median; none for a grid]"
              )  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True,
              help="Seed of the sampler; that of the trainings is trainer.seed.")  # fmt: skip
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="MINUTES",
              help="Stop after the epoch in which this is over.")  # fmt: skip
@click.option(
    "--set", "assignments", multiple=True, metavar="KEY=VALUE",
    help="Any setting that does not vary; may be repeated.",
)  # fmt: skip
@click.option("--show", type=click.Path(), metavar="FOLDER",
              help="Print the table of a sweep and draw its pictures again; trains nothing."
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
    assignments: tuple[str, ...],
    show: str | None,
) -> None:
    """Train many times over a space of settings; the same command goes on where it stopped."""
    from importlib.util import find_spec

    from heatkp.errors import SettingsError

    if find_spec("optuna") is None:
        raise SettingsError("sweeps need Optuna: pip install 'heatkp[sweep]'")
    from heatkp.cli.console import PlainConsole

    console = PlainConsole()
    if show is not None:
        if config or space_file or trials or out or timeout or assignments:
            raise SettingsError(
                "--show takes everything from the sweep: only --storage goes with it"
            )
        show_again(console, Path(show), storage)
        return
    if space_file is None:
        raise SettingsError("name what varies with --space FILE; `heatkp sweep --help` shows one")
    if trials is None and sampler != "grid":
        raise SettingsError(f"--sampler {sampler} goes on for ever: say how long with --trials")
    space = read_space(config, space_file, assignments)
    folder = Path(out) if out else Path("sweeps") / Path(space_file).stem
    search = prepare(console, space, folder, trials, storage, sampler, pruner, seed, timeout)
    try:
        why = search.go()
    except KeyboardInterrupt:
        done = sum(row.state not in ("running", "stopped") for row in search.write())
        click.echo(
            f"Interrupted with {done} trials done. The same command goes on; for the table and "
            f"pictures so far: heatkp sweep --show {folder}",
            err=True,
        )
        sys.exit(130)
    console.print(f"\n{why}", highlight=False)
    report(console, search.study, space, folder)


def read_space(config: str | None, space_file: str, assignments: tuple[str, ...]) -> Space:
    """Space and settings, checked. Raises `SettingsError`."""
    from heatkp.config import assign, read_yaml
    from heatkp.errors import SettingsError
    from heatkp.sweeps.content import read_content
    from heatkp.sweeps.space import parse_space

    values = read_yaml(config) if config else {}
    for assignment in assignments:
        assign(values, assignment)
    space = parse_space(read_content(space_file), values, space_file)
    for assignment in assignments:
        key = assignment.partition("=")[0].strip()
        if any(key in p.keys for p in space.parameters):
            raise SettingsError(f"--set {key}: {space_file} varies it; leave out one of the two")
    return space


def prepare(
    console: Console,
    space: Space,
    folder: Path,
    trials: int | None,
    storage: str | None,
    sampler: str,
    pruner: str | None,
    seed: int,
    timeout: float | None,
) -> Search:
    """Open the study, new or as it was left. Raises `SettingsError`."""
    import time

    from heatkp.errors import SettingsError
    from heatkp.sweeps import study as studies
    from heatkp.sweeps.search import Search, demand_validation

    demand_validation(space.settings({}))
    grid = sampler == "grid"
    count = sum(1 for _ in space.grid()) if grid else None
    pruning = pruner or ("none" if grid else "median")
    if space.reframed and pruning != "none":
        if pruner is not None:
            raise SettingsError(
                f"--pruner {pruner}: {space.source} varies how large an input pixel is, so the "
                "errors of epochs do not compare between trials; leave it out"
            )
        pruning = "none"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingsError(f"cannot make the folder {folder}: {error}") from None
    opened = studies.open_study(
        studies.open_storage(storage, folder, new=True),
        folder.resolve().name,
        space,
        studies.make_sampler(sampler, seed),
        studies.make_pruner(pruning, space.settings({}).trainer.epochs),
    )
    total = min(trials or count, count) if count is not None else trials
    names = ", ".join(space.short_names().values())
    shown = f"{count} combinations" if grid else sampler
    aim = "MAE in photo pixels" if space.reframed else "validation MAE in input pixels"
    console.print(
        f"sweep {folder}: {names}; {shown}, {total} trials, pruner {pruning}; smallest {aim}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    deadline = None if timeout is None else time.monotonic() + 60 * timeout
    return Search(opened, space, folder, total, grid, pruning != "none", deadline, console)


def show_again(console: Console, folder: Path, storage: str | None) -> None:
    """Table and pictures of a sweep that is there. Raises `SettingsError`."""
    from heatkp.sweeps.space import parse_space
    from heatkp.sweeps.study import open_storage, stored_study

    found = stored_study(open_storage(storage, folder, new=False), folder.resolve().name)
    attrs: dict[str, Any] = found.user_attrs
    report(console, found, parse_space(attrs["space"], attrs["base"], str(folder)), folder)


def report(console: Console, study: Study, space: Space, folder: Path) -> None:
    """Write the table and the pictures, and print the table."""
    from heatkp.errors import SettingsError
    from heatkp.sweeps import results

    found = results.rows(study, space, folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        results.write_csv(found, space, folder / results.CSV)
        notes = results.draw(study, found, space, folder)
    except OSError as error:
        raise SettingsError(f"cannot write into {folder}: {error}") from None
    console.print(results.table(found, space, f"{folder}: the smallest error first"))
    for row in found:
        if row.state in ("failed", "diverged"):
            line = f"{row.state}: {row.run}: {row.reason}"
            console.print(line, highlight=False, soft_wrap=True, markup=False, style="dim")
    for note in notes:
        console.print(note, highlight=False, soft_wrap=True, style="dim")
    best = next((row for row in found if row.state == "finished"), None)
    if best is not None:
        run = folder / results.RUNS / best.run
        where = str(run) if run.is_dir() else f"{best.run}, on another machine"
        console.print(
            f"Best: {where}. Look at {folder / 'curves.png'}; the "
            f"table is in {folder / results.CSV}",
            highlight=False, soft_wrap=True, markup=False,
        )  # fmt: skip
