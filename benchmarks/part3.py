"""Part 3: what was tried on the iBUG faces, and direct regression beside it.

    python benchmarks/part3.py --trials explore        short runs at 128 pixels
    python benchmarks/part3.py --trials fast           configs/part3_ibug_fast.yaml, kl, regression
    python benchmarks/part3.py --trials full        benchmarks/part3/full.yaml, from fast's result
    python benchmarks/part3.py --trials full_ce     that, trained on with ce
    python benchmarks/part3.py --trials second      configs/part3_ibug_teacher.yaml from fast_ce's
                                                    result, then its student, part3_ibug.yaml
    python benchmarks/part3.py --trials small          configs/part3_ibug_small.yaml
    python benchmarks/part3.py --trials unet_kl fpn_kl --out runs/part3

Each run is `heatkp train`; a run that is there already is not made again, so a benchmark that
was cut off continues. Needs `HEATKP_DATA`; takes the encoders' ImageNet weights from
`HEATKP_WEIGHTS`, or downloads them. Ends with a Markdown table of all runs that are there.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from trials import ROOT, result, train, weights

CONFIGS = ROOT / "configs"
FAST, FULL = CONFIGS / "part3_ibug_fast.yaml", ROOT / "benchmarks" / "part3" / "full.yaml"
LITE0 = weights("tf_efficientnet_lite0.safetensors")
MOBILE = ["--set", "model.encoder=mobilenet_v2", *weights("mobilenet_v2-b0353104.pth")]
SHORT = ["--epochs", "5"]


def options(*assignments: str) -> list[str]:
    return [part for text in assignments for part in ("--set", text)]


AVERAGED = ["--head", "regression"]
FLATTENED = [*AVERAGED, *options("model.pooling=flatten", "optimiser.lr=1e-4")]
KL = ["--head", "kl"]
EXPLORE = {
    "unet_kl": [*LITE0, *KL],
    "fpn_kl": [*LITE0, *KL, *options("model.architecture=fpn", "model.options={}")],
    "unet_softargmax": [*LITE0, "--head", "softargmax"],
    "unet_ce": LITE0,
    "unet_kl_stride2": [*LITE0, *KL, *options("model.stride=2")],
    "unet_kl_sigma2": [*LITE0, *KL, *options("head.sigma=2.0")],
    "unet_kl_mobilenet": [*MOBILE, *KL],
    "regression_flatten": [*LITE0, *FLATTENED],
    "regression_average": [*LITE0, *AVERAGED],
}
ALIKE = {"fast": KL, "fast_ce": [], "fast_regression": AVERAGED}
"""Runs of `FAST` in full, which differ in their heads."""
STRONGER = options(
    "augmentation.rotation=25", "augmentation.scale=0.2", "augmentation.shift=0.08",
    "augmentation.occlusion=0.5", "optimiser.weight_decay=0.05", "optimiser.lr=3e-4",
    "trainer.epochs=6", "trainer.ema=0.99",
)  # fmt: skip
STARTED = {
    "full": ("fast", []),
    "full_regression": ("fast_regression", AVERAGED),
    "full_ce": ("full", ["--head", "ce", *STRONGER]),
}
"""Runs of `FULL`: the run that they start from, and what they change."""
SECOND = {"teacher": ("part3_ibug_teacher", "fast_ce"), "student": ("part3_ibug", "teacher")}
"""The second edition: settings and the run that they start from, which also teaches the student."""
SMALL = "small"
"""Less than a million parameters, taught by the packaged model."""
GROUPS = {
    "explore": list(EXPLORE),
    "fast": ["fast", "fast_ce", "fast_regression"],
    "full": ["fast", "full"],
    "second": ["fast_ce", "teacher", "student"],
}
NAMES = [*EXPLORE, *ALIKE, *STARTED, *SECOND, SMALL]


def arguments(name: str, out: Path) -> list[str]:
    if name in EXPLORE:
        return ["--config", str(FAST), *SHORT, *EXPLORE[name]]
    if name in ALIKE:
        return ["--config", str(FAST), *LITE0, *ALIKE[name]]
    if name in SECOND:
        config, start = SECOND[name]
        own = [*LITE0, *options(f"model.init={out / start}")]
        taught = ["--teacher", str(out / start)] if name == "student" else []
        return ["--config", str(CONFIGS / f"{config}.yaml"), *own, *taught]
    if name == SMALL:
        config = str(CONFIGS / "part3_ibug_small.yaml")
        return ["--config", config, *LITE0, "--teacher", "face68"]
    start, changes = STARTED[name]
    return ["--config", str(FULL), *LITE0, *options(f"model.init={out / start}"), *changes]


def table(out: Path) -> str:
    lines = [
        "| run | epochs | NME inter-ocular | MAE, image px | over 10 % | area | minutes | "
        "waited for data |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for name in NAMES:
        if not (out / name / "metrics.json").is_file():
            continue
        f = result(out / name)
        wait = "-" if f["data_wait"] is None else f"{f['data_wait']:.1%}"
        lines.append(
            f"| `{name}` | {f['epochs']} | {f['nme']:.2%} | {f['mae']:.2f} | "
            f"{f['failures']:.1%} | {f['auc']:.3f} | {f['minutes']:.0f} | {wait} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", nargs="+", choices=[*GROUPS, *NAMES], default=["fast"])
    parser.add_argument("--out", type=Path, default=Path("runs/part3"))
    given = parser.parse_args()
    for group in given.trials:
        for name in GROUPS.get(group, [group]):
            train(given.out / name, arguments(name, given.out))
    print(table(given.out))


if __name__ == "__main__":
    main()
