"""`heatkp export`."""

from __future__ import annotations

import click

from heatkp.cli.common import or_newest
from heatkp.cli.options import NameOption
from heatkp.registry import EXPORTERS

EXAMPLES = """\b
Examples:
  heatkp export runs/kl-1
  heatkp export runs/kl-1 --to openvino --precision bf16 --out kl-openvino
  heatkp export runs/kl-1 --to openvino --precision int8 --data labels.xml
  heatkp export face68 --to onnx --out face68-onnx
"""


@click.command(epilog=EXAMPLES)
@click.argument("run", type=click.Path(), required=False, callback=or_newest)
@click.option("--to", cls=NameOption, registry=EXPORTERS, also=(), default="onnx",
              show_default=True, help="Format: {names}.")  # fmt: skip
@click.option("--precision", type=click.Choice(["f32", "bf16", "f16", "int8"]), default="f32",
              show_default=True, help="What the network computes in; f16 halves the file.",
              )  # fmt: skip
@click.option("--data", type=click.Path(),
              help="Labelled images to compare on, and to calibrate int8 with.  [default: the "
              "run's own]")  # fmt: skip
@click.option("--tolerance", type=click.FloatRange(0, min_open=True),
              help="How far points may deviate: pixels of the network's input at most for f32, "
              "else a fraction of the normaliser on average.  [default: f32 0.02, bf16 and f16 "
              "0.001, int8 0.003]")  # fmt: skip
@click.option("--out", type=click.Path(), metavar="FOLDER",
              help="A new folder.  [default: NAME-TO, or NAME-TO-PRECISION]")  # fmt: skip
def export(
    run: str, to: str, precision: str, data: str | None, tolerance: float | None,
    out: str | None,
) -> None:  # fmt: skip
    """Write a trained model as a folder that runs without heatkp.

    One file takes raw pixels and gives points, scores and covariance: normalisation, network and
    decoder are inside, of head grouped also what finds all objects of an image. It is compared
    with the model on held-out images, and not written where it deviates. Beside it: model.json,
    which says what a program has to know, and small programs.
    """
    import shutil
    from pathlib import Path

    from heatkp.cli.console import PlainConsole, say
    from heatkp.evaluation.exporting import export_run
    from heatkp.files import replacing
    from heatkp.runs import finder_path

    console = PlainConsole()
    ending = to if precision == "f32" else f"{to}-{precision}"
    target = f"{Path(run).name or 'model'}-{ending}" if out is None else out
    done = export_run(run, to, target, precision, data, tolerance, lambda line: say(console, line))
    found = done.exported.deviation
    say(
        console,
        f"points deviate by {found.mean:.2g} px on average, {found.largest:.2g} px at most "
        f"({found.relative:.3%} of {found.normaliser}), on {found.compared}: "
        f"{found.from_where}",
    )
    if done.error is not None:
        name, before, after, samples = done.error
        say(console, f"NME, {name}, of {samples} objects: {before:.4%} before, {after:.4%} after")
    say(console, f"Written to {target} ({done.exported.size / 1e6:.1f} MB): "
                 + ", ".join(done.exported.files))  # fmt: skip
    finder = finder_path(run)
    if finder is not None:
        with replacing(Path(target) / finder.name) as part:
            shutil.copyfile(finder, part)
        say(
            console, f"{finder.name} lies beside it: heatkp predict finds objects with it and torch"
        )
