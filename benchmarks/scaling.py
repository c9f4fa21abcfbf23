"""Training over one and two processes on the cores of this machine, in turns.

    python benchmarks/scaling.py

Each process has one thread, so that the second core is the second process's alone. Seconds are
those of epochs (`metrics.csv`), without the start of the processes, which is told apart.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import click

HERE = Path(__file__).parent
COMMON = [
    "--head", "kl", "--set", "data.size=[128, 128]", "--set", "data.workers=0",
    "--set", "trainer.threads=1", "--set", "data.val_count=16", "--set", "model.stride=4",
]  # fmt: skip


def train(folder: Path, devices: int, batch: int, samples: int, epochs: int) -> tuple[float, float]:
    """Median seconds of an epoch after the first, and of everything else."""
    begun = time.perf_counter()
    run = folder / f"run-{devices}-{time.monotonic_ns()}"
    command = [sys.executable, "-m", "heatkp", "train", *COMMON, "--out", str(run)]
    command += ["--batch-size", str(batch), "--epochs", str(epochs)]
    command += ["--set", f"data.train_count={samples}", "--set", f"trainer.devices={devices}"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=environment)
    whole = time.perf_counter() - begun
    with (run / "metrics.csv").open(newline="") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return median(seconds[1:]), whole - sum(seconds)


@click.command()
@click.option("--turns", default=3, show_default=True)
@click.option("--samples", default=256, show_default=True)
@click.option("--epochs", default=4, show_default=True)
@click.option("--batch", default=16, show_default=True)
@click.option("--out", type=click.Path(path_type=Path), default=HERE / "scaling.md")
def main(turns: int, samples: int, epochs: int, batch: int, out: Path) -> None:
    """Measure, and write the table."""
    found: dict[int, list[tuple[float, float]]] = {1: [], 2: []}
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(turns):
            for devices, measured in found.items():
                measured.append(train(Path(folder), devices, batch, samples, epochs))
    rows = []
    for devices, measured in found.items():
        epoch, start = (median(column) for column in zip(*measured))
        rows.append((devices, samples / epoch, start))
    ratio = rows[1][1] / rows[0][1]
    command = f"python benchmarks/scaling.py --turns {turns} --samples {samples}"
    command += f" --epochs {epochs} --batch {batch}"
    lines = [
        "# Training over two processes", "",
        f"`{command}`, on a machine of {os.cpu_count()} cores: the default network, head `kl`, "
        f"128x128 inputs, {batch} samples a step over all processes, one thread each; medians of "
        f"{turns} runs in turns.", "",
        "| processes | images a second | seconds for start and evaluation |", "|---|---|---|",
        *(f"| {n} | {speed:.0f} | {start:.0f} |" for n, speed, start in rows), "",
        f"Two processes train {ratio:.2f} times as fast as one.",
    ]  # fmt: skip
    out.write_text("\n".join(lines) + "\n")
    click.echo("\n".join(lines))


if __name__ == "__main__":
    main()
