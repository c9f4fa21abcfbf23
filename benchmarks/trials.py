"""Runs of a benchmark: made once, resumed where they were cut off, what they measured kept."""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from heatkp import runs
from heatkp.config import Settings, load_settings
from heatkp.data.dataset import KeypointDataset
from heatkp.data.loading import load_data
from heatkp.data.samples import Sample
from heatkp.data.transforms import Framing
from heatkp.evaluation.evaluate import predict_dataset
from heatkp.evaluation.metrics import Errors
from heatkp.files import write_text

T = TypeVar("T")
ROOT = Path(__file__).parent.parent
MACHINE = {
    "data": ("path", "workers", "cache", "cache_mb"),
    "model": ("encoder_weights",),
    "trainer": ("threads", "device"),
}
"""Settings that do not count as changed."""


class Trial(NamedTuple):
    """One training: a settings file and what it changes of it, as `--set` takes it."""

    name: str
    config: Path
    overrides: tuple[str, ...] = ()

    def settings(self) -> Settings:
        return load_settings(self.config, list(self.overrides))


def add_flags(parser: argparse.ArgumentParser, folder: Path) -> None:
    """The flags of a benchmark whose results are kept in `folder`."""
    parser.add_argument("--budget", type=float, metavar="MINUTES", help="begin none after it")
    parser.add_argument("--out", type=Path, default=Path("runs") / folder.name, help="run folders")
    parser.add_argument("--results", type=Path, default=folder / "results")
    parser.add_argument("--report", type=Path, default=folder.with_suffix(".md"))
    parser.add_argument("--table", action="store_true", help="make the tables, train nothing")


def within(todo: Sequence[T], minutes: float | None) -> Iterator[T]:
    """One after the other, until the minutes are over; says so."""
    begun = time.monotonic()
    for done, one in enumerate(todo):
        if minutes is not None and time.monotonic() - begun > 60 * minutes:
            print(f"the budget is over: {done} of {len(todo)} are there", flush=True)
            return
        yield one


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


def history(run: Path) -> list[dict[str, str]]:
    """A run's epochs."""
    with (run / runs.HISTORY).open(newline="") as file:
        return list(csv.DictReader(file))


def result(run: Path) -> dict[str, Any]:
    """The figures of a finished run."""
    metrics = json.loads((run / "metrics.json").read_text())
    rows = history(run)
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


def validated(run: Path) -> tuple[runs.Loaded, list[Sample], Errors]:
    """A run's best model, its validation samples, and its errors on them."""
    loaded = runs.load_run(run)
    data = loaded.settings.data
    samples = load_data(data, chosen=False).val
    dataset = KeypointDataset(samples, loaded.skeleton, Framing.of(data), grey=data.grey)
    errors = predict_dataset(loaded.model, dataset, loaded.settings.trainer.batch_size)
    return loaded, samples, errors


CODE = (
    "heatkp",
    "configs",
    "pyproject.toml",
    ":(glob)benchmarks/**/*.py",
    ":(glob)benchmarks/**/*.yaml",
)
"""What a result depends on: not the tables and results that a benchmark writes."""


def commit(root: Path = ROOT) -> str | None:
    """The code's commit, `-dirty` where its files differ from it."""

    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True).stdout

    found = git("describe", "--always", "--exclude=*").strip()
    changed = git("status", "--porcelain", "--", *CODE)
    return f"{found}{'-dirty' if changed else ''}" if found else None


def differing(settings: Settings) -> dict[str, Any]:
    """The settings that are not the defaults, without those of the machine."""
    own, default = settings.model_dump(), Settings().model_dump()
    return {
        section: {
            key: value
            for key, value in values.items()
            if value != default[section][key] and key not in MACHINE.get(section, ())
        }
        for section, values in own.items()
    }


def kept(path: Path, trial: Trial) -> bool:
    """Whether a trial's file is there and of the settings that it would be made with now."""
    if not path.is_file():
        return False
    if json.loads(path.read_text())["settings"] == differing(trial.settings()):
        return True
    print(f"{trial.name}: its settings have changed, it is made again", flush=True)
    return False


def make(
    trial: Trial,
    out: Path,
    results: Path,
    measure: Callable[[Path], dict[str, Any]],
    flags: list[str] | None = None,
) -> None:
    """Train, if no file in `results` is kept, and keep there what `measure` makes of the run,
    with its settings and commit. `flags` are those of the machine, as `weights` gives."""
    path = results / f"{trial.name}.json"
    if kept(path, trial):
        return
    run = out / trial.name
    saved = run / runs.SETTINGS
    if saved.is_file() and differing(_stated(saved)) != differing(_stated(saved, trial)):
        raise SystemExit(f"{run} was trained with other settings: move it away, or give --out")
    sets = [part for text in trial.overrides for part in ("--set", text)]
    train(run, ["--config", str(trial.config), *sets, *(flags or [])])
    values = {**measure(run), "code": commit(), "settings": differing(trial.settings())}
    lines = [f"{json.dumps(k)}: {json.dumps(v)}" for k, v in values.items()]
    write_text(path, "{\n" + ",\n".join(lines) + "\n}\n")


def _stated(saved: Path, trial: Trial | None = None) -> Settings:
    """A run's settings, or what a trial asks for with the input statistics that the run found."""
    there = load_settings(saved)
    if trial is None:
        return there
    asked = trial.settings()
    asked.model.mean, asked.model.std = there.model.mean, there.model.std
    return asked
