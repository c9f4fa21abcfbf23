"""What is left where a command is killed at any moment, the disk is full, or inputs are broken.

    python benchmarks/faults.py [--kills 50] [--quick] [--only train,sweep,...] [--seed 0]

`train`, `sweep`, `predict`, `shards`, `convert` and `report` are killed with SIGKILL at random
moments of their time, and then given again (a training by `--resume`). What comes must be what the
command gives undisturbed, and what lies there before must be whole or plainly unfinished. `full`
lets files be no larger than some kilobytes (EFBIG, which heatkp treats as a full disk); `clock`
sets times of locks and files into the future and the past; `two` resumes a run in two processes at
once; `interrupt` sends Ctrl-C twice; `broken` predicts 10,000 images of which a hundred are broken
in ten ways. Each command is a fork of this process, which has imported everything, so that a
command takes its own time and not that of starting.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import sys
import tempfile
import traceback
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import torch
from forked import TINY, Forked, Told, digest, run, trained, whole_folder
from other_faults import OTHERS
from safetensors.torch import load_file


class Killed:
    """A kind of command that is killed; subclasses say how it is given, and what it leaves."""

    name = ""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.log = place / f"{self.name}.log"
        self.prepare()
        self.out = place / "reference"
        self.seconds = run(self.first(), self.log)
        self.expected = self.found()

    def prepare(self) -> None:
        """Inputs."""

    def first(self) -> list[object]:
        """The command, into `self.out`."""
        raise NotImplementedError

    def again(self) -> list[object] | None:
        """What is given after a kill; None where the result is there."""
        return self.first()

    def found(self) -> Any:
        """What must be equal."""
        raise NotImplementedError

    def half(self) -> str:
        """What lies there half-written after a kill; empty where nothing does."""
        return ""

    def once(self, rng: random.Random, number: int) -> str:
        """Kill once or twice, go on, compare: empty, or what is wrong."""
        self.out = self.place / f"out-{number}"
        words: list[object] | None = self.first()
        for _ in range(rng.choice((1, 1, 2))):
            if words is None:
                break
            one = Forked(words, self.log)
            ended = one.wait_or_kill(rng.uniform(0, 1.05 * self.seconds))
            if ended not in (None, 0):
                return f"ended with {ended} before it was killed: {one.said[-800:]}"
            if wrong := self.half():
                return wrong
            words = self.again()
        if words is not None:
            one = Forked(words, self.log)
            code = one.wait()
            if code:
                return f"{' '.join(map(str, words))} ended with {code}: {one.said[-800:]}"
        if self.found() != self.expected:
            return f"another result in {self.out}"
        shutil.rmtree(self.out, ignore_errors=True)
        return ""


class Train(Killed):
    name = "train"

    def first(self) -> list[object]:
        return ["train", *TINY, "--epochs", 4, "--out", self.out]

    def again(self) -> list[object] | None:
        if (self.out / "metrics.json").is_file():
            return None
        if (self.out / "settings.yaml").is_file():
            return ["train", "--resume", self.out]
        shutil.rmtree(self.out, ignore_errors=True)  # nothing was begun
        return self.first()

    def found(self) -> Any:
        return trained(self.out)

    def half(self) -> str:
        for name in ("weights.safetensors", "metrics.json", "settings.yaml"):
            path = self.out / name
            if path.is_file() and not path.stat().st_size:
                return f"{name} is empty"
        if (self.out / "weights.safetensors").is_file():
            load_file(self.out / "weights.safetensors")
        return ""


class Sweep(Killed):
    name = "sweep"

    def prepare(self) -> None:
        self.space = self.place / "space.yaml"
        self.space.write_text("optimiser.lr: {choices: [0.001, 0.003]}\n")

    def first(self) -> list[object]:
        return ["sweep", "--space", self.space, "--sampler", "grid", "--out", self.out,
                "--set", "trainer.epochs=2", *TINY[:14], "--set", "trainer.batch_size=8",
                ]  # fmt: skip

    def found(self) -> Any:
        rows = (self.out / "sweep.csv").read_text().splitlines()
        head = rows[0].split(",")
        told = ("run", "minutes", "state", "reason")
        kept = [i for i, name in enumerate(head) if name not in told]
        states = Counter(row.split(",")[head.index("state")] for row in rows[1:])
        complete = [r for r in rows[1:] if r.split(",")[head.index("state")].startswith("complete")]
        found = sorted(tuple(row.split(",")[i] for i in kept) for row in complete)
        return found, states.get("complete", 0) and len(found)


class Convert(Killed):
    name = "convert"

    def prepare(self) -> None:
        self.source = self.place / "drawn"
        run(["data", "synth", self.source, "--n", 60, "--size", 96], self.log)

    def first(self) -> list[object]:
        return ["data", "convert", self.source, "--to", "yolo", "--out", self.out]

    def again(self) -> list[object] | None:
        return None if self.out.exists() else self.first()

    def found(self) -> Any:
        return whole_folder(self.out)

    def half(self) -> str:
        if self.out.exists() and self.found() != self.expected:
            return "the folder is there and not whole"
        return ""


class Predict(Convert):
    """Into a folder: what is unfinished says so, and another folder gets it whole."""

    name = "predict"

    def first(self) -> list[object]:
        return ["predict", self.source / "images", "--boxes", "image", "--format", "json",
                "--format", "csv", "--out", self.out]  # fmt: skip

    def again(self) -> list[object] | None:
        summary = self.out / "summary.json"
        if summary.is_file() and json.loads(summary.read_text())["complete"]:
            return None
        shutil.rmtree(self.out, ignore_errors=True)
        return self.first()

    def found(self) -> Any:
        return whole_folder(self.out, without=("summary.json",))

    def half(self) -> str:
        summaries = list(self.out.glob("*.json")) if self.out.is_dir() else []
        for path in summaries:
            json.loads(path.read_text())
        return ""


class Shards(Predict):
    """The same command again goes on."""

    name = "shards"

    def first(self) -> list[object]:
        return ["predict", self.source / "images", "--boxes", "image", "--shard", "1/1",
                "--out", self.out]  # fmt: skip

    def again(self) -> list[object] | None:
        return self.first()

    def found(self) -> Any:
        lines = [line for path in self.out.rglob("part-*.jsonl") for line in path.open()]
        return sorted(line for line in lines if '"image"' in line)


class Report(Killed):
    name = "report"

    def prepare(self) -> None:
        self.run = self.place / "run"
        run(["train", *TINY, "--epochs", 2, "--out", self.run], self.log)

    def first(self) -> list[object]:
        return ["report", self.run, "--out", f"{self.out}.html"]

    def found(self) -> Any:
        return digest(Path(f"{self.out}.html"))

    def half(self) -> str:
        path = Path(f"{self.out}.html")
        return "half a page" if path.is_file() and self.found() != self.expected else ""


KILLED: dict[str, type[Killed]] = {
    kind.name: kind for kind in (Train, Sweep, Predict, Shards, Convert, Report)
}


def killed(name: str, kills: int, seed: int, place: Path) -> Told:
    """So many times."""
    place.mkdir()
    kind, rng = KILLED[name](place), random.Random(seed)
    wrong = []
    for number in range(kills):
        try:
            found = kind.once(rng, number)
        except Exception:
            found = traceback.format_exc(limit=-3)
        if found:
            wrong.append(found)
    hidden = [p.name for p in place.rglob(".*") if p.name.endswith((".part", ".lock"))]
    return {"fault": f"kill -9: {name}", "times": kills, "wrong": wrong,
            "note": f"{kind.seconds:.1f} s alone, {len(hidden)} hidden files left"}  # fmt: skip


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="heatkp-faults-") as place:
        os.environ["HEATKP_CACHE"] = str(Path(place) / "cache")
        yield Path(place)


def table(results: list[Told]) -> str:
    lines = ["| fault | times | wrong | |", "|---|--:|--:|---|"]
    lines += [f"| {r['fault']} | {r['times']} | {len(r['wrong'])} | {r['note']} |" for r in results]
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=50, help="of all commands together")
    parser.add_argument("--quick", action="store_true", help="few of each")
    parser.add_argument("--only", help=f"some of {', '.join([*KILLED, *OTHERS])}, with commas")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    torch.set_num_threads(1)
    chosen = [*KILLED, *OTHERS] if arguments.only is None else arguments.only.split(",")
    if unknown := [name for name in chosen if name not in KILLED and name not in OTHERS]:
        parser.error(f"there is no fault {unknown[0]}")
    kinds = max(1, sum(name in KILLED for name in chosen))
    kills = 2 if arguments.quick else -(-arguments.kills // kinds)
    results = []
    with scratch() as place:
        for name in chosen:
            if name in KILLED:
                found = killed(name, kills, arguments.seed, place / name)
            else:
                found = OTHERS[name](arguments.quick, place / name)
            for wrong in found["wrong"]:
                print(f"{found['fault']}: {wrong}", flush=True)
            print(table([found]).splitlines()[-1], flush=True)
            results.append(found)
    print(table(results))
    sys.exit(any(found["wrong"] for found in results))


if __name__ == "__main__":
    main()
