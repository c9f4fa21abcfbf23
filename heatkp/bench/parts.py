"""What each part of a prediction costs, from a file to points drawn on it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from os import PathLike, fspath
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import torch

from heatkp.engine import Region, SceneEngine
from heatkp.errors import DataError
from heatkp.inference.batches import Prediction, predictions
from heatkp.inference.detectors import Detector, create_detector
from heatkp.inference.drawing import DrawnImages
from heatkp.inference.predictor import Predictor
from heatkp.inference.sources import Failure, find_sources, read_images

ROUNDS = 5


class Part(NamedTuple):
    """Milliseconds an image: the median of the rounds."""

    name: str
    milliseconds: float


class _Clock:
    def __init__(self) -> None:
        self.spent: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.perf_counter()
        yield
        self.spent[name] = self.spent.get(name, 0.0) + time.perf_counter() - begun


def time_parts(
    predictor: Predictor, images: Sequence[str | PathLike[str]], passes: int | None = None
) -> list[Part]:
    """What reading, detecting, cropping, the network with its decoder, drawing and writing cost.

    `decode with OpenCV` is what OpenCV's own reading of the files takes, to compare with; `all` is
    what `heatkp predict` does.

    Raises `DataError` where an image cannot be read.
    """
    names = [fspath(path) for path in images]
    if passes is None:
        passes = predictor.usual_passes
    detector = None
    if predictor.finds_objects:
        own = predictor.detector
        detector = create_detector(own) if isinstance(own, str) else own
    rounds = [_once(predictor, names, passes, detector) for _ in range(ROUNDS + 1)][1:]
    return [
        Part(name, 1e3 * float(np.median([one[name] for one in rounds])) / len(names))
        for name in rounds[0]
    ]


def _once(
    predictor: Predictor, names: Sequence[str], passes: int, detector: Detector | None
) -> dict[str, float]:
    clock = _Clock()
    found = find_sources(names).sources
    for name in names:
        with clock.part("decode with OpenCV"):
            cv2.imread(name)
    images = read_images(found, options=predictor.image_options)
    while True:
        with clock.part("read"):
            item = next(images, None)
        if item is None:
            break
        if isinstance(item, Failure):
            raise DataError(f"{item.name}: {item.reason}")
        boxes: list[Any] = [None]
        if detector is not None:
            with clock.part("detect"):
                boxes = [np.asarray(one.box, np.float64) for one in detector(item.image)]
        if isinstance(predictor.engine, SceneEngine):  # the look of the detector has the points
            boxes = []
        for _ in range(passes if boxes else 0):
            with clock.part("crop"):
                seen = [predictor.engine.input_of(Region(item.image, box))[0] for box in boxes]
            with clock.part("network and decoder"):
                predictor.engine.backend.run(torch.stack(seen))
    with tempfile.TemporaryDirectory(prefix="heatkp-") as folder, clock.part("all"):
        drawn = DrawnImages(Path(folder))
        images = read_images(found, options=predictor.image_options)
        for one in predictions(predictor, images, passes=passes):
            if isinstance(one, Prediction):
                with clock.part("draw and write"):
                    drawn.add(one.input_image, one.objects or ())
    return clock.spent
