"""What models find in images without labels, and how much they are in doubt of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from heatkp.checking.doubt import jumps
from heatkp.checking.shapes import sizes
from heatkp.data.frames import VideoFrame
from heatkp.data.loading import load_data
from heatkp.data.samples import Image
from heatkp.errors import HeatkpError, SettingsError
from heatkp.inference.batches import Boxes, predictions
from heatkp.inference.keypoints import Keypoints
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import Failure, InputImage

Array = npt.NDArray[np.float64]
REASONS = {
    "score": "low score",
    "spread": "wide maps",
    "flip": "differs from the mirrored image",
    "members": "runs differ",
    "neighbours": "differs from the frames beside it",
}
"""Why an image is suggested; figures are greater where it should be."""
THUMBNAIL = 16
"""Pixels on a side of what images are compared by."""


class Looked(NamedTuple):
    """An image that was looked at; its pixels are not kept.

    Attributes:
        name, file, frame, time: as in `InputImage`.
        objects: what was found in it.
        reasons: a figure by name of `REASONS`, of the object that it is greatest of.
        thumbnail: (THUMBNAIL, THUMBNAIL), grey.
        size: (W, H) of the image.
    """

    name: str
    file: Path
    frame: int | None
    time: float | None
    objects: list[Keypoints]
    reasons: dict[str, float]
    thumbnail: Array
    size: tuple[int, int]


class Labelled:
    """Which images a model's own data has labels for; none where it is not there any more."""

    def __init__(self, predictor: Predictor) -> None:
        self._files: set[tuple[Path, int | None]] = set()
        self._frames: set[tuple[str, int]] = set()
        if predictor.settings.data.drawn:  # of no file
            return
        try:
            samples = load_data(predictor.settings.data, chosen=False).part("all")
        except HeatkpError:
            return
        for sample in samples:
            if sample.file is None or not (sample.visibility > 0).any():
                continue
            image = sample.image
            number = image.number if isinstance(image, VideoFrame) else None
            self._files.add((sample.file.resolve(), number))
            if sample.video is not None and sample.frame is not None:
                # Labelling tools store frames as images of their own.
                self._frames.add((Path(sample.video).stem, sample.frame))

    def __contains__(self, one: Looked) -> bool:
        if (one.file.resolve(), one.frame) in self._files:
            return True
        return one.frame is not None and (one.file.stem, one.frame) in self._frames


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    chunk: list[Any] = []
    for item in items:
        chunk.append(item)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def looks(
    models: Sequence[Predictor],
    inputs: Iterable[InputImage | Failure],
    boxes: Boxes | str | None,
    batch_size: int,
) -> Iterator[Looked | Failure]:
    """What models find in each image, and how much they are in doubt."""
    flips = _mirrors(models[0])
    for chunk in _chunks(inputs, batch_size):
        yield from (item for item in chunk if isinstance(item, Failure))
        images = [item for item in chunk if isinstance(item, InputImage)]
        first, failures = _found(models[0], images, boxes, batch_size)
        yield from failures
        flipped, _ = _found(models[0], images, boxes, batch_size, flips) if flips else ({}, [])
        others = [_found(model, images, boxes, batch_size)[0] for model in models[1:]]
        for image in images:
            if image.name in first:
                found = first[image.name]
                mirrored = flipped.get(image.name)
                members = [other.get(image.name, []) for other in others]
                reasons = _reasons(found, mirrored, members)
                yield Looked(
                    image.name, image.file, image.frame, image.time, found, reasons,
                    thumbnail(image.image), (image.image.shape[1], image.image.shape[0]),
                )  # fmt: skip


def _mirrors(model: Predictor) -> bool:
    try:
        model.engine.check(flip_test=True)
    except SettingsError:
        return False
    return True


def _found(
    model: Predictor,
    images: Sequence[InputImage],
    boxes: Boxes | str | None,
    batch_size: int,
    flip_test: bool = False,
) -> tuple[dict[str, list[Keypoints]], list[Failure]]:
    """Objects by image's name; images that a file of boxes does not know have none."""
    found: dict[str, list[Keypoints]] = {}
    failures = []
    for item in predictions(model, images, boxes, batch_size, flip_test=flip_test):
        if isinstance(item, Failure):
            failures.append(item)
        else:
            found[item.input_image.name] = item.objects or []
    return found, failures


def thumbnail(image: Image) -> Array:
    """What an image looks like, small, grey and of one brightness and contrast."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    small = cv2.resize(grey, (THUMBNAIL, THUMBNAIL), interpolation=cv2.INTER_AREA)
    values = small.astype(np.float64)
    return np.asarray((values - values.mean()) / max(float(values.std()), 1.0))


def _reasons(
    found: Sequence[Keypoints],
    flipped: Sequence[Keypoints] | None,
    members: Sequence[Sequence[Keypoints]],
) -> dict[str, float]:
    """Figures of the object that each is greatest of; what is not known is left out."""
    each: dict[str, list[float]] = {name: [] for name in REASONS}
    for one in found:
        size = float(sizes(one.points[None])[0])
        if one.score is not None:
            each["score"].append(1 - one.score)
        if one.covariance is not None:
            each["spread"].append(_spread(one.covariance) / size)
        if flipped is not None and (other := _nearest(one, flipped)) is not None:
            # The mean of both was found: what the mirrored image tells is twice as far.
            each["flip"].append(2 * _apart(one.points, other.points) / size)
        near = [n for member in members if (n := _nearest(one, member)) is not None]
        if near:
            gaps = [_apart(one.points, n.points) / size for n in near]
            each["members"].append(float(np.mean(gaps)))
        elif members:  # they do not see it at all
            each["members"].append(1.0)
    return {name: max(v) for name, figures in each.items() if (v := _finite(figures))}


def _finite(figures: Sequence[float]) -> list[float]:
    return [float(v) for v in figures if np.isfinite(v)]


def _spread(covariance: Array) -> float:
    """The points' mean standard deviation, pixels."""
    deviation = np.sqrt(np.maximum(np.trace(covariance, axis1=1, axis2=2) / 2, 0))
    known = deviation[np.isfinite(deviation)]
    return float(known.mean()) if len(known) else float("nan")


def _apart(first: Array, second: Array) -> float:
    distance = np.linalg.norm(first - second, axis=1)
    known = distance[np.isfinite(distance)]
    return float(known.mean()) if len(known) else float("nan")


def _nearest(one: Keypoints, others: Sequence[Keypoints]) -> Keypoints | None:
    """The same object among others: that of the nearest points."""
    gaps = [_apart(one.points, other.points) for other in others]
    known = [(gap, i) for i, gap in enumerate(gaps) if np.isfinite(gap)]
    return others[min(known)[1]] if known else None


def in_time(looked: Sequence[Looked]) -> list[Looked]:
    """With how far objects of videos jump, against the frames looked at before and after."""
    done = list(looked)
    videos: dict[Path, list[int]] = {}
    for i, one in enumerate(looked):
        if one.frame is not None:
            videos.setdefault(one.file, []).append(i)
    for places in videos.values():
        places.sort(key=lambda i: looked[i].frame or 0)
        for here, before, after in zip(places[1:], places, places[2:]):
            figures: list[float] = []
            frames = np.array([looked[i].frame for i in (before, here, after)], np.float64)
            for found in looked[here].objects:
                first, last = (_nearest(found, looked[i].objects) for i in (before, after))
                if first is None or last is None:
                    continue
                points = np.stack([first.points, found.points, last.points])
                figures.append(float(jumps(points, sizes(points), frames)[1]))
            if known := _finite(figures):
                reasons = {**looked[here].reasons, "neighbours": max(known)}
                done[here] = looked[here]._replace(reasons=reasons)
    return done
