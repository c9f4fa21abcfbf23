"""How well `heatkp data check` finds the nine IMM images whose eye points are reversed.

    python benchmarks/check.py             train folds if they are not there, and print the table
    python benchmarks/check.py --planted   also with other mistakes put into the labels

Five folds of persons, four epochs each, from the packaged model of 68 points. What `heatkp data
check` tells of a folder of `heatkp train --folds` is made by the same functions. Planted mistakes
are put into labels of images that the fold did not see, after training, so that they say how a
mistake is found in data that is otherwise right. Needs `HEATKP_DATA`.
"""

from __future__ import annotations

import argparse
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from held_out import folds, in_folds
from labels import REVERSED

from heatkp.checking.check import judge
from heatkp.checking.held_out import HeldOut
from heatkp.checking.suspects import Finding, find_suspects
from heatkp.checking.words import describe
from heatkp.data.readers import read

Array = npt.NDArray[np.float64]
CONFIG: dict[str, dict[str, Any]] = {
    "data": {
        "size": [128, 128], "crop": "box", "box": "points", "box_scale": 1.4, "workers": 0,
        "cache": "none",
    },
    "augmentation": {
        "rotation": 15, "scale": 0.15, "shift": 0.06, "photometric": 0.8, "occlusion": 0.2,
    },
    "model": {
        "transfer": "face68", "architecture": "unet", "encoder": "tu-tf_efficientnet_lite0",
        "stride": 4, "options": {"decoder_channels": [256, 128, 96, 48, 32]},
    },
    "head": {"name": "ce"},
    "optimiser": {"lr": 5e-4},
    "trainer": {"epochs": 4, "batch_size": 8, "ema": 0.9, "threads": 1, "device": "cpu"},
}  # fmt: skip
SHOWN = 15


def ranks(findings: list[Finding], ids: list[str], wanted: tuple[str, ...]) -> list[int]:
    """Of each image that is wanted the rank of its first finding among images; 0 without one."""
    order = list(dict.fromkeys(ids[f.sample] for f in findings))
    return [order.index(name) + 1 if name in order else 0 for name in wanted]


def of_imm(held: HeldOut) -> list[str]:
    checked = judge(held)
    ids = [s.id for s in held.samples]
    found = ranks(checked.findings, ids, REVERSED)
    reversed_ = [f for f in checked.findings if f.kind == "reversed"]
    right = sum(ids[f.sample] in REVERSED for f in reversed_)
    lines = [
        f"{len(ids)} images, {len(checked.findings)} findings: "
        + ", ".join(f"{k} {n}" for k, n in Counter(f.kind for f in checked.findings).items()),
        f"Ranks of the nine among images: {', '.join(map(str, sorted(found)))}.",
        f"Findings of a reversed order: {len(reversed_)}, of which right: {right}.",
        "",
        "| rank | image | of the nine | what is told | error | otherwise | strength |",
        "|--:|---|---|---|--:|--:|--:|",
    ]
    for rank, f in enumerate(checked.findings[:SHOWN], 1):
        known = "yes" if ids[f.sample] in REVERSED else ""
        after = "" if f.after is None else f"{f.after:.1f}"
        told = describe(f, held.skeleton)
        lines.append(
            f"| {rank} | {ids[f.sample]} | {known} | {told} | {f.before:.1f} | {after} "
            f"| {f.strength:.1f} |"
        )
    return [*lines, "", *checked.notes]


Plant = Callable[[Array, np.random.Generator, HeldOut], tuple[str, set[int]]]
"""Puts a mistake into the labels (K, 2) of an object; gives its kind and its points."""


def _pair(points: Array, rng: np.random.Generator, held: HeldOut) -> tuple[str, set[int]]:
    a, b = held.skeleton.pairs[rng.integers(len(held.skeleton.pairs))]
    points[[a, b]] = points[[b, a]]
    return "sides", {a, b}


def _all_sides(points: Array, rng: np.random.Generator, held: HeldOut) -> tuple[str, set[int]]:
    points[:] = points[held.skeleton.flip]
    return "sides", {k for pair in held.skeleton.pairs for k in pair}


def _two(points: Array, rng: np.random.Generator, held: HeldOut) -> tuple[str, set[int]]:
    a, b = rng.choice(len(points), 2, replace=False).tolist()
    points[[a, b]] = points[[b, a]]
    return "exchanged", {a, b}


def _moved(distance: float) -> Plant:
    def plant(points: Array, rng: np.random.Generator, held: HeldOut) -> tuple[str, set[int]]:
        k, angle = int(rng.integers(len(points))), rng.uniform(0, 2 * np.pi)
        points[k] += distance * np.array([np.cos(angle), np.sin(angle)])
        return "off", {k}

    return plant


PLANTED: dict[str, Plant] = {
    "a left-right pair exchanged": _pair,
    "all left and right exchanged": _all_sides,
    "two points exchanged, at random": _two,
    "a point off by 10 px": _moved(10),
    "a point off by 20 px": _moved(20),
    "a point off by 40 px": _moved(40),
}


def of_planted(held: HeldOut, count: int = 12, repeats: int = 4) -> list[str]:
    """How many of `count` mistakes are found, without the nine images."""
    kept = [i for i, s in enumerate(held.samples) if s.id not in REVERSED]
    found, labels = held.found[kept], held.labels[kept]
    lines = ["| planted in 12 of 231 images | found | as that | images before the last of them |",
             "|---|--:|--:|--:|"]  # fmt: skip
    for name, plant in PLANTED.items():
        hit = as_kind = false = 0
        for seed in range(repeats):
            rng = np.random.default_rng(seed)
            wrong, truth = labels.copy(), {}
            for i in rng.choice(len(kept), count, replace=False).tolist():
                truth[i] = plant(wrong[i], rng, held)
            findings = find_suspects(found, wrong, held.skeleton)
            there = {
                i for i in truth for f in findings if f.sample == i and truth[i][1] & {*f.points}
            }
            hit += len(there)
            as_kind += len({f.sample for f in findings if f.sample in truth
                            and f.kind == truth[f.sample][0]})  # fmt: skip
            order = list(dict.fromkeys(f.sample for f in findings))
            last = max((order.index(i) for i in there), default=-1)
            false += sum(i not in truth for i in order[: last + 1])
        total = count * repeats
        lines.append(f"| {name} | {hit} of {total} | {as_kind} | {false / repeats:.1f} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs") / "check", help="folder of folds")
    parser.add_argument("--planted", action="store_true", help="put other mistakes in, too")
    given = parser.parse_args()
    labels = read(Path(os.environ["HEATKP_DATA"]) / "imm")
    samples, found = in_folds(given.out, labels, folds(labels.samples, 5), CONFIG)
    none, bare = np.zeros(found.shape[:2]), np.zeros(len(samples), bool)
    held = HeldOut(labels.skeleton, samples, found, none, bare)
    print("\n".join(of_imm(held)))
    if given.planted:
        print("\n" + "\n".join(of_planted(held)))


if __name__ == "__main__":
    main()
