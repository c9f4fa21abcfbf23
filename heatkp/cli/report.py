"""`heatkp report`: a page about runs that needs nothing but a browser."""

from __future__ import annotations

from pathlib import Path

import click

from heatkp.cli.common import or_newest
from heatkp.cli.options import device_option

EXAMPLES = """\b
Examples:
  heatkp report runs/kl-1
  heatkp report runs/kl-1 runs/regression-1 --out compared.html
"""


@click.command(epilog=EXAMPLES)
@click.argument("runs", type=click.Path(), nargs=-1, metavar="[RUN]...", callback=or_newest)
@click.option("--out", type=click.Path(), metavar="FILE",
              help="The page.  [default: RUN/report.html; of several runs compared.html in the "
              "first]")  # fmt: skip
@click.option("--samples", type=click.IntRange(1), default=100, show_default=True,
              help="Validation samples to show, from the best to the worst; fewer where the page "
              "would come to 10 MB.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
@device_option
def report(
    runs: tuple[str, ...], out: str | None, samples: int, batch_size: int, device: str
) -> None:
    """Make one HTML file of a run: figures, curves, settings, faces and their maps.

    It needs no network and nothing beside it. Without RUN it is of the newest in runs/. Several
    RUNs are compared on the validation samples that all of them have.
    """
    from rich.progress import Progress

    from heatkp.cli.common import progress_bar, target_path, write
    from heatkp.cli.console import PlainConsole
    from heatkp.errors import SettingsError
    from heatkp.evaluation.compare import distinct_names
    from heatkp.evaluation.measure import in_common_order
    from heatkp.runs import load_run
    from heatkp.viz.report.data import MOST_RUNS, measured_run, on_common_samples
    from heatkp.viz.report.page import build

    names = distinct_names(runs)
    if len(runs) > MOST_RUNS:
        raise SettingsError(f"{len(runs)} runs are too many for a page: name at most {MOST_RUNS}")
    target = target_path(runs[0], out, "report.html" if len(runs) == 1 else "compared.html")
    _check(target)
    console = PlainConsole()
    # All of them before the first is measured.
    opened = in_common_order(runs, [load_run(run, device) for run in runs])
    found = []
    for run, name, loaded in zip(runs, names, opened):
        console.print(f"{name}: validation data", highlight=False, markup=False)
        with progress_bar(console, "evaluating") as told:
            found.append(measured_run(run, name, loaded, batch_size, told))
    common = on_common_samples(found)
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("drawing", total=min(samples, len(common[0].dataset)))
        page = build(common, samples, lambda done: progress.update(task, completed=done))
    write(target, page.html)
    lines = [f"Written to {target} ({page.size / 1e6:.1f} MB, {page.shown} of {page.total} faces)."]
    if page.shown < min(samples, page.total):
        lines.append("More faces would take the page over 10 MB.")
    lines += [*page.notes, "Open it in a browser; it needs no network."]
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def _check(target: Path) -> None:
    """Raises `SettingsError` where a page cannot be written."""
    from heatkp.errors import SettingsError
    from heatkp.files import check_file

    if target.suffix.lower() not in (".html", ".htm"):
        raise SettingsError(f"--out {target}: the report is an HTML file; end its name in .html")
    check_file(target)
