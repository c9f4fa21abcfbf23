"""`heatkp viz run`: what a training draws at its end, again."""

from __future__ import annotations

from pathlib import Path

import click

from heatkp.cli.common import validation
from heatkp.cli.options import NameOption
from heatkp.files import writing
from heatkp.registry import FIGURES

EXAMPLES = """\b
Examples:
  heatkp viz run runs/kl-1
  heatkp viz run runs/kl-1 --figure predictions --out here/
"""


@click.command("run", epilog=EXAMPLES)
@click.argument("run", type=click.Path(), metavar="RUN")
@click.option("--figure", "figures", cls=NameOption, registry=FIGURES, also=(), multiple=True,
              help="Of {names}; may be repeated.  [default: all but samples, which a training "
              "draws at its beginning]")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="FOLDER", help="[default: RUN]")
@click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True)
def run(run: str, figures: tuple[str, ...], out: str | None, batch_size: int) -> None:
    """Draw the figures of a finished run again, those of packages installed since, too."""
    from heatkp.cli.console import PlainConsole, say
    from heatkp.errors import SettingsError
    from heatkp.files import check_folder
    from heatkp.runs import load_run
    from heatkp.viz.run_figures import RunData, draw

    folder = Path(run)
    if not folder.is_dir():
        raise SettingsError(f"{run} is not the folder of a run")
    for name in figures:
        if FIGURES[name].when != "end":
            raise SettingsError(
                f"--figure {name}: a training draws it at its beginning; see heatkp viz "
                "augmentation"
            )
    target = Path(out) if out else folder
    with writing(target):
        target.mkdir(parents=True, exist_ok=True)
        check_folder(target)
    loaded, console = load_run(run), PlainConsole()
    validated = loaded.settings.data.validates
    dataset, errors = validation(console, run, loaded, batch_size, "val" if validated else "train")
    data = RunData(folder, loaded.settings, loaded.skeleton, dataset, errors, validated)
    with writing(target):
        written = draw(data, target, names=dict.fromkeys(figures) or None)
    if not written:
        raise SettingsError("nothing is drawn: the figure needs validation samples")
    say(console, f"Written to {target}: {', '.join(path.name for path in written)}")
