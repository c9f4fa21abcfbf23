"""Samples a second that training gets from plain files, from cached crops and from tar shards.

    python benchmarks/tar_shards.py --out /tmp/tar_shards

Takes labels (`--data`; without it the 300-W training faces in `$HEATKP_DATA`), writes them as COCO
with plain files and as tars into a folder, and goes through one epoch of the training loader of
each, as `heatkp train` does, augmentation included. Ways take turns; each has a first turn that
does not count, and the median of the others is printed. For "cold" turns the system is asked before
to forget the files (`posix_fadvise`, no rights needed; how much then came from the disk is printed,
where the system tells). "bytes" reads the image files in the same order and decodes nothing.
"""

from __future__ import annotations

import argparse
import os
import pickle
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from torch.utils.data import DataLoader

from heatkp.config import parse_settings
from heatkp.data.loading import load_data
from heatkp.data.module import KeypointDataModule
from heatkp.data.readers import read
from heatkp.data.samples import Labels, Sample
from heatkp.data.writers import write_labels


class Way(NamedTuple):
    """A way to read samples, and the files that a cold turn forgets."""

    name: str
    loader: DataLoader[dict[str, Any]]
    samples: list[Sample]
    files: list[Path]


class Turn(NamedTuple):
    seconds: float
    megabytes: float


def forget(files: Iterable[Path]) -> None:
    """Ask the system to drop what it keeps of files."""
    for path in files:
        with path.open("rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def bytes_from_disk() -> float:
    """Megabytes that this process got from the disk; NaN where the system does not tell."""
    try:
        text = Path("/proc/self/io").read_text()
    except OSError:
        return float("nan")
    told = dict(line.split(": ") for line in text.splitlines())
    return int(told["read_bytes"]) / 1e6


def timed(work: Callable[[], object]) -> Turn:
    before, begun = bytes_from_disk(), time.perf_counter()
    work()
    return Turn(time.perf_counter() - begun, bytes_from_disk() - before)


def epoch_of(way: Way, number: int) -> None:
    """Every sample of an epoch, as tensors."""
    way.loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    for _ in way.loader:
        pass


def bytes_of(way: Way, number: int) -> None:
    """The bytes of every image of an epoch, in its order."""
    way.loader.sampler.set_epoch(number)  # type: ignore[attr-defined]
    for _, index in way.loader.sampler:  # type: ignore[misc]
        with way.samples[index].open() as file:
            file.read()


def way_of(name: str, path: Path, options: argparse.Namespace, **data: Any) -> Way:
    """The loader that a training on labels has, once it is prepared."""
    given = {
        "path": str(path), "size": [options.size] * 2, "crop": "box", "validation": 0,
        "workers": options.workers, "shuffle_buffer": options.buffer, **data,
    }  # fmt: skip
    settings = parse_settings({"data": given, "trainer": {"batch_size": options.batch}})
    module = KeypointDataModule(settings, load_data(settings.data))
    module.preload()
    samples = module.train_set.samples
    files = sorted({s.file for s in samples if s.file is not None})
    if data["cache"] != "none":
        files = sorted(Path(data["cache"]).glob("crops-*/*"))
    return Way(name, module.train_dataloader(), samples, files)


def prepare(options: argparse.Namespace) -> list[Way]:
    """Write the labels both ways, unless they are there, and make the loaders."""
    labels = read(options.data)
    samples = [s for s in labels.samples if not s.ignored][: options.limit]
    plain, tars = options.out / "plain", options.out / "tars"
    if not plain.exists():
        write_labels(Labels(labels.skeleton, samples), plain, "coco")
    if not tars.exists():
        told = Labels(labels.skeleton, samples)
        write_labels(told, tars, "webdataset", per_shard=options.per_shard)
    for path in (plain, tars):
        turn = timed(lambda path=path: read(path))  # type: ignore[misc]
        print(f"labels of {path.name} read in {turn.seconds:.2f} s, once")
    none, cache = {"cache": "none"}, {"cache": str(options.out / "cache")}
    anywhere = len(samples)
    return [
        way_of("plain files, at random", plain, options, **none),
        way_of("cached crops, at random", plain, options, **cache),
        way_of("tars, at random", tars, options, **none, shuffle_buffer=anywhere),
        way_of(f"tars in order, buffer {options.buffer}", tars, options, **none),
    ]


def measure(ways: list[Way], repeats: int, cold: bool, work: Callable[[Way, int], None]) -> None:
    """Print a line for each way."""
    turns: dict[str, list[Turn]] = {way.name: [] for way in ways}
    for number in range(repeats + 1):
        for way in ways:
            if cold:
                dataset: Any = way.loader.dataset
                dataset.crops = pickle.loads(pickle.dumps(dataset.crops))  # maps no file any more
                forget(way.files)
            turn = timed(lambda way=way, number=number: work(way, number))  # type: ignore[misc]
            if number:
                turns[way.name].append(turn)
    what = "bytes" if work is bytes_of else "samples"
    for way in ways:
        seconds = median(turn.seconds for turn in turns[way.name])
        least, most = (f(turn.seconds for turn in turns[way.name]) for f in (min, max))
        read_ = median(turn.megabytes for turn in turns[way.name])
        count = len(way.samples)
        print(
            f"| {way.name} | {what} | {'cold' if cold else 'warm'} | {count / seconds:.0f} | "
            f"{count / most:.0f} to {count / least:.0f} | {read_:.0f} |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    default = Path(os.environ.get("HEATKP_DATA", "")) / "ibug" / "labels_ibug_300W_train.xml"
    parser.add_argument("--data", type=Path, default=default, help="labels with boxes")
    parser.add_argument("--out", type=Path, required=True, help="a folder; it is kept")
    parser.add_argument("--limit", type=int, default=3000, help="samples, at most")
    parser.add_argument("--per-shard", type=int, default=200)
    parser.add_argument("--buffer", type=int, default=500)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--workers", type=int, default=0, help="0: megabytes are told, too")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    ways = prepare(options)
    print(f"{len(ways[0].samples)} samples, {options.workers} workers, medians of "
          f"{options.repeats} turns\n")  # fmt: skip
    print("| read from | what | files | a second | least to most | MB from the disk |")
    print("|---|---|---|--:|--:|--:|")
    files = [way for way in ways if not way.name.startswith("cached")]
    for cold in (False, True) if hasattr(os, "posix_fadvise") else (False,):
        measure(ways, options.repeats, cold, epoch_of)
        measure(files, options.repeats, cold, bytes_of)


if __name__ == "__main__":
    main()
