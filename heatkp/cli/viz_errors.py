"""`heatkp viz error-curve`, `points` and `head-turn`: where the errors of runs come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from heatkp.cli.common import png, progress_bar
from heatkp.cli.options import device_option
from heatkp.files import writing

if TYPE_CHECKING:
    from rich.console import Console

    from heatkp.evaluation.compare import Comparison
    from heatkp.skeletons import Skeleton

F = TypeVar("F", bound=Callable[..., None])

CURVE_EXAMPLES = """\b
Examples:
  heatkp viz error-curve runs/kl-1 runs/softargmax-1 --out errors.png
  heatkp viz error-curve runs/kl-1 runs/ce-1 --out errors.png --normaliser inter-ocular
"""
POINTS_EXAMPLES = """\b
Examples:
  heatkp viz points runs/kl-1 --out points.png
  heatkp viz points runs/kl-1 runs/regression-1 --out points.png --normaliser inter-ocular
"""
TURN_EXAMPLES = """\b
Examples:
  heatkp viz head-turn runs/kl-1 --out turn.png --split all
  heatkp viz head-turn runs/kl-1 runs/regression-1 --out turn.png --normaliser box-diagonal
"""


def _options(default: str) -> Callable[[F], F]:
    """RUN..., --out, --split, --normaliser with what its help calls its default, --batch-size,
    --device."""
    options = [
        device_option,
        click.option("--batch-size", type=click.IntRange(1), default=16, show_default=True),
        click.option(
            "--normaliser", metavar="NAME",
            help=f"The length that errors are divided by.  [default: {default}]",
        ),
        click.option(
            "--split", type=click.Choice(["train", "val", "test", "all"]), default="val",
            show_default=True, help="Which samples of each run's own data.",
        ),
        click.option("--out", type=click.Path(), required=True, metavar="PNG"),
        click.argument("runs", type=click.Path(), nargs=-1, required=True, metavar="RUN..."),
    ]  # fmt: skip

    def add(command: F) -> F:
        for option in options:
            command = option(command)
        return command

    return add


def _measure(
    console: Console,
    runs: Sequence[str],
    split: str,
    normaliser: str | None,
    batch_size: int,
    device: str,
    check: Callable[[Skeleton], object] = lambda skeleton: None,
    ending: str = "",
) -> Comparison:
    """`compare_runs` under a progress bar."""
    from heatkp.evaluation.compare import compare_runs

    with progress_bar(console, "evaluating") as progress:
        return compare_runs(runs, split, normaliser, device, batch_size, progress, check, ending)


def _tell(console: Console, line: str) -> None:
    console.print(line, highlight=False, markup=False, soft_wrap=True)


@click.command("error-curve", epilog=CURVE_EXAMPLES)
@_options("the first that all runs have")
def error_curve(
    runs: tuple[str, ...],
    out: str,
    split: str,
    normaliser: str | None,
    batch_size: int,
    device: str,
) -> None:
    """The fraction of images whose mean error is below each level, for several runs."""
    from heatkp.cli.console import PlainConsole
    from heatkp.viz import figures

    target, console = png(out), PlainConsole()
    found, by = _measure(console, runs, split, normaliser, batch_size, device)
    with writing(target):
        figures.error_curves(found, by, target)
    _tell(
        console,
        f"Written to {target}. A curve shows how many images have a mean error below a fraction of "
        f"{by}: the further up and left, the better.",
    )


@click.command(epilog=POINTS_EXAMPLES)
@_options("the first that all runs have")
def points(
    runs: tuple[str, ...],
    out: str,
    split: str,
    normaliser: str | None,
    batch_size: int,
    device: str,
) -> None:
    """The mean error of each keypoint on the mean face, runs side by side on one scale."""
    from heatkp.cli.console import PlainConsole
    from heatkp.viz.points import compare_points

    target, console = png(out), PlainConsole()
    found, by = _measure(console, runs, split, normaliser, batch_size, device)
    with writing(target):
        compare_points(found, by, target)
    _tell(
        console,
        f"Written to {target}. A circle's radius and colour are the mean error of its point, as "
        f"a fraction of {by}: the smaller and lighter, the better.",
    )


@click.command("head-turn", epilog=TURN_EXAMPLES)
@_options("a diagonal, or the first that all runs have")
def head_turn(
    runs: tuple[str, ...],
    out: str,
    split: str,
    normaliser: str | None,
    batch_size: int,
    device: str,
) -> None:
    """Errors against the head's turn, for runs of the 68 or the 58 points of a face.

    Yaw is estimated from the true points: where the nose lies between the outer corners of the
    eyes; roll from the line through them. A length between the eyes shrinks as the head turns,
    which alone makes errors larger: --normaliser box-diagonal (or points-diagonal) does so less,
    and is the default where all runs have it.
    """
    from heatkp.cli.console import PlainConsole
    from heatkp.viz import head_turn as turns

    target, console = png(out), PlainConsole()
    found, by = _measure(
        console, runs, split, normaliser, batch_size, device, turns.turn_points, "diagonal"
    )
    angles = {name: turns.errors_by_turn(e, s, by) for name, (e, s) in found.items()}
    with writing(target):
        turns.compare_turns(angles, by, target)
    for name, (yaw, _, nme) in angles.items():
        _tell(console, f"{name}: {turns.turn_words(yaw, nme)}")
    _tell(console, f"Written to {target}. Errors are fractions of {by}.")
