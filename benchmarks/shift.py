"""How small a constant shift of all labels `heatkp data check` detects.

    python benchmarks/shift.py             train what is missing, and print the table
    python benchmarks/shift.py --table     only print the table of what was trained

Labels of real data are moved by 0, 0.5 and 1 pixel, a network is trained on the moved labels with
full rotations, and the shift is estimated on samples that it was not trained on. Nothing tells the
estimate by how much labels were moved. Needs `HEATKP_DATA`, and encoders' weights in
`HEATKP_WEIGHTS`.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from held_out import HeldOut, held_out

from heatkp.checking.held_out import independent_groups
from heatkp.checking.shift import estimate_shift
from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample

MOVED = {"0": (0.0, 0.0), "0.5": (0.4, -0.3), "1": (0.8, -0.6)}
"""By which labels are moved, pixels."""
WEIGHTS = Path(os.environ.get("HEATKP_WEIGHTS", ""))
MOBILENET = {
    "architecture": "unet", "encoder": "mobilenet_v2", "stride": 4,
    "encoder_weights": str(WEIGHTS / "mobilenet_v2-b0353104.pth"),
}  # fmt: skip
BOXES = {"size": [96, 96], "crop": "box", "box": "points", "box_scale": 1.4, "workers": 0}
TURNED = {"rotation": 180, "scale": 0.15, "shift": 0.06, "photometric": 0.5, "occlusion": 0.0}
"""Full rotations: without them the network learns the shift."""


def _config(data: dict[str, Any], epochs: int, lr: float = 1e-3) -> dict[str, dict[str, Any]]:
    return {
        "data": data,
        "augmentation": dict(TURNED),
        "model": dict(MOBILENET),
        "head": {"name": "ce"},
        "optimiser": {"lr": lr},
        "trainer": {
            "epochs": epochs, "batch_size": 8, "ema": 0.97, "threads": 1, "device": "cpu",
            "validate_every": epochs,
        },
    }  # fmt: skip


class Case(NamedTuple):
    """A data set, what validates of it, and how it is trained on."""

    path: str
    validates: Callable[[int, Sample], bool]
    config: dict[str, dict[str, Any]]
    every: int = 1


CASES = {
    # Neighbouring frames are near-duplicates: every other block of 50 is kept apart.
    "flies": Case("flies", lambda i, s: (s.frame or 0) // 50 % 2 == 1, _config(BOXES, 9), 4),
    "mirror_mouse": Case(
        "mirror_mouse", lambda i, s: i % 5 == 4,
        _config({"size": [128, 128], "workers": 0}, 16, 2e-3),
    ),
    "ibug": Case(
        "ibug/labels_ibug_300W_train.xml", lambda i, s: i % 3 == 2, _config(BOXES, 5), 2
    ),
}  # fmt: skip


def predicted(name: str, moved: str, out: Path, table: bool) -> tuple[Labels, HeldOut] | None:
    """Held-out samples of a data set whose labels are moved, and what was found in them; None
    where that is not there and only a `table` is wanted."""
    case = CASES[name]
    labels = read(Path(os.environ["HEATKP_DATA"]) / case.path)
    samples = labels.samples[:: case.every]
    if name == "flies":  # both flies of a frame
        samples = [s for s in labels.samples if (s.frame or 0) % case.every == 0]
    shift = np.array(MOVED[moved], np.float32)
    samples = [replace(s, points=s.points + shift) for s in samples]
    held = [case.validates(i, s) for i, s in enumerate(samples)]
    train = [s for s, kept in zip(samples, held) if not kept]
    val = [s for s, kept in zip(samples, held) if kept]
    run = out / f"{name}-{moved}"
    if table and not (run / "held_out.npz").is_file():
        return None
    print(f"{run}: {len(train)} samples train, {len(val)} are measured", flush=True)
    return labels, held_out(run, labels.skeleton, train, val, case.config)


HEADER = [
    "| data | moved by (x, y) | objects, groups | spread of x, y | median error | "
    "found x | found y | p | told |",
    "|---|---|--:|--:|--:|--:|--:|--:|---|",
]


def row(name: str, moved: str, labels: Labels, held: HeldOut) -> str:
    """What is estimated of one data set, moved so."""
    there = np.stack([s.visibility > 0 for s in held.samples])
    truth = np.where(there[..., None], np.stack([s.points for s in held.samples]), np.nan)
    skeleton = labels.skeleton  # what `heatkp data check` does
    flip = skeleton.flip if skeleton.unmirrored is None else None
    shift = estimate_shift(held.found, truth, independent_groups(held.samples), flip)
    error = np.nanmedian(np.linalg.norm(held.found - truth, axis=2))
    x, y = MOVED[moved]
    along = " and ".join(name for name, known in zip("xy", shift.told) if known)
    told = f"{'a shift' if shift.found else 'none'} along {along}" if along else "cannot tell"
    return (
        f"| {name} | {x:g}, {y:g} | {shift.objects}, {shift.groups} "
        f"| {shift.spreads[0]:.2f}, {shift.spreads[1]:.2f} "
        f"| {error:.2f} | {shift.x:+.2f} ± {shift.errors[0]:.2f} "
        f"| {shift.y:+.2f} ± {shift.errors[1]:.2f} | {shift.p:.1g} | {told} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("runs") / "shift", help="run folders")
    parser.add_argument("--only", choices=list(CASES), help="one data set")
    parser.add_argument("--table", action="store_true", help="train nothing")
    given = parser.parse_args()
    lines = HEADER
    for name in CASES if given.only is None else [given.only]:
        for moved in MOVED:
            done = predicted(name, moved, given.out, given.table)
            if done is not None:
                lines.append(row(name, moved, *done))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
