"""What `heads.py` measured as tables and an image: paired differences with intervals."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from statistics import mean
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from heatkp.files import replacing, write_text

REGRESSION = "regression"
RESAMPLES = 10_000
WHAT = {1: "Part 1, the nose tip", 2: "Part 2, 58 points", 3: "Part 3, 68 points"}
HOW = {
    "person": "IMM faces, split by person",
    "random": "IMM faces, split at random (persons on both sides)",
}
Array = npt.NDArray[np.float64]


class Result(NamedTuple):
    """What is kept of a cell."""

    part: int
    split: str
    head: str
    seed: int
    full: bool
    mae: float
    mse: float
    parameters: int
    seconds: float
    faces: list[str]
    groups: list[str]
    face_mae: list[float]


class Interval(NamedTuple):
    mean: float
    low: float
    high: float


class Line(NamedTuple):
    """A head in a table: means over its seeds.

    Attributes:
        own: mean error of the faces, image pixels, with its interval.
        difference: to regression, of the same faces and seeds; None where there is none.
    """

    head: str
    seeds: list[int]
    each: list[float]
    own: Interval
    mse: float
    difference: Interval | None
    parameters: int
    minutes: float


def bootstrap(values: Array, groups: Sequence[str], resamples: int = RESAMPLES) -> Interval:
    """Mean of values (N,) and its 95 % percentile interval (Efron 1979), resampling whole
    groups: the faces of a person are alike. NaN values are left out."""
    values = np.asarray(values, np.float64)
    known = np.isfinite(values)
    names, index = np.unique(np.asarray(groups)[known], return_inverse=True)
    sums = np.bincount(index, values[known], len(names))
    counts = np.bincount(index, minlength=len(names))
    drawn = np.random.default_rng(0).integers(0, len(names), (resamples, len(names)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(sums.sum() / counts.sum()), float(low), float(high))


def lines(results: Sequence[Result]) -> list[Line]:
    """The table of one part and split, the smallest error first.

    A head is compared with regression on the seeds that both have, face by face, each face's
    error being the mean over those seeds.
    """
    by_head: dict[str, dict[int, Result]] = defaultdict(dict)
    for result in results:
        by_head[result.head][result.seed] = result
    baseline = by_head.get(REGRESSION, {})
    found = []
    for head, runs in by_head.items():
        every = list(runs.values())
        first = every[0]
        if any(r.faces != first.faces for r in [*every, *baseline.values()]):
            raise ValueError(f"{head}: cells were validated on other faces than the others")
        both = sorted(set(runs) & set(baseline))
        difference = None
        if both and head != REGRESSION:
            gaps = [_faces(runs[s]) - _faces(baseline[s]) for s in both]
            difference = bootstrap(np.mean(gaps, 0), first.groups)
        found.append(
            Line(
                head,
                sorted(runs),
                [runs[s].mae for s in sorted(runs)],
                bootstrap(np.mean([_faces(r) for r in every], 0), first.groups),
                mean(r.mse for r in every),
                difference,
                first.parameters,
                mean(r.seconds for r in every) / 60,
            )
        )
    return sorted(found, key=lambda line: line.own.mean)


def _faces(result: Result) -> Array:
    return np.array(result.face_mae, np.float64)


def title(full: bool, part: int, split: str) -> str:
    faces = "iBUG 300-W faces, split at random" if part == 3 else HOW[split]
    settings = "settings of `configs/`" if full else f"`benchmarks/heads/part{part}.yaml`"
    return f"{WHAT[part]}: {faces}, {settings}"


def table(found: Sequence[Line]) -> str:
    """Markdown of one part and split."""
    text = [
        "| head | seeds | MAE, image px (95 %) | each seed | to regression (95 %) | "
        "MSE normalised | parameters, M | minutes a run |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for line in found:
        own = f"{line.own.mean:.2f} ({line.own.low:.2f} to {line.own.high:.2f})"
        gap = "-"
        if line.difference is not None:
            d = line.difference
            gap = f"{d.mean:+.2f} ({d.low:+.2f} to {d.high:+.2f})"
        each = ", ".join(f"{v:.2f}" for v in line.each)
        text.append(
            f"| `{line.head}` | {len(line.seeds)} | {own} | {each} | {gap} | {line.mse:.2e} | "
            f"{line.parameters / 1e6:.1f} | {line.minutes:.1f} |"
        )
    return "\n".join(text)


MOST = 4
"""Times regression's error that an image shows; one bar must not shrink the others."""


def _bars(axis: Axes, found: Sequence[Line], heading: str) -> None:
    order = list(found)[::-1]
    places = range(len(order))
    values = [line.own.mean for line in order]
    ends = [[v - line.own.low for v, line in zip(values, order)],
            [line.own.high - v for v, line in zip(values, order)]]  # fmt: skip
    colours = ["#999999" if line.head.startswith(REGRESSION) else "#4aa8ff" for line in order]
    axis.barh(places, values, color=colours, height=0.7)
    axis.errorbar(values, places, xerr=ends, fmt="none", ecolor="black", elinewidth=1, capsize=2.5)
    furthest = [max(line.own.high, *line.each) for line in order]
    baseline = [line.own.mean for line in order if line.head == REGRESSION]
    limit = min(max(furthest), MOST * baseline[0] if baseline else np.inf)
    for place, line, end in zip(places, order, furthest):
        axis.plot(line.each, [place] * len(line.each), "o", ms=2.6, color="#ff2d78", zorder=3)
        cut = end > limit
        axis.annotate(
            f"{line.own.mean:.2f}" + " (longer than shown)" * cut, (min(end, limit), place),
            (-5 if cut else 5, 0), textcoords="offset points", ha="right" if cut else "left",
            va="center", fontsize=7, color="white" if cut else "black",
        )  # fmt: skip
    if baseline:
        axis.axvline(baseline[0], color="#999999", lw=0.8, ls="--", zorder=0)
    axis.set_yticks(places, [line.head for line in order], fontsize=8)
    axis.set_xlim(0, 1.15 * limit)
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
    axis.set_xlabel("mean |error|, image pixels", fontsize=8)
    axis.set_title(heading.replace("`", ""), fontsize=8)


def picture(blocks: dict[str, list[Line]], path: Path) -> None:
    """Bars of each head's error with intervals, a panel for each part and split, as PNG."""
    columns = min(2, len(blocks))
    rows = -(-len(blocks) // columns)
    height = rows * (1.0 + 0.24 * max(map(len, blocks.values()))) + 0.5
    figure = Figure((6.2 * columns, height), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).ravel()
    for axis in axes:
        axis.set_axis_off()
    for axis, (heading, found) in zip(axes, blocks.items()):
        axis.set_axis_on()
        _bars(axis, found, heading.partition(", `")[0].partition(", settings")[0])
    figure.suptitle(
        "Shorter is better. Line: 95 % interval over faces; dots: seeds; dashed: regression",
        fontsize=8,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        figure.savefig(part, dpi=110, format="png")


def write_report(results: Sequence[Result], report: Path, image: Path) -> str:
    """Write the Markdown and its image; gives the Markdown."""
    by_block: dict[tuple[bool, int, str], list[Result]] = defaultdict(list)
    for result in results:
        by_block[result.full, result.part, result.split].append(result)
    blocks = {title(*key): lines(found) for key, found in sorted(by_block.items())}
    # The heads at equal settings; a bar alone says nothing.
    equal = {title(*key): blocks[title(*key)] for key in by_block if not key[0]}
    compared = {heading: found for heading, found in equal.items() if len(found) > 1}
    picture(compared or blocks, image)
    text = [
        "# Heads",
        "",
        "Made by `python benchmarks/heads.py`; `--table` makes it again from `heads/results/`.",
        "In each table the encoder, images, augmentation, epochs, batch and learning rate are the",
        "same and only `--head` differs. Each run keeps the epoch that validates best, and that",
        "is of the same faces, so errors are of a chosen epoch for all. Intervals resample the",
        "validation faces (those of one person together: 8 persons make them rough), not the",
        "training; `each seed` shows how much that moves. `to regression` is paired by face and",
        "seed; below zero is better. `regression` works on the mean of the last feature map,",
        "`regression-flatten` on the whole of it. Several trainings shared the machine's cores, so",
        "minutes are rough; [heads_costs.md](heads_costs.md) has times that can be compared.",
        "",
        f"![Errors by head]({image.relative_to(report.parent)})",
    ]
    for heading, found in blocks.items():
        text += ["", f"## {heading}", "", table(found)]
    whole = "\n".join(text) + "\n"
    write_text(report, whole)
    return whole
