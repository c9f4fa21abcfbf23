"""The faults of `faults.py` that are no kills: full disks, two processes, clocks, lost images."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from forked import TINY, Forked, Told, run, trained


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


def refused(one: Forked, wrong: list[str]) -> None:
    """It must end with a sentence on what was wrong."""
    code = one.wait()
    if code != 2 or "Traceback" in one.said or "looks like an error" in one.said:
        wrong.append(f"{code}: {one.said[-800:]}")


def read_only(quick: bool, place: Path) -> Told:
    """Results into a folder without permission to write are refused; inputs from there are read."""
    place.mkdir()
    log, wrong, closed = place / "log", [], place / "closed"
    drawn, begun = closed / "drawn", closed / "run"
    run(["data", "synth", drawn, "--n", 8, "--size", 64], log)
    run(["train", *TINY, "--epochs", 1, "--out", begun], log)
    folders = [closed, *(path for path in closed.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    before = sorted(closed.rglob("*"))
    into = [
        ["train", *TINY, "--epochs", 1, "--out", closed / "new"],
        ["train", "--resume", begun, "--epochs", 2],
        ["eval", begun],
        ["predict", drawn / "images", "--boxes", "image", "--out", closed / "found"],
        ["data", "convert", drawn, "--to", "coco", "--out", closed / "coco"],
        ["report", begun, "--out", closed / "page.html"],
    ]
    for words in into:
        refused(Forked(words, log, modes=True), wrong)
    for words in (
        ["predict", drawn / "images", "--boxes", "image", "--out", place / "found"],
        ["data", "convert", drawn, "--to", "coco", "--out", place / "coco"],
        ["report", begun, "--out", place / "page.html"],
    ):
        one = Forked(words, log, modes=True)
        if one.wait():
            wrong.append(f"from there: {one.said[-800:]}")
    if sorted(closed.rglob("*")) != before:
        wrong.append(f"written: {sorted(set(closed.rglob('*')) - set(before))}")
    for folder in folders:
        folder.chmod(0o755)
    return {"fault": "read-only folder", "times": len(into) + 3, "wrong": wrong, "note": ""}


def removed(quick: bool, place: Path) -> Told:
    """Images go away while they are read: named, or refused in a sentence; a training goes on when
    they are back."""
    place.mkdir()
    log, wrong, times, rng = place / "log", [], 2 if quick else 8, random.Random(5)
    ends: Counter[str] = Counter()
    drawn, away = place / "drawn", place / "away"
    run(["data", "synth", drawn, "--n", 40, "--size", 64], log)
    kinds: dict[str, Callable[[Path], list[object]]] = {
        "predict": lambda out: ["predict", drawn / "images", "--boxes", "image", "--out", out],
        "convert": lambda out: ["data", "convert", drawn, "--to", "coco", "--out", out],
        "train": lambda out: ["train", *TINY[4:], "--data", drawn, "--set", "data.cache=none",
                              "--epochs", 4, "--out", out],
    }  # fmt: skip
    for name, words in kinds.items():
        seconds = run(words(place / name), log)
        for i in range(times):
            out = place / f"{name}-{i}"
            one = Forked(words(out), log)
            time.sleep(rng.uniform(0.1, 0.9) * seconds)
            (drawn / "images").rename(away)
            code = one.wait()
            said = one.said
            ends[f"{name} {code}"] += 1
            if code not in (0, 1, 2) or "Traceback" in said or "looks like an error" in said:
                wrong.append(f"{name}: {code}: {said[-1200:]}")
            if name == "convert" and code and out.exists():
                wrong.append(f"convert left {out}")
            if name == "predict" and (out / "summary.json").is_file():
                told = json.loads((out / "summary.json").read_text())
                if told["complete"] and told["images"] + len(told["errors"]) != 40:
                    wrong.append(f"predict: {told['images']} done, {told['failures']}")
            away.rename(drawn / "images")
            if name == "train" and code and (out / "settings.yaml").is_file():
                again = Forked(["train", "--resume", out], log)
                if again.wait() or trained(out) != trained(place / name):
                    wrong.append(f"train does not go on: {again.said[-800:]}")
    note = "ended with " + ", ".join(f"{end}: {count}" for end, count in sorted(ends.items()))
    return {"fault": "images removed", "times": 3 * times, "wrong": wrong, "note": note}


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
    "read_only": read_only, "removed": removed,
}  # fmt: skip
