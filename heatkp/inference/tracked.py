"""What was found in the frames of videos, with tracks, and smoothed where that is asked for."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from heatkp.inference.batches import Prediction
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.sources import Failure, InputImage
from heatkp.tracking import SmoothOptions, Tracker, TrackOptions, smooth

Found = Prediction | Failure
Again = Callable[[set[Path]], Iterable[InputImage | Failure]]
"""Reads the images of some files once more, in the same order."""


def tracked(
    results: Iterable[Found],
    tracking: TrackOptions,
    smoothing: SmoothOptions | None = None,
    again: Again | None = None,
) -> Iterator[Found]:
    """Predictions with tracks. Objects that belong to none are left out.

    Each video is a sequence of its own, and so are the images of a folder, in their order.
    Answers come some frames late; with smoothing, which looks at what follows, when a sequence is
    over: its images are then read `again`.

    Args:
        results: what `predictions` gives.
        again: needed for smoothing.
    """
    for group in _sequences(results):
        if smoothing is None:
            yield from _followed(group, tracking)
        else:
            assert again is not None
            yield from _smoothed(group, tracking, smoothing, again)


def _place(found: Prediction) -> Path:
    """What tells the sequence of a frame: its video, or its image's folder."""
    image = found.input_image
    return image.file if image.frame is not None else image.file.parent


def _sequences(results: Iterable[Found]) -> Iterator[Iterator[Found]]:
    """The parts of one sequence each; faults stay with those before. To be used up in turn."""
    source = iter(results)
    waiting: list[Found] = []

    def part() -> Iterator[Found]:
        place: Path | None = None
        while True:
            item = waiting.pop() if waiting else next(source, None)
            if item is None:
                return
            if isinstance(item, Prediction):
                if place is not None and _place(item) != place:
                    waiting.append(item)
                    return
                place = _place(item)
            yield item

    while True:
        first = waiting.pop() if waiting else next(source, None)
        if first is None:
            return
        waiting.append(first)
        yield part()


def _followed(group: Iterator[Found], tracking: TrackOptions) -> Iterator[Found]:
    held: deque[Found] = deque()

    def objects() -> Iterator[list[Keypoints]]:
        for item in group:
            held.append(item)
            if isinstance(item, Prediction):
                yield item.objects or []

    def next_prediction() -> Iterator[Found]:
        """The faults before it, and it."""
        while held:
            item = held.popleft()
            yield item
            if isinstance(item, Prediction):
                return

    for ids in Tracker(tracking).follow(objects()):
        for item in next_prediction():
            if isinstance(item, Prediction) and item.objects is not None:
                pairs = zip(item.objects, ids)
                named = [replace(one, track=i) for one, i in pairs if i is not None]
                named.sort(key=lambda one: one.track or 0)
                item = Prediction(item.input_image, named)
            yield item
    yield from held


def _smoothed(
    group: Iterator[Found], tracking: TrackOptions, options: SmoothOptions, again: Again
) -> Iterator[Found]:
    faults: list[Found] = []
    names: list[str] = []
    files: set[Path] = set()
    frames: list[list[Keypoints] | None] = []
    for item in _followed(group, tracking):
        if isinstance(item, Failure):
            faults.append(item)
        else:  # without the image: a video's would fill the memory
            names.append(item.input_image.name)
            files.add(item.input_image.file)
            frames.append(item.objects)
    made = dict(zip(names, smoothed_objects([f or [] for f in frames], options)))
    bare = {name for name, found in zip(names, frames) if found is None}
    for image in again(files) if names else ():
        if isinstance(image, InputImage) and image.name in made:
            found = made.pop(image.name)
            yield Prediction(image, None if image.name in bare and not found else found)
    yield from faults


def smoothed_objects(
    frames: list[list[Keypoints]], options: SmoothOptions
) -> list[list[Keypoints]]:
    """Frames of tracked objects, smoothed: `points` and `covariance` are, `raw` is as found.

    Objects are there also in frames in which they were not found, where the gap is bridged: with
    scores that are NaN, and without a box.
    """
    places: dict[int, dict[int, Keypoints]] = {}
    for t, objects in enumerate(frames):
        for one in objects:
            if one.track is not None:
                places.setdefault(one.track, {})[t] = one
    made: list[list[Keypoints]] = [[] for _ in frames]
    for track in sorted(places):
        own = places[track]
        first, last = min(own), max(own)
        count, width = last - first + 1, len(own[first].points)
        points, scores = np.full((count, width, 2), np.nan), np.full((count, width), np.nan)
        spread = np.full((count, width, 2, 2), np.nan)
        for t, one in own.items():
            points[t - first], scores[t - first] = one.points, one.scores
            if one.covariance is not None:
                spread[t - first] = one.covariance
        known = any(one.covariance is not None for one in own.values())
        told = smooth(points, spread if known else None, scores, options)
        for i in range(count):
            if np.isfinite(told.points[i]).any() or first + i in own:
                like = own.get(first + i)
                bare = like or replace(own[first], box=None, box_score=None, object_score=None)
                made[first + i].append(
                    replace(
                        bare,
                        points=told.points[i],
                        covariance=told.covariance[i],
                        scores=scores[i],
                        raw=points[i],
                    )
                )
    return made
