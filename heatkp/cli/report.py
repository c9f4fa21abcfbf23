"""`heatkp report`: a page about runs that needs nothing but a browser."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heatkp.cli.common import or_newest
from heatkp.cli.options import device_option

if TYPE_CHECKING:
    from typing import Any

    from rich.console import Console

    from heatkp.viz.report.data import ReportRun

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

    from heatkp.cli.common import labels, target_path, write
    from heatkp.cli.console import PlainConsole
    from heatkp.errors import SettingsError
    from heatkp.evaluation.measure import in_common_order
    from heatkp.runs import load_run
    from heatkp.viz.report.data import MOST_RUNS, on_common_samples
    from heatkp.viz.report.page import build

    names = labels(runs)
    if len(runs) > MOST_RUNS:
        raise SettingsError(f"{len(runs)} runs are too many for a page: name at most {MOST_RUNS}")
    target = target_path(runs[0], out, "report.html" if len(runs) == 1 else "compared.html")
    _check(target)
    console = PlainConsole()
    # All of them before the first is measured.
    opened = in_common_order(runs, [load_run(run, device) for run in runs])
    found = [
        _measured(console, run, name, loaded, batch_size)
        for run, name, loaded in zip(runs, names, opened)
    ]
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


def _measured(console: Console, run: str, name: str, loaded: Any, batch_size: int) -> ReportRun:
    """A run with its errors on its validation data, and what its folder tells."""
    from heatkp.cli.common import validation
    from heatkp.runs import ENVIRONMENT, HISTORY, METRICS, run_folder
    from heatkp.viz.curves import read_history
    from heatkp.viz.report.data import ReportRun

    console.print(f"{name}: validation data", highlight=False, markup=False)
    dataset, errors = validation(console, run, loaded, batch_size)
    folder = run_folder(run)
    history = folder / HISTORY
    return ReportRun(
        name,
        loaded,
        dataset,
        errors,
        read_history(history) if history.is_file() else None,
        _json(folder / ENVIRONMENT),
        _json(folder / METRICS),
    )


def _json(path: Path) -> dict[str, Any] | None:
    """A JSON file's object, None where there is no such file. Raises `DataError`."""
    import json

    from heatkp.errors import DataError

    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path} cannot be read ({error}): put it back as the training wrote it, or move it "
            "away for a report without it"
        ) from None
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no JSON object: put it back, or move it away")
    return content
