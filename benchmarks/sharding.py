"""Sharded prediction: two processes against one, and nothing lost where processes are killed.

    python benchmarks/sharding.py speed [--images 400]
    python benchmarks/sharding.py killed [--inputs 100000] [--shards 4]
    python benchmarks/sharding.py parts [--files 200000]

Each writes its section of benchmarks/sharding.md and leaves the others. `speed` needs the machine
for itself: it predicts with `face68` on generated images, with one process and with two at once,
in turns. `killed` predicts on generated images of 16 x 16 pixels with a network that does nothing,
kills each shard's process with SIGKILL at random moments, starts it again, and merges. `parts`
measures what the costs of 10^8 images are made of.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

HERE = Path(__file__).resolve()
TABLE = HERE.with_suffix(".md")
HEAD = "# Sharded prediction\n\nThe command stands above each figure.\n"
SECTIONS = ("speed", "killed", "parts")
BROKEN = 0.001
"""Of the inputs of `killed` that are no images, to see that failures are kept, too."""


def write_section(table: Path, name: str, command: str, text: str) -> None:
    """Put a section in its place in the table."""
    content = table.read_text() if table.is_file() else HEAD
    found = dict(re.findall(r"^## (\w+)\n(.*?)(?=^## |\Z)", content, re.DOTALL | re.MULTILINE))
    found[name] = f"\n`{command}`\n\n{text.strip()}\n\n"
    parts = [f"## {key}\n{found[key]}" for key in SECTIONS if key in found]
    table.write_text(HEAD + "\n" + "".join(parts).rstrip() + "\n")
    print(text)


def started(*words: object) -> subprocess.Popen[bytes]:
    """A process of the library of this checkout, silent, with one thread."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    environment["PYTHONPATH"] = os.pathsep.join(
        [str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    )
    return subprocess.Popen(
        [sys.executable, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment,
    )


def speed(images: int, rounds: int, folder: Path) -> str:
    """Images a second of one process, and of two shards at once, in turns.

    Starting (imports, the model, two shards' listing) is measured by a run of no image before, and
    subtracted: it takes seconds, however many images there are.
    """
    made(folder / "in", images)
    taken: dict[int, list[float]] = {1: [], 2: []}
    starts: dict[int, list[float]] = {1: [], 2: []}
    for turn in range(rounds):
        for count in (1, 2):
            out = folder / f"out-{turn}-{count}"
            for seconds in (taken, starts):  # the second time all is done
                begun = time.perf_counter()
                running = [
                    started(
                        "-m", "heatkp", "predict", folder / "in", "--boxes", "image",
                        "--shard", f"{i}/{count}", "--out", out,
                    )
                    for i in range(1, count + 1)
                ]  # fmt: skip
                codes = [process.wait() for process in running]
                seconds[count].append(time.perf_counter() - begun)
                assert codes == [0] * count, codes
    rows = []
    rates = {}
    for count in (1, 2):
        whole, start = median(taken[count]), median(starts[count])
        rates[count] = images / (whole - start)
        rows.append(
            f"| {count} | {whole:.1f} | {start:.1f} | {rates[count]:.1f} |"
            f" {1000 * count / rates[count]:.1f} |"
        )
    return "\n".join([
        f"`face68`, {images} drawn faces as JPEG of 256 x 256 pixels, `--boxes image` (two looks), "
        f"one thread a process, medians of {rounds} turns. The start is a run of the same command "
        "when all is done.", "",
        "| processes at once | s | of these the start | images a second | ms of each an image |",
        "|--:|--:|--:|--:|--:|",
        *rows, "",
        f"Two shards at once are {rates[2] / rates[1]:.2f} times as quick as one process.",
    ])  # fmt: skip


def made(folder: Path, count: int) -> None:
    """Drawn faces by the command, as JPEG."""
    target = folder.with_name("drawn")
    process = started("-m", "heatkp", "data", "synth", target, "--n", count, "--size", 256)
    assert process.wait() == 0
    folder.mkdir()
    for path in sorted((target / "images").iterdir()):
        cv2.imwrite(str(folder / f"{path.stem}.jpg"), cv2.imread(str(path)))


class Nothing(torch.nn.Module):
    """A network without work: one point, in the middle."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))


_NUMBER = np.array([[65536.0, 0], [256, 0], [1, 1]])
"""From red, green and blue to the number of an image of `tiny_images`, and its lowest byte."""


def cheap_predictor():
    """A predictor whose one point tells the mean colour of the image; no network runs."""
    from heatkp.config import Data, Settings
    from heatkp.inference.keypoints import Keypoints, Results
    from heatkp.inference.predictor import Predictor
    from heatkp.runs import Loaded
    from heatkp.skeletons import Skeleton

    skeleton = Skeleton("colour", ("mean",))

    class Cheap(Predictor):
        def predict(self, images, *_, **options):
            return Results(
                Keypoints(
                    points=image.reshape(-1, 3).mean(0)[None] @ _NUMBER,
                    scores=np.ones(1),
                    covariance=None,
                    skeleton=skeleton,
                    image_size=(image.shape[1], image.shape[0]),
                    image=i,
                )
                for i, image in enumerate(images)
            )

    settings = Settings(data=Data(size=[64, 64], crop="image"))
    return Cheap(Loaded(Nothing(), settings, skeleton))


def work(inputs: str, shard: str, out: str, mark: str) -> None:
    """A process of `killed`; makes the file `mark` when its first image is done."""
    from heatkp.inference.sharding import predict_shard

    torch.set_num_threads(1)
    marked: list[bool] = []

    def progress(done: int) -> None:
        if not marked:
            Path(mark).touch()
            marked.append(True)

    predict_shard(cheap_predictor(), inputs, shard, out, part_size=1000, progress=progress)


def tiny_images(folder: Path, count: int) -> int:
    """Images of 16 x 16 pixels, each of its own colour, 1000 to a folder; some are broken."""
    rng = random.Random(0)
    broken = 0
    for i in range(count):
        path = folder / f"{i // 1000:04d}" / f"{i:07d}.bmp"
        path.parent.mkdir(parents=True, exist_ok=True)
        bad = rng.random() < BROKEN
        broken += bad
        colour = (i & 255, i >> 8 & 255, i >> 16 & 255)
        image = np.full((16, 16, 3), colour, np.uint8)
        path.write_bytes(b"no image" if bad else cv2.imencode(".bmp", image)[1].tobytes())
    return broken


def killed(inputs: int, shards: int, kills: int, folder: Path) -> str:
    """All inputs, predicted by shards that are killed again and again, and merged."""
    from heatkp.inference.sharding import merge_shards

    broken = tiny_images(folder / "in", inputs)
    out, rng = folder / "out", random.Random(1)
    begun = time.perf_counter()
    waiting, killed_at = list(range(1, shards + 1)), {i: 0 for i in range(1, shards + 1)}
    starts, grown, running = 0, 0, {}
    since: dict[int, float] = {}

    def parts_of(shard: int) -> int:
        return len(list(out.glob(f"shards/{shard:04d}-of-*/part-*.jsonl")))

    while waiting or running:
        while waiting and len(running) < 2:
            shard = waiting.pop(0)
            mark = folder / f"begun-{starts}"
            process = started(HERE, "work", folder / "in", f"{shard}/{shards}", out, mark)
            # After its first image; a third of them are killed while they start.
            early = rng.random() < 1 / 3
            alive = rng.uniform(0, 5) if killed_at[shard] < kills else None
            running[shard] = process, mark, early, alive, parts_of(shard)
            starts += 1
        time.sleep(0.02)
        for shard, (process, mark, early, alive, before) in list(running.items()):
            ended = process.poll()
            if shard not in since and (early or mark.exists()):
                since[shard] = time.perf_counter()
            over = shard in since and time.perf_counter() - since[shard] > (alive or 0)
            if ended is None and alive is not None and over:
                process.kill()
                process.wait()
                killed_at[shard] += 1
                grown += parts_of(shard) > before
                waiting.append(shard)
                del running[shard]
                since.pop(shard)
            elif ended is not None:
                assert ended == 0, (shard, ended)
                del running[shard]
                since.pop(shard, None)
    worked = time.perf_counter() - begun
    parts = len(list(out.rglob("part-*.jsonl")))
    lines = sum(line.startswith("{\"image\"") for path in out.rglob("part-*.jsonl")
                for line in path.read_text().splitlines())  # fmt: skip
    begun = time.perf_counter()
    summary = merge_shards(out, folder / "merged", ["jsonl"])
    took = time.perf_counter() - begun
    names, wrong = [], 0
    for line in (folder / "merged" / "points.jsonl").open():
        entry = json.loads(line)
        names.append(entry["image"])
        number = int(Path(entry["image"]).stem)
        point = entry["objects"][0]["points"][0]  # the image's own colour: its own result
        wrong += (point["x"], point["y"]) != (number, number & 255)
    failed = [failure.name for failure in summary.failures]
    distinct = len({*names, *failed})
    return "\n".join([
        f"{inputs} images of 16 x 16 pixels, {broken} of them broken, {shards} shards, two "
        f"processes at a time, a network that does nothing, parts of 1000 images. Each process was "
        f"killed with SIGKILL, {kills} times a shard at most: two of three within five seconds "
        "after their first image, the others within five seconds after their start.", "",
        "| | |", "|---|--:|",
        f"| processes started | {starts} |",
        f"| of these killed before their end | {sum(killed_at.values())} |",
        f"| of these after they had written results | {grown} |",
        f"| seconds until all shards were done | {worked:.0f} |",
        f"| part files | {parts} |",
        f"| results in them | {lines} |",
        f"| images in the merged table | {len(names)} |",
        f"| failures in it | {len(failed)} |",
        f"| distinct names of both | {distinct} |",
        f"| lost | {inputs - distinct} |",
        f"| there twice | {len(names) + len(failed) - distinct} |",
        f"| results of another image | {wrong} |",
        f"| seconds to merge | {took:.1f} |",
    ])  # fmt: skip


def parts(files: int, folder: Path) -> str:
    """Files a second of listing and hashing, bytes of results an image, seconds to merge."""
    from heatkp.inference.predictor import load_model
    from heatkp.inference.sharding import Shard, list_inputs, merge_shards, predict_shard

    for i in range(files):
        path = folder / "many" / f"{i // 1000:04d}" / f"{i:07d}.jpg"
        if i % 1000 == 0:
            path.parent.mkdir(parents=True)
        path.touch()
    begun = time.perf_counter()
    found = list_inputs([str(folder / "many")], Shard(1, 100))
    walked = files / (time.perf_counter() - begun)
    assert found.total.count == files
    listed = folder / "list"
    with listed.open("w") as file:
        for i in range(files):
            file.write(f"{folder}/many/{i // 1000:04d}/{i:07d}.jpg\n")
    begun = time.perf_counter()
    assert list_inputs([], Shard(1, 100), str(listed)).total.digest == found.total.digest
    read = files / (time.perf_counter() - begun)
    made(folder / "in", 100)
    predict_shard(load_model("face68"), folder / "in", "1/1", folder / "out", boxes="image")
    (part,) = (folder / "out").rglob("part-*.jsonl")
    size = part.stat().st_size / 100
    sizes = {}
    for name in ("jsonl", "parquet", "csv", "coco"):
        taken = []
        for turn in range(4):  # the first imports what it needs
            begun = time.perf_counter()
            merge_shards(folder / "out", folder / f"{name}-{turn}", [name])
            taken.append(time.perf_counter() - begun)
        seconds = median(taken[1:])
        table = {"csv": "objects.csv", "coco": "coco.json"}.get(name, f"points.{name}")
        sizes[name] = (folder / f"{name}-0" / table).stat().st_size / 100, 1000 * seconds / 100
    begun = time.perf_counter()
    for line in part.open():
        json.loads(line)
    parsed = 1000 * (time.perf_counter() - begun) / 100
    return "\n".join([
        f"{files} empty files, 1000 to a folder, on a local disk that has them in its cache; 100 "
        "drawn faces with `face68`, one object of 68 points with scores and covariance an image.",
        "", "| | |", "|---|--:|",
        f"| files a second, found in folders, hashed | {walked:.0f} |",
        f"| files a second, read from a list, hashed | {read:.0f} |",
        f"| bytes of a part an image | {size:.0f} |",
        f"| ms to parse a line of a part | {parsed:.2f} |", "",
        "| merged into | bytes an image | ms an image |", "|---|--:|--:|",
        *(f"| {name} | {b:.0f} | {ms:.2f} |" for name, (b, ms) in sizes.items()),
    ])  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    kinds = parser.add_subparsers(dest="kind", required=True)
    one = kinds.add_parser("speed")
    one.add_argument("--images", type=int, default=400)
    one.add_argument("--rounds", type=int, default=3)
    two = kinds.add_parser("killed")
    two.add_argument("--inputs", type=int, default=100_000)
    two.add_argument("--shards", type=int, default=4)
    two.add_argument("--kills", type=int, default=4)
    three = kinds.add_parser("parts")
    three.add_argument("--files", type=int, default=200_000)
    for kind in (one, two, three):
        kind.add_argument("--table", type=Path, default=TABLE, help="where to write the section")
    own = kinds.add_parser("work")
    for name in ("inputs", "shard", "out", "mark"):
        own.add_argument(name)
    given = vars(parser.parse_args())
    kind = given.pop("kind")
    if kind == "work":
        work(**given)
        return
    table, load = given.pop("table"), os.getloadavg()[0]
    command = " ".join(["python benchmarks/sharding.py", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as place:
        text = {"speed": speed, "killed": killed, "parts": parts}[kind](**given, folder=Path(place))
    load_note = f"{os.cpu_count()} cores; {load:.1f} processes were waiting for them at the start."
    write_section(table, kind, command, f"{text}\n\n{load_note}")


if __name__ == "__main__":
    main()
