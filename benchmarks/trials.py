"""Runs of a benchmark: made once, resumed where they were cut off, read back."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


def weights(name: str) -> list[str]:
    """Flags that take an encoder's weights from a file of `HEATKP_WEIGHTS`, if it is there."""
    path = Path(os.environ.get("HEATKP_WEIGHTS", "")) / name
    return ["--set", f"model.encoder_weights={path}"] if path.is_file() else []


def train(run: Path, arguments: list[str]) -> Path:
    """One run of `heatkp train`, unless it is there; an unfinished one is resumed."""
    if (run / "metrics.json").is_file():
        return run
    command = [sys.executable, "-m", "heatkp", "train"]
    if (run / "checkpoints" / "last.ckpt").is_file():
        command += ["--resume", str(run)]
    else:
        shutil.rmtree(run, ignore_errors=True)
        command += [*arguments, "--out", str(run)]
    print("+", *command[3:], flush=True)
    subprocess.run(command, check=True)
    return run


def result(run: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    metrics = json.loads((run / "metrics.json").read_text())
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    ocular = metrics["normalised"].get("inter-ocular") or {}
    waits = [float(row["data_wait"]) for row in rows if row.get("data_wait")]
    return {
        "mse": metrics["mse_normalised"],
        "mae": metrics["mae_photo"],
        "nme": ocular.get("nme"),
        "failures": ocular.get("failure_rate"),
        "auc": ocular.get("auc"),
        "epochs": len(rows),
        "minutes": sum(float(row["seconds"]) for row in rows) / 60,
        "data_wait": sum(waits) / len(waits) if waits else None,
    }
