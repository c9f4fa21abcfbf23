"""Prediction of one shard, which can be stopped or killed and goes on where it was."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

from heatkp.errors import SettingsError
from heatkp.files import writing
from heatkp.inference.batches import Boxes, Prediction, predictions
from heatkp.inference.digests import detector_digest
from heatkp.inference.predictor import Predictor
from heatkp.inference.regions import SEARCHED
from heatkp.inference.saving import options_record
from heatkp.inference.sharding.inputs import ShardInputs, list_inputs
from heatkp.inference.sharding.manifest import manifest_of
from heatkp.inference.sharding.parts import LOCK, Done, ShardFolder
from heatkp.inference.sharding.shard import Shard
from heatkp.inference.sources import Failure, InputImage, images_of
from heatkp.inference.writers import image_entry
from heatkp.locks import Lock
from heatkp.text import name_to_text

PART_SIZE = 1000
KEPT = 100
"""Failures that a `ShardSummary` holds."""


@dataclass
class ShardSummary:
    """What came of a shard.

    Attributes:
        shard: which.
        inputs: how many it has.
        before: how many of them were done when it began.
        images, objects: how many were looked at now, and how many objects were found; frames of
            videos and members of tars are images.
        failed: how many could not be used, and `failures` the first of them.
        seconds: that it took.
        complete: whether the shard is done.
    """

    shard: Shard
    inputs: int
    before: int = 0
    images: int = 0
    objects: int = 0
    failed: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: float = 0.0
    complete: bool = False


def predict_shard(
    predictor: Predictor,
    images: str | PathLike[str] | Sequence[str | PathLike[str]] | ShardInputs,
    shard: Shard | str,
    out: str | PathLike[str],
    *,
    boxes: Boxes | str | None = None,
    every: int = 1,
    batch_size: int = 16,
    passes: int | None = None,
    flip_test: bool = False,
    nms_oks: float | None = None,
    min_point_score: float | None = None,
    part_size: int = PART_SIZE,
    model: str = "",
    boxes_from: str | Sequence[str] | None = None,
    boxes_digest: str | None = None,
    command: Sequence[str] = (),
    progress: Callable[[int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> ShardSummary:
    """Predict on a shard of inputs, as `heatkp predict --shard` does.

    The shard's results are in part files of `out`; `merge_shards` makes tables of those of all
    shards. What is done already is skipped: files of one image are not opened again, videos and
    tars go on after the last image that was written.

    Args:
        images: files, folders, patterns, or what `list_inputs` made of them for this shard.
        shard: `i/N`, i from 1; the hash of an input's name decides where it belongs.
        out: a folder, made where there is none, or that of the same prediction.
        boxes, every, batch_size, passes, flip_test, nms_oks, min_point_score, model, boxes_from:
            as `save_predictions` takes them.
        part_size: images in a part; what is lost where the process is killed.
        boxes_digest: of the file that `boxes` come from: all shards have the same.
        command: words that predict a shard, `{shard}` for which: what `merge_shards` tells to do
            where one is missing.
        progress: is told how many images are done, failures included.
        stop: is asked before each; True ends the work, and what was found so far is written.

    Raises:
        DataError: where there is nothing to look at, and for damaged parts.
        SettingsError: for a folder of another prediction or whose inputs or options were others,
            for a shard on which another process works, and options that do not fit the model.

    >>> done = predict_shard(load_model("face68"), "photos/", "1/4", "found")  # doctest: +SKIP
    >>> done.images, done.complete  # doctest: +SKIP
    """
    if isinstance(shard, str):
        shard = Shard.parse(shard)
    if part_size < 1:
        raise SettingsError(f"part_size is 1 or more, not {part_size!r}")
    predictor.engine.check(passes or 1, flip_test)
    if not isinstance(images, ShardInputs):
        paths = [images] if isinstance(images, str | PathLike) else images
        images = list_inputs([fspath(path) for path in paths], shard)
    if images.shard != shard:
        raise SettingsError(f"these are the inputs of shard {images.shard}, not of {shard}")
    boxes = predictor.ready_for(boxes)
    folder = Path(out)
    manifest_of(
        predictor,
        shard,
        images.total,
        model=model,
        options=options_record(
            predictor, boxes, boxes_from, passes, flip_test, nms_oks, min_point_score
        ),
        reading={
            "every": every,
            "boxes_digest": boxes_digest,
            "detector_weights": detector_digest(predictor.detector) if boxes in SEARCHED else None,
        },
        command=command,
    ).agree(folder)
    own = ShardFolder(folder, shard)
    summary = ShardSummary(shard, len(images.names))
    options = {
        "passes": passes,
        "flip_test": flip_test,
        "nms_oks": nms_oks,
        "min_point_score": min_point_score,
    }
    begun = time.perf_counter()
    with writing(folder):
        own.path.mkdir(parents=True, exist_ok=True)
        with Lock(own.path / LOCK, f"shard {shard} of {folder}") as lock:
            own.clean()
            own.write_inputs(images.names)
            done = own.done()
            summary.before = len(done.inputs)
            added = False
            feed = _Feed(predictor, images, done, every, stop)
            while not feed.ended and not stop():
                part = _Part(feed, part_size)
                for item in predictions(predictor, part, boxes, batch_size, **options):
                    part.add(item, summary)
                    if progress is not None:
                        progress(part.before + part.answered)
                if lines := part.lines():
                    lock.check()
                    own.add_part(lines)
                    added = True
            if feed.ended:
                lock.check()
                if added or not own.is_done:
                    own.write_errors()
                summary.complete = True
    summary.seconds = time.perf_counter() - begun
    return summary


class _Event(NamedTuple):
    """An input's next image or failure; None where it ended.

    Attributes:
        name: the input's.
        done: how many of it were given so far, in earlier runs too.
        several: whether it is known to hold several images.
    """

    name: str
    item: InputImage | Failure | None
    done: int
    several: bool


class _Feed:
    """What is left of a shard, one image after the other.

    Attributes:
        ended: whether all was given.
        given: how many images and failures were.
    """

    def __init__(
        self,
        predictor: Predictor,
        inputs: ShardInputs,
        done: Done,
        every: int,
        stop: Callable[[], bool],
    ) -> None:
        self._inputs, self._done, self._every = inputs, done, every
        self._options, self.stop = predictor.image_options, stop
        self._events = self._all()
        self.ended, self.given = False, 0

    def _all(self) -> Iterator[_Event]:
        for name in self._inputs.names:
            if name in self._done.inputs:
                continue
            count = self._done.begun.get(name, 0)
            several = count > 0
            source = self._inputs.source(name)
            for item in images_of(source, self._every, self._options, count):
                count += 1
                self.given += 1
                if isinstance(item, InputImage):
                    several |= item.is_contained
                else:  # a member that cannot be read
                    several |= item.name != source.name
                yield _Event(name, item, count, several)
            yield _Event(name, None, count, several)

    def next(self) -> _Event | None:
        """None where all was given."""
        found = next(self._events, None)
        self.ended = found is None
        return found


@dataclass
class _Own:
    """What a part holds of one input: lines without their last bracket, how many items there were
    before, and are up to here."""

    first: int
    items: int
    several: bool = False
    finished: bool = False
    lines: list[str] = field(default_factory=list)


class _Part:
    """The images of one part; going through them gives what is to be predicted on.

    Attributes:
        before: images and failures of earlier parts.
        answered: of this one, how many results there are.
    """

    def __init__(self, feed: _Feed, size: int) -> None:
        self._feed, self._size = feed, size
        self.before, self.answered = feed.given, 0
        self._inputs: dict[str, _Own] = {}
        self._owners: dict[str, str] = {}

    def __iter__(self) -> Iterator[InputImage | Failure]:
        given = 0
        while given < self._size and not self._feed.stop():
            event = self._feed.next()
            if event is None:
                return
            name, item, done, several = event
            first = done if item is None else done - 1
            own = self._inputs.setdefault(name, _Own(first, done))
            own.items, own.several, own.finished = done, several, item is None
            if item is not None:
                self._owners[item.name] = name
                given += 1
                yield item

    def add(self, item: Prediction | Failure, summary: ShardSummary) -> None:
        """Take a result."""
        self.answered += 1
        if isinstance(item, Failure):
            lines = self._of(item.name).lines
            text = json.dumps(item.as_dict())[:-1]
            if text in lines[-1:]:  # each frame of a video may give the same
                return
            lines.append(text)
            summary.failed += 1
            if len(summary.failures) < KEPT:
                summary.failures.append(item)
            return
        found, objects = item
        if objects is None:
            line: dict[str, Any] = {"image": name_to_text(found.name), "without_box": True}
        else:
            line = image_entry(found, objects)
            summary.images += 1
            summary.objects += len(objects)
        if found.pages > 1:
            line["pages"] = found.pages
        self._of(found.name).lines.append(json.dumps(line, allow_nan=False)[:-1])

    def _of(self, image: str) -> _Own:
        """The input of an image; faults of a video's boxes are called as the video itself."""
        return self._inputs[self._owners.get(image) or name_to_text(image)]

    def lines(self) -> list[str]:
        """The part's lines, in the inputs' order; empty where there is none."""
        found: list[str] = []
        for name, own in self._inputs.items():
            rest = f', "input": {json.dumps(name)}}}' if own.several else "}"
            found += [line + rest for line in own.lines]
            if own.several:
                state = {"input": name, "first": own.first, "items": own.items}
                found.append(json.dumps({**state, "finished": own.finished}))
        return found
