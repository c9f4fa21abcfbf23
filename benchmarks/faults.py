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
import hashlib
import json
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")

import cv2
import numpy as np
import torch
from safetensors.torch import load_file

from heatkp.cli import main as command

TINY = [
    "--set", "data.train_count=16", "--set", "data.val_count=8", "--set", "data.size=[32,32]",
    "--set", "data.workers=0", "--set", "model.architecture=plain_unet",
    "--set", "model.options={widths: [4, 8]}", "--set", "model.stride=2", "--batch-size", "8",
    "--head", "softargmax",
]  # fmt: skip
Told = dict[str, Any]


class Forked:
    """A command of heatkp in a fork; what it says is in `log`."""

    def __init__(self, words: list[object], log: Path, limit: int | None = None) -> None:
        self.log = log
        sys.stdout.flush()
        self.pid = os.fork()
        if self.pid:
            return
        code = 1
        try:
            os.setpgid(0, 0)
            stream = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
            os.dup2(stream, 1)
            os.dup2(stream, 2)
            if limit is not None:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            signal.signal(signal.SIGINT, signal.default_int_handler)
            command([str(word) for word in words])
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else int(ended.code is not None)
        except BaseException:
            traceback.print_exc()
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(code)

    def wait(self, seconds: float = 600.0) -> int:
        """The exit code, -9 where it was killed; kills it after so long."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.005)
        self.send(signal.SIGKILL)
        return self.wait(60)

    def wait_or_kill(self, seconds: float) -> int | None:
        """Its exit code within so many seconds; None where it was killed then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            done, status = os.waitpid(self.pid, os.WNOHANG)
            if done:
                return os.waitstatus_to_exitcode(status)
            time.sleep(0.002)
        self.send(signal.SIGKILL)
        code = self.wait(60)
        return None if code == -signal.SIGKILL else code

    def wait_or_none(self) -> int | None:
        """Its exit code; None while it runs."""
        done, status = os.waitpid(self.pid, os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if done else None

    def send(self, kind: signal.Signals) -> None:
        """A signal to it and to the processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, kind)

    @property
    def said(self) -> str:
        return self.log.read_text(errors="replace") if self.log.is_file() else ""


def run(words: list[object], log: Path) -> float:
    """Seconds of a command that must end well."""
    begun = time.monotonic()
    one = Forked(words, log)
    code = one.wait()
    if code:
        raise RuntimeError(f"{' '.join(map(str, words))} ended with {code}: {one.said[-2000:]}")
    return time.monotonic() - begun


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def whole_folder(path: Path, without: tuple[str, ...] = ()) -> dict[str, str]:
    """Digests of a folder's files by name; hidden ones do not count."""
    return {
        p.relative_to(path).as_posix(): digest(p)
        for p in sorted(path.rglob("*"))
        if p.is_file() and p.name not in without and not p.name.startswith(".")
    }


def trained(run: Path) -> dict[str, Any]:
    """A run's weights and figures."""
    weights = load_file(run / "weights.safetensors")
    metrics = json.loads((run / "metrics.json").read_text())
    state = {k: hashlib.sha256(v.contiguous().numpy().tobytes()).hexdigest()
             for k, v in weights.items()}  # fmt: skip
    return {"weights": state, "mae": metrics["mae_photo"], "nme": metrics.get("normalised")}


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


def full(quick: bool, place: Path) -> Told:
    """Files may have so many kilobytes: each command says so in a sentence, and leaves no half."""
    place.mkdir()
    log, wrong = place / "log", []
    drawn = place / "drawn"
    run(["data", "synth", drawn, "--n", 8, "--size", 96], log)
    sizes = (0, 2) if quick else (0, 1, 2, 8, 20, 40)
    for i, size in enumerate(sizes):
        words = [
            ["train", *TINY, "--epochs", 2, "--out", place / f"run-{i}"],
            ["predict", drawn / "images", "--boxes", "image", "--out", place / f"found-{i}"],
            ["data", "convert", drawn, "--to", "coco", "--out", place / f"coco-{i}"],
        ]
        for each in words:
            one = Forked(each, log, limit=1024 * size)
            code = one.wait()
            out = Path(str(each[-1]))
            if code not in (0, 2) or "Traceback" in one.said or "looks like an error" in one.said:
                wrong.append(f"{each[0]} with {size} kB: {code}: {one.said[-600:]}")
            if code and each[0] == "data" and out.exists():
                wrong.append(f"convert with {size} kB left {out}")
    return {"fault": "full disk", "times": 3 * len(sizes), "wrong": wrong, "note": ""}


def two(quick: bool, place: Path) -> Told:
    """A run is resumed in two processes at once: one goes on, the other is refused."""
    place.mkdir()
    log, wrong, times = place / "log", [], 1 if quick else 5
    run(["train", *TINY, "--epochs", 2, "--out", place / "begun"], log)
    for i in range(times):
        folder = place / f"run-{i}"
        shutil.copytree(place / "begun", folder)
        words: list[object] = ["train", "--resume", folder, "--epochs", 12]
        both = [Forked(words, place / f"log-{k}") for k in range(2)]
        codes = sorted(one.wait() for one in both)
        said = " ".join(one.said for one in both)
        # Where the first has ended before the second looks, that one says so.
        told = "another process works on the run" in said or "is finished" in said
        if codes != [0, 2] or not told or "Traceback" in said:
            wrong.append(f"{codes}: {said[-800:]}")
    return {"fault": "two processes in one run", "times": times, "wrong": wrong, "note": ""}


def interrupt(quick: bool, place: Path) -> Told:
    """Ctrl-C, and again while it stops: ends, says how it goes on, and goes on."""
    place.mkdir()
    log, wrong, times, rng = place / "log", [], 2 if quick else 8, random.Random(3)
    seconds = run(["train", *TINY, "--epochs", 6, "--out", place / "reference"], log)
    expected = trained(place / "reference")
    for i in range(times):
        out = place / f"run-{i}"
        one = Forked(["train", *TINY, "--epochs", 6, "--out", out], log)
        time.sleep(rng.uniform(0.2, 0.9) * seconds)
        one.send(signal.SIGINT)
        time.sleep(rng.uniform(0, 0.2))
        one.send(signal.SIGINT)
        code = one.wait(120)
        if code == -signal.SIGKILL:
            wrong.append("it went on after two Ctrl-C")
            continue
        if code == 0 or not (out / "settings.yaml").is_file():
            continue
        if (out / "metrics.json").is_file():
            continue
        if (again := Forked(["train", "--resume", out], log)).wait() or trained(out) != expected:
            wrong.append(f"not resumed: {again.said[-600:]}")
    return {"fault": "Ctrl-C twice", "times": times, "wrong": wrong, "note": ""}


def clock(quick: bool, place: Path) -> Told:
    """Files that are from tomorrow, or from 1980, in a run that goes on and in shards."""
    place.mkdir()
    log, wrong = place / "log", []
    run(["train", *TINY, "--epochs", 4, "--out", place / "reference"], log)
    expected, times = trained(place / "reference"), 2
    for i, jump in enumerate((10.0**6, -1.4e9)):
        out = place / f"run-{i}"
        one = Forked(["train", *TINY, "--epochs", 4, "--out", out], log)
        while not (out / "checkpoints" / "last.ckpt").is_file() and one.wait_or_none() is None:
            time.sleep(0.005)
        one.send(signal.SIGKILL)
        with contextlib.suppress(ChildProcessError):
            one.wait()
        for path in out.rglob("*"):
            os.utime(path, (max(0, time.time() + jump),) * 2)
        if not (out / "metrics.json").is_file():
            again = Forked(["train", "--resume", out], log)
            if again.wait():
                wrong.append(again.said[-600:])
                continue
        if trained(out) != expected:
            wrong.append(f"another result after a jump of {jump} s")
    return {"fault": "clock that jumps", "times": times, "wrong": wrong, "note": ""}


def breakages() -> list[tuple[str, Callable[[bytes], bytes | None]]]:
    """Ten ways in which an image is broken; None: the file is a folder, or is not there."""
    huge = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\2\0\0\0\0\0\0\0"
    return [
        ("empty", lambda content: b""),
        ("half", lambda content: content[: len(content) // 2]),
        ("head only", lambda content: content[:20]),
        ("text", lambda content: b"<html>not found</html>"),
        ("zeros", lambda content: bytes(len(content))),
        ("noise", lambda content: random.Random(1).randbytes(200)),
        ("huge", lambda content: huge),
        ("HEIC", lambda content: b"\0\0\0\x18ftypheic" + bytes(90)),
        ("no pixels", lambda content: content[:33] + content[-12:]),
        ("folder", lambda content: None),
    ]


def write_images(folder: Path, count: int, every: int) -> dict[str, str]:
    """So many images of 16 x 16 pixels, of which each `every`th is broken; which ones, and how."""
    rng, ways, broken = np.random.default_rng(0), breakages(), {}
    for i in range(count):
        path = folder / f"{i // 1000:03d}" / f"{i:06d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        content = cv2.imencode(".png", rng.integers(0, 256, (16, 16, 3), np.uint8))[1].tobytes()
        if i % every == every // 2:
            name, change = ways[i // every % len(ways)]
            changed = change(content)
            broken[path.relative_to(folder).as_posix()] = name
            if changed is None:
                path.symlink_to(folder / "nowhere.png")
                continue
            content = changed
        path.write_bytes(content)
    return broken


def predict_with_nothing(folder: Path, out: Path) -> Any:
    """`save_predictions` with a network that does nothing."""
    from sharding import cheap_predictor

    from heatkp.inference.saving import save_predictions

    return save_predictions(cheap_predictor(), folder, out, ["jsonl"], boxes="image", drawn=False)


def broken(quick: bool, place: Path) -> Told:
    """Ten thousand images, of which a hundred are broken in ten ways."""
    count = 1000 if quick else 10_000
    bad = write_images(place / "in", count, 100)
    begun = time.monotonic()
    done = predict_with_nothing(place / "in", place / "out")
    seconds, wrong = time.monotonic() - begun, []
    named = {failure.name for failure in done.failures}
    if named != set(bad):
        wrong.append(f"named {len(named)} of {len(bad)}: {sorted(named ^ set(bad))[:5]}")
    if done.images != count - len(bad) or not done.complete:
        wrong.append(f"{done.images} of {count - len(bad)} done")
    kinds = ", ".join(f"{n} {name}" for name, n in sorted(Counter(bad.values()).items()))
    return {"fault": "broken images", "times": count, "wrong": wrong,
            "note": f"{done.images} done, {len(named)} named in {seconds:.0f} s ({kinds})",
            }  # fmt: skip


OTHERS: dict[str, Callable[[bool, Path], Told]] = {
    "full": full, "two": two, "interrupt": interrupt, "clock": clock, "broken": broken,
}  # fmt: skip


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
