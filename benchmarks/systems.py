"""Parts 1 and 2 as five published systems trained them, beside the figures they published.

    python benchmarks/systems.py                     all but the long ones, on the person split
    python benchmarks/systems.py --only d c_part2    those whose names begin so
    python benchmarks/systems.py --splits random     on the random split
    python benchmarks/systems.py --long --budget 60  the long ones too; begin none after an hour
    python benchmarks/systems.py --table             the table again, trains nothing
    python benchmarks/systems.py --only a_part2 --time  how long a training step takes, no training

Each is one `heatkp train` with a file of `configs/systems/`. What it measured is kept in
`benchmarks/systems/results/`, so a benchmark that was cut off continues. The cheap ones come
first. Ends with `benchmarks/systems.md`. Needs `HEATKP_DATA`.
"""

from __future__ import annotations

import argparse
import json
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch
from measure import in_turns
from trials import ROOT, Trial, add_flags, history, make, within

from heatkp import runs
from heatkp.files import write_text
from heatkp.models import build_model

HERE = ROOT / "benchmarks" / "systems"
CONFIGS = ROOT / "configs" / "systems"
NEAR = 0.30
"""A figure is reproduced when it is within this fraction of the published one."""


class Case(NamedTuple):
    """A network and recipe; published normalised MSE of training and validation, if there is.

    `long`: hours on two cores."""

    name: str
    config: str
    overrides: tuple[str, ...] = ()
    train: float | None = None
    published: float | None = None
    long: bool = False

    @property
    def part(self) -> int:
        return 1 if "part1" in self.config else 2

    def trial(self, split: str, seed: int) -> Trial:
        given = (*self.overrides, f"data.split={split}", f"trainer.seed={seed}")
        return Trial(f"{self.name}-{split}-{seed}", CONFIGS / f"{self.config}.yaml", given)


def _layers(filters: int, channels: tuple[int, ...], convolutions: int, width: int) -> str:
    lines = []
    for count in channels:
        lines += [f"conv {count} {filters}", "relu"] * convolutions + ["pool 2"]
    return f"model.layers=[{', '.join([*lines, 'flatten', f'fc {width}', 'relu'])}]"


def _a(
    part: int,
    filters: int,
    channels: tuple[int, ...],
    rate: str,
    batch: int,
    epochs: int,
    train: float,
    published: float,
    long: bool = False,
) -> Case:
    """A run of system A, which names runs by what differs."""
    name = f"a_part{part}_{filters}_{'.'.join(map(str, channels))}_{rate}_{batch}_{epochs}"
    layers = _layers(filters, channels, *((1, 128) if part == 1 else (2, 512)))
    given = (
        layers, f"optimiser.lr={rate}", f"trainer.batch_size={batch}", f"trainer.epochs={epochs}",
    )  # fmt: skip
    return Case(name, f"a_part{part}", given, train, published, long)


def _c(filters: int, train: float, published: float, long: bool = False) -> Case:
    layers = _layers(filters, (16, 32, 64, 128, 256), 1, 256)
    return Case(f"c_part2_{filters}x{filters}", "c_part2", (layers,), train, published, long)


SMALL, LARGE = (16, 32, 64, 128), (64, 128, 256, 512)
CASES = [
    Case("d_part1", "d_part1", published=1.5e-3),
    Case("d_part1_1e-4", "d_part1", ("optimiser.lr=1e-4",), published=2.7e-3),
    Case("d_part1_wide", "d_part1_wide"),
    Case("b_part1", "b_part1"),
    Case("c_part1", "c_part1"),
    Case("c_part1_4conv", "c_part1_4conv"),
    Case("c_part1_5x5", "c_part1_5x5"),
    Case("e_part1", "e_part1"),
    _a(1, 3, SMALL, "1e-3", 32, 20, 1.18e-4, 2.03e-4),
    _a(1, 5, SMALL, "1e-3", 32, 20, 1.24e-4, 3.29e-4),
    _a(1, 3, SMALL, "1e-3", 8, 20, 1.42e-4, 2.93e-4),
    _a(1, 3, SMALL, "3e-4", 8, 20, 3.88e-4, 4.21e-4),
    _a(1, 3, (64, 64, 128, 256), "6e-4", 8, 20, 7.67e-5, 2.24e-4),
    Case("d_part2", "d_part2"),
    Case("e_part2", "e_part2"),
    _a(1, 3, LARGE, "6e-4", 8, 50, 2.81e-5, 1.98e-4),
    _c(3, 9.1e-5, 3.31e-4),
    Case("b_part2", "b_part2", published=5.4e-4),
    _a(1, 5, (64, 128, 256, 256), "6e-4", 8, 50, 1.56e-5, 1.25e-4),
    _c(5, 8.1e-5, 3.03e-4),
    _c(7, 1.35e-4, 2.72e-4),
    _c(9, 1.008e-3, 1.702e-3, long=True),
    _a(2, 5, (64, 256, 256), "6e-4", 4, 75, 1.02e-5, 1.14e-4, long=True),
    _a(2, 5, (128, 256, 256), "3e-4", 4, 75, 1.04e-5, 1.05e-4, long=True),
    _a(2, 5, (128, 256, 512), "5e-5", 8, 50, 2.97e-5, 2.36e-4, long=True),
    _a(2, 5, (128, 256, 512), "3e-4", 8, 50, 5.25e-5, 2.19e-4, long=True),
    _a(2, 5, (128, 256, 512), "6e-4", 8, 50, 5.72e-5, 4.15e-4, long=True),
    _a(2, 5, (128, 256, 512), "6e-4", 4, 50, 9.19e-6, 9.56e-5, long=True),
]


def measure(case: Case, split: str, seed: int, run: Path) -> dict[str, Any]:
    """What is kept of a run: MSE of its last epoch and of the lowest, MAE of the epoch kept."""
    rows = history(run)
    best = min(rows, key=lambda row: float(row["val_mse"]))
    model = runs.load_run(run).model
    return {
        "name": case.name,
        "part": case.part,
        "split": split,
        "seed": seed,
        "train": float(rows[-1]["train_loss"]),
        "last": float(rows[-1]["val_mse"]),
        "best": float(best["val_mse"]),
        "best_epoch": int(best["epoch"]) + 1,
        "mae": json.loads((run / "metrics.json").read_text())["mae_photo"],
        "epochs": len(rows),
        "parameters": sum(p.numel() for p in model.parameters()),
        "minutes": round(sum(float(row["seconds"]) for row in rows) / 60, 2),
    }


def timed(case: Case) -> str:
    """How long a step of a recipe takes on images of noise, and so all of its epochs."""
    settings = case.trial("person", 0).settings()
    points = 1 if case.part == 1 else 58
    model = build_model(settings, points).train().to(memory_format=torch.channels_last)
    (width, height), batch = settings.data.size, settings.trainer.batch_size
    images = torch.randint(0, 256, (batch, 1, height, width), dtype=torch.uint8)
    where = torch.rand(batch, points, 2) * torch.tensor([width, height])

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.training_loss(images, where, torch.ones(batch, points)).backward()

    seconds = in_turns({"step": step}, 1)["step"]
    hours = seconds * -(-192 // batch) * settings.trainer.epochs / 3600
    return f"{case.name}: {seconds:.3g} s a step of {batch} images, {hours:.3g} h in all"


def _mse(value: float | None) -> str:
    return "-" if value is None else f"{value:.2e}"


def _verdict(values: list[float], published: float | None) -> str:
    if published is None:
        return "-"
    ratio = sum(values) / len(values) / published
    return f"{ratio:.2f}" + (" (matches)" if abs(ratio - 1) <= NEAR else "")


def table(found: list[dict[str, Any]], part: int, split: str) -> str:
    """Markdown of one part and split; several seeds of a network stand in one line."""
    lines = [
        "| network | published train | here | published validation | here, last epoch | "
        "of published | lowest (epoch) | MAE, image px | parameters, M | minutes |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for case in CASES:
        mine = [f for f in found if f["name"] == case.name and f["split"] == split]
        mine.sort(key=lambda f: f["seed"])
        if case.part != part or not mine:
            continue
        last = [f["last"] for f in mine]
        each = {key: ", ".join(_mse(f[key]) for f in mine) for key in ("train", "last")}
        best = ", ".join(f"{_mse(f['best'])} ({f['best_epoch']})" for f in mine)
        lines.append(
            f"| `{case.name}` | {_mse(case.train)} | {each['train']} | {_mse(case.published)} | "
            f"{each['last']} | {_verdict(last, case.published)} | {best} | "
            f"{sum(f['mae'] for f in mine) / len(mine):.2f} | {mine[0]['parameters'] / 1e6:.2f} | "
            f"{sum(f['minutes'] for f in mine) / len(mine):.1f} |"
        )
    return "\n".join(lines)


def report(found: list[dict[str, Any]]) -> str:
    text = [
        "# The five systems on Parts 1 and 2",
        "",
        "Made by `python benchmarks/systems.py`; `--table` makes it again from `systems/results/`.",
        "Each network under its own recipe (`configs/systems/`), 192 IMM images to train on and 48",
        "to validate. Normalised MSE; training's is of augmented images, the mean over the last",
        "epoch. `of published` is the last epoch's MSE over the published one; within 30 % it",
        "counts as a match. `lowest` is chosen on the same 48 images, as is the epoch of the MAE.",
        "Several figures in a cell are seeds. What a description left open (filters' padding,",
        "widths of the first fc layer, strengths of augmentation, which persons validate) was",
        "chosen here and is written in each file.",
    ]
    for part in (1, 2):
        for split in ("person", "random"):
            if any(f["part"] == part and f["split"] == split for f in found):
                how = "by person" if split == "person" else "at random"
                text += ["", f"## Part {part}, split {how}", "", table(found, part, split)]
    missing = [c for c in CASES if not any(f["name"] == c.name for f in found)]
    if missing:
        text += ["", "Not trained: " + ", ".join(f"`{c.name}`" for c in missing) + "."]
    return "\n".join(text) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="NAME", help="the names' beginnings")
    parser.add_argument(
        "--splits", nargs="+", choices=["person", "random"], default=["person"]
    )  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--long", action="store_true", help="those that take hours, too")
    add_flags(parser, HERE)
    parser.add_argument("--time", action="store_true", help="time a step, train nothing")
    given = parser.parse_args()
    expected = [c for c in CASES if not given.only or c.name.startswith(tuple(given.only))]
    if not expected:
        parser.error(f"no network's name begins so; there are: {', '.join(c.name for c in CASES)}")
    if given.time:
        print(f"{torch.get_num_threads()} threads", *map(timed, expected), sep="\n")
        return
    expected = [] if given.table else [c for c in expected if given.long or not c.long]
    todo = [(c, p, s) for s in range(given.seeds) for p in given.splits for c in expected]
    given.results.mkdir(parents=True, exist_ok=True)
    for case, split, seed in within(todo, given.budget):
        measured = partial(measure, case, split, seed)
        make(case.trial(split, seed), given.out, given.results, measured)
    found = [json.loads(p.read_text()) for p in sorted(given.results.glob("*.json"))]
    if not found:
        raise SystemExit(f"{given.results} holds no results yet: run without --table")
    whole = report(found)
    write_text(given.report, whole)
    print(whole)


if __name__ == "__main__":
    main()
