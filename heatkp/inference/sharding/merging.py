"""Results of all shards as tables, once it is proven that each input is there exactly once."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

from heatkp.data.images import ImageOptions
from heatkp.data.predicted import SUMMARY
from heatkp.errors import DataError, SettingsError
from heatkp.files import require_new, writing
from heatkp.inference.batches import Prediction
from heatkp.inference.saving import (
    Summary,
    add_prediction,
    require_one_table,
    write_summary,
)
from heatkp.inference.sharding.manifest import Manifest, read_manifest
from heatkp.inference.sharding.parts import INPUTS, ShardFolder
from heatkp.inference.sharding.shard import Names, Shard, digest_of
from heatkp.inference.sources import Failure, Source, read_images
from heatkp.inference.writers import About, Writer, create_writer, read_entry
from heatkp.registry import PREDICTION_FORMATS, WRITERS
from heatkp.text import text_to_name

_Line = tuple[str, dict[str, Any]]
"""An input's name, and a line of its results."""


def merge_shards(
    folder: str | PathLike[str],
    out: str | PathLike[str] | None,
    formats: Sequence[str] = ("json",),
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Summary:
    """Join what `predict_shard` wrote into tables, in the order of the inputs' names.

    Nothing is written unless all shards are done and each input is there exactly once. Tables are
    written as results are read: memory grows with names, as far as a format keeps them. Label sets
    need the images themselves, which are read again.

    Args:
        folder: that of the shards.
        out: a folder, made where there is none; None prints one table on standard output.
        formats: as `save_predictions` takes them.
        progress: is told how many images are done, and how many inputs there are.

    Raises:
        SettingsError: for a folder that is no sharded prediction, one that holds something, and
            label sets of frames of videos or members of tars.
        DataError: where something is missing or damaged; it says which shard is to be predicted
            again.

    >>> merge_shards("found", "tables", ["parquet"]).images  # doctest: +SKIP
    """
    formats = tuple(dict.fromkeys(formats))
    place = Path(folder)
    manifest = read_manifest(place)
    for name in formats:
        PREDICTION_FORMATS[name]
    target = None if out is None else Path(out)
    if target is None:
        require_one_table(formats)
    else:
        require_new(target)
    shards = [
        ShardFolder(place, Shard(number, manifest.shards))
        for number in range(1, manifest.shards + 1)
    ]
    _require_all(shards, manifest, place)
    read = _Reader(manifest, any(name not in WRITERS for name in formats))
    summary = Summary([])
    writers: list[Writer] = []
    begun = time.perf_counter()
    with writing(target or Path("standard output")):
        try:
            if target is not None:
                target.mkdir(parents=True, exist_ok=True)
            for name in formats:
                about = About(manifest.model, manifest.points, manifest.options)
                writers.append(create_writer(name, target, about))
            known: set[Failure] = set()
            for done, line in enumerate(_results(shards, manifest), 1):
                if progress is not None:
                    progress(done, manifest.inputs)
                if "reason" in line:
                    failure = Failure(text_to_name(line["image"]), line["reason"])
                    if failure not in known:
                        summary.failures.append(failure)
                        known.add(failure)
                elif "without_box" in line:
                    summary.without_box.append(text_to_name(line["image"]))
                else:
                    add_prediction(writers, summary, read(line))
            for writer in writers:
                summary.written += writer.finish(summary.failures, True)
                summary.notes += getattr(writer, "notes", ())
            summary.seconds = time.perf_counter() - begun
            summary.complete = True
            if target is not None:
                write_summary(target, manifest.model, manifest.options, summary)
                summary.written.append(target / SUMMARY)
        finally:
            for writer in writers:
                writer.discard()
            if target is not None and not summary.complete and not any(target.iterdir()):
                target.rmdir()
    return summary


def _require_all(shards: Sequence[ShardFolder], manifest: Manifest, folder: Path) -> None:
    """Raises `DataError` unless all shards are done and list the inputs that were found."""
    missing = [one.shard.number for one in shards if not one.is_done]
    if missing:
        more = f" and {len(missing) - 10} more" if len(missing) > 10 else ""
        raise DataError(
            f"{folder}: of {manifest.shards} shards {len(missing)} are not done: "
            f"{', '.join(map(str, missing[:10]))}{more}; go on with the first of them by: "
            f"{manifest.command_for(missing[0])}"
        )
    total = Names()
    for one in shards:
        last = None
        for name in _inputs(one, manifest):
            digest = digest_of(name)
            if not one.shard.holds(digest) or (last is not None and name <= last):
                raise _damaged(one, manifest, f"its list of inputs is damaged at {name}")
            total.add(digest)
            last = name
    if (total.count, total.digest) != (manifest.inputs, manifest.names):
        raise DataError(
            f"{folder}: its shards list {total.count} inputs, but {manifest.inputs} were found, or "
            "others: one of the lists was damaged; predict again into a new folder"
        )


def _inputs(one: ShardFolder, manifest: Manifest) -> Iterator[str]:
    try:
        yield from one.inputs()
    except (DataError, OSError):
        raise _damaged(one, manifest, f"{INPUTS} cannot be read") from None


def _damaged(one: ShardFolder, manifest: Manifest, what: str) -> DataError:
    return DataError(
        f"shard {one.shard}: {what}; remove the folder {one.path} and predict the shard again by: "
        f"{manifest.command_for(one.shard.number)}"
    )


def _results(shards: Sequence[ShardFolder], manifest: Manifest) -> Iterator[dict[str, Any]]:
    """The lines of all shards, in the order of inputs. Raises `DataError` as soon as an input is
    missing or there twice."""
    streams = [_checked(one, manifest) for one in shards]
    for _, line in heapq.merge(*streams, key=lambda pair: pair[0]):
        yield line


def _checked(one: ShardFolder, manifest: Manifest) -> Iterator[_Line]:
    """A shard's results, which answer each of its inputs, in their order, exactly once."""
    results = _own_lines(one, manifest)
    held = next(results, None)
    for name in _inputs(one, manifest):
        answer = _Answer()
        while held is not None and held[0] == name:
            if problem := answer.add(held[1]):
                raise _damaged(one, manifest, f"{name} {problem}")
            if "image" in held[1]:
                yield held
            held = next(results, None)
        if problem := answer.missing():
            if held is not None:
                problem += f" where {held[0]} is"
            raise _damaged(one, manifest, f"{name} {problem}")
    if held is not None:
        raise _damaged(one, manifest, f"{held[0]} is there twice, or is none of its inputs")


def _own_lines(one: ShardFolder, manifest: Manifest) -> Iterator[_Line]:
    try:
        for line in one.lines():
            yield line.get("input") or line["image"], line
    except DataError as error:
        raise _damaged(one, manifest, str(error)) from None


class _Answer:
    """What there is for one input."""

    def __init__(self) -> None:
        self._images = self._failures = self._items = 0
        self._frame = -1
        self._several = self._finished = False

    def add(self, line: dict[str, Any]) -> str:
        """Take a line; what is wrong with it, or nothing."""
        self._several |= "input" in line
        if "image" not in line:
            if self._finished or line["first"] != self._items:
                return "has results twice, or not all"
            self._items, self._finished = line["items"], line["finished"]
        elif "reason" in line:
            self._failures += 1
        else:
            self._images += 1
            frame = line.get("frame", -1)
            if (self._images > 1 and not self._several) or (frame <= self._frame and frame >= 0):
                return "has results twice"
            self._frame = frame
        return ""

    def missing(self) -> str:
        """What is missing in the end, or nothing."""
        if not self._images + self._failures + self._items:
            return "has no result"
        return "has not all of its results" if self._several and not self._finished else ""


class _Reader:
    """Makes predictions of lines; with the image itself where that is needed."""

    def __init__(self, manifest: Manifest, with_image: bool) -> None:
        self._skeleton, self._with_image = manifest.points, with_image
        self._options = ImageOptions(intensity=manifest.reading.get("intensity", "range"))

    def __call__(self, line: dict[str, Any]) -> Prediction:
        """Raises `DataError` for a line that is damaged and an image that is gone, and
        `SettingsError` for one of several images of a file."""
        try:
            input_image, objects = read_entry(line, self._skeleton)
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            raise DataError(f"the result of {line['image']} is damaged ({error})") from None
        if self._with_image:
            if input_image.is_contained:
                raise SettingsError(
                    f"{input_image.name} is one of several images of a file: label sets need its "
                    "pixels; choose tables, or predict without --shard"
                )
            source = Source(input_image.file, input_image.name)
            for item in read_images([source], options=self._options):
                if isinstance(item, Failure):
                    raise DataError(f"a label set needs {input_image.file}, which {item.reason}")
                input_image = item
        return Prediction(input_image, list(objects))
