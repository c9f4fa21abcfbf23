"""Two labs' own labels: heads against direct regression, trained alike on the same split.

    python benchmarks/animals.py            both sets, four heads
    python benchmarks/animals.py --table    the table again, trains nothing

`mirror_mouse` is a Lightning Pose folder (90 frames, 17 points), `reaching` a DeepLabCut project
(5 points that come and go). Each cell is one `heatkp train --config configs/animals.yaml`, in
which only `--head` and the seed differ; what it measured is kept in `benchmarks/animals/results`,
and a benchmark that was cut off continues. Ends with `benchmarks/animals.md`. Needs `HEATKP_DATA`;
takes ImageNet weights from `HEATKP_WEIGHTS`, or downloads them.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from trials import ROOT, add_flags, commit, result, train, validated, weights, within

from heatkp.files import write_text

HERE = ROOT / "benchmarks" / "animals"
CONFIG = ROOT / "configs" / "animals.yaml"
SETS = ("mirror_mouse", "reaching")
HEADS = ("ce", "kl", "softargmax", "regression")
WEIGHTS = "mobilenet_v2-b0353104.pth"


def measure(out: Path, data: str, head: str, seed: int, threads: int) -> dict[str, Any]:
    """One training's figures: errors of labelled points in pixels of the images."""
    flags = ["--config", str(CONFIG), "--data", str(Path(os.environ["HEATKP_DATA"]) / data)]
    flags += ["--head", head, "--set", f"trainer.seed={seed}", "--set", "data.split=random"]
    if threads:
        flags += ["--set", f"trainer.threads={threads}"]
    run = train(out / f"{data}-{head}-{seed}", [*flags, *weights(WEIGHTS)])
    _, samples, errors = validated(run)
    distance = np.linalg.norm(errors.image_points - errors.image_truth, axis=2)[errors.labelled]
    return {
        "data": data,
        "head": head,
        "seed": seed,
        "images": len(samples),
        "points": int(errors.labelled.sum()),
        "mae": result(run)["mae"],
        "median": float(np.median(distance)),
        "p90": float(np.quantile(distance, 0.9)),
        "minutes": result(run)["minutes"],
        "commit": commit(),
    }


def report(results: list[dict[str, Any]]) -> str:
    """The tables, in Markdown."""
    lines = [
        "# Labs' own labels: heads against direct regression", "",
        "`python benchmarks/animals.py`; settings of `configs/animals.yaml` (96×96, MobileNetV2 "
        "with ImageNet weights, 24 epochs), the same random fifth of the images kept for "
        "validation, which also chose the epoch. Errors in pixels of the images, of labelled "
        "points; mean of the seeds, and each seed's.",
    ]  # fmt: skip
    for data in dict.fromkeys(r["data"] for r in results):
        own = [r for r in results if r["data"] == data]
        size = f"{own[0]['images']} validation images, {own[0]['points']} labelled points"
        lines += ["", f"## {data}: {size}", ""]
        lines += ["| head | MAE | each seed | median distance | 90 % below | minutes |"]
        lines += ["|---|---|---|---|---|---|"]
        for head in (h for h in HEADS if any(r["head"] == h for r in own)):
            cell = sorted((r for r in own if r["head"] == head), key=lambda r: r["seed"])
            mean = {k: float(np.mean([r[k] for r in cell])) for k in ("mae", "median", "p90")}
            minutes = float(np.mean([r["minutes"] for r in cell]))
            each = ", ".join(f"{r['mae']:.2f}" for r in cell)
            lines.append(
                f"| `{head}` | {mean['mae']:.2f} | {each} | {mean['median']:.2f} | "
                f"{mean['p90']:.2f} | {minutes:.1f} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    add_flags(parser, HERE)
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=0, help="that torch may use")
    given = parser.parse_args()
    cells = [(d, h, s) for s in range(given.seeds) for d in SETS for h in HEADS]
    given.results.mkdir(parents=True, exist_ok=True)
    kept = {cell: given.results / f"{'-'.join(map(str, cell))}.json" for cell in cells}
    todo = [] if given.table else [cell for cell in cells if not kept[cell].is_file()]
    for cell in within(todo, given.budget):
        found = measure(given.out, *cell, given.threads)
        write_text(kept[cell], json.dumps(found, indent=1) + "\n")
        print(found, flush=True)
    there = [json.loads(path.read_text()) for path in kept.values() if path.is_file()]
    write_text(given.report, report(there))


if __name__ == "__main__":
    main()
