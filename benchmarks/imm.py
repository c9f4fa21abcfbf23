"""Parts 1 and 2: dense heads and direct regression on the IMM faces, split by person.

    python benchmarks/imm.py --part 1 --seeds 3 --out runs/imm
    python benchmarks/imm.py --part 2 --seeds 1 --out runs/imm

Each run is `heatkp train` with the part's file in `configs/`; heads differ in `--head` alone.
A run that is there already is not made again, so a benchmark that was cut off continues. Needs
`HEATKP_DATA`; takes ImageNet weights of MobileNetV2 from `HEATKP_WEIGHTS`, or downloads them.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import mean

from trials import ROOT, result, train, weights

CONFIGS = {1: "part1_nose.yaml", 2: "part2_face.yaml"}
PUBLISHED = {1: 1.25e-4, 2: 9.56e-5}
"""The best normalised MSE of five published systems on these faces."""


def run(part: int, head: str, seed: int, out: Path) -> Path:
    arguments = ["--config", str(ROOT / "configs" / CONFIGS[part]), "--head", head]
    arguments += ["--seed", str(seed), *weights("mobilenet_v2-b0353104.pth")]
    if head in ("regression", "ce"):
        arguments += ["--set", "head.sigma=null"]
    return train(out / f"part{part}-{head}-{seed}", arguments)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--part", type=int, choices=[1, 2], required=True)
    parser.add_argument("--heads", nargs="+", default=["kl", "regression"])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/imm"))
    arguments = parser.parse_args()
    print_table = [
        f"Part {arguments.part}, split by person, 48 validation photos; "
        f"best published MSE {PUBLISHED[arguments.part]:.2e}",
        "",
        "| head | seeds | MSE normalised, each seed | mean | MAE, photo px | NME inter-ocular | "
        "minutes a run |",
        "|---|---|---|---|---|---|---|",
    ]
    for head in arguments.heads:
        runs = [run(arguments.part, head, s, arguments.out) for s in range(arguments.seeds)]
        found = [result(r) for r in runs]
        nme = [f["nme"] for f in found if f["nme"] is not None]
        each = ", ".join(f"{f['mse']:.2e}" for f in found)
        print_table.append(
            f"| `{head}` | 0 to {arguments.seeds - 1} | {each} | "
            f"{mean(f['mse'] for f in found):.2e} | "
            f"{mean(f['mae'] for f in found):.2f} | {f'{mean(nme):.2%}' if nme else '-'} | "
            f"{mean(f['minutes'] for f in found):.1f} |"
        )
    print("\n".join(print_table))


if __name__ == "__main__":
    main()
