"""`heatkp bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from heatkp.cli.common import or_newest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.table import Table

    from heatkp.bench import Row

EXAMPLES = """\b
Examples:
  heatkp bench face68
  heatkp bench runs/kl-1 --data labels.xml --threads 1
  heatkp bench runs/kl-1 kl-openvino-int8 --batches 1,16 --out bench.json
  heatkp bench face68 --images holidays/a.jpg
"""


def _batches(context: click.Context, parameter: click.Parameter, value: str) -> list[int]:
    try:
        found = [int(part) for part in value.split(",")]
    except ValueError:
        found = []
    if not found or min(found) < 1:
        raise click.BadParameter(f"{value!r} is no list of numbers from 1, such as 1,8")
    return found


@click.command(epilog=EXAMPLES)
@click.argument("runs", type=click.Path(), nargs=-1, metavar="[RUN] [EXPORT]...",
                callback=or_newest)  # fmt: skip
@click.option("--batches", default="1,8", show_default=True, callback=_batches,
              help="Inputs at once.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Processors that each runtime may use.  "
              "[default: all]")  # fmt: skip
@click.option("--data", type=click.Path(), help="Labels to measure each runtime's error on, too.")
@click.option("--images", multiple=True, type=click.Path(), metavar="FILE",
              help="Time the parts of a prediction on these images, too; may be repeated.",
              )  # fmt: skip
@click.option("--out", type=click.Path(), metavar="JSON", help="All figures.")
def bench(
    runs: tuple[str, ...], batches: Any, threads: int | None, data: str | None,
    images: tuple[str, ...], out: str | None,
) -> None:  # fmt: skip
    """Time a model: its runtimes beside each other, and the parts of a prediction.

    Each runtime is a process of its own; they are timed in turns, three times twenty runs from
    input pixels to points. Folders that heatkp export wrote of the same model are timed, too.
    """
    from pathlib import Path

    from heatkp.bench import bench_runtimes, time_parts
    from heatkp.bench.machine import machine
    from heatkp.cli.common import write
    from heatkp.cli.console import PlainConsole, say
    from heatkp.files import check_file
    from heatkp.inference.predictor import load_model
    from heatkp.text import json_text

    console = PlainConsole()
    if out is not None:
        check_file(Path(out))
    rows = bench_runtimes(
        runs[0], batches=batches, threads=threads, data=data, exports=runs[1:],
        note=lambda line: say(console, line),
    )  # fmt: skip
    where = machine()
    say(console, f"{where['processor']}, {where['cores']} cores, {where['system']}")
    console.print(_table(rows, batches, data is not None))
    parts = time_parts(load_model(runs[0], "cpu"), images) if images else []
    for part in parts:
        say(console, f"  {part.name}: {part.milliseconds:.1f} ms an image")
    if out is not None:
        values = {
            "run": runs[0], "machine": where, "threads": threads,
            "runtimes": [row.as_dict() for row in rows],
            "parts": {part.name: part.milliseconds for part in parts},
        }  # fmt: skip
        write(Path(out), json_text(values, indent=1) + "\n")
        say(console, f"Written to {out}")


def _table(rows: Sequence[Row], batches: Sequence[int], measured: bool) -> Table:
    from rich.table import Table

    title = "Milliseconds an object: median (worst of 60)"
    table = Table(title=title, title_justify="left", pad_edge=False)
    table.add_column("runtime", no_wrap=True)
    for batch in batches:
        table.add_column(f"{batch} at once", justify="right", no_wrap=True)
    for name in ("start s", "RAM MB", "file MB", "deviation", *["NME"] * measured):
        table.add_column(name, justify="right")
    for row in rows:
        times = [f"{row.times[b][0]:.2f} ({row.times[b][1]:.1f})" for b in batches]
        size = "" if row.size is None else f"{row.size / 1e6:.1f}"
        off = "" if row.deviation is None else f"{row.deviation:.3%}"
        nme = [] if not measured else ["" if row.nme is None else f"{row.nme:.3%}"]
        table.add_row(
            f"{row.runtime} {row.precision}".strip(), *times, f"{row.cold:.1f}",
            f"{row.memory / 1e6:.0f}", size, off, *nme,
        )  # fmt: skip
    return table
