"""Parts 1 to 3: every head and direct regression, trained alike, on the same validation faces.

    python benchmarks/heads.py                                  everything, for many hours
    python benchmarks/heads.py --parts 1 2 --seeds 3 --budget 120
    python benchmarks/heads.py --heads kl regression --full     the settings of configs/
    python benchmarks/heads.py --table                          tables again, trains nothing
    python benchmarks/heads_costs.py                            the table of times and memory

A cell is one part, split, head and seed: one `heatkp train` with the part's file in
`benchmarks/heads/`, in which heads differ in `--head` alone. What it measured is kept as a file
in `benchmarks/heads/results/`, so a benchmark that was cut off continues; cells whose settings
have changed are made again. All heads' first seed comes first. Ends with `benchmarks/heads.md`.
Needs `HEATKP_DATA`; takes ImageNet weights from `HEATKP_WEIGHTS`, or downloads them.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from heads_table import REGRESSION, Result, write_report
from trials import ROOT, Trial, add_flags, history, make, validated, weights, within

from heatkp.evaluation.metrics import Errors, summarise

HERE = ROOT / "benchmarks" / "heads"
FULL = {1: "part1_nose.yaml", 2: "part2_face.yaml", 3: "part3_ibug_fast.yaml"}
WEIGHTS = {
    1: "mobilenet_v2-b0353104.pth",
    2: "mobilenet_v2-b0353104.pth",
    3: "tf_efficientnet_lite0.safetensors",
}
SPLITS = {1: ("person", "random"), 2: ("person", "random"), 3: ("random",)}
FLATTENED = "regression-flatten"
"""Direct regression on the whole feature map instead of its mean."""
HEADS = (
    "argmax", "softargmax", "kl", "ce", "bce", "marginal", "l1", "nll", REGRESSION, FLATTENED,
)  # fmt: skip


class Cell(NamedTuple):
    """One training."""

    part: int
    split: str
    head: str
    seed: int
    full: bool = False

    @property
    def name(self) -> str:
        return f"{'full-' if self.full else ''}part{self.part}-{self.split}-{self.head}-{self.seed}"

    @property
    def config(self) -> Path:
        if self.full:
            return ROOT / "configs" / FULL[self.part]
        return HERE / f"part{self.part}.yaml"

    @property
    def trial(self) -> Trial:
        head, _, pooling = self.head.partition("-")
        given = [f"head.name={head}", f"trainer.seed={self.seed}", f"data.split={self.split}"]
        if pooling:
            given.append(f"model.pooling={pooling}")
        return Trial(self.name, self.config, tuple(given))


def cells(
    parts: list[int], splits: list[str], heads: list[str], seeds: int, full: bool = False
) -> list[Cell]:
    """All cells, the first seed of everything before the second of anything."""
    return [
        Cell(part, split, head, seed, full)
        for seed in range(seeds)
        for part in parts
        for split in SPLITS[part]
        if split in splits
        for head in heads
    ]


def per_face(errors: Errors) -> tuple[list[float], list[float]]:
    """Each face's mean |error| in image pixels, and its mean squared error of coordinates over
    the input's width and height, over labelled points; NaN for a face without any."""
    known = errors.labelled
    count = known.sum(1)

    def mean(values: np.ndarray) -> list[float]:
        sums = np.where(known, values.mean(2), 0.0).sum(1)
        return np.where(count > 0, sums / np.maximum(count, 1), np.nan).tolist()

    relative = (errors.input - errors.input_truth) / np.asarray(errors.input_size, np.float64)
    return mean(np.abs(errors.image_points - errors.image_truth)), mean(np.square(relative))


def measure(cell: Cell, run: Path) -> dict[str, Any]:
    """All that is kept of a finished run."""
    loaded, samples, errors = validated(run)
    summary = summarise(errors, loaded.skeleton)
    mae, mse = per_face(errors)
    ocular = summary["normalised"].get("inter-ocular") or {}
    seconds = sum(float(row["seconds"]) for row in history(run))
    # Faces of one person, or of one image, are no independent samples.
    groups = [s.person or s.source_image or s.id for s in samples]
    return {
        **cell._asdict(),
        "mae": summary["mae_photo"],
        "mse": summary["mse_normalised"],
        "nme": ocular.get("nme"),
        "seconds": round(seconds, 1),
        "parameters": sum(p.numel() for p in loaded.model.parameters()),
        "torch": torch.__version__,
        "faces": [s.id for s in samples],
        "groups": groups,
        "face_mae": [float(f"{v:.4g}") for v in mae],
        "face_mse": [float(f"{v:.4g}") for v in mse],
    }


def read_results(folder: Path) -> list[Result]:
    return [Result(**_fields(json.loads(p.read_text()))) for p in sorted(folder.glob("*.json"))]


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    return {name: values[name] for name in Result._fields}


def _list(text: str) -> list[str]:
    return [part for part in text.replace(",", " ").split() if part]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--parts", nargs="+", default=["1", "2", "3"], metavar="N")
    parser.add_argument("--heads", nargs="+", default=list(HEADS), metavar="HEAD")
    parser.add_argument("--splits", nargs="+", default=["person", "random"], metavar="SPLIT")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--full", action="store_true", help="the settings of configs/")
    add_flags(parser, HERE)
    given = parser.parse_args()
    parts, heads, splits = (
        _list(" ".join(v)) for v in (given.parts, given.heads, given.splits)
    )  # fmt: skip
    for what, values, known in (
        ("part", parts, ["1", "2", "3"]), ("head", heads, HEADS), ("split", splits, SPLITS[1]),
    ):  # fmt: skip
        if wrong := [v for v in values if v not in known]:
            parser.error(f"no {what} {wrong[0]!r}; there are: {', '.join(known)}")
    given.results.mkdir(parents=True, exist_ok=True)
    todo = cells([int(p) for p in parts], splits, heads, given.seeds, given.full)
    for cell in within([] if given.table else todo, given.budget):
        measured = partial(measure, cell)
        make(cell.trial, given.out, given.results, measured, weights(WEIGHTS[cell.part]))
    found = read_results(given.results)
    if not found:
        raise SystemExit(f"{given.results} holds no results yet: run without --table")
    print(write_report(found, given.report, given.report.with_suffix("") / "heads.png"))


if __name__ == "__main__":
    main()
